//! When nothing changes, nothing is written.

use suite::{Cluster, eventually};

/// Reads that may happen: Secrets that nobody watches are compared every minute.
const HANDFUL: usize = 6;

fn seconds(cluster: &Cluster) -> i64 {
    let lease = cluster.get("lease", "trackbed-system", "trackbed");
    let time = lease["spec"]["renewTime"].as_str().unwrap_or_default();
    let time: jiff::Timestamp = time.parse().expect("the Lease's renewTime");
    time.as_second()
}

#[test]
fn a_converged_cluster_is_left_alone() {
    let cluster = Cluster::connect();
    let namespace = cluster.project_of(
        "quiet",
        "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {name: quiet}\nspec: {environments: [{name: production}], routing: Gateway, tls: {issuer: cluster-ca}}\n",
    );
    let image = cluster.busybox();
    cluster.apply(&format!(
        r#"
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {{name: web, namespace: {namespace}}}
spec:
  source: {{image: {{reference: "{image}", interval: 10s}}}}
  run:
    command: [httpd, -f, -p, "8080", -h, /]
    env: [{{name: KEY, valueFrom: {{secretKeyRef: {{name: settings, key: key}}}}}}]
  expose: {{domains: [{{host: www.quiet.example.org}}]}}
---
apiVersion: v1
kind: Secret
metadata: {{name: settings, namespace: {namespace}}}
stringData: {{key: value}}
---
apiVersion: trackbed.dev/v1alpha1
kind: Database
metadata: {{name: db, namespace: {namespace}}}
spec: {{engine: Redis, version: "7", storage: {{size: 1Gi}}}}
---
apiVersion: trackbed.dev/v1alpha1
kind: Database
metadata: {{name: several, namespace: {namespace}}}
spec: {{engine: Postgres, version: "17", replicas: 2}}
"#
    ));
    cluster.wait("service", &namespace, "web", "condition=Ready", 180);
    cluster.wait("database", &namespace, "db", "condition=Ready", 180);
    let all = "condition=Replicated";
    cluster.wait("database", &namespace, "several", all, 240);

    // The Lease is the clock: it is renewed for as long as the operator lives.
    let minutes: i64 = std::env::var("TRACKBED_E2E_QUIET_SECONDS")
        .map_or(60, |text| text.parse().expect("seconds"));
    let settled = seconds(&cluster);
    eventually(120, || {
        let now = seconds(&cluster);
        if now >= settled + 20 {
            Ok(())
        } else {
            Err(format!("the Lease was renewed {now}"))
        }
    });
    let from = cluster.audit_position();
    let begin = seconds(&cluster);
    eventually(usize::try_from(minutes * 2).expect("seconds"), || {
        let now = seconds(&cluster);
        if now >= begin + minutes {
            Ok(())
        } else {
            Err(format!("the Lease was renewed {now}"))
        }
    });
    let requests = cluster.audited(from);
    let of = |verbs: &[&str]| -> Vec<String> {
        requests
            .iter()
            .filter(|request| verbs.contains(&request["verb"].as_str().unwrap_or("")))
            .map(|request| format!("{} {}", request["verb"], request["requestURI"]))
            .collect()
    };
    let writes = of(&["create", "update", "patch", "delete", "deletecollection"]);
    let (renewals, others): (Vec<_>, Vec<_>) = writes
        .into_iter()
        .partition(|write| write.contains("/leases/"));
    assert!(!renewals.is_empty(), "the log holds Trackbed's requests");
    assert!(
        others.is_empty(),
        "written although nothing changed: {others:#?}"
    );
    let reads = of(&["get", "list"]);
    assert!(reads.len() <= HANDFUL, "more than a handful: {reads:#?}");
}
