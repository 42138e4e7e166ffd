//! A Database's log, kept outside of the cluster, so that any moment can be restored.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{backup::Bucket, scalar::CronSchedule};

/// Where the log goes, and for how long every moment of it can be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Archive {
    /// The bucket. The objects lie below `PREFIX/archive/IDENTITY`, so several Databases, and backups,
    /// can have one bucket.
    pub s3: Bucket,
    /// When a copy of all data is taken, which the log is replayed onto: as `backup.schedule`, in UTC.
    /// Default: at three in the morning.
    #[serde(default = "default_schedule")]
    pub schedule: CronSchedule,
    /// For so many days back, every moment can be restored. Default: 14.
    #[serde(default = "default_days")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 3650").message("must be between 1 and 3650 days"))]
    pub retain_days: i32,
}

fn default_schedule() -> CronSchedule {
    "0 3 * * *".into()
}
fn default_days() -> i32 {
    14
}

/// What Trackbed observed of a Database's archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveStatus {
    /// The first moment that can be restored. It is looked at every half hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Time>,
    /// When the last copy of all data was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_copy: Option<Time>,
}
