//! What the forge is told of the commit that was taken up.

use trackbed_api::{
    build::BuildPhase,
    common::condition::COMMIT_STATUS_POSTED,
    deployment::DeploymentPhase,
    reason::progress,
    scalar::GitUrl,
    service::{CommitState, CommitStatus, CommitStatuses},
};
use trackbed_kit::Fact;

use super::{View, phase};

/// What to tell a forge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The repository.
    pub repository: GitUrl,
    /// Which forge, and by which token.
    pub statuses: CommitStatuses,
    /// Namespace of the token's Secret.
    pub namespace: String,
    /// Who says it: one commit may be for several Services.
    pub context: String,
    /// What is said.
    pub status: CommitStatus,
    /// The same in words.
    pub description: String,
    /// Where it serves.
    pub url: Option<String>,
}

/// What to tell the forge, if it does not know yet.
pub fn next(view: &View<'_>) -> Option<Report> {
    let git = view.object.spec.source.git.as_ref()?;
    let statuses = git.statuses.clone()?;
    let (state, description) = state(view)?;
    let commit = view.status.source.as_ref()?.commit.clone()?;
    let status = CommitStatus { commit, state };
    if view.status.commit_status.as_ref() == Some(&status) {
        return None;
    }
    let namespace = view.object.metadata.namespace.clone().unwrap_or_default();
    Some(Report {
        repository: git.url.clone(),
        statuses,
        context: format!("trackbed/{namespace}/{}", view.name()),
        namespace,
        status,
        description,
        url: view.status.url.clone(),
    })
}

/// What the forge was told last.
pub fn told(view: &View<'_>) -> Option<CommitStatus> {
    view.object.spec.source.git.as_ref()?.statuses.as_ref()?;
    let told = view.seen.told.as_ref().filter(|told| told.outcome.is_ok());
    let told = told.map(|told| told.status.clone());
    told.or_else(|| view.status.commit_status.clone())
}

/// Whether the forge knows, where it is to be told.
pub fn fact(view: &View<'_>) -> Option<Fact> {
    view.object.spec.source.git.as_ref()?.statuses.as_ref()?;
    let fact = |status, reason: &str, message: String| {
        Some(Fact::new(COMMIT_STATUS_POSTED, status, reason, message))
    };
    let failed = view
        .seen
        .told
        .as_ref()
        .and_then(|it| it.outcome.as_ref().err());
    match (failed, next(view)) {
        (Some((reason, message)), Some(_)) => fact(Some(false), reason.as_str(), message.clone()),
        (None, Some(_)) => fact(
            None,
            progress::PROGRESSING,
            "the forge is being told".to_owned(),
        ),
        (_, None) => match &view.status.commit_status {
            Some(CommitStatus { commit, state }) => {
                let commit = commit.get(..7).unwrap_or(commit);
                let state = format!("{state:?}").to_lowercase();
                fact(
                    Some(true),
                    progress::READY,
                    format!("the forge knows commit {commit} as {state}"),
                )
            }
            None => fact(None, progress::PROGRESSING, "no commit yet".to_owned()),
        },
    }
}

/// What became of the commit so far, and in words.
fn state(view: &View<'_>) -> Option<(CommitState, String)> {
    let taken = view.status.source.as_ref()?;
    if view.object.spec.suspend {
        return None;
    }
    if taken.built_commit.is_some() {
        let words = "touches nothing that the Service watches";
        return Some((CommitState::Success, words.to_owned()));
    }
    let of_commit = |sequence: i64| sequence == taken.sequence;
    let releases = view.seen.releases.iter();
    let mut releases: Vec<_> = releases.filter(|it| of_commit(it.spec.sequence)).collect();
    releases.sort_by_key(|release| release.spec.order());
    let served = releases.iter().any(|release| {
        let status = release.status.as_ref();
        status.is_some_and(|status| status.active_since.is_some())
    });
    if served {
        return Some((CommitState::Success, "serves".to_owned()));
    }
    if let Some(release) = releases.last() {
        let failure = release.status.as_ref().and_then(|it| it.failure.as_ref());
        return Some(match (phase(release), failure) {
            (DeploymentPhase::Failed | DeploymentPhase::RolledBack, Some(failure)) => {
                (CommitState::Failure, failure.message.clone())
            }
            (DeploymentPhase::Failed | DeploymentPhase::RolledBack, None) => {
                (CommitState::Failure, "is not healthy".to_owned())
            }
            (DeploymentPhase::Superseded, _) => {
                (CommitState::Failure, "gave way to another".to_owned())
            }
            _ => (CommitState::Pending, "is being released".to_owned()),
        });
    }
    Some(built(view))
}

fn built(view: &View<'_>) -> (CommitState, String) {
    let status = view.build().and_then(|build| build.status.as_ref());
    let Some(status) = status else {
        return (CommitState::Pending, "waits for its build".to_owned());
    };
    match (status.phase, &status.failure) {
        (BuildPhase::Failed, Some(failure)) => (CommitState::Failure, failure.message.clone()),
        (BuildPhase::Failed, None) => (CommitState::Failure, "its build failed".to_owned()),
        (BuildPhase::Cancelled, _) => (CommitState::Failure, "its build was cancelled".to_owned()),
        (BuildPhase::Superseded, _) => (
            CommitState::Failure,
            "its build gave way to a newer one".to_owned(),
        ),
        _ => (CommitState::Pending, "is being built".to_owned()),
    }
}
