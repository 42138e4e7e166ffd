//! Jobs of the supervisor: what takes and restores backups has in common.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::{
        batch::v1::{
            CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec, PodFailurePolicy,
            PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule,
        },
        core::v1::{Container, PodSpec, PodTemplateSpec, Volume, VolumeMount},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use trackbed_api::{
    common::{ResourceDefaults, Resources},
    labels, names,
    scalar::{CronSchedule, Duration, TimeZone},
};
use trackbed_kit::meta;

use super::{Place, pod, settings};
use crate::observe::Seen;

/// Exit code of a supervisor that would end like this again.
pub const LASTING: i32 = 3;

/// What a Job does.
pub(super) struct Work<'a> {
    /// Of whom.
    pub(super) place: &'a Place<'a>,
    /// Role of its pods.
    pub(super) role: &'static str,
    /// How often it is tried again, if that may help.
    pub(super) retries: i32,
    /// How long it may take in all.
    pub(super) timeout: Duration,
    /// Its pods.
    pub(super) pod: PodSpec,
}

impl Work<'_> {
    pub(super) fn spec(self) -> JobSpec {
        JobSpec {
            backoff_limit: Some(self.retries),
            pod_failure_policy: Some(not_again()),
            active_deadline_seconds: i64::try_from(self.timeout.seconds()).ok(),
            template: PodTemplateSpec {
                metadata: Some(labelled(self.place, self.role)),
                spec: Some(self.pod),
            },
            ..JobSpec::default()
        }
    }
}

/// What a Job does in one of several servers, over the network, until it is done: it is tried again
/// after pauses of up to five minutes, for as long as servers may be away, or somebody may take to
/// correct what it is given.
pub(super) struct Errand {
    /// Role of its pods, name of its container and command of the supervisor.
    pub(super) role: &'static str,
    /// The command's own argument.
    pub(super) argument: String,
    /// What it gets besides the credentials.
    pub(super) volumes: Vec<Volume>,
    /// Where that is.
    pub(super) mounts: Vec<VolumeMount>,
}

impl Errand {
    const RESOURCES: ResourceDefaults = ["10m", "32Mi", "500m", "128Mi"];
    const RETRIES: i32 = 2000;
    const TIMEOUT: &str = "168h";

    pub(super) fn job(self, place: &Place<'_>, name: &str) -> Job {
        let mut volumes = vec![pod::secret(
            "credentials",
            names::credentials(&place.name),
            false,
        )];
        volumes.extend(self.volumes);
        volumes.extend([
            pod::config_map("settings", settings::name(&place.name)),
            pod::empty("run", Some("Memory")),
            pod::empty("tmp", None),
            pod::empty("bin", None),
        ]);
        let words = vec![
            self.role.to_owned(),
            format!("--version={}", place.object.spec.version),
            format!("--into={}", names::primary(&place.name)),
            self.argument,
        ];
        let credentials = pod::mount("credentials", "/etc/trackbed/credentials", true);
        let mut all = vec![credentials];
        all.extend(self.mounts);
        all.extend(mounts());
        let runs = Container {
            name: self.role.to_owned(),
            resources: Some(Resources::default().with_defaults(Self::RESOURCES)),
            volume_mounts: Some(all),
            ..container(place, words)
        };
        let work = Work {
            place,
            role: self.role,
            retries: Self::RETRIES,
            timeout: Duration::from(Self::TIMEOUT),
            pod: PodSpec {
                // One pod, which sees what is corrected in what it is given.
                restart_policy: Some("OnFailure".to_owned()),
                init_containers: Some(vec![pod::install(&place.config.images.operator)]),
                containers: vec![runs],
                volumes: Some(volumes),
                ..surroundings()
            },
        };
        let spec = JobSpec {
            // It is for pods that are not started again.
            pod_failure_policy: None,
            ..work.spec()
        };
        named(place, name, self.role, spec)
    }
}

/// The Database's Jobs of a role. Those of a Database of this name that was deleted say nothing of this
/// one; they are there until the garbage collector has come to them.
pub(super) fn of<'a>(
    place: &'a Place<'_>,
    seen: &'a Seen,
    role: &'static str,
) -> impl Iterator<Item = &'a Arc<Job>> {
    seen.backups.jobs.iter().filter(move |it| {
        meta::label(it.as_ref(), labels::ROLE) == Some(role)
            && meta::is_controlled_by(it.as_ref(), place.object)
    })
}

/// When Jobs are made again and again.
pub(super) struct Rhythm<'a> {
    /// Name of what makes them.
    pub(super) name: String,
    pub(super) schedule: &'a CronSchedule,
    pub(super) time_zone: &'a TimeZone,
    /// How late one may begin, in seconds, when the cluster's controllers were away.
    pub(super) late: i64,
}

impl Rhythm<'_> {
    /// One at a time, and none of a Database that is suspended.
    pub(super) fn of(self, work: Work<'_>) -> CronJob {
        let (place, role) = (work.place, work.role);
        CronJob {
            metadata: place.owned(&self.name),
            spec: Some(CronJobSpec {
                schedule: self.schedule.to_string(),
                time_zone: Some(self.time_zone.to_string()),
                concurrency_policy: Some("Forbid".to_owned()),
                suspend: Some(place.object.spec.suspend),
                starting_deadline_seconds: Some(self.late),
                successful_jobs_history_limit: Some(1),
                failed_jobs_history_limit: Some(1),
                job_template: JobTemplateSpec {
                    metadata: Some(labelled(place, role)),
                    spec: Some(work.spec()),
                },
            }),
            status: None,
        }
    }
}

/// A Job that goes with the Database.
pub(super) fn named(place: &Place<'_>, name: &str, role: &str, spec: JobSpec) -> Job {
    let mut metadata = place.owned(name);
    meta::insert(&mut metadata.labels, labels::ROLE, role);
    Job {
        metadata,
        spec: Some(spec),
        status: None,
    }
}

/// Metadata of what somebody else names.
pub(super) fn labelled(place: &Place<'_>, role: &str) -> ObjectMeta {
    let mut all: BTreeMap<String, String> = meta::managed();
    all.insert(labels::DATABASE.to_owned(), place.name.clone());
    all.insert(labels::PROJECT.to_owned(), place.project.to_owned());
    all.insert(labels::ROLE.to_owned(), role.to_owned());
    ObjectMeta {
        labels: Some(all),
        ..ObjectMeta::default()
    }
}

/// Ends a Job whose pod says that trying again would not help.
fn not_again() -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![PodFailurePolicyRule {
            action: "FailJob".to_owned(),
            on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                container_name: None,
                operator: "In".to_owned(),
                values: vec![LASTING],
            }),
            ..PodFailurePolicyRule::default()
        }],
    }
}

/// What all pods have that run for a while.
pub(super) fn surroundings() -> PodSpec {
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        // What is not finished is begun anew; nothing is gained by waiting.
        termination_grace_period_seconds: Some(5),
        security_context: Some(pod::security()),
        ..PodSpec::default()
    }
}

/// What every command of the supervisor needs.
pub(super) fn mounts() -> [VolumeMount; 4] {
    [
        pod::mount("settings", "/etc/trackbed/state", true),
        pod::mount("run", "/run/trackbed", false),
        pod::mount("tmp", "/tmp", false),
        pod::mount("bin", "/opt/trackbed/bin", true),
    ]
}

/// A command of the supervisor for the Database's server.
pub(super) fn words(place: &Place<'_>, command: &str) -> Vec<String> {
    let spec = &place.object.spec;
    vec![
        command.to_owned(),
        spec.engine.as_str().to_lowercase(),
        format!("--version={}", spec.version),
    ]
}

/// The server's image with a command of the supervisor.
pub(super) fn container(place: &Place<'_>, words: Vec<String>) -> Container {
    let mut command = pod::command(&[]);
    // Kubernetes puts variables into what has the form of one.
    command.extend(words.into_iter().map(|word| word.replace('$', "$$")));
    Container {
        image: Some(place.image.clone()),
        command: Some(command),
        security_context: Some(pod::unprivileged()),
        ..Container::default()
    }
}
