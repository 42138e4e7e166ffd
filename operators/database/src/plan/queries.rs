//! What several servers tell Prometheus besides CloudNativePG's own metrics: under the names that a
//! single server's supervisor uses, after a prefix that the chart's PodMonitor takes away
//! (<https://cloudnative-pg.io/documentation/1.30/monitoring/#user-defined-metrics>).

use serde_json::{Map, Value, json};
use trackbed_kit::Fact;

use super::{Place, settings::Backups};

/// File with the queries, in the ConfigMap of the settings.
pub const FILE: &str = "queries";
/// What the names begin with.
const NAME: &str = "trackbed_database";

/// What is told: the rest of the names, and what they tell. How backups stand, as far as it is known,
/// comes after them.
pub const METRICS: [(&str, &str); 4] = [
    ("connections", "Clients that are connected"),
    ("connections_max", "Clients that may be connected"),
    ("data_bytes", "What the databases and the log take"),
    ("replicas", "Servers that there are to be"),
];
/// And where there is an archive.
pub const ARCHIVE: (&str, &str) = (
    "archive_failed",
    "Whether the log does not reach its archive, or the last copy of all data could not be taken",
);
/// Whether the server could not give the last of its log away.
const LOG: &str = "(select count(*) from pg_stat_archiver where last_failed_time > coalesce(last_archived_time, '-infinity'))";
/// How busy a server is, and what its files take.
const LOAD: &str = "select (select count(*) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()) as connections, \
    current_setting('max_connections')::int as connections_max, \
    (select sum(pg_database_size(oid)) from pg_database where datallowconn) + (select coalesce(sum(size), 0) from pg_ls_waldir()) as data_bytes";
const VERSION: &str = "select current_setting('server_version') as version, 1 as info";

/// The queries, as JSON, which is YAML. The plan knows some of the answers: a server does not ask it.
pub(super) fn queries(
    place: &Place<'_>,
    backups: Option<&Backups>,
    archived: Option<&Fact>,
) -> String {
    let mut query = LOAD.to_owned();
    let mut metrics: Vec<_> = METRICS.map(|(name, what)| metric(name, what)).into();
    query += &format!(", {} as replicas", place.object.spec.replicas);
    for (name, value, what) in backups.into_iter().flat_map(Backups::told) {
        query += &format!(", {value} as {name}");
        metrics.push(metric(name, what));
    }
    if let Some(fact) = archived {
        let failed = i32::from(fact.status == Some(false));
        query += &format!(", greatest({LOG}, {failed}) as {}", ARCHIVE.0);
        metrics.push(metric(ARCHIVE.0, ARCHIVE.1));
    }
    let label = json!({"version": {"usage": "LABEL", "description": "Version of the server"}});
    let info = metric("info", "Version of the server, as a label");
    let queries = json!({
        NAME: {"query": query, "metrics": metrics},
        format!("{NAME}_server"): {"query": VERSION, "metrics": [label, info]},
    });
    queries.to_string()
}

fn metric(name: &str, what: &str) -> Value {
    let metric = json!({"usage": "GAUGE", "description": what});
    Value::Object(Map::from_iter([(name.to_owned(), metric)]))
}
