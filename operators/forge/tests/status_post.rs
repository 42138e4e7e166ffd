//! What is sent, to a fake of a forge on this machine, and what is made of its answers.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State as Shared,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
    serve::Listener,
};
use futures::stream;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use trackbed_forge::status::{
    Client, Misconfigured, Network, PostError, Provider, Report, State, client, post, request,
};

const TOKEN: &str = "canary-7f3a";
const COMMIT: &str = "3f2c8a1d5b7e9f0a1b2c3d4e5f60718293a4b5c6";

/// A fake: it answers everything in one way, and remembers what it was asked.
#[derive(Clone)]
struct FakeForge {
    answer: Arc<dyn Fn() -> Response + Send + Sync>,
    heard: Arc<Mutex<Vec<Heard>>>,
}

struct Heard {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Value,
}

impl FakeForge {
    fn new(answer: impl Fn() -> Response + Send + Sync + 'static) -> Self {
        Self {
            answer: Arc::new(answer),
            heard: Arc::default(),
        }
    }

    fn router(&self) -> Router {
        Router::new().fallback(hear).with_state(self.clone())
    }

    async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(axum::serve(listener, self.router()).into_future());
        address
    }

    fn count(&self) -> usize {
        self.heard.lock().expect("nobody panicked").len()
    }
}

async fn hear(
    Shared(forge): Shared<FakeForge>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let heard = Heard {
        method,
        uri,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    forge.heard.lock().expect("nobody panicked").push(heard);
    (forge.answer)()
}

fn sender(network: &Network<'_>) -> Client {
    // Some test of this process was the first.
    let _already = rustls::crypto::ring::default_provider().install_default();
    client(network).expect("a client")
}

async fn tell(client: &Client, provider: Provider, base: &str) -> Result<(), PostError> {
    let report = Report {
        commit: COMMIT.to_owned(),
        state: State::Pending,
        context: "trackbed/shop-production/web".to_owned(),
        description: "web-41 is being built".to_owned(),
        target_url: None,
    };
    let url = format!("{base}/acme/shop.git");
    let request = request(provider, &url, None, &TOKEN.into(), &report).expect("a request");
    let told = post(client, request).await;
    if let Err(error) = &told {
        let text = format!("{error} {error:?}");
        assert!(!text.contains(TOKEN) && !text.contains("hunter2"), "{text}");
    }
    told
}

/// What is made of an answer of a provider's forge.
async fn after<A: IntoResponse>(
    provider: Provider,
    answer: impl Fn() -> A + Send + Sync + 'static,
) -> Result<(), PostError> {
    let forge = FakeForge::new(move || answer().into_response());
    let base = format!("http://{}", forge.serve().await);
    let told = tell(&sender(&Network::default()), provider, &base).await;
    assert_eq!(forge.count(), 1, "asked once, whatever the answer");
    told
}

#[tokio::test]
async fn a_status_is_posted() {
    let forge = FakeForge::new(|| (StatusCode::CREATED, "{}").into_response());
    let base = format!("http://{}", forge.serve().await);
    let told = tell(&sender(&Network::default()), Provider::Gitea, &base).await;
    assert_eq!(told, Ok(()));
    let heard = forge.heard.lock().expect("nobody panicked");
    let [heard] = &heard[..] else {
        panic!("{} requests", heard.len())
    };
    let path = format!("/api/v1/repos/acme/shop/statuses/{COMMIT}");
    assert_eq!((&heard.method, heard.uri.path()), (&Method::POST, &*path));
    assert_eq!(heard.headers["authorization"], format!("token {TOKEN}"));
    assert_eq!(heard.headers["content-type"], "application/json");
    assert_eq!(heard.headers["user-agent"], "trackbed");
    assert_eq!(heard.body["state"], "pending");
    assert_eq!(heard.body["context"], "trackbed/shop-production/web");
}

#[tokio::test]
async fn answers_have_a_class() {
    use PostError::{NotFound, RateLimited, Refused, Unauthorized};
    for (status, error, transient) in [
        (401, Unauthorized, false),
        (403, Unauthorized, false),
        (404, NotFound, false),
        (400, Refused(400), false),
        (409, Refused(409), true),
        (422, Refused(422), false),
        (429, RateLimited { after: None }, true),
        (500, Refused(500), true),
        (503, Refused(503), true),
    ] {
        let code = StatusCode::from_u16(status).expect("a status");
        let told = after(Provider::Gitea, move || (code, "no")).await;
        assert_eq!(told, Err(error.clone()), "{status}");
        assert_eq!(error.is_transient(), transient, "{status}");
    }
}

#[tokio::test]
async fn limits_are_told_from_missing_rights() {
    let limited = |seconds| {
        let after = Some(Duration::from_secs(seconds));
        Err(PostError::RateLimited { after })
    };
    let told = after(Provider::GitLab, || {
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "30")])
    });
    assert_eq!(told.await, limited(30));
    let told = after(Provider::GitHub, || {
        (StatusCode::FORBIDDEN, [("retry-after", "999999999")])
    });
    assert_eq!(told.await, limited(3600));
    for answer in [
        [("x-ratelimit-remaining", "0"), ("x-a", "b")],
        [("x-ratelimit-remaining", "0"), ("retry-after", "tomorrow")],
    ] {
        let told = after(Provider::GitHub, move || (StatusCode::FORBIDDEN, answer));
        assert_eq!(told.await, Err(PostError::RateLimited { after: None }));
    }
    let told = after(Provider::GitHub, || {
        let text = r#"{"message": "You have exceeded a secondary rate limit."}"#;
        (StatusCode::FORBIDDEN, text)
    });
    assert_eq!(told.await, Err(PostError::RateLimited { after: None }));
    let told = after(Provider::GitHub, || {
        let text = r#"{"message": "Resource not accessible by personal access token"}"#;
        (
            StatusCode::FORBIDDEN,
            [("x-ratelimit-remaining", "4999")],
            text,
        )
    });
    assert_eq!(told.await, Err(PostError::Unauthorized));
}

#[tokio::test]
async fn github_hides_a_missing_commit_in_422() {
    let told = after(Provider::GitHub, || {
        let text = format!(r#"{{"message": "No commit found for SHA: {COMMIT}"}}"#);
        (StatusCode::UNPROCESSABLE_ENTITY, text)
    });
    assert_eq!(told.await, Err(PostError::NotFound));
}

#[tokio::test]
async fn gitlab_may_be_told_twice() {
    const TWICE: &str = r#"{"message": "Cannot transition status via :run from :running (Reason(s): Status cannot transition via \"run\")"}"#;
    let told = after(Provider::GitLab, || (StatusCode::BAD_REQUEST, TWICE));
    assert_eq!(told.await, Ok(()));
    let told = after(Provider::Gitea, || (StatusCode::BAD_REQUEST, TWICE));
    assert_eq!(told.await, Err(PostError::Refused(400)));
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let other = FakeForge::new(|| StatusCode::CREATED.into_response());
    let elsewhere = format!("http://{}/api/v1/taken", other.serve().await);
    for status in [301, 302, 303, 307, 308] {
        let code = StatusCode::from_u16(status).expect("a status");
        let to = elsewhere.clone();
        let told = after(Provider::Gitea, move || (code, [("location", to.clone())])).await;
        assert_eq!(told, Err(PostError::Refused(status)));
        let text = told.expect_err("a redirect").to_string();
        assert!(
            text.contains("not followed") && !text.contains("taken"),
            "{text}"
        );
    }
    assert_eq!(other.count(), 0);
}

#[tokio::test]
async fn an_endless_answer_is_left() {
    let endless = || Body::from_stream(stream::repeat_with(|| Ok::<_, String>(vec![b'x'; 1024])));
    let told = after(Provider::GitHub, move || (StatusCode::CREATED, endless()));
    assert_eq!(told.await, Ok(()));
    let told = after(Provider::GitHub, move || {
        (StatusCode::UNAUTHORIZED, endless())
    });
    assert_eq!(told.await, Err(PostError::Unauthorized));
}

#[tokio::test]
async fn an_answer_that_stops_has_said_its_status() {
    let stopped = || Body::from_stream(stream::pending::<Result<Vec<u8>, String>>());
    let told = after(Provider::GitHub, move || (StatusCode::CREATED, stopped()));
    assert_eq!(told.await, Ok(()));
}

#[tokio::test]
async fn a_forge_that_is_silent_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let client = sender(&Network::default()).within(Duration::from_millis(50));
    // The kernel takes the connection. Nobody else does.
    let error = tell(&client, Provider::Gitea, &base)
        .await
        .expect_err("silence");
    let text = "127.0.0.1 does not answer within 0.05 seconds".to_owned();
    assert_eq!(error, PostError::Unreachable(text));
    assert!(error.is_transient());
    drop(listener);
}

#[tokio::test]
async fn a_forge_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let told = tell(&sender(&Network::default()), Provider::Gitea, &base).await;
    let text = told.expect_err("nobody there").to_string();
    let expected = "127.0.0.1 cannot be reached: Connection refused";
    assert!(text.starts_with(expected), "{text}");
}

#[tokio::test]
async fn proxies_are_the_ones_that_were_named() {
    let proxy = FakeForge::new(|| StatusCode::CREATED.into_response());
    let url = format!("http://ada:hunter2@{}", proxy.serve().await);
    let network = Network {
        http_proxy: Some(&url),
        https_proxy: Some(&url),
        no_proxy: Some("127.0.0.0/8,direct.invalid"),
        ..Network::default()
    };
    let client = sender(&network);
    let told = tell(&client, Provider::Gitea, "http://git.invalid:3000").await;
    assert_eq!(told, Ok(()));
    {
        let heard = proxy.heard.lock().expect("nobody panicked");
        let uri = &heard.first().expect("a request").uri;
        assert_eq!(uri.authority().expect("a host"), "git.invalid:3000");
    }
    // By https it is asked for a tunnel. This one answers without making one.
    let told = tell(&client, Provider::Gitea, "https://git.invalid").await;
    assert!(matches!(told, Err(PostError::Unreachable(_))), "{told:?}");
    {
        let heard = proxy.heard.lock().expect("nobody panicked");
        let tunnel = heard.get(1).expect("a second request");
        assert_eq!(tunnel.method, Method::CONNECT);
        assert!(
            !tunnel
                .headers
                .values()
                .any(|it| it.to_str().unwrap_or("").contains(TOKEN))
        );
    }
    let forge = FakeForge::new(|| StatusCode::CREATED.into_response());
    let base = format!("http://{}", forge.serve().await);
    assert_eq!(tell(&client, Provider::Gitea, &base).await, Ok(()));
    assert_eq!((forge.count(), proxy.count()), (1, 2));
}

#[tokio::test]
async fn what_cannot_be_read_makes_no_client() {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let broken = "-----BEGIN CERTIFICATE-----\nQUNNRQ==\n-----END CERTIFICATE-----\n";
    let network = Network {
        ca_bundle: Some(broken),
        ..Network::default()
    };
    let error = client(&network).expect_err("no certificate");
    assert!(matches!(error, Misconfigured::Certificates(_)), "{error}");
    let network = Network {
        https_proxy: Some("http://ada:hunter2@[bad"),
        ..Network::default()
    };
    let error = client(&network).expect_err("no proxy");
    assert_eq!(error.to_string(), "the proxy for https is no URL");
}

/// TLS on top of a listener.
struct Tls(TcpListener, TlsAcceptor);

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.0.accept().await.expect("a connection");
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

#[tokio::test]
async fn certificates_are_added_to_those_of_the_system() {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(["other.invalid".to_owned()]).expect("another");
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .expect("a configuration");
    let forge = FakeForge::new(|| StatusCode::CREATED.into_response());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base = format!("https://{}", listener.local_addr().expect("an address"));
    let tls = Tls(listener, TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(axum::serve(tls, forge.router()).into_future());

    let told = tell(&sender(&Network::default()), Provider::Gitea, &base).await;
    let text = told.expect_err("an unknown certificate").to_string();
    let expected = "127.0.0.1 cannot be reached: invalid peer certificate: UnknownIssuer";
    assert_eq!(text, expected);
    assert_eq!(forge.count(), 0);

    let bundle = format!("Acme\n{}\nother\n{}", other.cert.pem(), own.cert.pem());
    let network = Network {
        ca_bundle: Some(&bundle),
        ..Network::default()
    };
    let told = tell(&sender(&network), Provider::Gitea, &base).await;
    assert_eq!(told, Ok(()));
    assert_eq!(forge.count(), 1);
}
