//! Who holds a place, and who is told when that changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{Stream, channel::mpsc};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use trackbed_api::Build;
use trackbed_kit::Config;

use crate::{
    observe::Stores,
    queue::{Entry, Key, Limits, Turn, turns},
};

/// The queue of this process, which is the only one: a Build controller leads or does nothing.
/// All of it is worked out anew from the caches after a restart.
pub struct Places {
    stores: Stores,
    state: Mutex<State>,
    wake: mpsc::UnboundedSender<ObjectRef<Build>>,
}

#[derive(Default)]
struct State {
    /// Builds that were told to start and whose Job is not in the cache yet, by uid. Without it two
    /// reconciles at once would give away one place twice.
    granted: BTreeSet<String>,
    /// Builds that cannot use a place at the moment, by uid.
    blocked: BTreeSet<String>,
    /// What everybody was told last.
    turns: BTreeMap<Key, Turn>,
}

impl Places {
    /// A queue, and the Builds that are to be reconciled because of it.
    pub fn new(stores: Stores) -> (Arc<Self>, impl Stream<Item = ObjectRef<Build>> + Send) {
        let (wake, woken) = mpsc::unbounded();
        let places = Self {
            stores,
            state: Mutex::default(),
            wake,
        };
        (Arc::new(places), woken)
    }

    /// Whether a Build may start now. Where it may, the place is its own until it ends.
    pub fn turn(&self, object: &Build, config: &Config) -> Turn {
        let uid = object.uid().unwrap_or_default();
        let mut state = self.state();
        state.blocked.remove(&uid);
        self.look(&mut state, config);
        if state.granted.contains(&uid) {
            return Turn::Now;
        }
        let turn = state.turns.get(&key(object)).copied();
        if turn == Some(Turn::Now) {
            state.granted.insert(uid);
        }
        // What the cache does not show yet comes again when it does.
        turn.unwrap_or(Turn::Waits(1))
    }

    /// A Build cannot use its place: the next one gets it.
    pub fn pass(&self, object: &Build, config: &Config) {
        let uid = object.uid().unwrap_or_default();
        let mut state = self.state();
        state.granted.remove(&uid);
        state.blocked.insert(uid);
        self.look(&mut state, config);
    }

    /// Something changed: wakes those who are told something else now.
    pub fn refresh(&self, config: &Config) {
        self.look(&mut self.state(), config);
    }

    fn look(&self, state: &mut State, config: &Config) {
        let open = self.stores.open_builds();
        let uids: BTreeSet<String> = open.iter().filter_map(|build| build.uid()).collect();
        state.granted.retain(|uid| uids.contains(uid));
        state.blocked.retain(|uid| uids.contains(uid));
        let entries: Vec<Entry> = open
            .iter()
            .filter_map(|build| self.entry(build, state))
            .collect();
        let next = turns(&entries, &self.limits(config));
        for (key, turn) in &next {
            if state.turns.get(key) != Some(turn) {
                let (namespace, name) = key;
                // Nobody listens any more only when the controller has ended.
                let _ended = self
                    .wake
                    .unbounded_send(ObjectRef::new(name).within(namespace));
            }
        }
        state.turns = next;
    }

    fn entry(&self, build: &Build, state: &State) -> Option<Entry> {
        let key = key(build);
        let uid = build.uid().unwrap_or_default();
        let created = build.metadata.creation_timestamp.as_ref();
        let runs = state.granted.contains(&uid) || self.stores.has_job(build);
        if !runs && (state.blocked.contains(&uid) || build.spec.cancel) {
            return None;
        }
        Some(Entry {
            project: self.stores.project_of(&key.0)?,
            since: (
                created.map_or(Timestamp::MIN, |it| it.0),
                build.spec.sequence,
            ),
            runs,
            key,
        })
    }

    fn limits(&self, config: &Config) -> Limits {
        let all = usize::from(config.build.concurrent_builds).max(1);
        let each = match config.build.concurrent_builds_per_project {
            0 => all,
            some => usize::from(some),
        };
        let projects = self.stores.projects();
        let quotas = projects.iter().filter_map(|project| {
            let quota = project.spec.quota.as_ref()?.concurrent_builds?;
            Some((project.name_any(), usize::try_from(quota).ok()?))
        });
        Limits {
            all,
            each,
            projects: quotas.collect(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(build: &Build) -> Key {
    (build.namespace().unwrap_or_default(), build.name_any())
}
