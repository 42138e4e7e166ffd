//! Every read of a reconcile: from the caches, and by GET what nobody watches.

use std::{sync::Arc, time::Duration};

use futures::AsyncReadExt;
use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Namespace, PersistentVolumeClaim, Pod, Secret},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams},
};
use trackbed_api::{Build, Deployment, Project, Service, labels, names};
use trackbed_git::{Credentials, Url};
use trackbed_kit::{Cache, Caches, Config, Context, Error, meta, read};

use crate::{
    places::Places,
    plan::{self, fate::Around},
    queue::Turn,
};

/// Lines and bytes of a log that are read at most, and how long that may take.
const LOG: (i64, i64, Duration) = (200, 64 * 1024, Duration::from_secs(10));

/// The caches that the controller reads.
#[derive(Clone)]
pub struct Stores {
    builds: Cache<Build>,
    projects: Cache<Project>,
    releases: Cache<Deployment>,
    services: Cache<Service>,
    namespaces: Cache<Namespace>,
    jobs: Cache<Job>,
    pods: Cache<Pod>,
    claims: Cache<PersistentVolumeClaim>,
}

impl Stores {
    /// Asks for the caches.
    pub fn new(caches: &mut Caches) -> Self {
        Self {
            builds: caches.all(),
            projects: caches.all(),
            releases: caches.all(),
            services: caches.all(),
            namespaces: caches.managed(),
            jobs: caches.managed(),
            pods: caches.managed(),
            claims: caches.managed(),
        }
    }

    /// Builds that are not at their end.
    pub(crate) fn open_builds(&self) -> Vec<Arc<Build>> {
        let open = |build: &Build| !plan::ended(build) && !meta::is_deleted(build);
        self.builds.list_all(open)
    }

    /// Builds of the same Service that are older and not at their end.
    pub(crate) fn older(&self, newer: &Build) -> Vec<Arc<Build>> {
        let namespace = newer.namespace().unwrap_or_default();
        self.builds.list(&namespace, |other| {
            other.spec.service.is_some()
                && other.spec.service == newer.spec.service
                && other.spec.sequence < newer.spec.sequence
                && !plan::ended(other)
        })
    }

    /// Whether a Build has begun: its first Job is named like it.
    pub(crate) fn has_job(&self, build: &Build) -> bool {
        let namespace = build.namespace().unwrap_or_default();
        self.jobs.get(&namespace, &build.name_any()).is_some()
    }

    /// The Project that a namespace belongs to.
    pub(crate) fn project_of(&self, namespace: &str) -> Option<String> {
        let found = self.namespaces.get_cluster(namespace)?;
        meta::label(found.as_ref(), labels::PROJECT).map(str::to_owned)
    }

    /// The Project that a namespace belongs to, if it is there.
    pub(crate) fn project(&self, namespace: &str) -> Option<Arc<Project>> {
        self.projects.get_cluster(&self.project_of(namespace)?)
    }

    /// What may use the image of a Build that is deleted.
    pub(crate) fn around(&self, object: &Build, image: &str, config: &Config) -> Around {
        let builds = self.builds.list_all(|other| {
            let status = other.status.as_ref();
            status.and_then(|it| it.image.as_deref()) == Some(image)
        });
        let commit = &object.spec.source.git.commit;
        let unfinished = self
            .builds
            .list_all(|other| other.spec.source.git.commit == *commit && !plan::ended(other));
        let target = |other: Arc<Build>| {
            let namespace = other.namespace().unwrap_or_default();
            let name = self.project_of(&namespace)?;
            let project = self.projects.get_cluster(&name);
            let target = plan::job::image(&other, &name, project.as_deref(), config);
            Some((other, target))
        };
        let digest = plan::fate::digest(image);
        let releases = self
            .releases
            .list_all(|it| plan::fate::digest(&it.spec.image) == digest);
        let owner = |release: &Arc<Deployment>| {
            let owner = meta::controller(release.as_ref())?;
            let namespace = release.namespace().unwrap_or_default();
            self.services.get(&namespace, &owner.name)
        };
        Around {
            services: releases.iter().filter_map(owner).collect(),
            unfinished: unfinished.into_iter().filter_map(target).collect(),
            builds,
            releases,
        }
    }

    /// All Projects.
    pub(crate) fn projects(&self) -> Vec<Arc<Project>> {
        self.projects.list_all(|_| true)
    }
}

/// What a plan is made from.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Name of the Project that the namespace belongs to.
    pub project_name: Option<String>,
    /// The Project.
    pub project: Option<Arc<Project>>,
    /// The Build's Jobs, the oldest attempt first.
    pub jobs: Vec<Arc<Job>>,
    /// Pods of the newest Job.
    pub pods: Vec<Arc<Pod>>,
    /// Whether the Service's cache claim is there.
    pub claim: bool,
    /// Whether another Build of the Service is under way.
    pub busy: bool,
    /// Whether the Service's cache is there and what last wrote to it did not trim it, as far as is
    /// known: the Build before this one, or an earlier attempt.
    pub untrimmed: bool,
    /// A newer Build of the Service that ends this one.
    pub superseded_by: Option<String>,
    /// Whether it may start, if that was asked.
    pub turn: Option<Turn>,
    /// What is wrong with a Secret, if they were looked at.
    pub secret: Option<String>,
    /// What the cluster complains of, where an attempt does not begin.
    pub warning: Option<Warning>,
    /// The log of the step that ended badly or that runs, as far as it could be read.
    pub log: Option<String>,
}

/// An Event of type Warning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Warning {
    /// Its reason, like `FailedCreate`.
    pub reason: String,
    /// Its sentence.
    pub message: String,
}

/// Reads everything.
///
/// # Errors
/// The API server's, of the GETs.
pub async fn observe(
    context: &Context,
    stores: &Stores,
    places: &Places,
    object: &Build,
    now: Timestamp,
) -> Result<Seen, Error> {
    let mut seen = cached(stores, object);
    if plan::starts(object, &seen) {
        let waits = plan::waits_for_secret(object);
        if waits {
            // Who lacks a Secret asks for no place before it is there.
            seen.secret = wrong_secret(context, object, &seen).await?;
        }
        if seen.secret.is_none() {
            seen.turn = Some(places.turn(object, &context.config));
        }
        if seen.turn == Some(Turn::Now) && !waits {
            seen.secret = wrong_secret(context, object, &seen).await?;
        }
        if seen.secret.is_some() {
            places.pass(object, &context.config);
        }
    }
    if let Some(uid) = plan::needs_warning(object, &seen, now) {
        seen.warning = last_warning(context, object, &uid).await?;
    }
    if let Some((pod, container)) = plan::needs_log(object, &seen, now) {
        seen.log = read_log(context, object, &pod, container).await;
    }
    Ok(seen)
}

fn cached(stores: &Stores, object: &Build) -> Seen {
    let namespace = object.namespace().unwrap_or_default();
    let name = object.name_any();
    let project_name = stores
        .namespaces
        .get_cluster(&namespace)
        .and_then(|it| meta::label(it.as_ref(), labels::PROJECT).map(str::to_owned));
    let mut jobs = stores
        .jobs
        .list(&namespace, |job| meta::is_controlled_by(job, object));
    jobs.sort_by_key(|job| plan::attempt(&job.name_any(), &name));
    // Not by the Job's name: pods of one of the same name, which somebody deleted, go slowly.
    let pods = stores.pods.list(&namespace, |pod| {
        let newest = jobs.last();
        newest.is_some_and(|job| meta::is_controlled_by(pod, job.as_ref()))
    });
    let service = object.spec.service.as_deref();
    let others = stores.builds.list(&namespace, |other| {
        other.name_any() != name && service.is_some() && other.spec.service.as_deref() == service
    });
    let busy = others
        .iter()
        .any(|other| !plan::ended(other) && stores.has_job(other));
    let before = others
        .iter()
        .filter(|other| other.spec.sequence < object.spec.sequence)
        .max_by_key(|other| other.spec.sequence);
    let claim = service.is_some_and(|it| {
        let claim = stores.claims.get(&namespace, &names::build_cache(it));
        claim.is_some()
    });
    // Of a Build that somebody deleted nobody knows how it ended.
    let trimmed = jobs.is_empty() && before.is_some_and(|other| plan::succeeded(other));
    let newer = |other: &&Arc<Build>| {
        other.spec.build.supersede
            && other.spec.sequence > object.spec.sequence
            && !meta::is_deleted(other.as_ref())
    };
    let superseded_by = others.iter().find(newer).map(|other| other.name_any());
    Seen {
        project: project_name
            .as_deref()
            .and_then(|name| stores.projects.get_cluster(name)),
        project_name,
        jobs,
        pods,
        claim,
        busy,
        untrimmed: claim && !trimmed,
        superseded_by,
        turn: None,
        secret: None,
        warning: None,
        log: None,
    }
}

/// What is wrong with the Secrets that the Build's pod wants, in a sentence.
async fn wrong_secret(
    context: &Context,
    object: &Build,
    seen: &Seen,
) -> Result<Option<String>, Error> {
    let spec = &object.spec;
    let login = plan::job::registry_login(seen.project.as_deref(), &context.config);
    if login && secret(context, object, names::PUSH_SECRET).await?.is_none() {
        let from = &context.config.operator_namespace;
        return Ok(Some(format!(
            "Secret {}, which pushes images, is not there: the Project copies it from the one in namespace {from} that its registry.secretRef, or the operator's settings, name",
            names::PUSH_SECRET
        )));
    }
    if let Some(reference) = &spec.source.git.secret_ref {
        let name = &reference.name;
        let Some(secret) = secret(context, object, name).await? else {
            return Ok(Some(format!(
                "Secret {name}, which source.git.secretRef names, does not exist: create it with type kubernetes.io/basic-auth or kubernetes.io/ssh-auth"
            )));
        };
        let data = secret.data.unwrap_or_default();
        let text = |key: &str| String::from_utf8(data.get(key)?.0.clone()).ok();
        match Credentials::from_keys(text) {
            Err(lacks) => return Ok(Some(format!("Secret {name} {lacks}"))),
            Ok(found) => {
                if let Some(words) = wrong_kind(&found, &spec.source.git.url) {
                    return Ok(Some(format!("Secret {name} does not fit: {words}")));
                }
            }
        }
    }
    for file in &spec.build.secrets {
        let (name, key) = (&file.secret_key_ref.name, &file.secret_key_ref.key);
        let place = format!("which build.secrets names for {}", file.name);
        let Some(secret) = secret(context, object, name).await? else {
            return Ok(Some(format!(
                "Secret {name}, {place}, does not exist: create it"
            )));
        };
        if !secret.data.is_some_and(|data| data.contains_key(key)) {
            return Ok(Some(format!(
                "Secret {name}, {place}, has no key {key}: add it"
            )));
        }
    }
    Ok(None)
}

/// Whether credentials are not of the kind that a URL takes. What else is wrong with a URL is told
/// by the step that fetches.
fn wrong_kind(credentials: &Credentials, url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let refused = Credentials::check(Some(credentials), &url).err()?;
    Some(refused.to_string())
}

async fn secret(context: &Context, object: &Build, name: &str) -> Result<Option<Secret>, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
    read::get(&api, name).await
}

/// What the cluster complained of last about an object.
async fn last_warning(
    context: &Context,
    object: &Build,
    uid: &str,
) -> Result<Option<Warning>, Error> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<Event> = Api::namespaced(context.client.clone(), &namespace);
    let about = format!("involvedObject.uid={uid},type=Warning");
    let events = api
        .list(&ListParams::default().fields(&about))
        .await
        .map_err(|source| Error::api(format!("list Events of {uid}"), source))?;
    let time = |event: &Event| {
        let last = event.last_timestamp.as_ref().map(|time| time.0);
        last.max(event.event_time.as_ref().map(|time| time.0))
    };
    let last = events.items.into_iter().max_by_key(time);
    Ok(last.map(|event| Warning {
        reason: event.reason.unwrap_or_default(),
        message: event.message.unwrap_or_default(),
    }))
}

/// A log is for people. Where it cannot be read, the failure is told without it.
async fn read_log(context: &Context, object: &Build, pod: &str, container: &str) -> Option<String> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
    let parameters = LogParams {
        container: Some(container.to_owned()),
        tail_lines: Some(LOG.0),
        limit_bytes: Some(LOG.1),
        ..LogParams::default()
    };
    let read = async {
        let mut stream = api.log_stream(pod, &parameters).await.ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // The kubelet's own words, in the place of a log that is gone.
        const GONE: [&str; 2] = [
            "failed to try resolving symlinks in path",
            "unable to retrieve container logs for",
        ];
        let gone = GONE.iter().any(|words| text.starts_with(words));
        (!gone).then_some(text)
    };
    tokio::time::timeout(LOG.2, read).await.ok().flatten()
}
