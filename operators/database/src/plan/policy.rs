//! Who may connect: the applications of the same namespace, and to the metrics those who read them.

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
        NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use std::collections::BTreeMap;

use super::{Place, server::METRICS};

/// Name of the policy.
pub fn name(database: &str) -> String {
    format!("{database}-database")
}

/// The policy. It holds in Projects without isolation too: a database is never for everybody.
pub fn desired(place: &Place<'_>) -> NetworkPolicy {
    let own = NetworkPolicyPeer {
        pod_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    };
    NetworkPolicy {
        metadata: place.owned(&name(&place.name)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(place.selector()),
                match_expressions: None,
            }),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![
                to(place.object.spec.engine.port(), vec![own]),
                to(METRICS, readers(place)),
            ]),
            egress: None,
        }),
    }
}

fn to(port: i32, from: Vec<NetworkPolicyPeer>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: Some(from),
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::Int(port)),
            protocol: Some("TCP".to_owned()),
            end_port: None,
        }]),
    }
}

/// The operator, and Prometheus where it is.
fn readers(place: &Place<'_>) -> Vec<NetworkPolicyPeer> {
    let config = place.config;
    let operator = BTreeMap::from([(
        "kubernetes.io/metadata.name".to_owned(),
        config.operator_namespace.clone(),
    )]);
    let namespaces = [&operator, &config.monitoring_namespace].into_iter();
    let namespaces = namespaces.filter(|labels| !labels.is_empty());
    let peer = |labels: &BTreeMap<String, String>| NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(labels.clone()),
            match_expressions: None,
        }),
        ..NetworkPolicyPeer::default()
    };
    namespaces.map(peer).collect()
}
