//! What a git repository says.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use trackbed_api::reason::Reason;
use trackbed_git::{Credentials, Remote, Request};
use trackbed_kit::{Context, error::not_found};

use super::{Answer, Found, Look};

/// The refs of a repository.
pub(super) async fn look(
    context: &Context,
    url: &str,
    secret: Option<&(String, String)>,
    deadline: Duration,
) -> Answer {
    let credentials = match secret {
        None => None,
        Some((namespace, name)) => match credentials(context, namespace, name).await {
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

async fn credentials(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Credentials, String> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let secret = api.get(name).await.map_err(|error| {
        if not_found(&error) {
            format!("Secret {name}, which source.git.secretRef names, does not exist: create it with type kubernetes.io/basic-auth")
        } else {
            format!("Secret {name} cannot be read: {error}")
        }
    })?;
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
