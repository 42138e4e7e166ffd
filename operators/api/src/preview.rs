//! Previews: environments of a pull request or branch, with copies of what another one has.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Service, labels,
    project::{ENVIRONMENT_MAX, Quota},
    scalar::{Duration, GitUrl, Label, ObjectName, RefName},
};

/// How previews are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Previews {
    /// The environment whose Services and Databases a preview has copies of. The Databases are
    /// empty.
    pub of: Label,
    /// How many there may be at once. Further ones wait until one of them ends.
    #[serde(default = "default_max")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 50").message("must be between 1 and 50"))]
    pub max: i32,
    /// How long the preview of a pull request stays after the last push to it.
    #[serde(default = "default_ttl")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10m') && duration(self) <= duration('2160h')").message("must be between 10m and 2160h"))]
    pub ttl: Duration,
    /// Secrets of that environment that each preview gets a copy of, and no others. Whoever may
    /// push a branch can read them there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("!self.exists(name, name.startsWith('trackbed-'))").message("Secrets that Trackbed makes (trackbed-…) are made anew in each preview: remove them"))]
    pub secrets: Vec<ObjectName>,
    /// ConfigMaps of that environment that each preview gets a copy of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = Rule::new("!self.exists(name, name.startsWith('trackbed-') || name == 'kube-root-ca.crt')").message("ConfigMaps that Trackbed and Kubernetes make are made anew in each preview: remove them"))]
    pub config_maps: Vec<ObjectName>,
    /// What each preview may use at most. Default: the Project's quota. `concurrentBuilds` is of no
    /// meaning here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
}

fn default_max() -> i32 {
    5
}
fn default_ttl() -> Duration {
    "72h".into()
}

/// What an environment is a preview of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The branch that the copies follow.
    pub branch: RefName,
    /// Only the copies of Services with this repository follow it; the others run what serves in the
    /// other environment. Default: the repository that all of them have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<GitUrl>,
    /// When the preview ends, with everything in it. Default: when the environment is taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// A pull request that is open, as an annotation ([`crate::labels::PULL_REQUEST`] and the name of
/// the preview) of each Service that it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// Its branch.
    pub branch: RefName,
    /// The last commit that the forge told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When it was told of first.
    pub opened: jiff::Timestamp,
    /// When it changed last.
    pub changed: jiff::Timestamp,
}

impl PullRequest {
    /// Those that a Service was told of, by the names of their previews. What cannot be read, or is
    /// no name of an environment, is none.
    pub fn of(service: &Service) -> impl Iterator<Item = (String, Self)> {
        let annotations = service.metadata.annotations.iter().flatten();
        annotations.filter_map(|(key, value)| {
            let name = key.strip_prefix(labels::PULL_REQUEST)?;
            let is_name = name.len() <= ENVIRONMENT_MAX
                && name.starts_with(|c: char| c.is_ascii_lowercase())
                && !name.ends_with('-')
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            let request = serde_json::from_str(value).ok()?;
            is_name.then(|| (name.to_owned(), request))
        })
    }
}

/// What Trackbed observed of a preview.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewStatus {
    /// The branch.
    pub branch: String,
    /// The pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<u64>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}
