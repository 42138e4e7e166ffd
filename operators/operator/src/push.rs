//! `trackbed push`: an image layout (<https://github.com/opencontainers/image-spec>) to a registry.

mod answer;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use axum::http::HeaderValue;
use clap::Args;
use oci_distribution::{
    Client, Reference, RegistryOperation,
    client::{ClientConfig, ClientProtocol},
    errors::OciDistributionError,
};
use serde::{Deserialize, Serialize};
use tokio::fs;
use tokio_util::io::ReaderStream;

use answer::{refusal, retry};

use crate::{
    origin::{self, Blob, Sealed},
    provenance::{self, Subject},
    registry::{credentials, roots},
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
    let client = client(options, image.registry())?;
    let refused = |error: OciDistributionError| refusal(image.registry(), &error);
    let patience = Duration::from_secs(options.patience);
    retry(patience, || {
        client.auth(&image, &auth, RegistryOperation::Push)
    })
    .await
    .map_err(refused)?;
    let target = Target {
        client: &client,
        image: &image,
        patience,
    };
    layers(&target, &layout).await.map_err(refused)?;
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

/// Where an image goes.
struct Target<'a> {
    client: &'a Client,
    image: &'a Reference,
    patience: Duration,
}

/// Sends the layers that the registry does not have.
async fn layers(target: &Target<'_>, layout: &Layout) -> Result<(), OciDistributionError> {
    let Target {
        client,
        image,
        patience,
    } = *target;
    let blobs = &layout.manifest.layers;
    for (at, blob) in blobs.iter().enumerate() {
        let short = blob.digest.get(7..19).unwrap_or(&blob.digest);
        let place = format!("[{}/{}] {short}, {} bytes", at + 1, blobs.len(), blob.size);
        // A registry that does not tell is sent the blob.
        if client
            .blob_exists(image, &blob.digest)
            .await
            .unwrap_or(false)
        {
            println!("{place}: is there already");
            continue;
        }
        println!("{place}");
        retry(patience, || upload(client, image, layout, blob)).await?;
    }
    Ok(())
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

fn client(options: &Options, registry: &str) -> Result<Client, Refusal> {
    let roots = roots(options.ca_file.as_deref());
    Ok(Client::new(ClientConfig {
        protocol: if options.insecure {
            ClientProtocol::HttpsExcept(vec![registry.to_owned()])
        } else {
            ClientProtocol::Https
        },
        extra_root_certificates: roots.map_err(|it| ("SecretInvalid", it.to_string()))?,
        use_monolithic_push: true,
        connect_timeout: Some(CONNECT),
        ..ClientConfig::default()
    }))
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
