//! A stub of a host: it answers every request alike, and keeps what it was sent.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

/// Ports that the test cluster reaches of this machine.
const PORTS: std::ops::RangeInclusive<u16> = 3200..=3299;

/// What it answers.
#[derive(Clone, Debug)]
pub(super) enum Manner {
    /// Wants credentials, whatever they are.
    Wants,
    /// Sends on to another address.
    Redirects(String),
    /// Wants credentials, and sends on whoever has some.
    WantsThenRedirects(String),
}

/// A host that answers until the test's process ends.
#[derive(Clone, Debug)]
pub(super) struct Stub {
    place: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    /// Starts it where the cluster reaches this machine.
    pub(super) fn start(manner: Manner) -> Self {
        let host = env::var("TRACKBED_E2E_HOST").expect("'cargo xtask e2e' sets TRACKBED_E2E_HOST");
        let listener = PORTS.into_iter().find_map(|port| {
            let listener = TcpListener::bind(format!("{host}:{port}")).ok()?;
            Some((listener, format!("{host}:{port}")))
        });
        let (listener, place) = listener.expect("a free port");
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is as good as answered.
                let _gone = serve(stream, &manner, &kept);
            }
        });
        Self { place, seen }
    }

    /// URL of a repository that it might have.
    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.place)
    }

    /// The requests so far: their first lines and headers.
    pub(super) fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

fn serve(mut stream: TcpStream, manner: &Manner, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    while reader.read_line(&mut head)? > 2 {}
    let known = head.to_ascii_lowercase().contains("authorization:");
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(head);
    let wants = "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"stub\"".to_owned();
    let status = match manner {
        Manner::Redirects(to) => format!("302 Found\r\nLocation: {to}"),
        Manner::WantsThenRedirects(to) if known => format!("302 Found\r\nLocation: {to}"),
        Manner::Wants | Manner::WantsThenRedirects(_) => wants,
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}
