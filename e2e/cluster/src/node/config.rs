//! The configuration files of the node's programs, as pure text.

use std::path::Path;

use crate::{Name, Network, Paths, addons::PAUSE_IMAGE, host::cgroup, network::POD_BRIDGE};

/// A file and its content.
pub(crate) type File = (std::path::PathBuf, String);

/// Registries whose names lead to the mirror.
const MIRRORED: [&str; 5] = [
    "docker.io",
    "gcr.io",
    "ghcr.io",
    "quay.io",
    "registry.k8s.io",
];

/// The socket of containerd, in the cluster's own `/run`.
pub(crate) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// Every file, with the folder `cni` for the network plug-ins.
pub(crate) fn files(name: Name, network: &Network, paths: &Paths, cni: &Path) -> Vec<File> {
    let mut files = vec![
        (paths.run("containerd.toml"), containerd(paths, cni)),
        (paths.run("cni/10-pods.conflist"), pod_network(network)),
        (paths.run("kubelet.json"), kubelet(name, network, paths)),
        (
            paths.run("kube-proxy.json"),
            kube_proxy(name, network, paths),
        ),
        (paths.run("audit-policy.json"), AUDIT_POLICY.to_owned()),
        (paths.run("admission.json"), POD_SECURITY.to_owned()),
        (
            paths.run("mirror.json"),
            registry(paths, "mirror", &network.mirror(), false),
        ),
        (
            paths.run("registry.json"),
            registry(paths, "registry", &network.registry(), true),
        ),
        // Names that the cluster's DNS does not know are nobody's: nothing leaves.
        (
            paths.run("resolv.conf"),
            "nameserver 127.0.0.1\n".to_owned(),
        ),
    ];
    for host in MIRRORED {
        files.push((
            paths.run(&format!("certs.d/{host}/hosts.toml")),
            format!(
                "server = \"https://{host}\"\n\n[host.\"http://{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
                network.mirror()
            ),
        ));
    }
    for host in [network.mirror(), network.registry()] {
        files.push((
            paths.run(&format!("certs.d/{host}/hosts.toml")),
            format!("server = \"http://{host}\"\n\n[host.\"http://{host}\"]\n  capabilities = [\"pull\", \"resolve\", \"push\"]\n"),
        ));
    }
    files
}

fn containerd(paths: &Paths, cni: &Path) -> String {
    // restrict_oom_score_adj: lowering it needs a capability that a container host may lack.
    format!(
        r#"version = 2
root = "{root}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  max_concurrent_downloads = 6
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{cni}"
    conf_dir = "{conf}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    discard_unpacked_layers = false
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{certs}"
"#,
        root = paths.data("containerd").display(),
        cni = cni.display(),
        conf = paths.run("cni").display(),
        certs = paths.run("certs.d").display(),
    )
}

fn pod_network(network: &Network) -> String {
    // No masquerading: the host has a route to Pods, and nothing else is to be reached.
    pretty(&serde_json::json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": POD_BRIDGE,
                "isGateway": true,
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": network.pod_range}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    }))
}

fn kubelet(name: Name, network: &Network, paths: &Paths) -> String {
    pretty(&serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.node.to_string(),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": paths.pki("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": paths.pki("kubelet-server.crt"),
        "tlsPrivateKeyFile": paths.pki("kubelet-server.key"),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", cgroup::name(name)),
        "failCgroupV1": false,
        "failSwapOn": false,
        "oomScoreAdj": 0,
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "clusterDNS": [network.dns_service.to_string()],
        "clusterDomain": "cluster.local",
        "resolvConf": paths.run("resolv.conf"),
        "podLogsDir": paths.data("pod-logs"),
        "volumePluginDir": paths.data("volume-plugins"),
        "healthzBindAddress": "127.0.0.1",
        "maxPods": 1000,
        // A developer's disk is often nearly full, and that is their business.
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": false,
        "registryPullQPS": 0,
        "eventRecordQPS": 50,
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
    }))
}

fn kube_proxy(name: Name, network: &Network, paths: &Paths) -> String {
    pretty(&serde_json::json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": paths.pki("kube-proxy.kubeconfig")},
        "clusterCIDR": network.pod_range,
        "hostnameOverride": name.node(),
        "mode": "iptables",
        "oomScoreAdj": 0,
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        // Limits of the whole machine, which are not this cluster's to set.
        "conntrack": {"maxPerCore": 0, "min": 0},
        "iptables": {"minSyncPeriod": "100ms"},
    }))
}

fn registry(paths: &Paths, name: &str, address: &str, asks: bool) -> String {
    let mut config = serde_json::json!({
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": true}},
        "storage": {
            "filesystem": {"rootdirectory": paths.data(name)},
            "delete": {"enabled": true},
            "maintenance": {"uploadpurging": {"enabled": true, "age": "24h", "interval": "24h", "dryrun": false}},
        },
        "http": {"addr": address, "secret": "one process needs no shared secret"},
    });
    if asks {
        config["auth"] = serde_json::json!({
            "htpasswd": {"realm": "registry", "path": paths.data("htpasswd")},
        });
    }
    pretty(&config)
}

/// Every request of the operator's, the writes of anybody to its own kinds, and who deletes what may
/// hold data. What the operator deletes is told with the preconditions that it asks for.
const AUDIT_POLICY: &str = r#"{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "Request", "userGroups": ["system:serviceaccounts:trackbed-system"],
     "verbs": ["delete", "deletecollection"]},
    {"level": "Metadata", "userGroups": ["system:serviceaccounts:trackbed-system"]},
    {"level": "Metadata", "resources": [{"group": "trackbed.dev"}],
     "verbs": ["create", "update", "patch", "delete", "deletecollection"]},
    {"level": "Metadata", "resources": [{"group": "", "resources": ["persistentvolumeclaims", "secrets"]}],
     "verbs": ["delete", "deletecollection"]},
    {"level": "None"}
  ]
}
"#;

/// What a company's cluster asks of a namespace that says nothing itself.
const POD_SECURITY: &str = r#"{
  "apiVersion": "apiserver.config.k8s.io/v1",
  "kind": "AdmissionConfiguration",
  "plugins": [{
    "name": "PodSecurity",
    "configuration": {
      "apiVersion": "pod-security.admission.config.k8s.io/v1",
      "kind": "PodSecurityConfiguration",
      "defaults": {"enforce": "baseline", "enforce-version": "latest",
                   "warn": "baseline", "warn-version": "latest"},
      "exemptions": {"namespaces": ["kube-system", "local-path-storage"]}
    }
  }]
}
"#;

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
