//! `trackbed push`: an image layout (<https://github.com/opencontainers/image-spec>) to a registry.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use axum::http::HeaderValue;
use backon::{ExponentialBuilder, Retryable};
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
    origin::{self, Blob, Sealed},
    registry::credentials,
    report,
};

/// Attempts of each upload that fails for a reason that may pass.
const ATTEMPTS: usize = 5;

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
    /// Docker configuration with the registry's credentials
    #[arg(long, value_name = "FILE")]
    auth_file: Option<PathBuf>,
    /// Certificates (PEM) to trust besides the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Where to write the digest, or why there is none, as JSON
    #[arg(long, value_name = "FILE")]
    result: Option<PathBuf>,
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
            report::done(options.result.as_deref(), &pushed)
        }
        Err((reason, message)) => report::failed(options.result.as_deref(), reason, &message),
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
    retry(|| client.auth(&image, &auth, RegistryOperation::Push))
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
        retry(|| upload(&client, &image, &layout, blob))
            .await
            .map_err(refused)?;
    }
    let config = &sealed.config;
    retry(|| client.push_blob(&image, config.bytes.clone(), &config.digest))
        .await
        .map_err(refused)?;
    let media = layout.descriptor.media_type.parse().map_err(|_| {
        (
            "PushRejected",
            format!("{} is no media type", layout.descriptor.media_type),
        )
    });
    let media: HeaderValue = media?;
    retry(|| client.push_manifest_raw(&image, sealed.manifest.bytes.clone(), media.clone()))
        .await
        .map_err(refused)?;
    let digest = sealed.manifest.digest;
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

async fn retry<T, F: Future<Output = Result<T, OciDistributionError>>>(
    attempt: impl FnMut() -> F,
) -> Result<T, OciDistributionError> {
    attempt
        .retry(
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_secs(1))
                .with_max_delay(Duration::from_secs(20))
                .with_jitter()
                .with_max_times(ATTEMPTS),
        )
        .when(|error| reason(error) == "RegistryUnavailable")
        .notify(|error, delay| println!("{error}: tries again in {delay:?}"))
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

fn refusal(registry: &str, error: &OciDistributionError) -> Refusal {
    let reason = reason(error);
    let sentence = match reason {
        "RegistryUnauthorized" => format!(
            "registry {registry} refused the push: check the credentials in the Secret that the operator's settings, or the Project's registry.secretRef, name"
        ),
        "RegistryUnavailable" => format!("registry {registry} cannot be reached: {error}"),
        "RegistryQuotaExceeded" => format!(
            "registry {registry} has no room for the image: delete images there, or ask for a higher quota ({error})"
        ),
        "BuildJobFailed" => format!("the image cannot be read: {error}"),
        _ => format!("registry {registry} refused the image: {error}"),
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
    }
}
