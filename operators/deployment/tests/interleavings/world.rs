//! A cluster as far as releases see it: objects with versions, and pods that do what their release
//! is like.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{apps::v1 as appsv1, batch::v1::Job, core::v1::Pod};
use trackbed_api::{
    Deployment, DeploymentSpec, Service, ServiceSpec,
    deployment::DeploymentPhase::{self, Active},
    run::{PreDeploy, RunSpec},
};
use trackbed_deployment::plan::{order::Order, verdict::release_of, workload::ATTEMPT};
use trackbed_kit::{Config, meta};

use crate::{
    operator::{Known, Reconcile},
    pods::{self, Exit, Nature},
};

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
    /// What its command of `run.preDeploy` ends with, if it has one.
    pub(crate) command: Option<Exit>,
}

impl Found {
    /// Whether its pods come up sooner or later, once it is applied.
    pub(crate) fn comes_up(&self) -> bool {
        self.nature.comes_up() && self.may_be_applied()
    }

    pub(crate) fn may_be_applied(&self) -> bool {
        self.command != Some(Exit::Failure)
    }
}

/// An object at one of its versions.
#[derive(Clone)]
pub(crate) struct Versioned<T> {
    pub(crate) version: u64,
    pub(crate) object: T,
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) version: u64,
    pub(crate) service: Service,
    pub(crate) releases: BTreeMap<String, (Versioned<Deployment>, Nature)>,
    /// What commands end with, by release.
    pub(crate) exits: BTreeMap<String, Exit>,
    /// The Jobs of commands, by release.
    pub(crate) jobs: BTreeMap<String, Job>,
    pub(crate) workload: Option<Versioned<appsv1::Deployment>>,
    /// The pods of the workload's template are available.
    pub(crate) up: bool,
    /// What the operator's watches have told it by now.
    pub(crate) known: Known,
    pub(crate) under_way: BTreeMap<String, Reconcile>,
    pub(crate) config: Config,
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
            exits: BTreeMap::new(),
            jobs: BTreeMap::new(),
            workload: None,
            up: false,
            known: Known::default(),
            under_way: BTreeMap::new(),
            config: Config::example(),
        }
    }

    /// Adds a release, if its place is free.
    pub(crate) fn release(
        &mut self,
        (sequence, revision): Order,
        nature: Nature,
        exit: Option<Exit>,
    ) {
        let name = format!("web-{sequence}-{revision}");
        let digest = "0".repeat(64);
        let spec = DeploymentSpec {
            service: "web".into(),
            image: format!("registry.example.com/web@sha256:{digest}").into(),
            sequence,
            revision,
            run: RunSpec {
                pre_deploy: exit.map(|_| PreDeploy {
                    command: vec!["migrate".to_owned()],
                    timeout: "5m".into(),
                }),
                ..RunSpec::default()
            },
            ..DeploymentSpec::default()
        };
        let mut object = Deployment::new(&name, spec);
        object.metadata.namespace = Some("shop-production".to_owned());
        object.metadata.uid = Some(name.clone());
        object.metadata.generation = Some(1);
        if self.releases.contains_key(&name) {
            return;
        }
        self.exits.extend(exit.map(|exit| (name.clone(), exit)));
        let object = self.versioned(object);
        self.releases.entry(name).or_insert((object, nature));
    }

    /// Releases the newest commit with another configuration.
    pub(crate) fn edit(&mut self, nature: Nature, exit: Option<Exit>) {
        let newest = self.releases().iter().map(|it| it.order).max();
        if let Some((sequence, revision)) = newest {
            self.release((sequence, revision + 1), nature, exit);
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
            self.jobs_end();
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

    /// Commands that run come to their end.
    pub(crate) fn jobs_end(&mut self) {
        for (release, job) in &mut self.jobs {
            if job.status.is_none() {
                job.status = Some(self.exits[release].of_job());
                self.version += 1;
            }
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
            self.jobs_end();
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
                command: self.exits.get(name).copied(),
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

    pub(crate) fn name(&self, index: usize) -> Option<String> {
        let index = index.checked_rem(self.releases.len())?;
        self.releases.keys().nth(index).cloned()
    }

    pub(crate) fn versioned<T>(&mut self, object: T) -> Versioned<T> {
        self.version += 1;
        Versioned {
            version: self.version,
            object,
        }
    }

    /// The workload as its controller reports on it. A version that is not the newest was read
    /// before its pods could come up.
    pub(crate) fn with_status(&self, read: &Versioned<appsv1::Deployment>) -> appsv1::Deployment {
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

    pub(crate) fn pod(&self, workload: &appsv1::Deployment) -> Option<Arc<Pod>> {
        let release = release_of(workload)?;
        let (_, nature) = self.releases.get(release).filter(|_| !self.up)?;
        pods::failing(release, *nature).map(Arc::new)
    }
}
