//! What a new Database begins with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::run::KeyReference;

/// SQL that a new Postgres begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Init {
    /// Key of a ConfigMap in this namespace that has the SQL. It runs once, as the application's user,
    /// in one transaction, before anybody else is let in. What psql does itself (`\copy` and the
    /// like, and data after `COPY FROM STDIN`) is no SQL.
    pub config_map_key_ref: KeyReference,
}
