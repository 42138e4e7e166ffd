//! The Job of a build.

mod containers;
mod kaniko;

use k8s_openapi::api::{
    batch::v1::{Job, JobSpec},
    core::v1::{
        ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, PersistentVolumeClaimVolumeSource,
        PodSecurityContext, PodSpec, PodTemplateSpec, ProjectedVolumeSource, SeccompProfile,
        SecretProjection, SecretVolumeSource, Volume, VolumeProjection,
    },
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;
use trackbed_api::{
    Build, Project, build::BuildSecret, environment::BuildEnvironment, labels, names,
};
use trackbed_kit::{Config, meta};

use crate::observe::Seen;

/// How much later than us the Job controller itself ends a build, in seconds: we read the log first.
const GRACE: i64 = 60;

/// A Build and what its Job is made from.
pub struct Place<'a> {
    /// The Build.
    pub object: &'a Build,
    /// Its namespace.
    pub namespace: String,
    /// Name of the Project.
    pub project_name: &'a str,
    /// The Project.
    pub project: Option<&'a Project>,
    /// The operator's settings.
    pub config: &'a Config,
    /// How the build reaches the world.
    pub environment: BuildEnvironment,
    busy: bool,
    untrimmed: bool,
}

impl<'a> Place<'a> {
    /// Brings together what was seen.
    pub fn new(
        object: &'a Build,
        project_name: &'a str,
        seen: &'a Seen,
        config: &'a Config,
    ) -> Self {
        Self {
            object,
            namespace: object.namespace().unwrap_or_default(),
            project_name,
            project: seen.project.as_deref(),
            config,
            environment: environment(seen.project.as_deref(), config),
            busy: seen.busy,
            untrimmed: seen.untrimmed,
        }
    }

    /// The Service whose cache is used. Two builds at once would write to it at once: the later one
    /// does without.
    pub fn cache(&self) -> Option<&'a str> {
        let owned = self
            .object
            .metadata
            .owner_references
            .iter()
            .flatten()
            .any(|owner| owner.kind == "Service");
        (self.object.spec.build.cache && !self.busy && owned)
            .then_some(self.object.spec.service.as_deref())
            .flatten()
    }

    /// Whether the cache may be full: nobody trimmed it since it was written to.
    pub fn wants_room(&self) -> bool {
        self.untrimmed && self.cache().is_some()
    }

    /// Repository and tag that the image is pushed to.
    pub fn image(&self) -> String {
        image(self.object, self.project_name, self.project, self.config)
    }

    /// Most that the build may take on disk.
    pub fn disk_limit(&self) -> Quantity {
        Quantity(filled(&self.config.build.disk_limit, "20Gi"))
    }

    /// Kaniko's program.
    pub fn executor(&self) -> String {
        filled(&self.config.build.executor, "/kaniko/executor")
    }

    /// Most that the repository may take on disk.
    pub fn repository_limit(&self) -> String {
        filled(&self.config.build.repository_limit, "2Gi")
    }

    /// Whether the registry wants credentials.
    pub fn registry_login(&self) -> bool {
        registry_login(self.project, self.config)
    }
}

/// Repository and tag that a Build of a Project pushes its image to.
pub fn image(
    object: &Build,
    project_name: &str,
    project: Option<&Project>,
    config: &Config,
) -> String {
    if let Some(image) = &object.spec.image {
        return image.to_string();
    }
    let repository = match project.and_then(|it| it.spec.registry.as_ref()) {
        Some(registry) => registry.repository.to_string(),
        None => format!("{}/{project_name}", config.registry.repository),
    };
    let name = match &object.spec.service {
        Some(service) => service.to_string(),
        None => object.name_any(),
    };
    format!("{repository}/{name}:{}", object.spec.source.git.commit)
}

/// Whether the registry that a Project's images go to wants credentials.
pub fn registry_login(project: Option<&Project>, config: &Config) -> bool {
    push_secret(project, config).is_some()
}

/// Name of the Secret with these credentials in the operator's namespace, of which each environment
/// has a copy.
pub fn push_secret<'a>(project: Option<&'a Project>, config: &'a Config) -> Option<&'a str> {
    match project.and_then(|it| it.spec.registry.as_ref()) {
        Some(registry) => registry.secret_ref.as_ref().map(|it| it.name.as_str()),
        None => config.registry.push_secret.as_deref(),
    }
}

fn filled(text: &str, default: &str) -> String {
    if text.is_empty() { default } else { text }.to_owned()
}

/// How the builds of a Project reach the world.
pub fn environment(project: Option<&Project>, config: &Config) -> BuildEnvironment {
    let own = project.and_then(|it| it.spec.build.as_ref());
    let own = own.map(|it| it.environment.clone()).unwrap_or_default();
    own.over(&config.build.environment)
}

/// The Job of an attempt.
pub fn desired(place: &Place<'_>, attempt: usize) -> Job {
    let object = place.object;
    let name = match attempt {
        1 => object.name_any(),
        number => format!("{}-try{number}", object.name_any()),
    };
    let mut metadata = meta::owned(object, &name);
    let mut labels = meta::managed();
    labels.insert(labels::BUILD.to_owned(), object.name_any());
    labels.insert(labels::ROLE.to_owned(), labels::role::BUILD.to_owned());
    labels.insert(labels::PROJECT.to_owned(), place.project_name.to_owned());
    if let Some(service) = &object.spec.service {
        labels.insert(labels::SERVICE.to_owned(), service.to_string());
    }
    metadata.labels = Some(labels.clone());
    let seconds = i64::try_from(object.spec.build.timeout.seconds()).unwrap_or(i64::MAX);
    Job {
        metadata,
        spec: Some(JobSpec {
            // Attempts are ours: each is a Job, so that each keeps its pod.
            backoff_limit: Some(0),
            active_deadline_seconds: Some(seconds.saturating_add(GRACE)),
            template: PodTemplateSpec {
                metadata: Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
                    labels: Some(labels),
                    ..Default::default()
                }),
                spec: Some(pod(place)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn pod(place: &Place<'_>) -> PodSpec {
    let mut steps = vec![containers::fetch(place)];
    steps.extend(containers::make_room(place));
    steps.extend([kaniko::build(place), containers::hand_over(place)]);
    PodSpec {
        init_containers: Some(steps),
        containers: vec![containers::push(place)],
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(5),
        security_context: Some(PodSecurityContext {
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            // What fetch and push write and read as a user without rights.
            fs_group: Some(containers::USER),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            ..PodSecurityContext::default()
        }),
        volumes: Some(volumes(place)),
        ..PodSpec::default()
    }
}

fn item(key: &str, path: &str) -> KeyToPath {
    KeyToPath {
        key: key.to_owned(),
        path: path.to_owned(),
        mode: None,
    }
}

/// The keys of Secrets that RUN lines may read, as files of one folder.
fn build_secrets(secrets: &[BuildSecret]) -> Volume {
    let sources = secrets.iter().map(|it| VolumeProjection {
        secret: Some(SecretProjection {
            name: it.secret_key_ref.name.to_string(),
            items: Some(vec![item(&it.secret_key_ref.key, &it.name)]),
            optional: None,
        }),
        ..VolumeProjection::default()
    });
    Volume {
        name: "secrets".to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(sources.collect()),
            // A RUN line may run as any user of the image.
            default_mode: Some(0o444),
        }),
        ..Volume::default()
    }
}

fn volumes(place: &Place<'_>) -> Vec<Volume> {
    let empty = |name: &str| Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            medium: None,
            size_limit: Some(place.disk_limit()),
        }),
        ..Volume::default()
    };
    let secret = |name: &str, secret: &str, items: Option<Vec<KeyToPath>>| Volume {
        name: name.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(secret.to_owned()),
            items,
            // For the group of the pod only.
            default_mode: Some(0o440),
            optional: None,
        }),
        ..Volume::default()
    };
    let file = |name: &str, key: &str, path: &str| Volume {
        name: name.to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: names::BUILD_CONFIG_MAP.to_owned(),
            items: Some(vec![item(key, path)]),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    };
    let mut volumes = vec![empty("workspace"), empty("tmp")];
    if let Some(git) = &place.object.spec.source.git.secret_ref {
        volumes.push(secret("git", &git.name, None));
    }
    if place.registry_login() {
        let item = item(".dockerconfigjson", "config.json");
        volumes.push(secret("registry", names::PUSH_SECRET, Some(vec![item])));
    }
    if place.environment.ca_bundle.is_some() {
        volumes.push(file("environment", names::CA_FILE, names::CA_FILE));
    }
    if place.environment.package_indexes.cargo.is_some() {
        volumes.push(file("cargo", names::CARGO_FILE, "config.toml"));
    }
    let secrets = &place.object.spec.build.secrets;
    if !secrets.is_empty() {
        volumes.push(build_secrets(secrets));
    }
    if let Some(service) = place.cache() {
        volumes.push(Volume {
            name: "cache".to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: names::build_cache(service),
                read_only: None,
            }),
            ..Volume::default()
        });
    }
    volumes
}
