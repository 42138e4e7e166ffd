//! One commit of a repository, on disk.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    time::{Duration, Instant},
};

use git2::{AutotagOption, FetchOptions, Oid, Repository, build::CheckoutBuilder};

use crate::{
    Error, Request, lfs,
    request::Witness,
    size,
    submodules::{self, Submodule},
    url::Url,
};

/// How libgit2 calls a history without end (`GIT_FETCH_DEPTH_UNSHALLOW`).
const ALL: i32 = i32::MAX;
/// A server that sends nothing for this long has stopped.
const SILENCE: Duration = Duration::from_secs(60);

/// What to fetch.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The repository. Its deadline is for the commit and all submodules.
    pub request: Request,
    /// Full id of the commit.
    pub commit: String,
    /// Full ref at which it was found, for servers that hand out refs only.
    pub reference: Option<String>,
    /// Folder that must not hold files of Git LFS. `None`: the whole commit.
    pub path: Option<String>,
    /// Most bytes that are taken from servers, and most that are written.
    pub max_bytes: u64,
}

/// What a commit says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Commit {
    /// First line of its message.
    pub message: String,
    /// Its author's name.
    pub author: String,
    /// When it was committed, in seconds since 1970.
    pub time: i64,
    /// Bytes that were received for it.
    pub received: u64,
    /// Submodules that were fetched with it, by folder.
    pub submodules: Vec<String>,
}

/// How far a fetch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Objects of the present repository that are here.
    pub objects: u64,
    /// Objects that it has.
    pub of: u64,
    /// Bytes that were received in all.
    pub bytes: u64,
}

/// What the working thread and the one that waits for it share.
pub(crate) struct Pace {
    objects: AtomicU64,
    of: AtomicU64,
    /// Bytes of what is done, and of what is under way.
    done: AtomicU64,
    current: AtomicU64,
    /// Bytes of the files that are written.
    written: AtomicU64,
    last: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            objects: AtomicU64::new(0),
            of: AtomicU64::new(0),
            done: AtomicU64::new(0),
            current: AtomicU64::new(0),
            written: AtomicU64::new(0),
            last: Mutex::new(Instant::now()),
        }
    }

    /// Something moved.
    pub(crate) fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// A file will be written: bytes of all files with it.
    pub(crate) fn write(&self, bytes: u64) -> u64 {
        self.written.fetch_add(bytes, Ordering::Relaxed) + bytes
    }

    fn silence(&self) -> Duration {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .elapsed()
    }

    fn bytes(&self) -> u64 {
        self.done.load(Ordering::Relaxed) + self.current.load(Ordering::Relaxed)
    }

    fn progress(&self) -> Progress {
        Progress {
            objects: self.objects.load(Ordering::Relaxed),
            of: self.of.load(Ordering::Relaxed),
            bytes: self.bytes(),
        }
    }
}

/// Writes the files of a commit, and those of its submodules, into a folder. Symbolic links are
/// written as links and never followed; there is no `.git` in the folder, and no hook is run.
///
/// `progress` is told about every second how far it is.
///
/// # Errors
/// See [`Error`]. By the request's deadline at the latest; what hangs is left to the end of the
/// process, for libgit2 has no way to interrupt it.
pub fn fetch(
    fetch: &Fetch,
    into: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Commit, Error> {
    let url = fetch.request.check()?;
    let (what, folder) = (fetch.clone(), into.to_owned());
    let address = &fetch.request.url;
    with_deadline(address, fetch.request.deadline, progress, move |pace| {
        materialise(&what, &url, &folder, pace, 0)
    })
}

/// Does something in a thread of its own until a deadline, or until nothing moved for a minute.
pub(crate) fn with_deadline<T: Send + 'static>(
    address: &str,
    deadline: Duration,
    progress: &mut dyn FnMut(Progress),
    work: impl FnOnce(&Pace) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let pace = Arc::new(Pace::new());
    let (send, receive) = sync_channel(1);
    let begun = Instant::now();
    let shared = pace.clone();
    std::thread::Builder::new()
        .name("git".to_owned())
        .spawn(move || {
            // Nobody waits any more after the deadline.
            let _late = send.send(work(&shared));
        })
        .map_err(|source| Error::Io {
            what: "starting a thread".to_owned(),
            source,
        })?;
    loop {
        match receive.recv_timeout(Duration::from_secs(1)) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::Git {
                    url: address.to_owned(),
                    message: "the fetch ended without a result".to_owned(),
                });
            }
            Err(RecvTimeoutError::Timeout) => progress(pace.progress()),
        }
        let silent = pace.silence() > SILENCE;
        if silent || begun.elapsed() > deadline {
            let limit = if silent { SILENCE } else { deadline };
            return Err(Error::Timeout {
                url: address.to_owned(),
                seconds: limit.as_secs(),
            });
        }
    }
}

/// One repository, and then those that it names.
pub(crate) fn materialise(
    fetch: &Fetch,
    url: &Url,
    into: &Path,
    pace: &Pace,
    depth: usize,
) -> Result<Commit, Error> {
    let store = tempfile::tempdir().map_err(|source| Error::Io {
        what: "making a folder for the clone".to_owned(),
        source,
    })?;
    let (mut commit, found) = write(fetch, url, store.path(), into, pace)?;
    // What the clone takes on disk is given back before the next.
    drop(store);
    commit.submodules = submodules::fetch(&found, fetch, url, into, pace, depth)?;
    commit.received = pace.bytes();
    Ok(commit)
}

/// The files of one repository's commit, and the submodules that it names.
fn write(
    fetch: &Fetch,
    url: &Url,
    store: &Path,
    into: &Path,
    pace: &Pace,
) -> Result<(Commit, Vec<Submodule>), Error> {
    let git = |error: &git2::Error| Error::of(url.as_str(), error, false, false);
    let id = Oid::from_str(&fetch.commit).map_err(|_| fetch.missing())?;
    let repository = Repository::init_bare(store).map_err(|e| git(&e))?;
    receive(&repository, fetch, url, id, pace)?;
    let commit = repository.find_commit(id).map_err(|_| fetch.missing())?;
    let tree = commit.tree().map_err(|e| git(&e))?;
    size::refuse(&repository, &tree, fetch.max_bytes, pace).map_err(|e| e.map(git))?;
    lfs::refuse(&repository, &tree, fetch.path.as_deref()).map_err(|e| e.map(git))?;
    // libgit2 looks at them too when it writes, and has no name for what is wrong with them.
    let found = submodules::of(&repository, &tree).map_err(|e| e.map(git))?;
    // Only a repository with a folder of its own writes commits that have submodules.
    repository.set_workdir(into, false).map_err(|e| git(&e))?;
    let mut checkout = CheckoutBuilder::new();
    checkout
        .force()
        .disable_filters(true)
        .update_index(false)
        .progress(|_, _, _| pace.beat());
    repository
        .checkout_tree(tree.as_object(), Some(&mut checkout))
        .map_err(|e| git(&e))?;
    let said = Commit {
        message: commit
            .summary()
            .ok()
            .flatten()
            .unwrap_or_default()
            .to_owned(),
        author: commit.author().name().unwrap_or_default().to_owned(),
        time: commit.time().seconds(),
        ..Commit::default()
    };
    Ok((said, found))
}

/// Tries what costs least first: the commit alone, then the ref's tip, then the ref with its
/// history, then all branches and tags.
pub(crate) fn receive(
    repository: &Repository,
    fetch: &Fetch,
    url: &Url,
    id: Oid,
    pace: &Pace,
) -> Result<(), Error> {
    let own = "refs/trackbed/commit";
    let by_ref = |depth: i32| {
        let reference = fetch.reference.as_ref();
        reference.map(|name| (vec![format!("+{name}:{own}")], depth))
    };
    let attempts = [
        Some((vec![format!("+{}:{own}", fetch.commit)], 1)),
        by_ref(1),
        by_ref(ALL),
        Some((
            vec![
                "+refs/heads/*:refs/trackbed/heads/*".to_owned(),
                "+refs/tags/*:refs/trackbed/tags/*".to_owned(),
            ],
            ALL,
        )),
    ];
    let mut last = None;
    for (refspecs, depth) in attempts.into_iter().flatten() {
        match attempt(repository, fetch, url, &refspecs, depth, pace) {
            Ok(()) if repository.find_commit(id).is_ok() => return Ok(()),
            Ok(()) => {}
            Err(error) if error.is_final() => return Err(error),
            // The server does not do it that way.
            Err(error) => last = Some(error),
        }
    }
    match last {
        Some(error @ Error::Io { .. }) => Err(error),
        _ => Err(fetch.missing()),
    }
}

fn attempt(
    repository: &Repository,
    fetch: &Fetch,
    url: &Url,
    refspecs: &[String],
    depth: i32,
    pace: &Pace,
) -> Result<(), Error> {
    let request = &fetch.request;
    let witness = Witness::default();
    let way = request.way(url, &witness)?;
    let mut large = false;
    let result = {
        let mut callbacks = request.callbacks(url, &witness);
        callbacks.transfer_progress(|stats| {
            pace.beat();
            pace.objects
                .store(stats.received_objects() as u64, Ordering::Relaxed);
            pace.of
                .store(stats.total_objects() as u64, Ordering::Relaxed);
            pace.current
                .store(stats.received_bytes() as u64, Ordering::Relaxed);
            large = pace.bytes() > fetch.max_bytes;
            !large
        });
        callbacks.sideband_progress(|_| {
            pace.beat();
            true
        });
        // Only of a history that was cut off can more be asked for, and only of a server that cuts.
        let depth = match depth {
            ALL if !repository.is_shallow() => 0,
            other => other,
        };
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(callbacks)
            .proxy_options(way.proxy)
            .depth(depth)
            .download_tags(AutotagOption::None)
            .follow_redirects(request.redirects());
        repository
            .remote_anonymous(&way.url)
            .and_then(|mut remote| remote.fetch(refspecs, Some(&mut options), None))
    };
    let received = pace.current.swap(0, Ordering::Relaxed);
    pace.done.fetch_add(received, Ordering::Relaxed);
    match result {
        Ok(()) => Ok(()),
        Err(_) if large => Err(Error::TooLarge {
            limit: fetch.max_bytes,
        }),
        Err(error) => Err(request.error(&error, &witness)),
    }
}

impl Fetch {
    pub(crate) fn missing(&self) -> Error {
        Error::CommitNotFound {
            url: self.request.url.clone(),
            commit: self.commit.clone(),
        }
    }
}
