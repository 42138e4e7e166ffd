//! Copies of what variables refer to.

use std::{collections::BTreeMap, sync::Arc};

use expect_test::expect;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use trackbed_deployment::{
    observe::{Place, Seen},
    plan::{Plan, needs, plan},
};
use trackbed_kit::{Config, contents::Values};

use crate::{RELEASE, SERVICE, check};

/// A release in a phase, whose variables refer to what is there.
fn planned(phase: &str) -> (Plan, bool) {
    let yaml = RELEASE.replace("Active, activeSince: '2026-01-01T00:00:00Z'", phase);
    let yaml = yaml.replace("  run:\n", "  run:\n    preDeploy: {command: [migrate]}\n");
    let release: trackbed_api::Deployment = serde_saphyr::from_str(&yaml).expect("a release");
    let value = ByteString(b"hunter2".to_vec());
    let seen = Seen {
        place: Some(Place {
            preview_of: None,
            project: "shop".to_owned(),
            environment: "production".to_owned(),
        }),
        service: Some(Arc::new(
            serde_saphyr::from_str(SERVICE).expect("a Service"),
        )),
        releases: vec![Arc::new(release.clone())],
        inputs: Some(Values(BTreeMap::from([("KEY".to_owned(), value)]))),
        ..Seen::default()
    };
    let now: Timestamp = "2026-01-01T00:10:00Z".parse().expect("a time");
    let reads = needs(&release, &seen, now).references;
    (plan(&release, &seen, &Config::example(), now), reads)
}

#[test]
fn a_release_keeps_what_its_variables_refer_to() {
    let (plan, _) = planned("Active, activeSince: '2026-01-01T00:00:00Z'");
    let copy = plan.copy.expect("a copy");
    check(
        &copy,
        &expect![[r#"
        apiVersion: v1
        data:
          KEY: aHVudGVyMg==
        immutable: true
        kind: Secret
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
            trackbed.dev/release: web-3
            trackbed.dev/service: web
          name: web-3-env
          namespace: shop-production
    "#]],
    );
}

#[test]
fn the_copy_is_there_before_the_first_pod() {
    // Nothing is written before the status says that it begins.
    let (plan, reads) = planned("Pending");
    assert!(reads && plan.copy.is_none() && plan.job.is_none());
    let (plan, reads) = planned("PreDeploy, startTime: '2026-01-01T00:09:59Z'");
    assert!(reads && plan.copy.is_some() && plan.job.is_some());
    let prepared = "preDeployTime: '2026-01-01T00:09:58Z'";
    let (plan, reads) = planned(&format!(
        "Progressing, startTime: '2026-01-01T00:09:59Z', {prepared}"
    ));
    assert!(reads && plan.copy.is_some() && plan.children.is_some());
}
