//! The parts of CloudNativePG's plugin Barman Cloud that Trackbed writes and reads
//! (<https://cloudnative-pg.io/plugin-barman-cloud/docs/plugin-barman-cloud.v1/>), and what has it copy
//! data (<https://cloudnative-pg.io/documentation/1.30/cloudnative-pg.v1/#scheduledbackup>).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{EnvVar, ResourceRequirements},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::cloudnative_pg::{Key, Name};

/// The plugin's name.
pub const PLUGIN: &str = "barman-cloud.cloudnative-pg.io";
/// Parameter of the plugin: the object store.
pub const STORE: &str = "barmanObjectName";
/// Parameter of the plugin: the folder in it.
pub const SERVER: &str = "serverName";
/// Condition of a Cluster: its log reaches the archive.
pub const ARCHIVING: &str = "ContinuousArchiving";
/// Condition of a Cluster: the last copy of all data was taken.
pub const COPIED: &str = "LastBackupSucceeded";

/// Where archives are.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "barmancloud.cnpg.io",
    version = "v1",
    kind = "ObjectStore",
    namespaced,
    schema = "disabled",
    status = "ObjectStoreStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectStoreSpec {
    /// The bucket, and how it is written to.
    pub configuration: Configuration,
    /// For how long every moment can be restored, like `14d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_policy: Option<String>,
    /// The container beside each server.
    pub instance_sidecar_configuration: Sidecar,
}

/// A bucket, and how it is written to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Configuration {
    /// `s3://BUCKET/FOLDER`.
    pub destination_path: String,
    /// URL of the server. `None`: Amazon's.
    #[serde(rename = "endpointURL", skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// What its certificate is checked by.
    #[serde(rename = "endpointCA", skip_serializing_if = "Option::is_none")]
    pub endpoint_ca: Option<Key>,
    /// Its keys.
    pub s3_credentials: Credentials,
    /// How the log is written.
    pub wal: Wal,
    /// How copies of all data are.
    pub data: Data,
}

/// Keys of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Credentials {
    /// The key's name.
    pub access_key_id: Key,
    /// The key.
    pub secret_access_key: Key,
}

/// How the log is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Wal {
    /// By what it is compressed.
    pub compression: String,
    /// Files at once.
    pub max_parallel: i32,
}

/// How copies of all data are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Data {
    /// By what they are compressed.
    pub compression: String,
    /// Whether one begins at once, instead of with the server's next checkpoint.
    pub immediate_checkpoint: bool,
}

/// The container beside each server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sidecar {
    /// Its environment.
    pub env: Vec<EnvVar>,
    /// CPU and memory.
    pub resources: ResourceRequirements,
}

/// What is in an object store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectStoreStatus {
    /// By the folder.
    pub server_recovery_window: BTreeMap<String, Window>,
}

/// What is in a folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Window {
    /// The first moment that can be restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_recoverability_point: Option<Time>,
    /// When the last copy of all data was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_successful_backup_time: Option<Time>,
    /// When one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failed_backup_time: Option<Time>,
}

/// What has copies taken.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "postgresql.cnpg.io",
    version = "v1",
    kind = "ScheduledBackup",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct ScheduledBackupSpec {
    /// Of what.
    pub cluster: Name,
    /// When: the second, and the five fields of cron, in UTC.
    pub schedule: String,
    /// Whether none is taken.
    pub suspend: bool,
    /// Whether the first is taken at once.
    pub immediate: bool,
    /// `self`: what speaks of a copy goes with this.
    pub backup_owner_reference: String,
    /// `plugin`.
    pub method: String,
    /// `primary`: the server that it is taken of.
    pub target: String,
    /// Which one.
    pub plugin_configuration: Name,
}
