//! Every read of a reconcile: from the caches, and by GET what nobody watches.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::AsyncReadExt;
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1 as appsv1,
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::{CronJob, Job},
    core::v1::{self as corev1, ConfigMap, Namespace, PersistentVolumeClaim, Pod, Secret},
    networking::v1::Ingress,
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, Resource, ResourceExt, api::LogParams};
use trackbed_api::{Database, Deployment, Project, Service, labels, names};
pub use trackbed_kit::Place;
use trackbed_kit::{Cache, Caches, Context, Error, meta, place};

use crate::plan::{
    self,
    environment::{Lack, Missing, Needed, Reference, references},
    predeploy,
    subject::ROLE,
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
    /// Their protection against drains.
    pub budgets: Cache<PodDisruptionBudget>,
    /// Their pods, and those of the commands before.
    pub pods: Cache<Pod>,
    /// The Jobs of the commands before.
    pub jobs: Cache<Job>,
}

impl Stores {
    /// Asks for the caches.
    pub fn new(caches: &mut Caches) -> Self {
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
    /// The live claims of its volumes, those of before included.
    pub claims: Vec<Arc<PersistentVolumeClaim>>,
    /// The live CronJob.
    pub cron: Option<Arc<CronJob>>,
    /// The live autoscaler.
    pub scaler: Option<Arc<HorizontalPodAutoscaler>>,
    /// The live address outside.
    pub ingress: Option<Arc<Ingress>>,
    /// The live protection against drains.
    pub budget: Option<Arc<PodDisruptionBudget>>,
    /// The Service's pods, of all releases.
    pub pods: Vec<Arc<Pod>>,
    /// The Jobs of the commands that go before the Service's releases.
    pub jobs: Vec<Arc<Job>>,
    /// Their pods.
    pub pre_deploy_pods: Vec<Arc<Pod>>,
    /// What the configuration refers to and is not there, as far as it was looked for.
    pub missing: Vec<Missing>,
    /// The last words of a crashed application, as they were read.
    pub log: Option<String>,
}

impl Seen {
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
        seen.missing = missing(context, stores, object).await?;
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
    Seen {
        project: place
            .as_ref()
            .and_then(|place| stores.projects.get_cluster(&place.project)),
        place,
        service,
        releases,
        workload,
        address: stores.addresses.get(&namespace, name),
        claims: stores.claims.list(&namespace, |claim| {
            meta::label(claim, labels::SERVICE) == Some(name)
        }),
        cron: stores.crons.get(&namespace, name),
        scaler: stores.scalers.get(&namespace, name),
        ingress: stores.ingresses.get(&namespace, name),
        budget: stores.budgets.get(&namespace, name),
        pods: stores.pods.list(&namespace, |pod| is_for(pod, name, ROLE)),
        jobs: stores
            .jobs
            .list(&namespace, |job| is_for(job, name, predeploy::ROLE)),
        pre_deploy_pods: stores
            .pods
            .list(&namespace, |pod| is_for(pod, name, predeploy::ROLE)),
        missing: Vec::new(),
        log: None,
    }
}

fn is_for<K: Resource>(object: &K, service: &str, role: &str) -> bool {
    meta::label(object, labels::SERVICE) == Some(service)
        && meta::label(object, labels::ROLE) == Some(role)
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
    let found = api
        .get_opt(holder)
        .await
        .map_err(|source| Error::api(format!("get Deployment {namespace}/{holder}"), source))?;
    if let Some(found) = found
        && !meta::is_deleted(&found)
        && found.spec.service == object.spec.service
    {
        seen.releases.push(Arc::new(found));
    }
    Ok(())
}

/// Which references lead nowhere. Each Secret and ConfigMap is read once.
async fn missing(
    context: &Context,
    stores: &Stores,
    object: &Deployment,
) -> Result<Vec<Missing>, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let mut objects = Objects {
        secrets: Api::namespaced(context.client.clone(), &namespace),
        config_maps: Api::namespaced(context.client.clone(), &namespace),
        known: BTreeMap::new(),
    };
    let mut missing = Vec::new();
    for needed in references(object) {
        let lack = lack(stores, &mut objects, &namespace, &needed).await?;
        missing.extend(lack.map(|lack| needed.missing(&namespace, lack)));
    }
    Ok(missing)
}

async fn lack(
    stores: &Stores,
    objects: &mut Objects,
    namespace: &str,
    needed: &Needed,
) -> Result<Option<Lack>, Error> {
    let keyed = |keys: Option<&Vec<String>>, key: Option<&String>| match (keys, key) {
        (None, _) => Some(Lack::Object),
        (Some(keys), Some(key)) if !keys.contains(key) => Some(Lack::Key),
        _ => None,
    };
    Ok(match &needed.reference {
        Reference::Secret(name, key) => keyed(objects.secret(name).await?, key.as_ref()),
        Reference::ConfigMap(name, key) => keyed(objects.config_map(name).await?, Some(key)),
        Reference::Service(name) => stores
            .services
            .get(namespace, name)
            .is_none()
            .then_some(Lack::Object),
        Reference::Database(name, key) => match stores.databases.get(namespace, name) {
            None => Some(Lack::Object),
            Some(_) => keyed(objects.secret(&names::credentials(name)).await?, Some(key))
                .map(|_| Lack::Credentials),
        },
    })
}

/// Keys of the Secrets and ConfigMaps that were read; their values are dropped at once.
struct Objects {
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
    known: BTreeMap<(&'static str, String), Option<Vec<String>>>,
}

impl Objects {
    async fn secret(&mut self, name: &str) -> Result<Option<&Vec<String>>, Error> {
        let id = ("Secret", name.to_owned());
        if !self.known.contains_key(&id) {
            let found = self.secrets.get_opt(name).await;
            let found = found.map_err(|source| Error::api(format!("get Secret {name}"), source))?;
            let keys = found.map(|found| found.data.unwrap_or_default().into_keys().collect());
            self.known.insert(id.clone(), keys);
        }
        Ok(self.known.get(&id).and_then(Option::as_ref))
    }

    async fn config_map(&mut self, name: &str) -> Result<Option<&Vec<String>>, Error> {
        let id = ("ConfigMap", name.to_owned());
        if !self.known.contains_key(&id) {
            let found = self.config_maps.get_opt(name).await;
            let found =
                found.map_err(|source| Error::api(format!("get ConfigMap {name}"), source))?;
            let keys = found.map(|found| found.data.unwrap_or_default().into_keys().collect());
            self.known.insert(id.clone(), keys);
        }
        Ok(self.known.get(&id).and_then(Option::as_ref))
    }
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
