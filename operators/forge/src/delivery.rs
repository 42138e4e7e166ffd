//! Deliveries: from headers and raw bytes to a push.

mod payload;
mod pulls;
mod signature;

use axum::http::HeaderMap;
use jiff::Timestamp;

/// Who sent a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// <https://docs.github.com/webhooks/webhook-events-and-payloads>
    GitHub,
    /// <https://docs.gitlab.com/user/project/integrations/webhook_events/>
    GitLab,
    /// <https://docs.gitea.com/usage/webhooks>, and Forgejo
    Gitea,
    /// <https://support.atlassian.com/bitbucket-cloud/docs/event-payloads/>, and Data Center
    Bitbucket,
    /// Anybody else who can sign: `X-Trackbed-Signature: sha256=HEX` over
    /// `{"url": …, "ref": "refs/heads/main", "commit": …}`
    Generic,
}

/// What a delivery says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Refs moved.
    Push(Push),
    /// A pull request was opened, changed or closed.
    PullRequest(PullRequest),
    /// The forge tries whether anybody is there.
    Ping,
    /// Something else.
    Ignored(String),
}

/// Refs of a repository moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Push {
    /// Every address that the forge tells for the repository.
    pub urls: Vec<String>,
    /// What moved.
    pub changes: Vec<Change>,
}

/// A ref that moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The full ref, like `refs/heads/feature/cart`.
    pub reference: String,
    /// The commit that it names now. `None`: it was deleted, or the sender does not tell.
    pub commit: Option<String>,
}

/// A pull request (GitLab: merge request), as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullRequest {
    /// Every address that the forge tells for the repository that it is to be merged into.
    pub urls: Vec<String>,
    /// Its number.
    pub number: u64,
    /// Whether it is open.
    pub open: bool,
    /// Whether its branch is in another repository than the one that it is to be merged into.
    pub fork: bool,
    /// Its branch, without `refs/heads/`.
    pub branch: String,
    /// The last commit of the branch, where the forge tells all of its id.
    pub commit: Option<String>,
    /// When it changed last, where the forge tells.
    pub changed: Option<Timestamp>,
}

/// Why a delivery is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not signed with the secret. Deliberately no more than that.
    #[error("the signature is missing or wrong")]
    Unsigned,
    /// It is signed, and cannot be read.
    #[error("the payload cannot be read: {0}")]
    Malformed(String),
}

impl Format {
    /// What a delivery is, from its headers. Gitea and Forgejo send GitHub's headers too, so their
    /// own are looked for first.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        const MARKS: [(&str, Format); 6] = [
            ("x-trackbed-signature", Format::Generic),
            ("x-forgejo-event", Format::Gitea),
            ("x-gitea-event", Format::Gitea),
            ("x-gitlab-event", Format::GitLab),
            ("x-event-key", Format::Bitbucket),
            ("x-github-event", Format::GitHub),
        ];
        let found = MARKS.iter().find(|(name, _)| headers.contains_key(*name));
        found.map(|(_, format)| *format)
    }
}

/// Verifies a delivery, then reads it.
///
/// # Errors
/// When the signature is not the secret's over just these bytes, or the payload is not one.
pub fn open(headers: &HeaderMap, body: &[u8], secret: &[u8]) -> Result<Event, Refusal> {
    let format = Format::of(headers).ok_or(Refusal::Unsigned)?;
    signature::verify(format, headers, body, secret)?;
    payload::read(format, headers, body)
}

/// The text of a header.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
