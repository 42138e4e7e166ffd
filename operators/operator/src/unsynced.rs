//! `trackbed unsynced`: runs a program for which `sync` and `syncfs` do nothing.
//!
//! All that a build writes goes with its pod, but Kaniko has the disk written before it reads again what
//! it unpacked: hundreds of MB that the node would never have written, while others wait for the same
//! disk, and with `sync` for every disk of the node. Nobody needs that: what is read comes from the
//! kernel's memory, written or not.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

use clap::Args;
use seccompiler::{apply_filter, sock_filter};
use trackbed_build::plan::verdict::NOT_STARTED;

use crate::report;

/// Runs a program for which `sync` does nothing.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where to write why there is no such program, as JSON
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
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
pub fn run(options: &Options) -> ExitCode {
    if let Some(filter) = filter()
        && let Err(error) = apply_filter(&filter)
    {
        // It is slower with it, and works.
        eprintln!("sync is not left out: {error}");
    }
    let Some((program, arguments)) = options.words.split_first() else {
        return ExitCode::FAILURE;
    };
    let error = Command::new(program).args(arguments).exec();
    let message = format!(
        "{}: {error}: build.executor of the chart says where the image of Kaniko has its program",
        program.display()
    );
    report::failed(options.result.as_deref(), "BuildJobFailed", &message);
    ExitCode::from(NOT_STARTED)
}

/// A processor as the kernel tells it to filters, and its numbers of `sync` and `syncfs`: `linux/audit.h`,
/// `asm/unistd.h`.
type Calls = (u32, [u32; 2]);

const CALLS: Option<Calls> = if cfg!(target_arch = "x86_64") {
    Some((0xC000_003E, [162, 306]))
} else if cfg!(target_arch = "aarch64") {
    Some((0xC000_00B7, [81, 267]))
} else {
    None
};

/// Answers both with success and lets everything else through, programs of other processors (32 bits)
/// whole: `linux/seccomp.h`, `linux/bpf_common.h`.
fn filter() -> Option<[sock_filter; 7]> {
    const LOAD: u16 = 0x20;
    const JUMP_IF: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const NUMBER: u32 = 0;
    const ARCHITECTURE: u32 = 4;
    const ALLOW: u32 = 0x7FFF_0000;
    const SUCCESS: u32 = 0x0005_0000;
    let step = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    let (architecture, [sync, syncfs]) = CALLS?;
    Some([
        step(LOAD, ARCHITECTURE, 0, 0),
        step(JUMP_IF, architecture, 0, 3),
        step(LOAD, NUMBER, 0, 0),
        step(JUMP_IF, sync, 2, 0),
        step(JUMP_IF, syncfs, 1, 0),
        step(RETURN, ALLOW, 0, 0),
        step(RETURN, SUCCESS, 0, 0),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::{
        fs::{Mode, OFlags, fsync, open, syncfs},
        io::Errno,
    };

    #[test]
    fn without_its_program_it_says_where_that_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let result = folder.path().join("result");
        run(&Options {
            result: Some(result.clone()),
            words: vec![folder.path().join("executor").into()],
        });
        let told = std::fs::read_to_string(result).expect("a result");
        assert!(told.contains("BuildJobFailed"), "{told}");
        assert!(told.contains("executor: No such file"), "{told}");
        assert!(told.contains("build.executor of the chart"), "{told}");
    }

    #[test]
    fn only_sync_is_left_out() {
        let path = || open(".", OFlags::PATH, Mode::empty()).expect("a folder");
        // A filter is of the thread that asks for it, and of what that begins.
        std::thread::spawn(move || {
            assert_eq!(syncfs(path()), Err(Errno::BADF), "nothing to sync");
            let filter = filter().expect("a processor that is known");
            apply_filter(&filter).expect("the kernel takes it");
            assert_eq!(syncfs(path()), Ok(()), "nobody looks");
            assert_eq!(fsync(path()), Err(Errno::BADF), "this is another call");
        })
        .join()
        .expect("a thread");
        assert_eq!(syncfs(path()), Err(Errno::BADF));
    }
}
