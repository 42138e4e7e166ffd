//! Deployment: one release of a Service.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    build::Failure,
    common::{SecretReference, conditions_schema},
    run::RunSpec,
    scalar::{CommitId, ImageDigest, Label, ObjectName},
};

/// One release: an image by digest and the configuration that it runs with. Immutable.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "trackbed.dev", version = "v1alpha1", kind = "Deployment", plural = "deployments", namespaced,
    shortname = "tdep", category = "trackbed", status = "DeploymentStatus", derive = "PartialEq",
    doc = "One release: an image by digest and the configuration that it runs with. Immutable.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Build", type_ = "string", json_path = ".spec.build"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.failure.reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.image", priority = 1),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 58").message("a Deployment's name must be at most 58 lower-case letters, digits and '-', start with a letter and end with a letter or digit"),
    validation = Rule::new("self.spec == oldSelf.spec").message("a Deployment cannot be changed: change the Service, or create another Deployment")
)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentSpec {
    /// The Service whose workload runs this release.
    pub service: Label,
    /// The image, always by digest.
    pub image: ImageDigest,
    /// Secret that pulls the image, of an image source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret_ref: Option<SecretReference>,
    /// The Build that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<ObjectName>,
    /// The commit in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
    /// Place in the Service's order of commits. A lower one never replaces a higher one.
    #[x_kube(validation = Rule::new("self >= 0").message("must not be negative"))]
    pub sequence: i64,
    /// Counts the configurations that were released of one sequence.
    #[serde(default = "first")]
    #[x_kube(validation = Rule::new("self >= 1").message("must be at least 1"))]
    pub revision: i32,
    /// How it runs.
    #[serde(default)]
    pub run: RunSpec,
}

fn first() -> i32 {
    1
}

impl DeploymentSpec {
    /// Place among the releases of a Service: commits first, configurations second.
    pub fn order(&self) -> (i64, i32) {
        (self.sequence, self.revision)
    }
}

/// Where a release stands.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum DeploymentPhase {
    /// Not applied yet, or waiting for something that the conditions name.
    #[default]
    Pending,
    /// Its command of `run.preDeploy` runs; no pod of it does yet.
    PreDeploy,
    /// Applied; its pods are not available yet.
    Progressing,
    /// It serves.
    Active,
    /// A later release took over.
    Superseded,
    /// It failed, and nothing better was there to go back to.
    Failed,
    /// It failed, and the release before it serves again.
    RolledBack,
}

impl DeploymentPhase {
    /// As it stands in status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::PreDeploy => "PreDeploy",
            Self::Progressing => "Progressing",
            Self::Active => "Active",
            Self::Superseded => "Superseded",
            Self::Failed => "Failed",
            Self::RolledBack => "RolledBack",
        }
    }
}

/// What Trackbed observed of a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentStatus {
    /// Generation of the spec that the rest speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled, Available.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Where the release stands.
    #[serde(default)]
    pub phase: DeploymentPhase,
    /// When its command of `run.preDeploy` had succeeded. It is not run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_deploy_time: Option<Time>,
    /// When it was applied; the rollout's timeout counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it first served. A release that has one is one to go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_since: Option<Time>,
    /// How often it was tried again after a failure that may pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The last lines of the crashing container's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<String>,
}
