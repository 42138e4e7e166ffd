//! What a Database needs next, from what was seen. No I/O and no clock.

pub mod archive;
mod archived;
pub mod attempt;
pub mod backup;
mod begin;
pub mod claim;
pub mod cluster;
pub mod databases;
pub mod deletion;
pub mod destination;
pub mod health;
pub mod image;
pub mod job;
mod known;
pub mod parameters;
pub mod pod;
pub mod policy;
pub mod queries;
mod recovery;
pub(crate) mod replicas;
pub mod restart;
pub mod restore;
pub mod rotation;
pub mod secret;
pub(crate) mod sentinels;
pub mod server;
pub mod service;
pub mod settings;
pub(crate) mod settle;
pub mod storage;
pub mod tls;
pub mod told;
pub mod update;

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service},
        networking::v1::NetworkPolicy,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use known::Known;
use kube::ResourceExt;
use std::time::Duration;
use trackbed_api::{Database, DatabaseStatus, labels, reason::Reason};
use trackbed_kit::{Config, Fact, Health, Plan as Outcome, conditions::find, meta};

use crate::{
    cloudnative_pg::{CLUSTER, Cluster},
    observe::Seen,
};

/// How often the Secret, which nobody watches, is looked at.
const SECRET: Duration = Duration::from_secs(600);
/// And when there is something to wait for in one.
const LACKING: Duration = Duration::from_secs(30);
/// How often servers are looked at that somebody else has trouble to start.
const TROUBLE: Duration = Duration::from_secs(15);

/// Everything that follows from a look at a Database.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Status and when to look again.
    pub outcome: Outcome<DatabaseStatus>,
    /// What to write.
    pub children: Option<Children>,
}

/// What to write.
#[derive(Clone, Debug)]
pub struct Children {
    /// The credentials and the identity of the data.
    pub secret: Secret,
    /// Those in reserve.
    pub standby: Secret,
    /// Those of the databases that it lists.
    pub bindings: Vec<Secret>,
    /// Those of databases that it listed before.
    pub gone: Vec<Secret>,
    /// The certificate, where it is of the Database's own authority.
    pub certificate: Option<Secret>,
    /// The volume of a single server.
    pub claim: Option<PersistentVolumeClaim>,
    /// Those of several that Sentinels watch.
    pub claims: Vec<PersistentVolumeClaim>,
    /// How many of these may be away at a time.
    pub budget: Option<PodDisruptionBudget>,
    /// The server's settings.
    pub settings: ConfigMap,
    /// The address. `None`: there is nothing behind it yet.
    pub service: Option<Service>,
    /// The name of a single server's pod.
    pub headless: Option<Service>,
    /// Who may connect.
    pub policy: NetworkPolicy,
    /// About what restores the backup that it begins with, or does something else in its servers.
    pub restore: restore::Act,
    /// The server. `None`: it stays as it is.
    pub set: Option<StatefulSet>,
    /// The servers, where there are several.
    pub cluster: archive::Fate<Cluster>,
    /// Those of their volumes that are to grow.
    pub grown: Vec<cluster::Growth>,
    /// What keeps their log.
    pub archives: archive::Archives,
    /// The pod that makes room for one as the server is to be.
    pub restart: Option<restart::Restart>,
    /// What takes backups.
    pub backups: backup::Backups,
    /// What looks for newer images.
    pub looks: update::Looks,
}

/// A Database and what its children are made from.
pub struct Place<'a> {
    /// The Database.
    pub object: &'a Database,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Name of the Project.
    pub project: &'a str,
    /// The operator's settings.
    pub config: &'a Config,
    /// The server's image.
    pub image: String,
}

impl Place<'_> {
    /// Metadata of a child that goes with the Database.
    pub fn owned(&self, name: &str) -> ObjectMeta {
        self.label(meta::owned(self.object, name))
    }

    /// Metadata of a child that stays.
    pub fn retained(&self, name: &str) -> ObjectMeta {
        self.label(meta::retained(&self.namespace, name))
    }

    fn label(&self, mut metadata: ObjectMeta) -> ObjectMeta {
        meta::insert(&mut metadata.labels, labels::DATABASE, &self.name);
        meta::insert(&mut metadata.labels, labels::PROJECT, self.project);
        metadata
    }

    /// Name of the server inside the cluster.
    pub fn host(&self) -> String {
        format!(
            "{}.{}.svc.{}",
            self.name, self.namespace, self.config.cluster_domain
        )
    }

    /// Labels of the pod, or of the several.
    pub fn selector(&self) -> std::collections::BTreeMap<String, String> {
        let name = self.name.as_str();
        let selector = match self.object.spec.is_replicated() {
            true => vec![(CLUSTER, name)],
            false => vec![(labels::DATABASE, name), (labels::ROLE, "database")],
        };
        selector
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }
}

/// Decides, for the moment `now`.
pub fn plan(object: &Database, seen: &Seen, config: &Config, now: Timestamp) -> Plan {
    let before = object.status.clone().unwrap_or_default();
    let Some(project) = seen.project.as_deref() else {
        let health = Health::Stalled(
            Reason::NamespaceNotManaged,
            "this namespace belongs to no Project: create the Database in a namespace of a Project's environment".to_owned(),
        );
        return of(before, health, None, None);
    };
    let found = update::found(object, seen, &before, now);
    let place = Place {
        image: image::of(object, seen, config, &before, found.as_ref()),
        object,
        name: object.name_any(),
        namespace: object.namespace().unwrap_or_default(),
        project,
        config,
    };
    let known = match Known::of(&place, seen, &before, found, now) {
        Ok(known) => known,
        Err(health) => return of(before, health, None, Some(LACKING)),
    };
    let health = health::of(&place, seen, now);
    let health = match &known.usage {
        Some(usage) => usage.health(health),
        None => health,
    };
    let (usage, size) = (known.usage.as_ref(), known.size.as_deref());
    let facts = storage::fact(usage, &health, size, &before);
    let replicated = replicas::fact(&place, seen, &before);
    let replicated = replicated.or_else(|| sentinels::fact(&place, seen, &before, now));
    let archived = known.archived(&place, seen, &before);
    let listed = known.databases(&place, seen, &before);
    let (settings, health) = match known.settings(&place, seen, archived.as_ref(), health) {
        Ok(settings) => settings,
        Err(health) => return of(before, health, None, None),
    };
    let (server, restore, health) = known.server(&place, seen, &settings, health);
    let again = again(&place, seen, &known);
    let children = children(&place, seen, &before, &known, (settings, server, restore));
    let proven = known.proven.clone();
    let newest = update::fact(&object.spec, seen, &before, config);
    let status = known.status(&place, seen, before);
    let mut plan = of(status, health, Some(children), Some(again));
    let facts = facts.into_iter().chain(replicated).chain(archived);
    let facts = facts.chain(listed);
    plan.outcome.facts = facts.chain(proven).chain(newest).collect();
    plan
}

/// When to look again.
fn again(place: &Place<'_>, seen: &Seen, known: &Known) -> Duration {
    let grows = !seen.volumes.is_empty();
    let trouble = place.object.spec.is_replicated() && (grows || !health::answers(seen));
    let lacks = known.lacks.is_some() || archive::lacks(place, seen).is_some();
    let look = match (trouble, lacks) {
        (true, _) => TROUBLE,
        (false, true) => LACKING,
        (false, false) => SECRET,
    };
    known.logins.again.map_or(look, |again| again.min(look))
}

/// What is written, with what was decided about the server.
fn children(
    place: &Place<'_>,
    seen: &Seen,
    before: &DatabaseStatus,
    known: &Known,
    (settings, server, restore): (ConfigMap, known::Server, restore::Act),
) -> Children {
    let spec = &place.object.spec;
    let (single, several) = (!spec.is_replicated(), spec.has_sentinels());
    let bindings = known.bindings(place);
    Children {
        gone: databases::gone(place, seen, &bindings),
        bindings,
        secret: known.secret(place, seen),
        certificate: known.transport.as_ref().and_then(|it| it.own.clone()),
        standby: rotation::standby(place, seen, &known.logins),
        claim: (single && !several).then(|| claim::desired(place, seen)),
        claims: match several {
            true => claim::several(place, seen),
            false => Vec::new(),
        },
        budget: several.then(|| sentinels::budget(place)),
        // Nobody is to come before what is restored into a server that runs.
        service: (single || !known.restores).then(|| service::desired(place)),
        headless: single.then(|| service::headless(place)),
        policy: policy::desired(place),
        backups: backup::desired(place, seen, before),
        looks: update::desired(place, seen, before),
        archives: known.archives(place, seen),
        restore,
        set: server.set,
        grown: cluster::grown(&server.cluster, seen),
        cluster: server.cluster,
        restart: server.restart,
        settings,
    }
}

/// What Events are to say: conditions that are False now and were not, or are for another reason.
pub fn warnings<'a>(before: Option<&DatabaseStatus>, facts: &'a [Fact]) -> Vec<&'a Fact> {
    let known = |fact: &Fact| {
        let before = before.and_then(|it| find(&it.conditions, fact.kind));
        before.is_some_and(|it| it.status == "False" && it.reason == fact.reason)
    };
    let bad = facts.iter().filter(|it| it.status == Some(false));
    bad.filter(|it| !known(it)).collect()
}

/// A condition as it is: it holds while nobody knows more.
fn said(before: &DatabaseStatus, kind: &'static str) -> Option<Fact> {
    let said = find(&before.conditions, kind)?;
    let status = match said.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    };
    let (reason, message) = (said.reason.clone(), said.message.clone());
    Some(Fact::new(kind, status, reason, message))
}

fn of(
    status: DatabaseStatus,
    health: Health,
    children: Option<Children>,
    requeue: Option<Duration>,
) -> Plan {
    Plan {
        outcome: Outcome {
            status,
            health,
            facts: Vec::new(),
            requeue,
        },
        children,
    }
}
