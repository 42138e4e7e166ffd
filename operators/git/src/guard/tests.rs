use super::*;

fn place(url: &str) -> Place {
    Place {
        url: Url::parse(url).expect("a URL"),
        upstream: None,
        tell: Box::new(|_| {}),
    }
}

#[test]
fn one_scheme_host_and_port_is_reached() {
    let https = "https://example.com/a";
    let other = "https://example.com:8443/a";
    let cases = [
        (https, "CONNECT example.com:443 HTTP/1.1", true),
        (https, "CONNECT EXAMPLE.com:443 HTTP/1.1", true),
        (https, "CONNECT example.com:8443 HTTP/1.1", false),
        (https, "CONNECT example.com.evil.test:443 HTTP/1.1", false),
        (https, "GET http://example.com/a HTTP/1.1", false),
        (https, "GET /a HTTP/1.1", false),
        (other, "CONNECT example.com:8443 HTTP/1.1", true),
        (other, "CONNECT example.com:443 HTTP/1.1", false),
        ("https://[::1]/a", "CONNECT ::1:443 HTTP/1.1", true),
        ("http://example.com/a", "GET /a?b HTTP/1.1", true),
        (
            "http://example.com/a",
            "GET http://example.org/a HTTP/1.1",
            false,
        ),
        (
            "http://example.com/a",
            "CONNECT example.com:443 HTTP/1.1",
            false,
        ),
        ("http://example.com/a", "", false),
    ];
    for (url, line, expected) in cases {
        let wanted = place(url).wanted(&[line.to_owned()]).is_some();
        assert_eq!(wanted, expected, "{url} {line}");
    }
}

#[test]
fn redirects_stay_at_the_place() {
    let place = place("http://example.com:3000/a");
    for (location, expected) in [
        ("/b?c", Some("/b?c")),
        ("http://example.com:3000/b", Some("/b")),
        ("http://EXAMPLE.com:3000/b", Some("/b")),
        ("http://example.com/b", None),
        ("http://example.com:3001/b", None),
        ("https://example.com:3000/b", None),
        ("http://example.org:3000/b", None),
        ("//example.org/b", None),
        ("b", None),
        ("", None),
    ] {
        assert_eq!(place.within(location).as_deref(), expected, "{location}");
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let answer = place.answer(&lines("HTTP/1.1 301 Moved\nlocation: /b\nX: y"));
    assert_eq!(
        answer.expect("an answer"),
        "HTTP/1.1 301 Moved\r\nConnection: close\r\nLocation: /b\r\nX: y\r\n\r\n"
    );
    let answer = place.answer(&lines("HTTP/1.1 302 Found\nLocation: https://evil.test/"));
    assert!(matches!(answer, Err(Stop::Elsewhere)), "{answer:?}");
}

#[test]
fn what_is_about_one_connection_is_not_sent_on() {
    let request = [
        "GET /a HTTP/1.1",
        "Host: 127.0.0.1:40000",
        "Authorization: Basic eA==",
        "Proxy-Connection: keep-alive",
    ];
    let kept: Vec<_> = others(&request.map(str::to_owned)).collect();
    assert_eq!(kept, ["Authorization: Basic eA=="]);
    assert_eq!(host(&place("http://example.com/a").url), "example.com");
    assert_eq!(host(&place("http://h:3000/a").url), "h:3000");
}

#[test]
fn a_proxy_is_at_an_address_that_can_be_spoken_to() {
    let found = |text: &'static str| proxy_authority(&Uri::from_static(text)).ok();
    assert_eq!(found("http://proxy:3128"), Some("proxy:3128".to_owned()));
    assert_eq!(found("http://proxy"), Some("proxy:80".to_owned()));
    assert_eq!(found("https://proxy:3129"), None);
    assert!(opened(&["HTTP/1.1 200 OK".to_owned()]).is_ok());
    let refused = opened(&["HTTP/1.1 407 Proxy Authentication Required".to_owned()]);
    let refused = refused.expect_err("no tunnel").to_string();
    assert!(refused.contains("407"), "{refused}");
}
