//! A volume fills up: it is told before, the server's end is named, and more room heals it.
//!
//! The provider of the volume is played: a file system in memory, and the capacity that a driver
//! would write when it has grown it.

use std::{fs, process::Command};

use suite::{Cluster, eventually};

const NAMESPACE: &str = "storage-production";
const FOLDER: &str = "/run/trackbed-e2e-storage";

/// A file system that the node's kubelet sees. It goes with the node at the latest.
struct FileSystem {
    kubelet: String,
}

impl FileSystem {
    fn make(cluster: &Cluster, size: &str) -> Self {
        let address = format!("--node-ip={}", cluster.node);
        let processes = fs::read_dir("/proc").expect("processes").flatten();
        let kubelet = processes.filter_map(|it| {
            let arguments = fs::read_to_string(it.path().join("cmdline")).ok()?;
            let is = arguments.contains("kubelet") && arguments.contains(&address);
            is.then(|| it.file_name().to_string_lossy().into_owned())
        });
        let kubelet = kubelet.last().expect("the node's kubelet");
        let system = Self { kubelet };
        system.run(&["mkdir", "-p", FOLDER]);
        let options = format!("size={size},mode=0777");
        system.run(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs", FOLDER]);
        system
    }

    fn grow(&self, size: &str) {
        let options = format!("remount,size={size}");
        self.run(&["mount", "-o", &options, FOLDER]);
    }

    fn run(&self, command: &[&str]) {
        let output = Command::new("nsenter")
            .args(["--target", &self.kubelet, "--mount", "--"])
            .args(command)
            .output()
            .expect("nsenter runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
    }
}

impl Drop for FileSystem {
    fn drop(&mut self) {
        // Those who have it open still keep it until they end.
        let unmount = ["--mount", "--", "umount", "--lazy", FOLDER];
        let _gone = Command::new("nsenter")
            .args(["--target", &self.kubelet])
            .args(unmount)
            .output();
    }
}

#[test]
fn a_full_volume_is_named_and_more_room_heals_it() {
    let cluster = Cluster::connect();
    let system = FileSystem::make(&cluster, "224m");
    cluster.apply(&format!(
        r#"
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {{name: e2e-played}}
provisioner: e2e.trackbed.dev/played
allowVolumeExpansion: true
---
apiVersion: v1
kind: PersistentVolume
metadata: {{name: e2e-played}}
spec:
  storageClassName: e2e-played
  capacity: {{storage: 224Mi}}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  claimRef: {{namespace: {NAMESPACE}, name: db-data}}
  hostPath: {{path: {FOLDER}}}
"#
    ));
    let project = cluster.project("storage");
    let database = |size: &str| {
        cluster.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {NAMESPACE}}}\nspec:\n  engine: Postgres\n  version: \"17\"\n  storage: {{size: {size}, className: e2e-played}}\n  resources: {{limits: {{cpu: \"1\", memory: 1Gi}}}}\n  parameters: {{max_wal_size: 64MB, min_wal_size: 32MB}}\n"
        ));
    };
    database("224Mi");
    cluster.wait("database", NAMESPACE, "db", "condition=Ready", 300);
    let client = cluster.client(NAMESPACE, "db", "client");
    client
        .ask("create table kept (n serial, word text)")
        .expect("a table");

    // Until no more go in.
    let more = "insert into kept (word) select repeat('x', 1000) from generate_series(1, 5000)";
    let mut rows = 0;
    let refusal = loop {
        match client.ask(more) {
            Ok(_) => rows += 5000,
            Err(refusal) => break refusal,
        }
        assert!(rows < 10_000_000, "the volume does not end");
    };
    println!("after {rows} rows: {refusal}");
    let message = cluster.wait_reason("database", NAMESPACE, "db", "StorageFull", 180);
    assert!(message.contains("raise storage.size"), "{message}");
    println!("{message}");
    let shown = cluster.run(&["get", "tdb", "db", "-n", NAMESPACE], "");
    println!("{shown}");
    // The condition is there even if nobody could ask the supervisor while there was time.
    let what = "condition=StorageAmple=false";
    cluster.wait("database", NAMESPACE, "db", what, 120);
    let warned = || {
        let events = cluster.list("events", NAMESPACE);
        let warned = events.iter().any(|it| it["reason"] == "StorageAlmostFull");
        warned
            .then_some(())
            .ok_or_else(|| "no Event says so".to_owned())
    };
    eventually(60, warned);

    // Less is refused, more is asked for, and the provider gives it.
    let smaller = cluster.refused(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {NAMESPACE}}}\nspec: {{engine: Postgres, version: \"17\", storage: {{size: 100Mi, className: e2e-played}}}}\n"
    ));
    assert!(
        smaller.contains("storage.size can grow, not shrink"),
        "{smaller}"
    );
    database("448Mi");
    let asked = "jsonpath={.spec.resources.requests.storage}=448Mi";
    cluster.wait("pvc", NAMESPACE, "db-data", asked, 60);
    system.grow("448m");
    let capacity = r#"{"spec":{"capacity":{"storage":"448Mi"}}}"#;
    cluster.run(&["patch", "pv", "e2e-played", "-p", capacity], "");
    let capacity = r#"{"status":{"capacity":{"storage":"448Mi"}}}"#;
    let claim = ["patch", "pvc", "db-data", "-n", NAMESPACE, "-p", capacity];
    cluster.run(&[&claim[..], &["--subresource=status"]].concat(), "");

    // The server comes up by itself, with every row that it had acknowledged.
    cluster.wait("database", NAMESPACE, "db", "condition=Ready", 300);
    let found = eventually(60, || client.ask("select count(*) from kept"));
    assert_eq!(found, rows.to_string());
    let ample = "condition=StorageAmple=true";
    cluster.wait("database", NAMESPACE, "db", ample, 180);
    let status = cluster.get("database", NAMESPACE, "db")["status"].clone();
    assert_eq!(status["storage"], "448Mi", "{status:#}");
    drop(project);
    cluster.run(&["delete", "pv,sc", "e2e-played"], "");
}
