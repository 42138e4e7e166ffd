//! Databases of one Postgres besides the one that is always there.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    database::{Binding, DatabaseSpec, Engine},
    scalar::{DatabaseName, ExtensionName},
};

/// The database that is always there, and its user.
pub const MAIN: &str = "app";

/// A database in a Postgres server, with a user who owns it and can enter no other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.name != 'app' || !has(self.owner)").message("app is the database that is always there, and its owner is app: remove owner"),
    validation = Rule::new("self.name == 'app' || [has(self.owner) ? self.owner : self.name].all(it, !(it in ['app', 'postgres', 'public', 'none', 'streaming_replica', 'cnpg_pooler_pgbouncer', 'cnpg_metrics_exporter']) && !it.startsWith('pg_') && !it.startsWith('trackbed_') && !it.endsWith('_2'))").message("owner must be a user of its own: none of app, postgres, public and none, nor a name that begins with pg_ or trackbed_, or ends with _2, which is what an owner's second user is called. Without owner it is the database's name"),
    validation = Rule::new("(has(self.owner) ? self.owner : self.name) == (has(oldSelf.owner) ? oldSelf.owner : oldSelf.name)").message("owner cannot be changed: everything in the database belongs to that user. List another database, and move the data")
)]
pub struct ListedDatabase {
    /// Name of the database. `app` is the one that is always there, to give it extensions.
    #[x_kube(validation = Rule::new("!(self in ['postgres', 'template0', 'template1'])").message("postgres, template0 and template1 are the server's own: take another name"))]
    pub name: DatabaseName,
    /// User who owns it, and everything in it. Several databases may have the same. Default: the
    /// database's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<DatabaseName>,
    /// Extensions in it, of those that the image has. One that is taken out of the list stays: data
    /// may hang on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "set"))]
    pub extensions: Vec<ExtensionName>,
}

impl ListedDatabase {
    /// The user who owns it.
    pub fn owner(&self) -> &str {
        self.owner.as_deref().unwrap_or(&self.name)
    }
}

impl DatabaseSpec {
    /// Whether there is to be a database of that name in the server.
    pub fn has_database(&self, name: &str) -> bool {
        let mut listed = self.databases.iter();
        self.engine == Engine::Postgres
            && (name == MAIN || listed.any(|it| it.name.as_str() == name))
    }
}

/// A database, its user, and the Secret that tells of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseEntry {
    /// Name of the database.
    pub name: String,
    /// User who owns it.
    pub owner: String,
    /// Its binding Secret.
    pub binding: Binding,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_not_listed_is_not_there() {
        let spec = |engine: &str| -> DatabaseSpec {
            let text = format!(
                r#"{{"engine": "{engine}", "version": "17", "databases": [{{"name": "analytics"}}]}}"#
            );
            serde_json::from_str(&text).expect("a spec")
        };
        let postgres = spec("Postgres");
        assert!(postgres.has_database("app"));
        assert!(postgres.has_database("analytics"));
        assert!(!postgres.has_database("reports"));
        assert!(!spec("Redis").has_database("app"), "it has numbers");
        assert_eq!(postgres.databases[0].owner(), "analytics");
    }
}
