//! HTTP clients that carry credentials: they follow no redirects, and take nothing from this
//! process' environment.

use std::error::Error;

use reqwest::{Certificate, NoProxy, Proxy, Response, redirect};

/// Longest text of a reason, in characters.
const CAUSE: usize = 200;

/// How the network is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Network<'a> {
    /// Certificates in PEM that are trusted besides those of the system.
    pub ca_bundle: Option<&'a str>,
    /// Proxy for http.
    pub http_proxy: Option<&'a str>,
    /// Proxy for https.
    pub https_proxy: Option<&'a str>,
    /// Hosts, domains and address ranges that are reached directly, divided by commas.
    pub no_proxy: Option<&'a str>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Misconfigured {
    /// The certificates are none.
    #[error("the certificates are no PEM, or none of them can be used: {0}")]
    Certificates(String),
    /// A proxy is none. Not repeated: there may be a password in it.
    #[error("the proxy for {0} is no URL")]
    Proxy(&'static str),
}

/// Makes a client that keeps no connections. A default crypto provider of rustls has to be installed
/// before.
///
/// # Errors
/// When certificates or proxies cannot be read.
pub fn client(network: &Network<'_>) -> Result<reqwest::Client, Misconfigured> {
    let bundle = network.ca_bundle.unwrap_or_default().as_bytes();
    let unusable = |error: reqwest::Error| Misconfigured::Certificates(cause(&error));
    let certificates = Certificate::from_pem_bundle(bundle).map_err(unusable)?;
    let mut builder = reqwest::Client::builder()
        // Before all: it drops proxies, those of the environment too.
        .no_proxy()
        .tls_certs_merge(certificates)
        .redirect(redirect::Policy::none())
        .referer(false)
        .pool_max_idle_per_host(0);
    let direct = || network.no_proxy.and_then(NoProxy::from_string);
    if let Some(url) = network.http_proxy.filter(|it| !it.is_empty()) {
        let proxy = Proxy::http(url).map_err(|_| Misconfigured::Proxy("http"))?;
        builder = builder.proxy(proxy.no_proxy(direct()));
    }
    if let Some(url) = network.https_proxy.filter(|it| !it.is_empty()) {
        let proxy = Proxy::https(url).map_err(|_| Misconfigured::Proxy("https"))?;
        builder = builder.proxy(proxy.no_proxy(direct()));
    }
    builder.build().map_err(unusable)
}

/// The first `max` bytes of an answer's body, as far as they come.
pub async fn begin(mut answer: Response, max: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        let room = max - text.len();
        text.extend(chunk.iter().take(room));
        if text.len() == max {
            break;
        }
    }
    text
}

/// The innermost reason, in one line. The outer ones repeat the URL.
pub fn cause(error: &dyn Error) -> String {
    let mut inner = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    let line = inner.to_string().replace(char::is_control, " ");
    line.chars().take(CAUSE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_without_it() {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let refused = |network: Network<'_>| client(&network).expect_err("refused").to_string();
        let proxy = Some("http://ada:secret@[proxy");
        let https = Network {
            https_proxy: proxy,
            ..Network::default()
        };
        let http = Network {
            http_proxy: proxy,
            ..Network::default()
        };
        assert_eq!(refused(https), "the proxy for https is no URL");
        assert_eq!(refused(http), "the proxy for http is no URL");
        let empty = Network {
            http_proxy: Some(""),
            https_proxy: Some(""),
            ..Network::default()
        };
        assert!(client(&empty).is_ok());
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let page =
            axum::Router::new().route("/", axum::routing::get(|| async { "x".repeat(5000) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async { axum::serve(listener, page).await });
        let client = client(&Network::default()).expect("a client");
        for (max, read) in [(0, 0), (100, 100), (5000, 5000), (9000, 5000)] {
            let answer = client.get(&url).send().await.expect("an answer");
            assert_eq!(begin(answer, max).await.len(), read);
        }
    }
}
