//! `trackbed fetch`: one commit on disk, and the Dockerfile that builds it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use serde::Serialize;
use trackbed_api::build::BuildPlan;
use trackbed_detect::{Context, declare, detect, distinguish, explain};
use trackbed_git::{Credentials, Fetch, Progress, Request, fetch};

use crate::{
    names,
    origin::{self, Blob, Origin, Parameters},
    plan::Overrides,
    report,
    tree::{inside, tree},
};

/// Folder of the source under `--out`.
const SOURCE: &str = "source";
/// Folder under `--out` that the build sees: the application's, or the whole source.
pub const CONTEXT: &str = "context";
/// The Dockerfile under `--out`, the repository's or the generated one.
pub const DOCKERFILE: &str = "Dockerfile";
/// This program under `--out`, for the step that builds.
pub const PROGRAM: &str = "trackbed";
/// What a list of files to leave out is called: the Dockerfile's name and this.
const IGNORED: &str = ".dockerignore";

/// Writes OUT/context (what the build sees of the commit) and OUT/Dockerfile.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// https://, http:// or ssh:// URL of the repository
    #[arg(long)]
    url: String,
    /// Full id of the commit
    #[arg(long)]
    commit: String,
    /// Full ref at which it was found, for servers that hand out refs only
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
    /// Folder of the application in the repository
    #[arg(long, default_value = ".")]
    path: String,
    /// Whether a Dockerfile must be there
    #[arg(long, value_enum, default_value_t = Strategy::Auto)]
    strategy: Strategy,
    /// The Dockerfile, relative to --path
    #[arg(long, default_value = "Dockerfile")]
    dockerfile: String,
    #[command(flatten)]
    overrides: Overrides,
    /// Build argument that every stage of any Dockerfile sees
    #[arg(long = "declare", value_name = "NAME")]
    declared: Vec<String>,
    /// Build argument that every stage of a generated Dockerfile sees too
    #[arg(long = "argument", value_name = "NAME")]
    arguments: Vec<String>,
    /// Where to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Folder with the files of the repository's Secret: username and password, or ssh-privatekey and known_hosts
    #[arg(long, value_name = "DIR")]
    credentials_dir: Option<PathBuf>,
    /// Where to write what was found, or why not, as JSON
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    /// Most that the repository may take on disk
    #[arg(long, default_value = "2Gi", value_name = "SIZE")]
    max_size: ByteSize,
    /// Longest time, in seconds
    #[arg(long, default_value_t = 900, value_name = "SECONDS")]
    timeout: u64,
}

/// How to find out how to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Strategy {
    /// The Dockerfile if there is one, else the recognised language
    Auto,
    /// The Dockerfile, and nothing else
    Dockerfile,
}

/// What the Build controller is told.
#[derive(Serialize)]
struct Found {
    plan: BuildPlan,
    message: String,
    author: String,
}

/// A reason and a sentence.
type Refusal = (&'static str, String);

/// Runs the command.
pub fn run(options: &Options) -> ExitCode {
    match work(options) {
        Ok(found) => report::done(options.result.as_deref(), &found),
        Err((reason, message)) => report::failed(options.result.as_deref(), reason, &message),
    }
}

fn work(options: &Options) -> Result<Found, Refusal> {
    let source = options.out.join(SOURCE);
    fs::create_dir_all(&source).map_err(|error| disk(&source, &error))?;
    let program = options.out.join(PROGRAM);
    trackbed_supervisor::install(&program)
        .map_err(|error| ("BuildJobFailed", error.to_string()))?;
    println!("fetches commit {} of {}", options.commit, options.url);
    let what = Fetch {
        request: Request {
            url: options.url.clone(),
            credentials: credentials(options.credentials_dir.as_deref())?,
            deadline: Duration::from_secs(options.timeout),
        },
        commit: options.commit.clone(),
        reference: options.reference.clone(),
        path: Some(options.path.clone()),
        max_bytes: options.max_size.as_u64(),
    };
    let mut said = Progress::default();
    let commit = fetch(&what, &source, &mut |now| {
        if now != said {
            said = now;
            let mib = now.bytes >> 20;
            println!("  {} of {} objects, {mib} MiB", now.objects, now.of);
        }
    })
    .map_err(|error| (error.reason(), error.to_string()))?;
    println!(
        "got \"{}\" by {}: {} bytes",
        commit.message, commit.author, commit.received
    );
    for path in &commit.submodules {
        println!("with submodule {path}");
    }
    let root = folder(&source, &options.path)?;
    let (plan, context) = dockerfile(options, &source, &root)?;
    let target = options.out.join(CONTEXT);
    fs::rename(context, &target).map_err(|error| disk(&target, &error))?;
    origin(options, commit.time, &plan)?;
    println!("builds {} ({} Dockerfile)", plan.language, plan.dockerfile);
    Ok(Found {
        plan,
        message: commit.message,
        author: commit.author,
    })
}

/// Leaves for the push what the image is to say of itself.
fn origin(options: &Options, time: i64, plan: &BuildPlan) -> Result<(), Refusal> {
    let time = jiff::Timestamp::from_second(time).unwrap_or_default();
    let path = options.out.join(DOCKERFILE);
    let dockerfile = fs::read(&path).map_err(|error| disk(&path, &error))?;
    let origin = Origin {
        source: options.url.clone(),
        revision: options.commit.clone(),
        created: time.to_string(),
        parameters: Parameters {
            r#ref: options.reference.clone(),
            path: options.path.clone(),
            dockerfile: plan.dockerfile.clone(),
            dockerfile_digest: Blob::new(dockerfile).digest,
            arguments: options.arguments.clone(),
        },
    };
    let path = options.out.join(origin::FILE);
    let text = serde_json::to_vec(&origin).unwrap_or_default();
    fs::write(&path, text).map_err(|error| disk(&path, &error))
}

fn disk(path: &Path, error: &std::io::Error) -> Refusal {
    ("BuildJobFailed", format!("{}: {error}", path.display()))
}

fn credentials(folder: Option<&Path>) -> Result<Option<Credentials>, Refusal> {
    let Some(folder) = folder else {
        return Ok(None);
    };
    let text = |key: &str| fs::read_to_string(folder.join(key)).ok();
    let found = Credentials::from_keys(text)
        .map_err(|lacks| ("SecretInvalid", format!("the repository's Secret {lacks}")))?;
    if let Credentials::Ssh { known_hosts, .. } = &found {
        prefer(known_hosts);
    }
    Ok(Some(found))
}

/// libgit2 asks a host for the kinds of keys that stand in the user's own known_hosts. Without the
/// file it takes any, and may get one that the Secret does not have.
fn prefer(known_hosts: &str) {
    if let Some(home) = std::env::var_os("HOME").map(PathBuf::from) {
        let folder = home.join(".ssh");
        let written = fs::create_dir_all(&folder)
            .and_then(|()| fs::write(folder.join("known_hosts"), known_hosts));
        if let Err(error) = written {
            println!("{}: {error}", folder.display());
        }
    }
}

/// The application's folder, which must not lead out of the source, by `..` or by a link.
fn folder(source: &Path, path: &str) -> Result<PathBuf, Refusal> {
    let missing = || ("PathNotFound", format!("the commit has no folder {path}"));
    let folder = inside(source, Path::new(path)).ok_or_else(missing)?;
    if !folder.is_dir() {
        return Err(missing());
    }
    Ok(folder)
}

/// Writes the Dockerfile beside the source: nothing is added to what the user pushed. Returns the
/// plan and the folder that the build sees.
fn dockerfile<'a>(
    options: &Options,
    source: &'a Path,
    root: &'a Path,
) -> Result<(BuildPlan, &'a Path), Refusal> {
    let own = inside(root, Path::new(&options.dockerfile)).filter(|path| path.is_file());
    if let Some(own) = own {
        let text = fs::read(&own).map_err(|error| disk(&own, &error))?;
        write(
            options,
            root,
            &String::from_utf8_lossy(&text),
            &options.declared,
        )?;
        ignored_beside(options, &own)?;
        let plan = BuildPlan {
            language: "dockerfile".to_owned(),
            dockerfile: "repository".to_owned(),
            ..BuildPlan::default()
        };
        return Ok((plan, root));
    }
    if options.strategy == Strategy::Dockerfile || options.dockerfile != "Dockerfile" {
        let place = root
            .strip_prefix(source)
            .unwrap_or(root)
            .join(&options.dockerfile);
        return Err((
            "DockerfileNotFound",
            format!("the commit has no file {}", place.display()),
        ));
    }
    let plan = options.overrides.clone().settings();
    let plan = plan.and_then(|settings| detect(&tree(source, root), &settings));
    let plan = plan.map_err(|error| (error.reason(), error.to_string()))?;
    let context = match plan.context {
        Context::Folder => root,
        Context::Root => source,
    };
    let declared = [&*options.declared, &options.arguments].concat();
    write(options, context, &plan.dockerfile, &declared)?;
    if let Some(ignored) = &plan.dockerignore {
        let beside = options.out.join(format!("{DOCKERFILE}{IGNORED}"));
        fs::write(&beside, ignored).map_err(|error| disk(&beside, &error))?;
    }
    print!("{}", explain::text(&plan.explanation));
    println!("--- generated Dockerfile\n{}---", plan.dockerfile);
    let plan = BuildPlan {
        language: plan.provider.as_str().to_owned(),
        version: plan.version,
        framework: plan.framework,
        dockerfile: "generated".to_owned(),
    };
    Ok((plan, context))
}

/// Writes a Dockerfile with what the cluster adds: the arguments of its environment, and names of
/// files for layers to know.
fn write(
    options: &Options,
    context: &Path,
    text: &str,
    declared: &[String],
) -> Result<(), Refusal> {
    let target = options.out.join(DOCKERFILE);
    let names: Vec<&str> = declared.iter().map(String::as_str).collect();
    let text = distinguish(text, |copied| names::digest(context, copied));
    fs::write(&target, declare(&text, &names)).map_err(|error| disk(&target, &error))
}

/// `NAME.dockerignore` beside a Dockerfile goes before the folder's own file, and is looked for
/// beside the Dockerfile that is built.
fn ignored_beside(options: &Options, own: &Path) -> Result<(), Refusal> {
    let mut beside = own.as_os_str().to_owned();
    beside.push(IGNORED);
    let beside = PathBuf::from(beside);
    // Not a link: that could lead anywhere.
    if !fs::symlink_metadata(&beside).is_ok_and(|it| it.is_file()) {
        return Ok(());
    }
    let target = options.out.join(format!("{DOCKERFILE}{IGNORED}"));
    let copied = fs::copy(&beside, &target).map_err(|error| disk(&beside, &error));
    copied.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_out_of_the_source() {
        let outside = tempfile::tempdir().expect("a folder");
        fs::write(outside.path().join("package.json"), "secret").expect("a file");
        let source = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(outside.path(), source.path().join("link")).expect("a link");
        let secret = outside.path().join("package.json");
        std::os::unix::fs::symlink(secret, source.path().join("package.json")).expect("a link");
        for path in ["link", "..", "a/../..", "/etc", "nowhere"] {
            let refused = folder(source.path(), path).expect_err(path);
            assert_eq!(refused.0, "PathNotFound", "{path}");
        }
        assert!(folder(source.path(), ".").is_ok());
        let tree = tree(source.path(), source.path());
        assert!(tree.content.is_empty(), "links are not read");
    }
}
