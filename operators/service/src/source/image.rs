//! What a registry says of a tag.

use base64::{Engine, engine::general_purpose::STANDARD};
use oci_distribution::{
    Client, Reference,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    secrets::RegistryAuth,
};
use serde::Deserialize;
use std::collections::HashMap;
use trackbed_api::reason::Reason;
use trackbed_kit::Config;

use super::{Answer, secrets::Secrets};

/// The digest that a tag stands for now.
pub(super) async fn look(
    config: &Config,
    secrets: &Secrets,
    reference: &str,
    secret: Option<&(String, String)>,
) -> Answer {
    let image: Reference = match reference.parse() {
        Ok(image) => image,
        Err(error) => {
            return Answer::Failed(Reason::InvalidUrl, format!("{reference}: {error}"));
        }
    };
    let auth = match secret {
        None => RegistryAuth::Anonymous,
        Some(key) => match pull_secret(secrets, key, image.registry()).await {
            Ok(auth) => auth,
            Err(message) => return Answer::Failed(Reason::SecretInvalid, message),
        },
    };
    match client(config).fetch_manifest_digest(&image, &auth).await {
        Ok(digest) => Answer::Image(format!(
            "{}/{}@{digest}",
            image.registry(),
            image.repository()
        )),
        Err(error) => failed(reference, &error),
    }
}

fn client(config: &Config) -> Client {
    let mut plain = config.build.insecure_registries.clone();
    if config.registry.insecure {
        plain.extend(
            config
                .registry
                .repository
                .split('/')
                .next()
                .map(str::to_owned),
        );
    }
    Client::new(ClientConfig {
        protocol: ClientProtocol::HttpsExcept(plain),
        extra_root_certificates: config
            .build
            .ca_bundle
            .iter()
            .map(|bundle| Certificate {
                encoding: CertificateEncoding::Pem,
                data: bundle.clone().into_bytes(),
            })
            .collect(),
        ..ClientConfig::default()
    })
}

fn failed(reference: &str, error: &OciDistributionError) -> Answer {
    use OciDistributionError as E;
    let (reason, sentence) = match error {
        E::AuthenticationFailure(_) | E::UnauthorizedError { .. } => (
            Reason::AuthenticationFailed,
            format!(
                "the registry refused to tell about {reference}: name a Secret that may pull it in source.image.pullSecretRef"
            ),
        ),
        E::ImageManifestNotFoundError(_) | E::ServerError { code: 404, .. } => (
            Reason::ImageNotFound,
            format!("the registry has no {reference}"),
        ),
        other => (
            Reason::HostUnreachable,
            format!("the registry of {reference} cannot be asked: {other}"),
        ),
    };
    Answer::Failed(reason, sentence)
}

/// A Docker configuration: credentials by host.
#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: HashMap<String, DockerAuth>,
}

#[derive(Deserialize)]
struct DockerAuth {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

async fn pull_secret(
    secrets: &Secrets,
    key: &(String, String),
    registry: &str,
) -> Result<RegistryAuth, String> {
    let hint = "source.image.pullSecretRef names it; create it with 'kubectl create secret docker-registry'";
    let secret = secrets.get(key, hint).await?;
    let name = &key.1;
    let bytes = secret
        .data
        .as_ref()
        .and_then(|data| data.get(".dockerconfigjson"))
        .ok_or_else(|| format!("Secret {name} must be of type kubernetes.io/dockerconfigjson"))?;
    credentials(&bytes.0, registry)
        .ok_or_else(|| format!("Secret {name} has no credentials for {registry}"))
}

fn credentials(config: &[u8], registry: &str) -> Option<RegistryAuth> {
    let config: DockerConfig = serde_json::from_slice(config).ok()?;
    let entry = config
        .auths
        .into_iter()
        .find(|(host, _)| host_of(host) == host_of(registry))?
        .1;
    if let (Some(username), Some(password)) = (entry.username, entry.password) {
        return Some(RegistryAuth::Basic(username, password));
    }
    let decoded = String::from_utf8(STANDARD.decode(entry.auth?).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some(RegistryAuth::Basic(
        username.to_owned(),
        password.to_owned(),
    ))
}

/// Docker's configuration writes hosts with and without scheme, and its own hub in several ways.
fn host_of(name: &str) -> &str {
    let name = name
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    match name.split('/').next().unwrap_or(name) {
        "docker.io" | "registry-1.docker.io" | "index.docker.io" => "docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(config: &str, registry: &str) -> Option<(String, String)> {
        match credentials(config.as_bytes(), registry) {
            Some(RegistryAuth::Basic(user, password)) => Some((user, password)),
            _ => None,
        }
    }

    #[test]
    fn credentials_are_found_by_host_in_every_way_of_writing() {
        let pair = Some(("ada".to_owned(), "s3cret".to_owned()));
        // "ada:s3cret"
        let config = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "YWRhOnMzY3JldA=="},
                                   "ghcr.io": {"username": "ada", "password": "s3cret"}}}"#;
        assert_eq!(basic(config, "docker.io"), pair);
        assert_eq!(basic(config, "ghcr.io"), pair);
        assert_eq!(basic(config, "quay.io"), None);
        assert_eq!(basic("nonsense", "ghcr.io"), None);
    }
}
