use std::{
    fmt, fs,
    io::{self, BufRead, BufReader},
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use super::Tool;
use crate::{
    Error, Result,
    command::{CommandExt, spoken},
    error::Doing,
    paths::{self, create_dir},
};

/// Flags of every build: static programs that are the same wherever they are built.
const FLAGS: [&str; 3] = ["-trimpath", "-buildvcs=false", "-mod=readonly"];

/// Between two lines about a build that goes on.
const TELL_EVERY: Duration = Duration::from_secs(15);
/// Lines of a failed build's output that an error keeps.
const KEPT_LINES: usize = 30;

/// The folder of the tools' `go.mod` files.
pub fn tools_folder() -> PathBuf {
    paths::repository().join("e2e/tools")
}

/// Builds those of `tools` that the cache does not have, and says how long each took.
///
/// # Errors
/// When Go is missing, or a build fails.
pub fn build(tools: &[&Tool]) -> Result<()> {
    let mut missing = Vec::new();
    for tool in tools {
        if !tool.is_built()? {
            missing.push(*tool);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    if Command::new("go").arg("version").check().is_err() {
        return Err(Error::Refused(
            "Go is needed to build the cluster's programs: install Go 1.26 or newer and put it on PATH".to_owned(),
        ));
    }
    std::thread::scope(|scope| {
        let (stop, stopped) = mpsc::channel::<()>();
        let ahead = missing.clone();
        scope.spawn(move || {
            for tool in ahead {
                if stopped.try_recv() != Err(mpsc::TryRecvError::Empty) {
                    return;
                }
                // Only to have the sources here in time; the build reports what is wrong.
                let packages = tool.binaries.iter().map(|(_, package)| package);
                let _ = go(&tools_folder().join(tool.name), tool)
                    .args(["list", "-deps"])
                    .args(tags(tool))
                    .args(packages)
                    .check();
            }
        });
        let count = missing.len();
        let all = Instant::now();
        for (at, tool) in missing.into_iter().enumerate() {
            println!("  [{}/{count}] building {} …", at + 1, tool.name);
            let begun = Instant::now();
            build_one(tool)?;
            println!(
                "  [{}/{count}] built {} in {}",
                at + 1,
                tool.name,
                spoken(begun.elapsed())
            );
        }
        println!("  built {count} tools in {}", spoken(all.elapsed()));
        drop(stop);
        Ok(())
    })
}

fn build_one(tool: &Tool) -> Result<()> {
    let target = folder(tool)?;
    let parent = target.parent().unwrap_or(&target);
    create_dir(parent)?;
    let draft = parent.join(format!(".new-{}", std::process::id()));
    remove(&draft)?;
    create_dir(&draft)?;
    let source = tools_folder().join(tool.name);
    for (binary, package) in tool.binaries {
        let mut command = go(&source, tool);
        command
            .args(["build", "-v"])
            .args(FLAGS)
            .args(tags(tool))
            .arg(format!("-ldflags={}", ldflags(tool)))
            .arg("-o")
            .arg(draft.join(binary))
            .arg(package);
        compile(&mut command, || packages(&source, tool, package))?;
    }
    if let Some((first, _)) = tool.binaries.first() {
        for link in tool.links {
            symlink(first, draft.join(link)).doing(|| format!("linking {link}"))?;
        }
    }
    match fs::rename(&draft, &target) {
        // Somebody else was faster with the same content.
        Err(_) if target.is_dir() => remove(&draft),
        other => other.doing(|| format!("moving {} into place", tool.name)),
    }
}

/// How many packages a program consists of.
fn packages(source: &Path, tool: &Tool, package: &str) -> Result<usize> {
    let list = go(source, tool)
        .args(["list", "-deps"])
        .args(tags(tool))
        .arg(package)
        .check()?;
    Ok(list.lines().count())
}

/// Runs a build that tells each package it compiles, and says now and then how far it is.
fn compile(command: &mut Command, total: impl FnOnce() -> Result<usize>) -> Result<()> {
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .doing(|| format!("starting `{}`", command.line()))?;
    let mut progress = Progress::default();
    let mut told = begun;
    let mut count_all = Some(total);
    if let Some(output) = child.stderr.take() {
        for line in BufReader::new(output).lines().map_while(io::Result::ok) {
            progress.read(&line);
            if told.elapsed() > TELL_EVERY {
                told = Instant::now();
                // Only a long build is worth the question.
                if let Some(count) = count_all.take() {
                    progress.total = count()?;
                }
                println!("        {progress}, {}", spoken(begun.elapsed()));
            }
        }
    }
    let status = child
        .wait()
        .doing(|| format!("waiting for `{}`", command.line()))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Command {
        command: command.line(),
        status,
        output: progress.said.join("\n"),
    })
}

/// How far a build is.
#[derive(Debug, Default)]
struct Progress {
    /// Packages compiled; those that were before are not told.
    compiled: usize,
    /// Packages of the program; 0 while nobody asked.
    total: usize,
    /// What else the build said: its errors.
    said: Vec<String>,
}

impl Progress {
    fn read(&mut self, line: &str) {
        let is_package = !line.is_empty() && !line.contains([' ', ':', '#', '\t']);
        if is_package {
            self.compiled += 1;
        } else {
            self.said.push(line.to_owned());
            if self.said.len() > KEPT_LINES {
                self.said.remove(0);
            }
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} packages", self.compiled, self.total)
    }
}

/// `go` in `source`, with cgo only for a tool that has C in it.
pub(super) fn go(source: &Path, tool: &Tool) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(source)
        .env("CGO_ENABLED", if tool.cgo.is_some() { "1" } else { "0" })
        .env("GOWORK", "off")
        .env_remove("GOFLAGS");
    command
}

fn tags(tool: &Tool) -> Option<String> {
    tool.cgo.map(|tags| format!("-tags={tags}"))
}

fn ldflags(tool: &Tool) -> String {
    format!("-s -w {}", tool.ldflags).trim_end().to_owned()
}

pub(super) fn folder(tool: &Tool) -> Result<PathBuf> {
    let source = tools_folder().join(tool.name);
    let mut files = Vec::new();
    collect(&source, &mut files)?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(&file).doing(|| format!("reading {}", file.display()))?;
        let name = file.strip_prefix(&source).unwrap_or(&file);
        hash.update(name.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update((content.len() as u64).to_be_bytes());
        hash.update(content);
    }
    for (binary, package) in tool.binaries {
        hash.update(format!("{binary}={package}\n"));
    }
    hash.update(FLAGS.join(" "));
    hash.update(ldflags(tool));
    hash.update(tool.links.join(" "));
    hash.update(tool.cgo.unwrap_or_default());
    let name = hex(&hash.finalize()[..8]);
    Ok(paths::cache().join("tools").join(tool.name).join(name))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let read = || format!("reading {}", folder.display());
    for entry in fs::read_dir(folder).doing(read)? {
        let path = entry.doing(read)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end != "md") {
            files.push(path);
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).doing(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Name, tools::CLUSTER};

    #[test]
    fn packages_are_counted_and_errors_kept() {
        let mut progress = Progress::default();
        for line in [
            "fmt",
            "k8s.io/api/core/v1",
            "# example.com/x",
            "x.go:1:2: no such thing",
        ] {
            progress.read(line);
        }
        assert_eq!(progress.to_string(), "2 of 0 packages");
        assert_eq!(
            progress.said,
            ["# example.com/x", "x.go:1:2: no such thing"]
        );
    }

    #[test]
    fn every_tool_is_pinned() {
        for tool in crate::tools::of(Name::Test) {
            let pin = tools_folder().join(tool.name).join("go.mod");
            assert!(pin.is_file(), "{} is missing", pin.display());
            assert!(!tool.binaries.is_empty());
        }
    }

    #[test]
    fn the_kubernetes_version_is_the_pinned_one() {
        let tool = &crate::tools::KUBERNETES;
        let pin = fs::read_to_string(tools_folder().join("kubernetes/go.mod")).unwrap();
        let version = pin
            .lines()
            .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
            .unwrap();
        assert_eq!(tool.ldflags.matches(&format!("={version}")).count(), 2);
    }

    #[test]
    fn the_folder_is_named_by_what_makes_it() {
        let (one, other) = (folder(CLUSTER[0]).unwrap(), folder(CLUSTER[1]).unwrap());
        assert_eq!(one, folder(CLUSTER[0]).unwrap());
        assert_ne!(one.file_name(), other.file_name());
    }
}
