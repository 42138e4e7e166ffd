//! The parts of the Gateway API's kinds that Trackbed reads and writes
//! (<https://gateway-api.sigs.k8s.io/reference/spec/>).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// The API group.
const GROUP: &str = "gateway.networking.k8s.io";

/// Requests of some hosts, and where they go.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "HTTPRoute",
    plural = "httproutes",
    namespaced,
    schema = "disabled",
    root = "HttpRoute",
    status = "HttpRouteStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteSpec {
    /// The listeners that requests come in by.
    pub parent_refs: Vec<ParentReference>,
    /// The hosts.
    pub hostnames: Vec<String>,
    /// What becomes of a request.
    pub rules: Vec<HttpRule>,
}

/// A Gateway, or one listener of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParentReference {
    /// Always this group.
    pub group: String,
    /// Always `Gateway`.
    pub kind: String,
    /// Namespace of the Gateway. Default: that of the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name of the Gateway.
    pub name: String,
    /// Name of the listener. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

impl ParentReference {
    /// A Gateway, or one listener of it.
    pub fn new(namespace: Option<String>, name: String, section_name: Option<String>) -> Self {
        Self {
            group: GROUP.to_owned(),
            kind: "Gateway".to_owned(),
            namespace,
            name,
            section_name,
        }
    }
}

/// What becomes of requests that match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRule {
    /// Which requests.
    pub matches: Vec<HttpMatch>,
    /// What is done with them before they are passed on, or instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<HttpFilter>,
    /// Where they go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backend_refs: Vec<BackendReference>,
}

/// Which requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpMatch {
    /// By their path.
    pub path: PathMatch,
}

/// Which paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathMatch {
    /// `PathPrefix` or `Exact`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The path.
    pub value: String,
}

impl Default for PathMatch {
    fn default() -> Self {
        Self {
            kind: "PathPrefix".to_owned(),
            value: "/".to_owned(),
        }
    }
}

/// What is done with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpFilter {
    /// `RequestRedirect`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where to.
    pub request_redirect: Redirect,
}

impl HttpFilter {
    /// The same by https, for good.
    pub fn to_https() -> Self {
        Self {
            kind: "RequestRedirect".to_owned(),
            request_redirect: Redirect {
                scheme: "https".to_owned(),
                port: 443,
                status_code: 301,
            },
        }
    }
}

/// Where a request is sent instead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Redirect {
    /// The scheme of the new URL.
    pub scheme: String,
    /// Its port.
    pub port: i32,
    /// The answer's status.
    pub status_code: i32,
}

/// Where requests go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendReference {
    /// Name of a Service of Kubernetes'.
    pub name: String,
    /// Its port.
    pub port: i32,
}

/// What the Gateways say of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpRouteStatus {
    /// Each of them.
    pub parents: Vec<RouteParentStatus>,
}

/// What one Gateway says of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteParentStatus {
    /// Accepted and ResolvedRefs.
    pub conditions: Vec<Condition>,
}

/// A way into the cluster.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "Gateway",
    namespaced,
    schema = "disabled",
    status = "GatewayStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// Who makes it.
    pub gateway_class_name: String,
    /// Where it listens.
    pub listeners: Vec<Listener>,
}

/// What the Gateway's maker says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GatewayStatus {
    /// Accepted and Programmed.
    pub conditions: Vec<Condition>,
}

/// Where a Gateway listens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Name in the Gateway.
    pub name: String,
    /// The host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The port.
    pub port: i32,
    /// `HTTPS`.
    pub protocol: String,
    /// Its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
}

/// The certificate of a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// `Terminate`.
    pub mode: String,
    /// Secrets of the Gateway's namespace.
    pub certificate_refs: Vec<CertificateReference>,
}

/// A Secret of the Gateway's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateReference {
    /// Its name.
    pub name: String,
}

impl Listener {
    /// Listens for a host by https, with the certificate in a Secret.
    pub fn https(name: String, hostname: String, port: i32, secret: String) -> Self {
        Self {
            name,
            hostname: Some(hostname),
            port,
            protocol: "HTTPS".to_owned(),
            tls: Some(ListenerTls {
                mode: "Terminate".to_owned(),
                certificate_refs: vec![CertificateReference { name: secret }],
            }),
        }
    }
}
