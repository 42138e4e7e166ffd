//! Previews: a Project and what stands in one of its environments in, what is to be in others out.

use std::{fmt::Write, sync::Arc};

use expect_test::{Expect, expect};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::ResourceExt;
use trackbed_api::{Database, Project, Service, names};
use trackbed_kit::Config;
use trackbed_project::{
    observe::{Base, Environment, Seen},
    plan::{
        Plan,
        copies::named,
        plan,
        previews::{Environments, environments},
    },
};

const STAGING: &str = r#"
- metadata: {name: web, namespace: shop-staging}
  spec:
    source: {git: {url: "https://git.example.com/acme/shop.git", webhook: {secretRef: {name: hook}, previews: true}}}
    scale: {replicas: 3}
    expose: {domains: [{host: shop.example.com}]}
    pin: web-3
    run:
      env: [{name: DATABASE_URL, valueFrom: {databaseRef: {name: db, key: uri}}}]
      volumes: [{name: files, mountPath: /files, size: 1Gi}]
- metadata: {name: worker, namespace: shop-staging}
  spec:
    source: {git: {url: "https://git.example.com/acme/shop", branch: main}}
    scale: {max: 5}
    run: {worker: true}
- metadata: {name: search, namespace: shop-staging}
  spec: {source: {git: {url: "https://git.example.com/acme/search"}}}
- metadata: {name: pinned, namespace: shop-staging}
  spec: {source: {git: {url: "https://git.example.com/acme/shop", tag: v1}}}
- metadata: {name: proxy, namespace: shop-staging}
  spec: {source: {image: {reference: "nginx:1"}}}
- metadata: {name: nightly, namespace: shop-staging}
  spec: {source: {image: {reference: "nightly:1"}}, cron: {schedule: "@daily"}}
- metadata: {name: secret-thing, namespace: shop-staging}
  spec: {source: {image: {reference: "thing:1"}}, preview: false}
"#;

fn project(spec: &str) -> Project {
    serde_saphyr::from_str(&format!("metadata: {{name: shop, uid: u}}\nspec: {spec}\n"))
        .expect("a Project")
}

/// The Services, of which `web` was told of these pull requests.
fn services(requests: &[(&str, &str)]) -> Vec<Arc<Service>> {
    let mut services: Vec<Service> = serde_saphyr::from_str(STAGING).expect("Services");
    for (name, request) in requests {
        let annotations = services[0].annotations_mut();
        annotations.insert(
            format!("preview.trackbed.dev/{name}"),
            (*request).to_owned(),
        );
    }
    services.into_iter().map(Arc::new).collect()
}

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

const NOON: &str = "2026-05-01T12:00:00Z";

fn request(number: u64, branch: &str, opened: &str, changed: &str) -> String {
    format!(
        r#"{{"number":{number},"branch":"{branch}","commit":"a000000000000000000000000000000000000001","opened":"2026-{opened}T00:00:00Z","changed":"2026-{changed}T00:00:00Z"}}"#
    )
}

fn told(environments: &Environments) -> String {
    let mut out = String::new();
    for wanted in &environments.wanted {
        write!(out, "{}", wanted.name).expect("text");
        if let Some(open) = &wanted.preview {
            write!(out, ": {} of {}", open.branch, open.follow.join(", ")).expect("text");
            if let Some(until) = open.until {
                write!(out, " until {until}").expect("text");
            }
        }
        writeln!(out).expect("text");
    }
    for (wanted, reason) in &environments.refused {
        writeln!(out, "not {}: {reason}", wanted.name).expect("text");
    }
    if let Some(next) = environments.next {
        writeln!(out, "next end {next}").expect("text");
    }
    out
}

fn check(spec: &str, requests: &[(&str, &str)], expected: &Expect) {
    let found = environments(
        &project(spec),
        &services(requests),
        &["late".to_owned()].into(),
        at(NOON),
    );
    expected.assert_eq(&told(&found));
}

#[test]
fn a_project_without_previews_has_none() {
    let request = request(7, "feature/cart", "04-30", "04-30");
    check(
        "{environments: [{name: production}, {name: staging}]}",
        &[("pr-7", &request)],
        &expect![[r#"
            production
            staging
        "#]],
    );
}

#[test]
fn pull_requests_have_previews_as_long_as_somebody_pushes() {
    let fresh = request(7, "feature/cart", "04-01", "04-30");
    let old = request(8, "feature/old", "04-20", "04-20");
    check(
        "{environments: [{name: staging}], previews: {of: staging}}",
        &[
            ("pr-7", &fresh),
            ("pr-8", &old),
            ("Not_A-Label", &fresh),
            ("pr-9", "rubbish"),
        ],
        &expect![[r#"
            staging
            pr-7: feature/cart of web, worker until 2026-05-03T00:00:00Z
            not pr-8: it has ended, because nothing was pushed for 72h: push to have it again
            next end 2026-05-03T00:00:00Z
        "#]],
    );
}

#[test]
fn who_was_there_first_stays_when_there_are_too_many() {
    let first = request(9, "first", "04-28", "04-30");
    let second = request(7, "second", "04-29", "05-01");
    check(
        "{environments: [{name: staging}], previews: {of: staging, max: 1, ttl: 240h}}",
        &[("pr-7", &second), ("pr-9", &first)],
        &expect![[r#"
            staging
            pr-9: first of web, worker until 2026-05-10T00:00:00Z
            not pr-7: it waits, because as many are open as previews.max allows (1): close one, or raise it
            next end 2026-05-10T00:00:00Z
        "#]],
    );
}

#[test]
fn who_is_there_stays_whoever_comes() {
    let request = request(7, "feature/cart", "04-30", "04-30");
    check(
        "{environments: [{name: staging}, {name: more, preview: {branch: more, repository: u}}], previews: {of: staging, max: 1}}",
        &[("late", &request)],
        &expect![[r#"
            staging
            late: feature/cart of web, worker until 2026-05-03T00:00:00Z
            not more: it waits, because as many are open as previews.max allows (1): close one, or raise it
            next end 2026-05-03T00:00:00Z
        "#]],
    );
}

#[test]
fn the_spec_has_previews_of_branches() {
    check(
        r#"{environments: [{name: staging}, {name: cart, preview: {branch: feature/cart, repository: "https://git.example.com/acme/shop/"}}, {name: over, preview: {branch: feature/cart, repository: "https://git.example.com/acme/shop", until: "2026-05-01T11:00:00Z"}}, {name: which, preview: {branch: feature/cart}}], previews: {of: staging}}"#,
        &[],
        &expect![[r#"
            staging
            cart: feature/cart of web, worker
            not over: it has ended: take it out of environments, or set a later preview.until
            not which: the Services have several repositories: name one of them in preview.repository
        "#]],
    );
}

#[test]
fn a_name_of_the_spec_is_not_taken_by_a_pull_request() {
    let request = request(7, "feature/cart", "04-30", "04-30");
    check(
        "{environments: [{name: staging}, {name: pr-7}], previews: {of: staging}}",
        &[("pr-7", &request)],
        &expect![[r#"
            staging
            pr-7
        "#]],
    );
}

fn namespace(environment: &str, labels: &str) -> Arc<Namespace> {
    let yaml = format!(
        "metadata: {{name: shop-{environment}, labels: {{trackbed.dev/project: shop, trackbed.dev/environment: {environment}, app.kubernetes.io/managed-by: trackbed{labels}}}, annotations: {{trackbed.dev/created: 'true'}}}}\n"
    );
    Arc::new(serde_saphyr::from_str(&yaml).expect("a Namespace"))
}

fn database() -> Arc<Database> {
    let yaml = "metadata: {name: db, namespace: shop-staging}\nspec: {engine: Postgres, version: '17', storage: {size: 1Gi}}\n";
    Arc::new(serde_saphyr::from_str(yaml).expect("a Database"))
}

fn secret(name: &str, labels: &str) -> (String, Secret) {
    let yaml = format!(
        "metadata: {{name: {name}, labels: {{{labels}}}}}\ntype: kubernetes.io/basic-auth\ndata: {{password: c2VjcmV0}}\n"
    );
    let secret = serde_saphyr::from_str(&yaml).expect("a Secret");
    (name.to_owned(), secret)
}

const SPEC: &str = "{environments: [{name: staging}], quota: {cpu: '8'}, members: [{kind: Group, name: team, role: Developer, environments: [staging]}, {name: ada, role: Owner, environments: [production]}], previews: {of: staging, secrets: [git, db-credentials, gone], configMaps: [flags, own], quota: {memory: 4Gi}}}";

/// What is seen when one pull request is open, and its preview may have something already.
fn seen(object: &Project, live: impl FnOnce(&mut Environment)) -> Seen {
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

fn of_preview(plan: &Plan) -> String {
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

#[test]
fn status_says_of_each_preview_what_it_is_of() {
    let object = project(SPEC);
    let plan = plan(
        &object,
        &seen(&object, |_| {}),
        &Config::example(),
        at(NOON),
    );
    let status = serde_saphyr::to_string(&plan.outcome.status.environments);
    let (_, _, message) = plan.outcome.health.ready();
    let text = format!(
        "{}{message}\n{:?}\n",
        status.expect("YAML"),
        plan.outcome.requeue
    );
    expect![[r#"
        - name: staging
          namespace: shop-staging
          ready: true
        - name: pr-7
          namespace: shop-pr-7
          ready: false
          message: "Secret db-credentials is made by Trackbed, so it is not copied: take it out of previews.secrets"
          preview:
            branch: feature/cart
            pullRequest: 7
            until: "2026-05-04T00:00:00Z"
        ready: shop-staging; previews: 1, of them 1 not ready
        Some(600s)
    "#]].assert_eq(&text);
}

#[test]
fn what_a_person_made_in_a_preview_stays() {
    let object = project(SPEC);
    let seen = seen(&object, |live| {
        let own: Service = serde_saphyr::from_str(
            "metadata: {name: web, namespace: shop-pr-7}\nspec: {source: {image: {reference: mine}}}\n",
        )
        .expect("a Service");
        live.services.push(Arc::new(own));
        live.databases.push(database());
        live.secrets.extend([secret("git", "")]);
        let own: ConfigMap = serde_saphyr::from_str("metadata: {name: own}\n").expect("a map");
        live.config_maps.push(Arc::new(own));
    });
    let plan = plan(&object, &seen, &Config::example(), at(NOON));
    let copies = &plan
        .children
        .environments
        .last()
        .expect("the preview")
        .copies;
    let all = [
        copies
            .services
            .iter()
            .map(ResourceExt::name_any)
            .collect::<Vec<_>>(),
        copies.databases.iter().map(ResourceExt::name_any).collect(),
        copies.secrets.iter().map(ResourceExt::name_any).collect(),
        copies
            .config_maps
            .iter()
            .map(ResourceExt::name_any)
            .collect(),
    ];
    assert_eq!(
        all.map(|names| names.join(" ")),
        ["worker search pinned proxy", "", "", "flags"]
    );
}

#[test]
fn an_environment_that_is_there_never_becomes_a_preview() {
    let object = project(SPEC);
    let seen = seen(&object, |live| live.live = Some(namespace("pr-7", "")));
    let plan = plan(&object, &seen, &Config::example(), at(NOON));
    assert_eq!(plan.children.environments.len(), 1);
    let (_, reason, message) = plan.outcome.health.ready();
    expect![[r#"
        NamespaceConflict: environment pr-7 is there and is no preview, so it cannot become one: give the preview another name
    "#]].assert_eq(&format!("{reason}: {message}\n"));
}

#[test]
fn a_preview_that_ended_goes_with_its_data_unless_a_person_made_some() {
    use trackbed_project::observe::Data;
    let object = project("{environments: [{name: staging}], previews: {of: staging}}");
    let copy = || {
        let mut copy = (*database()).clone();
        copy.spec.deletion_policy = trackbed_api::project::DeletionPolicy::Delete;
        Data::Database(Arc::new(copy))
    };
    let former = |name: &str, data: Vec<Data>| Environment {
        namespace: format!("shop-{name}"),
        live: Some(namespace(name, ", trackbed.dev/preview-of: staging")),
        data,
        ..Environment::default()
    };
    let seen = Seen {
        former: vec![
            former("pr-1", vec![Data::Claim("files".to_owned())]),
            former("pr-2", vec![copy()]),
            former("pr-3", vec![Data::Database(database())]),
        ],
        ..Seen::default()
    };
    let plan = plan(&object, &seen, &Config::example(), at(NOON));
    let mut out = String::new();
    for namespace in &plan.children.retired {
        writeln!(out, "delete {}", namespace.name_any()).expect("text");
    }
    for database in &plan.children.databases {
        writeln!(out, "delete Database {}", database.name_any()).expect("text");
    }
    let (_, _, message) = plan.outcome.health.ready();
    expect![[r#"
        delete shop-pr-1
        delete Database db
        ready: ; kept: shop-pr-3 (holds Database db)
    "#]]
    .assert_eq(&format!("{out}{message}\n"));
}

#[test]
fn what_was_copied_is_looked_for_as_long_as_it_is_a_preview() {
    let object = project(SPEC);
    let seen = seen(&object, |_| {});
    let yaml =
        "metadata: {name: shop-pr-7, annotations: {trackbed.dev/copied-secrets: 'git,old'}}\n";
    let live: Namespace = serde_saphyr::from_str(yaml).expect("a Namespace");
    let mut wanted = seen.environments[1].wanted.clone().expect("the preview");
    let found = named(&object, &wanted, Some(&live));
    let names = |names: std::collections::BTreeSet<String>| Vec::from_iter(names).join(" ");
    assert_eq!(names(found.secrets), "db-credentials git gone old");
    assert_eq!(names(found.config_maps), "flags own");
    wanted.preview = None;
    assert_eq!(named(&object, &wanted, Some(&live)), Default::default());
}

#[test]
fn a_copy_outlives_an_original_that_is_missing_at_the_moment() {
    let object = project(SPEC);
    let ours = "app.kubernetes.io/managed-by: trackbed";
    let mut seen = seen(&object, |live| {
        live.secrets.extend([secret("git", ours)]);
        let yaml = format!("metadata: {{name: flags, labels: {{{ours}}}}}\ndata: {{color: red}}\n");
        let copy: ConfigMap = serde_saphyr::from_str(&yaml).expect("a ConfigMap");
        live.config_maps.push(Arc::new(copy));
    });
    seen.base.secrets.remove("git");
    seen.base.config_maps.remove("flags");
    let plan = plan(&object, &seen, &Config::example(), at(NOON));
    let copies = &plan.children.environments[1].copies;
    assert_eq!(copies.secrets[0].data, secret("git", "").1.data);
    let flags = copies.config_maps[0].data.as_ref();
    assert_eq!(
        flags.and_then(|it| it.get("color")).map(String::as_str),
        Some("red")
    );
    let lacks = copies.lacks.join("\n");
    assert!(
        lacks.contains("Secret git is not in environment staging"),
        "{lacks}"
    );
    assert!(
        lacks.contains("ConfigMap flags is not in environment staging"),
        "{lacks}"
    );
}
