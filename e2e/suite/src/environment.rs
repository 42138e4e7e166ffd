//! The ground that one test stands on, and what is kept of it when the test fails.

use std::{env, fmt, fs, ops::Deref, path::Path, thread};

use crate::{
    Cluster,
    http::{PATIENCE, within},
};

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
        let project = format!("projects.trackbed.dev/{}", self.project);
        let namespace = ["-n", self.namespace.as_str()];
        let give_up = |object: &str, annotations: &str| {
            let patch = format!(
                r#"{{"metadata":{{"annotations":{{{annotations}}}}},"spec":{{"deletionPolicy":"Delete"}}}}"#
            );
            let patch = ["patch", object, "--type=merge", "-p", &patch];
            run(&[&patch[..], &namespace].concat())
        };
        let databases = ["get", "databases.trackbed.dev", "--output=name"];
        let databases = run(&[&databases[..], &namespace].concat())?;
        for database in databases.lines() {
            let name = database.rsplit('/').next().unwrap_or_default();
            give_up(
                database,
                &format!(r#""trackbed.dev/confirm-deletion":"{name}""#),
            )?;
        }
        give_up(&project, "")?;
        self.empty(&run);
        run(&["delete", &project, "--wait=false"])?;
        let namespace = format!("namespace/{}", self.namespace);
        for (object, seconds) in [(&project, 240), (&namespace, 60)] {
            let limit = format!("--timeout={}s", seconds * PATIENCE);
            run(&["wait", "--for=delete", &limit, object])
                .map_err(|error| format!("{error}\n{}", self.what_holds_it(&project)))?;
        }
        Ok(())
    }

    /// Stops all that runs, quickly: most of the tests' programs are a process 1 that does not
    /// hear SIGTERM, and a namespace that is deleted with such pods in it waits for half of their
    /// grace period before it looks again. What stays all the same is the Project's to delete.
    fn empty(&self, run: &dyn Fn(&[&str]) -> Result<String, String>) {
        let namespace = ["-n", self.namespace.as_str()];
        let all = "services.trackbed.dev,databases.trackbed.dev,builds.trackbed.dev,deployments.trackbed.dev,deployments.apps,replicasets,statefulsets,cronjobs,jobs,pods";
        let hurry = ["delete", "pods", "--all", "--grace-period=1"];
        let limit = format!("--timeout={}s", 20 * PATIENCE);
        let _what_stays = within(20, || {
            run(&[&["delete", all, "--all", "--wait=false"], &namespace[..]].concat())?;
            run(&[&hurry[..], &[limit.as_str()], &namespace].concat())?;
            match run(&[&["get", all, "-o", "name"], &namespace[..]].concat())? {
                left if left.is_empty() => Ok(()),
                left => Err(left),
            }
        });
    }

    /// Why a deletion does not come to its end: what the Project says, what the namespace says,
    /// what is left in it, and which APIs do not answer, for then no namespace goes.
    fn what_holds_it(&self, project: &str) -> String {
        let conditions = "-o=jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{\"\\n\"}{end}";
        let namespace = self.namespace.as_str();
        let asked: [&[&str]; 4] = [
            &["get", project, conditions],
            &["get", "namespace", namespace, conditions],
            &["get", "pods,trackbed,pvc", "-n", namespace, "-o", "wide"],
            &["get", "apiservices", "-o", "wide"],
        ];
        let answers = asked.iter().map(|arguments| {
            let output = self.cluster.kubectl(arguments, "");
            let text = [output.stdout, output.stderr].concat();
            format!(
                "{}:\n{}\n",
                arguments.join(" "),
                String::from_utf8_lossy(&text)
            )
        });
        answers.collect()
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
        // Whether the others had left it room.
        let nodes = self.cluster.kubectl(&["describe", "nodes"], "");
        fs::write(folder.join("nodes.txt"), nodes.stdout)?;
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
