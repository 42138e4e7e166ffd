//! A way to one place and to no other.
//!
//! libgit2 takes credentials along wherever a host redirects to under the same name, be it another
//! port or another scheme, whatever it is told of redirects. So where there are credentials it gets
//! to the place that they are for through this process alone, and is refused any other before
//! anything is sent there: over https by a proxy that opens tunnels to one place, over http, where
//! libgit2 has no proxies, by a server that answers in the place of it.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

use crate::{
    Error,
    url::{Scheme, Url},
};

/// More than the head of any request or answer.
const HEAD_MAX: u64 = 64 << 10;
/// Longest time for a connection.
const CONNECT: Duration = Duration::from_secs(30);
/// What is about one connection, and about who answers there.
const OWN: [&str; 4] = [
    "connection",
    "proxy-connection",
    "proxy-authorization",
    "host",
];

/// The way, until it is dropped.
pub(crate) struct Guard {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
}

struct Place {
    url: Url,
    /// The proxy that the process's variables name for it.
    upstream: Option<Intercept>,
    /// Is told why it is not reached.
    tell: Box<dyn Fn(Error) + Send + Sync>,
}

impl Guard {
    /// Opens the way to `url`'s scheme, host and port.
    pub(crate) fn open(
        url: &Url,
        tell: impl Fn(Error) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let place = Arc::new(Place {
            url: url.clone(),
            upstream: upstream(url),
            tell: Box::new(tell),
        });
        let stopped = stop.clone();
        let listen = move || {
            for client in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let place = place.clone();
                // A connection that breaks is libgit2's to complain about.
                thread::spawn(move || place.serve(client));
            }
        };
        thread::Builder::new()
            .name("guard".to_owned())
            .spawn(listen)?;
        Ok(Self { address, stop })
    }

    /// Where it listens.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes it; if that fails the thread ends with the process.
        let _woken = TcpStream::connect(self.address);
    }
}

fn upstream(url: &Url) -> Option<Intercept> {
    let scheme = match url.scheme {
        Scheme::Https => "https",
        Scheme::Http | Scheme::Ssh => "http",
    };
    let place: Uri = format!("{scheme}://{}/", authority(url)).parse().ok()?;
    Matcher::from_env().intercept(&place)
}

fn authority(url: &Url) -> String {
    format!("{}:{}", url.host, url.port)
}

/// Why a request got no answer of the place.
#[derive(Debug)]
enum Stop {
    /// It, or its answer, leads to another place.
    Elsewhere,
    Failed(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Place {
    fn serve(&self, client: TcpStream) -> io::Result<()> {
        let mut to_client = client.try_clone()?;
        let stop = match self.pass(BufReader::new(client), &mut to_client) {
            Ok(()) => return to_client.shutdown(Shutdown::Both),
            Err(stop) => stop,
        };
        let url = self.url.as_str().to_owned();
        let status = match stop {
            Stop::Elsewhere => {
                (self.tell)(Error::Redirected(url));
                "403 Forbidden"
            }
            Stop::Failed(error) => {
                let message = error.to_string();
                (self.tell)(Error::Unreachable { url, message });
                "502 Bad Gateway"
            }
        };
        let end = "Content-Length: 0\r\nConnection: close\r\n\r\n";
        write!(to_client, "HTTP/1.1 {status}\r\n{end}")
    }

    /// One request and its answer, or all that goes through a tunnel.
    fn pass(
        &self,
        mut client: BufReader<TcpStream>,
        to_client: &mut TcpStream,
    ) -> Result<(), Stop> {
        let request = head(&mut client)?;
        let mut server = self.reach(&request)?;
        let mut to_server = server.get_ref().try_clone()?;
        thread::spawn(move || {
            let _broken = io::copy(&mut client, &mut to_server);
            let _closed = to_server.shutdown(Shutdown::Write);
        });
        let answer = match self.url.scheme {
            Scheme::Https => "HTTP/1.1 200 Connection established\r\n\r\n".to_owned(),
            Scheme::Http | Scheme::Ssh => self.answer(&head(&mut server)?)?,
        };
        // From here on the client sees by itself that something broke.
        let _broken = to_client
            .write_all(answer.as_bytes())
            .and_then(|()| io::copy(&mut server, to_client));
        Ok(())
    }

    /// Connects to the place, and has it ready for what comes after the head of the request.
    fn reach(&self, request: &[String]) -> Result<BufReader<TcpStream>, Stop> {
        let (method, target) = self.wanted(request).ok_or(Stop::Elsewhere)?;
        let place = authority(&self.url);
        let login = self.upstream.as_ref().and_then(Intercept::basic_auth);
        let login = login.and_then(|it| it.to_str().ok());
        let next = match &self.upstream {
            Some(proxy) => proxy_authority(proxy.uri())?,
            None => place.clone(),
        };
        let mut server = BufReader::new(dial(&next)?);
        let mut lines = Vec::new();
        match (method, &self.upstream) {
            ("CONNECT", None) => return Ok(server),
            ("CONNECT", Some(_)) => lines.push(format!("CONNECT {place} HTTP/1.1")),
            (_, None) => lines.push(format!("{method} {target} HTTP/1.1")),
            (_, Some(_)) => lines.push(format!("{method} http://{place}{target} HTTP/1.1")),
        }
        lines.push(format!("Host: {}", host(&self.url)));
        lines.extend(login.map(|login| format!("Proxy-Authorization: {login}")));
        if method == "CONNECT" {
            server.get_mut().write_all(joined(&lines).as_bytes())?;
            opened(&head(&mut server)?)?;
            return Ok(server);
        }
        // The next request may come on another connection: here nobody counts bodies.
        lines.push("Connection: close".to_owned());
        lines.extend(others(request));
        server.get_mut().write_all(joined(&lines).as_bytes())?;
        Ok(server)
    }

    /// Method and target of a request that leads to the place.
    fn wanted<'a>(&self, request: &'a [String]) -> Option<(&'a str, &'a str)> {
        let mut words = request.first()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        // libgit2 leaves out the brackets of IPv6 addresses.
        let bare = |text: &str| text.to_ascii_lowercase().replace(['[', ']'], "");
        let good = match self.url.scheme {
            Scheme::Https => method == "CONNECT" && bare(target) == bare(&authority(&self.url)),
            Scheme::Http | Scheme::Ssh => target.starts_with('/'),
        };
        good.then_some((method, target))
    }

    /// The head of the place's answer as libgit2 gets it. A redirect within the place loses the
    /// place's name, for it goes through here too.
    fn answer(&self, answer: &[String]) -> Result<String, Stop> {
        let status = answer.first().map_or("", String::as_str);
        let mut lines = vec![status.to_owned(), "Connection: close".to_owned()];
        let redirects = status
            .split(' ')
            .nth(1)
            .is_some_and(|it| it.starts_with('3'));
        for line in others(answer) {
            match line.split_once(':') {
                Some((name, to)) if redirects && name.eq_ignore_ascii_case("location") => {
                    let within = self.within(to.trim()).ok_or(Stop::Elsewhere)?;
                    lines.push(format!("Location: {within}"));
                }
                _ => lines.push(line),
            }
        }
        Ok(joined(&lines))
    }

    /// The path of a redirect that stays at the place.
    fn within(&self, location: &str) -> Option<String> {
        let to: Uri = location.parse().ok()?;
        let path = to.path_and_query()?.as_str();
        if to.scheme().is_none() && to.authority().is_none() {
            // "//host/path" has a host too.
            let plain = path.starts_with('/') && !path.starts_with("//");
            return plain.then(|| path.to_owned());
        }
        let host = to.host()?.to_ascii_lowercase();
        let same = to.scheme_str() == Some("http")
            && host == self.url.host
            && to.port_u16().unwrap_or(80) == self.url.port;
        same.then(|| path.to_owned())
    }
}

/// Host and port of a proxy.
fn proxy_authority(proxy: &Uri) -> io::Result<String> {
    let host = proxy.host().filter(|_| proxy.scheme_str() == Some("http"));
    let host = host.ok_or_else(|| {
        io::Error::other(
            "a proxy has to be at an http:// address for repositories with credentials",
        )
    })?;
    Ok(format!("{host}:{}", proxy.port_u16().unwrap_or(80)))
}

/// The value of a `Host` header.
fn host(url: &Url) -> String {
    match (url.scheme, url.port) {
        (Scheme::Http, 80) => url.host.clone(),
        _ => authority(url),
    }
}

fn dial(place: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in place.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Whether a proxy has opened a tunnel.
fn opened(answer: &[String]) -> io::Result<()> {
    let answer = answer.first().map_or("", String::as_str);
    let code = answer.split(' ').nth(1);
    if code.is_some_and(|code| code.starts_with('2')) {
        return Ok(());
    }
    Err(io::Error::other(format!("the proxy answered '{answer}'")))
}

/// The lines of a head, without the empty one that ends it.
fn head(from: &mut BufReader<TcpStream>) -> io::Result<Vec<String>> {
    let mut from = from.take(HEAD_MAX);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::Error::other(
                "it closed the connection without an answer",
            ));
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(lines);
        }
        lines.push(line.to_owned());
    }
}

/// The headers of a head that are sent on.
fn others(head: &[String]) -> impl Iterator<Item = String> {
    let headers = head.iter().skip(1).filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
    });
    headers.cloned()
}

fn joined(lines: &[String]) -> String {
    format!("{}\r\n\r\n", lines.join("\r\n"))
}

#[cfg(test)]
mod tests;
