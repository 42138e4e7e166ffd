//! What a drain of nodes may take away at once.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::subject::Subject;

/// One pod at a time, where there are several. A single pod gets none: it would block the drain.
pub fn desired(subject: &Subject<'_>) -> Option<PodDisruptionBudget> {
    (subject.replicas() > 1).then(|| PodDisruptionBudget {
        metadata: subject.metadata(),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(subject.label_selector()),
            // A pod that does not work is no reason to keep a node.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            min_available: None,
        }),
        status: None,
    })
}
