//! How previews begin, are told of, and end.

use std::{fmt::Write, sync::Arc};

use expect_test::expect;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::ResourceExt;
use trackbed_api::Service;
use trackbed_kit::Config;
use trackbed_project::{
    observe::{Environment, Seen},
    plan::{copies::named, plan},
};

use super::{
    NOON, at,
    copies::{SPEC, database, namespace, secret, seen},
    project,
};

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
