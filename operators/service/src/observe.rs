//! Every read of a reconcile, all from memory.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::{
    apps::v1 as appsv1, autoscaling::v2::HorizontalPodAutoscaler, batch::v1::Job,
    core::v1::Namespace,
};
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use trackbed_api::{Build, Deployment, Project, Service, labels, reason::Reason};
pub use trackbed_kit::Place;
use trackbed_kit::{Cache, Caches, meta, place};

use crate::{
    plan::{runs, source::inputs},
    reports::{Reports, Told},
    source::{Ask, Found, Look, Sources},
};

/// The caches that the controller reads.
#[derive(Clone)]
pub struct Stores {
    /// All Services.
    pub services: Cache<Service>,
    /// All Builds.
    pub builds: Cache<Build>,
    /// All releases.
    pub releases: Cache<Deployment>,
    /// All Projects.
    pub projects: Cache<Project>,
    /// The environments' namespaces.
    pub namespaces: Cache<Namespace>,
    /// The workloads.
    pub workloads: Cache<appsv1::Deployment>,
    /// What lets numbers of pods follow the load.
    pub scalers: Cache<HorizontalPodAutoscaler>,
    /// The runs of applications with `cron`.
    pub jobs: Cache<Job>,
}

impl Stores {
    /// Asks for the caches.
    pub fn new(caches: &mut Caches) -> Self {
        Self {
            services: caches.all(),
            builds: caches.all(),
            releases: caches.all(),
            projects: caches.all(),
            namespaces: caches.managed(),
            workloads: caches.managed(),
            scalers: caches.managed(),
            jobs: caches.managed(),
        }
    }
}

/// What a plan is made from.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The environment. `None`: the namespace belongs to no Project.
    pub place: Option<Place>,
    /// The Project.
    pub project: Option<Arc<Project>>,
    /// The Builds that name the Service.
    pub builds: Vec<Arc<Build>>,
    /// The releases of the Service.
    pub releases: Vec<Arc<Deployment>>,
    /// The live workload.
    pub workload: Option<Arc<appsv1::Deployment>>,
    /// The live autoscaler.
    pub scaler: Option<Arc<HorizontalPodAutoscaler>>,
    /// The runs that are kept, with `cron`.
    pub runs: Vec<Arc<Job>>,
    /// What the source says.
    pub look: Look,
    /// When to look at the source again. `None`: it never moves.
    pub again: Option<Duration>,
    /// How telling the forge went, if it was tried.
    pub told: Option<Told>,
    /// When to try to tell it again.
    pub report_again: Option<Duration>,
}

/// Reads everything, and has the source looked at if it is time.
pub fn observe(
    stores: &Stores,
    sources: &Arc<Sources>,
    reports: &Reports,
    object: &Service,
) -> Seen {
    let namespace = object.namespace().unwrap_or_default();
    let name = object.name_any();
    let place = place(&stores.namespaces, &namespace);
    let project = place.as_ref();
    let project = project.and_then(|place| stores.projects.get_cluster(&place.project));
    let (look, again) = match &place {
        Some(_) => look(sources, object, &namespace, project.as_deref()),
        None => (Look::Unknown, None),
    };
    let (told, report_again) = reports.told(&ObjectRef::from_obj(object));
    Seen {
        told,
        report_again,
        project,
        place,
        builds: stores.builds.list(&namespace, |build| {
            build.spec.service.as_deref() == Some(name.as_str()) && !meta::is_deleted(build)
        }),
        releases: stores.releases.list(&namespace, |release| {
            release.spec.service.as_str() == name && !meta::is_deleted(release)
        }),
        workload: stores.workloads.get(&namespace, &name),
        scaler: stores.scalers.get(&namespace, &name),
        runs: stores.jobs.list(&namespace, |job| {
            meta::label(job, labels::SERVICE) == Some(name.as_str())
                && meta::label(job, labels::ROLE) == Some(runs::ROLE)
        }),
        look,
        again,
    }
}

fn look(
    sources: &Arc<Sources>,
    object: &Service,
    namespace: &str,
    project: Option<&Project>,
) -> (Look, Option<Duration>) {
    match Ask::of(object, namespace) {
        Ok(answer) => (answer, None),
        Err(_) if object.spec.suspend => (Look::Unknown, None),
        Err(ask) => {
            // A changed spec is looked at now: whoever changed it waits for it.
            let changed = object
                .status
                .as_ref()
                .and_then(|status| status.observed_generation)
                != object.metadata.generation;
            // What was handled before a restart is not handled again.
            let handled = object.status.as_ref();
            let handled = handled.and_then(|it| it.last_handled_reconcile_at.as_deref());
            let asked = meta::annotation(object, labels::RECONCILE_AT);
            let asked = asked.filter(|asked| Some(*asked) != handled);
            let who = ObjectRef::from_obj(object);
            let ask = ask.within(project);
            let (look, again) = sources.look(who.clone(), ask, changed, asked);
            let look = match look {
                Look::Found(found) => {
                    let between = Ask::between(object, namespace, &found, &inputs(object));
                    let between = between.map(|ask| ask.within(project));
                    watched(sources, who, between, found)
                }
                other => other,
            };
            (look, Some(again))
        }
    }
}

/// Leaves out what touches nothing that the Service watches. Where that cannot be told, it is built:
/// a build too many harms nobody.
fn watched(
    sources: &Arc<Sources>,
    who: ObjectRef<Service>,
    between: Option<Ask>,
    found: Found,
) -> Look {
    let Some(ask) = between else {
        return Look::Found(found);
    };
    match sources.look(who, ask, false, None).0 {
        Look::Unknown | Look::Pending => Look::Unknown,
        Look::Found(Found { untouched, .. }) => Look::Found(Found { untouched, ..found }),
        Look::Failed(Reason::InvalidBuildPlan, message) => {
            Look::Failed(Reason::InvalidBuildPlan, message)
        }
        Look::Failed(..) => Look::Found(found),
    }
}
