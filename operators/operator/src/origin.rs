//! What an image says of where it comes from.
//!
//! The labels are those of <https://specs.opencontainers.org/image-spec/annotations/>. All times
//! become the commit's: the same layers of the same commit are the same image, whenever it is
//! built.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The file under `--out` in which `fetch` leaves it for `push`.
pub(crate) const FILE: &str = "origin.json";

/// A commit of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// URL of the repository.
    pub source: String,
    /// Id of the commit.
    pub revision: String,
    /// When it was committed, as RFC 3339 has it.
    pub created: String,
    /// How it is built.
    #[serde(default)]
    pub parameters: Parameters,
}

/// What `fetch` was told and found, besides the commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Parameters {
    /// The full ref at which the commit was found.
    pub r#ref: Option<String>,
    /// Folder of the application.
    pub path: String,
    /// `generated` or `repository`.
    pub dockerfile: String,
    /// Digest of the Dockerfile that was built, as `sha256:` and hexadecimal digits.
    pub dockerfile_digest: String,
    /// Names of the build arguments.
    pub arguments: Vec<String>,
}

/// An image's configuration and manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// The configuration.
    pub config: Blob,
    /// The manifest.
    pub manifest: Blob,
}

/// Bytes and their digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

impl Blob {
    /// With the digest of these bytes.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let hex = Sha256::digest(&bytes)
            .iter()
            .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        Self {
            bytes,
            digest: format!("sha256:{hex}"),
        }
    }
}

/// Writes the origin into an image, given its configuration and manifest.
///
/// # Errors
/// When these are not what <https://specs.opencontainers.org/image-spec/> has.
pub(crate) fn seal(config: &[u8], manifest: &[u8], origin: &Origin) -> Result<Sealed, String> {
    let read = |what: &str, bytes: &[u8]| -> Result<Map<String, Value>, String> {
        serde_json::from_slice(bytes).map_err(|error| format!("the image's {what}: {error}"))
    };
    let mut config = read("configuration", config)?;
    label(&mut config, origin);
    let config = Blob::new(bytes(&config));
    let mut manifest = read("manifest", manifest)?;
    let descriptor = manifest.get_mut("config").and_then(Value::as_object_mut);
    let descriptor = descriptor.ok_or("the image's manifest names no configuration")?;
    descriptor.insert("digest".to_owned(), config.digest.clone().into());
    descriptor.insert("size".to_owned(), config.bytes.len().into());
    let manifest = Blob::new(bytes(&manifest));
    Ok(Sealed { config, manifest })
}

fn bytes(map: &Map<String, Value>) -> Vec<u8> {
    // Maps of texts as keys always serialise.
    serde_json::to_vec(map).unwrap_or_default()
}

fn label(config: &mut Map<String, Value>, origin: &Origin) {
    let created = Value::from(origin.created.clone());
    let history = config.get_mut("history").and_then(Value::as_array_mut);
    for entry in history.into_iter().flatten() {
        if let Some(entry) = entry.as_object_mut() {
            entry.insert("created".to_owned(), created.clone());
        }
    }
    config.insert("created".to_owned(), created);
    let Some(settings) = object(config, "config") else {
        return;
    };
    let Some(labels) = object(settings, "Labels") else {
        return;
    };
    for (name, value) in [
        ("source", &origin.source),
        ("revision", &origin.revision),
        ("created", &origin.created),
    ] {
        // What the Dockerfile says is its author's word.
        labels
            .entry(format!("org.opencontainers.image.{name}"))
            .or_insert_with(|| value.clone().into());
    }
}

/// An object in another, made where there is none or null.
fn object<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let value = map.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn origin() -> Origin {
        Origin {
            source: "https://git.example.com/acme/shop".into(),
            revision: "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6".into(),
            created: "2023-11-14T22:13:20Z".into(),
            parameters: Parameters::default(),
        }
    }

    const MANIFEST: &[u8] = br#"{"schemaVersion":2,"config":{"mediaType":"m","digest":"sha256:old","size":1},"layers":[{"digest":"sha256:l"}]}"#;

    fn pretty(bytes: &[u8]) -> String {
        let value: Value = serde_json::from_slice(bytes).expect("JSON");
        serde_json::to_string_pretty(&value).expect("JSON")
    }

    #[test]
    fn an_image_says_where_it_comes_from() {
        let config = br#"{"created":"2026-01-01T00:00:00Z","config":{"Labels":{"org.opencontainers.image.source":"mine"}},
            "history":[{"created":"2026-01-01T00:00:00Z","created_by":"RUN x"}],"rootfs":{"diff_ids":["sha256:d"]}}"#;
        let sealed = seal(config, MANIFEST, &origin()).expect("an image");
        expect![[r#"
            {
              "config": {
                "Labels": {
                  "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
                  "org.opencontainers.image.revision": "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6",
                  "org.opencontainers.image.source": "mine"
                }
              },
              "created": "2023-11-14T22:13:20Z",
              "history": [
                {
                  "created": "2023-11-14T22:13:20Z",
                  "created_by": "RUN x"
                }
              ],
              "rootfs": {
                "diff_ids": [
                  "sha256:d"
                ]
              }
            }"#]]
        .assert_eq(&pretty(&sealed.config.bytes));
        expect![[r#"
            {
              "config": {
                "digest": "sha256:a905c52f5ecdacf4b781bcb5397517af06ac161c9c1e6a69ccff0a395a912311",
                "mediaType": "m",
                "size": 337
              },
              "layers": [
                {
                  "digest": "sha256:l"
                }
              ],
              "schemaVersion": 2
            }"#]]
        .assert_eq(&pretty(&sealed.manifest.bytes));
        assert_eq!(Blob::new(sealed.config.bytes.clone()), sealed.config);
    }

    #[test]
    fn the_same_layers_are_the_same_image() {
        let at = |time: &str| {
            let config = format!(
                r#"{{"created":"{time}","config":{{"Labels":null}},"history":[{{"created":"{time}"}}]}}"#
            );
            seal(config.as_bytes(), MANIFEST, &origin()).expect("an image")
        };
        assert_eq!(at("2026-01-01T00:00:00Z"), at("2026-02-02T00:00:00Z"));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for (config, manifest) in [("[]", "{}"), ("{}", "{}"), ("{}", "nothing")] {
            let sealed = seal(config.as_bytes(), manifest.as_bytes(), &origin());
            assert!(sealed.is_err(), "{config} {manifest}");
        }
    }
}
