//! Whom the server lets in, and how that changes without anybody being turned away.
//!
//! The server knows two users at any time: the one that the binding Secret tells of, and one in
//! reserve. A rotation tells of the reserve, whose password the server has known for minutes by
//! then, and keeps what was told before as the new reserve. After `credentials.keep` that one gets a
//! password which nobody is told.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    ByteString,
    api::core::v1::{Pod, Secret},
    apimachinery::pkg::apis::meta::v1::Time,
};
use std::{collections::BTreeMap, time::Duration};
use trackbed_api::{database::CredentialsStatus, names};
use trackbed_kit::meta;

use super::{
    Place,
    databases::{self, Held},
    health, replicas,
    secret::{self, Login},
    sentinels, settle,
};
use crate::observe::Seen;

/// Annotation: the text in `credentials.rotate` that was done last.
const ROTATE: &str = "trackbed.dev/rotate";
/// Annotation: since when a Secret holds these credentials.
const SINCE: &str = "trackbed.dev/since";
/// Annotation: applications were told of these credentials before.
const RETIRED: &str = "trackbed.dev/retired";
/// After so long the server knows what was written to a Secret: kubelet brings it to the pod within
/// its sync period and the delay of its cache, a minute each
/// (<https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod>).
const SETTLES: SignedDuration = SignedDuration::from_secs(180);
/// Key: the password by which several servers, and their Sentinels, enter each other.
const PEERS: &str = "peers";
/// What the second user's name ends with.
const SECOND: &str = "_2";

/// What the server is told to let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logins {
    /// What applications are told.
    pub current: Login,
    /// The text that was done last.
    pub rotate: Option<String>,
    /// When that was.
    pub rotated: Option<Timestamp>,
    /// The other one.
    pub reserve: Reserve,
    /// The same of the owners of further databases, where there are any.
    pub held: Option<Held>,
    /// What keeps a change that is wanted.
    pub waits: Option<Wait>,
    /// When to look again at the latest.
    pub again: Option<Duration>,
}

/// The user and password that applications are told next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// User and password.
    pub login: Login,
    /// Since when they are.
    pub since: Timestamp,
    /// They are those that applications were told before.
    pub retired: bool,
}

/// What a change waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The server does not answer.
    Server,
    /// It runs a supervisor that knows one user only.
    Restart,
    /// The server may not have heard of the reserve yet.
    Settling,
    /// Those before are valid until then.
    Previous(Timestamp),
}

impl Wait {
    fn message(self) -> String {
        match self {
            Self::Server => "the change waits for the server to be ready".to_owned(),
            Self::Restart => {
                "the server restarts once, because its supervisor knows one user only".to_owned()
            }
            Self::Settling => {
                "the change waits until the server surely knows the new password".to_owned()
            }
            Self::Previous(until) => format!(
                "the change waits until the credentials before the present ones end at {until}"
            ),
        }
    }
}

/// Decides what the two Secrets hold.
pub fn logins(place: &Place<'_>, seen: &Seen, now: Timestamp) -> Logins {
    let live = seen.secret.as_ref();
    let current = secret::current(seen);
    let rotate = live.and_then(|it| meta::annotation(it, ROTATE).map(str::to_owned));
    let rotated = live.and_then(since);
    let mut logins = Logins {
        reserve: reserve(&current, seen, now),
        current,
        held: databases::held(place, seen, keep(place), rotate.as_deref(), now),
        rotate,
        rotated,
        waits: None,
        again: None,
    };
    let spec = &place.object.spec.credentials;
    let wanted = spec.rotate.is_some() && spec.rotate != logins.rotate;
    let ends = later(logins.reserve.since, keep(place));
    if logins.reserve.retired && ends <= now {
        logins.reserve = fresh(&logins.current, seen, now);
    }
    if wanted {
        let wait = waits(place, seen, &logins.reserve, ends, now);
        logins.waits = wait.or_else(|| owners(place, seen, logins.held.as_ref(), now));
        if logins.waits.is_none() {
            exchange(&mut logins, spec.rotate.clone(), now);
        }
    }
    logins.again = again(place, &logins, now);
    logins
}

fn exchange(logins: &mut Logins, rotate: Option<String>, now: Timestamp) {
    std::mem::swap(&mut logins.current, &mut logins.reserve.login);
    logins.reserve.since = now;
    logins.reserve.retired = true;
    if let Some(held) = &mut logins.held {
        held.exchange(rotate.as_deref(), now);
    }
    logins.rotate = rotate;
    logins.rotated = Some(now);
}

fn waits(
    place: &Place<'_>,
    seen: &Seen,
    reserve: &Reserve,
    ends: Timestamp,
    now: Timestamp,
) -> Option<Wait> {
    if place.object.spec.is_replicated() {
        return among_several(seen, reserve, ends);
    }
    if place.object.spec.has_sentinels() {
        return among_all(place, seen, reserve, ends, now);
    }
    let pod = seen.pod.as_deref().filter(|pod| health::is_ready(pod));
    match pod {
        None => Some(Wait::Server),
        Some(pod) if !super::server::knows_two(place, pod) => Some(Wait::Restart),
        Some(_) if reserve.retired => Some(Wait::Previous(ends)),
        Some(pod) if !heard(pod, reserve.since, now) => Some(Wait::Settling),
        Some(_) => None,
    }
}

/// What the owners of further databases wait for, whose credentials change in the same step.
fn owners(place: &Place<'_>, seen: &Seen, held: Option<&Held>, now: Timestamp) -> Option<Wait> {
    let held = held?;
    let rotate = place.object.spec.credentials.rotate.as_deref();
    if place.object.spec.is_replicated() {
        let knows = settle::is_done(place, seen, held);
        return held.waits(keep(place), rotate, |_| knows);
    }
    let pod = seen.pod.as_deref()?;
    held.waits(keep(place), rotate, |since| heard(pod, since, now))
}

/// The same of several servers, of which CloudNativePG says what they know.
fn among_several(seen: &Seen, reserve: &Reserve, ends: Timestamp) -> Option<Wait> {
    let cluster = seen.cluster.as_deref().filter(|it| replicas::serves(it));
    let Some(cluster) = cluster else {
        return Some(Wait::Server);
    };
    if reserve.retired {
        return Some(Wait::Previous(ends));
    }
    let known = seen.standby.as_ref();
    let known = known.is_some_and(|it| replicas::know(cluster, it, &reserve.login.username));
    (!known).then_some(Wait::Settling)
}

/// The same of several servers that Sentinels watch: each of them has to know.
fn among_all(
    place: &Place<'_>,
    seen: &Seen,
    reserve: &Reserve,
    ends: Timestamp,
    now: Timestamp,
) -> Option<Wait> {
    if !sentinels::are_all_ready(place, seen) {
        return Some(Wait::Server);
    }
    if reserve.retired {
        return Some(Wait::Previous(ends));
    }
    let all = seen.pods.iter().all(|pod| heard(pod, reserve.since, now));
    (!all).then_some(Wait::Settling)
}

/// Whether the server knows what was written then: its pod was made later, or kubelet has brought the
/// file.
fn heard(pod: &Pod, since: Timestamp, now: Timestamp) -> bool {
    let made = pod.metadata.creation_timestamp.as_ref();
    made.is_some_and(|made| made.0 > since) || later(since, SETTLES) <= now
}

/// When time alone changes something.
fn again(place: &Place<'_>, logins: &Logins, now: Timestamp) -> Option<Duration> {
    let reserve = &logins.reserve;
    let held = logins.held.as_ref();
    let at = match (reserve.retired, logins.waits) {
        (true, _) => Some(later(reserve.since, keep(place))),
        // Of several others say when they know.
        (false, Some(Wait::Settling)) if !place.object.spec.is_replicated() => {
            let newest = held.and_then(Held::newest).unwrap_or(reserve.since);
            Some(later(newest.max(reserve.since), SETTLES))
        }
        (false, _) => None,
    };
    let owners = held.and_then(|it| it.ends(keep(place)));
    let at = at.into_iter().chain(owners).min()?;
    let left = at.duration_since(now).max(SignedDuration::from_secs(1));
    Duration::try_from(left).ok()
}

fn reserve(current: &Login, seen: &Seen, now: Timestamp) -> Reserve {
    let found = seen.standby.as_ref().and_then(|it| {
        Some(Reserve {
            login: secret::login(it)?,
            since: since(it)?,
            retired: meta::annotation(it, RETIRED) == Some("true"),
        })
    });
    // The same user in both: an exchange that came to its first write. Nobody was told of the user
    // that had been in reserve.
    found
        .filter(|found| found.login.username != current.username)
        .unwrap_or_else(|| fresh(current, seen, now))
}

fn fresh(current: &Login, seen: &Seen, now: Timestamp) -> Reserve {
    Reserve {
        login: Login {
            username: other(&current.username),
            password: seen.fresh.standby.clone(),
        },
        since: now,
        retired: false,
    }
}

pub(super) fn other(username: &str) -> String {
    match username.strip_suffix(SECOND) {
        Some(first) => first.to_owned(),
        None => format!("{username}{SECOND}"),
    }
}

fn since(secret: &Secret) -> Option<Timestamp> {
    meta::annotation(secret, SINCE)?.parse().ok()
}

fn keep(place: &Place<'_>) -> SignedDuration {
    let seconds = place.object.spec.credentials.keep.seconds();
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

fn later(time: Timestamp, by: SignedDuration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

impl Logins {
    /// Marks the binding Secret with the change that it is the result of.
    pub fn mark(&self, secret: &mut Secret) {
        let annotations = &mut secret.metadata.annotations;
        if let Some(rotate) = &self.rotate {
            meta::insert(annotations, ROTATE, rotate);
        }
        if let Some(rotated) = self.rotated {
            meta::insert(annotations, SINCE, rotated.to_string());
        }
    }

    /// What status says.
    pub fn status(&self, place: &Place<'_>) -> CredentialsStatus {
        let reserve = &self.reserve;
        CredentialsStatus {
            username: self.current.username.clone(),
            rotate: self.rotate.clone(),
            rotated: self.rotated.map(Time),
            previous_until: reserve
                .retired
                .then(|| Time(later(reserve.since, keep(place)))),
            message: self.waits.map(Wait::message),
        }
    }
}

/// The password by which several servers enter each other. It is made once.
fn peers(seen: &Seen) -> String {
    let live = seen.standby.as_ref();
    let live = live.and_then(|it| secret::value(it, PEERS));
    live.unwrap_or_else(|| seen.fresh.peers.clone())
}

/// The Secret with the reserve, for the server alone. It stays when the Database goes.
pub fn standby(place: &Place<'_>, seen: &Seen, logins: &Logins) -> Secret {
    let mut metadata = place.retained(&names::standby(&place.name));
    let Reserve {
        login,
        since,
        retired,
    } = &logins.reserve;
    meta::insert(&mut metadata.annotations, SINCE, since.to_string());
    meta::insert(&mut metadata.annotations, RETIRED, retired.to_string());
    secret::follow(place, &mut metadata);
    let text = |text: &str| ByteString(text.as_bytes().to_vec());
    let mut data = BTreeMap::from([
        ("username".to_owned(), text(&login.username)),
        ("password".to_owned(), text(&login.password)),
    ]);
    if place.object.spec.has_sentinels() {
        data.insert(PEERS.to_owned(), text(&peers(seen)));
    }
    if let Some(held) = &logins.held {
        data.insert(databases::FILE.to_owned(), text(&held.text()));
    }
    Secret {
        metadata,
        data: Some(data),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}
