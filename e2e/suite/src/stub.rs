//! Servers that do what no real one does when it is asked to: stand-ins, for tests that name them as
//! such.

use std::{
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::State,
    http::{Method, StatusCode, Uri, header::LOCATION},
    response::{IntoResponse, Response},
};

use crate::serve::{NOBODY, Server, host, listen};

/// More than any layer of these tests.
const BODY_MAX: usize = 256 << 20;

/// An address at which nobody listens: connections are refused.
pub fn nobody() -> String {
    format!("{}:{NOBODY}", host())
}

/// A server that takes every connection and never says a word, until it is told to close them.
#[derive(Debug)]
pub struct Silent {
    /// Where it is.
    pub address: SocketAddr,
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    connections: Vec<TcpStream>,
    taken: usize,
    closed: bool,
}

impl Silent {
    /// Listens for as long as the process lives.
    pub fn start() -> Self {
        let listener = listen();
        let address = listener.local_addr().expect("an address");
        let held: Arc<Mutex<Held>> = Arc::default();
        let shared = held.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let mut held = shared.lock().unwrap_or_else(PoisonError::into_inner);
                held.taken += 1;
                if !held.closed {
                    held.connections.push(connection);
                }
            }
        });
        Self { address, held }
    }

    /// Connections that it took by now.
    pub fn taken(&self) -> usize {
        self.held().taken
    }

    /// Closes all connections, also those that come. Whoever only waits for the end goes on.
    pub fn close(&self) {
        let mut held = self.held();
        held.closed = true;
        held.connections.clear();
    }

    /// A line of a Dockerfile that waits until the connections are closed.
    pub fn gate(&self) -> String {
        let (host, port) = (self.address.ip(), self.address.port());
        format!("RUN echo waits at the gate; nc {host} {port} < /dev/null; echo goes on\n")
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a registry answers to an image's manifest: with these, one after the other, and then well.
pub type Answers = Vec<(u16, &'static str)>;

/// A registry that takes every layer and throws it away.
#[derive(Debug)]
pub struct Registry {
    /// Where it is.
    pub address: SocketAddr,
    seen: Arc<Seen>,
    _server: Server,
}

#[derive(Debug)]
struct Seen {
    answers: Mutex<Answers>,
    manifests: AtomicUsize,
}

impl Registry {
    /// Serves until it is dropped.
    pub fn start(answers: Answers) -> Self {
        let seen = Arc::new(Seen {
            answers: Mutex::new(answers),
            manifests: AtomicUsize::new(0),
        });
        let router = Router::new().fallback(answer).with_state(seen.clone());
        let server = Server::start(router);
        Self {
            address: server.address,
            seen,
            _server: server,
        }
    }

    /// Manifests that were sent by now, taken or not.
    pub fn manifests(&self) -> usize {
        self.seen.manifests.load(Ordering::Relaxed)
    }
}

/// As <https://github.com/opencontainers/distribution-spec/blob/main/spec.md> has it.
async fn answer(State(seen): State<Arc<Seen>>, method: Method, uri: Uri, body: Body) -> Response {
    let path = uri.path();
    // A client that still sends does not read.
    if to_bytes(body, BODY_MAX).await.is_err() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    match method {
        Method::GET if path == "/v2/" => StatusCode::OK.into_response(),
        Method::POST if path.ends_with("/blobs/uploads/") => {
            (StatusCode::ACCEPTED, [(LOCATION, format!("{path}1"))]).into_response()
        }
        Method::PUT if path.contains("/blobs/uploads/") => created(path),
        Method::PUT if path.contains("/manifests/") => {
            seen.manifests.fetch_add(1, Ordering::Relaxed);
            let mut answers = seen.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.is_empty() {
                return created(path);
            }
            let (code, text) = answers.remove(0);
            let code = StatusCode::from_u16(code).expect("a status");
            (code, text).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn created(path: &str) -> Response {
    (StatusCode::CREATED, [(LOCATION, path.to_owned())]).into_response()
}
