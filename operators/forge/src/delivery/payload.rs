//! What stands in a payload. Only what is needed, and everything may be missing.

use std::borrow::Cow;

use axum::http::HeaderMap;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Change, Event, Format, Push, Refusal, header, pulls};

/// Reads a verified payload.
pub(super) fn read(format: Format, headers: &HeaderMap, body: &[u8]) -> Result<Event, Refusal> {
    let event = event(format, headers);
    match (format, event) {
        (Format::GitHub, "ping") | (Format::Bitbucket, "diagnostics:ping") => Ok(Event::Ping),
        (Format::GitHub | Format::Gitea, "push") => {
            let form = form(headers, body);
            let hub: Hub = json(form.as_deref().unwrap_or(body))?;
            hub.push().map(Event::Push)
        }
        (Format::GitLab, "Push Hook" | "Tag Push Hook") => {
            json::<Lab>(body)?.push().map(Event::Push)
        }
        (Format::Bitbucket, "repo:push") => json::<Cloud>(body)?.push().map(Event::Push),
        (Format::Bitbucket, "repo:refs_changed") => {
            json::<DataCenter>(body)?.push().map(Event::Push)
        }
        (Format::Generic, _) => generic(body),
        (_, event) if pulls::are_of(format, event) => {
            let form = form(headers, body);
            pulls::read(format, event, form.as_deref().unwrap_or(body)).map(Event::PullRequest)
        }
        (_, other) => Ok(Event::Ignored(other.chars().take(64).collect())),
    }
}

fn event(format: Format, headers: &HeaderMap) -> &str {
    let names: &[&str] = match format {
        Format::GitHub => &["x-github-event"],
        Format::GitLab => &["x-gitlab-event"],
        Format::Gitea => &["x-forgejo-event", "x-gitea-event"],
        Format::Bitbucket => &["x-event-key"],
        Format::Generic => &[],
    };
    let found = names.iter().find_map(|name| header(headers, name));
    found.unwrap_or_default()
}

pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::Malformed(error.to_string()))
}

/// GitHub's other content type: the payload as a field of a form.
fn form(headers: &HeaderMap, body: &[u8]) -> Option<Vec<u8>> {
    let kind = header(headers, "content-type")?;
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let mut fields = form_urlencoded::parse(body);
    let payload: Cow<'_, str> = fields.find(|(name, _)| name == "payload")?.1;
    Some(payload.into_owned().into_bytes())
}

/// A push with one ref.
fn one(urls: Vec<Option<String>>, reference: &str, commit: Option<&str>) -> Result<Push, Refusal> {
    Ok(Push {
        urls: urls.into_iter().flatten().collect(),
        changes: vec![change(reference, commit)?],
    })
}

pub(super) fn change(reference: &str, commit: Option<&str>) -> Result<Change, Refusal> {
    let plain = reference.starts_with("refs/") && !reference.contains(char::is_control);
    if !plain || reference.len() > 1024 {
        return Err(Refusal::Malformed(
            "ref must be a full ref, like refs/heads/main".to_owned(),
        ));
    }
    // Forges send as many zeros for a ref that is gone.
    let commit = commit.filter(|it| it.chars().any(|c| c != '0'));
    let is_id =
        |it: &&str| matches!(it.len(), 40 | 64) && it.chars().all(|c| c.is_ascii_hexdigit());
    if commit.is_some_and(|it| !is_id(&it)) {
        return Err(Refusal::Malformed("the commit is no commit id".to_owned()));
    }
    Ok(Change {
        reference: reference.to_owned(),
        commit: commit.map(str::to_ascii_lowercase),
    })
}

/// GitHub, Gitea, Forgejo.
#[derive(Deserialize)]
struct Hub {
    r#ref: String,
    after: Option<String>,
    repository: HubRepository,
}

#[derive(Deserialize)]
pub(super) struct HubRepository {
    clone_url: Option<String>,
    ssh_url: Option<String>,
    html_url: Option<String>,
}

impl HubRepository {
    pub(super) fn urls(self) -> Vec<Option<String>> {
        vec![self.clone_url, self.ssh_url, self.html_url]
    }
}

impl Hub {
    fn push(self) -> Result<Push, Refusal> {
        let urls = self.repository.urls();
        one(urls, &self.r#ref, self.after.as_deref())
    }
}

/// GitLab.
#[derive(Deserialize)]
struct Lab {
    r#ref: String,
    after: Option<String>,
    project: LabProject,
}

#[derive(Deserialize)]
pub(super) struct LabProject {
    git_http_url: Option<String>,
    git_ssh_url: Option<String>,
    web_url: Option<String>,
}

impl LabProject {
    pub(super) fn urls(self) -> Vec<Option<String>> {
        vec![self.git_http_url, self.git_ssh_url, self.web_url]
    }
}

impl Lab {
    fn push(self) -> Result<Push, Refusal> {
        let urls = self.project.urls();
        one(urls, &self.r#ref, self.after.as_deref())
    }
}

/// Bitbucket Cloud.
#[derive(Deserialize)]
struct Cloud {
    push: CloudPush,
    repository: CloudRepository,
}

#[derive(Deserialize)]
struct CloudPush {
    changes: Vec<CloudChange>,
}

#[derive(Deserialize)]
struct CloudChange {
    new: Option<CloudRef>,
    old: Option<CloudRef>,
}

#[derive(Deserialize)]
struct CloudRef {
    r#type: String,
    name: String,
    target: Option<CloudTarget>,
}

#[derive(Deserialize)]
struct CloudTarget {
    hash: String,
}

#[derive(Deserialize)]
pub(super) struct CloudRepository {
    pub(super) full_name: Option<String>,
    links: Option<CloudLinks>,
}

#[derive(Deserialize)]
struct CloudLinks {
    html: Option<Link>,
}

#[derive(Deserialize)]
pub(super) struct Link {
    pub(super) href: String,
}

impl CloudRepository {
    pub(super) fn urls(self) -> Vec<Option<String>> {
        let html = self.links.and_then(|it| it.html);
        let ssh = self.full_name;
        vec![
            html.map(|it| it.href),
            ssh.map(|name| format!("git@bitbucket.org:{name}.git")),
        ]
    }
}

impl Cloud {
    fn push(self) -> Result<Push, Refusal> {
        let urls = self.repository.urls();
        let changes = self.push.changes.into_iter().filter_map(|it| {
            let gone = it.new.is_none();
            let at = it.new.or(it.old)?;
            let kind = match at.r#type.as_str() {
                "branch" => "heads",
                "tag" => "tags",
                _ => return None,
            };
            let commit = at.target.filter(|_| !gone).map(|it| it.hash);
            Some(change(
                &format!("refs/{kind}/{}", at.name),
                commit.as_deref(),
            ))
        });
        Ok(Push {
            urls: urls.into_iter().flatten().collect(),
            changes: changes.collect::<Result<_, _>>()?,
        })
    }
}

/// Bitbucket Data Center.
#[derive(Deserialize)]
struct DataCenter {
    changes: Vec<DataCenterChange>,
    repository: DataCenterRepository,
}

#[derive(Deserialize)]
struct DataCenterChange {
    r#ref: DataCenterRef,
    #[serde(rename = "toHash")]
    to: Option<String>,
}

#[derive(Deserialize)]
struct DataCenterRef {
    id: String,
}

#[derive(Deserialize)]
struct DataCenterRepository {
    links: Option<DataCenterLinks>,
}

#[derive(Deserialize)]
pub(super) struct DataCenterLinks {
    pub(super) clone: Option<Vec<Link>>,
}

impl DataCenter {
    fn push(self) -> Result<Push, Refusal> {
        let links = self.repository.links.and_then(|it| it.clone);
        let changes = self.changes.iter();
        let changes = changes.map(|it| change(&it.r#ref.id, it.to.as_deref()));
        Ok(Push {
            urls: links.into_iter().flatten().map(|it| it.href).collect(),
            changes: changes.collect::<Result<_, _>>()?,
        })
    }
}

/// Our own.
#[derive(Deserialize)]
struct Generic {
    url: String,
    r#ref: Option<String>,
    commit: Option<String>,
    #[serde(rename = "pullRequest")]
    pull_request: Option<pulls::Generic>,
}

fn generic(body: &[u8]) -> Result<Event, Refusal> {
    let it: Generic = json(body)?;
    match (it.r#ref, it.pull_request) {
        (Some(reference), None) => {
            one(vec![Some(it.url)], &reference, it.commit.as_deref()).map(Event::Push)
        }
        (None, Some(request)) => request.read(it.url, it.commit).map(Event::PullRequest),
        _ => Err(Refusal::Malformed(
            "it must have either ref or pullRequest".to_owned(),
        )),
    }
}
