//! The address outside the cluster for clients that do not speak HTTP.

use k8s_openapi::{
    api::{
        core::v1 as corev1,
        networking::v1::{
            NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec,
        },
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use trackbed_api::{expose::Tcp, names, project::Isolation};

use super::{pod::PORT_NAME, subject::Subject};

/// What is to be reached, if anything is.
fn wanted(subject: &Subject<'_>) -> Option<Tcp> {
    subject.expose().tcp.filter(|_| subject.listens())
}

fn metadata(subject: &Subject<'_>) -> ObjectMeta {
    ObjectMeta {
        name: Some(names::tcp(subject.name())),
        ..subject.metadata()
    }
}

/// The Service of Kubernetes' own that has the address.
pub fn service(subject: &Subject<'_>) -> Option<corev1::Service> {
    let tcp = wanted(subject)?;
    let port = tcp.port.unwrap_or(subject.object.spec.run.port);
    Some(corev1::Service {
        metadata: metadata(subject),
        spec: Some(corev1::ServiceSpec {
            type_: Some(tcp.kind.as_str().to_owned()),
            selector: Some(subject.selector()),
            ports: Some(vec![corev1::ServicePort {
                name: Some("tcp".to_owned()),
                port,
                target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..corev1::ServicePort::default()
            }]),
            ..corev1::ServiceSpec::default()
        }),
        status: None,
    })
}

/// Lets everybody in, at that port: behind a load balancer a client may have any address, that of a
/// node too. Nothing where nobody is kept out, since a policy would begin to.
pub fn policy(subject: &Subject<'_>) -> Option<NetworkPolicy> {
    wanted(subject)?;
    let strict = subject
        .project
        .is_some_and(|project| project.spec.isolation == Isolation::Strict);
    strict.then(|| NetworkPolicy {
        metadata: metadata(subject),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(subject.label_selector()),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule {
                from: None,
                ports: Some(vec![NetworkPolicyPort {
                    port: Some(IntOrString::String(PORT_NAME.to_owned())),
                    protocol: Some("TCP".to_owned()),
                    end_port: None,
                }]),
            }]),
            egress: None,
        }),
    })
}
