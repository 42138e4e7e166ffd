//! What an environment consists of.

use expect_test::expect;
use trackbed_kit::Config;
use trackbed_project::plan::plan;

use super::{now, project, seen};

#[test]
fn the_children_of_an_environment() {
    let object = project(
        "{environments: [{name: production}], quota: {cpu: 2, memory: 4Gi}, members: [{kind: Group, name: \"team: {a}\\n- b\", role: Viewer}]}",
    );
    let mut config = Config::example();
    config.build.environment.package_indexes.cargo =
        Some("https://crates.example.com/index/".into());
    let planned = plan(&object, &seen(&object), &config, now());
    let desired = &planned.children.environments[0];
    let yaml = |text: Result<String, _>| text.expect("YAML");
    let documents = [
        yaml(serde_saphyr::to_string(&desired.namespace)),
        yaml(serde_saphyr::to_string(&desired.bindings)),
        yaml(serde_saphyr::to_string(&desired.quota)),
        yaml(serde_saphyr::to_string(&desired.limits)),
        yaml(serde_saphyr::to_string(&desired.secrets)),
        yaml(serde_saphyr::to_string(&desired.build_files)),
    ];
    expect![[r#"
        apiVersion: v1
        kind: Namespace
        metadata:
          annotations:
            trackbed.dev/created: "true"
          labels:
            app.kubernetes.io/managed-by: trackbed
            pod-security.kubernetes.io/enforce: baseline
            pod-security.kubernetes.io/warn: restricted
            trackbed.dev/environment: production
            trackbed.dev/project: shop
          name: shop-production
        ---
        - apiVersion: rbac.authorization.k8s.io/v1
          kind: RoleBinding
          metadata:
            labels:
              app.kubernetes.io/managed-by: trackbed
              trackbed.dev/project: shop
            name: trackbed-environment
            namespace: shop-production
          roleRef:
            apiGroup: rbac.authorization.k8s.io
            kind: ClusterRole
            name: trackbed-environment
          subjects:
          - kind: ServiceAccount
            name: trackbed
            namespace: trackbed-system
        - apiVersion: rbac.authorization.k8s.io/v1
          kind: RoleBinding
          metadata:
            labels:
              app.kubernetes.io/managed-by: trackbed
              trackbed.dev/project: shop
            name: trackbed-viewer-6b96c8cc16
            namespace: shop-production
          roleRef:
            apiGroup: rbac.authorization.k8s.io
            kind: ClusterRole
            name: trackbed-viewer
          subjects:
          - apiGroup: rbac.authorization.k8s.io
            kind: Group
            name: |-
              team: {a}
              - b
        ---
        apiVersion: v1
        kind: ResourceQuota
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
          name: trackbed
          namespace: shop-production
        spec:
          hard:
            requests.cpu: "2"
            requests.memory: 4Gi
        ---
        apiVersion: v1
        kind: LimitRange
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
          name: trackbed
          namespace: shop-production
        spec:
          limits:
          - default:
              cpu: 500m
              memory: 512Mi
            defaultRequest:
              cpu: 100m
              memory: 128Mi
            type: Container
        ---
        - apiVersion: v1
          kind: Secret
          data:
            .dockerconfigjson: e30=
          metadata:
            labels:
              app.kubernetes.io/managed-by: trackbed
              trackbed.dev/project: shop
            name: trackbed-registry-push
            namespace: shop-production
          type: kubernetes.io/dockerconfigjson
        - apiVersion: v1
          kind: Secret
          data:
            .dockerconfigjson: e30=
          metadata:
            labels:
              app.kubernetes.io/managed-by: trackbed
              trackbed.dev/project: shop
            name: trackbed-registry-pull
            namespace: shop-production
          type: kubernetes.io/dockerconfigjson
        ---
        apiVersion: v1
        kind: ConfigMap
        data:
          cargo.toml: |
            [source.crates-io]
            replace-with = "mirror"

            [source.mirror]
            registry = "sparse+https://crates.example.com/index/"
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
          name: trackbed-build
          namespace: shop-production
    "#]]
    .assert_eq(&documents.join("---\n"));
}
