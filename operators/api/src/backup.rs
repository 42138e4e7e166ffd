//! Copies of a Database's data, and Databases that begin with one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{
    BackupName, BucketName, BucketPrefix, CronSchedule, Duration, EndpointUrl, IdentityText,
    Moment, ObjectName, Quantity, TimeZone,
};

/// When backups are taken, where they go, and how long they stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// When: minute, hour, day of the month, month and day of the week, or `@hourly`, `@daily`,
    /// `@weekly`, `@monthly`, `@yearly`. Without it, backups are taken by `request` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<CronSchedule>,
    /// Time zone of the schedule, like `Europe/Berlin`.
    #[serde(default = "default_time_zone")]
    pub time_zone: TimeZone,
    /// Any text. A text that is not the last one has a backup taken at once: `before-1.4`, for
    /// example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub request: Option<String>,
    /// Where they go.
    pub destination: Destination,
    /// The key that they are encrypted with. Default: they are not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// How many stay.
    #[serde(default)]
    pub retain: Retain,
    /// How long a backup may take, with the restore that proves it.
    #[serde(default = "default_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('72h')").message("must be between 1m and 72h"))]
    pub timeout: Duration,
}

/// A key of backups, in the format of [age](https://age-encryption.org).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Encryption {
    /// Secret in this namespace with the key `age.agekey`: lines `AGE-SECRET-KEY-1…`, as
    /// `age-keygen` makes them. The first one encrypts; what was encrypted with any of them can be
    /// read. Keep a copy outside of the cluster: without it, nobody can.
    pub secret_ref: SecretRef,
}

/// Where backups are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.volume) != has(self.s3)").message("must have either volume or s3"))]
pub struct Destination {
    /// A volume of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Volume>,
    /// A bucket of Amazon S3, or of another server that speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<Bucket>,
}

/// A volume for backups: the claim `NAME-backups`, which stays when the Database goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)").message("className cannot be changed: backups are on the volume"),
    validation = Rule::new("quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0").message("size can grow, not shrink: backups could be lost")
)]
pub struct Volume {
    /// Size of the volume, at least 64Mi.
    #[serde(default = "default_size")]
    #[x_kube(validation = Rule::new("quantity(string(self)).compareTo(quantity('64Mi')) >= 0").message("size must be at least 64Mi, like '10Gi': without a unit it is bytes"))]
    pub size: Quantity,
    /// Storage class. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<ObjectName>,
}

impl Default for Volume {
    fn default() -> Self {
        Self {
            size: default_size(),
            class_name: None,
        }
    }
}

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    /// Name of the bucket, which has to be there.
    pub bucket: BucketName,
    /// URL of the server. Default: Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointUrl>,
    /// Its region. Default: us-east-1, which is what most servers call theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^[A-Za-z0-9][-A-Za-z0-9]*$"))]
    pub region: Option<String>,
    /// What the names of objects begin with, like `backups/production`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<BucketPrefix>,
    /// Secret in this namespace with the keys `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, and
    /// `ca.crt` if the server's certificate is of an authority of your own.
    pub secret_ref: SecretRef,
}

impl Bucket {
    /// Port of the server.
    pub fn port(&self) -> i32 {
        let Some(endpoint) = &self.endpoint else {
            return 443;
        };
        let (scheme, host) = endpoint.split_once("://").unwrap_or_default();
        let host = host.trim_end_matches('/');
        let port = host
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok());
        port.unwrap_or(if scheme == "http" { 80 } else { 443 })
    }
}

/// Names a Secret in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Its name.
    pub name: ObjectName,
}

/// How many backups stay. The newest one always does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retain {
    /// This many of the newest.
    #[serde(default = "default_count")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("must be between 1 and 1000"))]
    pub count: i32,
    /// None that is older, unless it is the newest. Default: age does not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1h')").message("must be at least 1h"))]
    pub age: Option<Duration>,
}

impl Default for Retain {
    fn default() -> Self {
        Self {
            count: default_count(),
            age: None,
        }
    }
}

pub(crate) fn default_time_zone() -> TimeZone {
    "Etc/UTC".into()
}
fn default_timeout() -> Duration {
    "6h".into()
}
fn default_size() -> Quantity {
    "1Gi".into()
}
fn default_count() -> i32 {
    7
}

/// The backup, or the moment, that a new Database begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.time) || !has(self.backup)").message("time is of an archive: remove backup, or time"),
    validation = Rule::new("!has(self.time) || !has(self.from.volume)").message("time is of an archive: it has to be from.database or from.s3"),
    validation = Rule::new("!has(self.time) || !has(self.from.s3) || has(self.from.identity)").message("time needs from.identity beside from.s3: the folder in the archive, and status.identity of the Database that it is of"),
    validation = Rule::new("!has(self.time) || !has(self.from.encryption)").message("archives are not encrypted by a key: remove from.encryption, or time")
)]
pub struct Restore {
    /// Where it is.
    pub from: Origin,
    /// Its name, as `status.backup.newest` of its Database has it. Default: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupName>,
    /// A moment, like `2026-03-01T12:00:00Z`, or `latest`: all that was committed until then is taken
    /// from the `archive` of the other Database, or of the one whose archive is in the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Moment>,
    /// How long it may take.
    #[serde(default = "default_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('72h')").message("must be between 1m and 72h"))]
    pub timeout: Duration,
}

/// Where a backup is found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.database), has(self.volume), has(self.s3)].filter(it, it).size() == 1").message("must have one of database, volume and s3"),
    validation = Rule::new("!has(self.identity) || !has(self.database)").message("identity goes with volume and s3: a Database has its own")
)]
pub struct Origin {
    /// Another Database of this namespace: its `backup.destination`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<ObjectName>,
    /// A claim in this namespace that has backups of a Database, which may be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<Claim>,
    /// A bucket that has backups of a Database, which may be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<Bucket>,
    /// Whose, if several Databases have backups there: the folder in which they are, and
    /// `status.identity` of the Database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityText>,
    /// The key that they are encrypted with. Default: that of the other Database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
}

/// Names a claim in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Its name.
    pub claim_name: ObjectName,
}

/// A backup that was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// Its name, for `restore.backup`.
    pub name: String,
    /// The time that its data are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Time>,
    /// Bytes that it takes at its destination.
    pub stored_bytes: i64,
}

/// What Trackbed observed of a Database's backups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// The newest ones at the destination, newest first, up to ten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 10))]
    pub newest: Vec<Taken>,
    /// How many there are.
    #[serde(default)]
    pub count: i32,
    /// When the newest was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Time>,
    /// When the newest one was taken that was restored into a server of its own and found whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_verified: Option<Time>,
    /// The text in `backup.request` that was done last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_behind_the_port_that_its_url_says() {
        let port = |endpoint: &str| {
            let endpoint = Some(endpoint).filter(|it| !it.is_empty());
            let bucket = Bucket {
                endpoint: endpoint.map(Into::into),
                ..Bucket::default()
            };
            bucket.port()
        };
        assert_eq!(port(""), 443);
        assert_eq!(port("https://s3.example.com"), 443);
        assert_eq!(port("http://s3.example.com/"), 80);
        assert_eq!(port("http://10.0.0.1:9000/"), 9000);
    }
}
