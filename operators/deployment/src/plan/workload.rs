//! The workload: one Deployment of Kubernetes' own a Service, which each release is applied onto.

use k8s_openapi::{api::apps::v1 as appsv1, apimachinery::pkg::util::intstr::IntOrString};
use kube::ResourceExt;
use trackbed_api::{DeploymentSpec, labels};
use trackbed_kit::meta;

use super::{order::Order, pod::template, subject::Subject};

/// Annotation that counts the tries of a release. A change of it wakes a ReplicaSet that has
/// backed off, without a new template.
pub const ATTEMPT: &str = "trackbed.dev/attempt";
/// Seconds that a pod has to stay ready before it counts: a crash right after the start is seen.
const MIN_READY: i32 = 3;
/// The same for a worker, which nobody asks how it is.
const MIN_READY_WORKER: i32 = 10;

/// The workload as the release wants it.
pub fn desired(subject: &Subject<'_>, attempts: Option<i32>) -> appsv1::Deployment {
    let mut metadata = subject.metadata();
    meta::insert(&mut metadata.labels, labels::ROLE, labels::role::APP);
    meta::insert(
        &mut metadata.labels,
        labels::RELEASE,
        subject.object.name_any(),
    );
    meta::insert(
        &mut metadata.annotations,
        labels::ORDER,
        order(&subject.object.spec),
    );
    if let Some(attempts) = attempts {
        meta::insert(&mut metadata.annotations, ATTEMPT, attempts.to_string());
    }
    let timeout = subject.rollout().timeout.seconds();
    appsv1::Deployment {
        metadata,
        spec: Some(appsv1::DeploymentSpec {
            replicas: Some(subject.replicas()),
            selector: subject.label_selector(),
            template: template(subject),
            strategy: Some(strategy(subject)),
            min_ready_seconds: Some(match subject.object.spec.run.worker {
                true => MIN_READY_WORKER,
                false => MIN_READY,
            }),
            progress_deadline_seconds: Some(i32::try_from(timeout).unwrap_or(i32::MAX)),
            revision_history_limit: Some(2),
            paused: None,
        }),
        status: None,
    }
}

fn strategy(subject: &Subject<'_>) -> appsv1::DeploymentStrategy {
    if !subject.object.spec.run.volumes.is_empty() {
        // Two pods may not have the same volume, or not at the same time.
        return appsv1::DeploymentStrategy {
            type_: Some("Recreate".to_owned()),
            rolling_update: None,
        };
    }
    appsv1::DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(appsv1::RollingUpdateDeployment {
            // A release that does not come up takes nothing away.
            max_unavailable: Some(IntOrString::Int(0)),
            // Rounded up, so at least one.
            max_surge: Some(IntOrString::String("25%".to_owned())),
        }),
    }
}

/// An order as it stands in the annotation.
pub fn order(spec: &DeploymentSpec) -> String {
    format!("{}.{}", spec.sequence, spec.revision)
}

/// The order that a workload's annotation names.
pub fn order_of(workload: &appsv1::Deployment) -> Option<Order> {
    let (sequence, revision) = meta::annotation(workload, labels::ORDER)?.split_once('.')?;
    Some((sequence.parse().ok()?, revision.parse().ok()?))
}
