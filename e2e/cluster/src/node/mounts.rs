//! The file systems inside of the cluster's mount namespace. All are gone with it.

use std::{fs, fs::File, path::Path};

use crate::{
    Paths, Result,
    command::run,
    error::Doing,
    host::mountpoints,
    paths::{create_dir, write},
};

/// Settings of the whole machine that kubelet insists on. It reads them first, and is
/// content when they are as it wants: so it is shown files that are, and the machine
/// keeps its own.
const SHOWN: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// The file that containerd's file system is in, and how much that may take.
const DISK: &str = "containerd.ext4";
const DISK_SIZE: u64 = 64 << 30;

/// Makes the namespace's file systems.
pub(crate) fn prepare(paths: &Paths) -> Result<()> {
    run("mount", "--make-rshared /")?;
    run("mount", "-t tmpfs -o mode=755 tmpfs /run")?;
    for folder in mountpoints::FOLDERS {
        run("mount", &format!("-t tmpfs -o mode=755 tmpfs {folder}"))?;
    }
    for (name, value) in SHOWN {
        let target = Path::new("/proc/sys").join(name);
        if !target.exists() {
            continue;
        }
        let file = paths.run(&format!("sysctl/{}", name.replace('/', ".")));
        write(&file, format!("{value}\n"))?;
        run(
            "mount",
            &format!("--bind {} {}", file.display(), target.display()),
        )?;
    }
    for part in ["etcd", "git", "kubelet", "volumes", "pod-logs"] {
        create_dir(&paths.data(part))?;
    }
    if let Err(error) = disk(paths) {
        eprintln!("containers are kept on the machine's own file system: {error}");
    }
    Ok(())
}

/// Gives containerd a file system of its own, in a file that takes as much as is in it.
///
/// Builds and containers make and remove file systems of ten thousand files all day. Some machines'
/// own file systems are made for other work: ext4 without a journal looks at every inode that was
/// freed in the last minutes before it takes one, which made each new file ten times as expensive.
fn disk(paths: &Paths) -> Result<()> {
    let (file, folder) = (paths.data(DISK), paths.data("containerd"));
    if !file.exists() {
        // All in it can be had again; under the file system it would only take space.
        if folder.exists() {
            fs::remove_dir_all(&folder).doing(|| format!("removing {}", folder.display()))?;
        }
        let draft = file.with_added_extension("new");
        File::create(&draft)
            .and_then(|it| it.set_len(DISK_SIZE))
            .doing(|| format!("creating {}", draft.display()))?;
        let lazy = "lazy_itable_init=1,lazy_journal_init=1";
        run(
            "mkfs.ext4",
            &format!("-q -F -m 0 -E {lazy} {}", draft.display()),
        )?;
        fs::rename(&draft, &file).doing(|| format!("renaming {}", draft.display()))?;
    }
    create_dir(&folder)?;
    let (file, folder) = (file.display(), folder.display());
    // What is deleted is given back: else the file would only grow.
    let options = "loop,noatime,discard";
    run("mount", &format!("-o {options} {file} {folder}")).map(drop)
}
