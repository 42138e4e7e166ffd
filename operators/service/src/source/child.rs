//! Asks a repository in a process of its own.
//!
//! libgit2 is C and reads what a stranger's server sends: it does not get the memory in which
//! everybody's credentials are, it is ended when it takes too long, and its memory is bounded.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
};
use trackbed_git::{Answer, Between, Credentials, Error, Refusal, Request, Touched};
use trackbed_kit::{Config, certificates};

/// The subcommand of this program that asks for refs.
pub const LS_REMOTE: &str = "ls-remote";
/// The subcommand that compares two commits.
pub const COMPARE: &str = "compare";
/// Longest answer that is read: some hundred thousand refs.
const ANSWER_MAX: u64 = 32 << 20;
/// What the child has to do besides waiting for the host.
const GRACE: Duration = Duration::from_secs(5);

/// Where OpenSSL is told of a file of certificates.
const CERTIFICATES: &str = "SSL_CERT_FILE";

/// Certificates that were added to the public ones, and the file of all of them. The settings stay
/// what they are for as long as this process runs, and so does the file.
static TRUSTED: OnceLock<(String, NamedTempFile)> = OnceLock::new();

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
) -> io::Result<Result<A, Refusal>> {
    let home = home(request)?;
    let trusted = trusted(config, home.path())?;
    let mut child = Command::new(program()?)
        .arg(command)
        .env_clear()
        .envs(variables(config, trusted.as_deref()))
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
        .map_err(|error| io::Error::other(format!("its process ended with {status}: {error}")))
}

/// This program itself, also after its file was replaced.
fn program() -> io::Result<PathBuf> {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() {
        Ok(link)
    } else {
        std::env::current_exe()
    }
}

/// A folder of the child's own. libgit2 prefers the kinds of host keys that its known_hosts has.
fn home(request: &Request) -> io::Result<tempfile::TempDir> {
    let home = tempfile::tempdir()?;
    if let Some(Credentials::Ssh { known_hosts, .. }) = &request.credentials {
        std::fs::create_dir(home.path().join(".ssh"))?;
        std::fs::write(home.path().join(".ssh/known_hosts"), known_hosts)?;
    }
    Ok(home)
}

/// The file of certificates that a child is told of: the public ones too, for OpenSSL looks nowhere
/// else then. Fetches in builds trust the same. `None`: the file that this process has.
fn trusted(config: &Config, home: &Path) -> io::Result<Option<PathBuf>> {
    let Some(added) = &config.build.environment.ca_bundle else {
        return Ok(None);
    };
    let all = || certificates::bundle(added);
    if TRUSTED.get().is_none() {
        let mut file = tempfile::Builder::new()
            .prefix("trusted-")
            .suffix(".crt")
            .tempfile()?;
        file.write_all(all().as_bytes())?;
        // If another child was faster, its file stays.
        let _late = TRUSTED.set((added.clone(), file));
    }
    match TRUSTED.get() {
        Some((known, file)) if known == added => Ok(Some(file.path().to_owned())),
        // Those of a Project.
        _ => {
            let file = home.join("trusted.crt");
            std::fs::write(&file, all())?;
            Ok(Some(file))
        }
    }
}

fn variables(config: &Config, trusted: Option<&Path>) -> Vec<(&'static str, String)> {
    let environment = &config.build.environment;
    let own = |name: &str| std::env::var_os(name)?.to_str().map(str::to_owned);
    let trusted = match trusted {
        Some(file) => file.to_str().map(str::to_owned),
        None => own(CERTIFICATES),
    };
    let given = [
        ("HTTP_PROXY", environment.http_proxy.clone()),
        ("HTTPS_PROXY", environment.https_proxy.clone()),
        ("NO_PROXY", environment.no_proxy.clone()),
        (CERTIFICATES, trusted),
        ("MALLOC_ARENA_MAX", own("MALLOC_ARENA_MAX")),
    ];
    given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "-----BEGIN CERTIFICATE-----\nQUNNRQ==\n-----END CERTIFICATE-----\n";

    fn config(environment: &str) -> Config {
        let mut config = Config::example();
        config.build.environment = serde_saphyr::from_str(environment).expect("settings");
        config
    }

    #[test]
    fn added_certificates_are_trusted_beside_the_public_ones() {
        let home = tempfile::tempdir().expect("a folder");
        let file = |bundle: &str| {
            let own = serde_json::json!({ "caBundle": bundle }).to_string();
            let file = trusted(&config(&own), home.path()).expect("a file");
            file.expect("a file")
        };
        let other = OWN.replace("QUNN", "T1RI");
        let (settings, project) = (file(OWN), file(&other));
        for (file, own) in [(&settings, "QUNNRQ=="), (&project, "T1RIRQ==")] {
            let text = std::fs::read_to_string(file).expect("certificates");
            let count = text.matches("-----BEGIN CERTIFICATE-----").count();
            assert!(count > 100, "the public ones too: {count}");
            assert!(text.contains(own), "{own}");
            assert_ne!(text.contains("QUNN"), text.contains("T1RI"), "no others");
        }
        assert_eq!(file(OWN), settings, "it is written once");
        assert!(project.starts_with(home.path()), "it goes with the child");
        let none = trusted(&config("{}"), home.path()).expect("no file");
        assert_eq!(none, None);
    }

    #[test]
    fn children_are_told_of_proxies_and_certificates_and_of_nothing_else() {
        let config = config(r#"{httpsProxy: "http://proxy:3128", noProxy: .example.com}"#);
        let told = variables(&config, Some(Path::new("/tmp/trusted.crt")));
        let expected = [
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("NO_PROXY", ".example.com"),
            ("SSL_CERT_FILE", "/tmp/trusted.crt"),
        ];
        for (name, value) in &told {
            assert!(
                expected.contains(&(name, value)) || *name == "MALLOC_ARENA_MAX",
                "{name}={value}"
            );
        }
        assert!(told.len() >= expected.len(), "{told:?}");
    }
}
