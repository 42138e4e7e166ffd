//! Who may connect: the applications of the same namespace, and to the metrics those who read them.

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};

use std::collections::BTreeMap;

use trackbed_api::backup::Bucket;

use super::{Place, archive, sentinels, server::METRICS};
use crate::cloudnative_pg::STATUS;

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
    let mut ingress = vec![
        to(place.object.spec.engine.port(), vec![own.clone()]),
        to(METRICS, readers(place)),
    ];
    if place.object.spec.has_sentinels() {
        let servers = NetworkPolicyPeer {
            pod_selector: Some(LabelSelector {
                match_labels: Some(place.selector()),
                match_expressions: None,
            }),
            ..NetworkPolicyPeer::default()
        };
        let between = sentinels::PORTS.map(|it| port(it, "TCP"));
        ingress.push(NetworkPolicyIngressRule {
            from: Some(vec![servers]),
            ports: Some(between.into()),
        });
    }
    let mut policy_types = vec!["Ingress".to_owned()];
    let mut egress = None;
    if place.object.spec.is_replicated() {
        let operator = namespace(&place.config.cloudnative_pg_namespace);
        ingress.push(to(STATUS, vec![operator, own.clone()]));
        policy_types.push("Egress".to_owned());
        egress = Some(several(place, &own));
    }
    NetworkPolicy {
        metadata: place.owned(&name(&place.name)),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(place.selector()),
                match_expressions: None,
            }),
            policy_types: Some(policy_types),
            ingress: Some(ingress),
            egress,
        }),
    }
}

/// What servers that take over from each other need: CloudNativePG asks them how they are, they ask
/// the API server who is to do what, each other for the data, and the bucket of an archive.
fn several(place: &Place<'_>, own: &NetworkPolicyPeer) -> Vec<NetworkPolicyEgressRule> {
    let config = place.config;
    let rule = |to: Option<Vec<NetworkPolicyPeer>>, ports: Vec<NetworkPolicyPort>| {
        NetworkPolicyEgressRule {
            to,
            ports: (!ports.is_empty()).then_some(ports),
        }
    };
    let api = config.api_ports.iter().map(|it| port(*it, "TCP")).collect();
    let mut rules = vec![
        rule(Some(vec![own.clone()]), Vec::new()),
        // Where it is nobody can say beforehand: behind its Service's address is that of a machine.
        rule(None, api),
        rule(None, vec![port(53, "UDP"), port(53, "TCP")]),
    ];
    let mut buckets: Vec<_> = archive::buckets(&place.object.spec)
        .map(Bucket::port)
        .collect();
    buckets.dedup();
    if !buckets.is_empty() {
        let ports = buckets.into_iter().map(|it| port(it, "TCP")).collect();
        rules.push(rule(None, ports));
    }
    rules
}

fn to(port: i32, from: Vec<NetworkPolicyPeer>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: Some(from),
        ports: Some(vec![self::port(port, "TCP")]),
    }
}

fn port(number: i32, protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::Int(number)),
        protocol: Some(protocol.to_owned()),
        end_port: None,
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
    namespaces.map(namespace).collect()
}

/// The pods of the namespace that has these labels.
fn namespace(labels: &BTreeMap<String, String>) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(labels.clone()),
            match_expressions: None,
        }),
        ..NetworkPolicyPeer::default()
    }
}
