//! What a release wants, from what was seen. Pure: time comes in as data.

pub mod bindings;
pub mod budget;
pub mod cron;
pub mod environment;
pub mod health;
pub mod ingress;
pub mod order;
pub mod pod;
pub mod predeploy;
pub mod route;
pub mod scaler;
pub mod service;
pub mod state;
pub mod status;
pub mod subject;
pub mod tcp;
pub mod text;
pub mod verdict;
pub mod volume;
pub mod workload;

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1 as appsv1,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::{CronJob, Job},
    core::v1::{self as corev1, PersistentVolumeClaim, Secret},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use kube::ResourceExt;
use trackbed_api::{
    Deployment, DeploymentStatus,
    common::condition::AVAILABLE,
    deployment::DeploymentPhase::{Active, Failed, Pending, PreDeploy, Progressing, RolledBack},
    reason::Reason,
};
use trackbed_kit::{Config, Fact, Health, Plan as Outcome, gateway::HttpRoute, meta};

use crate::observe::Seen;
use order::{Decision, decide};
use state::State;
use subject::Subject;
use verdict::LogOf;

/// How long until Secrets and ConfigMaps, which nobody watches, are looked at again.
const REFERENCES_RETRY: Duration = Duration::from_secs(10);
/// How long until a release that was kept off the workload looks again.
const FENCED_RETRY: Duration = Duration::from_secs(5);

/// What is to be done about a release.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The release's copy of what its variables refer to, where it is to be made: before all else.
    pub copy: Option<Secret>,
    /// What is applied. `None`: this release leaves the Service's objects alone.
    pub children: Option<Children>,
    /// The Job of the command that goes before, where it is to run.
    pub job: Option<Job>,
    /// Status, conditions and when to look again.
    pub outcome: Outcome<DeploymentStatus>,
}

/// The Service's objects. Optional ones that are `None` are removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Children {
    /// The workload, the only one that differs between releases.
    pub workload: appsv1::Deployment,
    /// Address inside the cluster.
    pub service: Option<corev1::Service>,
    /// Claims of the volumes. They are never removed.
    pub claims: Vec<PersistentVolumeClaim>,
    /// Runs at certain times.
    pub cron: Option<CronJob>,
    /// A number of pods that follows the load.
    pub scaler: Option<HorizontalPodAutoscaler>,
    /// Address outside.
    pub ingress: Option<Ingress>,
    /// The same by the Gateway API.
    pub routes: Vec<HttpRoute>,
    /// Address outside for clients without HTTP.
    pub tcp: Option<corev1::Service>,
    /// What lets them in.
    pub tcp_policy: Option<NetworkPolicy>,
    /// Protection against drains.
    pub budget: Option<PodDisruptionBudget>,
    /// Whether the optional ones are removed where they are not wanted: only a Service says that.
    pub prune: bool,
}

/// What has to be read besides the caches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Whether everything exists that the configuration refers to.
    pub references: bool,
    /// The last words of a crashed application.
    pub log: Option<LogOf>,
}

/// What the plan will depend on, judged from the caches alone.
pub fn needs(object: &Deployment, seen: &Seen, now: Timestamp) -> Needs {
    if stopped(object, seen).is_some() {
        return Needs::default();
    }
    let state = State::new(object, seen, now);
    let view = state.view();
    let config = state.trouble().is_some_and(|trouble| trouble.config);
    let decision = decide(&view);
    let prepares = decision.prepare && seen.job_of(&object.name_any()).is_none();
    Needs {
        references: view.starts() || prepares || config,
        log: state.log(decision.phase).cloned(),
    }
}

/// The plan for one release.
pub fn plan(object: &Deployment, seen: &Seen, config: &Config, now: Timestamp) -> Plan {
    let before = object.status.clone().unwrap_or_default();
    let place = match (stopped(object, seen), &seen.place) {
        (None, Some(place)) => place,
        (stopped, _) => {
            return Plan {
                copy: None,
                children: None,
                job: None,
                outcome: Outcome {
                    status: before,
                    health: stopped.unwrap_or_else(|| unmanaged(object)),
                    facts: Vec::new(),
                    requeue: None,
                },
            };
        }
    };
    let state = State::new(object, seen, now);
    let view = state.view();
    let decision = decide(&view);
    let status = status::next(&state, decision, now);
    let health = health::health(&state, &view, decision, &status);
    let subject = || Subject::new(object, seen, place, config);
    let children = decision
        .apply
        .then(|| children(&subject(), seen, decision, status.attempts));
    let command = object.spec.run.pre_deploy.as_ref();
    let job = command
        .filter(|_| decision.prepare)
        .map(|it| predeploy::desired(&subject(), it, status.attempts));
    let copy = seen.inputs.as_ref();
    let copy = copy.filter(|_| decision.apply || job.is_some());
    let copy = copy.map(|values| environment::copy(&subject(), values));
    let requeue = requeue(&state, &view, decision, &status, now);
    Plan {
        copy,
        children,
        job,
        outcome: Outcome {
            facts: vec![available(&health)],
            status,
            health,
            requeue,
        },
    }
}

fn children(
    subject: &Subject<'_>,
    seen: &Seen,
    decision: Decision,
    attempts: Option<i32>,
) -> Children {
    // What has no address takes that of the release before only once it runs.
    let replaces = decision.phase == Active || subject.listens();
    Children {
        workload: workload::desired(subject, attempts),
        service: service::desired(subject),
        claims: volume::claims(subject, seen),
        cron: cron::desired(subject),
        scaler: scaler::desired(subject),
        ingress: ingress::desired(subject),
        routes: route::desired(subject),
        tcp: tcp::service(subject),
        tcp_policy: tcp::policy(subject),
        budget: budget::desired(subject),
        prune: subject.service.is_some() && replaces,
    }
}

/// Why a release does nothing at all.
fn stopped(object: &Deployment, seen: &Seen) -> Option<Health> {
    let service = &object.spec.service;
    if meta::is_deleted(object) {
        return Some(Health::Terminating(
            "the release is being deleted".to_owned(),
        ));
    }
    if seen.place.is_none() {
        return Some(unmanaged(object));
    }
    match &seen.service {
        Some(found) if meta::is_deleted(found.as_ref()) => Some(Health::Terminating(format!(
            "Service {service} is being deleted"
        ))),
        // Written for a Service that is not seen (any more): never take its workload over with
        // the defaults of a release that stands alone.
        None if meta::controller(object).is_some_and(|owner| owner.kind == "Service") => {
            Some(Health::Progressing(format!(
                "waits for Service {service}, which owns this release"
            )))
        }
        _ => None,
    }
}

fn unmanaged(object: &Deployment) -> Health {
    let namespace = object.namespace().unwrap_or_default();
    Health::Stalled(
        Reason::NamespaceNotManaged,
        format!(
            "namespace {namespace} belongs to no Project: create this Deployment in the namespace of a Project's environment"
        ),
    )
}

fn available(health: &Health) -> Fact {
    let (_, reason, message) = health.ready();
    match health {
        Health::Ready(_) => Fact::new(AVAILABLE, Some(true), "Available", message),
        _ => Fact::new(AVAILABLE, Some(false), reason, message),
    }
}

fn requeue(
    state: &State<'_>,
    view: &order::View<'_>,
    decision: Decision,
    status: &DeploymentStatus,
    now: Timestamp,
) -> Option<Duration> {
    let until = |time: Timestamp| {
        let seconds = time.duration_since(now).as_secs().saturating_add(1);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1))
    };
    match decision.phase {
        Pending if view.is_target() && state.unwatched() => Some(REFERENCES_RETRY),
        Progressing if view.is_target() && !decision.apply && decision.begin.is_none() => {
            Some(FENCED_RETRY)
        }
        Progressing | PreDeploy => state.deadline(status).map(until),
        Failed | RolledBack if view.is_newest() || view.is_target() => {
            state.retry_at(status).map(until)
        }
        _ => None,
    }
}
