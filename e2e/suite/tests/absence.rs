//! What is deleted while no operator runs, or while Trackbed is not even installed, is decided when
//! one is there again, by the same rules; and databases serve meanwhile, and while it is upgraded.

use std::{fs, process::Command};

use suite::{Cluster, eventually, repository};

const NAMESPACE: &str = "absence-production";
const SYSTEM: [&str; 2] = ["-n", "trackbed-system"];

struct Databases {
    cluster: Cluster,
}

impl Databases {
    fn make(&self, name: &str, policy: &str) {
        self.cluster.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec: {{engine: Redis, version: \"7\", deletionPolicy: {policy}}}\n"
        ));
        self.cluster.ready("database", NAMESPACE, name, 300);
    }

    /// One with two servers.
    fn make_several(&self, name: &str) {
        self.cluster.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec: {{engine: Postgres, version: \"17\", replicas: 2}}\n"
        ));
        let all = "condition=Replicated";
        self.cluster.wait("database", NAMESPACE, name, all, 300);
    }

    /// Which pods serve.
    fn servers(&self) -> Vec<String> {
        let names = ["kept-0", "several-1", "several-2"];
        let uid = |name: &str| {
            let pod = self.cluster.get("pod", NAMESPACE, name);
            pod["metadata"]["uid"].as_str().expect("a uid").to_owned()
        };
        names.map(uid).into()
    }

    /// Deletes a Database and all that it consists of but its data. It waits for an operator.
    fn delete(&self, name: &str) {
        let run = |arguments: &[&str]| {
            self.cluster
                .run(&[&["delete", "-n", NAMESPACE], arguments].concat(), "")
        };
        run(&["tdb", name, "--wait=false"]);
        let selector = format!("trackbed.dev/database={name}");
        run(&[
            "statefulset,service,configmap,networkpolicy",
            "-l",
            &selector,
        ]);
    }

    /// What is there of the data.
    fn data(&self, name: &str) -> Vec<String> {
        let selector = format!("trackbed.dev/database={name}");
        let get = [
            "get",
            "pvc,secret",
            "-n",
            NAMESPACE,
            "-l",
            &selector,
            "-o",
            "name",
        ];
        let found = self.cluster.run(&get, "");
        let mut names: Vec<_> = found.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    fn gone(&self, name: &str) {
        eventually(120, || {
            let found = self.cluster.list("database", NAMESPACE);
            match found.iter().any(|it| it["metadata"]["name"] == name) {
                true => Err(format!("{name} is there")),
                false => Ok(()),
            }
        });
    }
}

/// The chart's release, as the person runs it who looks after the cluster.
struct Helm {
    home: tempfile::TempDir,
}

impl Helm {
    fn run(&self, arguments: &[&str]) -> String {
        let variable =
            |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        let output = Command::new(variable("TRACKBED_E2E_HELM"))
            .env("KUBECONFIG", variable("TRACKBED_E2E_KUBECONFIG"))
            .env("HELM_CONFIG_HOME", self.home.path())
            .env("HELM_CACHE_HOME", self.home.path())
            .env("HELM_DATA_HOME", self.home.path())
            .args(arguments)
            .args(SYSTEM)
            .output()
            .expect("helm runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "helm {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

fn scale(cluster: &Cluster, replicas: usize) {
    let scale = [
        "scale",
        "deployment",
        "trackbed",
        &format!("--replicas={replicas}"),
    ];
    cluster.run(&[&scale[..], &SYSTEM].concat(), "");
    match replicas {
        0 => eventually(60, || match cluster.list("pods", SYSTEM[1]).len() {
            0 => Ok(()),
            some => Err(format!("{some} pods of the operator")),
        }),
        _ => cluster.operator_ready(),
    }
}

fn kept(name: &str) -> [String; 3] {
    [
        format!("persistentvolumeclaim/{name}-data"),
        format!("secret/{name}-credentials"),
        format!("secret/{name}-standby"),
    ]
}

#[test]
fn what_is_deleted_without_an_operator_loses_no_more() {
    let cluster = Cluster::connect();
    let _project = cluster.project("absence");
    let databases = Databases {
        cluster: cluster.clone(),
    };
    databases.make("kept", "Retain");
    databases.make("unconfirmed", "Delete");
    databases.make("given", "Delete");
    databases.make_several("several");
    let confirmed = "trackbed.dev/confirm-deletion=given";
    cluster.run(
        &["annotate", "tdb", "given", confirmed, "-n", NAMESPACE],
        "",
    );
    let client = cluster.client(NAMESPACE, "kept", "client");
    client.ask("set kept data").expect("it takes a word");
    let there = || assert_eq!(eventually(60, || client.ask("get kept")), "data");

    // No operator runs.
    scale(&cluster, 0);
    let all = ["kept", "unconfirmed", "given"];
    for name in all {
        databases.delete(name);
        assert_eq!(databases.data(name), kept(name), "nothing goes without it");
    }
    scale(&cluster, 1);
    for name in all {
        databases.gone(name);
    }
    eventually(60, || match databases.data("given") {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?} is left")),
    });
    for name in ["kept", "unconfirmed"] {
        assert_eq!(databases.data(name), kept(name));
    }
    databases.make("kept", "Retain");
    databases.make("unconfirmed", "Retain");
    there();

    // Trackbed is uninstalled, and installed again.
    let helm = Helm {
        home: tempfile::tempdir().expect("a folder"),
    };
    let values = helm.home.path().join("values.json");
    let text = helm.run(&["get", "values", "trackbed", "--output", "json"]);
    fs::write(&values, text).expect("a file");
    let before = databases.servers();
    helm.run(&["uninstall", "trackbed", "--wait", "--timeout=2m"]);
    cluster.get("database", NAMESPACE, "kept");
    there();
    databases.delete("unconfirmed");
    assert_eq!(databases.data("unconfirmed"), kept("unconfirmed"));
    let chart = repository("charts/trackbed").display().to_string();
    let values = values.display().to_string();
    let install = ["install", "trackbed", &chart, "--values", &values];
    helm.run(&[&install[..], &["--wait", "--timeout=3m"]].concat());
    databases.gone("unconfirmed");
    assert_eq!(databases.data("unconfirmed"), kept("unconfirmed"));
    cluster.ready("database", NAMESPACE, "kept", 60);
    there();
    assert_eq!(databases.servers(), before, "they were left alone");

    // Another version of the operator, as far as names tell, has looked at the Database when it has
    // made what is missing.
    let operator = cluster.list("pods", SYSTEM[1]);
    let image = operator[0]["status"]["containerStatuses"][0]["imageID"].as_str();
    let image = format!("images.operator={}", image.expect("an image"));
    let upgrade = ["upgrade", "trackbed", &chart, "--values", &values];
    helm.run(&[&upgrade[..], &["--set", &image, "--wait", "--timeout=3m"]].concat());
    eventually(60, || {
        let pods = cluster.list("pods", SYSTEM[1]);
        let leases = cluster.list("lease", SYSTEM[1]);
        let holder = leases[0]["spec"]["holderIdentity"].as_str();
        let pod = pods[0]["metadata"]["name"].as_str();
        match pods.len() == 1 && holder == pod {
            true => Ok(()),
            false => Err(format!("{holder:?} leads, {pod:?} is there")),
        }
    });
    for name in ["kept", "several"] {
        let policy = format!("{name}-database");
        cluster.delete("networkpolicy", NAMESPACE, &policy);
        eventually(60, || {
            let get = ["get", "networkpolicy", &policy, "-n", NAMESPACE];
            match cluster.kubectl(&get, "").status.success() {
                true => Ok(()),
                false => Err("the operator has not looked".to_owned()),
            }
        });
        cluster.ready("database", NAMESPACE, name, 60);
    }
    there();
    assert_eq!(databases.servers(), before, "an upgrade restarts no server");
}
