//! When nothing changes, nothing is written.

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
};

use suite::{Cluster, Value, eventually};

/// Reads that may happen: Secrets that nobody watches are compared every ten minutes.
const HANDFUL: usize = 6;

/// Requests of Trackbed in the audit log from a position on.
fn requests(cluster: &Cluster, from: u64) -> Vec<Value> {
    let mut file = fs::File::open(&cluster.audit_log).expect("the audit log");
    file.seek(SeekFrom::Start(from)).expect("a position in it");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("lines");
    let parse = |line: &str| serde_json::from_str(line).ok();
    text.lines().filter_map(parse).collect()
}

fn seconds(cluster: &Cluster) -> i64 {
    let lease = cluster.get("lease", "trackbed-system", "trackbed");
    let time = lease["spec"]["renewTime"].as_str().unwrap_or_default();
    let time: jiff::Timestamp = time.parse().expect("the Lease's renewTime");
    time.as_second()
}

#[test]
fn a_converged_cluster_is_left_alone() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("quiet");
    let image = cluster.busybox();
    cluster.apply(&format!(
        r#"
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {{name: web, namespace: {namespace}}}
spec:
  source: {{image: {{reference: "{image}", interval: 10s}}}}
  run: {{command: [httpd, -f, -p, "8080", -h, /]}}
---
apiVersion: trackbed.dev/v1alpha1
kind: Database
metadata: {{name: db, namespace: {namespace}}}
spec: {{engine: Redis, version: "7", storage: {{size: 1Gi}}}}
"#
    ));
    cluster.wait("service", &namespace, "web", "condition=Ready", 180);
    cluster.wait("database", &namespace, "db", "condition=Ready", 180);

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
    let from = fs::metadata(&cluster.audit_log)
        .expect("the audit log")
        .len();
    let begin = seconds(&cluster);
    eventually(usize::try_from(minutes * 2).expect("seconds"), || {
        let now = seconds(&cluster);
        if now >= begin + minutes {
            Ok(())
        } else {
            Err(format!("the Lease was renewed {now}"))
        }
    });
    let requests = requests(&cluster, from);
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
