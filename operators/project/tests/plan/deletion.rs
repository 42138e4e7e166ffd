//! Projects and environments that go, and what they keep.

use std::sync::Arc;

use expect_test::expect;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use trackbed_api::Project;
use trackbed_kit::Config;
use trackbed_project::{
    observe::{Data, Seen},
    plan::plan,
};

use super::{check, database, live, made, now, project, seen};

/// A Project on its way out with data in production and none in staging.
fn leaving(policy: &str, data: &[Data]) -> (Project, Seen) {
    let mut object = project(&format!(
        "{{environments: [{{name: production}}, {{name: staging}}], deletionPolicy: {policy}}}"
    ));
    object.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
    let mut seen = seen(&object);
    seen.environments = vec![
        live("shop-production", Some(made("production")), data),
        live("shop-staging", Some(made("staging")), &[]),
    ];
    (object, seen)
}

#[test]
fn deletion_keeps_namespaces_that_hold_data() {
    let data = [database("db", "Delete"), Data::Claim("uploads".to_owned())];
    let (object, mut seen) = leaving("Retain", &data);
    check(
        &object,
        &seen,
        &expect![[r#"
        delete: shop-staging
        Ready=False Terminating: deletes shop-staging; keeps shop-production (holds Database db, claim uploads)
    "#]],
    );
    seen.environments[1].live = None;
    check(
        &object,
        &seen,
        &expect![[r#"
        Ready=False Terminating: nothing is left to delete; keeps shop-production (holds Database db, claim uploads)
        the Project may go
    "#]],
    );
}

#[test]
fn deletion_of_data_waits_for_its_confirmation() {
    // The annotation names another Database.
    let (object, seen) = leaving("Delete", &[database("db", "Delete")]);
    check(
        &object,
        &seen,
        &expect![[r#"
        delete: shop-staging
        Ready=False DeletionBlocked: the Project deletes its data, but a Database keeps its own: shop-production (holds Database db). Set deletionPolicy: Delete on the Database and confirm it by the annotation trackbed.dev/confirm-deletion=NAME, or deletionPolicy: Retain on the Project to leave the namespace behind
    "#]],
    );
}

#[test]
fn deletion_of_data_waits_for_databases_that_keep_theirs() {
    let data = [database("db", "Retain"), database("cache", "Delete")];
    let (object, mut seen) = leaving("Delete", &data);
    check(
        &object,
        &seen,
        &expect![[r#"
            delete: shop-staging
            Ready=False DeletionBlocked: the Project deletes its data, but a Database keeps its own: shop-production (holds Database db). Set deletionPolicy: Delete on the Database and confirm it by the annotation trackbed.dev/confirm-deletion=NAME, or deletionPolicy: Retain on the Project to leave the namespace behind
        "#]],
    );
    seen.environments[1].live = None;
    let plan = plan(&object, &seen, &Config::example(), now());
    assert!(!plan.gone, "the Project stays while something blocks");

    let data = [
        database("cache", "Delete"),
        Data::Claim("uploads".to_owned()),
    ];
    let (object, seen) = leaving("Delete", &data);
    check(
        &object,
        &seen,
        &expect![[r#"
        delete: Database cache
        delete: shop-staging
        Ready=False Terminating: deletes Database shop-production/cache, shop-staging
    "#]],
    );
    let (object, seen) = leaving("Delete", &data[1..]);
    check(
        &object,
        &seen,
        &expect![[r#"
        delete: shop-production
        delete: shop-staging
        Ready=False Terminating: deletes shop-production, shop-staging
    "#]],
    );
}

#[test]
fn a_namespace_that_is_still_going_is_waited_for() {
    let object = project("{environments: [{name: production}]}");
    let mut seen = seen(&object);
    let mut ending = made("production");
    ending.metadata.deletion_timestamp = Some(Time(jiff::Timestamp::UNIX_EPOCH));
    seen.environments[0].live = Some(Arc::new(ending));
    check(
        &object,
        &seen,
        &expect![[r#"
        Ready=False Progressing: waits for namespace shop-production of before to be gone
    "#]],
    );
}

#[test]
fn an_environment_that_was_removed_goes() {
    let object = project("{environments: [{name: production}]}");
    let mut seen = seen(&object);
    seen.environments[0].live = Some(Arc::new(made("production")));
    seen.former = vec![
        live("shop-old", Some(made("old")), &[]),
        live(
            "shop-data",
            Some(made("data")),
            &[Data::Claim("db-data".to_owned())],
        ),
    ];
    check(
        &object,
        &seen,
        &expect![[r#"
        shop-production:
          bindings: ServiceAccount trackbed → trackbed-environment
          policies: trackbed-isolation, trackbed-builds
          secrets: trackbed-registry-push, trackbed-registry-pull
        delete: shop-old
        Ready=True Ready: ready: shop-production; kept: shop-data (holds claim db-data)
    "#]],
    );
}
