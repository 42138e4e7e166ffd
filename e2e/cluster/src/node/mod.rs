//! The inside: what runs in the cluster's own network, mount and process namespaces.

pub(crate) mod config;
pub(crate) mod forge;
pub(crate) mod mounts;
pub(crate) mod network;
pub(crate) mod parts;
pub(crate) mod pki;
mod supervise;

use std::{
    io::{Write, stdin, stdout},
    process::{Command, ExitCode},
};

pub use parts::Part;
pub use supervise::Running;

use crate::{Name, Network, Paths, Result, error::Doing, paths::write};

/// Said on standard output when the namespaces are made and wait for their link.
pub(crate) const NAMESPACES_READY: &str = "namespaces";
/// Said on standard output when every part was started.
pub(crate) const STARTED: &str = "started";

/// The first process of the cluster's process namespace: starts [`run`] as a process of
/// its own, and buries everybody who dies without a parent.
///
/// # Errors
/// When that process cannot be started.
pub fn init(name: Name) -> Result<ExitCode> {
    let child = Command::new("/proc/self/exe")
        .args(["cluster-node", name.as_str()])
        .spawn()
        .doing(|| "starting the node".to_owned())?;
    let node = rustix::process::Pid::from_child(&child);
    loop {
        match rustix::process::wait(rustix::process::WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == node => {
                let failed = status.exit_status() != Some(0);
                return Ok(ExitCode::from(u8::from(failed)));
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return Ok(ExitCode::FAILURE),
        }
    }
}

/// Runs the node until its standard input is closed.
///
/// # Errors
/// When the network, the mounts or a file cannot be made.
pub fn run(name: Name) -> Result<()> {
    let (network, paths) = (Network::of(name), Paths::of(name));
    mounts::prepare(&paths)?;
    network::prepare(&network)?;
    say(NAMESPACES_READY)?;
    let mut line = String::new();
    stdin()
        .read_line(&mut line)
        .doing(|| "waiting for the link".to_owned())?;
    if line.is_empty() {
        return Ok(());
    }
    network::connect(name, &network)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing(|| "starting the runtime".to_owned())?;
    let parts = read_parts(&paths)?;
    runtime.block_on(supervise::run(parts, &paths, || say(STARTED)))
}

fn say(word: &str) -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{word}")
        .and_then(|()| out.flush())
        .doing(|| "talking to the daemon".to_owned())
}

/// Writes every file that the parts read, and the parts themselves, and makes what the forge needs.
pub(crate) fn configure(name: Name, paths: &Paths) -> Result<String> {
    let network = Network::of(name);
    let programs = parts::Programs::find(name)?;
    paths.create()?;
    let (files, parts) = described(name, &network, paths, &programs);
    let fingerprint = fingerprint(&files, &parts);
    for (path, content) in files {
        write(&path, content)?;
    }
    if let Some(forge) = &programs.forge {
        forge.prepare(paths)?;
    }
    let text = serde_json::to_vec_pretty(&parts).map_err(|source| crate::Error::Json {
        path: paths.run("parts.json"),
        source,
    })?;
    write(&paths.run("parts.json"), text)?;
    Ok(fingerprint)
}

/// What [`configure`] would write, in a few digits: another one means another cluster.
pub(crate) fn current_fingerprint(name: Name, paths: &Paths) -> Result<String> {
    let network = Network::of(name);
    let programs = parts::Programs::find(name)?;
    let (files, parts) = described(name, &network, paths, &programs);
    Ok(fingerprint(&files, &parts))
}

/// Every file that the parts read, and the parts themselves.
fn described(
    name: Name,
    network: &Network,
    paths: &Paths,
    programs: &parts::Programs,
) -> (Vec<config::File>, Vec<Part>) {
    let mut files = config::files(name, network, paths, &programs.cni);
    let forge = programs.forge.as_ref();
    files.extend(forge.map(|forge| forge::config(network, paths, forge)));
    (files, parts::parts(name, network, paths, programs))
}

fn fingerprint(files: &[config::File], parts: &[Part]) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    hash.update(format!("{files:?}{parts:?}"));
    crate::tools::hex(&hash.finalize()[..8])
}

fn read_parts(paths: &Paths) -> Result<Vec<Part>> {
    let path = paths.run("parts.json");
    let text = std::fs::read(&path).doing(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&text).map_err(|source| crate::Error::Json { path, source })
}
