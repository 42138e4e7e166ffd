//! `kubectl`, as people use it.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{Cluster, eventually, http::PATIENCE};

impl Cluster {
    /// Runs kubectl; text for its standard input may be empty.
    ///
    /// # Panics
    /// If kubectl cannot be started.
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(&self.kubectl)
            .env("KUBECONFIG", &self.kubeconfig)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // kubectl that refuses its arguments ends before it reads.
        let _unread = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("kubectl ends")
    }

    /// Runs kubectl and gives what it prints.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn run(&self, arguments: &[&str], input: &str) -> String {
        let output = self.kubectl(arguments, input);
        assert!(
            output.status.success(),
            "kubectl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Applies manifests.
    ///
    /// # Panics
    /// If they are refused.
    #[track_caller]
    pub fn apply(&self, manifests: &str) {
        self.run(&["apply", "-f", "-"], manifests);
    }

    /// What the API server says to manifests that it refuses.
    ///
    /// # Panics
    /// If it takes them.
    #[track_caller]
    pub fn refused(&self, manifest: &str) -> String {
        let output = self.kubectl(&["apply", "--dry-run=server", "-f", "-"], manifest);
        assert!(!output.status.success(), "not refused:\n{manifest}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Deletes an object and waits until it is gone.
    ///
    /// # Panics
    /// If it does not go.
    #[track_caller]
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let kind = resource(kind);
        self.run(
            &[
                "delete",
                kind,
                name,
                "-n",
                namespace,
                "--wait",
                "--timeout=180s",
                "--ignore-not-found",
            ],
            "",
        );
    }

    /// Waits as `kubectl wait --for` does: `condition=Ready`, `jsonpath={.status.phase}=Active`.
    /// Waits for the object itself too, where kubectl alone would give up at once.
    ///
    /// # Panics
    /// If it does not come in `seconds`; says what stands there instead.
    #[track_caller]
    pub fn wait(&self, kind: &str, namespace: &str, name: &str, what: &str, seconds: u32) -> Value {
        let seconds = seconds.saturating_mul(u32::try_from(PATIENCE).unwrap_or(1));
        let (condition, timeout) = (format!("--for={what}"), format!("--timeout={seconds}s"));
        let kind = resource(kind);
        let object = ["wait", kind, name, "-n", namespace, "-o", "json"];
        let output = self.kubectl(
            &[&object[..], &["--for=create", &condition, &timeout]].concat(),
            "",
        );
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            panic!(
                "{kind} {namespace}/{name} did not reach {what} in {seconds} s: {error}\n{}",
                self.story(namespace)
            );
        }
        // As it was when it was there, and then when it was as it is to be: what it passes through may
        // be over at the next look.
        let printed = serde_json::Deserializer::from_slice(&output.stdout);
        let objects = printed.into_iter::<Value>();
        objects
            .last()
            .expect("kubectl prints what it waited for")
            .expect("kubectl prints JSON")
    }

    /// Waits until an object is ready, and no longer than it says that it goes on by itself.
    ///
    /// # Panics
    /// If it is not in `seconds`, or stalls.
    #[track_caller]
    pub fn ready(&self, kind: &str, namespace: &str, name: &str, seconds: usize) {
        let standing = eventually(seconds, || {
            let object = self.get(kind, namespace, name);
            let conditions = object["status"]["conditions"].as_array().cloned();
            let conditions = conditions.unwrap_or_default();
            let current = |condition: &&Value| {
                condition["status"] == "True"
                    && condition["observedGeneration"] == object["metadata"]["generation"]
            };
            let ends =
                |condition: &&Value| condition["type"] == "Ready" || condition["type"] == "Stalled";
            let found = conditions.iter().filter(current).find(ends);
            found
                .cloned()
                .ok_or_else(|| format!("{kind} {name}: {conditions:?}"))
        });
        assert_eq!(
            standing["type"],
            "Ready",
            "{kind} {name}: {}\n{}",
            standing["message"],
            self.story(namespace)
        );
    }

    /// Waits until the `Ready` condition of an object has this reason, and gives its message.
    #[track_caller]
    pub fn wait_reason(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        reason: &str,
        seconds: u32,
    ) -> String {
        let what = format!("jsonpath={{.status.conditions[?(@.type==\"Ready\")].reason}}={reason}");
        let object = self.wait(kind, namespace, name, &what, seconds);
        let conditions = object["status"]["conditions"].as_array().cloned();
        let ready = conditions
            .unwrap_or_default()
            .into_iter()
            .find(|condition| condition["type"] == "Ready");
        let message = ready.map(|ready| ready["message"].as_str().unwrap_or_default().to_owned());
        message.unwrap_or_default()
    }

    /// What a person would look at first when something is wrong in a namespace.
    pub fn story(&self, namespace: &str) -> String {
        let mut story = String::new();
        let looks: [&[&str]; 4] = [
            &["get", "trackbed", "-n", namespace, "-o", "wide"],
            &["get", "pods,jobs,pvc", "-n", namespace, "-o", "wide"],
            &["get", "events", "-n", namespace, "--sort-by=.lastTimestamp"],
            &[
                "logs",
                "-n",
                "trackbed-system",
                "deployment/trackbed",
                "--tail=40",
            ],
        ];
        for look in looks {
            let output = self.kubectl(look, "");
            story += &format!("$ kubectl {}\n", look.join(" "));
            story += &String::from_utf8_lossy(&output.stdout);
            story += &String::from_utf8_lossy(&output.stderr);
        }
        story
    }
}

/// Kinds whose plain name means a core one are named in full.
pub(crate) fn resource(kind: &str) -> &str {
    match kind {
        "project" => "projects.trackbed.dev",
        "service" => "services.trackbed.dev",
        "build" => "builds.trackbed.dev",
        "deployment" => "deployments.trackbed.dev",
        "database" => "databases.trackbed.dev",
        other => other,
    }
}
