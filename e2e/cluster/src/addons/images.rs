use std::path::{Path, PathBuf};

use images::oci::ImageBuilder;

use super::sidecar;
use crate::{
    Name, Network, Result, debian, mirror,
    paths::cache,
    tools::{self, Tool},
};

/// The image that holds a Pod's namespaces, under the name that containerd knows.
pub const PAUSE_IMAGE: &str = "registry.k8s.io/pause:3.10";

/// An image with one program in it, which the cluster itself runs.
#[derive(Debug, PartialEq, Eq)]
pub struct SystemImage {
    /// What it is called, in the mirror and in manifests.
    pub name: &'static str,
    source: Source,
}

#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// The programs of a tool. The first is what runs.
    Tool(&'static Tool),
    /// Kaniko's executor, laid out as its own image is.
    Kaniko,
    /// CloudNativePG's operator, which copies its program from a certain place into its pods.
    CloudNativePg,
    /// What is beside a Postgres server whose log is archived.
    Sidecar,
    /// A shell and the file utilities, from Debian.
    Busybox,
}

/// Every system image.
pub const SYSTEM_IMAGES: [SystemImage; 12] = [
    SystemImage::tool("pause", &tools::PAUSE),
    SystemImage::tool("coredns", &tools::COREDNS),
    SystemImage::tool("local-path-provisioner", &tools::LOCAL_PATH),
    SystemImage::tool("traefik", &tools::TRAEFIK),
    SystemImage::tool("metrics-server", &tools::METRICS),
    SystemImage::tool("cert-manager", &tools::CERT_MANAGER),
    SystemImage {
        name: "kaniko",
        source: Source::Kaniko,
    },
    SystemImage {
        name: "busybox",
        source: Source::Busybox,
    },
    SystemImage::tool("csi", &tools::CSI),
    SystemImage {
        name: "cloudnative-pg",
        source: Source::CloudNativePg,
    },
    SystemImage::tool("barman-cloud", &tools::BARMAN_CLOUD),
    SystemImage {
        name: "barman-cloud-sidecar",
        source: Source::Sidecar,
    },
];

/// Where the layout of an image says how it was made; part of its hash.
const LAYOUT_VERSION: &str = "1";

impl SystemImage {
    const fn tool(name: &'static str, tool: &'static Tool) -> Self {
        SystemImage {
            name,
            source: Source::Tool(tool),
        }
    }

    /// The image called `name`.
    pub fn named(name: &str) -> Option<&'static Self> {
        SYSTEM_IMAGES.iter().find(|image| image.name == name)
    }

    /// The reference under which Pods of cluster `cluster` name it. What it is made from
    /// is in the tag: a new pin is a new reference.
    ///
    /// # Errors
    /// When the tool's folder cannot be read.
    pub fn reference(&self, cluster: Name) -> Result<String> {
        let mirror = Network::of(cluster).mirror();
        Ok(format!("{mirror}/system/{}:{}", self.name, self.tag()?))
    }

    /// Whether Pods of cluster `cluster` may name it: what it is made from is built for that one.
    pub(super) fn is_of(&self, cluster: Name) -> bool {
        self.made_of()
            .is_none_or(|tool| tools::of(cluster).contains(&tool))
    }

    fn made_of(&self) -> Option<&'static Tool> {
        match self.source {
            Source::Tool(tool) => Some(tool),
            Source::Kaniko => Some(&tools::KANIKO),
            Source::CloudNativePg => Some(&tools::CLOUDNATIVE_PG),
            Source::Sidecar => Some(&tools::BARMAN_CLOUD),
            Source::Busybox => None,
        }
    }

    fn tag(&self) -> Result<String> {
        let Some(tool) = self.made_of() else {
            return Ok(format!("debian-{LAYOUT_VERSION}"));
        };
        let folder = tool.folder()?;
        let hash = folder.file_name().unwrap_or_default().to_string_lossy();
        Ok(match self.source {
            Source::Sidecar => format!("{hash}-{}-{LAYOUT_VERSION}", sidecar::base()),
            _ => format!("{hash}-{LAYOUT_VERSION}"),
        })
    }

    /// The image as a layout; made when the cache does not have it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn layout(&self) -> Result<PathBuf> {
        let layout = cache().join("images").join(self.name).join(self.tag()?);
        if !layout.is_dir() {
            self.build()?.write(&layout)?;
        }
        Ok(layout)
    }

    pub(super) fn push(&self, cluster: Name) -> Result<()> {
        let layout = self.layout()?;
        mirror::push(cluster, &layout, &self.reference(cluster)?)?;
        if self.name == "pause" {
            mirror::push(cluster, &layout, PAUSE_IMAGE)?;
        }
        Ok(())
    }

    fn build(&self) -> Result<ImageBuilder> {
        Ok(match self.source {
            Source::Tool(tool) => {
                let path = |binary: &str| format!("/usr/bin/{binary}");
                let mut image = ImageBuilder::new();
                for (binary, _) in tool.binaries {
                    image = image.file(tool.path(binary)?, path(binary), 0o755);
                }
                image
                    .dir("/tmp", 0o1777)
                    .bytes("/etc/passwd", 0o644, PASSWD)
                    .env("PATH", "/usr/bin")
                    .entrypoint([path(tool.binaries[0].0)])
            }
            Source::Kaniko => {
                let bundle = "/kaniko/ssl/certs/ca-certificates.crt";
                ImageBuilder::new()
                    .file(tools::KANIKO.path("executor")?, "/kaniko/executor", 0o755)
                    .file(CERTIFICATES, bundle, 0o644)
                    .dir("/kaniko/.docker", 0o755)
                    .dir("/tmp", 0o1777)
                    .bytes("/etc/passwd", 0o644, PASSWD)
                    .bytes("/etc/nsswitch.conf", 0o644, "hosts: files dns\n")
                    .dir("/workspace", 0o755)
                    .workdir("/workspace")
                    .env("HOME", "/root")
                    .env("USER", "root")
                    .env("PATH", "/usr/local/bin:/kaniko")
                    .env("SSL_CERT_DIR", "/kaniko/ssl/certs")
                    .env("DOCKER_CONFIG", "/kaniko/.docker/")
                    .entrypoint(["/kaniko/executor"])
            }
            Source::CloudNativePg => {
                let manager = format!("operator/manager_{}", architecture());
                let program = tools::CLOUDNATIVE_PG.path("manager")?;
                ImageBuilder::new()
                    .file(program, format!("/{manager}"), 0o755)
                    .symlink("/manager", manager)
                    .dir("/tmp", 0o1777)
                    .bytes("/etc/passwd", 0o644, PASSWD)
                    .entrypoint(["/manager"])
            }
            Source::Sidecar => sidecar::image(&self.tag()?)?,
            Source::Busybox => {
                let busybox = debian::unpacked("busybox-static")?.join("bin/busybox");
                BUSYBOX_LINKS.into_iter().fold(
                    ImageBuilder::new()
                        .file(busybox, "/bin/busybox", 0o755)
                        .dir("/tmp", 0o1777)
                        .env("PATH", "/bin")
                        .cmd(["/bin/sh"]),
                    |image, name| image.symlink(Path::new("/bin").join(name), "busybox"),
                )
            }
        })
    }
}

/// This machine's, as Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

const PASSWD: &str = "root:x:0:0:root:/root:/sbin/nologin\n\
                      nonroot:x:65532:65532:nonroot:/nonexistent:/sbin/nologin\n";
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";
const BUSYBOX_LINKS: [&str; 12] = [
    "sh", "cat", "chmod", "chown", "cp", "echo", "ls", "mkdir", "mv", "rm", "sleep", "wget",
];
