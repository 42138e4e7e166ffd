//! The door, with a fake of what stands behind it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tower::ServiceExt;
use trackbed_forge::{
    delivery::{PullRequest, Push},
    receiver::{BODY_MAX, Counts, Hooks, Matched, router},
};

const SECRET: &[u8] = b"hush";
const PUSH: &str = r#"{"url": "https://git.example.com/acme/shop", "ref": "refs/heads/main"}"#;

/// A fake: one hook, which remembers what it was told.
#[derive(Clone, Default)]
struct FakeHooks {
    /// What is remembered of the secret is not what it is now.
    rotated: bool,
    secrets: Arc<AtomicUsize>,
    pushes: Arc<Mutex<Vec<Push>>>,
}

impl Hooks for FakeHooks {
    fn known(&self, namespace: &str, name: &str) -> bool {
        namespace == "shop-production" && (name == "forge" || name == "no-secret")
    }

    async fn secret(&self, _: &str, name: &str) -> Option<Vec<u8>> {
        self.secrets.fetch_add(1, Ordering::Relaxed);
        let secret = if self.rotated { b"stale" } else { SECRET };
        (name == "forge").then(|| secret.to_vec())
    }

    async fn renewed(&self, _: &str, _: &str) -> Option<Vec<u8>> {
        self.rotated.then(|| SECRET.to_vec())
    }

    async fn push(&self, _: &str, _: &str, push: &Push) -> Option<Vec<Matched>> {
        let mut pushes = self.pushes.lock().expect("nobody panicked");
        let triggered = !pushes.contains(push);
        if triggered {
            pushes.push(push.clone());
        }
        Some(vec![Matched {
            service: "web".to_owned(),
            r#ref: push.changes[0].reference.clone(),
            triggered,
        }])
    }

    async fn pull_request(&self, _: &str, _: &str, it: &PullRequest) -> Option<Vec<Matched>> {
        Some(vec![Matched {
            service: "web".to_owned(),
            r#ref: format!("preview of {}, open: {}", it.branch, it.open),
            triggered: true,
        }])
    }
}

struct Door {
    hooks: FakeHooks,
    router: axum::Router,
    counts: Arc<Counts>,
}

impl Door {
    fn new() -> Self {
        let hooks = FakeHooks::default();
        let counts = Arc::new(Counts::default());
        Self {
            router: router(hooks.clone(), counts.clone()),
            hooks,
            counts,
        }
    }

    async fn knock(&self, request: Request<Body>) -> (StatusCode, String) {
        let answer = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("an answer");
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 16).await;
        let body = body.expect("a body").to_vec();
        (status, String::from_utf8(body).expect("text"))
    }

    fn count(&self, outcome: &str) -> u64 {
        let mut all = self.counts.all();
        all.find(|(name, _)| *name == outcome)
            .expect("an outcome")
            .1
    }
}

fn sign(body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("any key will do");
    mac.update(body.as_bytes());
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

fn request(path: &str, signature: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path)
        .header("x-trackbed-signature", signature)
        .body(body.into())
        .expect("a request")
}

/// A body that must not be asked for.
fn untouchable() -> Body {
    Body::from_stream(futures::stream::poll_fn(
        |_| -> std::task::Poll<Option<Result<Vec<u8>, std::io::Error>>> {
            panic!("the body was read")
        },
    ))
}

const PLACE: &str = "/hooks/shop-production/forge";

#[tokio::test]
async fn a_push_is_passed_on_and_a_replay_changes_nothing() {
    let door = Door::new();
    let answer = door.knock(request(PLACE, &sign(PUSH), PUSH)).await;
    let first = r#"{"event":"push","matched":[{"service":"web","ref":"refs/heads/main","triggered":true}]}"#;
    assert_eq!(answer, (StatusCode::OK, first.to_owned()));
    let (status, text) = door.knock(request(PLACE, &sign(PUSH), PUSH)).await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains(r#""triggered":false"#), "{text}");
    assert_eq!(door.hooks.pushes.lock().expect("fine").len(), 1);
    assert_eq!(door.count("accepted"), 2);
}

#[tokio::test]
async fn unknown_names_and_wrong_signatures_look_the_same() {
    let door = Door::new();
    let mut answers = Vec::new();
    for (path, signature) in [
        ("/hooks/shop-production/nothing", sign(PUSH)),
        ("/hooks/nowhere/forge", sign(PUSH)),
        ("/hooks/shop-production/no-secret", sign(PUSH)),
        (PLACE, sign("something else")),
        (PLACE, String::new()),
    ] {
        answers.push(door.knock(request(path, &signature, PUSH)).await);
    }
    let bare = Request::post(PLACE)
        .body(Body::from(PUSH))
        .expect("a request");
    answers.push(door.knock(bare).await);
    assert_eq!(answers[0].0, StatusCode::UNAUTHORIZED);
    assert!(answers.iter().all(|it| *it == answers[0]), "{answers:?}");
    assert!(door.hooks.pushes.lock().expect("fine").is_empty());
}

#[tokio::test]
async fn what_is_refused_by_its_head_is_not_read() {
    let door = Door::new();
    for (path, status) in [
        ("/hooks/shop-production/nothing", StatusCode::UNAUTHORIZED),
        ("/hooks/shop-production/no-secret", StatusCode::UNAUTHORIZED),
        ("/hooks/Shop/forge", StatusCode::NOT_FOUND),
        ("/hooks/shop-production/-forge", StatusCode::NOT_FOUND),
        ("/hooks/shop-production", StatusCode::NOT_FOUND),
        ("/", StatusCode::NOT_FOUND),
    ] {
        let answer = door.knock(request(path, &sign(PUSH), untouchable())).await;
        assert_eq!(answer.0, status, "{path}");
    }
    let get = Request::get(PLACE).body(untouchable()).expect("a request");
    assert_eq!(door.knock(get).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_read_no_further_than_to_be_answered() {
    let door = Door::new();
    let parts = (0..9).map(|at| {
        assert!(at < 8, "it is read on and on");
        Ok::<_, std::io::Error>(vec![b' '; 1 << 20])
    });
    let endless = Body::from_stream(futures::stream::iter(parts));
    let mut large = request(PLACE, "x", endless);
    let length = (BODY_MAX * 100).to_string();
    large
        .headers_mut()
        .insert(header::CONTENT_LENGTH, length.parse().expect("a value"));
    assert_eq!(door.knock(large).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(door.hooks.secrets.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_body_that_does_not_say_its_length_is_cut_off() {
    let door = Door::new();
    let parts = (0..6).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 20]));
    let endless = Body::from_stream(futures::stream::iter(parts));
    let answer = door.knock(request(PLACE, &sign(PUSH), endless)).await;
    assert_eq!(answer.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(door.count("too_large"), 1);
}

#[tokio::test]
async fn signed_nonsense_is_named() {
    let door = Door::new();
    let (status, text) = door.knock(request(PLACE, &sign("{"), "{")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("cannot be read"), "{text}");
}

#[tokio::test]
async fn slow_senders_of_one_hook_hold_up_only_it() {
    let door = Door::new();
    let mut slow = Vec::new();
    for _ in 0..4 {
        let body = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let mut call = Box::pin(door.router.clone().oneshot(request(PLACE, "x", body)));
        assert!(futures::poll!(&mut call).is_pending());
        slow.push(call);
    }
    let (status, _) = door.knock(request(PLACE, &sign(PUSH), PUSH)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let other = "/hooks/shop-production/no-secret";
    let (status, _) = door.knock(request(other, &sign(PUSH), PUSH)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "it was let in");
    drop(slow);
    let (status, _) = door.knock(request(PLACE, &sign(PUSH), PUSH)).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_flood_changes_nothing() {
    let door = Door::new();
    for number in 0..10_000 {
        let path = match number % 3 {
            0 => format!("/hooks/shop-production/junk-{number}"),
            1 => PLACE.to_owned(),
            _ => format!("/hooks/junk-{number}/forge"),
        };
        let answer = door.knock(request(&path, "sha256=junk", "junk")).await;
        assert_eq!(answer.0, StatusCode::UNAUTHORIZED);
    }
    assert!(door.hooks.pushes.lock().expect("fine").is_empty());
    assert_eq!(door.count("unauthorized"), 10_000);
    assert_eq!(
        door.hooks.secrets.load(Ordering::Relaxed),
        3333,
        "of the hook that exists"
    );
}
