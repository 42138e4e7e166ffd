//! Database: Postgres, Redis or Valkey with its data.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{
    archive::{Archive, ArchiveStatus},
    backup::{Backup, BackupStatus, Restore},
    common::{Resources, conditions_schema},
    databases::{DatabaseEntry, ListedDatabase},
    denied::DeniedCommand,
    init::Init,
    labels,
    project::DeletionPolicy,
    scalar::{Duration, ObjectName, Quantity},
    tls::Tls,
    updates::{Updates, UpdatesStatus},
};

/// A Postgres, Redis or Valkey server with its data.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "trackbed.dev", version = "v1alpha1", kind = "Database", plural = "databases", namespaced,
    shortname = "tdb", category = "trackbed", status = "DatabaseStatus", derive = "PartialEq",
    doc = "A Postgres, Redis or Valkey server with its data.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Engine", type_ = "string", json_path = ".spec.engine"),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Servers", type_ = "string", json_path = ".status.replication.ready", priority = 1),
    printcolumn(name = "Storage", type_ = "string", json_path = ".status.storage"),
    printcolumn(name = "Used", type_ = "string", json_path = ".status.storageUsed"),
    printcolumn(name = "Last Backup", type_ = "date", json_path = ".status.backup.last"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.binding.name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Server", type_ = "string", json_path = ".status.serverVersion", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 40").message("a Database's name must be at most 40 lower-case letters, digits and '-', start with a letter and end with a letter or digit"),
    validation = Rule::new("quantity(string(self.spec.storage.size)).compareTo(quantity(string(oldSelf.spec.storage.size))) >= 0 || (has(self.status) && has(self.status.storage) && quantity(string(self.spec.storage.size)).compareTo(quantity(self.status.storage)) >= 0)").message("storage.size can grow, not shrink below what the volume has (status.storage): data could be lost")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.engine == oldSelf.engine").message("engine cannot be changed: create another Database and move the data"),
    validation = Rule::new("self.version == oldSelf.version").message("version cannot be changed in place: create another Database with the new version and move the data"),
    validation = Rule::new("self.engine != 'Postgres' || self.version in ['15', '16', '17', '18']").message("version of Postgres must be one of '15', '16', '17' and '18' (the major version, in quotes)"),
    validation = Rule::new("self.engine != 'Redis' || self.version in ['7']").message("version of Redis must be '7' (the major version, in quotes)"),
    validation = Rule::new("self.engine != 'Valkey' || self.version in ['8', '9']").message("version of Valkey must be '8' or '9' (the major version, in quotes)"),
    validation = Rule::new("!has(self.tls) || self.engine == 'Postgres' || self.tls.mode == 'Require'").message("tls of Redis and Valkey is for all clients or for none, as they have one port: write tls: {mode: Require}, or remove it"),
    validation = Rule::new("!has(self.deniedCommands) || size(self.deniedCommands) == 0 || self.engine != 'Postgres'").message("deniedCommands are of Redis and Valkey: remove them, and say by GRANT and REVOKE what users of Postgres may"),
    validation = Rule::new("self.replicas == 1 || self.replicas >= 3 || self.engine == 'Postgres'").message("replicas of Redis and Valkey are 1, or 3 to 9: a majority of them decides who takes over"),
    validation = Rule::new("(self.replicas > 1) == (oldSelf.replicas > 1)").message("replicas cannot change between 1 and more: create another Database with as many as you want, and have it restore.from.database this one"),
    validation = Rule::new("self.replicas == 1 || self.engine != 'Postgres' || quantity(string(self.storage.size)).compareTo(quantity('512Mi')) >= 0").message("storage.size must be at least 512Mi with several replicas: each keeps the log by which others catch up"),
    validation = Rule::new("!has(self.archive) || (self.engine == 'Postgres' && self.replicas > 1)").message("archive is of Postgres, and done by CloudNativePG: write replicas: 2 or more, or use backup"),
    validation = Rule::new("!has(self.restore) || !has(self.restore.time) || (self.engine == 'Postgres' && self.replicas > 1)").message("restore.time is of Postgres, and done by CloudNativePG: write replicas: 2 or more, or restore a backup"),
    validation = Rule::new("!has(self.databases) || size(self.databases) == 0 || self.engine == 'Postgres'").message("databases are of Postgres: remove them; those of Redis and Valkey have numbers and are there already"),
    validation = Rule::new("!has(self.init) || self.engine == 'Postgres'").message("init is SQL: remove it, the other engines begin empty"),
    validation = Rule::new("!has(self.init) || !has(self.restore)").message("init is for a Database that begins empty: remove it, or restore"),
    validation = Rule::new("!has(self.init) || has(oldSelf.init)").message("init says what a new Database begins with: create another Database with it"),
    validation = Rule::new("!has(self.restore) || has(oldSelf.restore)").message("restore says what a new Database begins with: create another Database with it")
)]
pub struct DatabaseSpec {
    /// Which server.
    pub engine: Engine,
    /// Major version, in quotes: '15', '16', '17' or '18' for Postgres, '7' for Redis, '8' or '9' for Valkey.
    #[schemars(length(max = 16))]
    pub version: String,
    /// Servers that hold the data, one of which is the primary; the others follow it, and take over.
    /// Of Postgres they need CloudNativePG in the cluster; of Redis and Valkey there are at least 3,
    /// as a majority of them decides. Default: 1.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 9))]
    pub replicas: i32,
    /// The volume of each server.
    #[serde(default)]
    pub storage: Storage,
    /// CPU and memory. Default: requests 100m and 256Mi, limits 1 and 512Mi.
    #[serde(default)]
    pub resources: Resources,
    /// Settings of the server, by its own names, like `max_connections: "200"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Parameter>", extend("maxProperties" = 64))]
    #[x_kube(
        validation = Rule::new("self.all(name, name.matches('^[a-z][a-z0-9_.-]*$'))").message("names of parameters must be the server's own, in lower case, like 'max_connections'"),
        validation = Rule::new("!self.exists(name, name in ['listen_addresses', 'port', 'data_directory', 'hba_file', 'ident_file', 'config_file', 'unix_socket_directories', 'ssl', 'include', 'include_dir', 'include_if_exists', 'archive_command', 'restore_command', 'shared_preload_libraries', 'dir', 'bind', 'aclfile', 'requirepass', 'user', 'protected-mode', 'unixsocket', 'loadmodule', 'appendonly', 'dbfilename', 'daemonize', 'pidfile', 'logfile'] || name.startsWith('tls-'))").message("parameters must leave addresses, paths, access and commands to Trackbed: remove listen_addresses, port, data_directory, tls-port and the like")
    )]
    pub parameters: BTreeMap<String, String>,
    /// Commands of Redis and Valkey that applications may not use, `[FLUSHALL, KEYS]` for instance.
    /// A change reaches the server within two minutes, without a restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 16, "x-kubernetes-list-type" = "set"))]
    pub denied_commands: Vec<DeniedCommand>,
    /// The application's user and password.
    #[serde(default)]
    pub credentials: Credentials,
    /// Encrypted connections. Default: none; they stay within the namespace. Of several servers of
    /// Redis and Valkey those among them are encrypted as well, and another `tls` restarts all of
    /// them at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// When a newer minor version is taken up. Default: never; the server stays with the image that
    /// it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<Updates>,
    /// Copies of its data, and when they are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// Its log, kept in a bucket: any moment can be restored. For several `replicas` alone. Turning
    /// it on or off restarts the servers, one after another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// The backup that it begins with. Of a Database that has data it changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
    /// SQL that it begins with. Of a Database that has data it changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
    /// Further databases in the server, each with a user of its own. One that is taken out of the list
    /// stays with its data, and its user is not let in until it is listed again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub databases: Vec<ListedDatabase>,
    /// Run no pod; data are kept.
    #[serde(default)]
    pub suspend: bool,
    /// What happens to data and credentials when the Database is deleted. `Delete` takes effect
    /// only together with the annotation `trackbed.dev/confirm-deletion`, whose value is the
    /// Database's name.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

fn default_replicas() -> i32 {
    1
}

impl DatabaseSpec {
    /// Whether there are several servers, which CloudNativePG runs.
    pub fn is_replicated(&self) -> bool {
        self.replicas > 1 && self.engine == Engine::Postgres
    }

    /// Whether there are several servers, of which Sentinels decide who is the primary.
    pub fn has_sentinels(&self) -> bool {
        self.replicas > 1 && self.engine != Engine::Postgres
    }
}

impl Database {
    /// Whether its data go with it. That takes two acts of a person, the policy and the annotation
    /// [`labels::CONFIRM_DELETION`], unless it is in a preview, which is there for a while.
    pub fn gives_up_data(&self, in_preview: bool) -> bool {
        let annotations = self.metadata.annotations.as_ref();
        let confirmed = annotations.and_then(|it| it.get(labels::CONFIRM_DELETION));
        self.spec.deletion_policy == DeletionPolicy::Delete
            && (in_preview || (confirmed.is_some() && confirmed == self.metadata.name.as_ref()))
    }
}

/// How a Database's credentials change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// Any text. A text that is not the last one gives the application another user and password:
    /// the date, for example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub rotate: Option<String>,
    /// How long those before stay valid after that.
    #[serde(default = "default_keep")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('720h')").message("must be between 1m and 720h"))]
    pub keep: Duration,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            rotate: None,
            keep: default_keep(),
        }
    }
}

fn default_keep() -> Duration {
    "1h".into()
}

/// Value of a parameter, for the schema's bounds.
#[derive(JsonSchema)]
#[schemars(inline, transparent)]
#[allow(dead_code, reason = "only its schema is used")]
pub struct Parameter(
    #[schemars(length(max = 256), regex(pattern = r"^[^\x00-\x1f\x7f'\\]*$"))] String,
);

/// Database servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Engine {
    /// PostgreSQL.
    Postgres,
    /// Redis.
    Redis,
    /// Valkey, which is what others made of Redis 7.2: its protocol, settings and files.
    Valkey,
}

impl Engine {
    /// As it stands in the spec.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Postgres => "Postgres",
            Self::Redis => "Redis",
            Self::Valkey => "Valkey",
        }
    }

    /// Port that the server listens on.
    pub fn port(self) -> i32 {
        match self {
            Self::Postgres => 5432,
            Self::Redis | Self::Valkey => 6379,
        }
    }
}

/// A Database's volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)").message("className cannot be changed: create another Database and move the data")
)]
pub struct Storage {
    /// Size of the volume, at least 64Mi. Grows where the storage class allows it, never shrinks;
    /// where it could not grow, it may be set back to what the volume has.
    #[serde(default = "default_size")]
    #[x_kube(validation = Rule::new("quantity(string(self)).compareTo(quantity('64Mi')) >= 0").message("size must be at least 64Mi, like '10Gi': without a unit it is bytes, and an empty Postgres takes 40Mi"))]
    pub size: Quantity,
    /// Storage class. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<ObjectName>,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            size: default_size(),
            class_name: None,
        }
    }
}

fn default_size() -> Quantity {
    "1Gi".into()
}

/// What Trackbed observed of a Database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseStatus {
    /// Generation of the spec that the rest speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The binding Secret (Service Binding for Kubernetes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// The databases of `databases`, with a binding Secret each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<DatabaseEntry>,
    /// How the credentials are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialsStatus>,
    /// Host name inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// The volume's claim, of a single server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
    /// How its servers are, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<ReplicationStatus>,
    /// Size that the volume really has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// How much of it is taken, in steps of 5%. The condition `StorageAmple` warns from 85% on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_used: Option<String>,
    /// Whose data they are, as the volume and the backups say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The image of the server: by digest from the first time that it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Version of the server, as it says itself: 17.6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// How its updates are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<UpdatesStatus>,
    /// How its backups are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,
    /// How its archive is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveStatus>,
    /// Data were written: an empty volume is refused from now on instead of initialised.
    #[serde(default)]
    pub initialised: bool,
}

/// How a Database's servers are, where there are several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicationStatus {
    /// Name of CloudNativePG's Cluster, of Postgres.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// The pod that takes writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<String>,
    /// Servers that are up, as `2/3`.
    pub ready: String,
}

/// What Trackbed observed of a Database's credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsStatus {
    /// The application's user.
    pub username: String,
    /// The text in `credentials.rotate` that was done last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<String>,
    /// When that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated: Option<Time>,
    /// Until when the user and the password before are let in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Time>,
    /// What a change that was asked for waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Names the binding Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Binding {
    /// Name of the Secret.
    pub name: String,
}
