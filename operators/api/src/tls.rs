//! Encrypted connections to a Database.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backup::SecretRef;

/// How clients and the server of a Database encrypt what they say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Whether clients have to. Redis and Valkey have one port, which is encrypted for everybody or
    /// for nobody: of them it is `Require`.
    #[serde(default)]
    pub mode: TlsMode,
    /// Secret in this namespace with the server's certificate and key, as cert-manager writes it:
    /// `tls.crt`, `tls.key`, and `ca.crt` for clients. Its names are those of the Database: `db`,
    /// `db.NAMESPACE`, `db.NAMESPACE.svc`, and `host` of the binding Secret, which backups of Redis
    /// and Valkey check it for, and several servers each other; these need `ca.crt`. A renewed one
    /// is taken up without a restart. Default: an authority of the Database's own, whose certificate
    /// is `ca.crt` of the binding Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// Whether clients have to encrypt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// They may.
    #[default]
    Allow,
    /// Those that do not are turned away.
    Require,
}
