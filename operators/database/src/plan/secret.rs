//! The credentials, by the Service Binding specification
//! (<https://servicebinding.io/spec/core/1.1.0/>) and under the names that the usual clients read.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use serde::{Deserialize, Serialize};
use trackbed_api::{
    database::Engine, databases::MAIN, labels, names, reason::Reason, tls::TlsMode,
};
use trackbed_kit::{Health, meta};

use super::{
    Place, claim,
    tls::{AUTHORITY, Transport},
};
use crate::{cloudnative_pg::RELOAD, observe::Seen};

/// Annotation: data were written under this identity.
const INITIALISED: &str = "trackbed.dev/initialised";
/// Key: how clients of Postgres connect, where they have to encrypt.
const SSL_MODE: &str = "sslmode";
/// What the address of a Redis or Valkey begins with that encrypts.
const REDISS: &str = "rediss://";

/// A user and its password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
}

/// Whether the Secret says that data were written.
pub fn is_initialised(secret: &Secret) -> bool {
    meta::annotation(secret, INITIALISED) == Some("true")
}

/// What is wrong where there are data and nobody knows their password.
pub fn missing(place: &Place<'_>, seen: &Seen, initialised: bool) -> Option<Health> {
    let claims = seen.claim.is_some() || !seen.claims.is_empty();
    let is_empty = !claims && seen.cluster.is_none() && seen.volumes.is_empty();
    if seen.secret.is_some() || (is_empty && !initialised) {
        return None;
    }
    let what = match place.object.spec.is_replicated() {
        true => format!("Cluster {}", place.name),
        false => format!("claim {}", claim::first(place)),
    };
    Some(Health::Stalled(
        Reason::CredentialsMissing,
        format!(
            "the {what} exists and the Secret {} with its password does not: restore the Secret, or delete what exists if its data are not wanted",
            names::credentials(&place.name),
        ),
    ))
}

/// What a Secret holds.
pub fn login(secret: &Secret) -> Option<Login> {
    Some(Login {
        username: value(secret, "username")?,
        password: value(secret, "password")?,
    })
}

/// The text of a key.
pub(super) fn value(secret: &Secret, key: &str) -> Option<String> {
    let data = secret.data.as_ref()?.get(key)?;
    String::from_utf8(data.0.clone()).ok()
}

/// What applications are told now: what the live Secret holds, and fresh values for what it does
/// not.
pub fn current(seen: &Seen) -> Login {
    let live = |key: &str| value(seen.secret.as_ref()?, key);
    Login {
        username: live("username").unwrap_or_else(|| MAIN.to_owned()),
        password: live("password").unwrap_or_else(|| seen.fresh.password.clone()),
    }
}

/// Identity of the data.
pub fn identity(seen: &Seen) -> String {
    seen.secret
        .as_ref()
        .and_then(|secret| meta::annotation(secret, labels::IDENTITY))
        .map_or_else(|| seen.fresh.identity.clone(), str::to_owned)
}

/// Has CloudNativePG look at a Secret or ConfigMap when it changes.
pub(super) fn follow(place: &Place<'_>, metadata: &mut ObjectMeta) {
    if place.object.spec.is_replicated() {
        meta::insert(&mut metadata.labels, RELOAD, "true");
    }
}

/// Name of the database.
pub(super) fn database(place: &Place<'_>, seen: &Seen) -> String {
    let live = seen
        .secret
        .as_ref()
        .and_then(|secret| value(secret, "database"));
    live.unwrap_or_else(|| match place.object.spec.engine {
        Engine::Postgres => MAIN.to_owned(),
        Engine::Redis | Engine::Valkey => "0".to_owned(),
    })
}

/// The Secret. It stays when the Database goes.
pub fn desired(
    place: &Place<'_>,
    seen: &Seen,
    login: &Login,
    initialised: bool,
    transport: Option<&Transport>,
) -> Secret {
    let mut metadata = place.retained(&names::credentials(&place.name));
    let annotations = &mut metadata.annotations;
    meta::insert(annotations, labels::IDENTITY, identity(seen));
    meta::insert(annotations, INITIALISED, initialised.to_string());
    follow(place, &mut metadata);
    binding(place, metadata, login, &database(place, seen), transport)
}

/// A binding Secret.
pub(super) fn binding(
    place: &Place<'_>,
    metadata: ObjectMeta,
    login: &Login,
    database: &str,
    transport: Option<&Transport>,
) -> Secret {
    let engine = place.object.spec.engine;
    let kind = kind(engine);
    let mut data = keys(place, login, database);
    if let Some(transport) = transport {
        encrypted(&mut data, engine, transport);
    }
    let data = data
        .into_iter()
        .map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())))
        .collect();
    Secret {
        metadata,
        type_: Some(format!("servicebinding.io/{kind}")),
        data: Some(data),
        ..Secret::default()
    }
}

/// What clients need to know of a server that encrypts.
fn encrypted(keys: &mut BTreeMap<&'static str, String>, engine: Engine, transport: &Transport) {
    if let Some(authority) = &transport.authority {
        keys.insert(AUTHORITY, authority.clone());
    }
    if transport.mode == TlsMode::Require {
        match engine {
            Engine::Postgres => sslmode(keys),
            Engine::Redis | Engine::Valkey => rediss(keys),
        }
    }
}

/// An address of Postgres cannot say where a client has the authority's certificate, so it asks for
/// encryption alone; whoever is to check whom it speaks to says `verify-full`, and takes the
/// certificate from here.
fn sslmode(keys: &mut BTreeMap<&'static str, String>) {
    for uri in ["uri", "DATABASE_URL"] {
        if let Some(uri) = keys.get_mut(uri) {
            uri.push_str("?sslmode=require");
        }
    }
    keys.insert(SSL_MODE, "require".to_owned());
    keys.insert("PGSSLMODE", "require".to_owned());
}

/// The scheme says it, by <https://www.iana.org/assignments/uri-schemes/prov/rediss>.
fn rediss(keys: &mut BTreeMap<&'static str, String>) {
    for uri in ["uri", "REDIS_URL"] {
        if let Some(uri) = keys.get_mut(uri)
            && let Some(rest) = uri.strip_prefix("redis://")
        {
            *uri = format!("{REDISS}{rest}");
        }
    }
}

/// How clients of a live Secret connect: as an address or a key of its own says.
pub fn mode(secret: &Secret) -> TlsMode {
    let rediss = value(secret, "uri").is_some_and(|uri| uri.starts_with(REDISS));
    match rediss || value(secret, SSL_MODE).is_some() {
        true => TlsMode::Require,
        false => TlsMode::Allow,
    }
}

/// What clients speak, as bindings and URIs call it: those of Redis speak to Valkey as well.
fn kind(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "postgresql",
        Engine::Redis | Engine::Valkey => "redis",
    }
}

fn keys(place: &Place<'_>, login: &Login, database: &str) -> BTreeMap<&'static str, String> {
    let Login { username, password } = login;
    let host = place.host();
    let port = place.object.spec.engine.port();
    let (user, secret) = (encode(username), encode(password));
    let kind = kind(place.object.spec.engine);
    let uri = format!(
        "{kind}://{user}:{secret}@{host}:{port}/{}",
        encode(database)
    );
    let mut keys = BTreeMap::from([
        ("type", kind.to_owned()),
        ("provider", "trackbed".to_owned()),
        ("host", host.clone()),
        ("port", port.to_string()),
        ("username", username.clone()),
        ("password", password.clone()),
        ("database", database.to_owned()),
        ("uri", uri.clone()),
    ]);
    match place.object.spec.engine {
        Engine::Postgres => keys.extend([
            ("DATABASE_URL", uri),
            ("PGHOST", host),
            ("PGPORT", port.to_string()),
            ("PGUSER", username.clone()),
            ("PGPASSWORD", password.clone()),
            ("PGDATABASE", database.to_owned()),
        ]),
        Engine::Redis | Engine::Valkey => keys.extend([("REDIS_URL", uri)]),
    }
    keys
}

/// Percent-encoding of what may not stand in a URI's user part (RFC 3986).
fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
