//! Credentials of registries, from a Docker configuration.

use std::{collections::HashMap, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use oci_distribution::secrets::RegistryAuth;
use serde::Deserialize;

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: HashMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

/// Credentials for a registry. Anonymous if the file has none for it.
///
/// # Errors
/// That the file cannot be read, in words without its content.
pub(crate) fn credentials(file: Option<&Path>, registry: &str) -> Result<RegistryAuth, String> {
    let Some(file) = file else {
        return Ok(RegistryAuth::Anonymous);
    };
    let text = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let config: DockerConfig = serde_json::from_slice(&text)
        .map_err(|_| format!("{} is no Docker configuration", file.display()))?;
    let entry = config
        .auths
        .into_iter()
        .find(|(host, _)| host_of(host) == host_of(registry));
    Ok(entry
        .and_then(|(_, entry)| basic(entry))
        .unwrap_or(RegistryAuth::Anonymous))
}

fn basic(entry: Entry) -> Option<RegistryAuth> {
    if let (Some(username), Some(password)) = (entry.username, entry.password) {
        return Some(RegistryAuth::Basic(username, password));
    }
    let decoded = String::from_utf8(STANDARD.decode(entry.auth?).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some(RegistryAuth::Basic(
        username.to_owned(),
        password.to_owned(),
    ))
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
