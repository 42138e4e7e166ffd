//! Trackbed itself on a cluster: its image, the base images, and the chart.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cluster::{Client, CommandExt, Credentials, Login, Name, Network, Paths, addons::SystemImage};
use images::oci::{ImageBuilder, Layout};
use serde_json::{Value, json};

use crate::{
    check::{self, cargo},
    error::{Doing, Error, Result},
    repository,
};

/// Namespace and Helm release of the operator.
const NAMESPACE: &str = "trackbed-system";
const RELEASE: &str = "trackbed";
/// Secret with the application registry's user, in that namespace.
const REGISTRY_SECRET: &str = "registry";
/// Domain of the hosts that public Services get on our clusters. Browsers, and most
/// resolvers, take names under `localhost` for this machine.
pub(crate) const DOMAIN: &str = "trackbed.localhost";
/// Static programs for this machine's architecture; the only target whose C library can
/// be linked statically here and still looks up names.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Registries besides Docker Hub whose images base images come from.
const OTHERS: [&str; 3] = ["gcr.io", "ghcr.io", "quay.io"];
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How the operator is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// As people get it.
    Release,
    /// With the tests, from the same crates: none is compiled a second time, and sums that
    /// overflow and assertions of libraries end it instead of passing unseen.
    Tests,
}

/// What the chart is installed with.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Values {
    values: Value,
    /// What is to be in the operator's namespace before it.
    documents: Vec<Value>,
}

impl Values {
    /// For a cluster that is not ours: the chart's own, but for the operator's image.
    pub(crate) fn elsewhere(image: Option<&str>) -> Self {
        Values {
            values: match image {
                None => json!({}),
                Some(image) => json!({"images": {"operator": image}}),
            },
            documents: Vec::new(),
        }
    }

    /// For our cluster `name`, with the operator's image under `image`.
    fn ours(name: Name, image: &str, kaniko: &str, login: &Login, authority: &str) -> Self {
        let network = Network::of(name);
        let registry = network.registry();
        let [repository_limit, disk_limit] = limits(name);
        let auth = json!({"auths": {&registry: {
            "username": login.user,
            "password": login.password,
        }}});
        let values = json!({
            "baseDomain": DOMAIN,
            "urlScheme": "http",
            "urlPort": network.forward_port,
            "ingressClass": "traefik",
            "gateway": {
                "namespace": "ingress",
                "name": "traefik",
                "httpListener": "web",
                "httpsListener": "websecure",
                "className": "traefik",
                "httpsPort": 8443,
            },
            "ingressNamespace": {"kubernetes.io/metadata.name": "ingress"},
            "clusterCidrs": [network.pod_range, network.service_range],
            "registry": {
                "repository": format!("{registry}/apps"),
                "pushSecret": REGISTRY_SECRET,
                "insecure": true,
            },
            "images": {"operator": image, "kaniko": kaniko},
            "webhooks": {
                "enabled": true,
                "host": format!("hooks.{DOMAIN}"),
                "url": format!("http://hooks.{DOMAIN}:{}", network.forward_port),
            },
            "build": {
                "registryMirror": network.mirror(),
                "registryMaps": OTHERS.map(|host| format!("{host}={}", network.mirror())),
                "insecureRegistries": [network.mirror(), &registry],
                // As many as two cores are good for.
                "concurrentBuilds": 3,
                "repositoryLimit": repository_limit,
                "diskLimit": disk_limit,
                "environment": {
                    "caBundle": format!("{}{authority}", certificates()),
                    "httpProxy": network.proxy(),
                    "httpsProxy": network.proxy(),
                    "noProxy": format!(
                        "{},{},{},{},{},.svc,.cluster.local,.trackbed-git,localhost,127.0.0.1",
                        network.node,
                        network.host,
                        network.node_range,
                        network.pod_range,
                        network.service_range
                    ),
                },
            },
        });
        let documents = vec![
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": REGISTRY_SECRET, "namespace": NAMESPACE},
                "type": "kubernetes.io/dockerconfigjson",
                "stringData": {".dockerconfigjson": auth.to_string()},
            }),
        ];
        Values { values, documents }
    }
}

/// Most that a repository and a step of a build may take: people have room, tests reach the end of
/// it soon.
fn limits(name: Name) -> [&'static str; 2] {
    match name {
        Name::Dev => ["2Gi", "20Gi"],
        Name::Test => ["32Mi", "6Gi"],
    }
}

/// What this machine trusts, if somebody made it trust more than others do: then its way to the
/// package registries leads through something that builds have to trust too.
fn certificates() -> String {
    let added = fs::read_dir("/usr/local/share/ca-certificates")
        .is_ok_and(|mut files| files.next().is_some());
    if added {
        fs::read_to_string(CERTIFICATES).unwrap_or_default()
    } else {
        String::new()
    }
}

/// Whether there is a chart to install.
pub(crate) fn exists() -> bool {
    repository("charts/trackbed/Chart.yaml").exists()
}

/// Puts the base images, which are made by now, into the mirror.
pub(crate) fn push_base_images(name: Name) -> Result<()> {
    for image in images::base::ensure(&[])? {
        cluster::push(name, &image.layout, &image.reference)?;
    }
    Ok(())
}

/// Builds the operator and its image, puts it into the mirror, and says how the chart is
/// installed with it.
pub(crate) fn build(name: Name, profile: Profile) -> Result<Values> {
    let layout = image(profile)?;
    let digest = Layout::open(&layout)?.digest().to_string();
    let tag: String = digest
        .trim_start_matches("sha256:")
        .chars()
        .take(16)
        .collect();
    let mirror = Network::of(name).mirror();
    let image = format!("{mirror}/trackbed/operator:{tag}");
    cluster::push(name, &layout, &image)?;
    let kaniko = SystemImage::named("kaniko")
        .map(|image| image.reference(name))
        .transpose()?
        .unwrap_or_default();
    let paths = Paths::of(name);
    let login = Credentials::read(&paths)?.registry;
    // Servers of the cluster itself, as a company has its own.
    let authority = paths.pki("ca.crt");
    let authority =
        fs::read_to_string(&authority).doing(|| format!("reading {}", authority.display()))?;
    Ok(Values::ours(name, &image, &kaniko, &login, &authority))
}

/// The operator's image as a layout: static programs on nothing.
pub(crate) fn image(profile: Profile) -> Result<PathBuf> {
    let folder = cluster::cache().join("images/operator");
    let program = folder.join("trackbed");
    fs::create_dir_all(&folder).doing(|| format!("creating {}", folder.display()))?;
    // What is only for debuggers is more than half of the tests' program, and of the pods' time to
    // start.
    Command::new("strip")
        .arg("-o")
        .arg(&program)
        .arg(programs(profile)?.join("trackbed"))
        .check()?;
    let layout = folder.join("current");
    ImageBuilder::new()
        .file(&program, "/trackbed", 0o755)
        .file(CERTIFICATES, CERTIFICATES, 0o644)
        .dir("/tmp", 0o1777)
        .bytes(
            "/etc/passwd",
            0o644,
            "nonroot:x:65532:65532:nonroot:/nonexistent:/sbin/nologin\n",
        )
        .bytes("/etc/nsswitch.conf", 0o644, "hosts: files dns\n")
        .env("PATH", "/")
        .env("SSL_CERT_FILE", CERTIFICATES)
        // The C library gives every thread a heap of its own and keeps what each once needed: four
        // times the memory, for threads that mostly wait.
        .env("MALLOC_ARENA_MAX", "1")
        .user("65532:65532")
        .entrypoint(["/trackbed"])
        .write(&layout)?;
    Ok(layout)
}

/// Builds the operator's image, says where it is, and pushes it where it is wanted.
pub(crate) fn publish_image(
    push: Option<&str>,
    insecure: bool,
    auth_file: Option<&Path>,
) -> Result<()> {
    let layout = image(Profile::Release)?;
    println!("{}", layout.display());
    let Some(reference) = push else { return Ok(()) };
    let mut command = Command::new(programs(Profile::Release)?.join("trackbed"));
    command.arg("push").arg("--layout").arg(&layout);
    command.args(["--image", reference]);
    if insecure {
        command.arg("--insecure");
    }
    if let Some(file) = auth_file {
        command.arg("--auth-file").arg(file);
    }
    Ok(command.check_visible()?)
}

/// Builds the operator, and gives the folder that its programs are in.
pub(crate) fn programs(profile: Profile) -> Result<PathBuf> {
    let (mut command, folder) = match profile {
        Profile::Release => {
            let mut command = cargo(&["build", "--quiet", "--release", "--target", TARGET]);
            command.args(["--package", "trackbed", "--bins"]);
            (command, "release")
        }
        Profile::Tests => (check::compile_suite(), "debug"),
    };
    // As the workspace's settings say, also for whoever has flags of their own.
    command.env("RUSTFLAGS", "-C target-feature=+crt-static");
    command.check_visible()?;
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository("target"), PathBuf::from);
    Ok(target.join(TARGET).join(folder))
}

/// A file for values, which may hold what is nobody's business.
fn write_values(path: &Path, values: &Value) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).doing(|| format!("creating {}", folder.display()))?;
    }
    fs::write(path, format!("{values:#}\n")).doing(|| format!("writing {}", path.display()))
}

/// Installs the chart, or brings it up to date, and waits until the operator is ready.
pub(crate) fn install(client: &Client, values: &Values) -> Result<()> {
    let chart = repository("charts/trackbed");
    if !values.documents.is_empty() {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": values.documents});
        client.apply(&list.to_string())?;
    }
    let file = cluster::cache().join(format!("helm/values-{}.json", std::process::id()));
    write_values(&file, &values.values)?;
    let mut command = client.helm()?;
    command
        .args(["upgrade", "--install", RELEASE])
        .arg(&chart)
        .args(["--namespace", NAMESPACE, "--create-namespace"])
        .arg("--values")
        .arg(&file)
        .args(["--wait", "--timeout", "3m"]);
    let outcome = command.check();
    // If it cannot be removed it is in the user's own cache folder, and no harm.
    let _ = fs::remove_file(&file);
    outcome.map(|_| ()).map_err(|error| {
        Error::Failed(format!("{error}\n{}", cluster::describe(client, NAMESPACE)))
    })
}
