//! The parts of cert-manager's kinds that Trackbed reads and writes
//! (<https://cert-manager.io/docs/reference/api-docs/>).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// A certificate that is to be kept valid.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "cert-manager.io",
    version = "v1",
    kind = "Certificate",
    namespaced,
    schema = "disabled",
    status = "CertificateStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSpec {
    /// The Secret that it is written to.
    pub secret_name: String,
    /// The hosts that it is for.
    pub dns_names: Vec<String>,
    /// Who issues it.
    pub issuer_ref: IssuerReference,
    /// How its key is made.
    pub private_key: PrivateKey,
}

/// Who issues a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerReference {
    /// `cert-manager.io`.
    pub group: String,
    /// `ClusterIssuer` or `Issuer`.
    pub kind: String,
    /// Name of the issuer.
    pub name: String,
}

/// How a key is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrivateKey {
    /// `RSA`, `ECDSA` or `Ed25519`.
    pub algorithm: String,
    /// Bits.
    pub size: i32,
    /// `Always`: a new key with each certificate.
    pub rotation_policy: String,
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateStatus {
    /// Ready and Issuing.
    pub conditions: Vec<Condition>,
    /// Until when it is valid.
    pub not_after: Option<Time>,
    /// When it is renewed.
    pub renewal_time: Option<Time>,
}

/// One try to have a certificate issued.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "cert-manager.io",
    version = "v1",
    kind = "CertificateRequest",
    namespaced,
    schema = "disabled",
    status = "CertificateRequestStatus",
    derive = "PartialEq"
)]
pub struct CertificateRequestSpec {}

/// How far a try is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateRequestStatus {
    /// Approved and Ready, among others.
    pub conditions: Vec<Condition>,
}

/// A condition; cert-manager's own type, not that of the API machinery.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// CamelCase word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

/// The condition of a type.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}
