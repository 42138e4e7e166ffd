//! What a registry says of a tag.

use oci_distribution::{
    Client, Reference,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    errors::OciDistributionError,
    secrets::RegistryAuth,
};
use trackbed_api::reason::Reason;
use trackbed_kit::{Config, docker};

use super::{Answer, secrets::Secrets};

/// The registry that a reference is asked of.
pub(super) fn registry(reference: &str) -> String {
    let parsed: Result<Reference, _> = reference.parse();
    parsed.map_or_else(|_| String::new(), |it| it.registry().to_owned())
}

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
            .environment
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
    let login =
        docker::login(&bytes.0, registry).map_err(|error| format!("Secret {name} {error}"))?;
    login
        .map(|login| RegistryAuth::Basic(login.username, login.password))
        .ok_or_else(|| format!("Secret {name} has no credentials for {registry}"))
}
