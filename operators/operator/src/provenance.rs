//! What an image was built from, as a statement that stands beside it in the registry.
//!
//! The statement is in-toto's (<https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>)
//! with SLSA's predicate (<https://slsa.dev/spec/v1.0/provenance>). It is an artifact that refers to
//! the image (<https://github.com/opencontainers/image-spec/blob/main/manifest.md#guidelines-for-artifact-usage>),
//! so `oras discover` and the like find it. Nobody signs it. It has no times, so that the same build
//! is the same statement.

use std::path::Path;

use axum::http::HeaderValue;
use oci_distribution::{
    Client, Reference,
    errors::OciDistributionError,
    manifest::{ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE},
};
use serde_json::{Value, json};

use crate::origin::{Blob, Origin};

/// Media type of statements.
const STATEMENT: &str = "application/vnd.in-toto+json";
/// Type of the predicate.
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// Kind of build, and who builds. Names, not addresses.
const BUILD: &str = "https://trackbed.dev/build/v1";
const BUILDER: &str = "https://trackbed.dev/builder";
/// Media type and content of an empty configuration.
const EMPTY: (&str, &str) = ("application/vnd.oci.empty.v1+json", "{}");

/// The image that a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject<'a> {
    /// Registry and repository.
    pub name: String,
    /// Digest, media type and size of its manifest.
    pub digest: &'a str,
    /// See `digest`.
    pub media_type: &'a str,
    /// See `digest`.
    pub size: usize,
}

/// A statement as an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Artifact {
    statement: Blob,
    manifest: Blob,
}

/// Makes the statement. `invocation` is the Build by namespace and name.
fn artifact(subject: &Subject<'_>, origin: &Origin, invocation: &str) -> Artifact {
    let statement = Blob::new(statement(subject, origin, invocation).to_string().into());
    let empty = Blob::new(EMPTY.1.into());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_MEDIA_TYPE,
        "artifactType": STATEMENT,
        "config": {"mediaType": EMPTY.0, "digest": empty.digest, "size": EMPTY.1.len()},
        "layers": [{
            "mediaType": STATEMENT,
            "digest": statement.digest,
            "size": statement.bytes.len(),
            "annotations": {"in-toto.io/predicate-type": PREDICATE},
        }],
        "subject": {
            "mediaType": subject.media_type,
            "digest": subject.digest,
            "size": subject.size,
        },
        "annotations": {"org.opencontainers.image.created": origin.created},
    });
    Artifact {
        statement,
        manifest: Blob::new(manifest.to_string().into()),
    }
}

fn statement(subject: &Subject<'_>, origin: &Origin, invocation: &str) -> Value {
    let parameters = &origin.parameters;
    let digest = subject.digest.trim_start_matches("sha256:");
    let at = parameters.r#ref.as_ref().map(|it| format!("@{it}"));
    let repository = format!("git+{}{}", origin.source, at.unwrap_or_default());
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": subject.name, "digest": {"sha256": digest}}],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {
                    "source": origin.source,
                    "revision": origin.revision,
                    "path": parameters.path,
                    "dockerfile": parameters.dockerfile,
                    "arguments": parameters.arguments,
                },
                "internalParameters": {"dockerfileDigest": parameters.dockerfile_digest},
                "resolvedDependencies": [{
                    "uri": repository,
                    "digest": {"gitCommit": origin.revision},
                }],
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"trackbed": env!("CARGO_PKG_VERSION")}},
                "metadata": {"invocationId": invocation},
            },
        },
    })
}

/// Puts a statement beside an image, of what stands in the file that `fetch` left.
///
/// # Errors
/// The registry's, and that of the file. Some registries take no artifacts.
pub(crate) async fn state(
    client: &Client,
    image: &Reference,
    subject: &Subject<'_>,
    origin: &Path,
    invocation: &str,
) -> Result<(), OciDistributionError> {
    let origin: Origin = serde_json::from_slice(&tokio::fs::read(origin).await?)?;
    push(
        client,
        image,
        subject,
        &artifact(subject, &origin, invocation),
    )
    .await
}

/// Pushes the artifact, and has it found from the image where the registry does not see to that.
async fn push(
    client: &Client,
    image: &Reference,
    subject: &Subject<'_>,
    artifact: &Artifact,
) -> Result<(), OciDistributionError> {
    let empty = Blob::new(EMPTY.1.into());
    for blob in [&empty, &artifact.statement] {
        client
            .push_blob(image, blob.bytes.clone(), &blob.digest)
            .await?;
    }
    let place = |tag: String| {
        let (registry, repository) = (image.registry().to_owned(), image.repository().to_owned());
        Reference::with_tag(registry, repository, tag)
    };
    let tag = subject.digest.replace(':', "-");
    let manifest = artifact.manifest.bytes.clone();
    let media = HeaderValue::from_static(OCI_IMAGE_MEDIA_TYPE);
    client
        .push_manifest_raw(&place(format!("{tag}.provenance")), manifest, media)
        .await?;
    let subject = image.clone_with_digest(subject.digest.to_owned());
    let known = client.pull_referrers(&subject, None).await?.manifests;
    if let Some(index) = index(&known, artifact) {
        let media = HeaderValue::from_static(OCI_IMAGE_INDEX_MEDIA_TYPE);
        client
            .push_manifest_raw(&place(tag), index.bytes, media)
            .await?;
    }
    Ok(())
}

/// The list of what refers to an image, with the artifact in it. `None`: it is there already, by the
/// registry's own doing or from an earlier push.
/// <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema>
fn index(known: &[ImageIndexEntry], artifact: &Artifact) -> Option<Blob> {
    let digest = &artifact.manifest.digest;
    if known.iter().any(|entry| entry.digest == *digest) {
        return None;
    }
    let own = json!({
        "mediaType": OCI_IMAGE_MEDIA_TYPE,
        "digest": digest,
        "size": artifact.manifest.bytes.len(),
        "artifactType": STATEMENT,
    });
    let others = known.iter().map(|entry| json!(entry));
    let index = json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_INDEX_MEDIA_TYPE,
        "manifests": others.chain([own]).collect::<Vec<_>>(),
    });
    Some(Blob::new(index.to_string().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Parameters;
    use expect_test::expect;

    fn sample() -> Artifact {
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        let subject = Subject {
            name: "registry.example.com/apps/shop/web".to_owned(),
            digest: &digest,
            media_type: OCI_IMAGE_MEDIA_TYPE,
            size: 1234,
        };
        let origin = Origin {
            source: "https://git.example.com/acme/shop".into(),
            revision: "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6".into(),
            created: "2023-11-14T22:13:20Z".into(),
            parameters: Parameters {
                r#ref: Some("refs/heads/main".into()),
                path: "apps/web".into(),
                dockerfile: "generated".into(),
                dockerfile_digest: "sha256:d".into(),
                arguments: vec!["VERSION".into()],
            },
        };
        artifact(&subject, &origin, "shop-production/web-41")
    }

    fn pretty(bytes: &[u8]) -> String {
        let value: Value = serde_json::from_slice(bytes).expect("JSON");
        serde_json::to_string_pretty(&value).expect("JSON")
    }

    #[test]
    fn a_statement_says_what_was_built_from_what() {
        expect![[r#"
            {
              "_type": "https://in-toto.io/Statement/v1",
              "predicate": {
                "buildDefinition": {
                  "buildType": "https://trackbed.dev/build/v1",
                  "externalParameters": {
                    "arguments": [
                      "VERSION"
                    ],
                    "dockerfile": "generated",
                    "path": "apps/web",
                    "revision": "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6",
                    "source": "https://git.example.com/acme/shop"
                  },
                  "internalParameters": {
                    "dockerfileDigest": "sha256:d"
                  },
                  "resolvedDependencies": [
                    {
                      "digest": {
                        "gitCommit": "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6"
                      },
                      "uri": "git+https://git.example.com/acme/shop@refs/heads/main"
                    }
                  ]
                },
                "runDetails": {
                  "builder": {
                    "id": "https://trackbed.dev/builder",
                    "version": {
                      "trackbed": "0.1.0"
                    }
                  },
                  "metadata": {
                    "invocationId": "shop-production/web-41"
                  }
                }
              },
              "predicateType": "https://slsa.dev/provenance/v1",
              "subject": [
                {
                  "digest": {
                    "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
                  },
                  "name": "registry.example.com/apps/shop/web"
                }
              ]
            }"#]]
        .assert_eq(&pretty(&sample().statement.bytes));
    }

    #[test]
    fn an_artifact_refers_to_the_image() {
        expect![[r#"
            {
              "annotations": {
                "org.opencontainers.image.created": "2023-11-14T22:13:20Z"
              },
              "artifactType": "application/vnd.in-toto+json",
              "config": {
                "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
                "mediaType": "application/vnd.oci.empty.v1+json",
                "size": 2
              },
              "layers": [
                {
                  "annotations": {
                    "in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"
                  },
                  "digest": "sha256:4b9bf3335b6d2bcf43bbec3e006e71a70713124f6d77b84cece3a3c7adc7a7c5",
                  "mediaType": "application/vnd.in-toto+json",
                  "size": 859
                }
              ],
              "mediaType": "application/vnd.oci.image.manifest.v1+json",
              "schemaVersion": 2,
              "subject": {
                "digest": "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "size": 1234
              }
            }"#]].assert_eq(&pretty(&sample().manifest.bytes));
    }

    #[test]
    fn a_list_of_referrers_is_only_written_where_it_lacks_ours() {
        let artifact = sample();
        let first = index(&[], &artifact).expect("a list");
        let list: Value = serde_json::from_slice(&first.bytes).expect("JSON");
        let known: Vec<ImageIndexEntry> =
            serde_json::from_value(list["manifests"].clone()).expect("entries");
        assert_eq!(known.len(), 1);
        assert_eq!(index(&known, &artifact), None);
        let mut other = known.clone();
        other[0].digest = "sha256:another".to_owned();
        let both = index(&other, &artifact).expect("a list");
        let list: Value = serde_json::from_slice(&both.bytes).expect("JSON");
        assert_eq!(list["manifests"].as_array().map(Vec::len), Some(2));
    }
}
