//! Minor versions of a Database's server.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    backup::default_time_zone,
    scalar::{CronSchedule, TimeZone},
};

/// When a Database's server is restarted with a newer image of its major version, if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.schedule) || has(self.request)").message("updates must say when: schedule, request, or both"))]
pub struct Updates {
    /// When the image is looked for: minute, hour, day of the month, month and day of the week, or
    /// `@weekly`, `@monthly` and the like. A restart for it happens within the hour, or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<CronSchedule>,
    /// Time zone of the schedule, like `Europe/Berlin`.
    #[serde(default = "default_time_zone")]
    pub time_zone: TimeZone,
    /// Any text. A text that is not the last one has it looked for at once: the date, for example.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub request: Option<String>,
}

/// What Trackbed observed of the updates of a Database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdatesStatus {
    /// The text in `updates.request` that was done last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// When an image was looked for the last time that one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Time>,
}
