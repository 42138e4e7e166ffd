//! What a preview has of the environment that it is of.

use std::{fmt::Write, sync::Arc};

use expect_test::expect;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::ResourceExt;
use trackbed_api::{Database, Project, names};
use trackbed_kit::Config;
use trackbed_project::{
    observe::{Base, Environment, Seen},
    plan::{Plan, plan, previews::environments},
};

use super::{NOON, at, project, request, services};

pub(crate) fn namespace(environment: &str, labels: &str) -> Arc<Namespace> {
    let yaml = format!(
        "metadata: {{name: shop-{environment}, labels: {{trackbed.dev/project: shop, trackbed.dev/environment: {environment}, app.kubernetes.io/managed-by: trackbed{labels}}}, annotations: {{trackbed.dev/created: 'true'}}}}\n"
    );
    Arc::new(serde_saphyr::from_str(&yaml).expect("a Namespace"))
}

pub(crate) fn database() -> Arc<Database> {
    let yaml = "metadata: {name: db, namespace: shop-staging}\nspec: {engine: Postgres, version: '17', replicas: 3, storage: {size: 1Gi}, credentials: {rotate: once}, archive: {s3: {bucket: acme, secretRef: {name: keys}}}, backup: {schedule: '@daily', destination: {volume: {size: 1Gi}}}, restore: {from: {database: live}}}\n";
    Arc::new(serde_saphyr::from_str(yaml).expect("a Database"))
}

pub(crate) fn secret(name: &str, labels: &str) -> (String, Secret) {
    let yaml = format!(
        "metadata: {{name: {name}, labels: {{{labels}}}}}\ntype: kubernetes.io/basic-auth\ndata: {{password: c2VjcmV0}}\n"
    );
    let secret = serde_saphyr::from_str(&yaml).expect("a Secret");
    (name.to_owned(), secret)
}

pub(crate) const SPEC: &str = "{environments: [{name: staging}], quota: {cpu: '8'}, members: [{kind: Group, name: team, role: Developer, environments: [staging]}, {name: ada, role: Owner, environments: [production]}], previews: {of: staging, secrets: [git, db-credentials, gone], configMaps: [flags, own], quota: {memory: 4Gi}}}";

/// What is seen when one pull request is open, and its preview may have something already.
pub(crate) fn seen(object: &Project, live: impl FnOnce(&mut Environment)) -> Seen {
    let request = request(7, "feature/cart", "04-30", "05-01");
    let services = services(&[("pr-7", &request)]);
    let found = environments(object, &services, &[].into(), at(NOON));
    let mut config_maps = std::collections::BTreeMap::new();
    for name in ["flags", "own"] {
        let yaml = format!("metadata: {{name: {name}}}\ndata: {{color: blue}}\n");
        let map: ConfigMap = serde_saphyr::from_str(&yaml).expect("a ConfigMap");
        config_maps.insert(name.to_owned(), map);
    }
    let mut environments: Vec<_> = found
        .wanted
        .into_iter()
        .map(|wanted| Environment {
            namespace: names::namespace("shop", &wanted.name),
            wanted: Some(wanted),
            ..Environment::default()
        })
        .collect();
    live(environments.last_mut().expect("the preview"));
    Seen {
        environments,
        refused: found.refused,
        next_end: found.next,
        base: Base {
            services,
            databases: vec![database()],
            secrets: [
                secret("git", ""),
                secret("db-credentials", "app.kubernetes.io/managed-by: trackbed"),
            ]
            .into(),
            config_maps,
        },
        ..Seen::default()
    }
}

pub(crate) fn of_preview(plan: &Plan) -> String {
    let desired = plan.children.environments.last().expect("the preview");
    let mut out = String::new();
    let mut show = |text: Result<String, _>| {
        let text: String = text.expect("YAML");
        write!(out, "---\n{text}").expect("text");
    };
    show(serde_saphyr::to_string(&desired.namespace.metadata));
    show(serde_saphyr::to_string(
        &desired.quota.as_ref().and_then(|it| it.spec.clone()),
    ));
    for service in &desired.copies.services {
        let mut service = service.clone();
        // Of these the defaults are of no interest.
        service.spec.build = trackbed_api::build::BuildSettings::default();
        show(serde_saphyr::to_string(&serde_json::json!({
            "metadata": service.metadata,
            "source": service.spec.source,
            "scale": service.spec.scale,
            "expose": service.spec.expose,
            "volumes": service.spec.run.volumes,
            "pin": service.spec.pin,
        })));
    }
    for database in &desired.copies.databases {
        show(serde_saphyr::to_string(database));
    }
    let names: Vec<_> = desired
        .bindings
        .iter()
        .map(|it| it.role_ref.name.clone())
        .collect();
    writeln!(out, "--- bindings: {}", names.join(", ")).expect("text");
    let names: Vec<_> = desired
        .copies
        .secrets
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    writeln!(out, "--- Secrets: {}", names.join(", ")).expect("text");
    let names: Vec<_> = desired
        .copies
        .config_maps
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    writeln!(out, "--- ConfigMaps: {}", names.join(", ")).expect("text");
    for lack in &desired.copies.lacks {
        writeln!(out, "--- {lack}").expect("text");
    }
    out
}

#[test]
fn a_preview_has_copies_of_what_its_environment_has() {
    let object = project(SPEC);
    let plan = plan(
        &object,
        &seen(&object, |_| {}),
        &Config::example(),
        at(NOON),
    );
    expect![[r#"
        ---
        annotations:
          trackbed.dev/copied-config-maps: flags,own
          trackbed.dev/copied-secrets: git
          trackbed.dev/created: "true"
        labels:
          app.kubernetes.io/managed-by: trackbed
          pod-security.kubernetes.io/enforce: baseline
          pod-security.kubernetes.io/warn: restricted
          trackbed.dev/environment: pr-7
          trackbed.dev/preview-of: staging
          trackbed.dev/project: shop
        name: shop-pr-7
        ---
        hard:
          requests.memory: 4Gi
        ---
        expose:
          public: true
        metadata:
          annotations:
            trackbed.dev/reconcile-at: refs/heads/feature/cart@a000000000000000000000000000000000000001
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/preview-of: staging
            trackbed.dev/project: shop
          name: web
          namespace: shop-pr-7
        pin: null
        scale:
          replicas: 1
        source:
          git:
            branch: feature/cart
            interval: 1m
            url: https://git.example.com/acme/shop.git
        volumes:
        - deletionPolicy: Delete
          mountPath: /files
          name: files
          size: 1Gi
        ---
        expose:
          public: true
        metadata:
          annotations:
            trackbed.dev/reconcile-at: refs/heads/feature/cart@a000000000000000000000000000000000000001
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/preview-of: staging
            trackbed.dev/project: shop
          name: worker
          namespace: shop-pr-7
        pin: null
        scale:
          replicas: 1
        source:
          git:
            branch: feature/cart
            interval: 1m
            url: https://git.example.com/acme/shop
        volumes: []
        ---
        expose:
          public: true
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/preview-of: staging
            trackbed.dev/project: shop
          name: search
          namespace: shop-pr-7
        pin: null
        scale:
          replicas: 1
        source:
          promotion:
            environment: staging
        volumes: []
        ---
        expose:
          public: true
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/preview-of: staging
            trackbed.dev/project: shop
          name: pinned
          namespace: shop-pr-7
        pin: null
        scale:
          replicas: 1
        source:
          promotion:
            environment: staging
        volumes: []
        ---
        expose:
          public: true
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/preview-of: staging
            trackbed.dev/project: shop
          name: proxy
          namespace: shop-pr-7
        pin: null
        scale:
          replicas: 1
        source:
          image:
            interval: 5m
            reference: nginx:1
        volumes: []
        ---
        apiVersion: trackbed.dev/v1alpha1
        kind: Database
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/preview-of: staging
            trackbed.dev/project: shop
          name: db
          namespace: shop-pr-7
        spec:
          engine: Postgres
          version: "17"
          replicas: 1
          storage:
            size: 1Gi
          resources: {}
          credentials:
            keep: 1h
          suspend: false
          deletionPolicy: Delete
        --- bindings: trackbed-environment, trackbed-developer
        --- Secrets: git
        --- ConfigMaps: flags, own
        --- Secret db-credentials is made by Trackbed, so it is not copied: take it out of previews.secrets
        --- Secret gone is not in environment staging: create it there, or take it out of previews
    "#]].assert_eq(&of_preview(&plan));
}
