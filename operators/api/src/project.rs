//! Project: a tenant with its environments.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    common::{SecretReference, conditions_schema},
    environment::BuildEnvironment,
    expose::{Routing, Tls},
    preview::{Preview, PreviewStatus, Previews},
    run::EnvVar,
    scalar::{HostName, HostPattern, Label, Quantity, RepositoryPrefix},
};

/// Longest name of an environment.
pub const ENVIRONMENT_MAX: usize = 20;

/// A tenant of the platform: a namespace per environment, with quota, isolation and members.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "trackbed.dev", version = "v1alpha1", kind = "Project", plural = "projects",
    shortname = "tproj", category = "trackbed", status = "ProjectStatus", derive = "PartialEq",
    doc = "A tenant of the platform: a namespace per environment, with quota, isolation and members.",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Namespaces", type_ = "string", json_path = ".status.environments[*].namespace"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 40").message("a Project's name must be at most 40 lower-case letters, digits and '-', start with a letter and end with a letter or digit"),
    validation = Rule::new("!has(self.spec.previews) || self.spec.environments.exists(it, it.name == self.spec.previews.of && !has(it.preview))").message("previews.of must name one of the environments that is no preview itself, like {name: staging}"),
    validation = Rule::new("has(self.spec.previews) || !self.spec.environments.exists(it, has(it.preview))").message("an environment with preview needs previews.of: the environment whose Services and Databases it has copies of"),
    validation = Rule::new("self.metadata.name != 'kube' && !self.metadata.name.startsWith('kube-')").message("a Project's name must not start with 'kube-': such namespaces belong to Kubernetes")
)]
#[serde(rename_all = "camelCase")]
pub struct ProjectSpec {
    /// Environments. Each is a namespace `<project>-<environment>`.
    #[serde(default = "default_environments")]
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.size() > 0").message("a Project needs at least one environment, like {name: production}"))]
    pub environments: Vec<Environment>,
    /// Environment variables of all its Services. What a Service says itself comes before them, and
    /// what an environment says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,
    /// Who may do what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind", "name"]))]
    pub members: Vec<Member>,
    /// What each environment may use at most. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// Where images go. Default: the operator's registry, in a repository named like the Project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<Registry>,
    /// How its images are built. Default: as the operator's settings have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<ProjectBuilds>,
    /// Domain of generated hosts. Default: the operator's base domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<HostName>,
    /// Hosts of their own that the Project's Services may have: `example.com`, or `*.example.com`
    /// for all hosts below it. Default: as the operator's settings have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "set"))]
    pub allowed_domains: Option<Vec<HostPattern>>,
    /// How requests from outside reach its Services. Default: as the operator's settings have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<Routing>,
    /// Certificates of its hosts. Default: as the operator's settings have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Environments of pull requests and branches. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previews: Option<Previews>,
    /// Whether NetworkPolicies keep other projects out.
    #[serde(default)]
    pub isolation: Isolation,
    /// What happens to the namespaces when the Project is deleted. `Retain` keeps those that hold
    /// a Database or a claim, `Delete` deletes them all, and waits for a person where a Database in
    /// them says `Retain` itself.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

fn default_environments() -> Vec<Environment> {
    vec![Environment {
        name: "production".into(),
        env: Vec::new(),
        preview: None,
    }]
}

/// A place to run the Project's Services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Environment {
    /// Name, the second part of the namespace's.
    #[schemars(length(max = ENVIRONMENT_MAX))]
    pub name: Label,
    /// Environment variables of all Services in it. What a Service says itself comes before them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,
    /// Make it a preview of this: with copies of what the environment `previews.of` has. It goes
    /// with everything in it when it is taken out of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<Preview>,
}

/// A person or group with a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct Member {
    /// Kind of subject.
    #[serde(default)]
    pub kind: MemberKind,
    /// Name, as the cluster's authentication tells it.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new("!self.startsWith('system:')").message("must not start with 'system:': those names belong to Kubernetes"))]
    pub name: String,
    /// What the member may do.
    pub role: Role,
    /// Only in these environments. Default: in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "set"))]
    pub environments: Vec<Label>,
}

/// Kinds of members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MemberKind {
    /// A person.
    #[default]
    User,
    /// A group.
    Group,
}

/// Roles in a Project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// Everything in the environments, Secrets included.
    Owner,
    /// Services, Databases, Builds and Deployments; logs; Secrets can be written, not read.
    Developer,
    /// Look at everything but Secrets.
    Viewer,
}

impl Role {
    /// The ClusterRole that the chart installs for it.
    pub fn cluster_role(self) -> &'static str {
        match self {
            Self::Owner => "trackbed-owner",
            Self::Developer => "trackbed-developer",
            Self::Viewer => "trackbed-viewer",
        }
    }
}

/// Limits of each environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quota {
    /// Sum of CPU requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Quantity>,
    /// Sum of memory requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Sum of storage requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Quantity>,
    /// Builds of all environments together that run at once; the others wait in a queue. Default:
    /// as the operator's settings have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 1000").message("must be between 1 and 1000"))]
    pub concurrent_builds: Option<i32>,
}

/// How the Project's images are built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectBuilds {
    /// How builds reach the world.
    #[serde(default)]
    pub environment: BuildEnvironment,
}

/// A registry of the Project's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registry {
    /// Host and path under which images are pushed: `<repository>/<service>`.
    pub repository: RepositoryPrefix,
    /// Secret of type `kubernetes.io/dockerconfigjson` in the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}

/// How strictly projects are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Isolation {
    /// Only the project's own namespace, DNS, the ingress controller and the internet.
    #[default]
    Strict,
    /// No NetworkPolicies.
    None,
}

/// What deletion does to data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Keep data and what is needed to use them again.
    #[default]
    Retain,
    /// Delete data too.
    Delete,
}

/// What Trackbed observed of a Project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectStatus {
    /// Generation of the spec that the rest speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The environments and their namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentStatus>,
}

/// What Trackbed observed of an environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentStatus {
    /// Name of the environment.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Whether everything in it is as it should be.
    pub ready: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What it is a preview of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<PreviewStatus>,
}
