//! Images are removed from a fake of a registry on this machine.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use tokio::net::TcpListener;
use trackbed_api::environment::BuildEnvironment;
use trackbed_build::registry::{Answer, Target, remove};
use trackbed_kit::docker::Login;

const PASSWORD: &str = "canary-7f3a";
/// `ada:canary-7f3a`
const BASIC: &str = "Basic YWRhOmNhbmFyeS03ZjNh";
const TOKEN: &str = "canary-token";
const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What a request was, in one line, and what came with it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heard {
    line: String,
    authorization: Option<String>,
}

type Answers = dyn Fn(&str, Option<&str>, SocketAddr) -> Response + Send + Sync;

#[derive(Clone)]
struct Fake {
    answers: Arc<Answers>,
    heard: Arc<Mutex<Vec<Heard>>>,
    address: SocketAddr,
}

async fn hear(State(fake): State<Fake>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let authorization = headers.get(header::AUTHORIZATION);
    let authorization = authorization.map(|it| it.to_str().expect("a text").to_owned());
    let line = format!("{method} {uri}").replace(HEX, "…");
    let answer = (fake.answers)(&line, authorization.as_deref(), fake.address);
    let heard = Heard {
        line,
        authorization,
    };
    fake.heard.lock().expect("nobody panicked").push(heard);
    answer
}

impl Fake {
    async fn serve(
        answers: impl Fn(&str, Option<&str>, SocketAddr) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let fake = Self {
            answers: Arc::new(answers),
            heard: Arc::default(),
            address: listener.local_addr().expect("an address"),
        };
        let router = Router::new().fallback(hear).with_state(fake.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        fake
    }

    async fn remove(&self, login: bool) -> Answer {
        // Some test of this process was the first.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let login = login.then(|| Login {
            username: "ada".to_owned(),
            password: PASSWORD.to_owned(),
        });
        let image = format!("{}/shop/web@sha256:{HEX}", self.address);
        let answer = remove(&Target {
            image: &image,
            insecure: true,
            login: login.as_ref(),
            environment: &BuildEnvironment::default(),
        })
        .await;
        let text = format!("{answer:?}");
        assert!(!text.contains("canary") && !text.contains("YWRh"), "{text}");
        answer
    }

    fn lines(&self) -> Vec<String> {
        let heard = self.heard.lock().expect("nobody panicked");
        heard.iter().map(|it| it.line.clone()).collect()
    }
}

/// What becomes of an image if everything is answered in one way.
async fn after(status: u16, body: &'static str) -> Answer {
    let status = StatusCode::from_u16(status).expect("a status");
    Fake::serve(move |_, _, _| (status, body).into_response())
        .await
        .remove(false)
        .await
}

#[tokio::test]
async fn an_image_goes_with_what_stands_beside_it() {
    let fake = Fake::serve(|line, _, _| {
        let digest = |digit: char| format!("sha256:{}", String::from(digit).repeat(64));
        match line {
            "HEAD /v2/shop/web/manifests/sha256-…" => {
                ([("docker-content-digest", digest('a'))], "").into_response()
            }
            "HEAD /v2/shop/web/manifests/sha256-….provenance" => {
                ([("docker-content-digest", digest('b'))], "").into_response()
            }
            _ => StatusCode::ACCEPTED.into_response(),
        }
    })
    .await;
    assert_eq!(fake.remove(true).await, Answer::Removed);
    let digest = |digit: &str| format!("DELETE /v2/shop/web/manifests/sha256:{}", digit.repeat(64));
    assert_eq!(
        fake.lines(),
        [
            "DELETE /v2/shop/web/manifests/sha256:…".to_owned(),
            "HEAD /v2/shop/web/manifests/sha256-…".to_owned(),
            digest("a"),
            "HEAD /v2/shop/web/manifests/sha256-….provenance".to_owned(),
            digest("b"),
        ]
    );
    let heard = fake.heard.lock().expect("nobody panicked");
    let unasked = heard.iter().all(|it| it.authorization.is_none());
    assert!(unasked, "who is not asked tells no password: {heard:?}");
}

#[tokio::test]
async fn every_answer_has_its_meaning() {
    const UNSUPPORTED: &str =
        r#"{"errors": [{"code": "UNSUPPORTED", "message": "no", "detail": {}}]}"#;
    for (status, body, expected) in [
        (200, "", Answer::Removed),
        (202, "", Answer::Removed),
        (
            404,
            r#"{"errors": [{"code": "MANIFEST_UNKNOWN"}]}"#,
            Answer::Absent,
        ),
        (405, "", Answer::Unsupported),
        (405, UNSUPPORTED, Answer::Unsupported),
        (400, UNSUPPORTED, Answer::Unsupported),
        (403, UNSUPPORTED, Answer::Unsupported),
        (501, "", Answer::Unsupported),
        (
            403,
            r#"{"errors": [{"code": "DENIED"}]}"#,
            Answer::Unauthorized,
        ),
        (401, "", Answer::Unauthorized),
        (
            400,
            "<html>",
            Answer::Refused("HTTP 400 Bad Request".to_owned()),
        ),
        (
            307,
            "",
            Answer::Refused(
                "HTTP 307 Temporary Redirect, a redirect, which is not followed".to_owned(),
            ),
        ),
        (
            429,
            "",
            Answer::Unavailable("HTTP 429 Too Many Requests".to_owned()),
        ),
        (
            503,
            "",
            Answer::Unavailable("HTTP 503 Service Unavailable".to_owned()),
        ),
    ] {
        assert_eq!(after(status, body).await, expected, "{status} {body}");
    }
}

#[tokio::test]
async fn a_password_is_told_who_asks_for_it() {
    let basic = |_: &str, authorization: Option<&str>, _| match authorization {
        Some(BASIC) => StatusCode::ACCEPTED.into_response(),
        _ => {
            let asks = [(header::WWW_AUTHENTICATE, r#"Basic realm="registry""#)];
            (StatusCode::UNAUTHORIZED, asks, "").into_response()
        }
    };
    let fake = Fake::serve(basic).await;
    assert_eq!(fake.remove(true).await, Answer::Removed);
    assert_eq!(fake.lines().len(), 4, "asked for once: {:?}", fake.lines());
    assert_eq!(fake.remove(false).await, Answer::Unauthorized);
}

/// A registry that wants a token, which it gives itself, at a place with this scheme.
async fn with_tokens(scheme: &'static str) -> Fake {
    Fake::serve(move |line, authorization, address| {
        if line.starts_with("GET /token?") {
            return match authorization {
                Some(BASIC) => format!(r#"{{"token": "{TOKEN}"}}"#).into_response(),
                None => r#"{"access_token": "anonymous"}"#.into_response(),
                Some(_) => StatusCode::FORBIDDEN.into_response(),
            };
        }
        match authorization {
            Some("Bearer canary-token") => StatusCode::ACCEPTED.into_response(),
            _ => {
                let asks = format!(r#"Bearer realm="{scheme}://{address}/token",service="here""#);
                let asks = [(header::WWW_AUTHENTICATE, asks)];
                (StatusCode::UNAUTHORIZED, asks, "").into_response()
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_token_is_fetched_for_the_repository_and_the_removal_alone() {
    let fake = with_tokens("http").await;
    assert_eq!(fake.remove(true).await, Answer::Removed);
    let lines = fake.lines();
    assert_eq!(
        lines[1],
        "GET /token?service=here&scope=repository%3Ashop%2Fweb%3Apull%2Cdelete"
    );
    let heard = fake.heard.lock().expect("nobody panicked").clone();
    let told: Vec<&str> = heard
        .iter()
        .filter(|it| it.authorization.as_deref() == Some(BASIC))
        .map(|it| it.line.as_str())
        .collect();
    assert_eq!(
        told,
        [lines[1].as_str()],
        "the password goes for the token only"
    );
    assert_eq!(
        with_tokens("http").await.remove(false).await,
        Answer::Unauthorized,
        "an anonymous token is none that removes"
    );
}

#[tokio::test]
async fn no_password_goes_where_no_token_service_can_be() {
    for scheme in ["ftp", "file"] {
        let fake = with_tokens(scheme).await;
        match fake.remove(true).await {
            Answer::Refused(_) => {}
            other => panic!("{scheme}: {other:?}"),
        }
        assert_eq!(fake.lines().len(), 1, "{scheme}: {:?}", fake.lines());
    }
}

#[tokio::test]
async fn a_token_service_in_trouble_is_asked_again() {
    let answers = |status: StatusCode, body: &'static str| {
        move |line: &str, _: Option<&str>, address: SocketAddr| {
            if line.starts_with("GET /token?") {
                return (status, body).into_response();
            }
            let asks = format!(r#"Bearer realm="http://{address}/token""#);
            let asks = [(header::WWW_AUTHENTICATE, asks)];
            (StatusCode::UNAUTHORIZED, asks, "").into_response()
        }
    };
    let fake = Fake::serve(answers(StatusCode::BAD_GATEWAY, "")).await;
    let words = "its token service answers with HTTP 502 Bad Gateway".to_owned();
    assert_eq!(fake.remove(true).await, Answer::Unavailable(words));
    let fake = Fake::serve(answers(StatusCode::UNAUTHORIZED, "")).await;
    assert_eq!(fake.remove(true).await, Answer::Unauthorized);
    let fake = Fake::serve(answers(StatusCode::OK, "{}")).await;
    let words = "its token service gives no token".to_owned();
    assert_eq!(fake.remove(true).await, Answer::Refused(words));
}

#[tokio::test]
async fn what_stands_beside_is_tried_again_and_does_not_count_otherwise() {
    let beside = |status: StatusCode| {
        move |line: &str, _: Option<&str>, _: SocketAddr| match line {
            "DELETE /v2/shop/web/manifests/sha256:…" => StatusCode::NOT_FOUND.into_response(),
            _ => status.into_response(),
        }
    };
    for (status, expected) in [
        (StatusCode::FORBIDDEN, Answer::Absent),
        (StatusCode::NOT_FOUND, Answer::Absent),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            Answer::Unavailable("HTTP 503 Service Unavailable".to_owned()),
        ),
    ] {
        let fake = Fake::serve(beside(status)).await;
        assert_eq!(fake.remove(false).await, expected, "{status}");
    }
}

#[tokio::test]
async fn nobody_there_may_pass() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let fake = Fake {
        answers: Arc::new(|_, _, _| StatusCode::OK.into_response()),
        heard: Arc::default(),
        address,
    };
    match fake.remove(true).await {
        Answer::Unavailable(why) => assert!(why.contains("127.0.0.1"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_image_is_asked_of_nobody() {
    let fake = Fake::serve(|_, _, _| StatusCode::ACCEPTED.into_response()).await;
    let host = fake.address;
    for image in [
        format!("{host}@sha256:{HEX}"),
        format!("{host}/../v1@sha256:{HEX}"),
        format!("{host}/a//b@sha256:{HEX}"),
        format!("{host}/a?b@sha256:{HEX}"),
        format!("{host}/a/b:1"),
        format!("{host}/a/b@sha256:12"),
        format!("{host}/a/b@md5:{HEX}"),
    ] {
        let answer = remove(&Target {
            image: &image,
            insecure: true,
            login: None,
            environment: &BuildEnvironment::default(),
        })
        .await;
        assert!(matches!(answer, Answer::Refused(_)), "{image}: {answer:?}");
    }
    assert_eq!(*fake.heard.lock().expect("nobody panicked"), []);
}
