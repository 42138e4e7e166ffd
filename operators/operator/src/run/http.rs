//! `/healthz`, `/readyz` and `/metrics`.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::error::Error;

/// Media type of the OpenMetrics text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until it is aborted.
pub(super) async fn serve(
    address: SocketAddr,
    registry: Arc<Registry>,
    ready: watch::Receiver<bool>,
) -> Result<JoinHandle<()>, Error> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })?;
    let router = router(registry, ready);
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "health and metrics are not served any more");
        }
    }))
}

fn router(registry: Arc<Registry>, ready: watch::Receiver<bool>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route(
            "/readyz",
            get(async move || {
                if *ready.borrow() {
                    (StatusCode::OK, "ok\n")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "starting\n")
                }
            }),
        )
        .route("/metrics", get(async move || metrics(&registry)))
}

fn metrics(registry: &Registry) -> impl IntoResponse + use<> {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => (StatusCode::OK, [(header::CONTENT_TYPE, OPEN_METRICS)], text),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain")],
            error.to_string(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn request(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address)
            .await
            .expect("it listens");
        let text = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(text.as_bytes()).await.expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    #[tokio::test]
    async fn health_readiness_and_metrics_answer() {
        let mut registry = Registry::default();
        let metrics = trackbed_kit::metrics::Metrics::new(&mut registry);
        metrics.write("service", "apply");
        let (state, ready) = watch::channel(false);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = router(Arc::new(registry), ready);
        let server = tokio::spawn(async move { axum::serve(listener, router).await });
        assert!(
            request(address, "/healthz")
                .await
                .starts_with("HTTP/1.1 200")
        );
        assert!(
            request(address, "/readyz")
                .await
                .starts_with("HTTP/1.1 503")
        );
        state.send_replace(true);
        assert!(
            request(address, "/readyz")
                .await
                .starts_with("HTTP/1.1 200")
        );
        let metrics = request(address, "/metrics").await;
        assert!(metrics.contains("trackbed_writes"), "{metrics}");
        assert!(metrics.contains("# EOF"), "{metrics}");
        server.abort();
    }
}
