//! Plans of a Project: YAML in (the Project and its namespaces), children in YAML out.

mod children;
mod deletion;

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use expect_test::{Expect, expect};
use k8s_openapi::{ByteString, api::core::v1::Namespace, apimachinery::pkg::apis::meta::v1::Time};
use kube::ResourceExt;
use trackbed_api::{Project, names, reason::Reason};
use trackbed_kit::{Config, Error};
use trackbed_project::{
    observe::{Data, Environment, Seen, Source},
    plan::{Plan, plan, previews::Wanted, report},
};

fn project(spec: &str) -> Project {
    serde_saphyr::from_str(&format!("metadata: {{name: shop, uid: u}}\nspec: {spec}\n"))
        .expect("a Project")
}

fn now() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

fn wanted(name: &str) -> Option<Wanted> {
    Some(Wanted {
        name: name.to_owned(),
        preview: None,
    })
}

fn namespace(yaml: &str) -> Namespace {
    serde_saphyr::from_str(yaml).expect("a Namespace")
}

fn live(name: &str, namespace: Option<Namespace>, data: &[Data]) -> Environment {
    Environment {
        namespace: name.to_owned(),
        live: namespace.map(Arc::new),
        data: data.to_vec(),
        ..Environment::default()
    }
}

fn database(name: &str, policy: &str) -> Data {
    let yaml = format!(
        "metadata: {{name: {name}, namespace: shop-production, annotations: {{trackbed.dev/confirm-deletion: cache}}}}\nspec: {{engine: Postgres, version: '17', storage: {{size: 1Gi}}, deletionPolicy: {policy}}}\n"
    );
    Data::Database(Arc::new(serde_saphyr::from_str(&yaml).expect("a Database")))
}

fn credentials() -> Source {
    let data = ByteString(b"{}".to_vec());
    Source::Found(BTreeMap::from([(".dockerconfigjson".to_owned(), data)]))
}

fn seen(object: &Project) -> Seen {
    let names = object.spec.environments.iter();
    Seen {
        environments: names
            .map(|it| Environment {
                wanted: wanted(&it.name),
                ..live(&names::namespace("shop", &it.name), None, &[])
            })
            .collect(),
        push: credentials(),
        pull: credentials(),
        ..Seen::default()
    }
}

fn made(environment: &str) -> Namespace {
    namespace(&format!(
        "metadata: {{name: shop-{environment}, labels: {{trackbed.dev/project: shop, trackbed.dev/environment: {environment}, app.kubernetes.io/managed-by: trackbed}}, annotations: {{trackbed.dev/created: 'true'}}}}\n"
    ))
}

fn summary(plan: &Plan) -> String {
    let mut out = String::new();
    for desired in &plan.children.environments {
        let names = |list: Vec<String>| list.join(", ");
        writeln!(out, "{}:", desired.namespace.name_any()).expect("text");
        let bindings = desired.bindings.iter().map(|it| {
            let subjects = it
                .subjects
                .iter()
                .flatten()
                .map(|it| format!("{} {}", it.kind, it.name));
            format!("{} → {}", subjects.collect::<String>(), it.role_ref.name)
        });
        writeln!(out, "  bindings: {}", names(bindings.collect())).expect("text");
        let policies = desired.policies.iter().map(ResourceExt::name_any);
        writeln!(out, "  policies: {}", names(policies.collect())).expect("text");
        let secrets = desired.secrets.iter().map(ResourceExt::name_any);
        writeln!(out, "  secrets: {}", names(secrets.collect())).expect("text");
        if let Some(quota) = &desired.quota {
            let hard = quota
                .spec
                .iter()
                .filter_map(|it| it.hard.as_ref())
                .flatten();
            let hard = hard.map(|(name, amount)| format!("{name}={}", amount.0));
            writeln!(out, "  quota: {}", names(hard.collect())).expect("text");
        }
    }
    for database in &plan.children.databases {
        writeln!(out, "delete: Database {}", database.name_any()).expect("text");
    }
    for namespace in &plan.children.retired {
        writeln!(out, "delete: {}", namespace.name_any()).expect("text");
    }
    let (status, reason, message) = plan.outcome.health.ready();
    writeln!(out, "Ready={status} {reason}: {message}").expect("text");
    if plan.gone {
        writeln!(out, "the Project may go").expect("text");
    }
    out
}

fn check(object: &Project, seen: &Seen, expected: &Expect) {
    expected.assert_eq(&summary(&plan(object, seen, &Config::example(), now())));
}

#[test]
fn an_environment_is_complete() {
    let object = project(
        "{environments: [{name: production}, {name: staging}], quota: {cpu: '8', storage: 100Gi}, members: [{name: ada@example.com, role: Owner}, {kind: Group, name: team, role: Developer, environments: [staging]}]}",
    );
    check(
        &object,
        &seen(&object),
        &expect![[r#"
        shop-production:
          bindings: ServiceAccount trackbed → trackbed-environment, User ada@example.com → trackbed-owner
          policies: trackbed-isolation, trackbed-builds
          secrets: trackbed-registry-push, trackbed-registry-pull
          quota: requests.cpu=8, requests.storage=100Gi
        shop-staging:
          bindings: ServiceAccount trackbed → trackbed-environment, User ada@example.com → trackbed-owner, Group team → trackbed-developer
          policies: trackbed-isolation, trackbed-builds
          secrets: trackbed-registry-push, trackbed-registry-pull
          quota: requests.cpu=8, requests.storage=100Gi
        Ready=True Ready: ready: shop-production, shop-staging
    "#]],
    );
}

#[test]
fn isolation_lets_through_what_it_should() {
    let object = project("{environments: [{name: production}]}");
    let plan = plan(&object, &seen(&object), &Config::example(), now());
    let policies = &plan.children.environments[0].policies;
    let specs: Vec<_> = policies.iter().map(|it| &it.spec).collect();
    let text = serde_saphyr::to_string(&specs).expect("YAML");
    expect![[r#"
        - egress:
          - to:
            - podSelector: {}
          - ports:
            - port: 53
              protocol: UDP
            - port: 53
              protocol: TCP
            to:
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: kube-system
          - to:
            - ipBlock:
                cidr: 0.0.0.0/0
                except:
                - 10.201.0.0/16
                - 10.202.0.0/16
                - 169.254.0.0/16
            - ipBlock:
                cidr: "::/0"
          ingress:
          - from:
            - podSelector: {}
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: ingress
          podSelector:
            matchExpressions:
            - key: trackbed.dev/role
              operator: NotIn
              values:
              - build
          policyTypes:
          - Ingress
          - Egress
        - egress:
          - ports:
            - port: 53
              protocol: UDP
            - port: 53
              protocol: TCP
            to:
            - namespaceSelector:
                matchLabels:
                  kubernetes.io/metadata.name: kube-system
          - to:
            - ipBlock:
                cidr: 0.0.0.0/0
                except:
                - 10.201.0.0/16
                - 10.202.0.0/16
                - 169.254.0.0/16
            - ipBlock:
                cidr: "::/0"
          podSelector:
            matchLabels:
              trackbed.dev/role: build
          policyTypes:
          - Ingress
          - Egress
    "#]]
    .assert_eq(&text);
    let open = project("{environments: [{name: production}], isolation: None}");
    let plan = trackbed_project::plan::plan(&open, &seen(&open), &Config::example(), now());
    assert!(plan.children.environments[0].policies.is_empty());
}

#[test]
fn a_namespace_of_somebody_else_is_never_taken() {
    let object = project("{environments: [{name: production}]}");
    let mut seen = seen(&object);
    for theirs in [
        "metadata: {name: shop-production}\n",
        "metadata: {name: shop-production, labels: {trackbed.dev/project: other, trackbed.dev/environment: production}}\n",
    ] {
        seen.environments[0].live = Some(Arc::new(namespace(theirs)));
        let found = summary(&plan(&object, &seen, &Config::example(), now()));
        let said = "Ready=False NamespaceConflict: namespace shop-production exists and is not this Project's: rename the Project or the environment, or hand the namespace over with 'kubectl label namespace shop-production trackbed.dev/project=shop trackbed.dev/environment=production'\n";
        assert_eq!(found, said, "and nothing is written");
    }
}

#[test]
fn a_namespace_that_was_handed_over_is_used_and_never_deleted() {
    let object = project("{environments: [{name: production}]}");
    let mut seen = seen(&object);
    let handed = "metadata: {name: shop-production, labels: {trackbed.dev/project: shop, trackbed.dev/environment: production}}\n";
    seen.environments[0].live = Some(Arc::new(namespace(handed)));
    let planned = plan(&object, &seen, &Config::example(), now());
    let annotations = &planned.children.environments[0]
        .namespace
        .metadata
        .annotations;
    assert_eq!(annotations, &None, "not marked as made by Trackbed");
    let mut deleted = object.clone();
    deleted.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
    check(
        &deleted,
        &seen,
        &expect![[r#"
        Ready=False Terminating: nothing is left to delete; keeps shop-production (it was there before)
        the Project may go
    "#]],
    );
}

#[test]
fn a_failure_is_said_of_its_environment() {
    let object = project("{environments: [{name: production}, {name: staging}]}");
    let mut status = plan(&object, &seen(&object), &Config::example(), now())
        .outcome
        .status;
    let failed = Error::refused(Reason::Rejected, "the quota is no amount");
    let result = report(&mut status, vec![("shop-staging".to_owned(), failed)]);
    assert_eq!(result.map_err(|it| it.reason()), Err(Reason::Rejected));
    expect![[r#"
        - name: production
          namespace: shop-production
          ready: true
        - name: staging
          namespace: shop-staging
          ready: false
          message: the quota is no amount
    "#]]
    .assert_eq(&serde_saphyr::to_string(&status.environments).expect("YAML"));
}

#[test]
fn a_missing_secret_is_named_and_the_rest_is_made() {
    let object = project("{environments: [{name: production}]}");
    let mut seen = seen(&object);
    seen.push = Source::Missing("Secret registry-push does not exist".to_owned());
    check(
        &object,
        &seen,
        &expect![[r#"
        shop-production:
          bindings: ServiceAccount trackbed → trackbed-environment
          policies: trackbed-isolation, trackbed-builds
          secrets: trackbed-registry-pull
        Ready=False SecretInvalid: Secret registry-push does not exist
    "#]],
    );
}
