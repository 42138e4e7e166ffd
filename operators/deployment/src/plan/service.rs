//! The address inside the cluster: port 80 of the Service's name.

use k8s_openapi::{api::core::v1 as corev1, apimachinery::pkg::util::intstr::IntOrString};

use super::{environment::PORT, pod::PORT_NAME, subject::Subject};

/// The Service that is called like Trackbed's. Its target is the port's name, so that during a
/// rollout pods of two releases with different ports are both reached. None for what does not
/// listen.
pub fn desired(subject: &Subject<'_>) -> Option<corev1::Service> {
    let protocol = subject.object.spec.run.app_protocol;
    subject.listens().then(|| corev1::Service {
        metadata: subject.metadata(),
        spec: Some(corev1::ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(subject.selector()),
            ports: Some(vec![corev1::ServicePort {
                name: Some(PORT_NAME.to_owned()),
                port: PORT,
                target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
                protocol: Some("TCP".to_owned()),
                app_protocol: protocol.map(|it| it.as_str().to_owned()),
                ..corev1::ServicePort::default()
            }]),
            ..corev1::ServiceSpec::default()
        }),
        status: None,
    })
}
