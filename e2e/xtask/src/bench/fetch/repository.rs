//! A large repository, made by `git fast-import`.

use std::{
    fmt,
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::Path,
    process::{Command, Stdio},
};

use cluster::CommandExt;

use crate::error::{Doing, Error, Result};

/// Share of the files that the newer commit has other content for.
const CHANGED: usize = 16;

/// Files of a repository.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    /// How many.
    pub files: usize,
    /// Bytes of each.
    pub size: u64,
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, unit) = match self.size >> 20 {
            0 => (self.size >> 10, "KiB"),
            mebibytes => (mebibytes, "MiB"),
        };
        write!(formatter, "{} files of {size} {unit}", self.files)
    }
}

/// What came of it.
pub(super) struct Commits {
    /// The commit before the tip of `main`.
    pub older: String,
    /// Files at the top of its tree.
    pub files: usize,
}

/// Makes a bare repository of two commits: one with all the files, and a newer one with other
/// content for some of them.
pub(super) fn make(folder: &Path, shape: Shape) -> Result<Commits> {
    Command::new("git")
        .args(["init", "--quiet", "--bare", "--initial-branch=main"])
        .arg(folder)
        .check()?;
    let settings = [
        // Random bytes: to look for what they have in common, or to compress them, is in vain.
        ("pack.window", "0"),
        ("core.compression", "0"),
        ("fastimport.unpackLimit", "0"),
    ];
    for (key, value) in settings {
        git(folder).args(["config", key, value]).check()?;
    }
    import(folder, shape)?;
    let older = git(folder).args(["rev-parse", "main~1"]).check()?;
    Ok(Commits {
        older: older.trim().to_owned(),
        // In folders of 256 files, and a Dockerfile.
        files: shape.files.div_ceil(256) + 1,
    })
}

/// Whether the server hands out commits by their id, as most forges do, or refs only.
pub(super) fn hand_out_commits(folder: &Path, yes: bool) -> Result<()> {
    let value = if yes { "true" } else { "false" };
    git(folder)
        .args(["config", "uploadpack.allowAnySHA1InWant", value])
        .check()?;
    Ok(())
}

fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(folder);
    command
}

fn import(folder: &Path, shape: Shape) -> Result<()> {
    let doing = || "git fast-import".to_owned();
    let mut child = git(folder)
        .args(["fast-import", "--quiet", "--big-file-threshold=1"])
        .stdin(Stdio::piped())
        .spawn()
        .doing(doing)?;
    let input = child.stdin.take();
    let written = input.map_or(Ok(()), |input| write(BufWriter::new(input), shape));
    let status = child.wait().doing(doing)?;
    written.doing(doing)?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "git fast-import ended with {status}"
    )))
}

/// The stream that makes it (<https://git-scm.com/docs/git-fast-import>).
fn write(mut to: impl Write, shape: Shape) -> io::Result<()> {
    let random = File::open("/dev/urandom")?;
    let mut commit = |message: &str, files: usize| -> io::Result<()> {
        let author = "Ada <ada@example.com> 1700000000 +0000";
        let length = message.len();
        write!(
            to,
            "commit refs/heads/main\ncommitter {author}\ndata {length}\n{message}\n"
        )?;
        writeln!(to, "M 100644 inline Dockerfile\ndata 13\nFROM scratch\n")?;
        for file in 0..files {
            let name = format!("{:03}/{file}", file / 256);
            writeln!(to, "M 100644 inline {name}\ndata {}", shape.size)?;
            io::copy(&mut (&random).take(shape.size), &mut to)?;
            writeln!(to)?;
        }
        Ok(())
    };
    commit("All of it", shape.files)?;
    commit("Some of it anew", shape.files.div_ceil(CHANGED))?;
    to.flush()
}
