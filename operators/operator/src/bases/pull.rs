//! Base images from registries, without credentials: as Kaniko pulls them.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use clap::Args;
use oci_distribution::{
    Client, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol, current_platform_resolver},
    errors::OciDistributionError,
    manifest::{OciDescriptor, OciImageManifest, OciManifest},
    secrets::RegistryAuth::Anonymous,
};
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::store::{Archive, Store};
use crate::{
    cache::{Format, is_digest},
    origin::Blob,
    registry::roots,
};

/// How long a registry may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long it may say nothing.
const SILENCE: Duration = Duration::from_secs(30);
const DOCKER: &str = "docker.io";
const TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// Where base images come from.
#[derive(Args, Clone, Debug, Default)]
#[group(skip)]
pub(crate) struct Options {
    /// A registry in place of docker.io
    #[arg(long, value_name = "HOST")]
    registry_mirror: Vec<String>,
    /// Other names for registries
    #[arg(long, value_name = "ORIGINAL=REPLACEMENT")]
    registry_map: Vec<String>,
    /// Registries that are talked to by plain http
    #[arg(long, value_name = "HOST")]
    insecure_registry: Vec<String>,
    /// Certificates (PEM) to trust besides the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{0}")]
    Registry(#[from] OciDistributionError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Other(String),
}

/// Has a store keep an image, by what a FROM calls it: the digest of its manifest.
pub(super) async fn pull(
    name: &str,
    options: &Options,
    store: &Store,
    most: u64,
) -> Result<String, Error> {
    let client = client(options)?;
    let mut told = Error::Other("no registry".to_owned());
    for place in places(name, options)? {
        match from(&client, &place, store, most).await {
            Ok(digest) => return Ok(digest),
            Err(error) => told = error,
        }
    }
    Err(told)
}

/// Where Kaniko looks for an image, in its order.
fn places(name: &str, options: &Options) -> Result<Vec<Reference>, Error> {
    let image: Reference = name
        .parse()
        .map_err(|error| Error::Other(format!("{error}")))?;
    let pairs = options.registry_map.iter().flat_map(|it| it.split(';'));
    let maps = pairs.filter_map(|it| it.split_once('='));
    let same = |of: &str| of == image.registry() || of == image.resolve_registry();
    let mapped = maps.filter(|(of, _)| same(of)).map(|(_, to)| to);
    let mirrors = options.registry_mirror.iter().map(String::as_str);
    let mirrors = mirrors.filter(|_| same(DOCKER));
    let tag = image.tag().unwrap_or("latest");
    let elsewhere = mapped.chain(mirrors).map(|to| {
        let (host, folder) = to.split_once('/').unwrap_or((to, ""));
        let path = [folder.trim_end_matches('/'), image.repository()].join("/");
        let path = path.trim_start_matches('/').to_owned();
        Reference::with_tag(host.to_owned(), path, tag.to_owned())
    });
    Ok(elsewhere.chain([image.clone()]).collect())
}

fn client(options: &Options) -> Result<Client, Error> {
    let roots = roots(options.ca_file.as_deref())?;
    Ok(Client::try_from(ClientConfig {
        protocol: ClientProtocol::HttpsExcept(options.insecure_registry.clone()),
        extra_root_certificates: roots,
        connect_timeout: Some(CONNECT),
        read_timeout: Some(SILENCE),
        ..ClientConfig::default()
    })?)
}

async fn from(
    client: &Client,
    image: &Reference,
    store: &Store,
    most: u64,
) -> Result<String, Error> {
    client
        .auth(image, &Anonymous, RegistryOperation::Pull)
        .await?;
    // Registries that count downloads do not count this question.
    let index = client.fetch_manifest_digest(image, &Anonymous).await?;
    if !is_digest(&index) {
        return Err(Error::Other(format!("{index} is no digest by SHA-256")));
    }
    if let Some(digest) = store.find(&index) {
        return Ok(digest);
    }
    let meant = image.clone_with_digest(index.clone());
    let (raw, manifest) = manifest(client, &meant).await?;
    let digest = digest(&raw);
    if let Some(digest) = store.find(&digest) {
        store.name(&index, &digest)?;
        return Ok(digest);
    }
    let bytes = download(client, image, store, most, (&digest, &raw, &manifest)).await?;
    store.name(&index, &digest)?;
    println!("base image {}: {} kept", image.whole(), ByteSize(bytes));
    Ok(digest)
}

/// Puts an image into the store: how many bytes its layers are.
async fn download(
    client: &Client,
    image: &Reference,
    store: &Store,
    most: u64,
    (digest, raw, manifest): (&str, &[u8], &OciImageManifest),
) -> Result<u64, Error> {
    let mut config = Vec::new();
    client
        .pull_blob(image, &manifest.config, &mut config)
        .await?;
    let parts = (0..manifest.layers.len()).map(|at| store.part(at));
    let parts: Vec<PathBuf> = parts.collect();
    let each = manifest.layers.iter().zip(&parts);
    let each = each.map(|(blob, part)| layer(client, image, blob, most, part));
    let layers = futures::future::try_join_all(each).await?;
    let bytes: u64 = layers.iter().map(|(bytes, _)| bytes).sum();
    if bytes > most {
        let sentence = format!("it is larger than {}", ByteSize(most));
        return Err(Error::Other(sentence));
    }
    let told: serde_json::Value = serde_json::from_slice(&config)?;
    let told = told["rootfs"]["diff_ids"].as_array().into_iter().flatten();
    let found = layers.iter().map(|(_, digest)| Some(digest.as_str()));
    if !told.map(|it| it.as_str()).eq(found) {
        let sentence = "its layers are not what its configuration says";
        return Err(Error::Other(sentence.to_owned()));
    }
    store.put(&Archive {
        digest,
        manifest: raw,
        config: &config,
        layers: &parts,
    })?;
    Ok(bytes)
}

/// The manifest for this kind of processor, as the registry has it.
async fn manifest(
    client: &Client,
    image: &Reference,
) -> Result<(Vec<u8>, OciImageManifest), Error> {
    let mut image = image.clone();
    for _ in 0..2 {
        let (raw, _) = client.pull_manifest_raw(&image, &Anonymous, &TYPES).await?;
        match serde_json::from_slice(&raw)? {
            OciManifest::Image(manifest) => return Ok((raw.to_vec(), manifest)),
            OciManifest::ImageIndex(index) => {
                let own = current_platform_resolver(&index.manifests);
                let own = own.ok_or_else(|| Error::Other("not for this processor".to_owned()))?;
                image = image.clone_with_digest(own);
            }
        }
    }
    Err(Error::Other("an index of indexes".to_owned()))
}

/// Downloads and uncompresses a layer: bytes and digest of what is in it.
async fn layer(
    client: &Client,
    image: &Reference,
    blob: &OciDescriptor,
    most: u64,
    to: &Path,
) -> Result<(u64, String), Error> {
    let stream = client.pull_blob_stream(image, blob).await?.stream;
    let reader = SyncIoBridge::new(StreamReader::new(stream));
    let (format, to) = (Format::of(&blob.media_type), to.to_owned());
    let written = tokio::task::spawn_blocking(move || format.write(reader, most, &to)).await;
    Ok(written.map_err(io::Error::other)??)
}

fn digest(data: &[u8]) -> String {
    Blob::new(data.to_vec()).digest
}

#[cfg(test)]
mod tests;
