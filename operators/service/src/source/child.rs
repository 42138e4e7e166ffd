//! Asks a repository in a process of its own.
//!
//! libgit2 is C and reads what a stranger's server sends: it does not get the memory in which
//! everybody's credentials are, it is ended when it takes too long, and its memory is bounded.

use std::{ffi::OsStr, path::PathBuf, process::Stdio, time::Duration};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
};
use trackbed_git::{Answer, Between, Credentials, Error, Refusal, Request, Touched};
use trackbed_kit::Config;

/// The subcommand of this program that asks for refs.
pub const LS_REMOTE: &str = "ls-remote";
/// The subcommand that compares two commits.
pub const COMPARE: &str = "compare";
/// Longest answer that is read: some hundred thousand refs.
const ANSWER_MAX: u64 = 32 << 20;
/// What the child has to do besides waiting for the host.
const GRACE: Duration = Duration::from_secs(5);

/// Asks for refs.
pub(super) async fn ls_remote(config: &Config, request: &Request) -> Answer {
    run(config, LS_REMOTE, request, request).await
}

/// Has two commits compared.
pub(super) async fn compare(config: &Config, between: &Between) -> Result<Touched, Refusal> {
    run(config, COMPARE, &between.request, between).await
}

/// The question goes in by a pipe, and the answer comes back by one: neither stands in arguments,
/// variables or files.
async fn run<A: DeserializeOwned>(
    config: &Config,
    command: &str,
    request: &Request,
    question: &impl Serialize,
) -> Result<A, Refusal> {
    let limit = request.deadline + GRACE;
    match tokio::time::timeout(limit, ask(config, command, request, question)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Err(Refusal {
            reason: "InternalError".to_owned(),
            message: format!("the repository could not be asked: {error}"),
        }),
        // Dropped, the child is killed.
        Err(_) => Err(Refusal::from(&Error::Timeout {
            url: request.url.clone(),
            seconds: request.deadline.as_secs(),
        })),
    }
}

async fn ask<A: DeserializeOwned>(
    config: &Config,
    command: &str,
    request: &Request,
    question: &impl Serialize,
) -> std::io::Result<Result<A, Refusal>> {
    let home = home(request)?;
    let mut child = Command::new(program()?)
        .arg(command)
        .env_clear()
        .envs(variables(config))
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(&serde_json::to_vec(question)?).await?;
        input.shutdown().await?;
    }
    let mut text = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(ANSWER_MAX).read_to_end(&mut text).await?;
    }
    let status = child.wait().await?;
    serde_json::from_slice(&text)
        .map_err(|error| std::io::Error::other(format!("its process ended with {status}: {error}")))
}

/// This program itself, also after its file was replaced.
fn program() -> std::io::Result<PathBuf> {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() {
        Ok(link)
    } else {
        std::env::current_exe()
    }
}

/// A folder of the child's own. libgit2 prefers the kinds of host keys that its known_hosts has.
fn home(request: &Request) -> std::io::Result<tempfile::TempDir> {
    let home = tempfile::tempdir()?;
    if let Some(Credentials::Ssh { known_hosts, .. }) = &request.credentials {
        std::fs::create_dir(home.path().join(".ssh"))?;
        std::fs::write(home.path().join(".ssh/known_hosts"), known_hosts)?;
    }
    Ok(home)
}

fn variables(config: &Config) -> Vec<(&'static str, String)> {
    let environment = &config.build.environment;
    let proxies = [
        ("HTTP_PROXY", &environment.http_proxy),
        ("HTTPS_PROXY", &environment.https_proxy),
        ("NO_PROXY", &environment.no_proxy),
    ];
    let mut found: Vec<_> = proxies
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.clone()?)))
        .collect();
    let kept = ["SSL_CERT_FILE", "MALLOC_ARENA_MAX"];
    found.extend(kept.into_iter().filter_map(|name| {
        let value = std::env::var_os(name);
        Some((name, value.as_deref().and_then(OsStr::to_str)?.to_owned()))
    }));
    found
}
