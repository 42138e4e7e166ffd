//! How a Database is, by its pod.

use std::fmt::Write;

use expect_test::{Expect, expect};
use trackbed_api::Database;
use trackbed_database::observe::Seen;

use super::{database, decide, pod, postgres, seen};

pub(crate) fn health(object: &Database, seen: &Seen, expected: &Expect) {
    let plan = decide(object, seen);
    let (status, reason, message) = plan.outcome.health.ready();
    let mut out = format!("Ready={status} {reason}: {message}\n");
    if plan.children.is_none() {
        writeln!(out, "nothing is written").expect("text");
    }
    expected.assert_eq(&out);
}

#[test]
fn health_follows_the_pod() {
    let mut seen = seen();
    health(
        &postgres(),
        &seen,
        &expect![[r#"
        Ready=False Progressing: Postgres 17 is being started
    "#]],
    );
    seen.pod = pod("{conditions: [{type: Ready, status: 'True'}]}");
    health(
        &postgres(),
        &seen,
        &expect![[r#"
        Ready=True Ready: Postgres 17 answers at db.shop-production.svc.cluster.local
    "#]],
    );
    seen.pod = pod(
        "{conditions: [{type: PodScheduled, status: 'False', reason: Unschedulable, message: pod has unbound immediate PersistentVolumeClaims}]}",
    );
    health(
        &postgres(),
        &seen,
        &expect![[r#"
        Ready=False VolumePending: its pod has no place: pod has unbound immediate PersistentVolumeClaims
    "#]],
    );
    let refused = r#"{containerStatuses: [{name: postgres, image: i, imageID: i, ready: false, restartCount: 2, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, message: '{"reason": "DataMissing", "message": "the volume is empty"}'}}}]}"#;
    seen.pod = pod(refused);
    health(
        &postgres(),
        &seen,
        &expect![[r#"
        Ready=False DataMissing: the volume is empty
    "#]],
    );
    // It is the same while the supervisor looks again.
    let again = |since: &str| {
        let running = format!("state: {{running: {{startedAt: '{since}'}}}}");
        refused.replace("state: {waiting: {reason: CrashLoopBackOff}}", &running)
    };
    seen.pod = pod(&again("2025-12-31T23:59:58Z"));
    health(
        &postgres(),
        &seen,
        &expect![[r#"
        Ready=False DataMissing: the volume is empty
    "#]],
    );
    seen.pod = pod(&again("2025-12-31T23:59:50Z"));
    health(
        &postgres(),
        &seen,
        &expect![[r#"
        Ready=False Progressing: Postgres 17 is starting
    "#]],
    );
    let crashed = "{containerStatuses: [{name: postgres, image: i, imageID: i, ready: false, restartCount: 2, state: {terminated: {exitCode: 137, reason: OOMKilled}}}]}";
    seen.pod = pod(crashed);
    health(
        &postgres(),
        &seen,
        &expect![[r#"
        Ready=False DatabaseNotReady: the server needed more memory than resources.limits.memory
    "#]],
    );
    let suspended = database("{engine: Postgres, version: '17', suspend: true}");
    seen.pod = None;
    health(
        &suspended,
        &seen,
        &expect![[r#"
        Ready=True Suspended: suspended: no pod runs, the data are kept
    "#]],
    );
}
