//! The address outside the cluster by the Gateway API.

use kube::ResourceExt;
use trackbed_api::{expose::Routing, names};
use trackbed_kit::{
    gateway::{
        BackendReference, HttpFilter, HttpMatch, HttpRoute, HttpRouteSpec, HttpRule,
        ParentReference,
    },
    hosts::{self, Certified},
};

use super::{environment::PORT, ingress, subject::Subject};

/// A route for each host, at the one listener that is meant for it, and the way there from http
/// where it is reached by https. None, if the Service is routed by an Ingress.
///
/// A route takes 16 hosts at most, and at several listeners implementations differ in which host
/// they serve where.
pub fn desired(subject: &Subject<'_>) -> Vec<HttpRoute> {
    let (project, config) = (subject.project, subject.config);
    if hosts::routing(project, config) != Routing::Gateway {
        return Vec::new();
    }
    let http = || platforms(subject, &config.gateway.http_listener);
    let mut routes = Vec::new();
    for host in ingress::hosts(subject) {
        let name = names::route(subject.name(), &host);
        if !hosts::is_https(&host, project, config) {
            routes.push(route(subject, name, http(), host, pass(subject)));
            continue;
        }
        let listener = match hosts::certified(&host, project, config) {
            Certified::By(_) => {
                let own = names::listener(&host);
                ParentReference::new(None, subject.name().to_owned(), Some(own))
            }
            Certified::ByPlatform | Certified::Not => {
                platforms(subject, &config.gateway.https_listener)
            }
        };
        let redirect = format!("{name}.redirect");
        routes.push(route(subject, name, listener, host.clone(), pass(subject)));
        routes.push(route(subject, redirect, http(), host, to_https()));
    }
    routes
}

fn route(
    subject: &Subject<'_>,
    name: String,
    listener: ParentReference,
    host: String,
    rule: HttpRule,
) -> HttpRoute {
    let spec = HttpRouteSpec {
        parent_refs: vec![listener],
        hostnames: vec![host],
        rules: vec![rule],
    };
    let mut route = HttpRoute::new(&name, spec);
    route.metadata = subject.metadata();
    route.metadata.name = Some(name);
    route
}

fn pass(subject: &Subject<'_>) -> HttpRule {
    HttpRule {
        matches: vec![HttpMatch::default()],
        backend_refs: vec![BackendReference {
            name: subject.name().to_owned(),
            port: PORT,
        }],
        ..HttpRule::default()
    }
}

fn to_https() -> HttpRule {
    HttpRule {
        matches: vec![HttpMatch::default()],
        filters: vec![HttpFilter::to_https()],
        ..HttpRule::default()
    }
}

fn platforms(subject: &Subject<'_>, listener: &str) -> ParentReference {
    let gateway = &subject.config.gateway;
    ParentReference::new(
        Some(gateway.namespace.clone()),
        gateway.name.clone(),
        Some(listener.to_owned()),
    )
}

/// The live routes of a Service that nobody wants any more.
pub fn old<'a>(
    wanted: &[HttpRoute],
    live: impl Iterator<Item = &'a HttpRoute>,
) -> Vec<&'a HttpRoute> {
    let is_wanted = |name: &str| wanted.iter().any(|it| it.name_any() == name);
    live.filter(|live| !is_wanted(&live.name_any())).collect()
}
