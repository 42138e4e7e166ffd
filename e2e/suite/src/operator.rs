//! Processes in pods, to do harm to them.

use std::{fs, process::Command};

use crate::{Cluster, http::eventually};

impl Cluster {
    /// Kills the operator's process with SIGKILL, as a node's out-of-memory killer would.
    ///
    /// # Panics
    /// If there is none to kill.
    #[track_caller]
    pub fn kill_operator(&self) {
        let pid = eventually(60, || {
            let pods = self.list("pods", "trackbed-system");
            let running = pods.iter().filter(|it| it["status"]["phase"] == "Running");
            let uids: Vec<_> = running
                .filter_map(|it| it["metadata"]["uid"].as_str())
                .collect();
            let of_pods = processes(&uids)?;
            let operator = of_pods.into_iter().find(|(_, name)| name == "trackbed");
            let pid = operator.map(|(pid, _)| pid);
            pid.ok_or_else(|| format!("no process of pods {uids:?}"))
        });
        kill(&[pid]);
    }

    /// Kills everything in a pod at once with SIGKILL, as a power cut would.
    ///
    /// # Panics
    /// If there is nothing to kill.
    #[track_caller]
    pub fn kill_pod(&self, namespace: &str, name: &str) {
        let pod = self.get("pod", namespace, name);
        let uid = pod["metadata"]["uid"].as_str().expect("a uid");
        let found = processes(&[uid]).expect("processes");
        let all: Vec<String> = found.into_iter().map(|(pid, _)| pid).collect();
        assert!(!all.is_empty(), "nothing runs in {namespace}/{name}");
        kill(&all);
    }

    /// Waits until the operator runs and is ready.
    #[track_caller]
    pub fn operator_ready(&self) {
        self.run(
            &[
                "rollout",
                "status",
                "-n",
                "trackbed-system",
                "deployment/trackbed",
                "--timeout=120s",
            ],
            "",
        );
    }
}

/// The host's numbers and the names of the processes whose cgroup names one of the pods.
fn processes(uids: &[&str]) -> Result<Vec<(String, String)>, String> {
    let all = fs::read_dir("/proc").map_err(|error| error.to_string())?;
    let found = all.flatten().filter_map(|process| {
        let read = |file: &str| fs::read_to_string(process.path().join(file)).unwrap_or_default();
        let cgroup = read("cgroup").replace('_', "-");
        let of_pod = uids.iter().any(|uid| cgroup.contains(uid));
        let pid = process.file_name().to_string_lossy().into_owned();
        of_pod.then(|| (pid, read("comm").trim().to_owned()))
    });
    Ok(found.collect())
}

#[track_caller]
fn kill(pids: &[String]) {
    // Some end before their turn, by the others' death: what matters is that kill ran.
    let killed = Command::new("kill").arg("-KILL").args(pids).output();
    let output = killed.expect("kill runs");
    let several = pids.len() > 1;
    assert!(output.status.success() || several, "kill {pids:?}");
}
