//! The SQL that a Database begins with.

use expect_test::expect;
use serde_json::json;

use super::{database, decide, seen};

#[test]
fn a_server_is_given_the_sql_that_it_begins_with() {
    let parts = |more: &str| {
        let object = database(&format!("{{engine: Postgres, version: '17'{more}}}"));
        let children = decide(&object, &seen()).children.expect("children");
        let pod = serde_json::to_value(&children.set).expect("JSON");
        let pod = &pod["spec"]["template"]["spec"];
        let server = &pod["containers"][0];
        let named = |list: &serde_json::Value| {
            let all = list.as_array().cloned().unwrap_or_default();
            all.into_iter().find(|it| it["name"] == "init")
        };
        json!({
            "command": server["command"],
            "mount": named(&server["volumeMounts"]),
            "volume": named(&pod["volumes"]),
        })
    };
    let with = parts(", init: {configMapKeyRef: {name: schema, key: first.sql}}");
    expect![[r#"
        - command:
          - /opt/trackbed/bin/trackbed
          - supervisor
          - postgres
          - --version=17
          mount: null
          volume: null
        - command:
          - /opt/trackbed/bin/trackbed
          - supervisor
          - postgres
          - --version=17
          - --init=/etc/trackbed/init/init.sql
          mount:
            mountPath: /etc/trackbed/init
            name: init
            readOnly: true
          volume:
            configMap:
              items:
              - key: first.sql
                path: init.sql
              name: schema
              optional: true
            name: init
    "#]]
    .assert_eq(&serde_saphyr::to_string(&[parts(""), with]).expect("YAML"));
}
