//! The operator: it reads and writes one thing at a time, by the decisions of the controller itself.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::{apps::v1 as appsv1, batch::v1::Job},
    apimachinery::pkg::apis::meta::v1::Time,
};
use kube::ResourceExt;
use trackbed_api::{
    Deployment,
    deployment::DeploymentPhase::{Active, PreDeploy, Progressing},
};
use trackbed_deployment::{
    observe::{Place, Seen},
    plan::{
        Plan, plan, predeploy,
        verdict::release_of,
        workload::{ATTEMPT, order_of},
    },
};
use trackbed_kit::meta;

use crate::{
    pods::Exit,
    world::{Versioned, World},
};

type Workload = Option<Versioned<appsv1::Deployment>>;

/// A reconcile that is under way.
pub(crate) struct Reconcile {
    /// The release as it was when it began.
    own: Versioned<Deployment>,
    stage: Stage,
}

/// How far a reconcile is.
enum Stage {
    Begun,
    /// It has read the workload.
    Read(Workload),
    /// It has read all else, and decided.
    Decided(Decided),
    /// It has written the workload, or had nothing to write.
    Applied(Plan),
}

struct Decided {
    plan: Plan,
    /// Version of the workload that was read.
    read: Option<u64>,
    /// The pin that was read.
    pin: Option<String>,
}

/// The operator's caches. Each is as it once was, and they need not be of the same moment.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) releases: BTreeMap<String, Versioned<Deployment>>,
    pub(crate) workload: Option<Versioned<appsv1::Deployment>>,
    pub(crate) jobs: BTreeMap<String, Job>,
}

impl World {
    /// The watch of releases catches up.
    pub(crate) fn watch_releases(&mut self) {
        let current = self.releases.iter();
        self.known.releases = current
            .map(|(name, (object, _))| (name.clone(), object.clone()))
            .collect();
    }

    /// The watch of Jobs catches up.
    pub(crate) fn watch_jobs(&mut self) {
        self.known.jobs = self.jobs.clone();
    }

    /// The watch of workloads catches up.
    pub(crate) fn watch_workload(&mut self) {
        self.known.workload = self.workload.clone();
    }

    /// The operator's next step for a release: it reads the release, then the workload, then all
    /// else, and writes the workload, then the release's status.
    pub(crate) fn step(&mut self, index: usize) {
        let Some(name) = self.name(index) else { return };
        let next = match self.under_way.remove(&name) {
            Some(Reconcile { own, stage }) => {
                let stage = self.advance(&name, &own, stage);
                stage.map(|stage| Reconcile { own, stage })
            }
            // None: nobody told the operator of it yet.
            None => self.known.releases.get(&name).map(|own| Reconcile {
                own: own.clone(),
                stage: Stage::Begun,
            }),
        };
        if let Some(next) = next {
            self.under_way.insert(name, next);
        }
    }

    /// Where the reconcile gets. None: it ends.
    fn advance(&mut self, name: &str, own: &Versioned<Deployment>, stage: Stage) -> Option<Stage> {
        match stage {
            Stage::Begun => Some(Stage::Read(self.known.workload.clone())),
            Stage::Read(workload) => Some(Stage::Decided(Decided {
                plan: plan(
                    &own.object,
                    &self.seen(workload.as_ref()),
                    &self.config,
                    self.now,
                ),
                read: workload.map(|it| it.version),
                pin: self.pinned().map(str::to_owned),
            })),
            Stage::Decided(decided) => self
                .apply(name, &decided)
                .then_some(Stage::Applied(decided.plan)),
            Stage::Applied(plan) => {
                self.write_status(name, own.version, &plan);
                None
            }
        }
    }

    /// Reads what there is now and goes all the way.
    pub(crate) fn reconcile(&mut self, index: usize) {
        let Some(name) = self.name(index) else { return };
        self.under_way.remove(&name);
        self.watch_releases();
        self.watch_workload();
        self.watch_jobs();
        self.step(index);
        while self.under_way.contains_key(&name) {
            self.step(index);
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
                preview_of: None,
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
            jobs: self.known.jobs.values().cloned().map(Arc::new).collect(),
            ..Seen::default()
        }
    }

    /// As the controller does: it creates a Job or makes room for one, and looks at what there is
    /// before.
    fn prepare(&mut self, name: &str, job: &Job) -> bool {
        let live = self.known.jobs.get(name);
        if let Some(live) = live {
            let stale =
                !predeploy::runs(live) && predeploy::attempt(live) != predeploy::attempt(job);
            if stale {
                self.jobs.remove(name);
                self.version += 1;
            }
            return true;
        }
        if self.jobs.contains_key(name) || self.jobs.values().any(predeploy::runs) {
            return false;
        }
        let stored = self.releases[name].0.object.status.as_ref();
        assert_eq!(
            stored.map(|it| it.phase),
            Some(PreDeploy),
            "{name} says so first"
        );
        self.version += 1;
        let mut job = job.clone();
        job.metadata.creation_timestamp = Some(Time(self.now));
        self.jobs.insert(name.to_owned(), job);
        true
    }

    /// Whether the reconcile goes on: a write onto another version than the one that was read is
    /// refused.
    fn apply(&mut self, name: &str, decided: &Decided) -> bool {
        if let Some(job) = &decided.plan.job {
            return self.prepare(name, job);
        }
        let Some(children) = &decided.plan.children else {
            return true;
        };
        if self.exits.contains_key(name) {
            let ended = self.jobs.get(name).and_then(|it| it.status.as_ref());
            assert_eq!(
                ended,
                Some(&Exit::Success.of_job()),
                "{name} is applied before its command succeeded"
            );
        }
        if self.workload.as_ref().map(|it| it.version) != decided.read {
            return false;
        }
        // What makes pods, and what does not.
        let pods = |it: &appsv1::Deployment| {
            let replicas = it.spec.as_ref().and_then(|spec| spec.replicas);
            (release_of(it).map(str::to_owned), replicas)
        };
        let marks = |it: &appsv1::Deployment| {
            let attempt = meta::annotation(it, ATTEMPT).map(str::to_owned);
            (order_of(it), attempt)
        };
        let (live, desired) = (self.workload.as_ref(), &children.workload);
        let same_pods = live.is_some_and(|it| pods(&it.object) == pods(desired));
        if same_pods && live.is_some_and(|it| marks(&it.object) == marks(desired)) {
            return true;
        }
        self.fence(name, decided.pin.as_deref());
        self.up &= same_pods;
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
        let replaces_later = serving.object.spec.order() > mine.spec.order();
        assert!(
            !(replaces_later && is_active(&serving.object) && pin != Some(name)),
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
        let was = current.object.status.as_ref().map(|it| it.phase);
        if was != Some(phase) {
            match phase {
                // By now another may have taken its place: it did serve.
                Active => assert!(plan.children.is_some(), "what is active is applied"),
                Progressing | PreDeploy => {
                    assert!(
                        plan.children.is_none(),
                        "{name} is applied before it says so"
                    );
                }
                _ => {}
            }
            let mut others = self.releases.iter().filter(|(other, _)| *other != name);
            assert!(
                was != Some(Active) || others.any(|(_, (other, _))| is_active(&other.object)),
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

fn is_active(object: &Deployment) -> bool {
    object.status.as_ref().map(|it| it.phase) == Some(Active)
}
