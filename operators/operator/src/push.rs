//! `trackbed push`: an image layout (<https://github.com/opencontainers/image-spec>) to a registry.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use axum::http::HeaderValue;
use backon::{ExponentialBuilder, Retryable};
use bytesize::ByteSize;
use clap::Args;
use oci_distribution::{
    Client, Reference, RegistryOperation,
    client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol},
    errors::{OciDistributionError, OciEnvelope, OciErrorCode},
};
use serde::{Deserialize, Serialize};
use tokio::fs;
use tokio_util::io::ReaderStream;
use trackbed_kit::certificates;

use crate::{
    cache,
    origin::{self, Blob, Sealed},
    provenance::{self, Subject},
    registry::credentials,
    report,
};

/// How long a registry may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(20);

/// Pushes an image layout and prints its digest.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Folder of the image layout
    #[arg(long, value_name = "DIR")]
    layout: PathBuf,
    /// Where to: repository and tag
    #[arg(long, value_name = "REFERENCE")]
    image: String,
    /// Talk plain http
    #[arg(long)]
    insecure: bool,
    /// What the image says of where it comes from, as `fetch` wrote it
    #[arg(long, value_name = "FILE")]
    origin: Option<PathBuf>,
    /// The Build by namespace and name: puts a statement of where the image comes from beside it
    #[arg(long, value_name = "BUILD", requires = "origin")]
    invocation: Option<String>,
    /// Docker configuration with the registry's credentials
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    /// Certificates (PEM) to trust besides the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Folder of the build's layer cache, to be kept within --cache-max
    #[arg(long, value_name = "DIR", requires = "cache_max")]
    cache_dir: Option<PathBuf>,
    /// Most that the layer cache may take; its oldest layers go first
    #[arg(long, value_name = "SIZE")]
    cache_max: Option<ByteSize>,
    /// Where to write the digest, or why there is none, as JSON
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
    /// How long a registry that does not answer, or has trouble of its own, is asked again
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    patience: u64,
}

/// What the Build controller is told.
#[derive(Debug, Serialize)]
struct Pushed {
    /// Repository and digest.
    image: String,
    digest: String,
}

/// A reason and a sentence.
type Refusal = (&'static str, String);

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// Runs the command.
pub async fn run(options: &Options) -> ExitCode {
    match work(options).await {
        Ok(pushed) => {
            println!("pushed {}", pushed.image);
            prune(options);
            report::done(options.result.as_deref(), &pushed)
        }
        Err((reason, message)) => report::failed(options.result.as_deref(), reason, &message),
    }
}

/// Nothing of the image depends on its cache: what goes wrong here is only told.
fn prune(options: &Options) {
    let (Some(folder), Some(max)) = (&options.cache_dir, options.cache_max) else {
        return;
    };
    match cache::prune(folder, max.as_u64()) {
        Ok(pruned) => {
            let (kept, removed) = (ByteSize(pruned.kept), ByteSize(pruned.removed));
            println!("layer cache: {kept} kept, {removed} removed");
        }
        Err(error) => println!("layer cache: {error}"),
    }
}

async fn work(options: &Options) -> Result<Pushed, Refusal> {
    let image: Reference = options
        .image
        .parse()
        .map_err(|error| ("PushRejected", format!("{}: {error}", options.image)))?;
    let layout = Layout::open(&options.layout).await?;
    let sealed = layout.sealed(options.origin.as_deref()).await?;
    let auth = credentials(options.auth_file.as_deref(), image.registry())
        .map_err(|message| ("SecretInvalid", message))?;
    let client = client(options, image.registry()).await?;
    let refused = |error: OciDistributionError| refusal(image.registry(), &error);
    let patience = Duration::from_secs(options.patience);
    retry(patience, || {
        client.auth(&image, &auth, RegistryOperation::Push)
    })
    .await
    .map_err(refused)?;
    let blobs = &layout.manifest.layers;
    for (at, blob) in blobs.iter().enumerate() {
        let short = blob.digest.get(7..19).unwrap_or(&blob.digest);
        let place = format!("[{}/{}] {short}, {} bytes", at + 1, blobs.len(), blob.size);
        // A registry that does not tell is sent the blob.
        if client
            .blob_exists(&image, &blob.digest)
            .await
            .unwrap_or(false)
        {
            println!("{place}: is there already");
            continue;
        }
        println!("{place}");
        retry(patience, || upload(&client, &image, &layout, blob))
            .await
            .map_err(refused)?;
    }
    let config = &sealed.config;
    retry(patience, || {
        client.push_blob(&image, config.bytes.clone(), &config.digest)
    })
    .await
    .map_err(refused)?;
    let media = layout.descriptor.media_type.parse().map_err(|_| {
        (
            "PushRejected",
            format!("{} is no media type", layout.descriptor.media_type),
        )
    });
    let media: HeaderValue = media?;
    retry(patience, || {
        client.push_manifest_raw(&image, sealed.manifest.bytes.clone(), media.clone())
    })
    .await
    .map_err(refused)?;
    let digest = sealed.manifest.digest;
    if let (Some(file), Some(invocation)) = (&options.origin, &options.invocation) {
        let subject = Subject {
            name: format!("{}/{}", image.registry(), image.repository()),
            digest: &digest,
            media_type: &layout.descriptor.media_type,
            size: sealed.manifest.bytes.len(),
        };
        // Some registries take no artifacts. The image is there all the same.
        match provenance::state(&client, &image, &subject, file, invocation).await {
            Ok(()) => println!("said where it comes from"),
            Err(error) => println!("where it comes from is not said: {error}"),
        }
    }
    Ok(Pushed {
        image: format!("{}/{}@{digest}", image.registry(), image.repository()),
        digest,
    })
}

async fn upload(
    client: &Client,
    image: &Reference,
    layout: &Layout,
    blob: &Descriptor,
) -> Result<(), OciDistributionError> {
    let file = fs::File::open(layout.blob(&blob.digest)).await?;
    let stream = futures::StreamExt::map(ReaderStream::with_capacity(file, 1 << 20), |part| {
        part.map_err(OciDistributionError::IoError)
    });
    client
        .push_blob_stream(image, stream, &blob.digest, Some(blob.size))
        .await
        .map(|_| ())
}

/// Here rather than by another attempt of the Build, which would make the image once more.
async fn retry<T, F: Future<Output = Result<T, OciDistributionError>>>(
    patience: Duration,
    attempt: impl FnMut() -> F,
) -> Result<T, OciDistributionError> {
    attempt
        .retry(
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_secs(1))
                .with_max_delay(Duration::from_secs(20))
                .with_jitter()
                .with_total_delay(Some(patience))
                .without_max_times(),
        )
        .when(|error| reason(error) == "RegistryUnavailable")
        .notify(|error, delay| println!("{}; tries again in {delay:.0?}", words(error)))
        .await
}

async fn client(options: &Options, registry: &str) -> Result<Client, Refusal> {
    let mut roots = Vec::new();
    if let Some(file) = &options.ca_file {
        let data = fs::read(file)
            .await
            .map_err(|error| ("SecretInvalid", format!("{}: {error}", file.display())))?;
        let each = certificates::each(&String::from_utf8_lossy(&data));
        roots.extend(each.into_iter().map(|data| Certificate {
            encoding: CertificateEncoding::Pem,
            data,
        }));
    }
    Ok(Client::new(ClientConfig {
        protocol: if options.insecure {
            ClientProtocol::HttpsExcept(vec![registry.to_owned()])
        } else {
            ClientProtocol::Https
        },
        extra_root_certificates: roots,
        use_monolithic_push: true,
        connect_timeout: Some(CONNECT),
        ..ClientConfig::default()
    }))
}

/// How registries say that there is no room: Harbor, GitLab, ECR, and what stands under them.
const FULL: [&str; 5] = [
    "quota",
    "exceed the configured upper limit",
    "limitexceeded",
    "no space left on device",
    "insufficient storage",
];

/// The class of a registry's error.
fn reason(error: &OciDistributionError) -> &'static str {
    use OciDistributionError as E;
    let words = error.to_string().to_lowercase();
    if FULL.iter().any(|full| words.contains(full)) {
        return "RegistryQuotaExceeded";
    }
    match error {
        E::RegistryError { envelope, .. } if busy(envelope) => "RegistryUnavailable",
        E::ServerError {
            code: 413 | 507, ..
        } => "RegistryQuotaExceeded",
        E::AuthenticationFailure(_) | E::UnauthorizedError { .. } => "RegistryUnauthorized",
        E::RegistryError { envelope, .. } => {
            let denied = envelope
                .errors
                .iter()
                .any(|it| matches!(it.code, OciErrorCode::Denied | OciErrorCode::Unauthorized));
            if denied {
                "RegistryUnauthorized"
            } else {
                "PushRejected"
            }
        }
        E::ServerError {
            code: 401 | 403, ..
        } => "RegistryUnauthorized",
        E::ServerError {
            code: 429 | 500.., ..
        } => "RegistryUnavailable",
        E::ServerError { .. } => "PushRejected",
        E::IoError(_) => "BuildJobFailed",
        E::RequestError(_) | E::SpecViolationError(_) | E::RegistryNoLocationError => {
            "RegistryUnavailable"
        }
        _ => "PushRejected",
    }
}

fn busy(envelope: &OciEnvelope) -> bool {
    let mut errors = envelope.errors.iter();
    errors.any(|it| it.code == OciErrorCode::Toomanyrequests)
}

/// What the registry, or the network, said: without JSON, and with the causes.
fn words(error: &OciDistributionError) -> String {
    use OciDistributionError as E;
    let code = |code: &OciErrorCode| match serde_json::to_value(code) {
        Ok(serde_json::Value::String(code)) => code,
        _ => "unknown".to_owned(),
    };
    let said = |envelope: &OciEnvelope| {
        let errors = envelope.errors.iter();
        let each = errors.map(|it| match it.message.trim() {
            "" => code(&it.code),
            message => format!("{message} ({})", code(&it.code)),
        });
        each.collect::<Vec<_>>().join(", ")
    };
    match error {
        E::ServerError { code, message, .. } => match serde_json::from_str(message) {
            Ok(envelope) => format!("{}, HTTP status {code}", said(&envelope)),
            Err(_) if message.trim().is_empty() => format!("HTTP status {code}"),
            Err(_) => format!("HTTP status {code}: {}", message.trim()),
        },
        E::RegistryError { envelope, .. } => said(envelope),
        other => {
            let mut words = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(below) = cause {
                let text = below.to_string();
                if !words.contains(&text) {
                    words = format!("{words}: {text}");
                }
                cause = below.source();
            }
            words
        }
    }
}

fn refusal(registry: &str, error: &OciDistributionError) -> Refusal {
    let reason = reason(error);
    let words = words(error);
    let sentence = match reason {
        "RegistryUnauthorized" => format!(
            "registry {registry} refused the push: check the credentials in the Secret that the operator's settings, or the Project's registry.secretRef, name"
        ),
        "RegistryUnavailable" => {
            format!("registry {registry} does not answer, or has trouble of its own: {words}")
        }
        "RegistryQuotaExceeded" => format!(
            "registry {registry} has no room for the image: delete images there, or ask for a higher quota ({words})"
        ),
        "BuildJobFailed" => format!("the image cannot be read: {words}"),
        _ => format!("registry {registry} refused the image: {words}"),
    };
    (reason, sentence)
}

/// An image layout with one image.
struct Layout {
    folder: PathBuf,
    descriptor: Descriptor,
    raw: Vec<u8>,
    manifest: Manifest,
}

impl Layout {
    async fn open(folder: &Path) -> Result<Self, Refusal> {
        let broken = |what: String| ("BuildJobFailed", format!("{}: {what}", folder.display()));
        let index = fs::read(folder.join("index.json"))
            .await
            .map_err(|error| broken(error.to_string()))?;
        let index: Index =
            serde_json::from_slice(&index).map_err(|error| broken(error.to_string()))?;
        let [descriptor] = &index.manifests[..] else {
            return Err(broken(format!(
                "{} images instead of one",
                index.manifests.len()
            )));
        };
        let path = blob(folder, &descriptor.digest);
        let raw = fs::read(path)
            .await
            .map_err(|error| broken(error.to_string()))?;
        let manifest = serde_json::from_slice(&raw).map_err(|error| broken(error.to_string()))?;
        Ok(Self {
            folder: folder.to_owned(),
            descriptor: descriptor.clone(),
            raw,
            manifest,
        })
    }

    /// The image's configuration and manifest as they are pushed.
    async fn sealed(&self, origin: Option<&Path>) -> Result<Sealed, Refusal> {
        let broken = |error: String| ("BuildJobFailed", error);
        let read = async |path: PathBuf| {
            let bytes = fs::read(&path).await;
            bytes.map_err(|error| broken(format!("{}: {error}", path.display())))
        };
        let config = read(self.blob(&self.manifest.config.digest)).await?;
        let Some(origin) = origin else {
            let (config, manifest) = (Blob::new(config), Blob::new(self.raw.clone()));
            return Ok(Sealed { config, manifest });
        };
        let origin = read(origin.to_owned()).await?;
        let origin = serde_json::from_slice(&origin).map_err(|error| broken(error.to_string()))?;
        origin::seal(&config, &self.raw, &origin).map_err(broken)
    }

    fn blob(&self, digest: &str) -> PathBuf {
        blob(&self.folder, digest)
    }
}

fn blob(folder: &Path, digest: &str) -> PathBuf {
    folder.join("blobs").join(digest.replace(':', "/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_reason() {
        let server = |code: u16, message: &str| OciDistributionError::ServerError {
            code,
            url: "https://registry.example.com/v2/".to_owned(),
            message: message.to_owned(),
        };
        let registry = |code: &str, message: &str| OciDistributionError::RegistryError {
            envelope: serde_json::from_value(serde_json::json!({
                "errors": [{"code": code, "message": message, "detail": null}]
            }))
            .expect("an envelope"),
            url: "https://registry.example.com/v2/".to_owned(),
        };
        let cases = [
            (server(401, ""), "RegistryUnauthorized"),
            (server(403, ""), "RegistryUnauthorized"),
            (server(404, ""), "PushRejected"),
            (server(413, ""), "RegistryQuotaExceeded"),
            (server(429, ""), "RegistryUnavailable"),
            (server(500, ""), "RegistryUnavailable"),
            (server(503, ""), "RegistryUnavailable"),
            (
                server(500, "write: no space left on device"),
                "RegistryQuotaExceeded",
            ),
            (server(507, ""), "RegistryQuotaExceeded"),
            (registry("DENIED", "no"), "RegistryUnauthorized"),
            (
                registry(
                    "DENIED",
                    "adding 5 MiB will exceed the configured upper limit",
                ),
                "RegistryQuotaExceeded",
            ),
            (registry("TOOMANYREQUESTS", "slow"), "RegistryUnavailable"),
            (registry("MANIFEST_INVALID", "x"), "PushRejected"),
        ];
        for (error, expected) in cases {
            assert_eq!(reason(&error), expected, "{error}");
            let sentence = refusal("registry.example.com", &error).1;
            assert!(sentence.contains("registry.example.com"), "{sentence}");
        }
        let json = r#"{"errors": [{"code": "PRECONDITION", "message": "the tag is immutable"}]}"#;
        let error = server(412, json);
        assert_eq!(reason(&error), "PushRejected");
        assert_eq!(
            words(&error),
            "the tag is immutable (PRECONDITION), HTTP status 412"
        );
        assert_eq!(words(&server(502, "")), "HTTP status 502");
    }
}
