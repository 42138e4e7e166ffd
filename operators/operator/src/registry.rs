//! Credentials of registries, from a Docker configuration.

use std::path::Path;

use oci_distribution::secrets::RegistryAuth;
use trackbed_kit::docker;

/// Credentials for a registry. Anonymous if the file has none for it.
///
/// # Errors
/// That the file cannot be read, in words without its content.
pub(crate) fn credentials(file: Option<&Path>, registry: &str) -> Result<RegistryAuth, String> {
    let Some(file) = file else {
        return Ok(RegistryAuth::Anonymous);
    };
    let text = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let login = docker::login(&text, registry);
    let login = login.map_err(|error| format!("{} {error}", file.display()))?;
    Ok(login.map_or(RegistryAuth::Anonymous, |login| {
        RegistryAuth::Basic(login.username, login.password)
    }))
}
