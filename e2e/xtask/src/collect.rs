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
    ("nodes.txt", &["describe", "nodes"]),
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

/// What each failed test said, shortened: the whole is in the output and in the folder.
pub(crate) fn said() -> String {
    let files = fs::read_dir(folder().join("said")).into_iter().flatten();
    let mut files: Vec<_> = files.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let told = files.iter().filter_map(|file| {
        let test = file.file_stem()?.to_string_lossy().into_owned();
        Some(shortened(&test, &fs::read_to_string(file).ok()?))
    });
    told.collect()
}

fn shortened(test: &str, words: &str) -> String {
    const LINES: usize = 6;
    const WIDTH: usize = 600;
    let mut text = format!("{test}:\n");
    for line in words.lines().take(LINES) {
        let line: String = line.chars().take(WIDTH).collect();
        text += &format!("    {line}\n");
    }
    text
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

#[cfg(test)]
mod unit {
    #[test]
    fn a_test_says_its_first_lines() {
        let words = format!("place\n{}\n2\n3\n4\n5\n6\n", "x".repeat(700));
        let told = super::shortened("a::b", &words);
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines[..2], ["a::b:", "    place"]);
        assert_eq!(lines[2].len(), 604);
        assert_eq!(lines[3..], ["    2", "    3", "    4", "    5"]);
    }
}
