//! The operator's own process, to do harm to it.

use std::{fs, process::Command};

use crate::{Cluster, http::eventually};

impl Cluster {
    /// Kills the operator's process with SIGKILL, as a node's out-of-memory killer would.
    ///
    /// # Panics
    /// If there is none to kill.
    #[track_caller]
    pub fn kill_operator(&self) {
        let pid = eventually(60, || self.operator_process());
        let killed = Command::new("kill").args(["-KILL", &pid]).status();
        assert!(killed.is_ok_and(|status| status.success()), "kill {pid}");
    }

    /// The host's number of the operator's process: the one whose cgroup names the pod.
    fn operator_process(&self) -> Result<String, String> {
        let pods = self.list("pods", "trackbed-system");
        let uids: Vec<String> = pods
            .iter()
            .filter(|pod| pod["status"]["phase"] == "Running")
            .filter_map(|pod| pod["metadata"]["uid"].as_str().map(str::to_owned))
            .collect();
        let processes = fs::read_dir("/proc").map_err(|error| error.to_string())?;
        for process in processes.flatten() {
            let read =
                |file: &str| fs::read_to_string(process.path().join(file)).unwrap_or_default();
            let cgroup = read("cgroup").replace('_', "-");
            if uids.iter().any(|uid| cgroup.contains(uid)) && read("comm").trim() == "trackbed" {
                return Ok(process.file_name().to_string_lossy().into_owned());
            }
        }
        Err(format!("no process of pods {uids:?}"))
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
