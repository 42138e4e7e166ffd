//! Plans of a Database: YAML in (the Database and what is there), children out.

mod archive;
mod attempt;
mod backup;
mod begin;
mod databases;
mod deletion;
mod encryption;
mod health;
mod parameters;
mod recovery;
mod replicas;
mod restart;
mod restore;
mod sentinels;
mod sentinels_tls;
mod settings;
mod settle;
mod several;
mod storage;
mod stuck;
mod tls;
mod updates;
mod valkey;

use std::{fmt::Write, sync::Arc};

use expect_test::expect;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use trackbed_api::Database;
use trackbed_database::{
    observe::{Fresh, Seen},
    plan::{Children, Plan, plan},
};
use trackbed_kit::Config;

use health::health;

fn database(spec: &str) -> Database {
    serde_saphyr::from_str(&format!(
        "metadata: {{name: db, namespace: shop-production, uid: u-db}}\nspec: {spec}\n"
    ))
    .expect("a Database")
}

fn postgres() -> Database {
    database("{engine: Postgres, version: '17', storage: {size: 1Gi}}")
}

fn seen() -> Seen {
    Seen {
        project: Some("shop".to_owned()),
        fresh: Fresh {
            password: "fresh-password".to_owned(),
            standby: "fresh-standby".to_owned(),
            owners: "fresh-owners".to_owned(),
            identity: "fresh-identity".to_owned(),
            ..Fresh::default()
        },
        ..Seen::default()
    }
}

fn pod(status: &str) -> Option<Arc<Pod>> {
    let text = format!("metadata: {{name: db-0}}\nstatus: {status}\n");
    Some(Arc::new(
        serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}")),
    ))
}

fn claim(size: &str) -> Option<Arc<PersistentVolumeClaim>> {
    let text = format!(
        "metadata: {{name: db-data}}\nspec: {{storageClassName: fast, resources: {{requests: {{storage: {size}}}}}}}\nstatus: {{capacity: {{storage: {size}}}}}\n"
    );
    Some(Arc::new(serde_saphyr::from_str(&text).expect("a claim")))
}

fn decide(object: &Database, seen: &Seen) -> Plan {
    plan(object, seen, &Config::example(), now())
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn children(object: &Database, seen: &Seen) -> Children {
    decide(object, seen).children.expect("children")
}

#[test]
fn the_secret_is_a_binding_and_is_made_once() {
    let mut seen = seen();
    let secret = children(&postgres(), &seen).secret;
    let mut text = format!("{}\n", secret.type_.clone().unwrap_or_default());
    for (key, value) in secret.data.iter().flatten() {
        writeln!(text, "{key}={}", String::from_utf8_lossy(&value.0)).expect("text");
    }
    expect![[r#"
        servicebinding.io/postgresql
        DATABASE_URL=postgresql://app:fresh-password@db.shop-production.svc.cluster.local:5432/app
        PGDATABASE=app
        PGHOST=db.shop-production.svc.cluster.local
        PGPASSWORD=fresh-password
        PGPORT=5432
        PGUSER=app
        database=app
        host=db.shop-production.svc.cluster.local
        password=fresh-password
        port=5432
        provider=trackbed
        type=postgresql
        uri=postgresql://app:fresh-password@db.shop-production.svc.cluster.local:5432/app
        username=app
    "#]]
    .assert_eq(&text);
    assert!(secret.metadata.owner_references.is_none(), "it stays");
    seen.secret = Some(secret.clone());
    seen.fresh = Fresh::default();
    let again = children(&postgres(), &seen).secret;
    assert_eq!(again.data, secret.data, "kept, not made anew");
}

#[test]
fn the_server_runs_without_rights_under_the_supervisor() {
    let children = children(&postgres(), &seen());
    expect![[r#"
        podManagementPolicy: Parallel
        replicas: 1
        selector:
          matchLabels:
            trackbed.dev/database: db
            trackbed.dev/role: database
        serviceName: db-headless
        template:
          metadata:
            annotations:
              trackbed.dev/asked: 4f8b4c755fc91c16
              trackbed.dev/image: docker.io/library/postgres:17
              trackbed.dev/settings: a6030225fd2abfa8
              trackbed.dev/template: ca6cba21c907020d
            labels:
              app.kubernetes.io/managed-by: trackbed
              trackbed.dev/database: db
              trackbed.dev/project: shop
              trackbed.dev/role: database
          spec:
            automountServiceAccountToken: false
            containers:
            - command:
              - /opt/trackbed/bin/trackbed
              - supervisor
              - postgres
              - --version=17
              image: docker.io/library/postgres:17
              livenessProbe:
                failureThreshold: 6
                periodSeconds: 20
                tcpSocket:
                  port: 5432
                timeoutSeconds: 5
              name: postgres
              ports:
              - containerPort: 5432
                name: postgres
                protocol: TCP
              - containerPort: 9187
                name: metrics
                protocol: TCP
              readinessProbe:
                exec:
                  command:
                  - /opt/trackbed/bin/trackbed
                  - supervisor
                  - probe
                  - postgres
                  - --version=17
                failureThreshold: 3
                periodSeconds: 10
                timeoutSeconds: 5
              resources:
                limits:
                  cpu: "1"
                  memory: 512Mi
                requests:
                  cpu: 100m
                  memory: 256Mi
              securityContext:
                allowPrivilegeEscalation: false
                capabilities:
                  drop:
                  - ALL
                readOnlyRootFilesystem: true
              startupProbe:
                exec:
                  command:
                  - /opt/trackbed/bin/trackbed
                  - supervisor
                  - probe
                  - postgres
                  - --version=17
                failureThreshold: 600
                periodSeconds: 3
                timeoutSeconds: 5
              volumeMounts:
              - mountPath: /data
                name: data
              - mountPath: /etc/trackbed/credentials
                name: credentials
                readOnly: true
              - mountPath: /etc/trackbed/standby
                name: standby
                readOnly: true
              - mountPath: /etc/trackbed/state
                name: settings
                readOnly: true
              - mountPath: /run/trackbed
                name: run
              - mountPath: /tmp
                name: tmp
              - mountPath: /opt/trackbed/bin
                name: bin
                readOnly: true
            enableServiceLinks: false
            initContainers:
            - command:
              - /trackbed
              - supervisor
              - install
              - --to
              - /opt/trackbed/bin/trackbed
              image: docker.io/trackbed/operator:1
              name: supervisor
              resources:
                limits:
                  cpu: 500m
                  memory: 64Mi
                requests:
                  cpu: 10m
                  memory: 16Mi
              securityContext:
                allowPrivilegeEscalation: false
                capabilities:
                  drop:
                  - ALL
                readOnlyRootFilesystem: true
              volumeMounts:
              - mountPath: /opt/trackbed/bin
                name: bin
            securityContext:
              fsGroup: 999
              fsGroupChangePolicy: OnRootMismatch
              runAsGroup: 999
              runAsNonRoot: true
              runAsUser: 999
              seccompProfile:
                type: RuntimeDefault
            terminationGracePeriodSeconds: 120
            volumes:
            - name: data
              persistentVolumeClaim:
                claimName: db-data
            - name: credentials
              secret:
                defaultMode: 288
                secretName: db-credentials
            - name: standby
              secret:
                defaultMode: 288
                optional: true
                secretName: db-standby
            - configMap:
                name: db-settings
              name: settings
            - emptyDir:
                medium: Memory
              name: run
            - emptyDir: {}
              name: tmp
            - emptyDir: {}
              name: bin
        updateStrategy:
          type: OnDelete
    "#]]
    .assert_eq(&serde_saphyr::to_string(&children.set.expect("a server").spec).expect("YAML"));
    let settings = children.settings.data.expect("settings");
    expect![[r#"
        identity: fresh-identity
        initialised: "false"
        pg_hba.conf: |
          local all all peer
          host all all all scram-sha-256
        postgresql.conf: |
          shared_buffers = 128MB
          dynamic_shared_memory_type = posix
          max_connections = 100
          log_destination = stderr
          logging_collector = off
          password_encryption = scram-sha-256
          timezone = UTC
    "#]]
    .assert_eq(&serde_saphyr::to_string(&settings).expect("YAML"));
}

#[test]
fn a_claim_grows_and_never_shrinks() {
    let size = |object: &Database, live: &str| {
        let mut seen = seen();
        seen.secret = Some(children(object, &seen).secret);
        seen.claim = claim(live);
        let claim = children(object, &seen).claim.expect("a claim");
        let spec = claim.spec.expect("a spec");
        assert_eq!(
            spec.storage_class_name.as_deref(),
            Some("fast"),
            "it cannot change"
        );
        spec.resources.and_then(|it| it.requests).expect("requests")["storage"]
            .0
            .clone()
    };
    let large = database("{engine: Postgres, version: '17', storage: {size: 5Gi}}");
    assert_eq!(size(&large, "1Gi"), "5Gi");
    assert_eq!(size(&postgres(), "5Gi"), "5Gi");
    assert!(
        children(&postgres(), &seen())
            .claim
            .expect("a claim")
            .metadata
            .owner_references
            .is_none(),
        "it stays"
    );
}

#[test]
fn data_without_credentials_are_not_touched() {
    let mut seen = seen();
    seen.claim = claim("1Gi");
    health(
        &postgres(),
        &seen,
        &expect![[r#"
            Ready=False CredentialsMissing: the claim db-data exists and the Secret db-credentials with its password does not: restore the Secret, or delete what exists if its data are not wanted
            nothing is written
        "#]],
    );
}

#[test]
fn once_ready_an_empty_volume_is_refused() {
    let mut seen = seen();
    seen.pod = pod("{conditions: [{type: Ready, status: 'True'}]}");
    let first = children(&postgres(), &seen);
    assert_eq!(
        first.settings.data.expect("settings")["initialised"],
        "true"
    );
    // Another Database of that name, after a deletion, takes the Secret up.
    seen.pod = None;
    seen.secret = Some(first.secret);
    let second = children(&postgres(), &seen)
        .settings
        .data
        .expect("settings");
    assert_eq!(second["initialised"], "true");
    assert_eq!(second["identity"], "fresh-identity");
}

#[test]
fn outside_of_an_environment_nothing_happens() {
    health(
        &postgres(),
        &Seen::default(),
        &expect![[r#"
        Ready=False NamespaceNotManaged: this namespace belongs to no Project: create the Database in a namespace of a Project's environment
        nothing is written
    "#]],
    );
}
