//! Serves the door to anybody: few connections at once, none of them for long, and little memory
//! for each, so that a flood of strangers costs nothing.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tower::ServiceExt;

/// What strangers may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Connections at once. Others wait in the listener's queue, and then outside.
    connections: usize,
    /// Longest time until the head of a request is there.
    head: Duration,
    /// Longest life of a connection, whatever goes on in it.
    life: Duration,
    /// Most that is read of a request's head, in bytes.
    buffer: usize,
}

const LIMITS: Limits = Limits {
    connections: 256,
    head: Duration::from_secs(5),
    life: Duration::from_secs(30),
    buffer: 16 << 10,
};

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, router: Router) {
    within(LIMITS, listener, router).await;
}

async fn within(limits: Limits, listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        // Nobody closes it.
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most of the time: others have to end first.
                tracing::warn!(%error, "no connection is accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let router = router.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let router = router.clone();
                async move { Ok::<_, Infallible>(answer(router, request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                // A proxy that takes up a connection just when its time is up loses a delivery.
                .keep_alive(false)
                .header_read_timeout(limits.head)
                .max_buf_size(limits.buffer)
                .serve_connection(TokioIo::new(stream), service);
            // However it ends, there is nobody to tell.
            let _ended = timeout(limits.life, connection).await;
            drop(place);
        });
    }
}

async fn answer(router: Router, request: Request<Incoming>) -> axum::response::Response {
    match router.oneshot(request.map(Body::new)).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::post;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

    const FEW: Limits = Limits {
        connections: 8,
        head: Duration::from_millis(50),
        ..LIMITS
    };

    async fn start() -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = Router::new().route("/", post(async |body: String| body));
        tokio::spawn(within(FEW, listener, router));
        address
    }

    async fn said(mut stream: TcpStream, text: &str) -> String {
        // A server that has had enough may close before everything is sent.
        let _sent = stream.write_all(text.as_bytes()).await;
        let mut answer = Vec::new();
        let _read = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn requests_are_answered() {
        let stream = TcpStream::connect(start().await).await.expect("it listens");
        let text =
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\npush";
        let answer = said(stream, text).await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("push"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused() {
        let stream = TcpStream::connect(start().await).await.expect("it listens");
        let text = format!("POST / HTTP/1.1\r\nx: {}", "a".repeat(LIMITS.buffer * 2));
        let answer = said(stream, &text).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn who_says_nothing_keeps_nobody_out() {
        let address = start().await;
        let mut silent = Vec::new();
        for _ in 0..FEW.connections {
            silent.push(TcpStream::connect(address).await.expect("it listens"));
        }
        let stream = TcpStream::connect(address).await.expect("it listens");
        let text =
            "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\npush";
        let answer = said(stream, text).await;
        assert!(answer.ends_with("push"), "when their time is up: {answer}");
        drop(silent);
    }
}
