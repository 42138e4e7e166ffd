//! What stands in a payload that tells of a pull request.

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    Format, PullRequest, Refusal,
    payload::{CloudRepository, DataCenterLinks, HubRepository, LabProject, change, json},
};

/// Whether such an event tells of a pull request.
pub(super) fn are_of(format: Format, event: &str) -> bool {
    match format {
        Format::GitHub | Format::Gitea => event == "pull_request",
        Format::GitLab => event == "Merge Request Hook",
        Format::Bitbucket => {
            // Comments and approvals change nothing of it.
            const TOLD: [&str; 11] = [
                "pullrequest:created",
                "pullrequest:updated",
                "pullrequest:fulfilled",
                "pullrequest:rejected",
                "pr:opened",
                "pr:modified",
                "pr:from_ref_updated",
                "pr:merged",
                "pr:declined",
                "pr:deleted",
                "pr:reopened",
            ];
            TOLD.contains(&event)
        }
        Format::Generic => false,
    }
}

/// Reads a payload.
pub(super) fn read(format: Format, event: &str, body: &[u8]) -> Result<PullRequest, Refusal> {
    match format {
        Format::GitHub | Format::Gitea => json::<Hub>(body)?.read(),
        Format::GitLab => json::<Lab>(body)?.read(),
        Format::Bitbucket if event.starts_with("pr:") => json::<DataCenter>(body)?.read(event),
        Format::Bitbucket | Format::Generic => json::<Cloud>(body)?.read(),
    }
}

/// What is told of a branch and its commit, held to the rules of pushes. Some forges cut the id.
fn request(branch: &str, commit: Option<&str>) -> Result<PullRequest, Refusal> {
    let whole = commit.filter(|it| it.len() >= 40);
    let change = change(&format!("refs/heads/{branch}"), whole)?;
    Ok(PullRequest {
        branch: branch.to_owned(),
        commit: change.commit,
        ..PullRequest::default()
    })
}

fn time(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

fn urls(all: Vec<Option<String>>) -> Vec<String> {
    all.into_iter().flatten().collect()
}

/// GitHub, Gitea, Forgejo.
#[derive(Deserialize)]
struct Hub {
    pull_request: HubRequest,
    repository: HubRepository,
}

#[derive(Deserialize)]
struct HubRequest {
    number: u64,
    state: String,
    head: HubSide,
    base: HubSide,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct HubSide {
    r#ref: String,
    sha: Option<String>,
    /// None where the fork was deleted.
    repo: Option<HubName>,
}

#[derive(Deserialize)]
struct HubName {
    full_name: String,
}

impl Hub {
    fn read(self) -> Result<PullRequest, Refusal> {
        let it = self.pull_request;
        let name = |side: &HubSide| side.repo.as_ref().map(|it| it.full_name.to_lowercase());
        let head = name(&it.head);
        Ok(PullRequest {
            urls: urls(self.repository.urls()),
            number: it.number,
            open: it.state == "open",
            fork: head.is_none() || head != name(&it.base),
            changed: time(it.updated_at.as_deref()),
            ..request(&it.head.r#ref, it.head.sha.as_deref())?
        })
    }
}

/// GitLab.
#[derive(Deserialize)]
struct Lab {
    object_attributes: LabRequest,
    project: LabProject,
}

#[derive(Deserialize)]
struct LabRequest {
    iid: u64,
    state: String,
    source_branch: String,
    source_project_id: Option<u64>,
    target_project_id: Option<u64>,
    last_commit: Option<LabCommit>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct LabCommit {
    id: String,
}

impl Lab {
    fn read(self) -> Result<PullRequest, Refusal> {
        let it = self.object_attributes;
        let commit = it.last_commit.as_ref().map(|it| it.id.as_str());
        Ok(PullRequest {
            urls: urls(self.project.urls()),
            number: it.iid,
            open: it.state == "opened",
            fork: it.source_project_id.is_none() || it.source_project_id != it.target_project_id,
            changed: time(it.updated_at.as_deref()),
            ..request(&it.source_branch, commit)?
        })
    }
}

/// Bitbucket Cloud.
#[derive(Deserialize)]
struct Cloud {
    pullrequest: CloudRequest,
    repository: CloudRepository,
}

#[derive(Deserialize)]
struct CloudRequest {
    id: u64,
    state: String,
    source: CloudSide,
    destination: CloudSide,
    updated_on: Option<String>,
}

#[derive(Deserialize)]
struct CloudSide {
    branch: CloudBranch,
    commit: Option<CloudCommit>,
    repository: Option<CloudRepository>,
}

#[derive(Deserialize)]
struct CloudBranch {
    name: String,
}

#[derive(Deserialize)]
struct CloudCommit {
    hash: String,
}

impl Cloud {
    fn read(self) -> Result<PullRequest, Refusal> {
        let it = self.pullrequest;
        let name = |side: &CloudSide| side.repository.as_ref()?.full_name.clone();
        let source = name(&it.source);
        let commit = it.source.commit.as_ref().map(|it| it.hash.as_str());
        Ok(PullRequest {
            urls: urls(self.repository.urls()),
            number: it.id,
            open: it.state == "OPEN",
            fork: source.is_none() || source != name(&it.destination),
            changed: time(it.updated_on.as_deref()),
            ..request(&it.source.branch.name, commit)?
        })
    }
}

/// Bitbucket Data Center.
#[derive(Deserialize)]
struct DataCenter {
    #[serde(rename = "pullRequest")]
    pull_request: DataCenterRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataCenterRequest {
    id: u64,
    state: String,
    from_ref: DataCenterSide,
    to_ref: DataCenterSide,
    /// In milliseconds since 1970.
    updated_date: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataCenterSide {
    display_id: String,
    latest_commit: Option<String>,
    repository: DataCenterRepository,
}

#[derive(Deserialize)]
struct DataCenterRepository {
    slug: String,
    project: DataCenterProject,
    links: Option<DataCenterLinks>,
}

#[derive(Deserialize)]
struct DataCenterProject {
    key: String,
}

impl DataCenterRepository {
    fn name(&self) -> String {
        format!("{}/{}", self.project.key, self.slug).to_lowercase()
    }

    /// What the forge tells; where it tells none, as it has them. Only their paths are compared.
    fn urls(self) -> Vec<String> {
        let name = self.name();
        let links = self.links.and_then(|it| it.clone);
        let told: Vec<_> = links.into_iter().flatten().map(|it| it.href).collect();
        match told.is_empty() {
            true => vec![
                format!("https://forge.invalid/scm/{name}.git"),
                format!("ssh://git@forge.invalid/{name}.git"),
            ],
            false => told,
        }
    }
}

impl DataCenter {
    fn read(self, event: &str) -> Result<PullRequest, Refusal> {
        let it = self.pull_request;
        let read = request(
            &it.from_ref.display_id,
            it.from_ref.latest_commit.as_deref(),
        )?;
        let changed = it.updated_date.map(Timestamp::from_millisecond);
        Ok(PullRequest {
            number: it.id,
            open: it.state == "OPEN" && event != "pr:deleted",
            fork: it.from_ref.repository.name() != it.to_ref.repository.name(),
            urls: it.to_ref.repository.urls(),
            changed: changed.and_then(Result::ok),
            ..read
        })
    }
}

/// Our own.
#[derive(Deserialize)]
pub(super) struct Generic {
    number: u64,
    branch: String,
    open: bool,
}

impl Generic {
    pub(super) fn read(self, url: String, commit: Option<String>) -> Result<PullRequest, Refusal> {
        Ok(PullRequest {
            urls: vec![url],
            number: self.number,
            open: self.open,
            ..request(&self.branch, commit.as_deref())?
        })
    }
}
