//! Pieces that several kinds share.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::scalar::{ObjectName, Quantity};

/// Names a Secret in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretReference {
    /// Name of the Secret.
    pub name: ObjectName,
}

/// Compute resources of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the scheduler sets aside. Default: cpu 100m, memory 128Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceList>,
    /// What the container may use at most. Default: cpu 500m, memory 512Mi, or the request where
    /// that is higher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceList>,
}

/// Amounts of the resources that Kubernetes shares out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceList {
    /// CPU in cores, like `500m` or `2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Memory in bytes, like `512Mi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
}

/// Defaults for [`Resources`]: requests (cpu, memory), then limits (cpu, memory).
pub type ResourceDefaults = [&'static str; 4];

/// What an application container gets when its spec says nothing.
pub const APP_RESOURCES: ResourceDefaults = ["100m", "128Mi", "500m", "512Mi"];

impl Resources {
    /// The amounts with defaults filled in, as Kubernetes' own type. A default limit gives way to
    /// a higher request, a default request to a lower limit, because the API server refuses a
    /// request above its limit.
    pub fn with_defaults(
        &self,
        defaults: ResourceDefaults,
    ) -> k8s_openapi::api::core::v1::ResourceRequirements {
        let empty = ResourceList::default();
        let requests = self.requests.as_ref().unwrap_or(&empty);
        let limits = self.limits.as_ref().unwrap_or(&empty);
        let (cpu_request, cpu_limit) = pair(&requests.cpu, &limits.cpu, defaults[0], defaults[2]);
        let (memory_request, memory_limit) =
            pair(&requests.memory, &limits.memory, defaults[1], defaults[3]);
        let list = |cpu: Quantity, memory: Quantity| {
            Some(BTreeMap::from([
                ("cpu".to_owned(), cpu.to_k8s()),
                ("memory".to_owned(), memory.to_k8s()),
            ]))
        };
        k8s_openapi::api::core::v1::ResourceRequirements {
            requests: list(cpu_request, memory_request),
            limits: list(cpu_limit, memory_limit),
            ..Default::default()
        }
    }
}

fn pair(
    request: &Option<Quantity>,
    limit: &Option<Quantity>,
    default_request: &str,
    default_limit: &str,
) -> (Quantity, Quantity) {
    match (request, limit) {
        (Some(request), Some(limit)) => (request.clone(), limit.clone()),
        (Some(request), None) => {
            let limit = Quantity::from(default_limit);
            let limit = if request.milli() > limit.milli() {
                request.clone()
            } else {
                limit
            };
            (request.clone(), limit)
        }
        (None, Some(limit)) => {
            let request = Quantity::from(default_request);
            let request = if request.milli() > limit.milli() {
                limit.clone()
            } else {
                request
            };
            (request, limit.clone())
        }
        (None, None) => (default_request.into(), default_limit.into()),
    }
}

/// Schema of `status.conditions`: a list keyed by `type`, as the API conventions ask for.
pub fn conditions_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = Vec::<Condition>::json_schema(generator);
    schema.insert("x-kubernetes-list-type".into(), "map".into());
    schema.insert(
        "x-kubernetes-list-map-keys".into(),
        serde_json::json!(["type"]),
    );
    schema
}

/// Condition types. `Ready`, `Reconciling` and `Stalled` follow kstatus
/// (<https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md>).
pub mod condition {
    /// The object does what its spec asks for.
    pub const READY: &str = "Ready";
    /// Work towards the spec is under way.
    pub const RECONCILING: &str = "Reconciling";
    /// Nothing more will happen until somebody changes something.
    pub const STALLED: &str = "Stalled";
    /// Service: the commit or digest to release is known.
    pub const SOURCE_READY: &str = "SourceReady";
    /// Service: the newest Build succeeded.
    pub const BUILD_SUCCEEDED: &str = "BuildSucceeded";
    /// Service and Deployment: pods of the release are available.
    pub const AVAILABLE: &str = "Available";
    /// Service: it has all hosts that it asks for, with their certificates.
    pub const HOSTS_READY: &str = "HostsReady";
    /// The number of pods follows the load.
    pub const SCALING_ACTIVE: &str = "ScalingActive";
    /// The last run of an application with `cron` succeeded.
    pub const LAST_RUN_SUCCEEDED: &str = "LastRunSucceeded";
    /// Service: the forge knows what became of the commit.
    pub const COMMIT_STATUS_POSTED: &str = "CommitStatusPosted";
    /// Database: there is room on its volume.
    pub const STORAGE_AMPLE: &str = "StorageAmple";
    /// Database: all of its several servers are up.
    pub const REPLICATED: &str = "Replicated";
    /// Database: the last backup was taken, and proven by a restore.
    pub const BACKUP_READY: &str = "BackupReady";
    /// Database: its log goes into its archive, and there is a copy of all data that it goes with.
    pub const ARCHIVED: &str = "Archived";
    /// Database: the databases that it lists are there, with their users and extensions.
    pub const DATABASES_READY: &str = "DatabasesReady";
    /// Database: its image is the newest of its major version, or was when it was looked for.
    pub const UP_TO_DATE: &str = "UpToDate";
    /// Build: ended well (True), ended badly (False), not ended (Unknown).
    pub const SUCCEEDED: &str = "Succeeded";
}
