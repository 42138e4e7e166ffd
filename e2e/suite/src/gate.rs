//! A gate that each write of the operator in a namespace has to pass: an admission webhook, which the
//! API server asks in the middle of the request.

use std::{fmt, sync::Arc};

use axum::{Json, Router, extract::State, routing::post};
use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use crate::{
    Cluster,
    serve::{Server, host},
};

/// Who the operator is to the API server.
pub const OPERATOR: &str = "system:serviceaccount:trackbed-system:trackbed";

type Watch = Arc<dyn Fn(&Value) + Send + Sync>;

/// The gate, until it is dropped.
pub struct Gate {
    cluster: Cluster,
    name: String,
    _server: Server,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Has `watch` told of each write of the operator in a namespace, Events excepted, before the
    /// API server goes on with it: an `AdmissionRequest`
    /// (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>).
    /// All of them are let through.
    ///
    /// # Panics
    /// If the gate cannot be set up.
    #[track_caller]
    pub fn gate(&self, namespace: &str, watch: impl Fn(&Value) + Send + Sync + 'static) -> Gate {
        let certificate = rcgen::generate_simple_self_signed([host()]).expect("a certificate");
        let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.cert.der().clone()], key)
            .expect("a certificate with its key");
        let watch: Watch = Arc::new(watch);
        let router = Router::new().route("/", post(review)).with_state(watch);
        let server = Server::start_secured(router, TlsAcceptor::from(Arc::new(config)));
        let name = format!("gate-{namespace}");
        let webhook = json!({
            "name": "gate.e2e.trackbed.dev",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 30,
            "failurePolicy": "Ignore",
            "clientConfig": {
                "url": format!("https://{}/", server.address),
                "caBundle": BASE64_STANDARD.encode(certificate.cert.pem()),
            },
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": [{
                "apiGroups": ["*"],
                "apiVersions": ["*"],
                "operations": ["CREATE", "UPDATE", "DELETE"],
                "resources": ["*/*"],
                "scope": "Namespaced",
            }],
            "matchConditions": [
                {"name": "operator", "expression": format!("request.userInfo.username == '{OPERATOR}'")},
                {"name": "no-events", "expression": "request.resource.resource != 'events'"},
            ],
        });
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [webhook],
        });
        self.apply(&configuration.to_string());
        Gate {
            cluster: self.clone(),
            name,
            _server: server,
        }
    }
}

async fn review(State(watch): State<Watch>, Json(review): Json<Value>) -> Json<Value> {
    let request = review["request"].clone();
    let uid = request["uid"].clone();
    // What it panics with stands in the test's output; the write goes on.
    let _told = tokio::task::spawn_blocking(move || watch(&request)).await;
    Json(json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": uid, "allowed": true},
    }))
}

impl Drop for Gate {
    fn drop(&mut self) {
        let what = ["delete", "validatingwebhookconfigurations", &self.name];
        self.cluster.kubectl(&what, "");
    }
}
