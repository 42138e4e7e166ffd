//! Parameters: those that a server takes, and those that it does not.

use expect_test::expect;

use crate::{children, database, health, pod, seen};

#[test]
fn parameters_that_the_server_does_not_take() {
    let bad = database(
        "{engine: Postgres, version: '17', parameters: {max_connection: '200', work_mem: much, autovacuum: 'nope', max_wal_senders: '-1', jit_provider: mine, random_page_cost: '1.1', pg_stat_statements.max: '10', shared_buffers: 256MB}}",
    );
    let mut seen = seen();
    health(
        &bad,
        &seen,
        &expect![[r#"
        Ready=False InvalidParameter: parameters.autovacuum must be on or off, not 'nope'; parameters.jit_provider is Trackbed's to set: remove it; parameters.max_connection is not known to Postgres 17: did you mean max_connections?; parameters.max_wal_senders must be from 0 to 262143, not -1; parameters.work_mem must be a number, with a unit where it has one (kB, MB, GB, ms, s, min), not 'much'
        nothing is written
    "#]],
    );
    // A server that runs goes on as it was.
    let good = database("{engine: Postgres, version: '17', parameters: {work_mem: 8MB}}");
    let before = children(&good, &seen).settings;
    seen.settings = Some(before.clone());
    seen.pod = pod("{conditions: [{type: Ready, status: 'True'}]}");
    health(
        &bad,
        &seen,
        &expect![[r#"
        Ready=False InvalidParameter: parameters.autovacuum must be on or off, not 'nope'; parameters.jit_provider is Trackbed's to set: remove it; parameters.max_connection is not known to Postgres 17: did you mean max_connections?; parameters.max_wal_senders must be from 0 to 262143, not -1; parameters.work_mem must be a number, with a unit where it has one (kB, MB, GB, ms, s, min), not 'much'; Postgres 17 answers at db.shop-production.svc.cluster.local, with the parameters of before
    "#]],
    );
    let kept = children(&bad, &seen).settings.data.expect("settings");
    let before = before.data.expect("settings");
    assert_eq!(kept["postgresql.conf"], before["postgresql.conf"]);

    let redis = "{engine: Redis, version: '7', parameters: {maxmemory-polcy: noeviction, timeout: '5', masterauth: x, tls-auth-clients: 'yes'}}";
    health(
        &database(redis),
        &crate::seen(),
        &expect![[r#"
            Ready=False InvalidParameter: parameters.masterauth is Trackbed's to set: remove it; parameters.maxmemory-polcy is not known to Redis 7: did you mean maxmemory-policy?; parameters.tls-auth-clients is Trackbed's to set: remove it
            nothing is written
        "#]],
    );
}
