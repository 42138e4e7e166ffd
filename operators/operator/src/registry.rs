//! What registries are told, and by what they are known: credentials from a Docker configuration, and
//! certificates.

use std::{fs, io, path::Path};

use oci_distribution::{
    client::{Certificate, CertificateEncoding},
    secrets::RegistryAuth,
};
use trackbed_kit::{certificates, docker};

/// The certificates of a file (PEM) for a registry's client. None without a file.
///
/// # Errors
/// When it cannot be read, with its path.
pub(crate) fn roots(file: Option<&Path>) -> io::Result<Vec<Certificate>> {
    let Some(file) = file else {
        return Ok(Vec::new());
    };
    let data = fs::read(file)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
    let each = certificates::each(&String::from_utf8_lossy(&data));
    Ok(each
        .into_iter()
        .map(|data| Certificate {
            encoding: CertificateEncoding::Pem,
            data,
        })
        .collect())
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
    let login = docker::login(&text, registry);
    let login = login.map_err(|error| format!("{} {error}", file.display()))?;
    Ok(login.map_or(RegistryAuth::Anonymous, |login| {
        RegistryAuth::Basic(login.username, login.password)
    }))
}
