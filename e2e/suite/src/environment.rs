//! The ground that one test stands on, and what is kept of it when the test fails.

use std::{env, fmt, fs, ops::Deref, path::Path, thread};

use crate::Cluster;

/// A Project with the environment `production`, for one test.
///
/// When the test ends it is deleted with all that is in it, so that the tests after it find the
/// node as empty as this one did. What a person needs to see why a test failed is saved before.
#[derive(Debug)]
pub struct Environment {
    cluster: Cluster,
    project: String,
    namespace: String,
}

impl Cluster {
    /// Makes a Project and waits until it is ready.
    #[track_caller]
    pub fn project(&self, name: &str) -> Environment {
        self.project_of(
            name,
            &format!(
                "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {{name: {name}}}\nspec: {{environments: [{{name: production}}]}}\n"
            ),
        )
    }

    /// The same from a manifest.
    #[track_caller]
    pub fn project_of(&self, name: &str, manifest: &str) -> Environment {
        let environment = Environment {
            cluster: self.clone(),
            project: name.to_owned(),
            namespace: format!("{name}-production"),
        };
        self.apply(manifest);
        self.wait("project", "", name, "condition=Ready", 60);
        environment
    }
}

impl Environment {
    /// Deletes the Project, as a person does who wants nothing of it any more.
    fn delete(&self) -> Result<(), String> {
        let run = |arguments: &[&str]| {
            let output = self.cluster.kubectl(arguments, "");
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            match output.status.success() {
                true => Ok(text(&output.stdout)),
                false => Err(format!("{}: {}", arguments.join(" "), text(&output.stderr))),
            }
        };
        let policy = r#"--patch={"spec":{"deletionPolicy":"Delete"}}"#;
        let project = format!("projects.trackbed.dev/{}", self.project);
        let databases = ["databases.trackbed.dev", "--output=name"];
        let databases = run(&["get", databases[0], databases[1], "-n", &self.namespace])?;
        for object in databases.lines().chain([project.as_str()]) {
            run(&[
                "patch",
                object,
                "-n",
                &self.namespace,
                "--type=merge",
                policy,
            ])?;
        }
        run(&["delete", &project, "--wait=false"])?;
        // Most of the tests' programs are a process 1 that does not hear SIGTERM.
        let hurry = [
            "delete",
            "pods",
            "--all",
            "--grace-period=1",
            "--wait=false",
        ];
        run(&[&hurry[..], &["-n", &self.namespace]].concat())?;
        run(&["wait", "--for=delete", "--timeout=240s", &project])?;
        run(&[
            "wait",
            "--for=delete",
            "--timeout=60s",
            &format!("namespace/{}", self.namespace),
        ])?;
        Ok(())
    }

    /// Saves what stands in the namespace in a folder of its own below `folder`.
    fn save(&self, folder: &Path) -> std::io::Result<()> {
        let folder = folder.join(&self.project);
        fs::create_dir_all(&folder)?;
        let namespace = ["-n", self.namespace.as_str()];
        let ask = |words: &[&str]| {
            let output = self.cluster.kubectl(&[words, &namespace].concat(), "");
            [output.stdout, output.stderr].concat()
        };
        let kinds = "trackbed,deployments.apps,replicasets,statefulsets,jobs,pods,services,ingresses,networkpolicies,configmaps,resourcequotas,limitranges,pvc";
        fs::write(
            folder.join("story.txt"),
            self.cluster.story(&self.namespace),
        )?;
        fs::write(
            folder.join("objects.yaml"),
            ask(&["get", kinds, "-o", "yaml"]),
        )?;
        fs::write(
            folder.join("events.yaml"),
            ask(&["get", "events", "-o", "yaml"]),
        )?;
        let pods = ask(&["get", "pods", "-o", "name"]);
        for pod in String::from_utf8_lossy(&pods).lines() {
            let log = ask(&["logs", pod, "--all-containers", "--prefix", "--tail=-1"]);
            fs::write(folder.join(format!("{}.log", pod.replace('/', "-"))), log)?;
        }
        println!("what stood there is saved in {}", folder.display());
        Ok(())
    }
}

/// The namespace, wherever a name is wanted.
impl Deref for Environment {
    type Target = str;

    fn deref(&self) -> &str {
        &self.namespace
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.namespace)
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        let failed = thread::panicking();
        if failed
            && let Some(folder) = env::var_os("TRACKBED_E2E_FAILURES")
            && let Err(error) = self.save(Path::new(&folder))
        {
            eprintln!("what stood in {self} is not saved: {error}");
        }
        if failed && env::var_os("TRACKBED_E2E_KEEP").is_some() {
            eprintln!("Project {} is left to look at", self.project);
            return;
        }
        match self.delete() {
            // A second panic would end the process with the other tests in it.
            Err(error) if failed => eprintln!("Project {} stays: {error}", self.project),
            Err(error) => panic!("Project {} does not go: {error}", self.project),
            Ok(()) => {}
        }
    }
}
