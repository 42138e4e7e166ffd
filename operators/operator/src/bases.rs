//! `trackbed bases`: keeps the base images of stages that only build in the cache of the build, and runs
//! Kaniko with them.
//!
//! Kaniko downloads the base image of every stage in every build, and decompresses it while it unpacks
//! it: with a compiler in it, that is often more than what is built takes. It can have images on a disk,
//! as its own `warmer` puts them there: <https://github.com/GoogleContainerTools/kaniko#caching-base-images>.
//! Here, their layers are uncompressed. The image that a Dockerfile makes is not made from those, so
//! nothing of it changes. Which image a tag stands for is asked in every build.
//!
//! Nothing depends on it: whatever goes wrong is told, and Kaniko downloads as it would have.

mod pull;
pub(crate) mod store;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

use bytesize::ByteSize;
use clap::Args;
use trackbed_build::plan::verdict::NOT_STARTED;
use trackbed_detect::building_bases;

use store::Store;

/// Keeps base images in a build's cache, and runs Kaniko with them.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The Dockerfile
    #[arg(long, value_name = "FILE")]
    dockerfile: PathBuf,
    /// Its stage that becomes the image; the last one when it is left out
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Folder of the build's cache
    #[arg(long, value_name = "DIR")]
    cache_dir: PathBuf,
    /// Most that the cache may take; base images take up to half of it
    #[arg(long, value_name = "SIZE")]
    cache_max: ByteSize,
    #[command(flatten)]
    registries: pull::Options,
    /// The program and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "PROGRAM"
    )]
    pub(crate) words: Vec<OsString>,
}

/// Runs the command: comes back only when there is no such program.
pub async fn run(options: &Options) -> ExitCode {
    let mut words = options.words.iter();
    let Some(program) = words.next() else {
        return ExitCode::FAILURE;
    };
    let mut command = Command::new(program);
    command.args(words);
    if keep(options).await {
        let mut folder = OsString::from("--cache-dir=");
        folder.push(&options.cache_dir);
        // The layers on these are of Docker's older type, which knows no zstd: the best that gzip can
        // do takes five times as long.
        command.arg(folder).arg("--compression-level=1");
        // The maintained fork expects another format of it, which others do not know.
        command.env("FF_KANIKO_OCI_WARMER", "false");
    }
    let error = command.exec();
    eprintln!("error: {}: {error}", program.display());
    ExitCode::from(NOT_STARTED)
}

/// Whether the cache has all base images that it can have.
async fn keep(options: &Options) -> bool {
    let store = Store::new(&options.cache_dir);
    let names = match fs::read_to_string(&options.dockerfile) {
        Ok(text) => building_bases(&text, options.target.as_deref()).unwrap_or_default(),
        // Kaniko says so better.
        Err(_) => BTreeSet::new(),
    };
    if !names.is_empty() {
        // Kaniko says nothing of its own for as long as this takes.
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        println!("base images of stages that build: {}", names.join(", "));
    }
    let mut digests = Vec::new();
    for name in &names {
        store.clear();
        let most = store.room(options.cache_max.as_u64()).unwrap_or_default();
        match pull::pull(name, &options.registries, &store, most).await {
            Ok(digest) => digests.push(digest),
            Err(error) => {
                println!("base image {name} is not kept: {error}");
                digests.clear();
                break;
            }
        }
    }
    store.clear();
    match store.list(&digests) {
        Ok(()) => !digests.is_empty(),
        Err(error) => {
            println!("base images are not kept: {error}");
            false
        }
    }
}
