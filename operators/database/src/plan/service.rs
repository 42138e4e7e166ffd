//! The server's names inside the cluster.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use trackbed_api::names;

use super::Place;
use crate::cloudnative_pg::ROLE;

/// The address that applications use: that of the server which takes writes.
pub fn desired(place: &Place<'_>) -> Service {
    let mut service = service(place, &place.name, None);
    if let Some(spec) = &mut service.spec
        && place.object.spec.is_replicated()
    {
        let primary = (ROLE.to_owned(), "primary".to_owned());
        spec.selector.get_or_insert_default().extend([primary]);
    }
    service
}

/// Gives the pod a name of its own, as a StatefulSet wants it.
pub fn headless(place: &Place<'_>) -> Service {
    let mut service = service(place, &names::headless(&place.name), Some("None"));
    if let Some(spec) = &mut service.spec
        && place.object.spec.has_sentinels()
    {
        // Servers find each other before any of them is ready.
        spec.publish_not_ready_addresses = Some(true);
    }
    service
}

fn service(place: &Place<'_>, name: &str, address: Option<&str>) -> Service {
    let port = place.object.spec.engine.port();
    Service {
        metadata: place.owned(name),
        spec: Some(ServiceSpec {
            cluster_ip: address.map(str::to_owned),
            selector: Some(place.selector()),
            ports: Some(vec![ServicePort {
                name: Some(place.object.spec.engine.as_str().to_lowercase()),
                port,
                target_port: Some(IntOrString::Int(port)),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
