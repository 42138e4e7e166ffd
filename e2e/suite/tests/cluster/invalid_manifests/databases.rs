//! What a Database must not say, and a part of the sentence that says so.

pub(super) const DATABASES: &[(&str, &str)] = &[
    ("{}", "engine"),
    (
        "{engine: MySQL, version: '8', storage: {size: 1Gi}}",
        "Postgres",
    ),
    (
        "{engine: Postgres, version: '9', storage: {size: 1Gi}}",
        "version",
    ),
    (
        "{engine: Valkey, version: '7', storage: {size: 1Gi}}",
        "version of Valkey must be '8' or '9'",
    ),
    (
        "{engine: Postgres, version: '17', storage: {size: '0'}}",
        "amount above zero",
    ),
    (
        "{engine: Postgres, version: '17', storage: {size: big}}",
        "amount above zero",
    ),
    (
        "{engine: Redis, version: '7', storage: {size: 10}}",
        "at least 64Mi",
    ),
    (
        "{engine: Postgres, version: '17', credentials: {keep: 5s}}",
        "between 1m and 720h",
    ),
    (
        "{engine: Postgres, version: '17', parameters: {port: '1'}}",
        "leave addresses, paths, access and commands to Trackbed",
    ),
    (
        "{engine: Redis, version: '7', init: {configMapKeyRef: {name: a, key: b}}}",
        "init is SQL",
    ),
    (
        "{engine: Postgres, version: '17', init: {configMapKeyRef: {name: a, key: b}}, restore: {from: {database: a}}}",
        "a Database that begins empty",
    ),
    (
        "{engine: Redis, version: '7', databases: [{name: shop}]}",
        "databases are of Postgres",
    ),
    (
        "{engine: Postgres, version: '17', databases: [{name: web-shop}]}",
        "like 'analytics'",
    ),
    (
        "{engine: Postgres, version: '17', databases: [{name: template1}]}",
        "the server's own",
    ),
    (
        "{engine: Postgres, version: '17', databases: [{name: app, owner: web}]}",
        "always there",
    ),
    (
        "{engine: Postgres, version: '17', databases: [{name: shop, owner: app_2}]}",
        "second user",
    ),
    (
        "{engine: Postgres, version: '17', databases: [{name: pg_shop}]}",
        "a user of its own",
    ),
    (
        "{engine: Postgres, version: '17', databases: [{name: shop, extensions: [PostGIS]}]}",
        "CREATE EXTENSION",
    ),
    (
        "{engine: Postgres, version: '17', updates: {timeZone: Europe/Berlin}}",
        "updates must say when",
    ),
    (
        "{engine: Postgres, version: '17', deniedCommands: [KEYS]}",
        "GRANT and REVOKE",
    ),
    (
        "{engine: Redis, version: '7', deniedCommands: [GET]}",
        "FLUSHALL",
    ),
    (
        "{engine: Redis, version: '7', replicas: 2}",
        "a majority of them decides",
    ),
    (
        "{engine: Redis, version: '7', replicas: 3, archive: {s3: {bucket: acme, secretRef: {name: a}}}}",
        "archive is of Postgres",
    ),
    (
        "{engine: Postgres, version: '17', replicas: 2, storage: {size: 256Mi}}",
        "at least 512Mi with several replicas",
    ),
    (
        "{engine: Postgres, version: '17', replicas: 0}",
        "greater than or equal to 1",
    ),
    (
        "{engine: Postgres, version: '17', archive: {s3: {bucket: acme, secretRef: {name: a}}}}",
        "write replicas: 2 or more",
    ),
    (
        "{engine: Postgres, version: '17', replicas: 2, archive: {retainDays: 0, s3: {bucket: acme, secretRef: {name: a}}}}",
        "between 1 and 3650 days",
    ),
    (
        "{engine: Postgres, version: '17', restore: {time: latest, from: {database: a}}}",
        "write replicas: 2 or more",
    ),
    (
        "{engine: Postgres, version: '17', replicas: 2, restore: {time: yesterday, from: {database: a}}}",
        "a moment with its offset from UTC",
    ),
    (
        "{engine: Postgres, version: '17', replicas: 2, restore: {time: '2026-03-01T12:00:00', from: {database: a}}}",
        "a moment with its offset from UTC",
    ),
    (
        "{engine: Postgres, version: '17', replicas: 2, restore: {time: latest, backup: b, from: {database: a}}}",
        "remove backup, or time",
    ),
    (
        "{engine: Postgres, version: '17', replicas: 2, restore: {time: latest, from: {volume: {claimName: a}}}}",
        "from.database or from.s3",
    ),
    (
        "{engine: Postgres, version: '17', replicas: 2, restore: {time: latest, from: {s3: {bucket: acme, secretRef: {name: a}}}}}",
        "from.identity beside from.s3",
    ),
    (
        "{engine: Redis, version: '7', tls: {}}",
        "write tls: {mode: Require}",
    ),
    (
        "{engine: Postgres, version: '17', updates: {schedule: sometimes}}",
        "schedule",
    ),
];
