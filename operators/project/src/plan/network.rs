//! Who talks to whom. Policies add up, so what one of them lets through is open.

use k8s_openapi::{
    api::networking::v1::{
        IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule,
        NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{
        apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
        util::intstr::IntOrString,
    },
};
use std::collections::BTreeMap;
use trackbed_api::{labels, project::Isolation};

use super::Place;

/// Addresses of the machine's own network, among them the metadata services of clouds, which hand
/// out credentials.
const LINK_LOCAL: &str = "169.254.0.0/16";

/// The policies of an environment, none without isolation.
pub fn desired(place: &Place<'_>) -> Vec<NetworkPolicy> {
    match place.project.spec.isolation {
        Isolation::None => Vec::new(),
        Isolation::Strict => vec![applications(place), builds(place)],
    }
}

/// Applications and databases: their own namespace, the ingress controller, DNS, the internet.
fn applications(place: &Place<'_>) -> NetworkPolicy {
    let namespace = NetworkPolicyPeer {
        pod_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    };
    let mut from = vec![namespace.clone()];
    if !place.config.ingress_namespace.is_empty() {
        from.push(NetworkPolicyPeer {
            namespace_selector: Some(labels_of(place.config.ingress_namespace.clone())),
            ..NetworkPolicyPeer::default()
        });
    }
    let own = NetworkPolicyEgressRule {
        to: Some(vec![namespace]),
        ports: None,
    };
    policy(
        place,
        "trackbed-isolation",
        LabelSelector {
            match_expressions: Some(vec![LabelSelectorRequirement {
                key: labels::ROLE.to_owned(),
                operator: "NotIn".to_owned(),
                values: Some(vec![labels::role::BUILD.to_owned()]),
            }]),
            match_labels: None,
        },
        vec![NetworkPolicyIngressRule {
            from: Some(from),
            ports: None,
        }],
        vec![own, dns(), internet(place)],
    )
}

/// Builds run code of whoever can push: they reach the internet and nothing of the cluster, and
/// nothing reaches them.
fn builds(place: &Place<'_>) -> NetworkPolicy {
    let role = BTreeMap::from([(labels::ROLE.to_owned(), labels::role::BUILD.to_owned())]);
    policy(
        place,
        "trackbed-builds",
        labels_of(role),
        Vec::new(),
        vec![dns(), internet(place)],
    )
}

fn policy(
    place: &Place<'_>,
    name: &str,
    pods: LabelSelector,
    ingress: Vec<NetworkPolicyIngressRule>,
    egress: Vec<NetworkPolicyEgressRule>,
) -> NetworkPolicy {
    NetworkPolicy {
        metadata: place.metadata(name),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: (!ingress.is_empty()).then_some(ingress),
            egress: Some(egress),
        }),
    }
}

fn dns() -> NetworkPolicyEgressRule {
    let port = |protocol: &str| NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(53)),
        end_port: None,
    };
    let system = BTreeMap::from([(
        "kubernetes.io/metadata.name".to_owned(),
        "kube-system".to_owned(),
    )]);
    NetworkPolicyEgressRule {
        to: Some(vec![NetworkPolicyPeer {
            namespace_selector: Some(labels_of(system)),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(vec![port("UDP"), port("TCP")]),
    }
}

/// Everything that is not the cluster.
fn internet(place: &Place<'_>) -> NetworkPolicyEgressRule {
    let (six, four): (Vec<String>, Vec<String>) = place
        .config
        .cluster_cidrs
        .iter()
        .cloned()
        .partition(|range| range.contains(':'));
    let block = |all: &str, mut except: Vec<String>, local: Option<&str>| {
        except.extend(local.map(str::to_owned));
        NetworkPolicyPeer {
            ip_block: Some(IPBlock {
                cidr: all.to_owned(),
                except: (!except.is_empty()).then_some(except),
            }),
            ..NetworkPolicyPeer::default()
        }
    };
    NetworkPolicyEgressRule {
        to: Some(vec![
            block("0.0.0.0/0", four, Some(LINK_LOCAL)),
            block("::/0", six, None),
        ]),
        ports: None,
    }
}

fn labels_of(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels),
        match_expressions: None,
    }
}
