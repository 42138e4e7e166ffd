//! One commit of a repository, on disk.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use git2::{
    AutotagOption, FetchOptions, ObjectType, Oid, Repository, TreeWalkMode, TreeWalkResult,
    build::CheckoutBuilder,
};

use crate::{Error, Request};

/// What to fetch.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The repository.
    pub request: Request,
    /// Full id of the commit.
    pub commit: String,
    /// Full ref at which it was found, for servers that hand out refs only.
    pub reference: Option<String>,
    /// Most bytes that are taken from the server.
    pub max_bytes: u64,
}

/// What a commit says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// First line of its message.
    pub message: String,
    /// Its author's name.
    pub author: String,
    /// Bytes that were received for it.
    pub received: u64,
}

/// Writes the files of a commit into a folder. Symbolic links are written as links and never
/// followed; there is no `.git` in the folder, and no hook is run.
///
/// `progress` is told received and all objects, and received bytes.
///
/// # Errors
/// See [`Error`].
pub fn fetch(
    fetch: &Fetch,
    into: &Path,
    progress: &mut dyn FnMut(usize, usize, u64),
) -> Result<Commit, Error> {
    fetch.request.check()?;
    let url = &fetch.request.url;
    let id = Oid::from_str(&fetch.commit).map_err(|_| missing(fetch))?;
    let store = tempfile::tempdir().map_err(|source| Error::Io {
        what: "making a folder for the clone".to_owned(),
        source,
    })?;
    let git = |error: &git2::Error| Error::of(url, error, false, false);
    let repository = Repository::init_bare(store.path()).map_err(|e| git(&e))?;
    let received = receive(&repository, fetch, id, progress)?;
    let commit = repository.find_commit(id).map_err(|_| missing(fetch))?;
    let tree = commit.tree().map_err(|e| git(&e))?;
    refuse_submodules(&tree, url)?;
    let mut checkout = CheckoutBuilder::new();
    checkout
        .target_dir(into)
        .force()
        .disable_filters(true)
        .update_index(false);
    repository
        .checkout_tree(tree.as_object(), Some(&mut checkout))
        .map_err(|e| git(&e))?;
    Ok(Commit {
        message: commit
            .summary()
            .ok()
            .flatten()
            .unwrap_or_default()
            .to_owned(),
        author: commit.author().name().unwrap_or_default().to_owned(),
        received,
    })
}

/// Tries what costs least first: the commit alone, then the ref's tip, then the ref with its
/// history, then all branches and tags.
fn receive(
    repository: &Repository,
    fetch: &Fetch,
    id: Oid,
    progress: &mut dyn FnMut(usize, usize, u64),
) -> Result<u64, Error> {
    let own = "refs/trackbed/commit";
    let by_ref = |depth: i32| {
        let reference = fetch.reference.as_ref();
        reference.map(|name| (vec![format!("+{name}:{own}")], depth))
    };
    let attempts = [
        Some((vec![format!("+{}:{own}", fetch.commit)], 1)),
        by_ref(1),
        by_ref(0),
        Some((
            vec![
                "+refs/heads/*:refs/trackbed/heads/*".to_owned(),
                "+refs/tags/*:refs/trackbed/tags/*".to_owned(),
            ],
            0,
        )),
    ];
    let begun = Instant::now();
    let mut received = 0;
    let mut last = None;
    for (refspecs, depth) in attempts.into_iter().flatten() {
        match attempt(
            repository,
            fetch,
            &refspecs,
            depth,
            begun,
            &mut received,
            progress,
        ) {
            Ok(()) if repository.find_commit(id).is_ok() => return Ok(received),
            Ok(()) => {}
            Err(
                error @ (Error::TooLarge { .. }
                | Error::Timeout { .. }
                | Error::CredentialsNeeded(_)
                | Error::CredentialsRefused(_)
                | Error::RepositoryNotFound(_)
                | Error::Unreachable { .. }),
            ) => return Err(error),
            // The server does not do it that way.
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error @ Error::Io { .. }) => Err(error),
        _ => Err(missing(fetch)),
    }
}

fn attempt(
    repository: &Repository,
    fetch: &Fetch,
    refspecs: &[String],
    depth: i32,
    begun: Instant,
    received: &mut u64,
    progress: &mut dyn FnMut(usize, usize, u64),
) -> Result<(), Error> {
    let request = &fetch.request;
    let mut asked = false;
    let (mut large, mut late) = (false, false);
    let before = *received;
    let mut sum = before;
    let result = {
        let mut callbacks = request.callbacks(&mut asked);
        callbacks.transfer_progress(|stats| {
            sum = before + stats.received_bytes() as u64;
            progress(stats.received_objects(), stats.total_objects(), sum);
            large = sum > fetch.max_bytes;
            late = begun.elapsed() > request.deadline;
            !large && !late
        });
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(callbacks)
            .depth(depth)
            .download_tags(AutotagOption::None)
            .follow_redirects(request.redirects());
        repository
            .remote_anonymous(&request.url)
            .and_then(|mut remote| remote.fetch(refspecs, Some(&mut options), None))
    };
    *received = sum;
    match result {
        Ok(()) => Ok(()),
        Err(_) if large => Err(Error::TooLarge {
            limit: fetch.max_bytes,
        }),
        Err(_) if late => Err(timeout(request, request.deadline)),
        Err(error) => {
            let given = request.credentials.is_some();
            Err(Error::of(&request.url, &error, asked, given))
        }
    }
}

fn timeout(request: &Request, deadline: Duration) -> Error {
    Error::Timeout {
        url: request.url.clone(),
        seconds: deadline.as_secs(),
    }
}

fn missing(fetch: &Fetch) -> Error {
    Error::CommitNotFound {
        url: fetch.request.url.clone(),
        commit: fetch.commit.clone(),
    }
}

/// A submodule would be an empty folder, which fails much later and says nothing.
fn refuse_submodules(tree: &git2::Tree<'_>, url: &str) -> Result<(), Error> {
    let mut found = Vec::new();
    tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        if entry.kind() == Some(ObjectType::Commit) {
            found.push(format!("{folder}{}", entry.name().unwrap_or("?")));
        }
        TreeWalkResult::Ok
    })
    .map_err(|error| Error::of(url, &error, false, false))?;
    if found.is_empty() {
        return Ok(());
    }
    Err(Error::Submodules(found.join(", ")))
}
