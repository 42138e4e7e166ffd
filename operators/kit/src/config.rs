//! The operator's settings. They come from flags, and the flags from the chart's values.

use std::collections::BTreeMap;

/// Everything that the platform team sets once for all Projects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Namespace that the operator runs in; its own Secrets are there.
    pub operator_namespace: String,
    /// ServiceAccount that the operator runs as, to be given rights in each environment.
    pub service_account: String,
    /// Domain under which public Services get their hosts.
    pub base_domain: String,
    /// Scheme of public URLs, `http` or `https`.
    pub url_scheme: String,
    /// Port of public URLs where it is not the scheme's own.
    pub url_port: Option<u16>,
    /// IngressClass of the Ingresses. `None`: the cluster's default.
    pub ingress_class: Option<String>,
    /// Labels of the namespace that the ingress controller runs in.
    pub ingress_namespace: BTreeMap<String, String>,
    /// Address ranges of pods and Services: not part of "the internet" that pods may reach.
    pub cluster_cidrs: Vec<String>,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// Where images are pushed unless a Project says otherwise.
    pub registry: Registry,
    /// Images that Trackbed itself runs.
    pub images: Images,
    /// How images are built.
    pub build: Build,
    /// Reconciles of one kind that run at once.
    pub concurrency: u16,
}

/// The platform's registry.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Registry {
    /// Host and path; an image is `<repository>/<project>/<service>`.
    pub repository: String,
    /// Secret of type `kubernetes.io/dockerconfigjson` in the operator's namespace that may push.
    pub push_secret: Option<String>,
    /// The same for pulling. `None`: the push Secret serves for both.
    pub pull_secret: Option<String>,
    /// Talk plain http to the registry.
    pub insecure: bool,
}

/// Images that Trackbed itself runs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Images {
    /// The operator's own: `fetch`, `push` and the database supervisor are in it.
    pub operator: String,
    /// Kaniko's executor.
    pub kaniko: String,
    /// Repository of Postgres' official image; the major version is the tag.
    pub postgres: String,
    /// Repository of Redis' official image; the major version is the tag.
    pub redis: String,
}

/// How images are built.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Build {
    /// Mirror that Kaniko asks for base images of Docker Hub, host and port.
    pub registry_mirror: Option<String>,
    /// Registry hosts that Kaniko pulls from by plain http.
    pub insecure_registries: Vec<String>,
    /// Other names for registries, `original=replacement`, as Kaniko's `--registry-map` takes them.
    pub registry_maps: Vec<String>,
    /// Proxy for builds.
    pub http_proxy: Option<String>,
    /// Proxy for builds, for https.
    pub https_proxy: Option<String>,
    /// Hosts that builds reach directly.
    pub no_proxy: Option<String>,
    /// Certificates (PEM) that builds trust besides those of their image.
    pub ca_bundle: Option<String>,
    /// Size of a Service's cache claim.
    pub cache_size: String,
}

impl Config {
    /// A public URL for a host.
    pub fn url(&self, host: &str) -> String {
        match self.url_port {
            Some(port) => format!("{}://{host}:{port}", self.url_scheme),
            None => format!("{}://{host}", self.url_scheme),
        }
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
            ingress_namespace: BTreeMap::from([(
                "kubernetes.io/metadata.name".into(),
                "ingress".into(),
            )]),
            cluster_cidrs: vec!["10.201.0.0/16".into(), "10.202.0.0/16".into()],
            cluster_domain: "cluster.local".into(),
            registry: Registry {
                repository: "registry.example.com/apps".into(),
                push_secret: Some("registry-push".into()),
                pull_secret: None,
                insecure: false,
            },
            images: Images {
                operator: "docker.io/trackbed/operator:1".into(),
                kaniko: "example.com/kaniko/executor:v1".into(),
                postgres: "docker.io/library/postgres".into(),
                redis: "docker.io/library/redis".into(),
            },
            build: Build {
                cache_size: "5Gi".into(),
                ..Build::default()
            },
            concurrency: 16,
        }
    }
}
