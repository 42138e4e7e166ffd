//! Applications that run at certain times.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::{CronSchedule, Duration, TimeZone};

/// When an application runs that runs to its end, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cron {
    /// When: minute, hour, day of the month, month and day of the week, or `@hourly`, `@daily`,
    /// `@weekly`, `@monthly`, `@yearly`
    /// (<https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax>).
    pub schedule: CronSchedule,
    /// Time zone of the schedule, like `Europe/Berlin`.
    #[serde(default = "default_time_zone")]
    pub time_zone: TimeZone,
    /// What happens when it is time for a run and the one before has not ended.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// How long a run may take.
    #[serde(default = "default_run_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s') && duration(self) <= duration('168h')").message("must be between 5s and 168h"))]
    pub timeout: Duration,
    /// How often a run that failed is tried again.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 10").message("must be between 0 and 10"))]
    pub retries: i32,
}

/// What happens when runs would overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConcurrencyPolicy {
    /// The new one is left out.
    #[default]
    Forbid,
    /// Both run.
    Allow,
    /// The old one is ended.
    Replace,
}

impl ConcurrencyPolicy {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forbid => "Forbid",
            Self::Allow => "Allow",
            Self::Replace => "Replace",
        }
    }
}

fn default_time_zone() -> TimeZone {
    "Etc/UTC".into()
}
fn default_run_timeout() -> Duration {
    "1h".into()
}

/// A run of an application with `cron`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunStatus {
    /// The Job; `kubectl logs job/NAME` has what it said.
    pub job: String,
    /// How it went.
    pub result: RunResult,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
}

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "they are what they are called")]
pub enum RunResult {
    Running,
    Succeeded,
    Failed,
}
