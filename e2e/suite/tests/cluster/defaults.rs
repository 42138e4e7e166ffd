//! What the API server fills in where people say nothing.

use expect_test::{Expect, expect};
use suite::Cluster;

fn check(manifest: &str, expected: &Expect) {
    let cluster = Cluster::connect();
    let arguments = ["apply", "--dry-run=server", "-f", "-", "-o", "json"];
    let text = cluster.run(&arguments, manifest);
    let object: suite::Value = serde_json::from_str(&text).expect("kubectl prints JSON");
    expected.assert_eq(&format!("{:#}\n", object["spec"]));
}

fn manifest(kind: &str, spec: &str) -> String {
    format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: plain, namespace: default}}\nspec: {spec}\n"
    )
}

#[test]
fn a_project() {
    check(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {name: plain}\n",
        &expect![[r#"
            {
              "deletionPolicy": "Retain",
              "environments": [
                {
                  "name": "production"
                }
              ],
              "isolation": "Strict"
            }
        "#]],
    );
}

#[test]
fn a_service() {
    let git = "{source: {git: {url: 'https://git.example.com/acme/shop'}}}";
    check(
        &manifest("Service", git),
        &expect![[r#"
        {
          "build": {
            "cache": true,
            "dockerfile": "Dockerfile",
            "resources": {},
            "strategy": "Auto",
            "timeout": "20m"
          },
          "expose": {
            "public": true
          },
          "rollout": {
            "autoRollback": true,
            "historyLimit": 10,
            "timeout": "5m"
          },
          "run": {
            "healthcheck": {
              "timeout": "5m"
            },
            "port": 8080,
            "resources": {}
          },
          "scale": {
            "replicas": 1
          },
          "source": {
            "git": {
              "interval": "1m",
              "url": "https://git.example.com/acme/shop"
            }
          },
          "suspend": false
        }
    "#]],
    );
}

#[test]
fn a_database() {
    let spec = "{engine: Postgres, version: '17', storage: {}}";
    check(
        &manifest("Database", spec),
        &expect![[r#"
        {
          "credentials": {
            "keep": "1h"
          },
          "deletionPolicy": "Retain",
          "engine": "Postgres",
          "replicas": 1,
          "resources": {},
          "storage": {
            "size": "1Gi"
          },
          "suspend": false,
          "version": "17"
        }
    "#]],
    );
}
