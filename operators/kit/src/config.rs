//! The operator's settings: a YAML file that the chart writes from its values. A key that does not
//! exist is an error, and so is a misspelt one.

use std::collections::BTreeMap;

use bytesize::ByteSize;
use serde::Deserialize;
use trackbed_api::{environment::BuildEnvironment, expose::Routing};

/// Everything that the platform team sets once for all Projects.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Namespace that the operator runs in; its own Secrets are there.
    pub operator_namespace: String,
    /// ServiceAccount that the operator runs as, to be given rights in each environment.
    pub service_account: String,
    /// Domain under which public Services get their hosts.
    pub base_domain: String,
    /// Scheme of public URLs, `http` or `https`. Default: `https`.
    #[serde(default = "https")]
    pub url_scheme: String,
    /// Port of public URLs where it is not the scheme's own.
    #[serde(default)]
    pub url_port: Option<u16>,
    /// IngressClass of the Ingresses. `None`: the cluster's default.
    #[serde(default)]
    pub ingress_class: Option<String>,
    /// How requests from outside reach Services where their Project says nothing. Default:
    /// `Ingress`.
    #[serde(default)]
    pub routing: Routing,
    /// The platform's Gateway, for `routing: Gateway`.
    #[serde(default)]
    pub gateway: Gateway,
    /// Certificates of public hosts.
    #[serde(default)]
    pub tls: Tls,
    /// Which hosts of their own Services may have where their Project says nothing.
    #[serde(default)]
    pub custom_domains: CustomDomains,
    /// What the cluster serves besides Kubernetes' own kinds: found out at the start.
    #[serde(skip)]
    pub served: Served,
    /// Ports of the API server, as its Service in the cluster has them: found out at the start.
    #[serde(skip)]
    pub api_ports: Vec<i32>,
    /// Labels of the namespace that the ingress controller runs in.
    pub ingress_namespace: BTreeMap<String, String>,
    /// Labels of the namespace that Prometheus runs in. Empty: it reads no database's metrics.
    #[serde(default)]
    pub monitoring_namespace: BTreeMap<String, String>,
    /// Labels of the namespace that CloudNativePG's operator runs in. Default: its name is
    /// `cnpg-system`.
    #[serde(default = "cloudnative_pg_namespace")]
    pub cloudnative_pg_namespace: BTreeMap<String, String>,
    /// Address ranges of pods and Services: not part of "the internet" that pods may reach.
    #[serde(default)]
    pub cluster_cidrs: Vec<String>,
    /// The cluster's DNS domain. Default: `cluster.local`.
    #[serde(default = "cluster_domain")]
    pub cluster_domain: String,
    /// Where images are pushed unless a Project says otherwise.
    pub registry: Registry,
    /// Images that Trackbed itself runs.
    pub images: Images,
    /// How images are built.
    #[serde(default)]
    pub build: Build,
    /// How forges reach the operator.
    #[serde(default)]
    pub webhooks: Webhooks,
    /// Reconciles of one kind that run at once. Default: 16.
    #[serde(default = "concurrency")]
    pub concurrency: u16,
}

fn https() -> String {
    "https".to_owned()
}
fn cluster_domain() -> String {
    "cluster.local".to_owned()
}
fn cloudnative_pg_namespace() -> BTreeMap<String, String> {
    BTreeMap::from([(
        "kubernetes.io/metadata.name".to_owned(),
        "cnpg-system".to_owned(),
    )])
}
fn concurrency() -> u16 {
    16
}

/// The platform's registry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Registry {
    /// Host and path; an image is `<repository>/<project>/<service>`.
    pub repository: String,
    /// Secret of type `kubernetes.io/dockerconfigjson` in the operator's namespace that may push.
    pub push_secret: Option<String>,
    /// The same for pulling. `None`: the push Secret serves for both.
    pub pull_secret: Option<String>,
    /// Talk plain http to the registry.
    pub insecure: bool,
    /// Remove the images of Services' Builds from the registry when the Builds go. Default: `true`.
    pub remove_images: bool,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            repository: String::new(),
            push_secret: None,
            pull_secret: None,
            insecure: false,
            remove_images: true,
        }
    }
}

/// Images that Trackbed itself runs.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Images {
    /// The operator's own: `fetch`, `push` and the database supervisor are in it.
    pub operator: String,
    /// Kaniko's executor.
    pub kaniko: String,
    /// Repository of Postgres' official image; the major version is the tag.
    pub postgres: String,
    /// Repository of Redis' official image; the major version is the tag.
    pub redis: String,
    /// Repository of Valkey's official image; the major version is the tag.
    pub valkey: String,
    /// Other images for some versions, like `postgres-17`: what those that begin run, and what
    /// updates lead to. Default: none.
    pub versions: BTreeMap<String, String>,
}

/// The platform's Gateway (of the Gateway API), which serves all Projects.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Gateway {
    /// Its namespace. Routes of all namespaces have to be allowed at its listeners.
    pub namespace: String,
    /// Its name. Empty: there is none, and Services are routed by Ingresses.
    pub name: String,
    /// Its listener for http, for all hosts. Default: `http`.
    pub http_listener: String,
    /// Its listener for https, with a certificate for all hosts one label below the base domain.
    /// Default: `https`. Empty: it has none.
    pub https_listener: String,
    /// The class of Gateways that are made for Services with hosts that the platform's certificate
    /// is not good for. Empty: none are made, and such hosts are served by http.
    pub class_name: String,
    /// Port that those listen on. Default: 443.
    pub https_port: u16,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            namespace: String::new(),
            name: String::new(),
            http_listener: "http".to_owned(),
            https_listener: "https".to_owned(),
            class_name: String::new(),
            https_port: 443,
        }
    }
}

/// Certificates of public hosts.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Tls {
    /// ClusterIssuer of cert-manager. `None`: only Projects that name one have certificates.
    pub issuer: Option<String>,
    /// The ingress controller has a certificate of its own for all hosts one label below the base
    /// domain: these need none.
    pub wildcard: bool,
}

/// Which hosts of their own Services may have where their Project says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
pub enum CustomDomains {
    /// Every host that is not the platform's or another Project's.
    #[default]
    Any,
    /// None: a Project has to list them in `allowedDomains`.
    Listed,
}

/// Kinds of others that the cluster serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Served {
    /// cert-manager's.
    pub certificates: bool,
    /// The Gateway API's.
    pub gateways: bool,
    /// CloudNativePG's.
    pub cloudnative_pg: bool,
    /// Those of its plugin Barman Cloud.
    pub barman_cloud: bool,
}

impl Served {
    /// Whether archives of several servers of Postgres can be kept.
    pub fn archives(self) -> bool {
        self.cloudnative_pg && self.barman_cloud
    }
}

/// How forges reach the operator.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Webhooks {
    /// Base URL under which forges reach the webhook receiver, like `https://hooks.example.com`.
    /// `None`: it is not exposed, and sources are only looked at every interval.
    pub url: Option<String>,
}

/// How images are built.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Build {
    /// Mirror that Kaniko asks for base images of Docker Hub, host and port.
    pub registry_mirror: Option<String>,
    /// Registry hosts that Kaniko pulls from by plain http.
    pub insecure_registries: Vec<String>,
    /// Other names for registries, `original=replacement`, as Kaniko's `--registry-map` takes them.
    pub registry_maps: Vec<String>,
    /// How git and builds reach the world: proxies, certificates, package indexes.
    pub environment: BuildEnvironment,
    /// Size of a Service's cache claim. Empty: 5Gi.
    pub cache_size: String,
    /// Most that the repository of a Build may take on disk. Empty: 2Gi.
    pub repository_limit: String,
    /// Most that a step of a Build may take on disk. Empty: 20Gi.
    pub disk_limit: String,
    /// Where Kaniko's image has its program. Empty: `/kaniko/executor`.
    pub executor: String,
    /// How layers are compressed. Default: `zstd`.
    pub compression: Compression,
    /// Put a statement of where each image comes from beside it. Default: `true`.
    pub provenance: bool,
    /// Builds of all Projects that run at once; the others wait in a queue. Default: 10.
    pub concurrent_builds: u16,
    /// Builds of one Project that run at once where its quota says nothing. 0: as many as of
    /// all.
    pub concurrent_builds_per_project: u16,
}

/// How the layers of images are compressed that build on an OCI image. Those of images in Docker's
/// older format are always compressed by gzip: the format knows no other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Takes a third off a build that finds its layers in the cache. Read by CRI-O, by containerd
    /// since 1.5 and by Docker Engine since 23.
    #[default]
    Zstd,
    /// For registries and nodes that do not know the other.
    Gzip,
}

impl Compression {
    /// Its name, as Kaniko's `--compression` takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

impl Default for Build {
    fn default() -> Self {
        Self {
            registry_mirror: None,
            insecure_registries: Vec::new(),
            registry_maps: Vec::new(),
            environment: BuildEnvironment::default(),
            cache_size: String::new(),
            repository_limit: String::new(),
            disk_limit: String::new(),
            executor: String::new(),
            compression: Compression::default(),
            provenance: true,
            concurrent_builds: 10,
            concurrent_builds_per_project: 0,
        }
    }
}

impl Build {
    /// Most that a repository may take on disk, in bytes.
    pub fn repository_bytes(&self) -> u64 {
        let limit: Option<ByteSize> = self.repository_limit.parse().ok();
        limit.unwrap_or(ByteSize::gib(2)).as_u64()
    }
}

impl Config {
    /// Where a forge sends what is signed with the Secret `name` of a namespace.
    pub fn webhook(&self, namespace: &str, name: &str) -> Option<String> {
        let base = self.webhooks.url.as_deref()?.trim_end_matches('/');
        Some(format!("{base}/hooks/{namespace}/{name}"))
    }

    /// Settings for tests of plans.
    pub fn example() -> Self {
        Self {
            operator_namespace: "trackbed-system".into(),
            service_account: "trackbed".into(),
            base_domain: "apps.example.com".into(),
            url_scheme: "https".into(),
            url_port: None,
            ingress_class: Some("traefik".into()),
            routing: Routing::default(),
            gateway: Gateway::default(),
            tls: Tls::default(),
            custom_domains: CustomDomains::default(),
            served: Served::default(),
            api_ports: vec![443, 6443],
            ingress_namespace: BTreeMap::from([(
                "kubernetes.io/metadata.name".into(),
                "ingress".into(),
            )]),
            monitoring_namespace: BTreeMap::new(),
            cloudnative_pg_namespace: cloudnative_pg_namespace(),
            cluster_cidrs: vec!["10.201.0.0/16".into(), "10.202.0.0/16".into()],
            cluster_domain: "cluster.local".into(),
            registry: Registry {
                repository: "registry.example.com/apps".into(),
                push_secret: Some("registry-push".into()),
                ..Registry::default()
            },
            images: Images {
                operator: "docker.io/trackbed/operator:1".into(),
                kaniko: "example.com/kaniko/executor:v1".into(),
                postgres: "docker.io/library/postgres".into(),
                redis: "docker.io/library/redis".into(),
                valkey: "docker.io/valkey/valkey".into(),
                versions: BTreeMap::new(),
            },
            build: Build {
                cache_size: "5Gi".into(),
                ..Build::default()
            },
            webhooks: Webhooks {
                url: Some("https://hooks.example.com".into()),
            },
            concurrency: 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_and_typing_errors_are_found() {
        let text = r"
operatorNamespace: trackbed-system
serviceAccount: trackbed
baseDomain: apps.example.com
ingressClass: traefik
ingressNamespace: {kubernetes.io/metadata.name: ingress}
clusterCidrs: [10.201.0.0/16, 10.202.0.0/16]
registry: {repository: registry.example.com/apps, pushSecret: registry-push}
images:
  operator: docker.io/trackbed/operator:1
  kaniko: example.com/kaniko/executor:v1
  postgres: docker.io/library/postgres
  redis: docker.io/library/redis
  valkey: docker.io/valkey/valkey
build: {cacheSize: 5Gi, compression: zstd}
webhooks: {url: 'https://hooks.example.com'}
";
        let config: Config = serde_saphyr::from_str(text).expect("settings");
        let found = Config {
            api_ports: Vec::new(),
            ..Config::example()
        };
        assert_eq!(config, found);
        let wrong = text.replace("baseDomain", "baseDomian");
        assert!(serde_saphyr::from_str::<Config>(&wrong).is_err());
    }
}
