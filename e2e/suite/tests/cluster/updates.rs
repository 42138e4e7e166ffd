//! Minor versions: a server stays with its image, by digest, until a newer one is asked for.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use suite::{Cluster, Mirror, builds::condition, eventually};

const NAMESPACE: &str = "updates-production";
const TAG: &str = "16";
/// Another one, of several servers: in the stand-ins of the other versions, the programs by which one
/// copies another do not encrypt.
const SEVERAL: (&str, &str) = ("updates-several-production", "17");

fn database(cluster: &Cluster, updates: &str) {
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {NAMESPACE}}}\nspec: {{engine: Postgres, version: '{TAG}'{updates}, resources: {{requests: {{cpu: 20m}}}}}}\n"
    ));
}

/// The pod's uid, and the digest that it runs.
fn pod(cluster: &Cluster) -> (Value, String) {
    let pod = cluster.get("pod", NAMESPACE, "db-0");
    let id = pod["status"]["containerStatuses"][0]["imageID"].as_str();
    let digest = id.and_then(|it| it.split_once('@')).map(|it| it.1);
    (
        pod["metadata"]["uid"].clone(),
        digest.unwrap_or_default().to_owned(),
    )
}

fn status(cluster: &Cluster) -> Value {
    cluster.get("database", NAMESPACE, "db")["status"].clone()
}

/// Waits for a look that somebody asked for.
fn looked(cluster: &Cluster, request: &str) -> Value {
    eventually(180, || {
        let status = status(cluster);
        match status["updates"]["request"] == request {
            true => Ok(status),
            false => Err(format!("nobody has looked yet: {status}")),
        }
    })
}

/// Has a tag of Postgres stand for another image from now on, and gives its digest.
fn moved(cluster: &Cluster, tag: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let label = now.expect("a time").as_nanos().to_string();
    Mirror::of(cluster).relabel("library/postgres", tag, &label)
}

#[test]
fn several_servers_take_a_newer_image_one_after_another() {
    let (namespace, tag) = SEVERAL;
    let cluster = Cluster::connect();
    let _project = cluster.project("updates-several");
    let database = |updates: &str| {
        cluster.apply(&format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: db, namespace: {namespace}}}\nspec: {{engine: Postgres, version: '{tag}', replicas: 2, storage: {{size: 512Mi}}{updates}, resources: {{requests: {{cpu: 20m}}}}}}\n"
        ));
    };
    let whole = || cluster.wait("database", namespace, "db", "condition=Replicated", 300);
    database("");
    whole();
    let client = cluster.client(namespace, "db", "client");
    client
        .ask("create table kept as select 42 as n")
        .expect("rows");
    let new = moved(&cluster, tag);
    database(", updates: {request: one}");
    eventually(300, || {
        let pods = cluster.list("pods", namespace);
        let of = |pod: &&Value| pod["metadata"]["labels"]["cnpg.io/podRole"] == "instance";
        let ids: Vec<String> = pods
            .iter()
            .filter(of)
            .map(|pod| pod["status"]["containerStatuses"][0]["imageID"].to_string())
            .collect();
        match ids.len() == 2 && ids.iter().all(|id| id.contains(&new)) {
            true => Ok(()),
            false => Err(format!("{ids:?} instead of {new}")),
        }
    });
    whole();
    assert_eq!(eventually(120, || client.ask("select n from kept")), "42");
    let status = cluster.get("database", namespace, "db")["status"].clone();
    assert_eq!(
        status["image"],
        format!("docker.io/library/postgres@{new}"),
        "{status}"
    );
}

#[test]
fn a_server_stays_with_its_image_until_a_newer_one_is_asked_for() {
    let cluster = Cluster::connect();
    let _project = cluster.project("updates");
    database(&cluster, "");
    cluster.ready("database", NAMESPACE, "db", 300);
    let client = cluster.client(NAMESPACE, "db", "client");
    client
        .ask("create table kept (n int); insert into kept select generate_series(1, 1000)")
        .expect("rows");
    let rows = || eventually(60, || client.ask("select count(*), sum(n) from kept"));
    let (first, old) = pod(&cluster);
    let pinned = format!("docker.io/library/postgres@{old}");
    eventually(60, || {
        let set = cluster.get("statefulset", NAMESPACE, "db");
        let next = &set["spec"]["template"]["spec"]["containers"][0]["image"];
        match *next == pinned && status(&cluster)["image"] == pinned {
            true => Ok(()),
            false => Err(format!("the next pod would have {next}")),
        }
    });
    assert_eq!(pod(&cluster).0, first, "that takes no restart");
    eventually(120, || {
        let status = status(&cluster);
        let version = status["serverVersion"].as_str().unwrap_or_default();
        let said = version.starts_with("16.");
        said.then_some(())
            .ok_or_else(|| format!("it says {version:?}"))
    });

    // The tag stands for another image from now on.
    let new = moved(&cluster, TAG);
    assert_ne!(new, old);
    cluster.delete("pod", NAMESPACE, "db-0");
    cluster.wait("database", NAMESPACE, "db", "condition=Ready", 300);
    let again = eventually(120, || {
        let (uid, digest) = pod(&cluster);
        let ready = uid != first && !digest.is_empty();
        ready
            .then_some((uid, digest))
            .ok_or_else(|| "no other pod".to_owned())
    });
    assert_eq!(again.1, old, "a pod that is lost comes back as it was");
    assert_eq!(rows(), "1000|500500");

    database(&cluster, ", updates: {request: one}");
    looked(&cluster, "one");
    let updated = eventually(180, || {
        let (uid, digest) = pod(&cluster);
        let there = digest == new && uid != again.0;
        there
            .then_some(uid)
            .ok_or_else(|| format!("it runs {digest}"))
    });
    cluster.wait("database", NAMESPACE, "db", "condition=Ready", 300);
    assert_eq!(
        status(&cluster)["image"],
        format!("docker.io/library/postgres@{new}")
    );
    assert_eq!(rows(), "1000|500500");
    let events = cluster.run(
        &[
            "get",
            "events",
            "-n",
            NAMESPACE,
            "--field-selector=reason=Restarted",
        ],
        "",
    );
    assert!(events.contains(&new), "{events}");

    // There is nothing newer.
    database(&cluster, ", updates: {request: two}");
    looked(&cluster, "two");
    let found = condition(&cluster.get("database", NAMESPACE, "db"), "UpToDate");
    assert_eq!(found["status"], "True", "{found}");
    assert_eq!(pod(&cluster).0, updated, "nothing is restarted");

    // The registry has it no more.
    let gone = format!(
        "{}:5000/library/postgres@sha256:{}",
        cluster.node,
        "0".repeat(64)
    );
    let annotation = format!("trackbed.dev/image={gone}");
    cluster.run(
        &[
            "annotate",
            "secret",
            "db-credentials",
            "-n",
            NAMESPACE,
            "--overwrite",
            &annotation,
        ],
        "",
    );
    let look =
        json!({"metadata": {"annotations": {"trackbed.dev/reconcile-at": "now"}}}).to_string();
    cluster.run(
        &[
            "patch",
            "tdb",
            "db",
            "-n",
            NAMESPACE,
            "--type=merge",
            "-p",
            &look,
        ],
        "",
    );
    eventually(60, || {
        let set = cluster.get("statefulset", NAMESPACE, "db");
        let next = &set["spec"]["template"]["spec"]["containers"][0]["image"];
        (*next == gone)
            .then_some(())
            .ok_or_else(|| format!("{next}"))
    });
    let back = eventually(300, || {
        let image = status(&cluster)["image"].clone();
        let (uid, digest) = pod(&cluster);
        let back = uid != updated && image == format!("docker.io/library/postgres@{digest}");
        back.then_some(digest)
            .ok_or_else(|| format!("it has {image}"))
    });
    assert_eq!(back, new);
    cluster.wait("database", NAMESPACE, "db", "condition=Ready", 300);
    assert_eq!(rows(), "1000|500500");

    // Somebody has Kubernetes replace pods.
    let by_hand = json!({"spec": {"updateStrategy": {"type": "RollingUpdate"}}}).to_string();
    cluster.run(
        &[
            "patch",
            "statefulset",
            "db",
            "-n",
            NAMESPACE,
            "-p",
            &by_hand,
        ],
        "",
    );
    eventually(60, || {
        let set = cluster.get("statefulset", NAMESPACE, "db");
        let strategy = &set["spec"]["updateStrategy"];
        (*strategy == json!({"type": "OnDelete"}))
            .then_some(())
            .ok_or_else(|| strategy.to_string())
    });
}
