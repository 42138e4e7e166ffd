//! The HTTP client, with the proxies and certificates that builds have.

use reqwest::{Certificate, NoProxy, Proxy, redirect};
use trackbed_api::environment::BuildEnvironment;

/// A client that follows no redirects and takes nothing from this process' environment.
///
/// # Errors
/// Certificates or proxies that are none, in words without them: there may be a password in a proxy.
pub(super) fn client(environment: &BuildEnvironment) -> Result<reqwest::Client, String> {
    let bundle = environment.ca_bundle.as_deref().unwrap_or_default();
    let certificates = Certificate::from_pem_bundle(bundle.as_bytes())
        .map_err(|error| format!("the certificates cannot be used: {}", super::cause(&error)))?;
    let mut builder = reqwest::Client::builder()
        // Before all: it drops proxies, those of the environment too.
        .no_proxy()
        .tls_certs_merge(certificates)
        .redirect(redirect::Policy::none())
        .referer(false);
    let direct = || {
        let hosts = environment.no_proxy.as_deref();
        hosts.and_then(NoProxy::from_string)
    };
    let given = |proxy: &'_ Option<String>| proxy.clone().filter(|it| !it.is_empty());
    if let Some(url) = given(&environment.http_proxy) {
        let proxy = Proxy::http(url).map_err(|_| "the proxy for http is no URL".to_owned())?;
        builder = builder.proxy(proxy.no_proxy(direct()));
    }
    if let Some(url) = given(&environment.https_proxy) {
        let proxy = Proxy::https(url).map_err(|_| "the proxy for https is no URL".to_owned())?;
        builder = builder.proxy(proxy.no_proxy(direct()));
    }
    let built = builder.build();
    built.map_err(|error| format!("the certificates cannot be used: {}", super::cause(&error)))
}
