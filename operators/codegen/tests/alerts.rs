//! Alerts and dashboard ask for metrics that there are, in words that Prometheus understands.

use std::{collections::BTreeSet, fs};

use prometheus_client::registry::Registry;
use promql_parser::{
    parser::{Expr, VectorSelector, parse},
    util::{ExprVisitor, walk_expr},
};
use serde_json::Value;
use trackbed_api::common::condition::BACKUP_READY;
use trackbed_codegen::root;
use trackbed_database::plan::{job, queries, server, settings, storage::Volume};
use trackbed_kit::Fact;
use trackbed_supervisor::observe::{GROUP, METRICS, PORT, PREFIX, backups};

/// All metrics, as Prometheus names them.
fn known() -> BTreeSet<String> {
    let mut registry = Registry::default();
    let metrics = trackbed_kit::metrics::Metrics::new(&mut registry);
    metrics.write("database", "create");
    metrics.transition("database", "Ready");
    metrics.reconciled("database", "ok", 0.1);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
    let operator = text.lines().filter(|line| !line.starts_with('#'));
    let operator = operator.filter_map(|line| line.split(['{', ' ']).next());
    let servers = METRICS.into_iter().chain(GROUP).chain(backups::METRICS);
    let servers = servers.chain(queries::METRICS).chain([queries::ARCHIVE]);
    let servers = servers.map(|(name, _)| format!("{PREFIX}_{name}"));
    operator.map(str::to_owned).chain(servers).collect()
}

#[derive(Default)]
struct Names(Vec<String>);

impl ExprVisitor for Names {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
        let selector: Option<&VectorSelector> = match expression {
            Expr::VectorSelector(selector) => Some(selector),
            Expr::MatrixSelector(matrix) => Some(&matrix.vs),
            _ => None,
        };
        self.0.extend(selector.and_then(|it| it.name.clone()));
        Ok(true)
    }
}

/// The metrics that an expression asks for.
fn asked(expression: &str) -> Vec<String> {
    let parsed = parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let mut names = Names::default();
    let Ok(_) = walk_expr(&mut names, &parsed);
    assert!(!names.0.is_empty(), "it asks for nothing: {expression}");
    names.0
}

fn read(path: &str) -> Value {
    let text = fs::read_to_string(root().join(path)).expect("the file is there");
    serde_saphyr::from_str(&text).expect("YAML")
}

/// All texts under a key, however deep.
fn texts<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == key => found.push(text),
                    value => texts(value, key, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, key, found)),
        _ => {}
    }
}

#[test]
fn the_operator_reads_what_servers_tell() {
    let text = METRICS
        .map(|(name, _)| format!("{PREFIX}_{name} 7\n"))
        .concat();
    assert!(Volume::read(&text).is_some(), "{text}");
    assert_eq!(i32::from(PORT), server::METRICS);
    assert_eq!(i32::from(trackbed_supervisor::LASTING), job::LASTING);
}

#[test]
fn servers_read_what_the_operator_says_of_backups() {
    assert_eq!(settings::BACKUPS, backups::FILE);
    let folder = tempfile::tempdir().expect("a folder");
    let read = |spec: &str, status: &str, ready: Option<bool>| {
        let spec = serde_saphyr::from_str(spec).expect("a spec");
        let status = serde_saphyr::from_str(status).expect("a status");
        let ready = Fact::new(BACKUP_READY, ready, "Reason", "message");
        let said = settings::Backups::of(&spec, Some(&status), Some(&ready)).expect("backups");
        let said = serde_json::to_string(&said).expect("JSON");
        fs::write(folder.path().join(backups::FILE), said).expect("a file");
        backups::Backups::read(folder.path()).expect("it is read")
    };
    let volume = "destination: {volume: {}}";
    assert_eq!(
        read(
            &format!(
                "{{engine: Postgres, version: '17', backup: {{schedule: '@daily', {volume}}}}}"
            ),
            "{last: '2026-01-01T04:00:01Z', lastVerified: '2026-01-01T03:00:01Z'}",
            Some(false),
        ),
        backups::Backups {
            scheduled: true,
            failed: true,
            last: Some(1_767_240_001),
            last_verified: Some(1_767_236_401),
        }
    );
    assert_eq!(
        read(
            &format!("{{engine: Postgres, version: '17', backup: {{{volume}}}}}"),
            "{}",
            None,
        ),
        backups::Backups {
            scheduled: false,
            failed: false,
            last: None,
            last_verified: None,
        }
    );
}

#[test]
fn what_is_asked_for_is_there() {
    let known = known();
    for (path, least) in [
        ("charts/trackbed/files/alerts.yaml", 10),
        ("charts/trackbed/files/dashboard.json", 10),
    ] {
        let file = read(path);
        let mut expressions = Vec::new();
        texts(&file, "expr", &mut expressions);
        assert!(expressions.len() >= least, "{path}: {expressions:?}");
        for expression in expressions {
            // Grafana replaces its variables by values.
            let expression = expression.replace("$namespace", ".*");
            for name in asked(&expression) {
                assert!(known.contains(&name), "{path}: {name} is none of {known:?}");
            }
        }
    }
}

#[test]
fn every_alert_says_what_it_means_and_what_to_do() {
    let file = read("charts/trackbed/files/alerts.yaml");
    let groups = file["groups"].as_array().expect("groups");
    let rules = groups
        .iter()
        .flat_map(|it| it["rules"].as_array().expect("rules"));
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        assert!(name.starts_with("Trackbed"), "{name}");
        let severity = rule["labels"]["severity"].as_str();
        assert!(matches!(severity, Some("warning" | "critical")), "{name}");
        for words in ["summary", "description"] {
            let text = rule["annotations"][words].as_str().unwrap_or_default();
            assert!(text.ends_with('.'), "{name}, {words}: {text:?}");
        }
    }
}
