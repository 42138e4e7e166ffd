//! Builds that are made by hand, without a Service, and what is expected of their end.

use serde_json::Value;

use crate::{Cluster, Environment, eventually};

/// A commit of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// URL of the repository.
    pub url: String,
    /// The commit.
    pub id: String,
}

/// How a Build fails.
#[derive(Clone, Debug)]
pub struct Failure<'a> {
    /// The reason.
    pub reason: &'a str,
    /// The step; none if no step ran.
    pub step: Option<&'a str>,
    /// Its exit code.
    pub exit: Option<i64>,
    /// Whether the same thing tried again may succeed.
    pub retryable: bool,
    /// What the sentence says, among other things.
    pub says: &'a [&'a str],
    /// What the kept end of the log has, if there must be one.
    pub log: Option<&'a str>,
}

impl<'a> Failure<'a> {
    /// A step that says itself why it ended.
    pub fn of(reason: &'a str, step: &'a str, says: &'a [&'a str]) -> Self {
        Self {
            reason,
            step: Some(step),
            exit: Some(1),
            retryable: false,
            says,
            log: Some(""),
        }
    }

    /// The same, for a reason that may pass.
    #[must_use]
    pub fn passing(self) -> Self {
        Self {
            retryable: true,
            ..self
        }
    }

    /// An attempt that did not end by itself.
    pub fn without_exit(self) -> Self {
        Self {
            exit: None,
            log: None,
            ..self
        }
    }

    /// An attempt that did not begin.
    pub fn before_steps(reason: &'a str, says: &'a [&'a str]) -> Self {
        let failure = Self::of(reason, "", says).passing().without_exit();
        Self {
            step: None,
            ..failure
        }
    }
}

impl Cluster {
    /// Pushes files and gives the commit.
    #[track_caller]
    pub fn commit(&self, repository: &str, files: &[(&str, &str)]) -> Commit {
        Commit {
            id: self.publish(repository, files),
            url: self.git_url(repository),
        }
    }

    /// Makes a Build. `git` is more of `spec.source.git`, like `, path: web`, and `settings` is
    /// `spec.build`, like `timeout: 20s`.
    #[track_caller]
    pub fn build(&self, namespace: &str, name: &str, commit: &Commit, git: &str, settings: &str) {
        self.build_of(
            namespace,
            name,
            commit,
            git,
            &format!("build: {{{settings}}}"),
        );
    }

    /// Makes a Build with more of `spec` than its settings.
    #[track_caller]
    pub fn build_of(&self, namespace: &str, name: &str, commit: &Commit, git: &str, spec: &str) {
        let Commit { url, id } = commit;
        self.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Build\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  source: {{git: {{url: \"{url}\", commit: \"{id}\"{git}}}}}\n  {spec}\n"
        ));
    }

    /// Waits until a Build is in a phase.
    #[track_caller]
    pub fn phase(&self, namespace: &str, name: &str, phase: &str, seconds: u32) -> Value {
        let what = format!("jsonpath={{.status.phase}}={phase}");
        self.wait("build", namespace, name, &what, seconds);
        self.get("build", namespace, name)
    }

    /// Waits until a Build has failed, and looks at everything that it says about that.
    #[track_caller]
    pub fn fails(&self, namespace: &str, name: &str, seconds: u32, expected: &Failure<'_>) {
        let build = self.phase(namespace, name, "Failed", seconds);
        let status = &build["status"];
        let failure = &status["failure"];
        let message = failure["message"].as_str().unwrap_or_default();
        println!(
            "{name}: {}: {message}",
            failure["reason"].as_str().unwrap_or_default()
        );
        assert_eq!(failure["reason"], expected.reason, "{status:#}");
        assert_eq!(failure["step"].as_str(), expected.step, "{status:#}");
        assert_eq!(failure["exitCode"].as_i64(), expected.exit, "{status:#}");
        assert_eq!(failure["retryable"], expected.retryable, "{status:#}");
        for words in expected.says {
            assert!(message.contains(words), "{words:?} in {message:?}");
        }
        if let Some(words) = expected.log {
            let log = status["logTail"].as_str().unwrap_or_default();
            assert!(
                !log.is_empty() && log.contains(words),
                "{words:?} in {status:#}"
            );
        }
        for (kind, value) in [
            ("Ready", "False"),
            ("Stalled", "True"),
            ("Succeeded", "False"),
        ] {
            let condition = condition(&build, kind);
            assert_eq!(condition["status"], value, "{kind}: {status:#}");
            assert_eq!(condition["reason"], expected.reason, "{kind}: {status:#}");
            assert_eq!(condition["message"], message, "{kind}: {status:#}");
        }
        assert!(status["completionTime"].is_string(), "{status:#}");
    }

    /// Waits until no build runs in a namespace: no pod, and no Job that would make one.
    #[track_caller]
    pub fn no_build_runs(&self, namespace: &str) {
        eventually(90, || {
            let ended = |pod: &Value| {
                let phase = pod["status"]["phase"].as_str();
                matches!(phase, Some("Succeeded" | "Failed"))
            };
            let role = "trackbed.dev/role";
            let pods = self.list("pods", namespace);
            let mut left: Vec<String> = pods
                .iter()
                .filter(|pod| pod["metadata"]["labels"][role] == "build" && !ended(pod))
                .map(|pod| format!("pod {}", pod["metadata"]["name"]))
                .collect();
            let ended = |job: &Value| {
                let conditions = job["status"]["conditions"].as_array().cloned();
                conditions.unwrap_or_default().iter().any(|condition| {
                    condition["status"] == "True"
                        && matches!(condition["type"].as_str(), Some("Complete" | "Failed"))
                })
            };
            let jobs = self.list("jobs", namespace);
            let jobs = jobs.iter().filter(|job| !ended(job));
            left.extend(jobs.map(|job| format!("Job {}", job["metadata"]["name"])));
            if left.is_empty() {
                Ok(())
            } else {
                Err(left.join(", "))
            }
        });
    }

    /// Nothing of what failed before is in the way of the next build.
    #[track_caller]
    pub fn next_build_works(&self, namespace: &Environment) {
        self.no_build_runs(namespace);
        let files = [("Dockerfile", "FROM busybox:1.36\nCMD [\"true\"]\n")];
        let commit = self.commit(&format!("good-{namespace}"), &files);
        self.build(namespace, "next", &commit, "", "timeout: 5m");
        let build = self.phase(namespace, "next", "Succeeded", 300);
        let image = build["status"]["image"].as_str().unwrap_or_default();
        assert!(image.contains("@sha256:"), "{build:#}");
        assert_eq!(condition(&build, "Ready")["status"], "True", "{build:#}");
    }

    /// One of the operator's settings, by the last part of its name; empty if it is not set.
    #[track_caller]
    pub fn setting(&self, name: &str) -> String {
        let settings = self.get("configmap", "trackbed-system", "trackbed");
        let text = settings["data"]["config.yaml"].as_str().unwrap_or_default();
        let value = text.lines().find_map(|line| {
            let (key, value) = line.trim().split_once(':')?;
            (key == name).then(|| value.trim().trim_matches('"').to_owned())
        });
        value.unwrap_or_default()
    }

    /// Pods of all namespaces.
    #[track_caller]
    pub fn pods_of_all(&self) -> Vec<Value> {
        let text = self.run(&["get", "pods", "--all-namespaces", "-o", "json"], "");
        let list: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Pods of a Build's attempts that are there.
    #[track_caller]
    pub fn build_pods(&self, namespace: &str, name: &str) -> Vec<String> {
        let pods = self.list("pods", namespace);
        let own = |pod: &&Value| pod["metadata"]["labels"]["trackbed.dev/build"] == name;
        let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap_or("").to_owned();
        pods.iter().filter(own).map(name).collect()
    }
}

/// A condition of an object; `null` if it has none of that type.
pub fn condition(object: &Value, kind: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array().cloned();
    let found = conditions.unwrap_or_default();
    let mut found = found.into_iter();
    found.find(|it| it["type"] == kind).unwrap_or_default()
}
