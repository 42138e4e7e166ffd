//! What the cluster takes from Debian.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Error, Name, Result,
    command::CommandExt,
    error::Doing,
    paths::{self, create_dir},
};

/// A file that a package brings, and the package.
type Needed = (&'static str, &'static str);

/// What every running cluster needs of the host.
const CLUSTER: &[Needed] = &[
    ("/usr/bin/containerd", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/sbin/iptables", "iptables"),
    ("/usr/sbin/ipset", "ipset"),
    ("/usr/bin/git", "git"),
    ("/usr/bin/ssh-keygen", "openssh-client"),
    ("/usr/bin/curl", "curl"),
    ("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/bin/mount", "mount"),
    ("/usr/sbin/mkfs.ext4", "e2fsprogs"),
    ("/usr/bin/unshare", "util-linux"),
    ("/usr/bin/mmdebstrap", "mmdebstrap"),
];

/// What the one that tests run on needs besides: the programs of its CSI driver.
const FOR_TESTS: &[Needed] = &[("/usr/sbin/mkfs.xfs", "xfsprogs")];

/// What cluster `name` needs of the host.
pub fn of(name: Name) -> Vec<Needed> {
    let for_tests = FOR_TESTS.iter().filter(|_| name == Name::Test);
    CLUSTER.iter().chain(for_tests).copied().collect()
}

/// Says what to do when this machine cannot run a cluster.
///
/// # Errors
/// When it is no Linux with Debian's packages, the user is not root, or namespaces are
/// not allowed.
pub fn check_machine() -> Result<()> {
    let refuse = |what: &str| Err(Error::Refused(what.to_owned()));
    if !rustix::process::geteuid().is_root() {
        return refuse(
            "the cluster's network and mounts need root: run this as root, or give your own cluster with `--context`",
        );
    }
    if !Path::new("/etc/debian_version").exists() {
        return refuse(
            "the cluster's parts come from Debian packages, and this is no Debian: give your own cluster with `--context`",
        );
    }
    let namespaces = Command::new("unshare")
        .args(["-n", "-m", "-p", "--fork", "--mount-proc", "true"])
        .check();
    if let Err(error) = namespaces {
        return refuse(&format!(
            "this machine lets nobody make network, mount and process namespaces (a container without privileges?), which the cluster lives in: {error}"
        ));
    }
    Ok(())
}

/// Installs those packages whose files are missing.
///
/// # Errors
/// When the package manager fails.
pub fn install(needed: &[Needed]) -> Result<()> {
    let missing: Vec<&str> = needed
        .iter()
        .filter(|(file, _)| !Path::new(file).exists())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("  installing {} …", missing.join(", "));
    let quiet = StartNothing::begin()?;
    update()?;
    Command::new("apt-get")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .check()?;
    drop(quiet);
    if missing.contains(&"containerd") && Path::new("/run/systemd/system").exists() {
        // Or the next start of the machine would bring up one that nobody asked for.
        Command::new("systemctl")
            .args(["disable", "containerd.service"])
            .check()?;
    }
    Ok(())
}

/// The content of `package`, unpacked into the cache and not installed.
///
/// # Errors
/// When the package cannot be had.
pub fn unpacked(package: &str) -> Result<PathBuf> {
    let folder = paths::cache().join("debian").join(package);
    if folder.is_dir() {
        return Ok(folder);
    }
    let draft = folder.with_added_extension("new");
    if draft.exists() {
        fs::remove_dir_all(&draft).doing(|| format!("removing {}", draft.display()))?;
    }
    create_dir(&draft)?;
    let download = |draft: &Path| {
        Command::new("apt-get")
            .args(["download", "-qq", package])
            .current_dir(draft)
            .check()
    };
    if download(&draft).is_err() {
        update()?;
        download(&draft)?;
    }
    let archive = fs::read_dir(&draft)
        .doing(|| format!("reading {}", draft.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|end| end == "deb"))
        .ok_or_else(|| Error::Refused(format!("Debian has no package {package}")))?;
    Command::new("dpkg-deb")
        .arg("-x")
        .args([&archive, &draft])
        .check()?;
    fs::remove_file(&archive)
        .and_then(|()| fs::rename(&draft, &folder))
        .doing(|| format!("keeping {}", folder.display()))?;
    Ok(folder)
}

fn update() -> Result<()> {
    Command::new("apt-get").args(["update", "-qq"]).check()?;
    Ok(())
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Keeps freshly installed packages from starting their services on the host.
struct StartNothing {
    ours: bool,
}

impl StartNothing {
    fn begin() -> Result<Self> {
        let ours = !Path::new(POLICY).exists();
        if ours {
            fs::write(POLICY, "#!/bin/sh\nexit 101\n")
                .and_then(|()| fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)))
                .doing(|| format!("writing {POLICY}"))?;
        }
        Ok(StartNothing { ours })
    }
}

impl Drop for StartNothing {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}
