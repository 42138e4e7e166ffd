//! The credentials, by the Service Binding specification
//! (<https://servicebinding.io/spec/core/1.1.0/>) and under the names that the usual clients read.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};
use trackbed_api::{database::Engine, labels, names};
use trackbed_kit::meta;

use super::Place;
use crate::observe::Seen;

/// Annotation: data were written under this identity.
const INITIALISED: &str = "trackbed.dev/initialised";
/// Role and database of the application.
const APPLICATION: &str = "app";
/// Redis's only user.
const DEFAULT_USER: &str = "default";

/// What is made once and kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
    /// Name of the database, of Postgres.
    pub database: String,
    /// Identity of the data.
    pub identity: String,
}

/// Whether the Secret says that data were written.
pub fn is_initialised(secret: &Secret) -> bool {
    meta::annotation(secret, INITIALISED) == Some("true")
}

/// What the live Secret holds, and fresh values for what it does not.
pub fn credentials(place: &Place<'_>, seen: &Seen) -> Credentials {
    let live = seen.secret.as_ref();
    let value = |key: &str| {
        let data = live?.data.as_ref()?.get(key)?;
        String::from_utf8(data.0.clone()).ok()
    };
    let (username, database) = match place.object.spec.engine {
        Engine::Postgres => (APPLICATION, APPLICATION),
        Engine::Redis => (DEFAULT_USER, "0"),
    };
    Credentials {
        username: value("username").unwrap_or_else(|| username.to_owned()),
        password: value("password").unwrap_or_else(|| seen.fresh.password.clone()),
        database: value("database").unwrap_or_else(|| database.to_owned()),
        identity: live
            .and_then(|secret| meta::annotation(secret, labels::IDENTITY))
            .map_or_else(|| seen.fresh.identity.clone(), str::to_owned),
    }
}

/// The Secret. It stays when the Database goes.
pub fn desired(place: &Place<'_>, credentials: &Credentials, initialised: bool) -> Secret {
    let engine = place.object.spec.engine;
    let mut metadata = place.retained(&names::credentials(&place.name));
    let annotations = &mut metadata.annotations;
    meta::insert(annotations, labels::IDENTITY, &credentials.identity);
    meta::insert(annotations, INITIALISED, initialised.to_string());
    let kind = match engine {
        Engine::Postgres => "postgresql",
        Engine::Redis => "redis",
    };
    let data = keys(place, credentials, kind)
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

fn keys(
    place: &Place<'_>,
    credentials: &Credentials,
    kind: &str,
) -> BTreeMap<&'static str, String> {
    let Credentials {
        username,
        password,
        database,
        identity: _,
    } = credentials;
    let host = place.host();
    let port = place.object.spec.engine.port();
    let (user, secret) = (encode(username), encode(password));
    let scheme = match place.object.spec.engine {
        Engine::Postgres => "postgresql",
        Engine::Redis => "redis",
    };
    let uri = format!(
        "{scheme}://{user}:{secret}@{host}:{port}/{}",
        encode(database)
    );
    let mut keys = BTreeMap::from([
        ("type", kind.to_owned()),
        ("provider", "trackbed".to_owned()),
        ("host", host.clone()),
        ("port", port.to_string()),
        ("username", username.clone()),
        ("password", password.clone()),
        ("database", database.clone()),
        ("uri", uri.clone()),
    ]);
    match place.object.spec.engine {
        Engine::Postgres => keys.extend([
            ("DATABASE_URL", uri),
            ("PGHOST", host),
            ("PGPORT", port.to_string()),
            ("PGUSER", username.clone()),
            ("PGPASSWORD", password.clone()),
            ("PGDATABASE", database.clone()),
        ]),
        Engine::Redis => keys.extend([("REDIS_URL", uri)]),
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
