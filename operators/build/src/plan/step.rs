//! The steps of a build, and what the pod says of them.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};

/// A step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The source is fetched.
    Fetch,
    /// Kaniko makes the image.
    Build,
    /// What Kaniko wrote is made readable for the next step.
    HandOver,
    /// The image is pushed.
    Push,
}

impl Step {
    /// In the order in which they run.
    pub const ALL: [Step; 4] = [Step::Fetch, Step::Build, Step::HandOver, Step::Push];

    /// Name of its container.
    pub fn container(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Build => "build",
            Self::HandOver => "hand-over",
            Self::Push => "push",
        }
    }

    /// What the pod says of its container.
    pub fn status(self, pod: &Pod) -> Option<&ContainerStatus> {
        let status = pod.status.as_ref()?;
        status
            .init_container_statuses
            .iter()
            .chain(&status.container_statuses)
            .flatten()
            .find(|it| it.name == self.container())
    }

    /// How its container ended, if it did.
    pub fn end(self, pod: &Pod) -> Option<&ContainerStateTerminated> {
        self.status(pod)?.state.as_ref()?.terminated.as_ref()
    }

    /// Whether its container runs.
    pub fn runs(self, pod: &Pod) -> bool {
        let state = self.status(pod).and_then(|it| it.state.as_ref());
        state.is_some_and(|state| state.running.is_some())
    }
}
