//! The command that runs before a release: a Job with the release's image and environment.
//!
//! The Job is the record of the run: it is called like the release, and is there until the release
//! is removed. So a restart at any point finds it, and the command runs once.

use k8s_openapi::{
    api::{
        batch::v1::{
            Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnPodConditionsPattern,
            PodFailurePolicyRule,
        },
        core::v1::{Container, ContainerStateTerminated, Pod, PodSpec, PodTemplateSpec},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Resource, ResourceExt};
use trackbed_api::{
    Deployment,
    labels::{self, role},
    reason::Reason,
    run::PreDeploy,
};
use trackbed_kit::{job, meta};

use super::{
    bindings,
    environment::literal,
    pod,
    subject::Subject,
    verdict::{self, LogOf, Trouble},
    volume,
    workload::ATTEMPT,
};

/// Name of the command's container, and of the step in failures.
pub const STEP: &str = "pre-deploy";
/// How much later than the kubelet the Job's controller ends a command, in seconds.
const GRACE: i64 = 60;
/// Reason of Jobs and pods whose time was up.
const DEADLINE: &str = "DeadlineExceeded";

/// How the command of a release stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// There is none, or it succeeded.
    Done,
    /// It was not started.
    Due,
    /// It runs, or is about to; with what keeps it from that.
    Runs(Option<Trouble>),
    /// It failed.
    Failed(Trouble),
    /// It failed at an earlier try, whose Job makes room for the next.
    Stale,
}

/// Name of a release's Job.
pub fn name(release: &str) -> String {
    format!("{release}-pre")
}

/// The Job of a release's command. `attempts` counts the tries before this one.
pub fn desired(subject: &Subject<'_>, command: &PreDeploy, attempts: Option<i32>) -> Job {
    let release = subject.object.name_any();
    let mut metadata = meta::retained(&subject.namespace, &name(&release));
    metadata.owner_references = subject.object.controller_owner_ref(&()).map(|it| vec![it]);
    metadata.labels = Some(subject.labels(role::PRE_DEPLOY));
    if let Some(attempts) = attempts {
        meta::insert(&mut metadata.annotations, ATTEMPT, attempts.to_string());
    }
    Job {
        metadata,
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            // The kubelet ends a pod and leaves its log; the Job's controller removes it. That one
            // is for pods that never come to a node.
            active_deadline_seconds: Some(timeout(command) + GRACE),
            // A pod that a drain took away is no failure of the command.
            pod_failure_policy: Some(PodFailurePolicy {
                rules: vec![PodFailurePolicyRule {
                    action: "Ignore".to_owned(),
                    on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                        type_: "DisruptionTarget".to_owned(),
                        status: "True".to_owned(),
                    }]),
                    on_exit_codes: None,
                }],
            }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(subject.labels(role::PRE_DEPLOY)),
                    ..ObjectMeta::default()
                }),
                spec: Some(PodSpec {
                    containers: vec![container(subject, command)],
                    volumes: volume::some(bindings::of_pod(&subject.object.spec.run)),
                    restart_policy: Some("Never".to_owned()),
                    active_deadline_seconds: Some(timeout(command)),
                    ..pod::surroundings(subject)
                }),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn timeout(command: &PreDeploy) -> i64 {
    i64::try_from(command.timeout.seconds()).unwrap_or(i64::MAX / 2)
}

/// Seconds after which a command is given up, whatever became of its Job.
pub fn limit(command: &PreDeploy) -> i64 {
    timeout(command) + 2 * GRACE
}

fn container(subject: &Subject<'_>, command: &PreDeploy) -> Container {
    Container {
        name: STEP.to_owned(),
        command: Some(command.command.iter().map(|word| literal(word)).collect()),
        ports: None,
        startup_probe: None,
        readiness_probe: None,
        liveness_probe: None,
        lifecycle: None,
        // Those of its own belong to the pod of the release before, which runs.
        volume_mounts: volume::some(bindings::mounts(&subject.object.spec.run)),
        ..pod::container(subject)
    }
}

/// How the command of `release` stands, by its Job and that one's pods.
pub fn command<'a>(
    release: &Deployment,
    job: Option<&Job>,
    pods: impl IntoIterator<Item = &'a Pod>,
) -> Command {
    let status = release.status.as_ref();
    let Some(command) = &release.spec.run.pre_deploy else {
        return Command::Done;
    };
    // What has served was prepared for, also by a Job that is gone.
    if status.is_some_and(|it| it.pre_deploy_time.is_some() || it.active_since.is_some()) {
        return Command::Done;
    }
    let Some(job) = job else {
        return Command::Due;
    };
    let name = release.name_any();
    let pods = pods
        .into_iter()
        .filter(|pod| meta::label(*pod, labels::RELEASE) == Some(&name));
    match job::ended(job) {
        Some(end) if job::succeeded(end) => Command::Done,
        Some(_) if attempt(job) != status.and_then(|it| it.attempts) => Command::Stale,
        Some(end) => {
            let late = end.reason.as_deref() == Some(DEADLINE);
            Command::Failed(failure(release, command, late, pods))
        }
        None => Command::Runs(pods.filter_map(waits).next()),
    }
}

/// Whether a Job has not ended.
pub fn runs(job: &Job) -> bool {
    job::ended(job).is_none()
}

/// Counts the tries that a Job's belongs to.
pub fn attempt(job: &Job) -> Option<i32> {
    meta::annotation(job, ATTEMPT)?.parse().ok()
}

/// What keeps the pod from running: the same as for the application's.
fn waits(pod: &Pod) -> Option<Trouble> {
    verdict::unscheduled(pod).or_else(|| {
        let status = verdict::container(pod, STEP)?;
        verdict::waits(status)
    })
}

fn failure<'a>(
    release: &Deployment,
    command: &PreDeploy,
    was_late: bool,
    pods: impl Iterator<Item = &'a Pod>,
) -> Trouble {
    let mut last: Option<Trouble> = None;
    for pod in pods {
        let ended =
            verdict::container(pod, STEP).and_then(|it| it.state.as_ref()?.terminated.as_ref());
        let log = Some(LogOf {
            pod: pod.name_any(),
            container: STEP,
            previous: false,
        });
        let reason = pod.status.as_ref().and_then(|it| it.reason.as_deref());
        last = match ended {
            // It was killed: its exit code says nothing.
            Some(_) if reason == Some(DEADLINE) => Some(Trouble {
                log,
                ..late(command)
            }),
            Some(ended) => Some(Trouble {
                exit_code: Some(ended.exit_code),
                log,
                ..crashed(release, ended)
            }),
            None => waits(pod).or(last),
        };
    }
    last.unwrap_or_else(|| match was_late {
        true => late(command),
        false => Trouble::new(
            Reason::PreDeployFailed,
            format!(
                "the pre-deploy command failed, and its pod is gone ('kubectl describe job {}' has its Events)",
                name(&release.name_any())
            ),
        ),
    })
}

/// What is wrong with a command that did not end in its time.
pub fn late(command: &PreDeploy) -> Trouble {
    Trouble::new(
        Reason::PreDeployTimeout,
        format!(
            "the pre-deploy command did not end within {}: raise run.preDeploy.timeout, or see its log",
            command.timeout
        ),
    )
}

fn crashed(release: &Deployment, ended: &ContainerStateTerminated) -> Trouble {
    match ended.reason.as_deref() {
        Some("OOMKilled") => verdict::out_of_memory("pre-deploy command", &release.spec.run),
        Some("StartError" | "ContainerCannotRun") => {
            verdict::not_started(ended, "run.preDeploy.command")
        }
        _ => Trouble::new(
            Reason::PreDeployFailed,
            format!(
                "the pre-deploy command ended with exit code {}: its last lines are in status.logTail",
                ended.exit_code
            ),
        ),
    }
}
