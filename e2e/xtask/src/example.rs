//! The example application of `examples/quickstart`.

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use cluster::{Client, CommandExt, Name, Network, Publish};
use serde_json::Value;

use crate::{
    error::{Doing, Error, Result},
    look, repository,
    step::step,
};

/// The environment's namespace, and the Service that is public.
const NAMESPACE: &str = "shop-production";
const SERVICE: &str = "web";
/// The repository that its manifest names.
const REPOSITORY: &str = "quickstart";
/// Time for the build, the databases and the first Pods.
const PATIENCE: Duration = Duration::from_secs(900);

/// Puts it on our own cluster, from our own git server, waits until it answers, and gives
/// its URL.
pub(crate) fn here(name: Name) -> Result<String> {
    let client = Client::of(name);
    cluster::publish(
        name,
        &Publish {
            folder: repository("examples/quickstart/app"),
            name: REPOSITORY.to_owned(),
            branch: "main".to_owned(),
            private: false,
            // The same application again is nothing to build.
            always: false,
        },
    )?;
    step("example", || {
        apply(&client)?;
        let url = follow(&client)?;
        answer(name, &url)?;
        Ok(url)
    })
}

/// Puts it on a cluster that is not ours.
pub(crate) fn elsewhere(client: &Client) -> Result<String> {
    step("example", || {
        apply(client)?;
        follow(client)
    })
}

fn apply(client: &Client) -> Result<()> {
    let read = |file: &str| {
        let path = repository("examples/quickstart").join(file);
        fs::read_to_string(&path).doing(|| format!("reading {}", path.display()))
    };
    client.apply(&read("project.yaml")?)?;
    client
        .kubectl()?
        .args(["wait", "--for=condition=Ready", "--timeout=60s"])
        .arg("project.trackbed.dev/shop")
        .check()?;
    Ok(client.apply(&read("app.yaml")?)?)
}

/// Tells what happens until the Service is ready, and gives its URL.
fn follow(client: &Client) -> Result<String> {
    let begun = Instant::now();
    let mut told = BTreeMap::new();
    loop {
        let objects = client.get(&["trackbed", "--namespace", NAMESPACE])?;
        let objects = objects["items"].as_array().cloned().unwrap_or_default();
        for object in &objects {
            let (name, state) = describe(object);
            if told.get(&name) != Some(&state) {
                println!("  {name}: {state}");
                told.insert(name, state);
            }
        }
        let service = objects
            .iter()
            .find(|object| object["kind"] == "Service" && object["metadata"]["name"] == SERVICE);
        if let Some(service) = service
            && let Some(url) = service["status"]["url"].as_str()
            && current(service, "Ready").is_some_and(|ready| ready["status"] == "True")
        {
            return Ok(url.to_owned());
        }
        if let Some(stalled) = objects
            .iter()
            .find(|object| current(object, "Stalled").is_some_and(|it| it["status"] == "True"))
        {
            let (name, state) = describe(stalled);
            return Err(Error::Failed(format!(
                "{name} does not go on by itself: {state}\n  cargo xtask kubectl -n {NAMESPACE} describe trackbed"
            )));
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::Failed(format!(
                "the example is not ready after {} minutes: cargo xtask kubectl -n {NAMESPACE} get trackbed",
                PATIENCE.as_secs() / 60
            )));
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// The condition `kind` of `object`, when it is about the object as it is now.
fn current<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"]
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
        .filter(|condition| {
            let seen = condition["observedGeneration"].as_i64();
            seen.is_none() || seen == object["metadata"]["generation"].as_i64()
        })
}

/// An object's name and how it is, as one reads them.
fn describe(object: &Value) -> (String, String) {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = format!(
        "{} {}",
        word(&object["kind"]),
        word(&object["metadata"]["name"])
    );
    let state = match current(object, "Ready") {
        None => "new".to_owned(),
        Some(ready) if ready["status"] == "True" => "ready".to_owned(),
        Some(ready) => match (word(&ready["reason"]), word(&ready["message"])) {
            (reason, message) if message.is_empty() => reason,
            (_, message) => message,
        },
    };
    (name, state)
}

/// Waits until the URL answers with success.
fn answer(name: Name, url: &str) -> Result<()> {
    let port = Network::of(name).forward_port;
    let host = url.trim_start_matches("http://");
    let options = [
        "--silent",
        "--fail",
        "--max-time",
        "10",
        "--output",
        "/dev/null",
    ];
    let options: Vec<String> = options.map(str::to_owned).to_vec();
    let begun = Instant::now();
    loop {
        match look::curl(host, port, &options).check() {
            Ok(_) => return Ok(()),
            Err(error) if begun.elapsed() > Duration::from_secs(60) => {
                return Err(Error::Failed(format!("{url} does not answer: {error}")));
            }
            Err(_) => thread::sleep(Duration::from_millis(500)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_told_by_its_condition() {
        let object = |condition: Value| {
            let object = serde_json::json!({
                "kind": "Service",
                "metadata": {"name": "web", "generation": 2},
                "status": {"conditions": [condition]},
            });
            describe(&object).1
        };
        assert_eq!(
            object(serde_json::json!({"type": "Ready", "status": "True", "observedGeneration": 2})),
            "ready"
        );
        assert_eq!(
            object(serde_json::json!({"type": "Ready", "status": "True", "observedGeneration": 1})),
            "new"
        );
        assert_eq!(
            object(
                serde_json::json!({"type": "Ready", "status": "False", "reason": "Building", "message": "Build web-1 runs."})
            ),
            "Build web-1 runs."
        );
    }
}
