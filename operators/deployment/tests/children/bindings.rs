//! Databases that an application finds as files.

use std::fmt::Write;

use expect_test::expect;
use serde::Serialize;
use serde_json::Value;

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
