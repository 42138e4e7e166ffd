//! The node goes down in the middle of a build and while a database is written to, as in a power cut:
//! its kubelet, its container runtime and all that runs in containers die at once. The cluster's
//! supervisor starts kubelet and runtime again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use suite::{Cluster, Value, builds::condition, eventually, stub::Silent};

/// Writes row after row, each one a transaction, and prints it when it is acknowledged.
const INSERTS: &str = r#"seq 1000000 | sed 's/.*/insert into log values (&) returning n;/' | psql "$uri" --no-psqlrc -v ON_ERROR_STOP=1 -Atq"#;

/// A process of this machine.
struct Process {
    id: String,
    folder: PathBuf,
}

impl Process {
    fn all() -> Vec<Self> {
        let entries = fs::read_dir("/proc").expect("processes").flatten();
        let process = |entry: fs::DirEntry| {
            let id = entry.file_name().into_string().ok()?;
            id.parse::<u32>().ok()?;
            Some(Self {
                id,
                folder: entry.path(),
            })
        };
        entries.filter_map(process).collect()
    }

    /// What a file tells of it; empty if it has just ended.
    fn read(&self, file: &str) -> String {
        let bytes = fs::read(self.folder.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn name(&self) -> String {
        self.read("comm").trim().to_owned()
    }

    fn link(&self, file: &str) -> Option<PathBuf> {
        fs::read_link(self.folder.join(file)).ok()
    }
}

/// Everything that dies with the node: what belongs to its kubelet's process namespace and is kubelet
/// or runtime, and what is in its pods' control groups.
fn doomed(cluster: &Cluster) -> Vec<String> {
    let all = Process::all();
    let address = format!("--node-ip={}", cluster.node);
    let kubelet = all
        .iter()
        .find(|it| it.name() == "kubelet" && it.read("cmdline").contains(&address))
        .expect("the node's kubelet");
    let namespace = kubelet.link("ns/pid").expect("its process namespace");
    let pods: Vec<String> = cluster.pods_of_all().iter().map(uid).collect();
    let runtime = |process: &Process| {
        let name = process.name();
        let known = name == "kubelet" || name.starts_with("containerd");
        known && process.link("ns/pid").as_deref() == Some(Path::new(&namespace))
    };
    let contained = |process: &Process| {
        let groups = process.read("cgroup").replace('_', "-");
        pods.iter().any(|uid| groups.contains(uid))
    };
    let doomed = all.iter().filter(|it| runtime(it) || contained(it));
    doomed.map(|process| process.id.clone()).collect()
}

fn uid(pod: &Value) -> String {
    pod["metadata"]["uid"].as_str().expect("a uid").to_owned()
}

/// Waits until every pod that should run does, so that the next test finds the cluster whole.
fn whole(cluster: &Cluster) {
    eventually(180, || {
        let ready = |pod: &Value| condition(pod, "Ready")["status"] == "True";
        let ended = |pod: &Value| {
            let phase = pod["status"]["phase"].as_str();
            matches!(phase, Some("Succeeded" | "Failed"))
        };
        let pods = cluster.pods_of_all();
        let waiting = pods.iter().find(|pod| !ended(pod) && !ready(pod));
        match waiting {
            None => Ok(()),
            Some(pod) => Err(format!("pod {} is not ready", pod["metadata"]["name"])),
        }
    });
    cluster.operator_ready();
}

#[test]
fn a_build_survives_a_power_cut() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("power-cut");
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {namespace}}}\nspec: {{engine: Postgres, version: \"17\"}}\n"
    ));
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: several, namespace: {namespace}}}\nspec: {{engine: Postgres, version: \"17\", replicas: 2}}\n"
    ));
    let clients = [("db", "Ready"), ("several", "Replicated")].map(|(name, condition)| {
        let condition = format!("condition={condition}");
        cluster.wait("database", &namespace, name, &condition, 240);
        let client = cluster.client(&namespace, name, &format!("client-{name}"));
        client.ask("create table log (n int)").expect("a table");
        client
    });
    let gate = Silent::start();
    let dockerfile = format!("FROM busybox:1.36\n{}CMD [\"true\"]\n", gate.gate());
    let commit = cluster.commit("power-cut", &[("Dockerfile", &dockerfile)]);
    cluster.build(&namespace, "cut", &commit, "", "timeout: 10m");
    eventually(180, || match gate.taken() {
        0 => Err("the build is not at the gate".to_owned()),
        _ => Ok(()),
    });

    let writes = clients.each_ref().map(|client| {
        let mut writes = client.write(INSERTS);
        writes.acknowledged(100);
        writes
    });
    let doomed = doomed(&cluster);
    // A signal goes to one after another. So that none lives to see another's death, all stop before
    // the first of them dies.
    for signal in ["-STOP", "-KILL"] {
        let sent = Command::new("kill").arg(signal).args(&doomed).status();
        // Some of them end by themselves meanwhile.
        assert!(sent.is_ok(), "kill {signal} {doomed:?}");
    }
    eventually(180, || {
        let build = cluster.get("build", &namespace, "cut");
        match build["status"]["attempts"].as_i64() {
            Some(2..) => Ok(()),
            _ => Err(format!("{:#}", build["status"])),
        }
    });
    gate.close();
    let build = cluster.phase(&namespace, "cut", "Succeeded", 240);
    assert_eq!(build["status"]["attempts"], 2, "{build:#}");
    whole(&cluster);
    for (client, writes) in clients.iter().zip(writes) {
        let acknowledged = writes.end();
        let count = format!("select count(*) from log where n <= {acknowledged}");
        let found = eventually(120, || client.ask(&count));
        assert_eq!(found, acknowledged.to_string(), "no row is lost");
    }
    cluster.wait(
        "database",
        &namespace,
        "several",
        "condition=Replicated",
        240,
    );
    cluster.next_build_works(&namespace);
}
