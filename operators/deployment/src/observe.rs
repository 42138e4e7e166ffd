//! Every read of a reconcile: from the caches, and by GET what nobody watches.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::AsyncReadExt;
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1 as appsv1,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::{CronJob, Job},
    core::v1::{self as corev1, Namespace, PersistentVolumeClaim, Pod, Secret},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, ResourceExt, api::LogParams};
use trackbed_api::{
    Database, Deployment, Project, Service,
    databases::MAIN,
    labels::{self, role},
    names,
    run::Volume,
};
pub use trackbed_kit::Place;
use trackbed_kit::{
    Cache, Caches, Context, Error,
    cache::Watched,
    config::Served,
    contents::{Contents, Values},
    gateway::HttpRoute,
    meta, place, read,
};

use crate::plan::{
    self,
    environment::{Lack, Missing, Needed, Reference, references},
    verdict::{LogOf, release_of},
};

/// Lines and bytes of a log that are read at most, and how long that may take.
const LOG: (i64, i64, Duration) = (60, 64 * 1024, Duration::from_secs(10));

/// The caches that the controller reads.
#[derive(Clone)]
pub struct Stores {
    /// All releases.
    pub releases: Cache<Deployment>,
    /// All Services of Trackbed.
    pub services: Cache<Service>,
    /// All Databases.
    pub databases: Cache<Database>,
    /// All Projects.
    pub projects: Cache<Project>,
    /// The environments' namespaces.
    pub namespaces: Cache<Namespace>,
    /// The workloads.
    pub workloads: Cache<appsv1::Deployment>,
    /// The workloads' addresses inside the cluster.
    pub addresses: Cache<corev1::Service>,
    /// The volumes' claims.
    pub claims: Cache<PersistentVolumeClaim>,
    /// What runs at certain times.
    pub crons: Cache<CronJob>,
    /// What lets numbers of pods follow the load.
    pub scalers: Cache<HorizontalPodAutoscaler>,
    /// The workloads' addresses outside.
    pub ingresses: Cache<Ingress>,
    /// The same by the Gateway API. Empty where the cluster does not serve it.
    pub routes: Cache<HttpRoute>,
    /// What lets clients without HTTP in.
    pub policies: Cache<NetworkPolicy>,
    /// Their protection against drains.
    pub budgets: Cache<PodDisruptionBudget>,
    /// Their pods, and those of the commands before.
    pub pods: Cache<Pod>,
    /// The Jobs of the commands before.
    pub jobs: Cache<Job>,
}

impl Stores {
    /// Asks for the caches.
    pub fn new(caches: &mut Caches, served: Served) -> Self {
        Self {
            releases: caches.all(),
            services: caches.all(),
            databases: caches.all(),
            projects: caches.all(),
            namespaces: caches.managed(),
            workloads: caches.managed(),
            addresses: caches.managed(),
            claims: caches.managed(),
            crons: caches.managed(),
            scalers: caches.managed(),
            ingresses: caches.managed(),
            routes: caches.managed_if(served.gateways),
            policies: caches.managed(),
            budgets: caches.managed(),
            pods: caches.managed(),
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
    /// The Service.
    pub service: Option<Arc<Service>>,
    /// All releases of the Service that are not being deleted.
    pub releases: Vec<Arc<Deployment>>,
    /// The live workload.
    pub workload: Option<Arc<appsv1::Deployment>>,
    /// The live address inside the cluster.
    pub address: Option<Arc<corev1::Service>>,
    /// The live claims of the release's volumes.
    pub claims: Vec<Arc<PersistentVolumeClaim>>,
    /// The live CronJob.
    pub cron: Option<Arc<CronJob>>,
    /// The live autoscaler.
    pub scaler: Option<Arc<HorizontalPodAutoscaler>>,
    /// The live address outside.
    pub ingress: Option<Arc<Ingress>>,
    /// The live routes.
    pub routes: Vec<Arc<HttpRoute>>,
    /// The live address outside for clients without HTTP.
    pub tcp: Option<Arc<corev1::Service>>,
    /// The live policy that lets them in.
    pub tcp_policy: Option<Arc<NetworkPolicy>>,
    /// The live protection against drains.
    pub budget: Option<Arc<PodDisruptionBudget>>,
    /// The Service's pods, of all releases.
    pub pods: Vec<Arc<Pod>>,
    /// The Jobs of the commands that go before the Service's releases.
    pub jobs: Vec<Arc<Job>>,
    /// Their pods.
    pub pre_deploy_pods: Vec<Arc<Pod>>,
    /// When the credentials of Databases that the configuration refers to were changed. Those that
    /// have their first ones are not in it.
    pub rotated: BTreeMap<String, Timestamp>,
    /// What the configuration refers to and is not there, as far as it was looked for.
    pub missing: Vec<Missing>,
    /// What the release's variables refer to, where all of it is there and no copy of it yet.
    pub inputs: Option<Values>,
    /// The last words of a crashed application, as they were read.
    pub log: Option<String>,
}

impl Seen {
    /// The live claim of that name.
    pub fn claim(&self, name: &str) -> Option<&PersistentVolumeClaim> {
        let mut claims = self.claims.iter();
        claims
            .find(|claim| claim.metadata.name.as_deref() == Some(name))
            .map(AsRef::as_ref)
    }

    /// The Job of a release's command.
    pub fn job_of(&self, release: &str) -> Option<&Job> {
        let mut jobs = self.jobs.iter();
        jobs.find(|job| meta::label(job.as_ref(), labels::RELEASE) == Some(release))
            .map(AsRef::as_ref)
    }
}

/// Reads everything.
///
/// # Errors
/// The API server's, of the GETs.
pub async fn observe(
    context: &Context,
    stores: &Stores,
    object: &Deployment,
    now: Timestamp,
) -> Result<Seen, Error> {
    let mut seen = cached(stores, object);
    find_holder(context, object, &mut seen).await?;
    let needs = plan::needs(object, &seen, now);
    if needs.references {
        look_up(context, stores, object, &mut seen).await?;
    }
    if let Some(log) = &needs.log {
        seen.log = read_log(context, object, log).await;
    }
    Ok(seen)
}

/// What the caches hold.
fn cached(stores: &Stores, object: &Deployment) -> Seen {
    let namespace = object.namespace().unwrap_or_default();
    let name = object.spec.service.as_str();
    // The workload first: a release says so before it is applied, so whoever the workload runs by
    // now, the releases that are read after it say why.
    let workload = stores.workloads.get(&namespace, name);
    let service = stores
        .services
        .get(&namespace, name)
        .filter(|service| belongs(object, service));
    let releases = stores.releases.list(&namespace, |release| {
        release.spec.service.as_str() == name
            && !meta::is_deleted(release)
            && service
                .as_deref()
                .is_none_or(|service| belongs(release, service))
    });
    let place = place(&stores.namespaces, &namespace);
    let prepares = object.spec.run.pre_deploy.is_some();
    let claim = |volume: &Volume| {
        let claim = names::volume_claim(name, &volume.name);
        stores.claims.get(&namespace, &claim)
    };
    Seen {
        project: place
            .as_ref()
            .and_then(|place| stores.projects.get_cluster(&place.project)),
        place,
        service,
        releases,
        workload,
        address: stores.addresses.get(&namespace, name),
        claims: object.spec.run.volumes.iter().filter_map(claim).collect(),
        cron: stores.crons.get(&namespace, name),
        scaler: stores.scalers.get(&namespace, name),
        ingress: stores.ingresses.get(&namespace, name),
        routes: stores.routes.list(&namespace, |route| {
            meta::label(route, labels::SERVICE) == Some(name)
        }),
        tcp: stores.addresses.get(&namespace, &names::tcp(name)),
        tcp_policy: stores.policies.get(&namespace, &names::tcp(name)),
        budget: stores.budgets.get(&namespace, name),
        pods: of(&stores.pods, &namespace, name, role::APP),
        // Releases without a command neither wait for others' nor look at their own.
        jobs: match prepares {
            true => of(&stores.jobs, &namespace, name, role::PRE_DEPLOY),
            false => Vec::new(),
        },
        pre_deploy_pods: match prepares {
            true => of(&stores.pods, &namespace, name, role::PRE_DEPLOY),
            false => Vec::new(),
        },
        rotated: rotated(stores, object, &namespace),
        missing: Vec::new(),
        inputs: None,
        log: None,
    }
}

fn rotated(stores: &Stores, object: &Deployment, namespace: &str) -> BTreeMap<String, Timestamp> {
    let used = object.spec.run.databases();
    used.map(ToString::to_string)
        .filter_map(|name| {
            let database = stores.databases.get(namespace, &name)?;
            let credentials = database.status.as_ref()?.credentials.as_ref()?;
            Some((name, credentials.rotated.as_ref()?.0))
        })
        .collect()
}

/// The Service's Jobs or pods with that role.
fn of<K: Watched>(cache: &Cache<K>, namespace: &str, service: &str, role: &str) -> Vec<Arc<K>> {
    cache.list(namespace, |object| {
        meta::label(object, labels::SERVICE) == Some(service)
            && meta::label(object, labels::ROLE) == Some(role)
    })
}

/// Whether a release is one of this Service, not of an earlier one that had its name.
fn belongs(release: &Deployment, service: &Service) -> bool {
    meta::controller(release)
        .filter(|owner| owner.kind == "Service")
        .is_none_or(|owner| Some(&owner.uid) == service.metadata.uid.as_ref())
}

/// The workload may run a release that the cache does not know: it is gone, or not seen yet. The
/// fence depends on which.
async fn find_holder(context: &Context, object: &Deployment, seen: &mut Seen) -> Result<(), Error> {
    let holder = seen.workload.as_deref().and_then(release_of);
    let Some(holder) = holder.filter(|holder| {
        *holder != object.name_any()
            && !seen
                .releases
                .iter()
                .any(|known| known.name_any() == *holder)
    }) else {
        return Ok(());
    };
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<Deployment> = Api::namespaced(context.client.clone(), &namespace);
    if let Some(found) = read::get(&api, holder).await?
        && !meta::is_deleted(&found)
        && found.spec.service == object.spec.service
    {
        seen.releases.push(Arc::new(found));
    }
    Ok(())
}

/// Finds out which references lead nowhere, and what the release has to keep a copy of. Each Secret
/// and ConfigMap is read once. What it has a copy of may be gone.
async fn look_up(
    context: &Context,
    stores: &Stores,
    object: &Deployment,
    seen: &mut Seen,
) -> Result<(), Error> {
    let namespace = object.namespace().unwrap_or_default();
    let mut contents = Contents::new(&context.client, &namespace);
    let env = &object.spec.run.env;
    let copies = env.iter().any(|variable| variable.copied().is_some());
    let copied = copies && has_copy(context, object, &namespace).await?;
    for needed in references(object) {
        if copied && needed.copied {
            continue;
        }
        let lack = lack(stores, &mut contents, &namespace, &needed).await?;
        let lack = lack.map(|lack| needed.missing(&namespace, lack));
        seen.missing.extend(lack);
    }
    if copies && !copied && seen.missing.is_empty() {
        seen.inputs = Some(contents.copied(env).await?);
    }
    Ok(())
}

/// Whether the release has its copy. That of an earlier release of the same name is not its own.
async fn has_copy(context: &Context, object: &Deployment, namespace: &str) -> Result<bool, Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let name = names::environment(&object.name_any());
    let found = api.get_metadata_opt(&name).await;
    let found = found.map_err(|source| Error::api(format!("get Secret {name}"), source))?;
    Ok(found.is_some_and(|it| meta::is_controlled_by(&it, object) && !meta::is_deleted(&it)))
}

async fn lack(
    stores: &Stores,
    contents: &mut Contents,
    namespace: &str,
    needed: &Needed,
) -> Result<Option<Lack>, Error> {
    let keyed = |values: Option<&Values>, key: Option<&String>| match (values, key) {
        (None, _) => Some(Lack::Object),
        (Some(values), Some(key)) if !values.has(key) => Some(Lack::Key),
        _ => None,
    };
    Ok(match &needed.reference {
        Reference::Secret(name, key) => keyed(contents.secret(name).await?, key.as_ref()),
        Reference::ConfigMap(name, key) => keyed(contents.config_map(name).await?, Some(key)),
        Reference::Service(name) => match stores.services.get(namespace, name) {
            None => Some(Lack::Object),
            Some(found) => (!found.spec.listens()).then_some(Lack::Address),
        },
        Reference::Database(name, inner, key) => {
            let inner = inner.as_deref();
            match stores.databases.get(namespace, name) {
                None => Some(Lack::Object),
                Some(it) if inner.is_some_and(|inner| !it.spec.has_database(inner)) => {
                    Some(Lack::Unlisted)
                }
                Some(_) => {
                    let secret = names::database_credentials(name, inner.unwrap_or(MAIN));
                    keyed(contents.secret(&secret).await?, Some(key)).map(|_| Lack::Credentials)
                }
            }
        }
    })
}

/// Reads a log as far as it can be had: what it says helps people, and decides nothing.
async fn read_log(context: &Context, object: &Deployment, log: &LogOf) -> Option<String> {
    let namespace = object.namespace().unwrap_or_default();
    let (lines, bytes, limit) = LOG;
    let parameters = LogParams {
        container: Some(log.container.to_owned()),
        previous: log.previous,
        tail_lines: Some(lines),
        limit_bytes: Some(bytes),
        ..LogParams::default()
    };
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
    let read = async {
        let stream = api.log_stream(&log.pod, &parameters).await?;
        let mut text = Vec::new();
        let mut stream = std::pin::pin!(stream.take(bytes.unsigned_abs()));
        stream
            .read_to_end(&mut text)
            .await
            .map_err(kube::Error::ReadEvents)?;
        Ok::<_, kube::Error>(String::from_utf8_lossy(&text).into_owned())
    };
    match tokio::time::timeout(limit, read).await {
        Ok(Ok(text)) => Some(text),
        Ok(Err(error)) => {
            tracing::debug!(%error, pod = %log.pod, "no log to be had");
            None
        }
        Err(_elapsed) => None,
    }
}
