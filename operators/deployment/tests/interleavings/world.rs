//! A cluster as far as releases see it: objects with versions, an operator that reads and writes
//! them one at a time, and pods that do what their release is like.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{apps::v1 as appsv1, core::v1::Pod};
use kube::ResourceExt;
use trackbed_api::{
    Deployment, DeploymentSpec, Service, ServiceSpec,
    deployment::DeploymentPhase::{self, Active, Progressing},
};
use trackbed_deployment::{
    observe::{Place, Seen},
    plan::{
        Plan,
        order::Order,
        plan,
        verdict::release_of,
        workload::{ATTEMPT, order_of},
    },
};
use trackbed_kit::{Config, meta};

use crate::pods::{self, Nature};

/// How often everything is looked at before something has to be at rest.
const ROUNDS: usize = 60;
/// Longer than any timeout or back-off of a release.
const LONG: i64 = 1000;

/// A release, for assertions.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) order: Order,
    pub(crate) phase: DeploymentPhase,
    /// It has served.
    pub(crate) good: bool,
    pub(crate) nature: Nature,
}

#[derive(Clone)]
struct Versioned<T> {
    version: u64,
    object: T,
}

/// A reconcile that is under way: what it has read so far, and what it is about to write.
#[derive(Clone)]
struct Reconcile {
    own: Versioned<Deployment>,
    workload: Option<Option<Versioned<appsv1::Deployment>>>,
    plan: Option<(Plan, Option<String>)>,
    applied: bool,
}

/// The operator's caches. Each is as it once was, and they need not be of the same moment.
#[derive(Default)]
struct Known {
    releases: BTreeMap<String, Versioned<Deployment>>,
    workload: Option<Versioned<appsv1::Deployment>>,
}

pub(crate) struct World {
    now: Timestamp,
    version: u64,
    service: Service,
    releases: BTreeMap<String, (Versioned<Deployment>, Nature)>,
    workload: Option<Versioned<appsv1::Deployment>>,
    /// The pods of the workload's template are available.
    up: bool,
    /// What the operator's watches have told it by now.
    known: Known,
    under_way: BTreeMap<String, Reconcile>,
    config: Config,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut service = Service::new("web", ServiceSpec::default());
        service.metadata.namespace = Some("shop-production".to_owned());
        Self {
            now: Timestamp::from_second(1_700_000_000).expect("a time"),
            version: 1,
            service,
            releases: BTreeMap::new(),
            workload: None,
            up: false,
            known: Known::default(),
            under_way: BTreeMap::new(),
            config: Config::example(),
        }
    }

    /// Adds a release, if its place is free.
    pub(crate) fn release(&mut self, (sequence, revision): Order, nature: Nature) {
        let name = format!("web-{sequence}-{revision}");
        let digest = "0".repeat(64);
        let spec = DeploymentSpec {
            service: "web".into(),
            image: format!("registry.example.com/web@sha256:{digest}").into(),
            sequence,
            revision,
            ..DeploymentSpec::default()
        };
        let mut object = Deployment::new(&name, spec);
        object.metadata.namespace = Some("shop-production".to_owned());
        object.metadata.generation = Some(1);
        let object = self.versioned(object);
        self.releases.entry(name).or_insert((object, nature));
    }

    /// Releases the newest commit with another configuration.
    pub(crate) fn edit(&mut self, nature: Nature) {
        let newest = self.releases().iter().map(|it| it.order).max();
        if let Some((sequence, revision)) = newest {
            self.release((sequence, revision + 1), nature);
        }
    }

    pub(crate) fn set(&mut self, change: impl FnOnce(&mut ServiceSpec)) {
        change(&mut self.service.spec);
    }

    pub(crate) fn pin(&mut self, index: usize) {
        let pin = self.name(index).map(|name| name.as_str().into());
        self.service.spec.pin = pin;
    }

    /// Seconds go by; what comes up does so within half a minute.
    pub(crate) fn tick(&mut self, seconds: i64) {
        if seconds >= 30 {
            self.kubelet();
        }
        self.now += SignedDuration::from_secs(seconds);
    }

    pub(crate) fn kill(&mut self) {
        self.under_way.clear();
    }

    /// Not during a rollout: pods that are lost when its time is up fail it.
    pub(crate) fn lose_pods(&mut self) {
        let carried = self.serving().and_then(|it| self.releases.get(it));
        let status = carried.and_then(|(it, _)| it.object.status.as_ref());
        if status.is_some_and(|status| status.phase == Active) {
            self.up = false;
        }
    }

    pub(crate) fn kubelet(&mut self) {
        let Some(workload) = &self.workload else {
            return;
        };
        let carried = release_of(&workload.object).unwrap_or_default();
        let tries = meta::annotation(&workload.object, ATTEMPT).and_then(|it| it.parse().ok());
        self.up = match self.releases.get(carried).map(|(_, nature)| *nature) {
            Some(Nature::Good) => true,
            Some(Nature::PulledAtTry(try_)) => self.up || tries.unwrap_or(0) >= try_,
            _ => false,
        };
    }

    /// The watch of releases catches up.
    pub(crate) fn watch_releases(&mut self) {
        let current = self.releases.iter();
        self.known.releases = current
            .map(|(name, (object, _))| (name.clone(), object.clone()))
            .collect();
    }

    /// The watch of workloads catches up.
    pub(crate) fn watch_workload(&mut self) {
        self.known.workload = self.workload.clone();
    }

    /// The operator's next step for a release: it reads the release, then the workload, then all
    /// else, and writes the workload, then the release's status.
    pub(crate) fn step(&mut self, index: usize) {
        let Some(name) = self.name(index) else { return };
        let Some(mut reconcile) = self.under_way.remove(&name) else {
            // Nobody told the operator of it yet.
            let Some(own) = self.known.releases.get(&name).cloned() else {
                return;
            };
            let begun = Reconcile {
                own,
                workload: None,
                plan: None,
                applied: false,
            };
            self.under_way.insert(name, begun);
            return;
        };
        match (&reconcile.workload, &reconcile.plan, reconcile.applied) {
            (None, _, _) => reconcile.workload = Some(self.known.workload.clone()),
            (Some(workload), None, _) => {
                let seen = self.seen(workload.as_ref());
                let plan = plan(&reconcile.own.object, &seen, &self.config, self.now);
                let pin = self.pinned().map(str::to_owned);
                reconcile.plan = Some((plan, pin));
            }
            (Some(workload), Some((plan, pin)), false) => {
                let read = workload.as_ref().map(|it| it.version);
                if !self.apply(&name, plan, read, pin.as_deref()) {
                    return;
                }
                reconcile.applied = true;
            }
            (_, Some((plan, _)), true) => {
                self.write_status(&name, reconcile.own.version, plan);
                return;
            }
        }
        self.under_way.insert(name, reconcile);
    }

    /// Reads what there is now and goes all the way.
    pub(crate) fn reconcile(&mut self, index: usize) {
        let Some(name) = self.name(index) else { return };
        self.under_way.remove(&name);
        self.watch_releases();
        self.watch_workload();
        self.step(index);
        while self.under_way.contains_key(&name) {
            self.step(index);
        }
    }

    /// Lets everything take its course. Returns when nothing changes any more, also much later.
    pub(crate) fn settle(&mut self) {
        self.kill();
        let mut calm = 0;
        for _ in 0..ROUNDS {
            let before = self.version;
            let up = self.up;
            for index in 0..self.releases.len() {
                self.reconcile(index);
            }
            self.kubelet();
            if self.version != before || self.up != up {
                calm = 0;
                continue;
            }
            calm += 1;
            if calm == 3 {
                return;
            }
            self.tick(LONG);
        }
        panic!("no rest: {:?}", self.releases());
    }

    pub(crate) fn releases(&self) -> Vec<Found> {
        let found = self.releases.iter();
        let found = found.map(|(name, (object, nature))| {
            let status = object.object.status.clone().unwrap_or_default();
            Found {
                name: name.clone(),
                order: object.object.spec.order(),
                phase: status.phase,
                good: status.active_since.is_some(),
                nature: *nature,
            }
        });
        found.collect()
    }

    /// The release that the workload runs.
    pub(crate) fn serving(&self) -> Option<&str> {
        release_of(&self.workload.as_ref()?.object)
    }

    pub(crate) fn available(&self) -> bool {
        self.up
    }

    /// The pinned release, if it is there.
    pub(crate) fn pinned(&self) -> Option<&str> {
        let pin = self.service.spec.pin.as_ref()?;
        self.releases
            .contains_key(pin.as_str())
            .then_some(pin.as_str())
    }

    pub(crate) fn rolls_back(&self) -> bool {
        self.service.spec.rollout.auto_rollback
    }

    fn name(&self, index: usize) -> Option<String> {
        let index = index.checked_rem(self.releases.len())?;
        self.releases.keys().nth(index).cloned()
    }

    fn versioned<T>(&mut self, object: T) -> Versioned<T> {
        self.version += 1;
        Versioned {
            version: self.version,
            object,
        }
    }

    fn seen(&self, workload: Option<&Versioned<appsv1::Deployment>>) -> Seen {
        let mut releases = self.known.releases.clone();
        // The operator asks for the release that the workload runs if no watch told of it.
        let carried = workload.and_then(|it| release_of(&it.object));
        let carried = carried.and_then(|it| self.releases.get_key_value(it));
        if let Some((name, (object, _))) = carried {
            releases.entry(name.clone()).or_insert(object.clone());
        }
        Seen {
            place: Some(Place {
                project: "shop".to_owned(),
                environment: "production".to_owned(),
            }),
            service: Some(Arc::new(self.service.clone())),
            releases: releases
                .into_values()
                .map(|it| Arc::new(it.object))
                .collect(),
            workload: workload.map(|it| Arc::new(self.with_status(it))),
            pods: workload
                .and_then(|it| self.pod(&it.object))
                .into_iter()
                .collect(),
            ..Seen::default()
        }
    }

    /// The workload as its controller reports on it. A version that is not the newest was read
    /// before its pods could come up.
    fn with_status(&self, read: &Versioned<appsv1::Deployment>) -> appsv1::Deployment {
        let current = self.workload.as_ref().map(|it| it.version) == Some(read.version);
        let mut object = read.object.clone();
        let replicas = object.spec.as_ref().and_then(|spec| spec.replicas);
        let up = current && self.up;
        object.status = Some(appsv1::DeploymentStatus {
            observed_generation: object.metadata.generation,
            replicas,
            updated_replicas: replicas,
            available_replicas: replicas.filter(|_| up),
            ..appsv1::DeploymentStatus::default()
        });
        object
    }

    fn pod(&self, workload: &appsv1::Deployment) -> Option<Arc<Pod>> {
        let release = release_of(workload)?;
        let (_, nature) = self.releases.get(release).filter(|_| !self.up)?;
        pods::failing(release, *nature).map(Arc::new)
    }

    /// Whether the reconcile goes on: a write onto another version than the one that was read is
    /// refused.
    fn apply(&mut self, name: &str, plan: &Plan, read: Option<u64>, pin: Option<&str>) -> bool {
        let Some(children) = &plan.children else {
            return true;
        };
        if self.workload.as_ref().map(|it| it.version) != read {
            return false;
        }
        let desired = &children.workload;
        let parts = |it: &appsv1::Deployment| {
            (
                release_of(it).map(str::to_owned),
                order_of(it),
                meta::annotation(it, ATTEMPT).map(str::to_owned),
                it.spec.as_ref().and_then(|spec| spec.replicas),
            )
        };
        let before = self.workload.as_ref().map(|it| parts(&it.object));
        let after = parts(desired);
        if before.as_ref() == Some(&after) {
            return true;
        }
        self.fence(name, pin);
        // Another try makes no other pods.
        let stays = before.is_some_and(|it| it.0 == after.0 && it.3 == after.3);
        self.up &= stays;
        let mut object = desired.clone();
        object.metadata.generation = i64::try_from(self.version).ok();
        self.workload = Some(self.versioned(object));
        true
    }

    /// A later release that serves is replaced by an earlier one for a pin only.
    fn fence(&self, name: &str, pin: Option<&str>) {
        let Some((serving, _)) = self.serving().and_then(|it| self.releases.get(it)) else {
            return;
        };
        let mine = &self.releases[name].0.object;
        let phase = serving.object.status.as_ref().map(|status| status.phase);
        let replaces_later = serving.object.spec.order() > mine.spec.order();
        assert!(
            !(replaces_later && phase == Some(Active) && pin != Some(name)),
            "{name} replaces {}, which is later and serves",
            serving.object.name_any()
        );
    }

    fn write_status(&mut self, name: &str, read: u64, plan: &Plan) {
        let (current, _) = &self.releases[name];
        let status = Some(plan.outcome.status.clone());
        if current.version != read || current.object.status == status {
            return;
        }
        let phase = plan.outcome.status.phase;
        let moved = current.object.status.as_ref().map(|it| it.phase) != Some(phase);
        if moved && phase == Active {
            // By now another may have taken its place: it did serve.
            assert!(plan.children.is_some(), "what is active is applied");
        }
        if moved && phase == Progressing {
            assert!(
                plan.children.is_none(),
                "{name} is applied before it says so"
            );
        }
        let was = current.object.status.as_ref().map(|it| it.phase);
        if moved && was == Some(Active) {
            let mut others = self.releases.iter().filter(|(other, _)| *other != name);
            let serves =
                |object: &Deployment| object.status.as_ref().map(|it| it.phase) == Some(Active);
            assert!(
                others.any(|(_, (other, _))| serves(&other.object)),
                "{name} steps back before another serves"
            );
        }
        let mut object = current.object.clone();
        object.status = status;
        let object = self.versioned(object);
        if let Some(entry) = self.releases.get_mut(name) {
            entry.0 = object;
        }
    }
}
