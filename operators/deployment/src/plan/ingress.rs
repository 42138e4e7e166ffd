//! The address outside the cluster. Plain `networking.k8s.io/v1`: any controller serves it.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, ServiceBackendPort,
};
use trackbed_api::names;

use super::{environment::PORT, subject::Subject};

/// One rule a host: the generated one, then the user's own. `None` if it is not public, or
/// does not listen.
pub fn desired(subject: &Subject<'_>) -> Option<Ingress> {
    let expose = subject.expose();
    if !expose.public || !subject.listens() {
        return None;
    }
    let mut hosts = vec![generated(subject)];
    for domain in &expose.domains {
        let host = domain.host.to_string();
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Some(Ingress {
        metadata: subject.metadata(),
        spec: Some(IngressSpec {
            ingress_class_name: subject.config.ingress_class.clone(),
            rules: Some(hosts.into_iter().map(|host| rule(subject, host)).collect()),
            default_backend: None,
            tls: None,
        }),
        status: None,
    })
}

fn generated(subject: &Subject<'_>) -> String {
    let project = subject
        .project
        .and_then(|project| project.spec.domain.as_ref());
    let domain = project.map_or(subject.config.base_domain.as_str(), |domain| {
        domain.as_str()
    });
    names::host(
        subject.name(),
        &subject.place.project,
        &subject.place.environment,
        domain,
    )
}

fn rule(subject: &Subject<'_>, host: String) -> IngressRule {
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: subject.name().to_owned(),
            port: Some(ServiceBackendPort {
                number: Some(PORT),
                name: None,
            }),
        }),
        resource: None,
    };
    IngressRule {
        host: Some(host),
        http: Some(HTTPIngressRuleValue {
            paths: vec![HTTPIngressPath {
                path: Some("/".to_owned()),
                path_type: "Prefix".to_owned(),
                backend,
            }],
        }),
    }
}
