//! The file systems inside of the cluster's mount namespace. All are gone with it.

use std::path::Path;

use crate::{
    Paths, Result,
    command::run,
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
    Ok(())
}
