//! A number of pods that follows the load.
//!
//! The autoscaler changes `spec.scale.replicas` of the Service, by its scale subresource, as people
//! do with `kubectl scale`. So there is one number, and nobody fights over it.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
    ResourceMetricSource,
};
use kube::Resource;
use trackbed_api::{
    Service,
    scale::{Scale, ScaleRule},
};

use super::subject::Subject;

/// Targets where a Service names none, in percent of the requests.
const TARGETS: (i32, i32) = (70, 80);
/// Scaling up and down where a Service does not say how: window and period in seconds, percent.
const UP: (i32, i32, i32) = (60, 15, 100);
const DOWN: (i32, i32, i32) = (300, 60, 50);

/// The autoscaler. None for a fixed number of pods, and while none are wanted.
pub fn desired(subject: &Subject<'_>) -> Option<HorizontalPodAutoscaler> {
    let service = subject.service?;
    let scale = &service.spec.scale;
    let max = scale.max?;
    if service.spec.suspend || service.spec.cron.is_some() {
        return None;
    }
    let behavior = scale.behavior.clone().unwrap_or_default();
    Some(HorizontalPodAutoscaler {
        metadata: subject.metadata(),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some(Service::api_version(&()).into_owned()),
                kind: Service::kind(&()).into_owned(),
                name: subject.name().to_owned(),
            },
            min_replicas: Some(scale.min()),
            max_replicas: max,
            metrics: Some(metrics(scale)),
            behavior: Some(HorizontalPodAutoscalerBehavior {
                scale_up: Some(rules(behavior.scale_up.as_ref(), UP)),
                scale_down: Some(rules(behavior.scale_down.as_ref(), DOWN)),
            }),
        }),
        status: None,
    })
}

fn metrics(scale: &Scale) -> Vec<MetricSpec> {
    let (cpu, memory) = match (scale.cpu, scale.memory) {
        (None, None) => (Some(TARGETS.0), Some(TARGETS.1)),
        given => given,
    };
    [("cpu", cpu), ("memory", memory)]
        .into_iter()
        .filter_map(|(name, percent)| {
            Some(MetricSpec {
                type_: "Resource".to_owned(),
                resource: Some(ResourceMetricSource {
                    name: name.to_owned(),
                    target: MetricTarget {
                        type_: "Utilization".to_owned(),
                        average_utilization: Some(percent?),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            })
        })
        .collect()
}

fn rules(rule: Option<&ScaleRule>, (window, period, percent): (i32, i32, i32)) -> HPAScalingRules {
    let seconds = |it: u64| i32::try_from(it).unwrap_or(i32::MAX);
    let (window, period, percent) = match rule {
        Some(rule) => (
            seconds(rule.stabilization_window.seconds()),
            seconds(rule.period.seconds()),
            rule.percent,
        ),
        None => (window, period, percent),
    };
    HPAScalingRules {
        stabilization_window_seconds: Some(window),
        select_policy: Some("Max".to_owned()),
        policies: Some(vec![HPAScalingPolicy {
            type_: "Percent".to_owned(),
            value: percent,
            period_seconds: period,
        }]),
        ..HPAScalingRules::default()
    }
}
