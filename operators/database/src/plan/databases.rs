//! Databases of one Postgres besides the one that is always there, and their owners: what its
//! supervisor is told of them, what applications are told, and what the supervisor says.
//!
//! Several servers are told by a Job instead, see [`super::settle`].
//!
//! All that is to be remembered lies in one key of the Secret that stays, which the supervisor reads
//! too. An owner has two users, like the application: see [`super::rotation`]. One that owns nothing
//! listed stays there with its passwords, and is not let in.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};
use trackbed_api::{
    Database,
    common::condition::DATABASES_READY,
    database::{Binding, DatabaseSpec, DatabaseStatus, Engine},
    databases::{DatabaseEntry, MAIN},
    names,
    reason::Reason,
};
use trackbed_kit::{Fact, meta};

use super::{
    Place,
    rotation::{Wait, other},
    said,
    secret::{self, Login},
    settle,
    tls::Transport,
    told::Told,
};
use crate::observe::Seen;

/// Key of the Secret with the reserve.
pub const FILE: &str = "databases";
/// Who takes backups: it may act as any owner, and nobody is told of it.
const BACKUP: &str = "trackbed_backup";

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// Of what is listed. The supervisor says which one it has done.
    pub version: String,
    /// The databases.
    pub databases: Vec<Listed>,
    /// Their owners, and those of databases that were listed once.
    pub owners: Vec<Owner>,
    /// Who takes backups of them.
    pub backup: Login,
}

/// A database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner: String,
    /// Extensions that it is to have.
    pub extensions: Vec<String>,
}

/// Who owns databases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The role.
    pub name: String,
    /// No database of it is listed.
    pub ended: bool,
    /// What applications are told.
    pub current: Login,
    /// What they are told next, or were told before.
    pub reserve: Login,
    /// Since when the reserve is what it is.
    pub since: Timestamp,
    /// It is what applications were told before.
    pub retired: bool,
    /// The text in `credentials.rotate` that was done last.
    pub rotate: Option<String>,
}

/// What was remembered.
fn live(standby: Option<&Secret>) -> Option<Held> {
    let text = secret::value(standby?, FILE)?;
    serde_json::from_str(&text).ok()
}

/// Names of the Secrets that there are, or were, of the databases.
pub(crate) fn secrets(object: &Database, standby: Option<&Secret>) -> BTreeSet<String> {
    let name = object.name_any();
    let before = live(standby).unwrap_or_default().databases;
    let before = before.into_iter().map(|it| it.name);
    let listed = object.spec.databases.iter().map(|it| it.name.to_string());
    let further = before.chain(listed).filter(|it| it != MAIN);
    further
        .map(|it| names::database_credentials(&name, &it))
        .collect()
}

/// What is to be remembered. `None`: nobody ever asked for anything that needs it. A backup may bring
/// databases that are not listed.
pub(super) fn held(
    place: &Place<'_>,
    seen: &Seen,
    keep: SignedDuration,
    rotate: Option<&str>,
    now: Timestamp,
) -> Option<Held> {
    let spec = &place.object.spec;
    let before = live(seen.standby.as_ref());
    let asked = !spec.databases.is_empty() || spec.restore.is_some() || before.is_some();
    if spec.engine != Engine::Postgres || !asked {
        return None;
    }
    let before = before.unwrap_or_default();
    let databases = listed(spec);
    let mut owners = before.owners;
    for name in databases.iter().map(|it| &it.owner) {
        if name != MAIN && !owners.iter().any(|it| it.name == *name) {
            owners.push(Owner::made(name, seen, rotate, now));
        }
    }
    for owner in &mut owners {
        owner.ended = !databases.iter().any(|it| it.owner == owner.name);
        if owner.retired && owner.ends(keep) <= now {
            owner.renew(seen, now);
        }
    }
    let backup = match before.backup.username.is_empty() {
        true => fresh(seen, BACKUP),
        false => before.backup,
    };
    Some(Held {
        version: version(&databases, &owners),
        databases,
        owners,
        backup,
    })
}

fn listed(spec: &DatabaseSpec) -> Vec<Listed> {
    let all = spec.databases.iter();
    all.map(|it| Listed {
        name: it.name.to_string(),
        owner: it.owner().to_owned(),
        extensions: it.extensions.iter().map(ToString::to_string).collect(),
    })
    .collect()
}

/// Of what is listed and who is let in, not of passwords: others are told it.
fn version(databases: &[Listed], owners: &[Owner]) -> String {
    let owners: Vec<_> = owners.iter().map(|it| (&it.name, it.ended)).collect();
    // Texts and truth values always have a text.
    let text = serde_json::to_vec(&(databases, owners)).unwrap_or_default();
    names::hash(&text)[..16].to_owned()
}

/// A user with a password that nobody knows yet.
fn fresh(seen: &Seen, username: &str) -> Login {
    let password = names::hash(format!("{}/{username}", seen.fresh.owners).as_bytes());
    Login {
        username: username.to_owned(),
        password: password[..40].to_owned(),
    }
}

impl Owner {
    fn made(name: &str, seen: &Seen, rotate: Option<&str>, now: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            ended: false,
            current: fresh(seen, name),
            reserve: fresh(seen, &other(name)),
            since: now,
            retired: false,
            rotate: rotate.map(str::to_owned),
        }
    }

    /// Gives the reserve a password that nobody knows.
    fn renew(&mut self, seen: &Seen, now: Timestamp) {
        self.reserve = fresh(seen, &self.reserve.username);
        self.since = now;
        self.retired = false;
    }

    /// When what was told before is no longer good.
    fn ends(&self, keep: SignedDuration) -> Timestamp {
        self.since.saturating_add(keep).unwrap_or(Timestamp::MAX)
    }
}

impl Held {
    /// What a change of all credentials waits for. `heard`: whether the server knows what was written
    /// at that time.
    pub(super) fn waits(
        &self,
        keep: SignedDuration,
        rotate: Option<&str>,
        heard: impl Fn(Timestamp) -> bool,
    ) -> Option<Wait> {
        // Some may have been changed just before the application's: that came to its first write.
        let mut due = self
            .owners
            .iter()
            .filter(|it| it.rotate.as_deref() != rotate);
        due.find_map(|it| match it.retired {
            true => Some(Wait::Previous(it.ends(keep))),
            false => (!heard(it.since)).then_some(Wait::Settling),
        })
    }

    /// Changes the credentials of all.
    pub(super) fn exchange(&mut self, rotate: Option<&str>, now: Timestamp) {
        let due = self.owners.iter_mut();
        for owner in due.filter(|it| it.rotate.as_deref() != rotate) {
            std::mem::swap(&mut owner.current, &mut owner.reserve);
            owner.since = now;
            owner.retired = true;
            owner.rotate = rotate.map(str::to_owned);
        }
    }

    /// When the first of those that were told before ends.
    pub(super) fn ends(&self, keep: SignedDuration) -> Option<Timestamp> {
        let retired = self.owners.iter().filter(|it| it.retired);
        retired.map(|it| it.ends(keep)).min()
    }

    /// Since when the newest of those in reserve is.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.owners.iter().map(|it| it.since).max()
    }

    /// What stands in the Secret.
    pub(super) fn text(&self) -> String {
        // Texts, times and truth values always have a text.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Checksum of that, with all passwords.
    pub(super) fn checksum(&self) -> String {
        names::hash(self.text().as_bytes())
    }

    fn further(&self) -> impl Iterator<Item = (&Listed, &Owner)> {
        self.databases.iter().filter_map(|it| {
            let owner = self.owners.iter().find(|owner| owner.name == it.owner)?;
            Some((it, owner))
        })
    }
}

/// What applications are told: a Secret for each database. They go with the Database, since what they
/// are made of stays.
pub(super) fn bindings(
    place: &Place<'_>,
    held: Option<&Held>,
    transport: Option<&Transport>,
) -> Vec<Secret> {
    let all = held.into_iter().flat_map(Held::further);
    all.map(|(database, owner)| {
        let name = names::database_credentials(&place.name, &database.name);
        let metadata = place.owned(&name);
        secret::binding(place, metadata, &owner.current, &database.name, transport)
    })
    .collect()
}

/// The Secrets of databases that are no longer listed.
pub(super) fn gone(place: &Place<'_>, seen: &Seen, stay: &[Secret]) -> Vec<Secret> {
    let is = |name: &str| stay.iter().any(|it| it.name_any() == name);
    let mine = |it: &&Secret| meta::is_controlled_by(*it, place.object);
    let found = seen.bindings.iter().filter(mine);
    found.filter(|it| !is(&it.name_any())).cloned().collect()
}

/// For status.
pub(super) fn status(place: &Place<'_>) -> Vec<DatabaseEntry> {
    let all = listed(&place.object.spec).into_iter();
    all.map(|it| DatabaseEntry {
        binding: Binding {
            name: names::database_credentials(&place.name, &it.name),
        },
        name: it.name,
        owner: it.owner,
    })
    .collect()
}

/// The condition.
pub(super) fn fact(
    place: &Place<'_>,
    seen: &Seen,
    held: Option<&Held>,
    before: &DatabaseStatus,
) -> Option<Fact> {
    let held = held.filter(|it| !it.databases.is_empty())?;
    if place.object.spec.suspend {
        return said(before, DATABASES_READY);
    }
    let several = place.object.spec.is_replicated();
    let (told, takes, who) = match several {
        false => (
            seen.told.clone(),
            "up to two minutes",
            format!("{}-0", place.name),
        ),
        true => {
            let (told, job) = (settle::told(place, seen, held), settle::name(place, held));
            (told, "some seconds", format!("job/{job}"))
        }
    };
    let told = told.filter(|it| it.version == held.version);
    let Some(told) = told else {
        // The pod that said it is gone, and was heard.
        if let Some(known) = said(before, DATABASES_READY)
            .filter(|it| it.status.is_some() && several && settle::is_done(place, seen, held))
        {
            return Some(known);
        }
        let message = format!(
            "the server has not said yet that it has them all, which takes {takes} after a change: 'kubectl logs {who}' says what it does"
        );
        return Some(Fact::new(DATABASES_READY, None, "Progressing", message));
    };
    if let Some((reason, message)) = refusal(place, &told, &who) {
        let reason = reason.as_str();
        return Some(Fact::new(DATABASES_READY, Some(false), reason, message));
    }
    let names: Vec<_> = held.databases.iter().map(|it| it.name.as_str()).collect();
    let message = format!("{} are as they are listed", names.join(", "));
    Some(Fact::new(
        DATABASES_READY,
        Some(true),
        "DatabasesReady",
        message,
    ))
}

fn refusal(place: &Place<'_>, told: &Told, who: &str) -> Option<(Reason, String)> {
    let reason = match told.differing.is_empty() {
        false => Reason::DatabaseOwnerDiffers,
        true => Reason::ExtensionUnavailable,
    };
    let differing = told.differing.iter().map(|(database, owner)| {
        format!("the database {database} is there already and belongs to {owner}: take it out of the list, and put it back with owner: {owner}")
    });
    let version = &place.object.spec.version;
    let unavailable = told.unavailable.iter().map(|(database, extension)| {
        format!(
            "the database {database} cannot have the extension {extension}: the image of Postgres {version} does not have it, or 'kubectl logs {who}' says why not"
        )
    });
    let all: Vec<_> = differing.chain(unavailable).collect();
    (!all.is_empty()).then(|| (reason, all.join("; ")))
}
