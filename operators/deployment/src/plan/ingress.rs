//! The address outside the cluster. Plain `networking.k8s.io/v1`: any controller serves it.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};
use trackbed_api::{expose::Routing, names};
use trackbed_kit::hosts::{self, Certified};

use super::{environment::PORT, subject::Subject};

/// One rule a host: the generated one, then the user's own. `None` if it is not public, or
/// does not listen.
pub fn desired(subject: &Subject<'_>) -> Option<Ingress> {
    let hosts = hosts(subject);
    let routing = hosts::routing(subject.project, subject.config);
    if hosts.is_empty() || routing != Routing::Ingress {
        return None;
    }
    let tls: Vec<_> = hosts.iter().filter_map(|host| tls(subject, host)).collect();
    Some(Ingress {
        metadata: subject.metadata(),
        spec: Some(IngressSpec {
            ingress_class_name: subject.config.ingress_class.clone(),
            rules: Some(hosts.into_iter().map(|host| rule(subject, host)).collect()),
            default_backend: None,
            tls: (!tls.is_empty()).then_some(tls),
        }),
        status: None,
    })
}

/// The hosts that the Service has, of those that it asks for. While nobody said which it has, as
/// before the first look of a newer operator, it keeps all.
pub fn hosts(subject: &Subject<'_>) -> Vec<String> {
    if !subject.listens() {
        return Vec::new();
    }
    let (place, project, config) = (subject.place, subject.project, subject.config);
    let generated = hosts::generated(subject.name(), place, project, config);
    let mut asked = hosts::asked(generated, &subject.expose());
    let status = subject.service.and_then(|service| service.status.as_ref());
    if let Some(has) = status.and_then(|status| status.hosts.as_ref()) {
        asked.retain(|host| has.iter().any(|it| it.host == *host));
    }
    asked
}

/// What the host is certified by: a Secret of its own, or the controller's own certificate.
fn tls(subject: &Subject<'_>, host: &str) -> Option<IngressTLS> {
    let (project, config) = (subject.project, subject.config);
    let own = || names::certificate(subject.name(), host);
    let secret_name = match hosts::certified(host, project, config) {
        _ if !hosts::is_https(host, project, config) => return None,
        Certified::By(_) => Some(own()),
        Certified::ByPlatform | Certified::Not => None,
    };
    Some(IngressTLS {
        hosts: Some(vec![host.to_owned()]),
        secret_name,
    })
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
