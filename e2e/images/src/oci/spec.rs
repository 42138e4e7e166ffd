use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Digest;

pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub(super) const LAYER_PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";

/// The one moment at which everything in an image was made.
pub(super) const EPOCH: &str = "1970-01-01T00:00:00Z";

/// Where a blob is, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// The blob's digest.
    pub digest: Digest,
    /// The blob's size in bytes.
    pub size: u64,
    /// For which machines it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// A kind of machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// In Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// Always `linux` here.
    pub os: String,
}

impl Platform {
    /// The machine that this runs on.
    pub fn here() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Platform {
            architecture: architecture.to_owned(),
            os: "linux".to_owned(),
        }
    }
}

/// `index.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// What this document is.
    #[serde(default)]
    pub media_type: String,
    /// The images of the layout.
    pub manifests: Vec<Descriptor>,
}

/// What an image consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// What this document is.
    #[serde(default)]
    pub media_type: String,
    /// Its [`ImageConfig`].
    pub config: Descriptor,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

/// The configuration of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// For which machines it is.
    #[serde(flatten)]
    pub platform: Platform,
    /// How its containers run.
    #[serde(default)]
    pub config: Settings,
    /// Its file system.
    pub rootfs: RootFs,
    /// How its layers came about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

/// The layers' digests before compression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// One a layer, the lowest first.
    pub diff_ids: Vec<Digest>,
}

/// How one layer came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By what.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// Whether it made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

/// How containers of an image run unless they are told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Settings {
    /// Name or uid, with an optional `:group`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Ports, as `80/tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Map<String, Value>>,
    /// Variables, as `NAME=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub entrypoint: Vec<String>,
    /// Its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "nullable")]
    pub cmd: Vec<String>,
    /// Folders that hold data.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Map<String, Value>>,
    /// Where the program starts.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Whatever else is to be known.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks the program to end.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
}

impl Settings {
    /// The value of variable `name`.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    pub(super) fn set_variable(&mut self, name: &str, value: &str) {
        let line = format!("{name}={value}");
        let same = |other: &&mut String| {
            other
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('='))
        };
        match self.env.iter_mut().find(same) {
            Some(present) => *present = line,
            None => self.env.push(line),
        }
    }
}

/// Other tools write `null` for an empty list.
fn nullable<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
