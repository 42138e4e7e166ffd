//! How many pods an application has.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::scalar::Duration;

/// How many pods run: a number, or what the load asks for between two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.max) || !(has(self.min) || has(self.cpu) || has(self.memory) || has(self.behavior))").message("min, cpu, memory and behavior need max"),
    validation = Rule::new("!has(self.max) || !has(self.min) || self.min <= self.max").message("min must not be more than max"),
)]
pub struct Scale {
    /// Number of pods. With `max` it is written by the autoscaler: leave it out.
    #[serde(default = "default_replicas")]
    #[x_kube(validation = Rule::new("self >= 0 && self <= 1000").message("must be between 0 and 1000"))]
    pub replicas: i32,
    /// Least number of pods, with `max`. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("must be between 1 and 1000"))]
    pub min: Option<i32>,
    /// Most pods. With it the number follows the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("must be between 1 and 1000"))]
    pub max: Option<i32>,
    /// Use of CPU to aim at, in percent of what the pods request. Default, with neither this nor
    /// `memory`: 70.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("must be between 1 and 1000"))]
    pub cpu: Option<i32>,
    /// Use of memory to aim at, in percent of what the pods request. Default, with neither this nor
    /// `cpu`: 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("must be between 1 and 1000"))]
    pub memory: Option<i32>,
    /// How fast the number follows the load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<ScaleBehavior>,
}

impl Default for Scale {
    fn default() -> Self {
        Self {
            replicas: default_replicas(),
            min: None,
            max: None,
            cpu: None,
            memory: None,
            behavior: None,
        }
    }
}

impl Scale {
    /// How many pods there should be: the number, within the bounds where there are any. None at
    /// all is a number that people and other autoscalers ask for.
    pub fn wanted(&self) -> i32 {
        match self.max {
            Some(max) if self.replicas > 0 => self.replicas.clamp(self.min().min(max), max),
            _ => self.replicas,
        }
    }

    /// Least number of pods, with `max`.
    pub fn min(&self) -> i32 {
        self.min.unwrap_or(1)
    }
}

fn default_replicas() -> i32 {
    1
}

/// How fast the number of pods follows the load.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleBehavior {
    /// To more pods. Default: at most as many again every 15 s, after 60 s of load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScaleRule>,
    /// To fewer pods. Default: at most half of them every 60 s, after 300 s of calm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScaleRule>,
}

/// How fast the number of pods changes in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleRule {
    /// How long the load must have asked for it.
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s') && duration(self) <= duration('1h')").message("must be between 0s and 1h"))]
    pub stabilization_window: Duration,
    /// Largest change within a period, in percent of the pods.
    #[x_kube(validation = Rule::new("self >= 1 && self <= 10000").message("must be between 1 and 10000"))]
    pub percent: i32,
    /// The period.
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('30m')").message("must be between 1s and 30m"))]
    pub period: Duration,
}
