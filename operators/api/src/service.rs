//! Service: an application that follows its source.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    build::BuildSettings,
    common::{SecretReference, conditions_schema},
    cron::{Cron, RunStatus},
    expose::{Expose, HostStatus, TcpStatus},
    run::RunSpec,
    scalar::{
        ApiUrl, CommitId, Duration, GitUrl, ImageReference, Label, ObjectName, PathPattern,
        RefName, RepoPath, VersionRange,
    },
    scale::Scale,
};

/// An application that follows its source: built, released, routed.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "trackbed.dev", version = "v1alpha1", kind = "Service", plural = "services", namespaced,
    shortname = "tsvc", category = "trackbed", status = "ServiceStatus", derive = "PartialEq",
    doc = "An application that follows its source: built, released, routed.",
    scale(spec_replicas_path = ".spec.scale.replicas", status_replicas_path = ".status.replicas", label_selector_path = ".status.selector"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Active", type_ = "string", json_path = ".status.activeDeployment"),
    printcolumn(name = "Latest", type_ = "string", json_path = ".status.latestBuild"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    validation = Rule::new("!has(self.spec.run.volumes) || self.spec.run.volumes.size() == 0 || (self.spec.scale.replicas <= 1 && !has(self.spec.scale.max))").message("a volume belongs to one pod: set scale.replicas to 1 and remove scale.max, or keep the data in a Database"),
    validation = Rule::new("!has(self.spec.cron) || ((!has(self.spec.run.worker) || !self.spec.run.worker) && !has(self.spec.run.healthcheck.path) && (!has(self.spec.expose.domains) || self.spec.expose.domains.size() == 0))").message("an application with cron answers no requests: remove run.worker, run.healthcheck.path and expose.domains, or cron"),
    validation = Rule::new("!has(self.spec.run.worker) || !self.spec.run.worker || !has(self.spec.expose.domains) || self.spec.expose.domains.size() == 0").message("a worker has no address: remove expose.domains, or run.worker"),
    validation = Rule::new("!has(self.spec.expose.tcp) || (!has(self.spec.cron) && (!has(self.spec.run.worker) || !self.spec.run.worker))").message("a worker or an application with cron has no port that could be reached: remove expose.tcp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 40").message("a Service's name must be at most 40 lower-case letters, digits and '-', start with a letter and end with a letter or digit")
)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// Where the application comes from.
    pub source: Source,
    /// How its image is built (only with a git source).
    #[serde(default)]
    pub build: BuildSettings,
    /// How it runs. A change makes a new release of the same image.
    #[serde(default)]
    pub run: RunSpec,
    /// Run to the end at certain times, instead of all the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<Cron>,
    /// How many pods. Of no meaning with `cron`.
    #[serde(default)]
    pub scale: Scale,
    /// How it is reached.
    #[serde(default)]
    pub expose: Expose,
    /// How a release replaces the one before.
    #[serde(default)]
    pub rollout: Rollout,
    /// Hold this Deployment active (rollback). Remove it to follow the source again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<ObjectName>,
    /// Run no pods and make no new Builds; everything else is kept.
    #[serde(default)]
    pub suspend: bool,
    /// Whether previews have a copy of it. Default: yes, unless it has `cron`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<bool>,
}

impl ServiceSpec {
    /// Whether the application answers requests: then it has an address, and can have hosts.
    pub fn listens(&self) -> bool {
        !self.run.worker && self.cron.is_none()
    }
}

/// Where an application comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.git), has(self.image), has(self.promotion)].filter(set, set).size() == 1").message("must have exactly one of git, image and promotion"))]
pub struct Source {
    /// A git repository: each new commit is built and released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSource>,
    /// An image that is built elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageSource>,
    /// What serves in another environment of the Project: the same image, without a build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Promotion>,
}

/// A git repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.branch), has(self.tag), has(self.commit)].filter(set, set).size() <= 1").message("must have at most one of branch, tag and commit"))]
pub struct GitSource {
    /// The repository.
    pub url: GitUrl,
    /// Follow this branch. Default, with no tag or commit either: the branch that the remote's HEAD names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<RefName>,
    /// Follow this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<RefName>,
    /// Stay at this commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
    /// Folder of the application in the repository. Default: its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<RepoPath>,
    /// Paths of the repository that matter, as `.gitignore` writes them, from its root: the last that
    /// fits decides, and `!` takes out. A commit that touches none of them is taken up without a
    /// build. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub watch_paths: Vec<PathPattern>,
    /// Secret for the repository: of type `kubernetes.io/basic-auth` (`username`, and `password` or a
    /// token) for http and https, `kubernetes.io/ssh-auth` (`ssh-privatekey`, and `known_hosts`) for ssh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// Take pushes as the forge tells them, instead of only looking every `interval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// Tell the forge what becomes of each commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statuses: Option<CommitStatuses>,
    /// How often to look for new commits.
    #[serde(default = "default_interval")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('24h')").message("must be between 10s and 24h"))]
    pub interval: Duration,
}

/// A Service in another environment of the same Project, whose releases are taken over once they
/// served there. Image and commit come along; how it runs stands here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Promotion {
    /// The environment.
    pub environment: Label,
    /// Name of the Service there. Default: as this one is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Label>,
    /// This Deployment of it. Default: whichever serves there, and each next one as soon as it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<ObjectName>,
}

/// A webhook that a forge calls at each push. Its address stands in `status.webhook`, and all
/// Services of a namespace that name the same Secret share it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Secret whose key `secret` is what the forge signs with.
    pub secret_ref: SecretReference,
    /// Make a preview for each pull request of the repository's own branches, where the Project has
    /// `previews` of this environment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub previews: bool,
}

/// Where to report what becomes of commits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitStatuses {
    /// Secret whose key `token` is an access token that may write commit statuses.
    pub secret_ref: SecretReference,
    /// What the forge is. Default: what its host's name says, for the well-known ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forge: Option<Forge>,
    /// Base URL of the forge's API. Default: where the forge of that host has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiUrl>,
}

/// Forges whose API is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "they are names")]
pub enum Forge {
    GitHub,
    GitLab,
    /// Also Forgejo.
    Gitea,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Data Center.
    BitbucketServer,
}

/// An image in a registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.semver) || !self.reference.matches('(:[^/]*|@.*)$')").message("with semver the reference must have no tag and no digest: write 'ghcr.io/acme/web' alone"),
)]
pub struct ImageSource {
    /// The image. A tag is resolved to its digest at every interval.
    pub reference: ImageReference,
    /// Follow the highest tag that is a version in this range, like `>=1.2, <2` or `1.*`
    /// (<https://docs.rs/semver/1/semver/struct.VersionReq.html>), instead of one tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<VersionRange>,
    /// Secret of type `kubernetes.io/dockerconfigjson` to pull it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret_ref: Option<SecretReference>,
    /// How often to look whether the tag moved.
    #[serde(default = "default_image_interval")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('24h')").message("must be between 10s and 24h"))]
    pub interval: Duration,
}

fn default_interval() -> Duration {
    "1m".into()
}
fn default_image_interval() -> Duration {
    "5m".into()
}

fn yes() -> bool {
    true
}

/// How a release replaces the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// How long all new pods together may take to become available.
    #[serde(default = "default_rollout_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('2h')").message("must be between 10s and 2h"))]
    pub timeout: Duration,
    /// Go back to the last good release when a new one fails.
    #[serde(default = "yes")]
    pub auto_rollback: bool,
    /// How many ended Builds and Deployments to keep.
    #[serde(default = "default_history")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 100").message("must be between 1 and 100"))]
    pub history_limit: i32,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            timeout: default_rollout_timeout(),
            auto_rollback: true,
            history_limit: default_history(),
        }
    }
}

fn default_rollout_timeout() -> Duration {
    "5m".into()
}
fn default_history() -> i32 {
    10
}

/// What Trackbed observed of a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Generation of the spec that the rest speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled, SourceReady, BuildSucceeded, Available, HostsReady,
    /// ScalingActive, LastRunSucceeded, CommitStatusPosted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// What the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceStatus>,
    /// The newest Build.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_build: Option<String>,
    /// The newest Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_deployment: Option<String>,
    /// The Deployment that serves. Moves only when a new one is healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_deployment: Option<String>,
    /// Public URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The hosts that it answers at. What it asks for and does not have is in the condition
    /// HostsReady.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts: Option<Vec<HostStatus>>,
    /// Where clients reach it without HTTP, with `expose.tcp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpStatus>,
    /// Where the forge's webhook is to be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// What the forge was told last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_status: Option<CommitStatus>,
    /// The last value of the annotation `trackbed.dev/reconcile-at` that the source was looked at
    /// for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The last run, with `cron`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<RunStatus>,
    /// Pods (scale subresource).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Selector of the pods (scale subresource).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
}

/// What a forge was told of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitStatus {
    /// The commit.
    pub commit: String,
    /// What was said.
    pub state: CommitState,
}

/// What becomes of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CommitState {
    /// It is being built or released.
    Pending,
    /// It serves, or has nothing to do with the Service.
    Success,
    /// It was not built, or is not healthy.
    Failure,
}

/// What the source says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// Counts the commits (or digests) that were taken up. Never goes back.
    pub sequence: i64,
    /// The commit, of a git source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The ref at which it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<String>,
    /// The image by digest, of an image source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Hash of the build's inputs besides the commit: a change builds the same commit again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    /// First line of the commit's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The commit's author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The commit that was built last, where later ones touch nothing that `watchPaths` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_commit: Option<String>,
    /// When it was taken up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
}
