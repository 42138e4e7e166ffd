//! Every read of a reconcile: from the caches, and by GET what nobody watches.

mod servers;
mod several;

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    batch::v1::{CronJob, Job},
    core::v1::{ConfigMap, Namespace, PersistentVolumeClaim, Pod, Secret, Service},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
};
use kube::{Api, ResourceExt};
use trackbed_api::{
    Database,
    backup::Bucket,
    labels::{self, role},
    names,
};
use trackbed_kit::{Cache, Caches, Context, Error, config::Served, meta, read::get};

use crate::{
    barman_cloud::{ObjectStore, ScheduledBackup},
    cloudnative_pg::Cluster,
    plan::{self, storage::Volume},
    volumes::Volumes,
};

/// The caches that the controller reads.
#[derive(Clone)]
pub struct Stores {
    /// The environments' namespaces.
    pub namespaces: Cache<Namespace>,
    sets: Cache<StatefulSet>,
    clusters: Cache<Cluster>,
    archives: Cache<ObjectStore>,
    copies: Cache<ScheduledBackup>,
    services: Cache<Service>,
    policies: Cache<NetworkPolicy>,
    budgets: Cache<PodDisruptionBudget>,
    claims: Cache<PersistentVolumeClaim>,
    pods: Cache<Pod>,
    jobs: Cache<Job>,
    crons: Cache<CronJob>,
    databases: Cache<Database>,
}

impl Stores {
    /// Asks for the caches.
    pub fn new(caches: &mut Caches, served: Served) -> Self {
        Self {
            namespaces: caches.managed(),
            sets: caches.managed(),
            clusters: caches.managed_if(served.cloudnative_pg),
            archives: caches.managed_if(served.archives()),
            copies: caches.managed_if(served.archives()),
            services: caches.managed(),
            policies: caches.managed(),
            budgets: caches.managed(),
            claims: caches.managed(),
            pods: caches.managed(),
            jobs: caches.managed(),
            crons: caches.managed(),
            databases: caches.all(),
        }
    }
}

/// Random text for what has none yet. Randomness is data: plans are pure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// A password.
    pub password: String,
    /// Another one, for the user in reserve.
    pub standby: String,
    /// An identity.
    pub identity: String,
    /// What passwords of the owners of further databases are made of.
    pub owners: String,
    /// A password for servers among themselves.
    pub peers: String,
    /// Of certificates.
    pub keys: Keys,
}

/// Keys of certificates, in PEM; empty where none is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Of the authority.
    pub authority: String,
    /// Of the server.
    pub server: String,
}

/// What there is of backups.
#[derive(Clone, Debug, Default)]
pub struct Backups {
    /// The claim that they lie on, where it is one.
    pub claim: Option<Arc<PersistentVolumeClaim>>,
    /// What takes those of the schedule.
    pub scheduled: Option<Arc<CronJob>>,
    /// The Jobs that take and restore them, those that make databases, and those that look for images.
    pub jobs: Vec<Arc<Job>>,
    /// Their pods.
    pub pods: Vec<Arc<Pod>>,
    /// The Database that `restore.from.database` names.
    pub origin: Option<Arc<Database>>,
}

/// What there is of archives.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    /// Where the log goes.
    pub store: Option<Arc<ObjectStore>>,
    /// What has copies taken.
    pub copies: Option<Arc<ScheduledBackup>>,
    /// Keys of the bucket.
    pub bucket: Option<Secret>,
    /// Where the archive is that the Database begins with.
    pub origin: Option<Arc<ObjectStore>>,
    /// Keys of its bucket.
    pub origin_bucket: Option<Secret>,
}

/// What a plan is made from.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Name of the Project that the namespace belongs to.
    pub project: Option<String>,
    /// The Secret with the credentials.
    pub secret: Option<Secret>,
    /// The Secret with the user and password in reserve.
    pub standby: Option<Secret>,
    /// The Secrets of the databases that are listed, or were.
    pub bindings: Vec<Secret>,
    /// The server's settings.
    pub settings: Option<ConfigMap>,
    /// The Secret with the server's certificate.
    pub certificate: Option<Secret>,
    /// The claim.
    pub claim: Option<Arc<PersistentVolumeClaim>>,
    /// The server.
    pub set: Option<Arc<StatefulSet>>,
    /// The servers, where there are several.
    pub cluster: Option<Arc<Cluster>>,
    /// Their pods, as long as none takes writes.
    pub instances: Vec<Pod>,
    /// Their archive.
    pub archive: Archive,
    /// Their volumes, as long as they are not there, or have not the size that they are to have.
    pub volumes: Vec<PersistentVolumeClaim>,
    /// Why they cannot grow to the size that is asked for, if they cannot.
    pub cannot_grow: Option<String>,
    /// The address.
    pub service: Option<Arc<Service>>,
    /// The name of the pod.
    pub headless: Option<Arc<Service>>,
    /// Who may connect.
    pub policy: Option<Arc<NetworkPolicy>>,
    /// What its supervisor, or the server, says of the volume; of several that of the fullest.
    pub volume: Option<Volume>,
    /// The server's pod; of several the primary's, or one that there is.
    pub pod: Option<Arc<Pod>>,
    /// The pods of several servers that Sentinels watch.
    pub pods: Vec<Arc<Pod>>,
    /// Their volumes.
    pub claims: Vec<Arc<PersistentVolumeClaim>>,
    /// How many of them may be away at a time.
    pub budget: Option<Arc<PodDisruptionBudget>>,
    /// The pod of theirs that says it is the primary.
    pub primary: Option<String>,
    /// Version that its supervisor tells.
    pub version: Option<String>,
    /// What its supervisor says of further databases.
    pub told: Option<plan::told::Told>,
    /// What looks for newer images by a schedule.
    pub looks: Option<Arc<CronJob>>,
    /// Its backups, and the Jobs that look for images.
    pub backups: Backups,
    /// For what has none yet.
    pub fresh: Fresh,
}

/// Reads everything.
///
/// # Errors
/// The API server's, of the GETs.
pub async fn observe(
    context: &Context,
    stores: &Stores,
    volumes: &Arc<Volumes>,
    object: &Database,
) -> Result<Seen, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let name = object.name_any();
    let project = stores
        .namespaces
        .get_cluster(&namespace)
        .and_then(|it| meta::label(it.as_ref(), labels::PROJECT).map(str::to_owned));
    if project.is_none() {
        return Ok(Seen::default());
    }
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    let several = several::look(context, stores, object, &namespace, &name).await?;
    let cluster = several.cluster.as_deref();
    let servers = servers::look(stores, volumes, object, cluster, &namespace, &name);
    let standby = get(&secrets, &names::standby(&name)).await?;
    Ok(Seen {
        project,
        archive: archive(stores, &secrets, object, &namespace, &name).await?,
        cluster: several.cluster,
        instances: several.pods,
        volumes: several.volumes,
        cannot_grow: several.cannot_grow,
        secret: get(&secrets, &names::credentials(&name)).await?,
        bindings: bindings(&secrets, object, standby.as_ref()).await?,
        standby,
        settings: get(&maps, &plan::settings::name(&name)).await?,
        certificate: match plan::tls::secret(object) {
            Some(secret) => get(&secrets, &secret).await?,
            None => None,
        },
        claim: match object.spec.has_sentinels() {
            true => None,
            false => stores.claims.get(&namespace, &names::data_claim(&name)),
        },
        claims: servers.claims,
        budget: stores.budgets.get(&namespace, &plan::policy::name(&name)),
        primary: servers.primary,
        set: stores.sets.get(&namespace, &name),
        service: stores.services.get(&namespace, &name),
        headless: stores.services.get(&namespace, &names::headless(&name)),
        policy: stores.policies.get(&namespace, &plan::policy::name(&name)),
        pod: servers.pod,
        pods: servers.pods,
        volume: servers.volume,
        version: servers.version,
        told: servers.told,
        looks: stores.crons.get(&namespace, &names::updates(&name)),
        backups: backups(stores, object, &namespace, &name),
        fresh: Fresh {
            password: random(32),
            standby: random(32),
            owners: random(32),
            identity: random(16),
            peers: random(32),
            keys: match object.spec.tls.as_ref() {
                Some(tls) if tls.secret_ref.is_none() => keys(),
                _ => Keys::default(),
            },
        },
    })
}

async fn archive(
    stores: &Stores,
    secrets: &Api<Secret>,
    object: &Database,
    namespace: &str,
    name: &str,
) -> Result<Archive, Error> {
    let archive = object.spec.archive.as_ref().map(|it| &it.s3);
    // Data that are there are not restored over.
    let restore = object.spec.restore.as_ref();
    let empty = !object.status.as_ref().is_some_and(|it| it.initialised);
    let moment = restore.filter(|it| empty && it.time.is_some());
    let origin = moment.and_then(|it| it.from.s3.as_ref());
    Ok(Archive {
        store: stores.archives.get(namespace, &names::archive(name)),
        copies: stores.copies.get(namespace, &names::archive(name)),
        origin: stores.archives.get(namespace, &names::origin(name)),
        bucket: keys_of(secrets, archive).await?,
        origin_bucket: keys_of(secrets, origin).await?,
    })
}

async fn bindings(
    secrets: &Api<Secret>,
    object: &Database,
    standby: Option<&Secret>,
) -> Result<Vec<Secret>, Error> {
    let mut found = Vec::new();
    for name in plan::databases::secrets(object, standby) {
        found.extend(get(secrets, &name).await?);
    }
    Ok(found)
}

async fn keys_of(secrets: &Api<Secret>, bucket: Option<&Bucket>) -> Result<Option<Secret>, Error> {
    match bucket {
        Some(bucket) => get(secrets, &bucket.secret_ref.name).await,
        None => Ok(None),
    }
}

fn backups(stores: &Stores, object: &Database, namespace: &str, name: &str) -> Backups {
    let restore = object.spec.restore.as_ref();
    let origin = restore.and_then(|it| it.from.database.as_deref());
    Backups {
        claim: stores.claims.get(namespace, &names::backup_claim(name)),
        scheduled: stores.crons.get(namespace, &names::backups(name)),
        jobs: stores.jobs.list(namespace, |it| is_of(it, name)),
        pods: stores.pods.list(namespace, |it| is_of(it, name)),
        origin: origin.and_then(|it| stores.databases.get(namespace, it)),
    }
}

/// Whether something takes or restores a backup of this Database, makes databases in its servers, or
/// looks for its image.
fn is_of<K: kube::Resource>(object: &K, database: &str) -> bool {
    let found = meta::label(object, labels::ROLE);
    meta::label(object, labels::DATABASE) == Some(database)
        && matches!(
            found,
            Some(role::BACKUP | role::RESTORE | role::BEGIN | role::DATABASES | role::UPDATE)
        )
}

/// What the system has no randomness for is empty, and named where it is used.
fn keys() -> Keys {
    let key = || rcgen::KeyPair::generate().map(|it| it.serialize_pem());
    Keys {
        authority: key().unwrap_or_default(),
        server: key().unwrap_or_default(),
    }
}

/// Letters and digits, which stand anywhere without quotes. 32 of them hold 190 bits.
fn random(length: usize) -> String {
    use rand::distr::{Alphanumeric, SampleString};
    // Seeded by the operating system, and meant for secrets.
    Alphanumeric.sample_string(&mut rand::rng(), length)
}
