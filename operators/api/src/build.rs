//! Build: one image from one commit.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{
    common::{Resources, SecretReference, conditions_schema},
    reason::Reason,
    run::KeyReference,
    scalar::{
        CommandLine, CommitId, Duration, FileName, GitUrl, ImageReference, Label, LanguageVersion,
        ObjectName, OutputPath, PackageName, RefName, RepoPath,
    },
};

/// One image from one commit. Immutable but for `cancel`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "trackbed.dev", version = "v1alpha1", kind = "Build", plural = "builds", namespaced,
    shortname = "tbuild", category = "trackbed", status = "BuildStatus", derive = "PartialEq",
    doc = "One image from one commit. Immutable but for spec.cancel.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Queue", type_ = "integer", json_path = ".status.queuePosition"),
    printcolumn(name = "Commit", type_ = "string", json_path = ".status.shortCommit"),
    printcolumn(name = "Language", type_ = "string", json_path = ".status.plan.language"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#, priority = 1),
    printcolumn(name = "Image", type_ = "string", json_path = ".status.image", priority = 1),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 52").message("a Build's name must be at most 52 lower-case letters, digits and '-', start with a letter and end with a letter or digit")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.source == oldSelf.source && self.build == oldSelf.build && has(self.image) == has(oldSelf.image) && (!has(self.image) || self.image == oldSelf.image) && has(self.service) == has(oldSelf.service) && (!has(self.service) || self.service == oldSelf.service) && self.sequence == oldSelf.sequence && (has(self.startElsewhere) && self.startElsewhere) == (has(oldSelf.startElsewhere) && oldSelf.startElsewhere)").message("a Build cannot be changed but for spec.cancel: create another Build instead"),
    validation = Rule::new("!oldSelf.cancel || self.cancel").message("a cancelled Build stays cancelled: create another Build instead")
)]
pub struct BuildSpec {
    /// The Service that the image is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Label>,
    /// What to build.
    pub source: BuildSource,
    /// How to build it.
    #[serde(default)]
    pub build: BuildSettings,
    /// Where the image goes: repository and tag. Default: the Project's repository, the name of
    /// the Service (or Build), and the commit as tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageReference>,
    /// Place in the Service's order of commits.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self >= 0").message("must not be negative"))]
    pub sequence: i64,
    /// The image is started with a command of the Service's own (`run.command`): a generated
    /// Dockerfile needs none.
    #[serde(default, skip_serializing_if = "is_false")]
    pub start_elsewhere: bool,
    /// Stop the build. Cannot be taken back.
    #[serde(default)]
    pub cancel: bool,
}

/// What a Build builds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BuildSource {
    /// One commit of a git repository.
    pub git: GitCommit,
}

/// One commit of a git repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitCommit {
    /// The repository.
    pub url: GitUrl,
    /// The commit.
    pub commit: CommitId,
    /// The branch or tag that it was found at: helps with servers that do not hand out any commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(validation = Rule::new("self.matches('^refs/(heads|tags)/[^-./\\\\s~^:?*]') && !self.contains('..')").message("must be a full ref, like 'refs/heads/main'"))]
    pub r#ref: Option<String>,
    /// Folder to build. Default: the repository's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<RepoPath>,
    /// Secret for the repository: of type `kubernetes.io/basic-auth` (`username`, and `password` or a
    /// token) for http and https, `kubernetes.io/ssh-auth` (`ssh-privatekey`, and `known_hosts`) for ssh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}

/// How an image is built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.strategy != 'Dockerfile' || (!has(self.command) && !has(self.install) && !has(self.start) && !has(self.output) && !has(self.provider) && !has(self.version) && !has(self.packages))").message("install, command, start, output, provider, version and packages are for builds without a Dockerfile: remove them, or set strategy to Auto"),
)]
pub struct BuildSettings {
    /// `Auto` takes the Dockerfile if there is one, and else makes one for the language that it
    /// recognises. `Dockerfile` insists on one.
    #[serde(default)]
    pub strategy: Strategy,
    /// The Dockerfile, relative to the source's path.
    #[serde(default = "default_dockerfile")]
    pub dockerfile: RepoPath,
    /// Stage of the Dockerfile to build. Default: the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ObjectName>,
    /// Build arguments. They are visible in the image: never put secrets here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, BuildArgument>", extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[A-Za-z_][A-Za-z0-9_]*$'))").message("names of build arguments must be letters, digits and '_', not starting with a digit"))]
    pub args: BTreeMap<String, String>,
    /// Command that builds the application when there is no Dockerfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandLine>,
    /// Command that installs the dependencies when there is no Dockerfile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install: Option<CommandLine>,
    /// Command that the image starts with when there is no Dockerfile and `run.command` says
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<CommandLine>,
    /// Folder with the built files of a static site, relative to the source's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputPath>,
    /// What to take the source for. Default: what its files say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Version of the language. Default: what the source's files say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<LanguageVersion>,
    /// Debian packages that a generated image gets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
    pub packages: Vec<PackageName>,
    /// Keys of Secrets that RUN lines find as files `/run/secrets/NAME`. They are in no layer and
    /// in no argument.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Vec<BuildSecret>,
    /// A newer commit ends a build that is under way. Default: it is finished first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub supersede: bool,
    /// How long the whole build may take.
    #[serde(default = "default_build_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('24h')").message("must be between 10s and 24h"))]
    pub timeout: Duration,
    /// Keep layers for the Service's next build.
    #[serde(default = "yes")]
    pub cache: bool,
    /// CPU and memory of the build. Default: requests 250m and 512Mi, limits 2 and 4Gi.
    #[serde(default)]
    pub resources: Resources,
}

impl Default for BuildSettings {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            dockerfile: default_dockerfile(),
            target: None,
            args: BTreeMap::new(),
            command: None,
            install: None,
            start: None,
            output: None,
            provider: None,
            version: None,
            packages: Vec::new(),
            secrets: Vec::new(),
            supersede: false,
            timeout: default_build_timeout(),
            cache: true,
            resources: Resources::default(),
        }
    }
}

/// Value of a build argument, for the schema's bounds.
#[derive(JsonSchema)]
#[schemars(inline, transparent)]
#[allow(dead_code, reason = "only its schema is used")]
pub struct BuildArgument(#[schemars(length(max = 4096))] String);

fn default_dockerfile() -> RepoPath {
    "Dockerfile".into()
}
fn default_build_timeout() -> Duration {
    "20m".into()
}
fn yes() -> bool {
    true
}
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's shape")]
fn is_false(value: &bool) -> bool {
    !*value
}
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's shape")]
fn is_zero(value: &i32) -> bool {
    *value == 0
}

/// A key of a Secret that a build may read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildSecret {
    /// Name of the file under `/run/secrets`.
    pub name: FileName,
    /// The Secret, and the key in it.
    pub secret_key_ref: KeyReference,
}

/// Ecosystems that a source without a Dockerfile may belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "they are names")]
pub enum Provider {
    Go,
    Java,
    Rust,
    Ruby,
    Php,
    Python,
    Node,
    Static,
}

impl Provider {
    /// As it stands in a spec.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Java => "java",
            Self::Rust => "rust",
            Self::Ruby => "ruby",
            Self::Php => "php",
            Self::Python => "python",
            Self::Node => "node",
            Self::Static => "static",
        }
    }
}

/// How to find out how to build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Strategy {
    /// The Dockerfile if there is one, else the recognised language.
    #[default]
    Auto,
    /// The Dockerfile, and nothing else.
    Dockerfile,
}

/// Where a Build stands.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum BuildPhase {
    /// Not looked at, or waiting for something that the conditions name.
    #[default]
    Pending,
    /// Waiting for a place: as many builds are under way as may be.
    Queued,
    /// The source is being fetched.
    Fetching,
    /// The image is being built.
    Building,
    /// The image is being pushed.
    Pushing,
    /// The image is in the registry.
    Succeeded,
    /// It failed; `failure` says why.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// A newer commit made it pointless.
    Superseded,
}

impl BuildPhase {
    /// Nothing more will happen.
    pub fn ended(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::Superseded
        )
    }

    /// As it stands in status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Queued => "Queued",
            Self::Fetching => "Fetching",
            Self::Building => "Building",
            Self::Pushing => "Pushing",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::Superseded => "Superseded",
        }
    }
}

/// What Trackbed observed of a Build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildStatus {
    /// Generation of the spec that the rest speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Succeeded, Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Where the build stands.
    #[serde(default)]
    pub phase: BuildPhase,
    /// While it waits: its place in the queue, from 1. Beyond ten only about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_position: Option<i32>,
    /// Jobs that were started for it: what may pass is tried again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: i32,
    /// While the image is built: the instruction of the Dockerfile that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The image by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The commit's first seven digits, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_commit: Option<String>,
    /// First line of the commit's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The commit's author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// What was recognised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<BuildPlan>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The last lines of the failed step's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_tail: Option<String>,
    /// When its pod started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// How long each step took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durations: Option<StepDurations>,
}

/// What was recognised in the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildPlan {
    /// Language, like `node`; `dockerfile` where the repository's own is used.
    pub language: String,
    /// Version of the language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Framework, like `express`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
    /// `generated` or `repository`.
    pub dockerfile: String,
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The reason, of a closed set.
    pub reason: Reason,
    /// What happened and what to do, one sentence or two.
    pub message: String,
    /// Whether trying again may help.
    pub retryable: bool,
    /// The step that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Exit code of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
}

/// Seconds that each step of a build took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepDurations {
    /// From the Build's creation to the start of its first step, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<i64>,
    /// Fetching the source, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetch: Option<i64>,
    /// Building the image, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<i64>,
    /// Pushing the image, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<i64>,
}

/// A ref that a Service follows. Kept here because a Build names where its commit was found.
pub fn full_ref(branch: Option<&RefName>, tag: Option<&RefName>) -> Option<String> {
    match (branch, tag) {
        (Some(branch), _) => Some(format!("refs/heads/{branch}")),
        (None, Some(tag)) => Some(format!("refs/tags/{tag}")),
        (None, None) => None,
    }
}
