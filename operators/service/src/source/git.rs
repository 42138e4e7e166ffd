//! What a git repository says.

use std::time::Duration;

use trackbed_api::reason::Reason;
use trackbed_git::{Credentials, Remote, Request};

use super::{Answer, Found, Look, secrets::Secrets};

/// The refs of a repository.
pub(super) async fn look(
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
    // git2 blocks; it ends by the deadline.
    match tokio::task::spawn_blocking(move || trackbed_git::ls_remote(&request)).await {
        Ok(Ok(remote)) => Answer::Git(remote),
        Ok(Err(error)) => {
            let reason = error.reason().parse().unwrap_or(Reason::HostUnreachable);
            Answer::Failed(reason, error.to_string())
        }
        Err(panic) => Answer::Failed(Reason::InternalError, panic.to_string()),
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
    let hint = "source.git.secretRef names it; create it with type kubernetes.io/basic-auth";
    let secret = secrets.get(key, hint).await?;
    let name = &key.1;
    let key = |key: &str| {
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        value
            .and_then(|value| String::from_utf8(value.0.clone()).ok())
            .filter(|text| !text.is_empty())
            .ok_or_else(|| {
                format!("Secret {name} has no key {key}: it must be of type kubernetes.io/basic-auth, with username and password")
            })
    };
    Ok(Credentials {
        username: key("username")?,
        password: key("password")?,
    })
}
