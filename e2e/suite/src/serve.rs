//! Servers at the host's end of the cluster's link.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    thread,
};

use axum::Router;
use tokio::sync::oneshot;

/// Ports of that address which the cluster reaches.
const PORTS: std::ops::Range<u16> = 3200..3299;
/// One of them at which nobody ever listens.
pub(crate) const NOBODY: u16 = 3299;

/// That address.
pub(crate) fn host() -> String {
    env::var("TRACKBED_E2E_HOST")
        .expect("TRACKBED_E2E_HOST is the host's end of the link; 'cargo xtask e2e' sets it")
}

/// A free port that the cluster reaches.
pub(crate) fn listen() -> TcpListener {
    let host = host();
    let free = PORTS.into_iter().find_map(|port| {
        let address = format!("{host}:{port}");
        TcpListener::bind(address).ok()
    });
    free.unwrap_or_else(|| panic!("no port of {host} is free"))
}

/// A server of HTTP, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// Where it is.
    pub(crate) address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Server {
    /// Serves at a free port.
    pub(crate) fn start(router: Router) -> Self {
        let listener = listen();
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a listener");
        let (stop, stopped) = oneshot::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let serve = axum::serve(listener, router).into_future();
                tokio::select! {
                    served = serve => served.expect("it serves"),
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            _stop: stop,
        }
    }
}
