//! What a git repository says.

use std::time::Duration;

use trackbed_api::reason::Reason;
use trackbed_git::{Credentials, Remote, Request};
use trackbed_kit::Config;

use super::{Answer, Found, Look, child, secrets::Secrets};

/// The refs of a repository.
pub(super) async fn look(
    config: &Config,
    secrets: &Secrets,
    url: &str,
    secret: Option<&(String, String)>,
    deadline: Duration,
) -> Answer {
    let credentials = match secret {
        None => None,
        Some(key) => match credentials(secrets, key).await {
            Ok(credentials) => Some(credentials),
            Err(message) => return Answer::Failed(Reason::SecretInvalid, message),
        },
    };
    let request = Request {
        url: url.to_owned(),
        credentials,
        deadline,
    };
    match child::ls_remote(config, &request).await {
        Ok(remote) => Answer::Git(remote),
        Err(refusal) => {
            let reason = refusal.reason.parse().unwrap_or(Reason::HostUnreachable);
            Answer::Failed(reason, refusal.message)
        }
    }
}

/// The commit that a ref (or HEAD) names.
pub(super) fn resolve(remote: &Remote, reference: Option<&str>) -> Look {
    match remote.resolve(reference) {
        Ok(resolved) => Look::Found(Found {
            commit: Some(resolved.commit),
            r#ref: Some(resolved.reference),
            image: None,
        }),
        Err(error) => Look::Failed(Reason::RefNotFound, error.to_string()),
    }
}

async fn credentials(secrets: &Secrets, key: &(String, String)) -> Result<Credentials, String> {
    let hint = "source.git.secretRef names it; create it with type kubernetes.io/basic-auth or kubernetes.io/ssh-auth";
    let secret = secrets.get(key, hint).await?;
    let data = secret.data.unwrap_or_default();
    let text = |key: &str| String::from_utf8(data.get(key)?.0.clone()).ok();
    Credentials::from_keys(text).map_err(|lacks| format!("Secret {} {lacks}", key.1))
}
