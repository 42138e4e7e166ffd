//! `trackbed hand-over`: makes what Kaniko wrote as root readable for the step that pushes it.
//!
//! It runs after the last line of a user and before the first credential: what it leaves behind has
//! nothing in it but files and folders, so that no link leads `push` to a file of its own.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use bytesize::ByteSize;
use clap::Args;

use crate::{cache, report};

/// Anybody in the pod may read a layout. It is no secret from the step that pushes it.
const FILE: u32 = 0o444;
const FOLDER: u32 = 0o755;

/// Makes an image layout readable, and keeps the layer cache within its limit.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Folder of the image layout
    #[arg(long, value_name = "DIR")]
    layout: PathBuf,
    #[command(flatten)]
    cache: cache::Options,
    /// Where to write why it failed, as JSON
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
}

/// What was handed over.
#[derive(Debug, Default, PartialEq, Eq)]
struct Given {
    files: u64,
    bytes: u64,
}

/// Runs the command.
pub fn run(options: &Options) -> ExitCode {
    let result = options.result.as_deref();
    match open(&options.layout) {
        Ok(given) => {
            println!("image: {} files, {}", given.files, ByteSize(given.bytes));
            cache::after(&options.cache, &options.layout);
            ExitCode::SUCCESS
        }
        Err((reason, message)) => report::failed(result, reason, &message),
    }
}

/// Lets everybody read a folder and all in it.
///
/// # Errors
/// When something in it is neither a file nor a folder, or belongs to somebody else: a reason and a
/// sentence.
fn open(path: &Path) -> Result<Given, (&'static str, String)> {
    let told = |error: io::Error| ("BuildJobFailed", format!("{}: {error}", path.display()));
    let metadata = path.symlink_metadata().map_err(told)?;
    let allow = |mode| fs::set_permissions(path, Permissions::from_mode(mode)).map_err(told);
    if metadata.is_file() {
        allow(FILE)?;
        return Ok(Given {
            files: 1,
            bytes: metadata.len(),
        });
    }
    if !metadata.is_dir() {
        return Err((
            "BuildFailed",
            format!(
                "{} is neither a file nor a folder: a command of the Dockerfile put it into the layout of the image",
                path.display()
            ),
        ));
    }
    allow(FOLDER)?;
    let mut given = Given::default();
    for entry in fs::read_dir(path).map_err(told)? {
        let below = open(&entry.map_err(told)?.path())?;
        given.files += below.files;
        given.bytes += below.bytes;
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn layout() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs = folder.path().join("blobs/sha256");
        fs::create_dir_all(&blobs).expect("a folder");
        for file in [folder.path().join("index.json"), blobs.join("ab")] {
            fs::write(&file, "{}").expect("a file");
            fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("a mode");
        }
        fs::set_permissions(&blobs, Permissions::from_mode(0o700)).expect("a mode");
        folder
    }

    fn mode(path: &Path) -> u32 {
        path.symlink_metadata()
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    }

    #[test]
    fn everything_can_be_read_by_everybody_afterwards() {
        let layout = layout();
        let given = open(layout.path()).expect("files and folders");
        assert_eq!(given, Given { files: 2, bytes: 4 });
        let modes = ["", "index.json", "blobs/sha256", "blobs/sha256/ab"]
            .map(|it| mode(&layout.path().join(it)));
        assert_eq!(modes, [0o755, 0o444, 0o755, 0o444]);
    }

    #[test]
    fn a_link_is_refused_and_what_it_leads_to_is_left_as_it_was() {
        let outside = tempfile::NamedTempFile::new().expect("a file");
        fs::set_permissions(outside.path(), Permissions::from_mode(0o600)).expect("a mode");
        let layout = layout();
        symlink(outside.path(), layout.path().join("blobs/sha256/cd")).expect("a link");
        let (reason, message) = open(layout.path()).expect_err("a link");
        assert_eq!(reason, "BuildFailed");
        assert!(message.contains("blobs/sha256/cd is neither"), "{message}");
        assert_eq!(mode(outside.path()), 0o600);
    }

    #[test]
    fn an_image_that_is_not_there_has_its_path_in_the_error() {
        let (reason, message) = open(Path::new("/nowhere/image")).expect_err("nothing");
        assert_eq!(reason, "BuildJobFailed");
        assert!(message.starts_with("/nowhere/image: "), "{message}");
    }
}
