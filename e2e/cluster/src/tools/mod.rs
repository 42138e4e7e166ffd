//! The Go programs that the cluster is made of, built once and kept in the cache.
//!
//! Each has a folder under `e2e/tools` whose `go.mod` pins it. A build lands in
//! `tools/<name>/<hash>` of the cache, where the hash is that of the folder and the
//! flags: nothing is ever built twice, and a changed pin is a new folder.

mod build;

use std::path::{Path, PathBuf};

pub(crate) use build::hex;
pub use build::{build, tools_folder};

use crate::Name;

/// One program, or several that share a `go.mod`.
#[derive(Debug, PartialEq, Eq)]
pub struct Tool {
    /// The folder under `e2e/tools`.
    pub name: &'static str,
    /// What is built: file name and package.
    pub binaries: &'static [(&'static str, &'static str)],
    /// Names under which the first binary is also found; it acts by its name.
    pub links: &'static [&'static str],
    /// Flags for the linker, after `-s -w`.
    pub ldflags: &'static str,
    /// Build tags, divided by commas, of a program that has C in it. Others are built without.
    pub cgo: Option<&'static str>,
}

/// kube-apiserver, -controller-manager, -scheduler, kubelet, kube-proxy and kubectl.
pub const KUBERNETES: Tool = Tool {
    name: "kubernetes",
    binaries: &[("kubernetes", ".")],
    links: &[
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
        "kubectl",
    ],
    ldflags: "-X k8s.io/component-base/version.gitVersion=v1.36.3 \
              -X k8s.io/client-go/pkg/version.gitVersion=v1.36.3",
    cgo: None,
};

/// The cluster's state.
pub const ETCD: Tool = one("etcd", &[("etcd", "go.etcd.io/etcd/server/v3")]);

/// The plug-ins that give a Pod its network.
pub const CNI: Tool = one(
    "cni",
    &[
        (
            "bridge",
            "github.com/containernetworking/plugins/plugins/main/bridge",
        ),
        (
            "loopback",
            "github.com/containernetworking/plugins/plugins/main/loopback",
        ),
        (
            "host-local",
            "github.com/containernetworking/plugins/plugins/ipam/host-local",
        ),
        (
            "portmap",
            "github.com/containernetworking/plugins/plugins/meta/portmap",
        ),
    ],
);

/// The image registry, which runs twice.
pub const REGISTRY: Tool = one(
    "registry",
    &[(
        "registry",
        "github.com/distribution/distribution/v3/cmd/registry",
    )],
);

/// Enforces NetworkPolicies.
pub const KUBE_ROUTER: Tool = one(
    "kube-router",
    &[(
        "kube-router",
        "github.com/cloudnativelabs/kube-router/cmd/kube-router",
    )],
);

/// The git server.
pub const GIT_SERVER: Tool = one("git-server", &[("git-server", ".")]);

/// The container that holds a Pod's namespaces.
pub const PAUSE: Tool = one("pause", &[("pause", ".")]);

/// The cluster's DNS.
pub const COREDNS: Tool = one("coredns", &[("coredns", ".")]);

/// Volumes as folders of the node.
pub const LOCAL_PATH: Tool = one(
    "local-path-provisioner",
    &[(
        "local-path-provisioner",
        "github.com/rancher/local-path-provisioner",
    )],
);

/// Ingress and Gateway API.
pub const TRAEFIK: Tool = one(
    "traefik",
    &[("traefik", "github.com/traefik/traefik/v3/cmd/traefik")],
);

/// What the pods use, for autoscalers and `kubectl top`.
pub const METRICS: Tool = one(
    "metrics-server",
    &[(
        "metrics-server",
        "sigs.k8s.io/metrics-server/cmd/metrics-server",
    )],
);

/// Issues certificates. The last version whose command is a part of its main module: later ones'
/// are modules of their own, of which no versions are published.
pub const CERT_MANAGER: Tool = one(
    "cert-manager",
    &[(
        "cert-manager",
        "github.com/cert-manager/cert-manager/cmd/controller",
    )],
);

/// Builds images inside the cluster.
pub const KANIKO: Tool = one(
    "kaniko",
    &[("executor", "github.com/chainguard-dev/kaniko/cmd/executor")],
);

/// Installs the chart.
pub const HELM: Tool = one("helm", &[("helm", "helm.sh/helm/v3/cmd/helm")]);

/// The forge: repositories over https and ssh, with users, tokens, webhooks and commit statuses.
pub const FORGE: Tool = Tool {
    name: "gitea",
    binaries: &[("gitea", FORGE_MODULE)],
    links: &[],
    ldflags: "-extldflags=-static",
    // SQLite is C. The rest is for a static program: names are looked up by Go's own code.
    cgo: Some("sqlite,sqlite_unlock_notify,sqlite_omit_load_extension,netgo,osusergo"),
};
/// The module of [`FORGE`]; its pages and texts are files in it.
pub(crate) const FORGE_MODULE: &str = "code.gitea.io/gitea";

/// Volumes that can grow: a driver, and the programs that bring it to Kubernetes.
pub const CSI: Tool = one(
    "csi",
    &[
        ("driver", "."),
        (
            "csi-provisioner",
            "github.com/kubernetes-csi/external-provisioner/v6/cmd/csi-provisioner",
        ),
        (
            "csi-resizer",
            "github.com/kubernetes-csi/external-resizer/v2/cmd/csi-resizer",
        ),
    ],
);

/// Runs Postgres on several nodes.
pub const CLOUDNATIVE_PG: Tool = one(
    "cloudnative-pg",
    &[(
        "manager",
        "github.com/cloudnative-pg/cloudnative-pg/cmd/manager",
    )],
);

/// Has Postgres' log archived, and brings it back. The newest version whose modules the Go proxy all
/// has.
pub const BARMAN_CLOUD: Tool = one(
    "barman-cloud",
    &[(
        "manager",
        "github.com/cloudnative-pg/plugin-barman-cloud/cmd/manager",
    )],
);

/// What every cluster needs, in the order in which it is best built: the longest
/// first, so that what comes after finds its packages compiled.
pub const CLUSTER: [&Tool; 14] = [
    &KUBERNETES,
    &ETCD,
    &CNI,
    &REGISTRY,
    &COREDNS,
    &TRAEFIK,
    &LOCAL_PATH,
    &METRICS,
    &CERT_MANAGER,
    &KUBE_ROUTER,
    &KANIKO,
    &GIT_SERVER,
    &PAUSE,
    &HELM,
];

/// What only tests need. The forge takes minutes to build: last, when what it shares with others is
/// compiled.
const TESTS: [&Tool; 4] = [&CSI, &CLOUDNATIVE_PG, &BARMAN_CLOUD, &FORGE];

/// What cluster `name` needs.
pub fn of(name: Name) -> Vec<&'static Tool> {
    let tests = TESTS.into_iter().filter(|_| name == Name::Test);
    CLUSTER.into_iter().chain(tests).collect()
}

const fn one(name: &'static str, binaries: &'static [(&'static str, &'static str)]) -> Tool {
    Tool {
        name,
        binaries,
        links: &[],
        ldflags: "",
        cgo: None,
    }
}

impl Tool {
    /// Where this tool's programs are, or will be, for what the repository pins now.
    ///
    /// # Errors
    /// When its folder cannot be read.
    pub fn folder(&self) -> crate::Result<PathBuf> {
        build::folder(self)
    }

    /// The path of program `binary`.
    ///
    /// # Errors
    /// When the tool's folder cannot be read.
    pub fn path(&self, binary: &str) -> crate::Result<PathBuf> {
        Ok(self.folder()?.join(binary))
    }

    /// Whether its programs are built.
    ///
    /// # Errors
    /// When the tool's folder cannot be read.
    pub fn is_built(&self) -> crate::Result<bool> {
        Ok(self.folder()?.is_dir())
    }
}

/// The folder in which module `module`, which `tool` depends on, has its files.
///
/// # Errors
/// When Go does not know it.
pub fn module_folder(tool: &Tool, module: &str) -> crate::Result<PathBuf> {
    use crate::command::CommandExt;
    let source = tools_folder().join(tool.name);
    let run = |arguments: &[&str]| build::go(&source, tool).args(arguments).check();
    // A module is only unpacked when a package of it was needed.
    let mut folder = run(&["list", "-m", "-f", "{{.Dir}}", module])?;
    if folder.trim().is_empty() {
        run(&["mod", "download", module])?;
        folder = run(&["list", "-m", "-f", "{{.Dir}}", module])?;
    }
    Ok(Path::new(folder.trim()).to_owned())
}
