//! What a plan is made from, and the parts of it that need more than one thing of that.

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Secret},
};
use trackbed_api::{
    DatabaseStatus, backup::BackupStatus, database::Binding, names, reason::Reason,
    updates::UpdatesStatus,
};
use trackbed_kit::{Fact, Health, meta};

use super::{
    Place,
    archive::{self, Archives, Fate},
    archived, attempt, begin, claim,
    cluster::{self, Begins},
    databases, health, image, parameters,
    recovery::{self, Origin},
    replicas,
    restart::{self, Restart},
    restore,
    rotation::{self, Logins},
    secret, sentinels, server, settings, settle,
    storage::{self, Usage},
    tls::{self, Transport},
    update,
};
use crate::{cloudnative_pg::Cluster, observe::Seen};

/// What is to happen to the server.
#[derive(Default)]
pub(super) struct Server {
    /// How it is to be. `None`: it stays as it is.
    pub(super) set: Option<StatefulSet>,
    /// The same of several.
    pub(super) cluster: Fate<Cluster>,
    pub(super) restart: Option<Restart>,
}

/// What is known of a Database before anything is decided about it.
pub(super) struct Known {
    /// Whether data were written.
    initialised: bool,
    /// Whether several servers are to be filled first.
    pub(super) restores: bool,
    /// The moment of another Database that they begin with, or what there is to wait for.
    origin: Result<Option<Origin>, Health>,
    /// How that goes.
    recovers: Option<Health>,
    /// Whose the data are.
    identity: String,
    /// How connections are encrypted.
    pub(super) transport: Option<Transport>,
    /// What there is to wait for until they are as they are to be.
    pub(super) lacks: Option<Health>,
    pub(super) logins: Logins,
    backup: Option<BackupStatus>,
    /// Whether the last backup is good.
    pub(super) proven: Option<Fact>,
    updates: Option<UpdatesStatus>,
    /// Version of the server that answered last.
    version: Option<String>,
    /// The volume's capacity, and how much of it is used.
    pub(super) size: Option<String>,
    pub(super) usage: Option<Usage>,
}

impl Known {
    /// # Errors
    /// What there is to wait for before anything can be done.
    pub(super) fn of(
        place: &Place<'_>,
        seen: &Seen,
        before: &DatabaseStatus,
        found: Option<update::Found>,
        now: Timestamp,
    ) -> Result<Self, Health> {
        if let Some(health) = replicas::conflict(place, seen) {
            return Err(health);
        }
        if let Some(health) = secret::missing(place, seen, before.initialised) {
            return Err(health);
        }
        let initialised = initialised(place, before, seen);
        if place.object.spec.is_replicated()
            && let Some(health) = replicas::hindrance(place, seen, initialised)
        {
            return Err(health);
        }
        let (transport, lacks) = match tls::of(place, seen, now) {
            Ok(transport) => (transport, None),
            // A server that runs has volumes that may grow, and backups.
            Err(health) if seen.set.is_some() || seen.cluster.is_some() => {
                (tls::standing(seen), Some(health))
            }
            Err(health) => return Err(health),
        };
        let spec = &place.object.spec;
        let several = cluster::capacity(&seen.volumes);
        let size = claim::capacity(place, seen).or(several);
        let size = size.or_else(|| before.storage.clone());
        Ok(Self {
            initialised,
            restores: !initialised && is_empty(place, seen),
            origin: recovery::of(place, seen, initialised, now),
            recovers: recovery::health(place, seen, initialised, now),
            identity: secret::identity(seen),
            transport,
            lacks,
            logins: rotation::logins(place, seen, now),
            backup: attempt::status(&place.name, spec, seen, before),
            proven: attempt::fact(spec, seen, before),
            updates: update::status(place.object, seen, before, found),
            version: seen
                .version
                .clone()
                .or_else(|| before.server_version.clone()),
            usage: storage::usage(seen.volume.as_ref(), size.as_deref()),
            size,
        })
    }

    /// The server's settings, and its health: with parameters that it would refuse, it keeps those
    /// that it has.
    ///
    /// # Errors
    /// Where there are none that it could keep.
    pub(super) fn settings(
        &self,
        place: &Place<'_>,
        seen: &Seen,
        archived: Option<&Fact>,
        health: Health,
    ) -> Result<(ConfigMap, Health), Health> {
        let spec = &place.object.spec;
        let stand = settings::Backups::of(spec, self.backup.as_ref(), self.proven.as_ref());
        let (stand, transport) = (stand.as_ref(), self.transport.as_ref());
        let told = (stand, archived);
        let servers = spec.has_sentinels().then(|| sentinels::count(place, seen));
        let (identity, initialised) = (&self.identity, self.initialised);
        let settings = settings::desired(place, identity, initialised, told, transport, servers);
        let faults = parameters::faults(spec);
        match (faults.is_empty(), &seen.settings) {
            (true, _) => Ok((settings, health)),
            (false, _) if seen.cluster.is_some() => {
                Ok((settings, health::faulty(&faults, &health)))
            }
            (false, Some(live)) if !spec.is_replicated() => {
                let health = health::faulty(&faults, &health);
                Ok((settings::kept(settings, live), health))
            }
            (false, _) => Err(Health::Stalled(Reason::InvalidParameter, faults.join("; "))),
        }
    }

    /// The server and its restart, and what is done about the backup that it begins with.
    pub(super) fn server(
        &self,
        place: &Place<'_>,
        seen: &Seen,
        settings: &ConfigMap,
        health: Health,
    ) -> (Server, restore::Act, Health) {
        if place.object.spec.is_replicated() {
            return self.servers(place, seen, health);
        }
        let set = server::desired(place, seen, settings, self.transport.as_ref());
        let restart = restart::of(place, &set, seen, self.logins.waits);
        let ends = sentinels::ends(place, &set, seen);
        let health = match (&restart, ends.unwrap_or(health)) {
            // It will not be for long. Of several others serve.
            (Some(restart), Health::Ready(_)) if !place.object.spec.has_sentinels() => {
                let what = health::server(&place.object.spec);
                Health::Progressing(format!("{what} is restarted {}", restart.why))
            }
            (_, health) => health,
        };
        let server = Server {
            restart: restart.filter(|it| it.now),
            set: Some(set),
            cluster: Fate::Stays,
        };
        let (server, restore, health) = match restore::of(place, seen, self.initialised) {
            restore::Step::Done => (server, restore::Act::Nothing, health),
            restore::Step::Before { health, act } => (Server::default(), act, health),
        };
        match self.lacks.clone() {
            None => (server, restore, health),
            // A pod that began now would wait for the certificate too. One may be asked to end.
            Some(lacks) => match place.object.spec.suspend {
                true => (server, restore, lacks),
                false => (Server::default(), restore, lacks),
            },
        }
    }

    /// Several servers, and what is done about the backup that they begin with: it is restored into
    /// the one that takes writes.
    fn servers(
        &self,
        place: &Place<'_>,
        seen: &Seen,
        health: Health,
    ) -> (Server, restore::Act, Health) {
        let nothing = restore::Act::Nothing;
        let cluster = match self.cluster(place, seen) {
            Ok(cluster) => cluster,
            Err(health) => return (Server::default(), nothing, health),
        };
        let health = self.recovers.clone().unwrap_or(health);
        let goes = matches!(cluster, Fate::Goes);
        let server = Server {
            cluster,
            ..Server::default()
        };
        if goes {
            let message = "what restore said before is being removed".to_owned();
            return (server, nothing, Health::Progressing(message));
        }
        let held = self.logins.held.as_ref();
        let step = match restore::of(place, seen, self.initialised) {
            restore::Step::Done => settle::before(place, seen, held, self.restores)
                .unwrap_or_else(|| begin::of(place, seen, self.initialised)),
            before => before,
        };
        let (restore, health) = match step {
            restore::Step::Before { health, act } if health::answers(seen) => (act, health),
            // What it would wait for by then, it says now.
            restore::Step::Before {
                health: waits @ (Health::Waiting(..) | Health::Stalled(..)),
                ..
            } => (restore::Act::Nothing, waits),
            restore::Step::Done if health::answers(seen) => {
                (settle::act(place, seen, held), health)
            }
            _ => (restore::Act::Nothing, health),
        };
        match self.lacks.clone() {
            None => (server, restore, health),
            Some(lacks) if place.object.spec.suspend => (server, restore, lacks),
            Some(lacks) => (Server::default(), restore, lacks),
        }
    }

    /// The servers, as they are to be.
    ///
    /// # Errors
    /// What there is to wait for before.
    fn cluster(&self, place: &Place<'_>, seen: &Seen) -> Result<Fate<Cluster>, Health> {
        let live = seen.cluster.as_deref();
        let begins = match (&self.origin, live) {
            (Ok(None), _) => Begins::Empty,
            (Ok(Some(origin)), _) => Begins::As(origin),
            (Err(health), None) => return Err(health.clone()),
            (Err(_), Some(_)) => Begins::AsBefore,
        };
        if let Some((_, health)) = update::first(place, seen) {
            return Err(health);
        }
        let mark = recovery::mark(place, self.initialised);
        if live.is_some_and(|it| recovery::is_another(it, mark.as_deref(), self.initialised)) {
            return Ok(Fate::Goes);
        }
        if live.is_none() && seen.volumes.iter().any(meta::is_deleted) {
            let message = "the volumes of before are going".to_owned();
            return Err(Health::Progressing(message));
        }
        let made = cluster::Made {
            database: &secret::database(place, seen),
            identity: &self.identity,
            logins: &self.logins,
            transport: self.transport.as_ref(),
            live,
            superuser: settle::needs(place, seen, self.logins.held.as_ref(), self.initialised),
            refused: !parameters::faults(&place.object.spec).is_empty(),
            cannot_grow: seen.cannot_grow.is_some(),
            archive: archive::plugin(place, seen, &self.identity),
            begins,
            mark,
        };
        Ok(Fate::is(cluster::desired(place, &made)))
    }

    pub(super) fn secret(&self, place: &Place<'_>, seen: &Seen) -> Secret {
        let (login, transport) = (&self.logins.current, self.transport.as_ref());
        let mut secret = secret::desired(place, seen, login, self.initialised, transport);
        self.logins.mark(&mut secret);
        image::mark(place, &mut secret);
        secret
    }

    /// The Secrets of the databases that are listed.
    pub(super) fn bindings(&self, place: &Place<'_>) -> Vec<Secret> {
        let held = self.logins.held.as_ref();
        databases::bindings(place, held, self.transport.as_ref())
    }

    /// Whether these are there.
    pub(super) fn databases(
        &self,
        place: &Place<'_>,
        seen: &Seen,
        before: &DatabaseStatus,
    ) -> Option<Fact> {
        databases::fact(place, seen, self.logins.held.as_ref(), before)
    }

    /// What keeps the log.
    pub(super) fn archives(&self, place: &Place<'_>, seen: &Seen) -> Archives {
        let origin = self.origin.as_ref().ok().and_then(Option::as_ref);
        let store = origin.and_then(|it| it.store.clone());
        archive::desired(place, seen, store)
    }

    /// Whether it is kept.
    pub(super) fn archived(
        &self,
        place: &Place<'_>,
        seen: &Seen,
        before: &DatabaseStatus,
    ) -> Option<Fact> {
        archived::fact(place, seen, &self.identity, before)
    }

    pub(super) fn status(
        self,
        place: &Place<'_>,
        seen: &Seen,
        before: DatabaseStatus,
    ) -> DatabaseStatus {
        let single = place.object.spec.replicas == 1;
        let sentinels = sentinels::status(place, seen);
        DatabaseStatus {
            replication: replicas::status(place, seen).or(sentinels),
            archive: archived::status(place, seen, &self.identity),
            binding: Some(Binding {
                name: names::credentials(&place.name),
            }),
            databases: databases::status(place),
            credentials: Some(self.logins.status(place)),
            host: Some(place.host()),
            port: Some(place.object.spec.engine.port()),
            claim: single.then(|| names::data_claim(&place.name)),
            storage: self.size,
            storage_used: self.usage.map(|it| it.used()).or(before.storage_used),
            identity: self.initialised.then_some(self.identity),
            image: Some(place.image.clone()),
            server_version: self.version,
            updates: self.updates,
            backup: self.backup,
            initialised: self.initialised,
            ..before
        }
    }
}

/// Whether data were written: once the server was ready, or the retained Secret says so. Several are
/// ready before what they begin with is restored.
fn initialised(place: &Place<'_>, before: &DatabaseStatus, seen: &Seen) -> bool {
    before.initialised
        || seen.secret.as_ref().is_some_and(secret::is_initialised)
        || (health::answers(seen) && !is_empty(place, seen))
}

/// Whether several servers are still to be given what they begin with. A single one is not there
/// before.
fn is_empty(place: &Place<'_>, seen: &Seen) -> bool {
    let pending = restore::is_pending(place, seen) || begin::is_pending(place, seen);
    place.object.spec.is_replicated() && pending
}
