//! Where clients reach the application without HTTP.

use k8s_openapi::api::core::v1::Service;
use trackbed_api::{
    expose::{TcpKind, TcpStatus},
    reason::Reason,
};
use trackbed_kit::Health;

use super::View;

/// The address, as far as the cluster has given one.
pub fn status(view: &View<'_>) -> Option<TcpStatus> {
    let wanted = view.object.spec.expose.tcp.as_ref()?;
    let live = view.seen.tcp.as_deref()?;
    let spec = live.spec.as_ref()?;
    // One that is about to become the other kind says nothing of it.
    if spec.type_.as_deref() != Some(wanted.kind.as_str()) {
        return None;
    }
    let port = spec.ports.as_ref()?.first()?;
    let hosts = hosts(live);
    match wanted.kind {
        TcpKind::LoadBalancer => (!hosts.is_empty()).then_some(TcpStatus {
            hosts,
            port: port.port,
        }),
        TcpKind::NodePort => Some(TcpStatus {
            hosts: Vec::new(),
            port: port.node_port?,
        }),
    }
}

/// Names and addresses of the load balancer.
fn hosts(live: &Service) -> Vec<String> {
    let status = live.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let points = balancer.and_then(|it| it.ingress.as_ref());
    let points = points.into_iter().flatten();
    points
        .filter_map(|point| point.hostname.clone().or_else(|| point.ip.clone()))
        .collect()
}

/// Health of a Service that is healthy otherwise: it is not what was asked for while it has no
/// address.
pub fn health(view: &View<'_>, health: Health) -> Health {
    let asked = view.object.spec.expose.tcp.is_some() && !view.object.spec.suspend;
    match health {
        Health::Ready(serving) if asked && view.status.tcp.is_none() => Health::Waiting(
            Reason::AddressPending,
            format!(
                "the cluster has not given it an address for expose.tcp: it needs load balancers, or set expose.tcp.type: NodePort; {serving}"
            ),
        ),
        health => health,
    }
}
