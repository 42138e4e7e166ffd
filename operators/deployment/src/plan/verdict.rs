//! How a release's pods are: what the workload and the pods say, in terms of Trackbed's reasons.

use jiff::SignedDuration;
use k8s_openapi::api::{
    apps::v1 as appsv1,
    core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod},
};
use kube::ResourceExt;
use trackbed_api::{labels, reason::Reason, run::RunSpec};
use trackbed_kit::meta;

use super::text::quote;

/// Name of the application's container.
pub const CONTAINER: &str = "app";
/// A crash that comes back after so many restarts is not a bad start any more.
const RESTARTS: i32 = 3;

/// What is wrong with a release's pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which of the closed set.
    pub reason: Reason,
    /// A sentence that says what to do.
    pub message: String,
    /// Exit code of the application.
    pub exit_code: Option<i32>,
    /// No point in waiting for the rollout's timeout.
    pub fatal: bool,
    /// Where the application's last words are.
    pub log: Option<LogOf>,
    /// kubelet says that something is missing which the configuration refers to, or is wrong.
    pub config: bool,
}

impl Trouble {
    /// The application runs and has not answered yet, as every application starts.
    pub fn is_silence(&self) -> bool {
        self.reason == Reason::NotListening && self.exit_code.is_none()
    }
}

/// A container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogOf {
    /// Name of the pod.
    pub pod: String,
    /// Name of the container.
    pub container: &'static str,
    /// That of the container's last run, not of the present one.
    pub previous: bool,
}

/// How the workload is, as far as it runs one release.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Verdict {
    /// All pods that there should be are available, and no others are left.
    pub available: bool,
    /// Pods of the release that are ready.
    pub ready: usize,
    /// What is wrong with one that is not.
    pub trouble: Option<Trouble>,
}

/// The release that a workload's pods are made from.
pub fn release_of(workload: &appsv1::Deployment) -> Option<&str> {
    let template = &workload.spec.as_ref()?.template;
    let labels = template.metadata.as_ref()?.labels.as_ref()?;
    labels.get(labels::RELEASE).map(String::as_str)
}

/// Whether a workload's pods are all there, available, and of its newest template. `replicas` is
/// how many there should be: what the workload says may be of before.
pub fn available(workload: &appsv1::Deployment, replicas: i32) -> bool {
    let Some(status) = &workload.status else {
        return false;
    };
    let wanted = workload.spec.as_ref().and_then(|spec| spec.replicas);
    status.observed_generation >= workload.metadata.generation
        && wanted == Some(replicas)
        && status.updated_replicas.unwrap_or(0) == replicas
        && status.replicas.unwrap_or(0) == replicas
        && status.available_replicas.unwrap_or(0) == replicas
}

/// Looks at one release's pods, and at the workload if it runs that release.
pub fn verdict<'a>(
    release: &str,
    run: &RunSpec,
    replicas: i32,
    workload: Option<&appsv1::Deployment>,
    pods: impl IntoIterator<Item = &'a Pod>,
) -> Verdict {
    let workload = workload.filter(|workload| release_of(workload) == Some(release));
    let pods: Vec<&Pod> = pods
        .into_iter()
        .filter(|pod| meta::label(*pod, labels::RELEASE) == Some(release) && alive(pod))
        .collect();
    let of_pods = pods
        .iter()
        .filter(|pod| !ready(pod))
        .filter_map(|pod| of_pod(pod, run));
    Verdict {
        available: workload.is_some_and(|workload| available(workload, replicas)),
        ready: pods.iter().filter(|pod| ready(pod)).count(),
        trouble: of_pods
            .chain(workload.and_then(refused))
            // Of equals the first, so that the message does not wander among the pods.
            .min_by_key(|trouble| (!trouble.fatal, rank(trouble))),
    }
}

/// Worst first: what the application does, then what the cluster lacks, then mere silence.
fn rank(trouble: &Trouble) -> u8 {
    match trouble.reason {
        Reason::AppOutOfMemory => 0,
        Reason::CrashLoop => 1,
        Reason::ContainerConfigError => 2,
        Reason::QuotaExceeded => 3,
        Reason::ImagePullFailed => 4,
        Reason::Unschedulable => 5,
        _ => 6,
    }
}

fn alive(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    // An evicted pod stays as a corpse, and its ReplicaSet makes another.
    !meta::is_deleted(pod) && !matches!(phase, Some("Failed" | "Succeeded"))
}

fn ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a k8s_openapi::api::core::v1::PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

fn of_pod(pod: &Pod, run: &RunSpec) -> Option<Trouble> {
    match container(pod, CONTAINER) {
        Some(container) => of_container(pod, container, run),
        None => unscheduled(pod),
    }
}

/// What kubelet says of a container.
pub fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let all = pod.status.as_ref()?.container_statuses.as_ref()?;
    all.iter().find(|status| status.name == name)
}

/// What keeps a pod off all nodes.
pub fn unscheduled(pod: &Pod) -> Option<Trouble> {
    let condition = condition(pod, "PodScheduled")
        .filter(|condition| condition.reason.as_deref() == Some("Unschedulable"))?;
    let message = condition.message.as_deref().unwrap_or_default();
    let said = message.split(" preemption:").next().unwrap_or_default();
    Some(Trouble::new(
        Reason::Unschedulable,
        format!(
            "no node has room for the pod ({}): lower run.resources.requests, or add nodes",
            quote(said).trim_end_matches('.')
        ),
    ))
}

fn of_container(pod: &Pod, container: &ContainerStatus, run: &RunSpec) -> Option<Trouble> {
    let empty = ContainerState::default();
    let state = container.state.as_ref().unwrap_or(&empty);
    if let Some(trouble) = waits(container) {
        return Some(trouble);
    }
    let last = container.last_state.as_ref();
    let ended = state
        .terminated
        .as_ref()
        .or_else(|| last.and_then(|last| last.terminated.as_ref()));
    match ended {
        Some(ended) => Some(crashed(pod, container, ended, run)),
        None if state.running.is_some() && !run.worker => Some(silent(pod, false, run)),
        None => None,
    }
}

/// What keeps a container from its start.
pub fn waits(container: &ContainerStatus) -> Option<Trouble> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let said = waiting.message.as_deref().unwrap_or_default();
    match waiting.reason.as_deref().unwrap_or_default() {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "ErrImageNeverPull"
        | "SignatureValidationFailed" => Some(not_pulled(&container.image, said)),
        "CreateContainerConfigError" | "CreateContainerError" => Some(misconfigured(said)),
        _ => None,
    }
}

fn not_pulled(image: &str, said: &str) -> Trouble {
    // The back-off repeats the error of the last try; without it, both say the same.
    let said = said
        .rsplit_once("ErrImagePull: ")
        .map_or(said, |(_, said)| said);
    let said = match quote(said) {
        said if said.is_empty() => String::new(),
        said => format!(": {said}"),
    };
    let image = quote(image);
    Trouble::new(
        Reason::ImagePullFailed,
        format!("the image {image} cannot be pulled{said}"),
    )
}

fn misconfigured(said: &str) -> Trouble {
    Trouble {
        config: true,
        ..Trouble::new(
            Reason::ContainerConfigError,
            format!(
                "the container cannot be made ({}): check run.command and run.env",
                quote(said)
            ),
        )
    }
}

fn crashed(
    pod: &Pod,
    container: &ContainerStatus,
    ended: &ContainerStateTerminated,
    run: &RunSpec,
) -> Trouble {
    let runs = container
        .state
        .as_ref()
        .is_some_and(|state| state.running.is_some());
    let ended_now = container
        .state
        .as_ref()
        .is_some_and(|state| state.terminated.is_some());
    // A run that is under way deserves its chance, also the fourth.
    let fatal = container.restart_count >= RESTARTS && !runs;
    let code = ended.exit_code;
    let trouble = match ended.reason.as_deref() {
        Some("OOMKilled") => out_of_memory("application", run),
        Some("StartError" | "ContainerCannotRun") => not_started(ended, "run.command"),
        _ if stopped_by_probe(container, ended, run) => silent(pod, true, run),
        _ => Trouble::new(
            Reason::CrashLoop,
            match code {
                0 => "the application ended by itself (exit code 0), but it has to keep running: start it in the foreground".to_owned(),
                code => format!("the application crashed with exit code {code}: its last lines are in status.logTail"),
            },
        ),
    };
    Trouble {
        fatal,
        exit_code: Some(code),
        log: Some(LogOf {
            pod: pod.name_any(),
            container: CONTAINER,
            previous: !ended_now,
        }),
        ..trouble
    }
}

/// What is wrong with a container that was killed for want of memory.
pub fn out_of_memory(what: &str, run: &RunSpec) -> Trouble {
    Trouble::new(
        Reason::AppOutOfMemory,
        format!(
            "the {what} was killed because it used more memory than its limit of {}: raise run.resources.limits.memory",
            memory_limit(run)
        ),
    )
}

/// What is wrong with a container whose program cannot be run.
pub fn not_started(ended: &ContainerStateTerminated, field: &str) -> Trouble {
    Trouble::new(
        Reason::ContainerConfigError,
        format!(
            "the container cannot be started ({}): check {field} and that the program is in the image",
            quote(ended.message.as_deref().unwrap_or_default())
        ),
    )
}

/// Whether kubelet ended a run because the startup probe had no good answer in its time: the run
/// took all of that time and ended as runs do that are told to.
fn stopped_by_probe(
    container: &ContainerStatus,
    ended: &ContainerStateTerminated,
    run: &RunSpec,
) -> bool {
    let (Some(started), Some(finished)) = (&ended.started_at, &ended.finished_at) else {
        return false;
    };
    let budget = i64::try_from(run.healthcheck.timeout.seconds()).unwrap_or(i64::MAX);
    container.started != Some(true)
        && matches!(ended.exit_code, 0 | 137 | 143)
        && finished.0.duration_since(started.0) >= SignedDuration::from_secs(budget)
}

fn silent(pod: &Pod, previous: bool, run: &RunSpec) -> Trouble {
    let port = run.port;
    let message = match &run.healthcheck.path {
        Some(path) => format!(
            "the application runs, but GET {path} on port {port} is not answered with a status from 200 to 399: check run.healthcheck.path, and listen on 0.0.0.0:$PORT or set run.port"
        ),
        None => format!(
            "the application runs, but nothing answers on port {port}: listen on 0.0.0.0:$PORT, or set run.port to the port that it listens on"
        ),
    };
    Trouble {
        log: Some(LogOf {
            pod: pod.name_any(),
            container: CONTAINER,
            previous,
        }),
        ..Trouble::new(Reason::NotListening, message)
    }
}

fn memory_limit(run: &RunSpec) -> String {
    let resources = run
        .resources
        .with_defaults(trackbed_api::common::APP_RESOURCES);
    let limit = resources
        .limits
        .and_then(|limits| limits.get("memory").cloned());
    limit.map_or_else(String::new, |limit| limit.0)
}

/// The API server refuses the workload's pods.
fn refused(workload: &appsv1::Deployment) -> Option<Trouble> {
    let status = workload.status.as_ref()?;
    let condition = status
        .conditions
        .as_ref()?
        .iter()
        .find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
    let said = condition.message.as_deref().unwrap_or_default();
    // In front of it stands the pod's name, another one at each try.
    let (reason, message) = match said.split_once(" is forbidden: ") {
        Some((_, why)) => (
            Reason::QuotaExceeded,
            format!(
                "a quota or policy of the namespace refuses the pods ({}): lower run.resources or scale.replicas, or raise the Project's quota",
                quote(why)
            ),
        ),
        None => match said.split_once(" is invalid: ") {
            Some((_, why)) => (
                Reason::Rejected,
                format!("the API server refuses the pods ({})", quote(why)),
            ),
            None => (
                Reason::Transient,
                format!("the pods cannot be created at the moment ({})", quote(said)),
            ),
        },
    };
    Some(Trouble::new(reason, message))
}

impl Trouble {
    /// One that may pass, and has no log.
    pub fn new(reason: Reason, message: String) -> Self {
        Self {
            reason,
            message,
            exit_code: None,
            fatal: false,
            log: None,
            config: false,
        }
    }
}
