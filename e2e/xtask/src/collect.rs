//! What a person needs to see why an end-to-end test failed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cluster::{Client, CommandExt, Name, Paths};

use crate::{
    error::{Doing, Result},
    repository,
};

/// What is asked of the cluster: file and kubectl's words.
const QUESTIONS: &[(&str, &[&str])] = &[
    ("trackbed.txt", &["get", "trackbed", "--all-namespaces"]),
    (
        "trackbed.yaml",
        &[
            "get",
            "projects.trackbed.dev,trackbed",
            "--all-namespaces",
            "--output=yaml",
        ],
    ),
    (
        "events.txt",
        &[
            "get",
            "events",
            "--all-namespaces",
            "--sort-by=.lastTimestamp",
        ],
    ),
    (
        "pods.txt",
        &["get", "pods", "--all-namespaces", "--output=wide"],
    ),
    (
        "pods.yaml",
        &["get", "pods", "--all-namespaces", "--output=yaml"],
    ),
    (
        "objects.txt",
        &[
            "get",
            "deployments,statefulsets,jobs,services,ingresses,persistentvolumeclaims",
            "--all-namespaces",
        ],
    ),
    (
        "operator.log",
        &[
            "logs",
            "--namespace=trackbed-system",
            "--selector=app.kubernetes.io/name=trackbed",
            "--prefix",
            "--tail=-1",
        ],
    ),
];

/// Where it is saved: by the failing tests, each in a folder of its own, and by [`failure`].
pub(crate) fn folder() -> PathBuf {
    repository("target/e2e-failure")
}

/// Forgets an earlier run's.
pub(crate) fn clear() -> Result<()> {
    let folder = folder();
    if folder.exists() {
        fs::remove_dir_all(&folder).doing(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}

/// Saves what concerns the whole cluster, and gives the folder.
pub(crate) fn failure(name: Name) -> Result<PathBuf> {
    let folder = folder();
    fs::create_dir_all(folder.join("pods")).doing(|| format!("creating {}", folder.display()))?;
    let client = Client::of(name);
    for (file, words) in QUESTIONS {
        let answer = ask(&client, words);
        save(&folder.join(file), &answer)?;
    }
    let names = ask(
        &client,
        &[
            "get",
            "pods",
            "--all-namespaces",
            "--no-headers",
            "--output=custom-columns=:.metadata.namespace,:.metadata.name",
        ],
    );
    for line in names.lines() {
        if let Some((namespace, pod)) = line.split_once(' ') {
            let pod = pod.trim();
            let words = ["logs", "--all-containers", "--namespace", namespace, pod];
            let log = ask(&client, &words);
            save(&folder.join(format!("pods/{namespace}.{pod}.log")), &log)?;
        }
    }
    // The parts' own logs are gone with the next cluster.
    let logs = Paths::of(name).logs();
    for entry in fs::read_dir(&logs).into_iter().flatten().flatten() {
        let to = folder.join(entry.file_name());
        fs::copy(entry.path(), &to).doing(|| format!("writing {}", to.display()))?;
    }
    Ok(folder)
}

fn ask(client: &Client, words: &[&str]) -> String {
    client
        .kubectl()
        .and_then(|mut command| command.args(words).check())
        .unwrap_or_else(|error| error.to_string())
}

fn save(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).doing(|| format!("writing {}", path.display()))
}
