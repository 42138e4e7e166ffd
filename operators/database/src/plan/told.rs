//! What a supervisor says of further databases: in the metrics of a single server, or as a Job's last
//! words.

use serde::Deserialize;

/// What a supervisor says of the databases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Told {
    /// Of the list that it has done.
    pub version: String,
    /// Databases and the extensions that they cannot have.
    pub unavailable: Vec<(String, String)>,
    /// Databases and whom they belong to instead.
    pub differing: Vec<(String, String)>,
}

impl Told {
    /// Reads metrics. `None`: it was told of none.
    pub fn read(metrics: &str) -> Option<Self> {
        let labels = |name: &str, keys: [&str; 2]| -> Vec<(String, String)> {
            let of = |line: &str| {
                let rest = line.strip_prefix(name)?.strip_prefix('{')?;
                Some((label(rest, keys[0])?, label(rest, keys[1])?))
            };
            metrics.lines().filter_map(of).collect()
        };
        let version = metrics.lines().find_map(|line| {
            label(
                line.strip_prefix("trackbed_database_databases{")?,
                "version",
            )
        })?;
        Some(Self {
            version,
            unavailable: labels(
                "trackbed_database_extension_unavailable",
                ["database", "extension"],
            ),
            differing: labels("trackbed_database_owner_differs", ["database", "owner"]),
        })
    }
}

/// A label's value. Names of ours have no quotes in them.
fn label(labels: &str, key: &str) -> Option<String> {
    let (_, rest) = labels.split_once(&format!("{key}=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}
