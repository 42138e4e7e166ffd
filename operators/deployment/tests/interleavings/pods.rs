//! Pods that do what their release is like.

use k8s_openapi::api::{
    batch::v1::{JobCondition, JobStatus},
    core::v1::{
        ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
        ContainerStatus, Pod, PodStatus,
    },
};
use trackbed_api::labels;
use trackbed_deployment::plan::verdict::CONTAINER;
use trackbed_kit::meta;

/// What becomes of a release's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// They come up.
    Good,
    /// They crash.
    Crashes,
    /// They start and never answer.
    Silent,
    /// Their image can be pulled once the release was tried again so often.
    PulledAtTry(i32),
}

impl Nature {
    /// Whether they come up sooner or later.
    pub(crate) fn comes_up(self) -> bool {
        matches!(self, Self::Good | Self::PulledAtTry(_))
    }
}

/// What the command of a release ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    Failure,
}

impl Exit {
    pub(crate) fn of_job(self) -> JobStatus {
        let kind = match self {
            Self::Success => "Complete",
            Self::Failure => "Failed",
        };
        JobStatus {
            conditions: Some(vec![JobCondition {
                type_: kind.to_owned(),
                status: "True".to_owned(),
                ..JobCondition::default()
            }]),
            ..JobStatus::default()
        }
    }
}

/// A pod of a release whose pods are not up, if there is anything to be seen of it.
pub(crate) fn failing(release: &str, nature: Nature) -> Option<Pod> {
    let (state, restart_count) = match nature {
        Nature::Good => return None,
        Nature::Crashes => (waits("CrashLoopBackOff"), 3),
        Nature::PulledAtTry(_) => (waits("ImagePullBackOff"), 0),
        Nature::Silent => (runs(), 0),
    };
    let crash = ContainerStateTerminated {
        exit_code: 1,
        ..ContainerStateTerminated::default()
    };
    let last = ContainerState {
        terminated: (restart_count > 0).then_some(crash),
        ..ContainerState::default()
    };
    let mut pod = Pod::default();
    pod.metadata.name = Some("web-0".to_owned());
    meta::insert(&mut pod.metadata.labels, labels::RELEASE, release);
    pod.status = Some(PodStatus {
        phase: Some("Running".to_owned()),
        container_statuses: Some(vec![ContainerStatus {
            name: CONTAINER.to_owned(),
            state: Some(state),
            last_state: Some(last),
            restart_count,
            ..ContainerStatus::default()
        }]),
        ..PodStatus::default()
    });
    Some(pod)
}

fn runs() -> ContainerState {
    ContainerState {
        running: Some(ContainerStateRunning::default()),
        ..ContainerState::default()
    }
}

fn waits(reason: &str) -> ContainerState {
    ContainerState {
        waiting: Some(ContainerStateWaiting {
            reason: Some(reason.to_owned()),
            message: None,
        }),
        ..ContainerState::default()
    }
}
