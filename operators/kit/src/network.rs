//! The way to hosts outside of the cluster, as builds have it.

use trackbed_api::environment::BuildEnvironment;
use trackbed_http::Network;

/// Proxies and certificates of builds.
pub fn of(environment: &BuildEnvironment) -> Network<'_> {
    Network {
        ca_bundle: environment.ca_bundle.as_deref(),
        http_proxy: environment.http_proxy.as_deref(),
        https_proxy: environment.https_proxy.as_deref(),
        no_proxy: environment.no_proxy.as_deref(),
    }
}
