//! What an environment may use, and what a container gets that asks for nothing.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{LimitRange, LimitRangeItem, LimitRangeSpec, ResourceQuota, ResourceQuotaSpec},
    apimachinery::pkg::api::resource::Quantity,
};
use trackbed_api::common::APP_RESOURCES;

use super::Place;

const NAME: &str = "trackbed";

/// The quota, if the Project has one.
pub fn quota(place: &Place<'_>) -> Option<ResourceQuota> {
    let spec = &place.project.spec;
    let previews = spec
        .previews
        .as_ref()
        .filter(|_| place.preview_of.is_some());
    let own = previews.and_then(|it| it.quota.as_ref());
    let quota = own.or(spec.quota.as_ref())?;
    let hard: BTreeMap<String, Quantity> = [
        ("requests.cpu", &quota.cpu),
        ("requests.memory", &quota.memory),
        ("requests.storage", &quota.storage),
    ]
    .into_iter()
    .filter_map(|(name, amount)| Some((name.to_owned(), amount.as_ref()?.to_k8s())))
    .collect();
    (!hard.is_empty()).then(|| ResourceQuota {
        metadata: place.metadata(NAME),
        spec: Some(ResourceQuotaSpec {
            hard: Some(hard),
            ..ResourceQuotaSpec::default()
        }),
        status: None,
    })
}

/// Defaults for containers: with them a quota never refuses a pod for saying nothing.
pub fn defaults(place: &Place<'_>) -> LimitRange {
    let [cpu_request, memory_request, cpu_limit, memory_limit] = APP_RESOURCES;
    let amounts = |cpu: &str, memory: &str| {
        Some(BTreeMap::from([
            ("cpu".to_owned(), Quantity(cpu.to_owned())),
            ("memory".to_owned(), Quantity(memory.to_owned())),
        ]))
    };
    LimitRange {
        metadata: place.metadata(NAME),
        spec: Some(LimitRangeSpec {
            limits: vec![LimitRangeItem {
                type_: "Container".to_owned(),
                default: amounts(cpu_limit, memory_limit),
                default_request: amounts(cpu_request, memory_request),
                ..LimitRangeItem::default()
            }],
        }),
    }
}
