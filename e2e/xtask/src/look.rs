//! The small commands around a cluster that runs.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use clap::Args;
use cluster::{Name, Network, Paths, Publish};

use crate::error::{Doing, Error, Result};

#[derive(Debug, Args)]
pub(crate) struct PublishOptions {
    /// The folder; a git repository is pushed with its history
    folder: PathBuf,
    /// Name of the repository [default: the folder's]
    #[arg(long)]
    name: Option<String>,
    /// The branch
    #[arg(long, default_value = "main")]
    branch: String,
    /// Ask for a user and password; prints the Secret that a Service refers to
    #[arg(long)]
    private: bool,
}

/// Runs `command` in place of this program, with its exit code.
pub(crate) fn pass(command: &mut Command) -> Result<ExitCode> {
    let status = command
        .status()
        .doing(|| format!("starting {}", command.get_program().display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

pub(crate) fn status(name: Name) -> Result<()> {
    let parts = cluster::status(name);
    if parts.is_empty() {
        println!("the cluster {name} is down; start it with `cargo xtask up`");
        return Ok(());
    }
    println!(
        "{:<20} {:>8} {:>10} {:>8}  LOG",
        "PART", "PID", "MEMORY", "RESTARTS"
    );
    let mut total = 0;
    let mut down = Vec::new();
    for part in &parts {
        total += part.memory;
        let pid = part.pid.map_or("-".to_owned(), |pid| pid.to_string());
        println!(
            "{:<20} {pid:>8} {:>7} MB {:>8}  {}",
            part.name,
            part.memory / 1_000_000,
            part.restarts,
            part.log.display()
        );
        if part.pid.is_none() {
            down.push(part.name.as_str());
        }
    }
    println!("{:<20} {:>8} {:>7} MB", "in all", "", total / 1_000_000);
    println!("kubeconfig: {}", Paths::of(name).kubeconfig().display());
    println!(
        "applications: http://<host>:{}",
        Network::of(name).forward_port
    );
    if down.is_empty() {
        return Ok(());
    }
    Err(Error::Failed(format!("not running: {}", down.join(", "))))
}

pub(crate) fn publish(cluster: Name, options: PublishOptions) -> Result<()> {
    let name = match options.name {
        Some(name) => name,
        None => options
            .folder
            .canonicalize()
            .doing(|| format!("reading {}", options.folder.display()))?
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
    };
    let published = cluster::publish(
        cluster,
        &Publish {
            folder: options.folder,
            name: name.clone(),
            branch: options.branch,
            private: options.private,
            always: true,
        },
    )?;
    println!("{}", published.url);
    eprintln!("commit {}", published.commit);
    if let Some(login) = published.login {
        let secret = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": format!("{name}-git")},
            "type": "kubernetes.io/basic-auth",
            "stringData": {"username": login.user, "password": login.password},
        });
        eprintln!("a Service needs this Secret in its namespace:");
        println!("{secret:#}");
    }
    Ok(())
}

/// curl for `http://HOST[PATH]` by way of the forwarded port.
pub(crate) fn curl(host: &str, port: u16, arguments: &[String]) -> Command {
    let host = host.trim_start_matches("http://").trim_end_matches('/');
    let name = host.split(':').next().unwrap_or(host);
    let (path, options) = match arguments.split_first() {
        Some((path, options)) if path.starts_with('/') => (path.as_str(), options),
        _ => ("/", arguments),
    };
    let mut command = Command::new("curl");
    command
        .args(["--no-progress-meter", "--noproxy", "*", "--connect-to"])
        .arg(format!("::127.0.0.1:{port}"))
        .args(options)
        .arg(format!("http://{name}:{port}{path}"));
    command
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::CommandExt;
    use expect_test::expect;

    #[test]
    fn curl_goes_to_the_forwarded_port_whatever_the_host() {
        let line = |host, arguments: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
            curl(host, 8080, &arguments).line()
        };
        expect!["curl --no-progress-meter --noproxy * --connect-to ::127.0.0.1:8080 -s http://a.example:8080/x"]
            .assert_eq(&line("a.example", &["/x", "-s"]));
        expect!["curl --no-progress-meter --noproxy * --connect-to ::127.0.0.1:8080 -i http://a.example:8080/"]
            .assert_eq(&line("http://a.example:8080/", &["-i"]));
    }
}
