//! Databases that an application finds as files.

use std::fmt::Write;

use expect_test::expect;
use serde::Serialize;
use serde_json::Value;

use trackbed_api::Deployment;
use trackbed_deployment::plan::environment::{Lack, references};

use crate::{RELEASE, SERVICE, children_of};

/// What a pod has of bindings: its volumes, and per container the variable and the mounts.
fn told(object: &impl Serialize, path: &str) -> String {
    let object = serde_json::to_value(object).expect("JSON");
    let pod = object.pointer(path).expect("a pod");
    let mut text = format!("{}\n", pod["volumes"]);
    for container in pod["containers"].as_array().into_iter().flatten() {
        let variables = container["env"].as_array().into_iter().flatten();
        let root: Vec<&Value> = variables
            .filter(|it| it["name"] == "SERVICE_BINDING_ROOT")
            .collect();
        writeln!(
            text,
            "{root:?} {}",
            container.get("volumeMounts").unwrap_or(&Value::Null)
        )
        .expect("text");
    }
    text
}

const POD: &str = "/spec/template/spec";

fn with(more: &str) -> String {
    RELEASE.replace("  run:\n", &format!("  run:\n    {more}\n"))
}

#[test]
fn each_database_has_a_folder() {
    let release = with("bindings: [{name: db}, {name: cache}]");
    let children = children_of(SERVICE, &release, |_| (), |_| ());
    expect![[r#"
        [{"name":"trackbed-binding-db","secret":{"secretName":"db-credentials"}},{"name":"trackbed-binding-cache","secret":{"secretName":"cache-credentials"}}]
        [Object {"name": String("SERVICE_BINDING_ROOT"), "value": String("/bindings")}] [{"mountPath":"/bindings/db","name":"trackbed-binding-db","readOnly":true},{"mountPath":"/bindings/cache","name":"trackbed-binding-cache","readOnly":true}]
    "#]].assert_eq(&told(&children.workload, POD));
}

#[test]
fn who_says_where_they_are_is_not_contradicted() {
    let own = "    env:\n    - {name: SERVICE_BINDING_ROOT, value: /elsewhere}\n";
    let release = with("bindings: [{name: db}]").replace("    env:\n", own);
    let children = children_of(SERVICE, &release, |_| (), |_| ());
    let told = told(&children.workload, POD);
    assert!(told.contains(r#""/elsewhere""#), "{told}");
    assert_eq!(told.matches("SERVICE_BINDING_ROOT").count(), 1, "{told}");
}

#[test]
fn a_database_in_a_server_has_a_secret_of_its_own() {
    let release = with("bindings: [{name: db, database: web_shop}]");
    let release = release.replace(
        "{name: db}}}",
        "{name: db, database: web_shop, key: password}}}",
    );
    let children = children_of(SERVICE, &release, |_| (), |_| ());
    let pod = serde_json::to_value(&children.workload).expect("JSON");
    let secret = "db.web-shop-credentials";
    let volume = pod.pointer("/spec/template/spec/volumes/0/secret/secretName");
    assert_eq!(volume, Some(&Value::from(secret)));
    let variables = pod.pointer("/spec/template/spec/containers/0/env");
    let variables = variables.and_then(Value::as_array).expect("variables");
    let named = |it: &&Value| it["name"] == "DATABASE_URL";
    let variable = variables.iter().find(named).expect("a variable");
    assert_eq!(variable["valueFrom"]["secretKeyRef"]["name"], secret);
    assert_eq!(variable["valueFrom"]["secretKeyRef"]["key"], "password");
}

#[test]
fn a_database_that_is_not_listed_is_named() {
    let release: Deployment =
        serde_saphyr::from_str(&with("bindings: [{name: db, database: shop}]")).expect("a release");
    let needed = references(&release).into_iter();
    let missing = needed.map(|it| it.missing("shop-production", Lack::Unlisted));
    let missing: Vec<_> = missing
        .filter(|it| it.sentence.contains("bindings"))
        .collect();
    assert_eq!(
        missing[0].sentence,
        "Database db in namespace shop-production has no database shop: add it to spec.databases of the Database, or remove db from run.bindings"
    );
    assert!(missing[0].watched, "the Database says when it is");
}
