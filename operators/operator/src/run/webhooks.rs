//! The receiver of webhooks, at a port of its own: strangers reach it, and nothing else of the
//! operator.

use std::{net::SocketAddr, sync::Arc};

use kube::Client;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
    registry::Registry,
};
use tokio::{net::TcpListener, task::JoinHandle};
use trackbed_forge::{
    receiver::{Counts, router},
    server,
};
use trackbed_service::hooks::Webhooks;

use crate::error::Error;

/// Serves until it is aborted. Every replica does, whether it leads or not: what comes in is passed
/// on through the API server.
pub(super) async fn serve(
    address: SocketAddr,
    client: Client,
    registry: &mut Registry,
) -> Result<JoinHandle<()>, Error> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })?;
    let counts = Arc::new(Counts::default());
    registry.register_collector(Box::new(Deliveries(counts.clone())));
    let (webhooks, watch) = Webhooks::new(client);
    let router = router(webhooks, counts);
    Ok(tokio::spawn(async move {
        tokio::select! {
            () = watch => tracing::error!("Services are not watched any more for webhooks"),
            () = server::serve(listener, router) => {}
        }
    }))
}

/// What became of deliveries. Names of hooks are no label: their number must not grow with the
/// number of tenants, and strangers must not make any.
#[derive(Debug)]
struct Deliveries(Arc<Counts>);

impl Collector for Deliveries {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut family = encoder.encode_descriptor(
            "trackbed_webhook_deliveries",
            "Deliveries of webhooks by outcome",
            None,
            MetricType::Counter,
        )?;
        for (outcome, count) in self.0.all() {
            let labels = [("outcome", outcome)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_counted_by_outcome() {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Deliveries(Arc::default())));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        let line = "trackbed_webhook_deliveries_total{outcome=\"unauthorized\"} 0";
        assert!(text.contains(line), "{text}");
    }
}
