//! The programs of the node, as command lines.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    Name, Network, Paths, Result,
    network::{API_PORT, GIT_PORT, POD_BRIDGE},
    node::{config::CONTAINERD_SOCKET, forge},
    tools,
};

/// A program that runs for as long as the cluster does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is called in `status` and in the logs' file names.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Variables that are set for it beside the supervisor's own.
    pub environment: Vec<(String, String)>,
}

/// What the parts are made from.
pub(crate) struct Programs {
    kubernetes: PathBuf,
    etcd: PathBuf,
    registry: PathBuf,
    kube_router: PathBuf,
    git_server: PathBuf,
    /// The folder of the network plug-ins.
    pub(crate) cni: PathBuf,
    /// The forge, in the cluster that has one.
    pub(crate) forge: Option<forge::Program>,
}

impl Programs {
    pub(crate) fn find(name: Name) -> Result<Self> {
        let forge = (name == Name::Test).then(forge::Program::find);
        Ok(Programs {
            kubernetes: tools::KUBERNETES.folder()?,
            etcd: tools::ETCD.path("etcd")?,
            registry: tools::REGISTRY.path("registry")?,
            kube_router: tools::KUBE_ROUTER.path("kube-router")?,
            git_server: tools::GIT_SERVER.path("git-server")?,
            cni: tools::CNI.folder()?,
            forge: forge.transpose()?,
        })
    }
}

/// The parts, in the order in which they start. They stop in the other one.
pub(crate) fn parts(
    name: Name,
    network: &Network,
    paths: &Paths,
    programs: &Programs,
) -> Vec<Part> {
    let pki = |file: &str| paths.pki(file).display().to_string();
    let run = |file: &str| paths.run(file).display().to_string();
    let kube = |program: &str| programs.kubernetes.join(program);
    let forge = programs.forge.as_ref().map(|forge| forge.part(paths));
    let mut parts = vec![
        Part::new("etcd", &programs.etcd)
            .flag("data-dir", paths.data("etcd").display())
            .flag("listen-client-urls", "http://127.0.0.1:2379")
            .flag("advertise-client-urls", "http://127.0.0.1:2379")
            .flag("listen-peer-urls", "http://127.0.0.1:2380")
            .flag("initial-advertise-peer-urls", "http://127.0.0.1:2380")
            .flag("initial-cluster", "default=http://127.0.0.1:2380")
            .flag("auto-compaction-retention", "10m")
            .flag("quota-backend-bytes", "8589934592")
            .flag("log-level", "warn"),
        apiserver(network, paths, kube("kube-apiserver")),
        Part::new("controller-manager", kube("kube-controller-manager"))
            .flag("kubeconfig", pki("controller-manager.kubeconfig"))
            .flag(
                "authentication-kubeconfig",
                pki("controller-manager.kubeconfig"),
            )
            .flag(
                "authorization-kubeconfig",
                pki("controller-manager.kubeconfig"),
            )
            .flag("bind-address", "127.0.0.1")
            .flag("leader-elect", "false")
            .flag("service-account-private-key-file", pki("sa.key"))
            .flag("root-ca-file", pki("ca.crt"))
            .flag("cluster-signing-cert-file", pki("ca.crt"))
            .flag("cluster-signing-key-file", pki("ca.key"))
            .flag("use-service-account-credentials", "true")
            .flag("allocate-node-cidrs", "true")
            .flag("cluster-cidr", &network.pod_range)
            // The one node has them all.
            .flag("node-cidr-mask-size", "16")
            .flag("service-cluster-ip-range", &network.service_range),
        Part::new("scheduler", kube("kube-scheduler"))
            .flag("kubeconfig", pki("scheduler.kubeconfig"))
            .flag("authentication-kubeconfig", pki("scheduler.kubeconfig"))
            .flag("authorization-kubeconfig", pki("scheduler.kubeconfig"))
            .flag("bind-address", "127.0.0.1")
            .flag("leader-elect", "false"),
        Part::new("mirror", &programs.registry)
            .word("serve")
            .word(run("mirror.json"))
            .variable("OTEL_TRACES_EXPORTER", "none"),
        Part::new("registry", &programs.registry)
            .word("serve")
            .word(run("registry.json"))
            .variable("OTEL_TRACES_EXPORTER", "none"),
        Part::new("git", &programs.git_server)
            .flag("listen", format!("{}:{GIT_PORT}", network.node))
            .flag("root", paths.repositories().display())
            .flag("users", paths.data("git-users").display())
            .flag("trusted", network.host),
        Part::new("containerd", "/usr/bin/containerd")
            .flag("config", run("containerd.toml"))
            .flag("log-level", "warn"),
        Part::new("kubelet", kube("kubelet"))
            .flag("config", run("kubelet.json"))
            .flag("kubeconfig", pki("kubelet.kubeconfig"))
            .flag("root-dir", paths.data("kubelet").display())
            .flag("node-ip", network.node)
            .flag("hostname-override", name.node())
            // Named again although the file has it: without it Pods have no network figures.
            .flag("containerd", CONTAINERD_SOCKET),
        Part::new("kube-proxy", kube("kube-proxy")).flag("config", run("kube-proxy.json")),
        Part::new("kube-router", &programs.kube_router)
            .flag("kubeconfig", pki("kube-router.kubeconfig"))
            .flag("hostname-override", name.node())
            .flag("run-router", "false")
            .flag("run-service-proxy", "false")
            .flag("run-firewall", "true")
            .flag("enable-cni", "false")
            .flag("service-cluster-ip-range", &network.service_range)
            .flag("service-external-ip-range", format!("{}/32", network.node))
            .flag("health-port", "0")
            .flag("iptables-sync-period", "1m")
            .variable("KUBE_BRIDGE", POD_BRIDGE),
    ];
    // Last, for no other part needs it, and it is the first that may stop.
    parts.extend(forge);
    parts
}

fn apiserver(network: &Network, paths: &Paths, program: PathBuf) -> Part {
    let pki = |file: &str| paths.pki(file).display().to_string();
    Part::new("apiserver", program)
        .flag("etcd-servers", "http://127.0.0.1:2379")
        .flag("bind-address", network.node)
        .flag("advertise-address", network.node)
        .flag("secure-port", API_PORT)
        .flag("service-cluster-ip-range", &network.service_range)
        .flag("client-ca-file", pki("ca.crt"))
        .flag("tls-cert-file", pki("apiserver.crt"))
        .flag("tls-private-key-file", pki("apiserver.key"))
        .flag("kubelet-certificate-authority", pki("ca.crt"))
        .flag("kubelet-client-certificate", pki("apiserver-kubelet.crt"))
        .flag("kubelet-client-key", pki("apiserver-kubelet.key"))
        // Or logs and exec go to the host's own name.
        .flag("kubelet-preferred-address-types", "InternalIP")
        .flag(
            "service-account-issuer",
            "https://kubernetes.default.svc.cluster.local",
        )
        .flag("service-account-key-file", pki("sa.pub"))
        .flag("service-account-signing-key-file", pki("sa.key"))
        .flag("requestheader-client-ca-file", pki("ca.crt"))
        .flag("requestheader-allowed-names", "front-proxy")
        .flag("requestheader-username-headers", "X-Remote-User")
        .flag("requestheader-group-headers", "X-Remote-Group")
        .flag("requestheader-extra-headers-prefix", "X-Remote-Extra-")
        .flag("proxy-client-cert-file", pki("front-proxy.crt"))
        .flag("proxy-client-key-file", pki("front-proxy.key"))
        .flag("authorization-mode", "Node,RBAC")
        .flag("enable-admission-plugins", "NodeRestriction")
        .flag(
            "admission-control-config-file",
            paths.run("admission.json").display(),
        )
        .flag("allow-privileged", "true")
        .flag("profiling", "false")
        .flag(
            "audit-policy-file",
            paths.run("audit-policy.json").display(),
        )
        .flag("audit-log-path", paths.audit_log().display())
        .flag("audit-log-maxsize", "200")
        .flag("audit-log-maxbackup", "1")
        // The default batches, and a test that counts writes would have to wait.
        .flag("audit-log-mode", "blocking")
}

impl Part {
    pub(super) fn new(name: &str, program: impl Into<PathBuf>) -> Self {
        Part {
            name: name.to_owned(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }

    pub(super) fn flag(self, name: &str, value: impl std::fmt::Display) -> Self {
        self.word(format!("--{name}={value}"))
    }

    pub(super) fn word(mut self, word: impl Into<String>) -> Self {
        self.arguments.push(word.into());
        self
    }

    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Part> {
        let programs = Programs {
            kubernetes: "/k".into(),
            etcd: "/etcd".into(),
            registry: "/registry".into(),
            kube_router: "/kube-router".into(),
            git_server: "/git-server".into(),
            cni: "/cni".into(),
            forge: Some(forge::Program {
                binary: "/gitea".into(),
                pages: "/pages".into(),
            }),
        };
        let name = Name::Test;
        parts(name, &Network::of(name), &Paths::of(name), &programs)
    }

    #[test]
    fn parts_start_in_the_order_of_their_needs() {
        let names: Vec<_> = sample().into_iter().map(|part| part.name).collect();
        expect_test::expect![["etcd apiserver controller-manager scheduler mirror registry git containerd kubelet kube-proxy kube-router forge"]]
            .assert_eq(&names.join(" "));
    }

    #[test]
    fn nothing_names_an_address_of_the_other_cluster() {
        for part in sample() {
            for argument in part.arguments {
                assert!(!argument.contains("10.20"), "{argument}");
            }
        }
    }
}
