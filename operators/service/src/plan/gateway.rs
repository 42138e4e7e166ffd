//! The Gateway of a Service whose hosts the platform's certificate is not good for.

use trackbed_api::{expose::Routing, labels, names};
use trackbed_kit::{
    Config,
    gateway::{Gateway, GatewaySpec, Listener},
    hosts, meta,
};

use super::{View, hosts::Hosts};

/// A listener for each host whose certificate is there: a Gateway that refers to a Secret which is
/// not there yet may be refused as a whole. `None`: it needs none.
pub fn desired(view: &View<'_>, found: &Hosts, config: &Config) -> Option<Gateway> {
    let project = view.seen.project.as_deref();
    if hosts::routing(project, config) != Routing::Gateway {
        return None;
    }
    let ready = found.have.iter().filter_map(|has| {
        let certificate = has.certificate.as_ref().filter(|it| it.ready)?;
        Some(Listener::https(
            names::listener(&has.host),
            has.host.clone(),
            i32::from(config.gateway.https_port),
            certificate.secret.clone(),
        ))
    });
    let listeners: Vec<_> = ready.collect();
    if listeners.is_empty() {
        return None;
    }
    let name = view.name();
    let mut gateway = Gateway::new(
        &name,
        GatewaySpec {
            gateway_class_name: config.gateway.class_name.clone(),
            listeners,
        },
    );
    gateway.metadata = meta::owned(view.object, &name);
    let labels = &mut gateway.metadata.labels;
    meta::insert(labels, labels::SERVICE, &name);
    meta::insert(labels, labels::PROJECT, &view.place.project);
    Some(gateway)
}
