//! What a git repository says.

use std::time::Duration;

use trackbed_api::reason::Reason;
use trackbed_git::{Between, Credentials, Refusal, Remote, Request, Touched};
use trackbed_kit::Config;

use super::{Answer, Found, Look, What, child, secrets::Secrets};

/// The refs of a repository.
pub(super) async fn look(
    config: &Config,
    secrets: &Secrets,
    url: &str,
    secret: Option<&(String, String)>,
    deadline: Duration,
) -> Answer {
    let request = match request(secrets, url, secret, deadline).await {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    match child::ls_remote(config, &request).await {
        Ok(remote) => Answer::Git(remote),
        Err(refusal) => refused(refusal),
    }
}

/// Whether what a Service watches differs between two commits.
pub(super) async fn compare(
    config: &Config,
    secrets: &Secrets,
    what: &What,
    deadline: Duration,
) -> Answer {
    let What::Between {
        url,
        secret,
        reference,
        from,
        to,
        patterns,
    } = what
    else {
        return Answer::Touched(Touched::Unknown);
    };
    let request = match request(secrets, url, secret.as_ref(), deadline).await {
        Ok(request) => request,
        Err(answer) => return answer,
    };
    let between = Between {
        request,
        from: from.clone(),
        to: to.clone(),
        reference: reference.clone(),
        patterns: patterns.clone(),
        max_bytes: config.build.repository_bytes(),
    };
    match child::compare(config, &between).await {
        Ok(touched) => Answer::Touched(touched),
        Err(refusal) => refused(refusal),
    }
}

async fn request(
    secrets: &Secrets,
    url: &str,
    secret: Option<&(String, String)>,
    deadline: Duration,
) -> Result<Request, Answer> {
    let credentials = match secret {
        None => None,
        Some(key) => {
            let found = credentials(secrets, key).await;
            Some(found.map_err(|message| Answer::Failed(Reason::SecretInvalid, message))?)
        }
    };
    Ok(Request {
        url: url.to_owned(),
        credentials,
        deadline,
    })
}

fn refused(refusal: Refusal) -> Answer {
    let reason = refusal.reason.parse().unwrap_or(Reason::HostUnreachable);
    Answer::Failed(reason, refusal.message)
}

/// The commit that a ref (or HEAD) names.
pub(super) fn resolve(remote: &Remote, reference: Option<&str>) -> Look {
    match remote.resolve(reference) {
        Ok(resolved) => Look::Found(Found {
            commit: Some(resolved.commit),
            r#ref: Some(resolved.reference),
            ..Found::default()
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
