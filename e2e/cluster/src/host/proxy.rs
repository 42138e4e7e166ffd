//! A forward proxy on the host's end of the link, for builds that need a package
//! registry: the cluster itself has no way out. `CONNECT` for TLS, and plain requests
//! with an absolute URI.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream, lookup_host},
    sync::Mutex,
};

/// More than any client's request head.
const MAX_HEAD: usize = 64 * 1024;
/// Time for a client to say what it wants, and for a server to take the connection.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the addresses of a server are good for.
const FRESH: Duration = Duration::from_secs(30);

/// Addresses of servers. Package managers open fifty connections to one at once, and small name
/// servers answer no more than half as many questions: one is asked at a time, and once.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<HashMap<String, Answer>>>);

/// When it was given, and what.
type Answer = (Instant, Vec<SocketAddr>);

impl Names {
    async fn of(&self, server: &str) -> io::Result<Vec<SocketAddr>> {
        let mut known = self.0.lock().await;
        known.retain(|_, (since, _)| since.elapsed() < FRESH);
        if let Some((_, addresses)) = known.get(server) {
            return Ok(addresses.clone());
        }
        let found: Vec<_> = lookup_host(server).await?.collect();
        known.insert(server.to_owned(), (Instant::now(), found.clone()));
        Ok(found)
    }
}

/// Serves every connection, for as long as the process lives.
pub(crate) async fn serve(listener: TcpListener) {
    let names = Names::default();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let names = names.clone();
        tokio::spawn(async move {
            // The client sees why; there is nobody else to tell.
            let _ = handle(client, &names).await;
        });
    }
}

async fn handle(mut client: TcpStream, names: &Names) -> io::Result<()> {
    let (head, rest) = tokio::time::timeout(PATIENCE, read_head(&mut client)).await??;
    let Some(request) = parse(&head) else {
        return refuse(&mut client, "400 Bad Request").await;
    };
    let connected = tokio::time::timeout(PATIENCE, connect(&request.server, names)).await;
    let Ok(Ok(mut server)) = connected else {
        return refuse(&mut client, "502 Bad Gateway").await;
    };
    match request.head {
        None => {
            client
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .await?;
        }
        Some(head) => server.write_all(head.as_bytes()).await?,
    }
    server.write_all(&rest).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Connects to a server that is not this machine itself.
async fn connect(server: &str, names: &Names) -> io::Result<TcpStream> {
    for address in names.of(server).await? {
        let ip = address.ip().to_canonical();
        if ip.is_loopback() || ip.is_unspecified() {
            continue;
        }
        if let Ok(stream) = TcpStream::connect(address).await {
            return Ok(stream);
        }
    }
    Err(io::ErrorKind::ConnectionRefused.into())
}

async fn refuse(client: &mut TcpStream, status: &str) -> io::Result<()> {
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    client.write_all(answer.as_bytes()).await
}

/// The head of a request, and what came after it.
async fn read_head(client: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = client.read(&mut buffer).await?;
        if count == 0 || seen.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        seen.extend_from_slice(&buffer[..count]);
        if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = seen.split_off(end + 4);
            let head = String::from_utf8(seen).map_err(|_| io::ErrorKind::InvalidData)?;
            return Ok((head, rest));
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Request {
    /// `host:port` to connect to.
    server: String,
    /// What to send there first; nothing for `CONNECT`.
    head: Option<String>,
}

fn parse(head: &str) -> Option<Request> {
    let (first, headers) = head.split_once("\r\n")?;
    let mut words = first.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if method == "CONNECT" {
        target.rsplit_once(':')?;
        return Some(Request {
            server: target.to_owned(),
            head: None,
        });
    }
    let rest = target.strip_prefix("http://")?;
    let (server, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    // One request a connection: the next one may be for another server.
    let kept: String = headers
        .split_inclusive("\r\n")
        .filter(|line| {
            let name = line.split(':').next().unwrap_or_default();
            !["connection", "proxy-connection", "proxy-authorization"]
                .iter()
                .any(|hop| name.eq_ignore_ascii_case(hop))
        })
        .collect();
    let server = if server.contains(':') {
        server.to_owned()
    } else {
        format!("{server}:80")
    };
    Some(Request {
        server,
        head: Some(format!(
            "{method} {path} {version}\r\nConnection: close\r\n{kept}"
        )),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(head: &str, expected: Expect) {
        expected.assert_debug_eq(&parse(head));
    }

    #[test]
    fn connect_names_the_server() {
        check(
            "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
            expect![[r#"
                Some(
                    Request {
                        server: "example.com:443",
                        head: None,
                    },
                )
            "#]],
        );
    }

    #[test]
    fn a_plain_request_is_made_relative_and_its_hop_headers_go() {
        check(
            "GET http://example.com/a?b HTTP/1.1\r\nHost: example.com\r\nProxy-Connection: keep-alive\r\n\r\n",
            expect![[r#"
                Some(
                    Request {
                        server: "example.com:80",
                        head: Some(
                            "GET /a?b HTTP/1.1\r\nConnection: close\r\nHost: example.com\r\n\r\n",
                        ),
                    },
                )
            "#]],
        );
    }

    #[test]
    fn anything_else_is_refused() {
        check("GET / HTTP/1.1\r\n\r\n", expect![["None\n"]]);
        check("nonsense\r\n\r\n", expect![["None\n"]]);
    }
}
