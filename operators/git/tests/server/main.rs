//! Against git's own http server.

mod commits;
mod host;
mod submodules;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    thread,
    time::Duration,
};

use host::{Server, login};
use trackbed_git::{Credentials, Error, Request, ls_remote};

#[test]
fn refs_and_head_and_tags_are_told() {
    let server = Server::start();
    let commit = server.repository("shop.git", &[("a.txt", "a")]);
    let remote = ls_remote(&server.request("shop.git")).expect("refs");
    assert_eq!(remote.resolve(None).expect("HEAD").commit, commit);
    assert_eq!(
        remote.resolve(None).expect("HEAD").reference,
        "refs/heads/main"
    );
    let tag = remote.resolve(Some("refs/tags/v1")).expect("a tag");
    assert_eq!(tag.commit, commit, "an annotated tag names its commit");
}

#[test]
fn what_does_not_exist_is_named() {
    let server = Server::start();
    let error = ls_remote(&server.request("nowhere.git")).expect_err("nothing there");
    assert_eq!(error.reason(), "RepositoryNotFound", "{error}");
}

#[test]
fn credentials_are_needed_used_and_refused() {
    let server = Server::start();
    server.repository("private", &[("a.txt", "a")]);
    let mut request = server.request("private");
    let error = ls_remote(&request).expect_err("no credentials");
    assert!(matches!(error, Error::CredentialsNeeded { .. }), "{error}");
    request.credentials = Some(login("wrong"));
    let error = ls_remote(&request).expect_err("wrong credentials");
    assert!(matches!(error, Error::CredentialsRefused(_)), "{error}");
    assert!(!error.to_string().contains("wrong"), "{error}");
    request.credentials = Some(login("s3cret"));
    assert!(ls_remote(&request).is_ok());
}

#[test]
fn a_host_that_is_not_there_is_unreachable() {
    let request = Request {
        url: "http://127.0.0.1:9/shop.git".to_owned(),
        credentials: None,
        deadline: Duration::from_secs(30),
    };
    let error = ls_remote(&request).expect_err("nobody listens");
    assert_eq!(error.reason(), "HostUnreachable", "{error}");
}

#[test]
fn a_redirect_is_not_followed_with_credentials() {
    let server = Server::start();
    let mut request = server.request("elsewhere");
    request.credentials = Some(login("s3cret"));
    let error = ls_remote(&request).expect_err("another host");
    assert_eq!(error.reason(), "RedirectRefused", "{error}");
}

#[test]
fn a_redirect_to_another_port_is_not_followed_with_credentials() {
    let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let (first, second) = (listen(), listen());
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    let (own, other) = (port(&first), port(&second));
    let asks = "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"";
    let sends = format!("302 Found\r\nLocation: http://127.0.0.1:{other}/a");
    // It redirects at once, and then after it was given the credentials.
    for answers in [vec![sends.as_str()], vec![asks, &sends]] {
        let first = first.try_clone().expect("a listener");
        let answers: Vec<String> = answers.into_iter().map(str::to_owned).collect();
        let served = thread::spawn(move || {
            for status in answers {
                let (stream, _) = first.accept().expect("a request");
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                while reader.read_line(&mut line).expect("a line") > 2 {}
                let end = "Content-Length: 0\r\nConnection: close\r\n\r\n";
                write!(reader.get_mut(), "HTTP/1.1 {status}\r\n{end}").expect("an answer");
            }
        });
        let request = Request {
            url: format!("http://127.0.0.1:{own}/a"),
            credentials: Some(login("s3cret")),
            deadline: Duration::from_secs(30),
        };
        let error = ls_remote(&request).expect_err("another port");
        assert_eq!(error.reason(), "RedirectRefused", "{error}");
        served.join().expect("it was asked");
    }
    second.set_nonblocking(true).expect("a listener");
    assert!(second.accept().is_err(), "nobody was there");
}

#[test]
fn a_redirect_within_the_host_is_followed_with_credentials() {
    let server = Server::start();
    server.repository("private", &[("a.txt", "a")]);
    let mut request = server.request("moved/private");
    request.credentials = Some(login("s3cret"));
    let remote = ls_remote(&request).expect("refs");
    assert_eq!(remote.head.as_deref(), Some("refs/heads/main"));
}

#[test]
fn other_schemes_are_refused() {
    for url in ["file:///etc", "--upload-pack=x", "http://ada:pw@host/r"] {
        let request = Request {
            url: url.to_owned(),
            credentials: None,
            deadline: Duration::from_secs(5),
        };
        let error = ls_remote(&request).expect_err("refused");
        assert_eq!(error.reason(), "InvalidUrl", "{url}");
        assert!(!error.to_string().contains("pw"), "{error}");
    }
}

#[test]
fn ssh_wants_a_key_and_https_none() {
    let request = |url: &str, credentials| Request {
        url: url.to_owned(),
        credentials,
        deadline: Duration::from_secs(5),
    };
    let key = Credentials::Ssh {
        private_key: "key".to_owned(),
        passphrase: None,
        known_hosts: String::new(),
    };
    for (url, credentials, reason) in [
        ("ssh://git@127.0.0.1:9/r", None, "AuthenticationFailed"),
        ("git@127.0.0.1:r", Some(login("x")), "SecretInvalid"),
        ("https://127.0.0.1:9/r", Some(key), "SecretInvalid"),
    ] {
        let error = ls_remote(&request(url, credentials)).expect_err("refused");
        assert_eq!(error.reason(), reason, "{error}");
    }
}
