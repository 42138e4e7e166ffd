//! What the supervisor is told, and the server's own settings.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::Time};
use serde::Serialize;
use trackbed_api::{
    backup::BackupStatus,
    database::{DatabaseSpec, Engine},
    names,
    tls::TlsMode,
};
use trackbed_kit::Fact;

use super::{
    Place,
    parameters::List,
    queries, secret,
    tls::{self, Transport},
};
use crate::observe::Seen;

/// Share of the memory limit for Postgres' own cache, in percent.
const SHARED_BUFFERS: i128 = 25;
/// Share of the memory limit that Redis and Valkey fill with data, in percent.
const REDIS_MEMORY: i128 = 75;
/// File in which the supervisor reads how backups stand.
pub const BACKUPS: &str = "backups.json";

/// File in which the supervisor reads what applications may not do, a rule in each line.
pub const DENIED: &str = "denied";

/// File in which supervisors read how many servers there are, where Sentinels watch them.
pub const SERVERS: &str = "servers";

/// How backups stand. The supervisor tells Prometheus, and has no other way to know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backups {
    scheduled: bool,
    failed: bool,
    /// In Unix seconds, like the other one.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_verified: Option<i64>,
}

impl Backups {
    /// From the status of backups and their condition. `None`: the Database is to have none.
    pub fn of(
        spec: &DatabaseSpec,
        status: Option<&BackupStatus>,
        ready: Option<&Fact>,
    ) -> Option<Self> {
        let backup = spec.backup.as_ref()?;
        let seconds = |time: &Time| time.0.as_second();
        Some(Self {
            scheduled: backup.schedule.is_some(),
            failed: ready.is_some_and(|it| it.status == Some(false)),
            last: status.and_then(|it| it.last.as_ref()).map(seconds),
            last_verified: status.and_then(|it| it.last_verified.as_ref()).map(seconds),
        })
    }
}

impl Backups {
    /// What is known, as a metric's name, its value and what it tells.
    pub(super) fn told(&self) -> Vec<(&'static str, i64, &'static str)> {
        let known = [
            (
                "backup_scheduled",
                Some(i64::from(self.scheduled)),
                "Whether backups are taken by a schedule",
            ),
            (
                "backup_failed",
                Some(i64::from(self.failed)),
                "Whether the last backup could not be taken, or not be restored",
            ),
            (
                "backup_timestamp_seconds",
                self.last,
                "Time of the data of the newest backup",
            ),
            (
                "backup_verified_timestamp_seconds",
                self.last_verified,
                "Time of the data of the newest backup that a restore has proven",
            ),
        ];
        let known = known.into_iter();
        known
            .filter_map(|(name, value, what)| Some((name, value?, what)))
            .collect()
    }
}

/// How many servers supervisors were told that there are. 0: nobody was told.
pub(super) fn servers(seen: &Seen) -> i32 {
    let data = seen.settings.as_ref().and_then(|it| it.data.as_ref());
    let told = data.and_then(|it| it.get(SERVERS)?.parse().ok());
    told.unwrap_or_default()
}

/// Name of the ConfigMap.
pub fn name(database: &str) -> String {
    format!("{database}-settings")
}

/// The settings.
pub fn desired(
    place: &Place<'_>,
    identity: &str,
    initialised: bool,
    (backups, archived): (Option<&Backups>, Option<&Fact>),
    transport: Option<&Transport>,
    servers: Option<i32>,
) -> ConfigMap {
    let mut data = BTreeMap::from([
        ("identity".to_owned(), identity.to_owned()),
        ("initialised".to_owned(), initialised.to_string()),
    ]);
    // Numbers and truth values always have a text.
    if let Some(text) = backups.and_then(|it| serde_json::to_string(it).ok()) {
        data.insert(BACKUPS.to_owned(), text);
    }
    match place.object.spec.engine {
        Engine::Postgres if place.object.spec.is_replicated() => {
            data.insert(
                queries::FILE.to_owned(),
                queries::queries(place, backups, archived),
            );
        }
        Engine::Postgres => {
            let mut text = postgres(place);
            if transport.is_some() {
                text += &encrypted();
            }
            data.insert("postgresql.conf".to_owned(), text);
            data.insert("pg_hba.conf".to_owned(), hba(transport));
        }
        engine @ (Engine::Redis | Engine::Valkey) => {
            let name = engine.as_str().to_lowercase();
            data.insert(format!("{name}.conf"), redis(place));
            data.extend(denied(&place.object.spec).map(|it| (DENIED.to_owned(), it)));
            data.extend(servers.map(|it| (SERVERS.to_owned(), it.to_string())));
        }
    }
    let mut metadata = place.owned(&name(&place.name));
    secret::follow(place, &mut metadata);
    ConfigMap {
        metadata,
        data: Some(data),
        ..ConfigMap::default()
    }
}

/// The same with the server's own settings as they are, since it would not take what is asked.
pub fn kept(mut settings: ConfigMap, live: &ConfigMap) -> ConfigMap {
    let live = live.data.iter().flatten();
    let own = live.filter(|(key, _)| key.ends_with(".conf"));
    let data = settings.data.get_or_insert_default();
    data.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    settings
}

/// A hash of what a server must be restarted for. The rest it reads again when the supervisor sees
/// that it changed, or is for the supervisor alone.
pub fn hash(settings: &ConfigMap, spec: &DatabaseSpec) -> String {
    let list = List::of(spec);
    let data = settings.data.iter().flatten();
    let text: Vec<String> = data
        .filter(|(key, _)| !matches!(key.as_str(), "initialised" | BACKUPS | DENIED | SERVERS))
        .flat_map(|(key, value)| value.lines().map(move |line| format!("{key}={line}\n")))
        .filter(|line| {
            let parameter = line.strip_prefix("postgresql.conf=");
            let name = parameter.and_then(|it| it.split_once(" = "));
            !name.is_some_and(|(name, _)| list.reloads(name))
        })
        .collect();
    names::hash(text.concat().as_bytes())[..16].to_owned()
}

/// The server's certificate. Protocols before TLS 1.2 are off by default.
fn encrypted() -> String {
    let [certificate, key] = tls::FILES.map(|file| format!("{}/{file}", tls::FOLDER));
    format!("ssl = on\nssl_cert_file = '{certificate}'\nssl_key_file = '{key}'\n")
}

/// Who may connect how: <https://www.postgresql.org/docs/current/auth-pg-hba-conf.html>. What asks
/// whether the server lets its users in does so from within the pod.
fn hba(transport: Option<&Transport>) -> String {
    let (host, inside) = match transport.map(|it| it.mode) {
        Some(TlsMode::Require) => (
            "hostssl",
            "host all all 127.0.0.1/32 scram-sha-256\nhost all all ::1/128 scram-sha-256\n",
        ),
        Some(TlsMode::Allow) | None => ("host", ""),
    };
    format!("local all all peer\n{inside}{host} all all all scram-sha-256\n")
}

/// Bytes that the server's container may use.
fn memory(place: &Place<'_>) -> i128 {
    let limits = place
        .object
        .spec
        .resources
        .with_defaults(super::server::RESOURCES)
        .limits;
    let limit = limits.and_then(|mut limits| limits.remove("memory"));
    let limit = limit.and_then(|limit| trackbed_api::scalar::Quantity(limit.0).units());
    limit.unwrap_or(512 << 20)
}

fn postgres(place: &Place<'_>) -> String {
    let buffers = shared_buffers(place);
    let mut text = format!(
        "shared_buffers = {buffers}MB\ndynamic_shared_memory_type = posix\nmax_connections = 100\nlog_destination = stderr\nlogging_collector = off\npassword_encryption = scram-sha-256\ntimezone = UTC\n"
    );
    // The schema lets no quote, backslash or control character through.
    for (name, value) in &place.object.spec.parameters {
        let _ = writeln!(text, "{name} = '{value}'");
    }
    text
}

/// Postgres' own cache, in MiB.
fn shared_buffers(place: &Place<'_>) -> i128 {
    (memory(place) * SHARED_BUFFERS / 100) >> 20
}

/// Settings of a Postgres that somebody else starts: what is derived, and what is asked for.
pub(super) fn parameters(place: &Place<'_>) -> BTreeMap<String, String> {
    let buffers = format!("{}MB", shared_buffers(place));
    let derived = [
        ("shared_buffers", buffers.as_str()),
        ("max_connections", "100"),
        ("password_encryption", "scram-sha-256"),
        ("timezone", "UTC"),
    ];
    let derived = derived.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let asked = place.object.spec.parameters.clone();
    derived.into_iter().chain(asked).collect()
}

/// In an order of its own: that of the spec means nothing.
fn denied(spec: &DatabaseSpec) -> Option<String> {
    let all: BTreeSet<_> = spec.denied_commands.iter().collect();
    let rules = all.into_iter().flat_map(|it| it.rules());
    let text: String = rules.map(|rule| format!("{rule}\n")).collect();
    (!text.is_empty()).then_some(text)
}

fn redis(place: &Place<'_>) -> String {
    let bytes = memory(place) * REDIS_MEMORY / 100;
    let mut text = format!("maxmemory {bytes}\nmaxmemory-policy noeviction\n");
    for (name, value) in &place.object.spec.parameters {
        let _ = writeln!(text, "{name} {value}");
    }
    text
}
