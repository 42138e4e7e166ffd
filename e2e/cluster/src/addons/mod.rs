//! What a cluster needs beside Kubernetes itself: names, volumes, a way in, what the
//! pods use, and a name for the git server. The manifests are in `e2e/cluster/addons`.

mod images;
mod sidecar;

use std::fs;

pub use images::{PAUSE_IMAGE, SYSTEM_IMAGES, SystemImage};

use sha2::{Digest, Sha256};

use crate::{
    Client, Error, Name, Network, Paths, Result,
    error::Doing,
    network::{FORGE_PORTS, GIT_PORT},
    ready, tools,
};

/// A part of the cluster that runs as Pods, or is objects only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addon {
    /// What it is called on the screen.
    pub name: &'static str,
    /// Its manifest.
    manifest: Manifest,
    /// Its namespace and workload, where it has one.
    workload: Option<(&'static str, &'static str)>,
    /// The API that the workload adds to the API server's own, where it adds one.
    api: Option<&'static str>,
}

/// Where a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manifest {
    /// Here.
    Ours(&'static str),
    /// In the module that a tool is built from.
    Theirs(Theirs),
}

/// A manifest of somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Theirs {
    /// The tool.
    tool: &'static tools::Tool,
    /// The module.
    module: &'static str,
    /// The file in it.
    file: &'static str,
    /// What stands there, and what is to instead: with the cluster's own values, as in ours.
    instead: &'static [(&'static str, &'static str)],
}

impl Manifest {
    /// Its text for cluster `name`.
    fn text(self, name: Name) -> Result<String> {
        match self {
            Self::Ours(text) => filled(text, name),
            Self::Theirs(theirs) => theirs.text(name),
        }
    }
}

impl Theirs {
    fn text(self, name: Name) -> Result<String> {
        let path = tools::module_folder(self.tool, self.module)?.join(self.file);
        let reading = || format!("reading {}", path.display());
        let mut text = fs::read_to_string(&path).doing(reading)?;
        for (there, ours) in self.instead {
            if !text.contains(there) {
                return Err(Error::Refused(format!(
                    "{} does not say {there:?} any more",
                    path.display()
                )));
            }
            text = text.replace(there, &filled(ours, name)?);
        }
        Ok(text)
    }
}

/// The add-ons of every cluster, in the order in which they are applied.
const ADDONS: [Addon; 6] = [
    Addon {
        name: "cluster DNS",
        manifest: Manifest::Ours(include_str!("../../addons/coredns.yaml")),
        workload: Some(("kube-system", "deployment/coredns")),
        api: None,
    },
    Addon {
        name: "volumes",
        manifest: Manifest::Ours(include_str!("../../addons/volumes.yaml")),
        workload: Some(("local-path-storage", "deployment/local-path-provisioner")),
        api: None,
    },
    Addon {
        name: "ingress",
        manifest: Manifest::Ours(include_str!("../../addons/ingress.yaml")),
        workload: Some(("ingress", "deployment/traefik")),
        api: None,
    },
    Addon {
        name: "metrics",
        manifest: Manifest::Ours(include_str!("../../addons/metrics.yaml")),
        workload: Some(("kube-system", "deployment/metrics-server")),
        api: Some("v1beta1.metrics.k8s.io"),
    },
    Addon {
        name: "certificates",
        manifest: Manifest::Ours(include_str!("../../addons/certificates.yaml")),
        workload: Some(("cert-manager", "deployment/cert-manager")),
        api: None,
    },
    Addon {
        name: "git",
        manifest: Manifest::Ours(include_str!("../../addons/git.yaml")),
        workload: None,
        api: None,
    },
];

/// Those of the cluster that tests run on: the forge's name, volumes that can grow, and Postgres on
/// several nodes, with its archives.
const FOR_TESTS: [Addon; 4] = [
    Addon {
        name: "forge",
        manifest: Manifest::Ours(include_str!("../../addons/forge.yaml")),
        workload: None,
        api: None,
    },
    Addon {
        name: "volumes that grow",
        manifest: Manifest::Ours(include_str!("../../addons/csi.yaml")),
        workload: Some(("csi", "deployment/csi")),
        api: None,
    },
    Addon {
        name: "Postgres on several nodes",
        manifest: Manifest::Theirs(Theirs {
            tool: &tools::CLOUDNATIVE_PG,
            module: "github.com/cloudnative-pg/cloudnative-pg",
            file: "releases/cnpg-1.30.0.yaml",
            instead: &[
                (
                    "ghcr.io/cloudnative-pg/cloudnative-pg:1.30.0",
                    "${image:cloudnative-pg}",
                ),
                // A tenth of a CPU is little for an operator, on a machine that is busy.
                ("cpu: 100m\n            memory: 200Mi", "memory: 512Mi"),
            ],
        }),
        workload: Some(("cnpg-system", "deployment/cnpg-controller-manager")),
        api: None,
    },
    Addon {
        name: "archives of Postgres",
        manifest: Manifest::Theirs(Theirs {
            tool: &tools::BARMAN_CLOUD,
            module: "github.com/cloudnative-pg/plugin-barman-cloud",
            file: "manifest.yaml",
            instead: &[
                (
                    "ghcr.io/cloudnative-pg/plugin-barman-cloud-testing:main",
                    "${image:barman-cloud}",
                ),
                // It is in a Secret, of which nothing is secret.
                (
                    "valueFrom:\n            secretKeyRef:\n              key: SIDECAR_IMAGE\n              name: plugin-barman-cloud-8tfddg42gf",
                    "value: ${image:barman-cloud-sidecar}",
                ),
                (
                    "resources: {}",
                    "resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {memory: 256Mi}}",
                ),
                // Whoever waits for it has waited long enough.
                (
                    "initialDelaySeconds: 10\n          periodSeconds: 10",
                    "periodSeconds: 1",
                ),
            ],
        }),
        workload: Some(("cnpg-system", "deployment/barman-cloud")),
        api: None,
    },
];

/// Kinds that add-ons bring along: the tool whose module has their definitions, the folder in it,
/// and how the files' names begin.
const KINDS: [(&tools::Tool, &str, &str, &str); 2] = [
    (
        &tools::TRAEFIK,
        "sigs.k8s.io/gateway-api",
        "config/crd/standard",
        "gateway.networking.k8s.io_",
    ),
    (
        &tools::CERT_MANAGER,
        "github.com/cert-manager/cert-manager",
        "deploy/crds",
        "crd-",
    ),
];

/// Makes the system images that are missing and puts them into the cluster's mirror.
///
/// # Errors
/// When an image cannot be made or pushed.
pub fn push_images(name: Name) -> Result<()> {
    for image in SYSTEM_IMAGES.iter().filter(|image| image.is_of(name)) {
        image.push(name)?;
    }
    Ok(())
}

/// The add-ons of cluster `name`.
fn of(name: Name) -> impl Iterator<Item = &'static Addon> {
    let for_tests = FOR_TESTS.iter().filter(move |_| name == Name::Test);
    ADDONS.iter().chain(for_tests)
}

/// Applies the add-ons to cluster `name` and waits until all of them are ready. Their
/// images are in the mirror by then.
///
/// # Errors
/// When one is refused, or does not become ready.
pub fn install(name: Name) -> Result<()> {
    let client = Client::of(name);
    client.apply(&kinds()?)?;
    for addon in of(name) {
        client.apply(&addon.manifest.text(name)?)?;
    }
    for addon in of(name) {
        if let Some((namespace, workload)) = addon.workload {
            ready::wait_for_pods(name, namespace, workload)?;
        }
        if let Some(api) = addon.api {
            ready::wait_for_api_service(name, api)?;
        }
    }
    Ok(())
}

/// The CustomResourceDefinitions that come with the add-ons, from the modules that these are built
/// from. cert-manager's are templates of a chart, in which only labels are filled in.
fn kinds() -> Result<String> {
    let mut documents = Vec::new();
    for (tool, module, folder, begins) in KINDS {
        let folder = tools::module_folder(tool, module)?.join(folder);
        let reading = || format!("reading {}", folder.display());
        for entry in fs::read_dir(&folder).doing(reading)? {
            let path = entry.doing(reading)?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            if file.starts_with(begins) {
                documents.push(plain(&fs::read_to_string(&path).doing(reading)?));
            }
        }
    }
    Ok(documents.join("\n---\n"))
}

/// A definition without the lines that a chart would fill in.
fn plain(definition: &str) -> String {
    let lines = definition.lines().filter(|line| !line.contains("{{"));
    lines.collect::<Vec<_>>().join("\n")
}

/// `manifest` with the cluster's own values in it.
fn filled(manifest: &str, name: Name) -> Result<String> {
    let network = Network::of(name);
    let data = |part: &str| Paths::of(name).data(part).display().to_string();
    let hash = tools::hex(&Sha256::digest(manifest)[..8]);
    let mut values = vec![
        ("hash".to_owned(), hash),
        ("node".to_owned(), network.node.to_string()),
        ("dns".to_owned(), network.dns_service.to_string()),
        ("git-port".to_owned(), GIT_PORT.to_string()),
        ("forge-https-port".to_owned(), FORGE_PORTS.0.to_string()),
        ("forge-ssh-port".to_owned(), FORGE_PORTS.1.to_string()),
        ("volumes".to_owned(), data("volumes")),
        ("growing-volumes".to_owned(), data("growing-volumes")),
        ("kubelet".to_owned(), data("kubelet")),
    ];
    for image in &SYSTEM_IMAGES {
        let key = format!("image:{}", image.name);
        if manifest.contains(&key) {
            values.push((key, image.reference(name)?));
        }
    }
    fill(manifest, &values)
}

fn fill(manifest: &str, values: &[(String, String)]) -> Result<String> {
    let mut text = manifest.to_owned();
    for (key, value) in values {
        text = text.replace(&format!("${{{key}}}"), value);
    }
    match text.find("${") {
        None => Ok(text),
        Some(at) => {
            let name: String = text[at..].chars().take_while(|c| *c != '}').collect();
            Err(Error::Refused(format!(
                "a manifest of the cluster's names {name}}}, which nothing fills in"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What we say in a manifest. Whether somebody else's says what it is expected to is seen when it
    /// is installed.
    fn ours(addon: &Addon) -> String {
        match addon.manifest {
            Manifest::Ours(text) => text.to_owned(),
            Manifest::Theirs(theirs) => theirs.instead.iter().map(|(_, ours)| *ours).collect(),
        }
    }

    #[test]
    fn every_image_that_a_manifest_names_is_the_clusters() {
        for name in Name::ALL {
            for image in SYSTEM_IMAGES.iter().filter(|image| !image.is_of(name)) {
                let key = format!("${{image:{}}}", image.name);
                assert!(of(name).all(|addon| !ours(addon).contains(&key)));
            }
        }
    }

    #[test]
    fn every_manifest_is_filled_in() {
        for addon in of(Name::Test) {
            let text = filled(&ours(addon), Name::Test).unwrap();
            assert!(!text.contains("10.20"), "{} names dev", addon.name);
        }
    }

    #[test]
    fn every_api_that_is_added_is_waited_for() {
        for addon in of(Name::Test) {
            let manifest = ours(addon);
            let adds = manifest.contains("kind: APIService\n");
            assert_eq!(adds, addon.api.is_some(), "{}", addon.name);
            if let Some(api) = addon.api {
                let named = format!("metadata: {{name: {api}}}\n");
                assert!(manifest.contains(&named), "{} adds no {api}", addon.name);
                assert!(addon.workload.is_some(), "nobody serves {api}");
            }
        }
    }

    #[test]
    fn a_name_that_nobody_knows_is_refused() {
        let error = fill("a: ${b}", &[]).unwrap_err();
        expect_test::expect!["a manifest of the cluster's names ${b}, which nothing fills in"]
            .assert_eq(&error.to_string());
    }
}
