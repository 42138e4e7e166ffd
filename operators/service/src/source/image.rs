//! What a registry says of a tag.

use oci_distribution::{
    Client, Reference,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    errors::{OciDistributionError, OciErrorCode},
    secrets::RegistryAuth,
};
use semver::{Version, VersionReq};
use trackbed_api::reason::Reason;
use trackbed_kit::{Config, certificates, docker};

use super::{Answer, secrets::Secrets};

/// The registry that a reference is asked of.
pub(super) fn registry(reference: &str) -> String {
    let parsed: Result<Reference, _> = reference.parse();
    parsed.map_or_else(|_| String::new(), |it| it.registry().to_owned())
}

/// Pages of tags that are read at most, and tags in each.
const TAGS: (usize, usize) = (50, 1000);

/// The digest that a tag stands for now: the one of the reference, or the highest version that fits
/// a range. Of an image for several platforms it is the digest of the index of them all.
pub(super) async fn look(
    config: &Config,
    secrets: &Secrets,
    reference: &str,
    range: Option<&str>,
    secret: Option<&(String, String)>,
) -> Answer {
    let mut image: Reference = match reference.parse() {
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
    let client = client(config);
    if let Some(range) = range {
        match version(&client, &image, &auth, range).await {
            Ok(tag) => {
                let (registry, path) = (image.registry().to_owned(), image.repository().to_owned());
                image = Reference::with_tag(registry, path, tag);
            }
            Err(answer) => return answer,
        }
    }
    match client.fetch_manifest_digest(&image, &auth).await {
        Ok(digest) => Answer::Image(format!(
            "{}/{}@{digest}",
            image.registry(),
            image.repository()
        )),
        Err(error) => failed(reference, &error),
    }
}

/// The tag of the highest version that fits.
async fn version(
    client: &Client,
    image: &Reference,
    auth: &RegistryAuth,
    range: &str,
) -> Result<String, Answer> {
    let wanted = range.parse().map_err(|error| {
        let sentence = format!(
            "source.image.semver: {range:?} is no range of versions ({error}): write one like '>=1.2, <2' or '1.*'"
        );
        Answer::Failed(Reason::InvalidUrl, sentence)
    })?;
    let mut tags: Vec<String> = Vec::new();
    for _ in 0..TAGS.0 {
        let last = tags.last().map(String::as_str);
        let page = client.list_tags(image, auth, Some(TAGS.1), last).await;
        let page = page
            .map_err(|error| failed(&image.to_string(), &error))?
            .tags;
        // Some registries know no pages and begin again, others end with an empty one.
        let known = page.last().is_none_or(|last| tags.contains(last));
        if known {
            break;
        }
        let full = page.len() >= TAGS.1;
        tags.extend(page);
        if !full {
            break;
        }
    }
    highest(&tags, &wanted).ok_or_else(|| {
        let (registry, path) = (image.registry(), image.repository());
        let count = tags.len();
        let sentence = format!("none of the {count} tags of {registry}/{path} fits {range}");
        Answer::Failed(Reason::ImageNotFound, sentence)
    })
}

/// The tag of the highest version that fits. A `v` in front is usual; tags that are no versions are
/// passed over.
fn highest(tags: &[String], wanted: &VersionReq) -> Option<String> {
    let versions = tags.iter().filter_map(|tag| {
        let version: Version = tag.strip_prefix('v').unwrap_or(tag).parse().ok()?;
        wanted.matches(&version).then_some((version, tag))
    });
    versions.max().map(|(_, tag)| tag.clone())
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
            .flat_map(|bundle| certificates::each(bundle))
            .map(|data| Certificate {
                encoding: CertificateEncoding::Pem,
                data,
            })
            .collect(),
        ..ClientConfig::default()
    })
}

fn failed(reference: &str, error: &OciDistributionError) -> Answer {
    use OciDistributionError as E;
    use OciErrorCode as Code;
    let says = |any: &[Code]| match error {
        E::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|it| any.contains(&it.code))
        }
        _ => false,
    };
    let refused = matches!(
        error,
        E::AuthenticationFailure(_) | E::UnauthorizedError { .. }
    ) || says(&[Code::Unauthorized, Code::Denied]);
    let absent = matches!(
        error,
        E::ImageManifestNotFoundError(_) | E::ServerError { code: 404, .. }
    ) || says(&[Code::ManifestUnknown, Code::NameUnknown, Code::NotFound]);
    if refused {
        let sentence = format!(
            "the registry refused to tell about {reference}: name a Secret that may pull it in source.image.pullSecretRef"
        );
        Answer::Failed(Reason::AuthenticationFailed, sentence)
    } else if absent {
        let sentence = format!(
            "the registry has no {reference}: check name and tag in source.image.reference"
        );
        Answer::Failed(Reason::ImageNotFound, sentence)
    } else {
        let sentence = format!("the registry of {reference} cannot be asked: {error}");
        Answer::Failed(Reason::HostUnreachable, sentence)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_registries_say_of_a_tag_has_its_reason() {
        let says = |code: &str| OciDistributionError::RegistryError {
            envelope: serde_json::from_value(serde_json::json!({
                "errors": [{"code": code, "message": "no", "detail": null}]
            }))
            .expect("an envelope"),
            url: "https://registry.example.com/v2/".to_owned(),
        };
        for (code, expected) in [
            ("MANIFEST_UNKNOWN", Reason::ImageNotFound),
            ("NAME_UNKNOWN", Reason::ImageNotFound),
            ("DENIED", Reason::AuthenticationFailed),
            ("UNAUTHORIZED", Reason::AuthenticationFailed),
            ("TOOMANYREQUESTS", Reason::HostUnreachable),
        ] {
            match failed("registry.example.com/a:1", &says(code)) {
                Answer::Failed(reason, sentence) => {
                    assert_eq!(reason, expected, "{code}");
                    assert!(sentence.contains("registry.example.com/a:1"), "{sentence}");
                }
                other => panic!("{code}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_highest_version_that_fits_is_taken() {
        let tags = [
            "latest",
            "1.2",
            "1.2.3",
            "1.10.0",
            "v1.9.9",
            "2.0.0-rc.1",
            "2.0.0",
            "1.10.0-beta",
        ];
        let tags: Vec<String> = tags.iter().map(|it| (*it).to_owned()).collect();
        let cases = [
            ("1.*", Some("1.10.0")),
            (">=1.2, <1.10", Some("v1.9.9")),
            ("*", Some("2.0.0")),
            ("~1.2", Some("1.2.3")),
            (">=2.0.0-rc.0, <2.0.0", Some("2.0.0-rc.1")),
            ("3", None),
        ];
        for (range, expected) in cases {
            let wanted: VersionReq = range.parse().expect("a range");
            assert_eq!(highest(&tags, &wanted).as_deref(), expected, "{range}");
        }
    }
}
