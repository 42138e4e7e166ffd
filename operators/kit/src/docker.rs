//! Logins of registries in a Docker configuration, as Secrets of type
//! `kubernetes.io/dockerconfigjson` hold it.

use std::{collections::HashMap, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    auths: HashMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// A user and a password. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

/// The login for a registry. `None`: the configuration has none for it.
///
/// # Errors
/// That it is no Docker configuration; the parser's words could quote a password.
pub fn login(configuration: &[u8], registry: &str) -> Result<Option<Login>, NoConfiguration> {
    let configuration: Configuration =
        serde_json::from_slice(configuration).map_err(|_| NoConfiguration)?;
    let mut entries = configuration.auths.into_iter();
    let entry = entries.find(|(host, _)| host_of(host) == host_of(registry));
    Ok(entry.and_then(|(_, entry)| of(entry)))
}

/// What was read is no Docker configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no Docker configuration")]
pub struct NoConfiguration;

fn of(entry: Entry) -> Option<Login> {
    if let (Some(username), Some(password)) = (entry.username, entry.password) {
        return Some(Login { username, password });
    }
    let decoded = String::from_utf8(STANDARD.decode(entry.auth?).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some(Login {
        username: username.to_owned(),
        password: password.to_owned(),
    })
}

/// Docker's configuration writes hosts with and without scheme, and its own hub in several ways.
fn host_of(name: &str) -> &str {
    let name = name
        .trim_start_matches("https://")
        .trim_start_matches("http://");
    match name.split('/').next().unwrap_or(name) {
        "docker.io" | "registry-1.docker.io" | "index.docker.io" => "docker.io",
        host => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_found_by_host_in_every_way_of_writing() {
        // "ada:s3cret"
        let text = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "YWRhOnMzY3JldA=="},
                                 "ghcr.io": {"username": "ada", "password": "s3cret"},
                                 "broken.example.com": {"auth": "!"}}}"#;
        let of = |registry| login(text.as_bytes(), registry).expect("a configuration");
        let ada = Some(Login {
            username: "ada".to_owned(),
            password: "s3cret".to_owned(),
        });
        assert_eq!(of("docker.io"), ada);
        assert_eq!(of("ghcr.io"), ada);
        assert_eq!(of("quay.io"), None);
        assert_eq!(of("broken.example.com"), None);
        assert_eq!(login(b"nonsense", "ghcr.io"), Err(NoConfiguration));
        assert_eq!(format!("{ada:?}"), "Some(Login)");
    }
}
