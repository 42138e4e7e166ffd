//! The parts of CloudNativePG's Cluster that Trackbed writes and reads
//! (<https://cloudnative-pg.io/documentation/1.30/cloudnative-pg.v1/>).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::ResourceRequirements, apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// Annotation of a Cluster: `on` ends its pods, and keeps its volumes.
pub const HIBERNATION: &str = "cnpg.io/hibernation";
/// Condition of a Cluster: True once its pods have ended.
pub const HIBERNATED: &str = "cnpg.io/hibernation";
/// Label of a Secret or ConfigMap: a change of it is looked at.
pub const RELOAD: &str = "cnpg.io/reload";
/// Label of pods and volumes: the Cluster that they are of.
pub const CLUSTER: &str = "cnpg.io/cluster";
/// Label of pods: `primary` or `replica`.
pub const ROLE: &str = "cnpg.io/instanceRole";
/// Label of the pods of a Job: what it does.
pub const JOB: &str = "cnpg.io/jobRole";
/// Port on which servers tell the operator how they are.
pub const STATUS: i32 = 8000;

/// Servers of Postgres that take over from each other.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "postgresql.cnpg.io",
    version = "v1",
    kind = "Cluster",
    namespaced,
    schema = "disabled",
    status = "ClusterStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterSpec {
    /// Servers.
    pub instances: i32,
    /// Their image, with a tag that begins with the major version.
    pub image_name: String,
    /// Who runs in it.
    #[serde(rename = "postgresUID")]
    pub postgres_uid: i64,
    /// The same of the group.
    #[serde(rename = "postgresGID")]
    pub postgres_gid: i64,
    /// Whether `postgres` has a password, which is in a Secret as long as it has one.
    pub enable_superuser_access: bool,
    /// How long a server waits for clients to leave before it has them leave, in seconds.
    pub smart_shutdown_timeout: i32,
    /// How long a server may take to end, in seconds.
    pub stop_delay: i32,
    /// `unsupervised`: nobody has to say when the primary is changed too.
    pub primary_update_strategy: String,
    /// `switchover`: another server takes over meanwhile.
    pub primary_update_method: String,
    /// What it begins with.
    pub bootstrap: Bootstrap,
    /// Settings.
    pub postgresql: Postgresql,
    /// Users.
    pub managed: Managed,
    /// Certificates that are not CloudNativePG's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Certificates>,
    /// What is told Prometheus.
    pub monitoring: Monitoring,
    /// What others do about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<Plugin>,
    /// Others whose data it begins with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external_clusters: Vec<ExternalCluster>,
    /// Each server's volume.
    pub storage: Storage,
    /// CPU and memory of each.
    pub resources: ResourceRequirements,
    /// Labels of everything that is made of it.
    pub inherited_metadata: Metadata,
}

/// What a Cluster begins with: one of both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bootstrap {
    /// An empty database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initdb: Option<Initdb>,
    /// What is in an archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,
}

/// A copy of all data, and the log that follows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Recovery {
    /// Name of the external cluster.
    pub source: String,
    /// Name of the database.
    pub database: String,
    /// The role that it belongs to.
    pub owner: String,
    /// The Secret with that one's password.
    pub secret: Name,
    /// Where the log ends. `None`: where there is no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_target: Option<RecoveryTarget>,
}

/// Where the log ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RecoveryTarget {
    /// The moment (RFC 3339).
    pub target_time: String,
}

/// Another Cluster, which may be gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExternalCluster {
    /// What it is called here.
    pub name: String,
    /// Who knows its data.
    pub plugin: Plugin,
}

/// A plugin of CloudNativePG's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// Whether the log is given to it.
    #[serde(rename = "isWALArchiver", skip_serializing_if = "std::ops::Not::not")]
    pub is_wal_archiver: bool,
    /// What it is told.
    pub parameters: BTreeMap<String, String>,
}

/// An empty database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Initdb {
    /// Its name.
    pub database: String,
    /// The role that it belongs to.
    pub owner: String,
    /// The Secret with that one's password.
    pub secret: Name,
    /// `UTF8`.
    pub encoding: String,
    /// Order of texts.
    pub locale_collate: String,
    /// What a letter is.
    #[serde(rename = "localeCType")]
    pub locale_c_type: String,
    /// Whether pages have checksums.
    pub data_checksums: bool,
    /// What the super-user runs in the new database.
    #[serde(rename = "postInitApplicationSQL")]
    pub post_init_application_sql: Vec<String>,
}

/// Names an object of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Name {
    /// Its name.
    pub name: String,
}

/// Settings of the servers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Postgresql {
    /// By the server's own names.
    pub parameters: BTreeMap<String, String>,
    /// Lines that come before CloudNativePG's own, which lets everybody in who has a password.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pg_hba: Vec<String>,
    /// What a commit waits for.
    pub synchronous: Synchronous,
}

/// What a commit waits for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Synchronous {
    /// `any`: whichever come first.
    pub method: String,
    /// How many others have it.
    pub number: i32,
    /// `preferred`: as many as are there.
    pub data_durability: String,
    /// Only a server that surely has everything takes over.
    pub failover_quorum: bool,
}

/// Users.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Managed {
    /// All that may log in.
    pub roles: Vec<Role>,
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// `present`.
    pub ensure: String,
    /// Whether it may log in.
    pub login: bool,
    /// Roles that it is a member of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_roles: Vec<String>,
    /// The Secret with its name and password.
    pub password_secret: Name,
}

/// Certificates that are not CloudNativePG's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Certificates {
    /// The Secret with what the servers show.
    #[serde(rename = "serverTLSSecret")]
    pub server_tls_secret: String,
    /// The Secret with what that is checked by.
    #[serde(rename = "serverCASecret")]
    pub server_ca_secret: String,
}

/// What is told Prometheus.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Monitoring {
    /// ConfigMaps with queries, besides CloudNativePG's own.
    pub custom_queries_config_map: Vec<Key>,
}

/// A key of an object of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Key {
    /// Name of the object.
    pub name: String,
    /// The key.
    pub key: String,
}

/// Each server's volume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Storage {
    /// Its size.
    pub size: String,
    /// Its class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
}

/// Labels of everything that is made of a Cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

/// How the servers are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterStatus {
    /// Servers that are up.
    pub ready_instances: i32,
    /// Names of servers, by how they are: `healthy`, `replicating`, `failed`.
    pub instances_status: BTreeMap<String, Vec<String>>,
    /// Servers that answer CloudNativePG, by name.
    pub instances_reported_state: BTreeMap<String, Instance>,
    /// The server that takes writes.
    pub current_primary: String,
    /// The one that is to. `pending`: it is not known yet.
    pub target_primary: String,
    /// A sentence.
    pub phase: String,
    /// Another one.
    pub phase_reason: String,
    /// How users are.
    pub managed_roles_status: RolesStatus,
    /// Which Secrets were seen.
    pub secrets_resource_version: SecretsVersion,
    /// Ready and others.
    pub conditions: Vec<Condition>,
}

/// A server that answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Instance {
    /// Its pod's address. Empty: it is not known.
    pub ip: String,
}

/// How users are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RolesStatus {
    /// What the servers know, by the user's name.
    pub password_status: BTreeMap<String, Password>,
}

/// Versions of Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretsVersion {
    /// Of that with the super-user's password, if there is one.
    pub superuser_secret_version: String,
}

/// The password that the servers know of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Password {
    /// Version of the Secret that it is from.
    pub resource_version: String,
}
