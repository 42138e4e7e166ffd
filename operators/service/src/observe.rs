//! Every read of a reconcile, all from memory.

use std::{collections::HashMap, sync::Arc, time::Duration};

use k8s_openapi::api::{
    apps::v1 as appsv1,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::Job,
    core::v1::{self as corev1, Namespace},
};
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use trackbed_api::{
    Build, Deployment, Project, Service, expose::Resolves, labels, names, reason::Reason,
    service::Promotion,
};
pub use trackbed_kit::Place;
use trackbed_kit::{
    Cache, Caches, Config,
    cert_manager::{Certificate, Condition},
    config::Served,
    gateway::{Gateway, HttpRoute},
    hosts::overlap,
    meta, place,
};

use crate::{
    dns::Names,
    plan::{
        self,
        hosts::{Claim, held},
        promotion::Origin,
        source::inputs,
    },
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
    /// Addresses of the workloads.
    pub addresses: Cache<corev1::Service>,
    /// Gateways of Services. Empty where the cluster serves none.
    pub gateways: Cache<Gateway>,
    /// Routes of hosts. Empty where the cluster serves none.
    pub routes: Cache<HttpRoute>,
    /// The certificates of hosts. Empty where the cluster serves none.
    pub certificates: Cache<Certificate>,
}

impl Stores {
    /// Asks for the caches.
    pub fn new(caches: &mut Caches, served: Served) -> Self {
        Self {
            gateways: caches.managed_if(served.gateways),
            routes: caches.managed_if(served.gateways),
            certificates: caches.managed_if(served.certificates),
            services: caches.all(),
            builds: caches.all(),
            releases: caches.all(),
            projects: caches.all(),
            namespaces: caches.managed(),
            workloads: caches.managed(),
            scalers: caches.managed(),
            jobs: caches.managed(),
            addresses: caches.managed(),
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
    /// Variables of the newest release whose content is another one by now.
    pub rotated: Vec<String>,
    /// Images of the Builds that run in other environments of the Project.
    pub promoted: Vec<String>,
    /// The address for clients without HTTP.
    pub tcp: Option<Arc<corev1::Service>>,
    /// Where hosts of the Service's own lead by the DNS, as far as that is known.
    pub resolves: HashMap<String, Resolves>,
    /// When to look at that again.
    pub resolves_again: Option<Duration>,
    /// Hosts that other Services have.
    pub claims: Vec<Claim>,
    /// Domains of Projects that have one of their own.
    pub domains: Vec<String>,
    /// The Service's own Gateway.
    pub gateway: Option<Arc<Gateway>>,
    /// The routes of the Service's hosts.
    pub routes: Vec<Arc<HttpRoute>>,
    /// The Service's certificates.
    pub certificates: Vec<Arc<Certificate>>,
    /// What became of tries to have certificates issued, the oldest first, and whose they were.
    pub requests: Vec<(String, Condition)>,
    /// What the source says.
    pub look: Look,
    /// When to look again, at the source or at what nobody watches. `None`: nothing of it moves.
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
    dns: &Arc<Names>,
    object: &Service,
    config: &Config,
) -> Seen {
    let namespace = object.namespace().unwrap_or_default();
    let name = object.name_any();
    let place = place(&stores.namespaces, &namespace);
    let project = place.as_ref();
    let project = project.and_then(|place| stores.projects.get_cluster(&place.project));
    let promotion = object.spec.source.promotion.as_ref();
    let (look, again) = match (&place, promotion) {
        (Some(place), Some(promotion)) => {
            let origin = origin(stores, place, promotion, &name);
            let project = project.as_deref();
            let look = plan::promotion::look(promotion, &name, place, project, &origin);
            (look, None)
        }
        (Some(_), None) => look(sources, object, &namespace, project.as_deref()),
        (None, _) => (Look::Unknown, None),
    };
    let hosts = place
        .as_ref()
        .map(|place| trackbed_kit::hosts::of(object, &name, place, project.as_deref(), config));
    let hosts = hosts.unwrap_or_default();
    let who = ObjectRef::from_obj(object);
    let (told, report_again) = reports.told(&who);
    let (resolves, resolves_again) = dns.look(&who, &hosts);
    let builds = stores.builds.list(&namespace, |build| {
        build.spec.service.as_deref() == Some(name.as_str()) && !meta::is_deleted(build)
    });
    Seen {
        told,
        report_again,
        resolves,
        resolves_again,
        promoted: promoted(stores, project.as_deref(), &namespace, &builds),
        project,
        place,
        builds,
        releases: stores.releases.list(&namespace, |release| {
            release.spec.service.as_str() == name && !meta::is_deleted(release)
        }),
        workload: stores.workloads.get(&namespace, &name),
        scaler: stores.scalers.get(&namespace, &name),
        runs: stores.jobs.list(&namespace, |job| {
            meta::label(job, labels::SERVICE) == Some(name.as_str())
                && meta::label(job, labels::ROLE) == Some(labels::role::CRON)
        }),
        tcp: stores.addresses.get(&namespace, &names::tcp(&name)),
        claims: claims(stores, object, &hosts),
        domains: domains(stores),
        gateway: stores.gateways.get(&namespace, &name),
        routes: stores.routes.list(&namespace, |route| {
            meta::label(route, labels::SERVICE) == Some(name.as_str())
        }),
        certificates: stores.certificates.list(&namespace, |certificate| {
            meta::label(certificate, labels::SERVICE) == Some(name.as_str())
        }),
        requests: Vec::new(),
        rotated: Vec::new(),
        look,
        again,
    }
}

/// The Service that is promoted from: in another environment of the same Project, never elsewhere.
fn origin(stores: &Stores, place: &Place, promotion: &Promotion, own: &str) -> Origin {
    let namespace = names::namespace(&place.project, &promotion.environment);
    let service = plan::promotion::service_of(promotion, own);
    let there = trackbed_kit::place(&stores.namespaces, &namespace);
    if there.is_none_or(|there| there.project != place.project) {
        return Origin::default();
    }
    Origin {
        service: stores.services.get(&namespace, service),
        releases: stores
            .releases
            .list(&namespace, |it| it.spec.service.as_str() == service),
    }
}

/// The images of these Builds that run in other environments of the Project.
fn promoted(
    stores: &Stores,
    project: Option<&Project>,
    namespace: &str,
    builds: &[Arc<Build>],
) -> Vec<String> {
    let status = project.and_then(|project| project.status.as_ref());
    let environments = status.into_iter().flat_map(|it| &it.environments);
    let others = environments.filter(|it| it.namespace != namespace && !builds.is_empty());
    let built = |image: &str| {
        let mut built = builds
            .iter()
            .filter_map(|it| it.status.as_ref()?.image.as_deref());
        built.any(|it| it == image)
    };
    let releases = others.flat_map(|it| {
        let releases = &stores.releases;
        releases.list(&it.namespace, |release| built(&release.spec.image))
    });
    releases.map(|it| it.spec.image.to_string()).collect()
}

/// The hosts that other Services have and this one asks for.
fn claims(stores: &Stores, object: &Service, hosts: &[String]) -> Vec<Claim> {
    let asked = |host: &str| hosts.iter().any(|it| overlap(it, host));
    let others = stores
        .services
        .list_all(|other| held(other).any(|has| asked(&has.host)) && other.uid() != object.uid());
    let claims = others.iter().flat_map(|other| Claim::of(other));
    claims.filter(|claim| asked(&claim.host)).collect()
}

fn domains(stores: &Stores) -> Vec<String> {
    let projects = stores.projects.list_all(|it| it.spec.domain.is_some());
    let domains = projects.iter().filter_map(|it| it.spec.domain.as_ref());
    domains.map(ToString::to_string).collect()
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
