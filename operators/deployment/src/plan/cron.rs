//! Runs at certain times: a CronJob with the release's image and environment.
//!
//! The workload stays, without pods: it is what releases take from each other, and what says whose
//! the CronJob is.

use k8s_openapi::{
    api::{
        batch::v1::{CronJob, CronJobSpec, JobSpec, JobTemplateSpec},
        core::v1::{Container, PodSpec, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use trackbed_api::{cron::Cron, labels::role};

use super::{pod, subject::Subject, volume};

/// Name of the container.
pub const CONTAINER: &str = "cron";
/// Runs that are kept, of each kind of end.
const HISTORY: i32 = 3;
/// How late a run may begin, in seconds, when the cluster's controllers were away. Older ones are
/// left out instead of being made up for all at once.
const LATE: i64 = 300;

/// The CronJob. None for an application that runs all the time.
pub fn desired(subject: &Subject<'_>) -> Option<CronJob> {
    let service = subject.service?;
    let cron = service.spec.cron.as_ref()?;
    Some(CronJob {
        metadata: subject.metadata(),
        spec: Some(CronJobSpec {
            schedule: cron.schedule.to_string(),
            time_zone: Some(cron.time_zone.to_string()),
            concurrency_policy: Some(cron.concurrency_policy.as_str().to_owned()),
            suspend: Some(service.spec.suspend),
            starting_deadline_seconds: Some(LATE),
            successful_jobs_history_limit: Some(HISTORY),
            failed_jobs_history_limit: Some(HISTORY),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(subject.labels(role::CRON)),
                    ..ObjectMeta::default()
                }),
                spec: Some(job(subject, cron)),
            },
        }),
        status: None,
    })
}

fn job(subject: &Subject<'_>, cron: &Cron) -> JobSpec {
    JobSpec {
        backoff_limit: Some(cron.retries),
        active_deadline_seconds: i64::try_from(cron.timeout.seconds()).ok(),
        template: PodTemplateSpec {
            metadata: Some(ObjectMeta {
                labels: Some(subject.labels(role::CRON)),
                ..ObjectMeta::default()
            }),
            spec: Some(PodSpec {
                containers: vec![Container {
                    name: CONTAINER.to_owned(),
                    ..pod::container(subject)
                }],
                volumes: volume::of_pod(subject),
                restart_policy: Some("Never".to_owned()),
                ..pod::surroundings(subject)
            }),
        },
        ..JobSpec::default()
    }
}
