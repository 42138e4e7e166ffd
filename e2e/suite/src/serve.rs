//! Servers at the host's end of the cluster's link.

use std::{
    env, io,
    net::{SocketAddr, TcpListener},
    thread,
};

use axum::{Router, serve::Listener};
use tokio::{net::TcpStream, sync::oneshot};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

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

/// Takes connections by TLS. Who does not manage that is not told of.
struct Secured {
    tcp: tokio::net::TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Secured {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.tcp).await;
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}

impl Server {
    /// Serves at a free port.
    pub(crate) fn start(router: Router) -> Self {
        Self::run(router, |tcp| tcp)
    }

    /// The same by https.
    pub(crate) fn start_secured(router: Router, acceptor: TlsAcceptor) -> Self {
        Self::run(router, |tcp| Secured { tcp, acceptor })
    }

    fn run<L>(
        router: Router,
        wrap: impl FnOnce(tokio::net::TcpListener) -> L + Send + 'static,
    ) -> Self
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
    {
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
                let serve = axum::serve(wrap(listener), router).into_future();
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
