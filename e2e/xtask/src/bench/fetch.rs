//! What a fetch of a large repository takes: the step `fetch` of a Build, on a repository of 1 GiB
//! that the project's own git server hands out on the loopback interface, within the memory that
//! the step's container has.

mod measured;
mod repository;
mod server;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use cluster::CommandExt;
use measured::Measured;
use repository::{Commits, Shape};
use server::Server;

use super::mebibytes;
use crate::{
    error::{Doing, Error, Result},
    operator,
    step::step,
};

/// Memory limit of the container.
const MEMORY: u64 = 512 << 20;
/// The repositories. All their bytes are random: nothing of them can be compressed.
const SHAPES: [Shape; 3] = [
    Shape {
        files: 256,
        size: 4 << 20,
    },
    Shape {
        files: 65_536,
        size: 16 << 10,
    },
    Shape {
        files: 5,
        size: 200 << 20,
    },
];

/// One row of the table.
struct Row {
    shape: Shape,
    way: &'static str,
    seen: Measured,
}

/// Runs it and prints its table.
pub(super) fn run() -> Result<()> {
    step("fetch", || {
        cluster::tools::build(&[&cluster::tools::GIT_SERVER])?;
        let program = operator::programs(operator::Profile::Release)?.join("trackbed");
        let folder = tempfile::tempdir().doing(|| "making a folder".to_owned())?;
        let mut rows = Vec::new();
        for shape in SHAPES {
            let root = folder.path().join("repositories");
            let commits = repository::make(&root.join("large.git"), shape)?;
            let server = Server::start(&root)?;
            for (way, alone) in [("the commit alone", true), ("with its history", false)] {
                repository::hand_out_commits(&root.join("large.git"), alone)?;
                println!("  {shape}, {way}");
                let work = folder.path().join("work");
                let seen = once(&program, &server.url("large.git"), &commits, &work)?;
                rows.push(Row { shape, way, seen });
            }
            drop(server);
            fs::remove_dir_all(&root).doing(|| format!("removing {}", root.display()))?;
        }
        println!(
            "\nA fetch of 1 GiB within {} MiB of memory:\n",
            MEMORY >> 20
        );
        print!("{}", table(&rows));
        Ok(())
    })
}

/// Fetches the older commit of a repository, and looks whether all of it came.
fn once(program: &Path, url: &str, commits: &Commits, work: &Path) -> Result<Measured> {
    let (out, temporary) = (work.join("out"), work.join("tmp"));
    for folder in [&out, &temporary] {
        fs::create_dir_all(folder).doing(|| format!("creating {}", folder.display()))?;
    }
    let result = work.join("result.json");
    let mut command = Command::new(program);
    command
        .args(["fetch", "--ref=refs/heads/main"])
        .arg(format!("--url={url}"))
        .arg(format!("--commit={}", commits.older))
        .arg(format!("--out={}", out.display()))
        .arg(format!("--result={}", result.display()))
        // As in the container.
        .env("TMPDIR", &temporary)
        .env("MALLOC_ARENA_MAX", "1")
        .env("NO_PROXY", "127.0.0.1")
        .stdout(Stdio::null());
    let (status, seen) = measured::run(&mut command, work, MEMORY)?;
    let files = fs::read_dir(out.join("context")).map_or(0, Iterator::count);
    if !status.success() || files != commits.files {
        let said = fs::read_to_string(&result).unwrap_or_default();
        return Err(Error::Failed(format!(
            "`{}` ended with {status} and {files} of {} files: {said}",
            command.line(),
            commits.files
        )));
    }
    fs::remove_dir_all(work).doing(|| format!("removing {}", work.display()))?;
    Ok(seen)
}

fn table(rows: &[Row]) -> String {
    let mut table = "| repository | fetched | seconds | memory of its own, MiB | with mapped files, MiB | on disk, MiB |\n|---|---|---|---|---|---|\n".to_owned();
    for Row { shape, way, seen } in rows {
        table += &format!(
            "| {shape} | {way} | {:.1} | {} | {} | {} |\n",
            seen.took.as_secs_f64(),
            mebibytes(seen.anonymous),
            mebibytes(seen.resident),
            mebibytes(seen.disk),
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn what_was_measured_is_a_table() {
        let rows = [Row {
            shape: SHAPES[0],
            way: "the commit alone",
            seen: Measured {
                took: std::time::Duration::from_millis(12_340),
                anonymous: 20 << 20,
                resident: 400 << 20,
                disk: 2 << 30,
            },
        }];
        expect![[r"
            | repository | fetched | seconds | memory of its own, MiB | with mapped files, MiB | on disk, MiB |
            |---|---|---|---|---|---|
            | 256 files of 4 MiB | the commit alone | 12.3 | 20.0 | 400.0 | 2048.0 |
        "]]
        .assert_eq(&table(&rows));
    }
}
