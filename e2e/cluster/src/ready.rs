//! Waiting for the cluster, with what is wrong in the error when it does not come.

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    Client, Error, Name, Paths, Result, command::CommandExt, daemon::Identity, node::Running,
};

/// Lines of a log that an error shows.
const LOG_LINES: usize = 8;

/// Waits until the API server answers that it is ready.
///
/// # Errors
/// When it does not within a minute, with the logs of the parts that do not run.
pub fn wait_for_api(name: Name) -> Result<()> {
    let client = Client::of(name);
    poll(name, "the API server", Duration::from_secs(60), || {
        client
            .kubectl()?
            .args(["get", "--raw=/readyz", "--request-timeout=5s"])
            .check()
    })
}

/// Waits until the node runs Pods.
///
/// # Errors
/// When it does not within two minutes, with the logs of the parts that do not run.
pub fn wait_for_node(name: Name) -> Result<()> {
    let client = Client::of(name);
    let node = name.node();
    poll(name, "the node", Duration::from_secs(120), || {
        let seen = client.get(&["node", &node])?;
        let ready = condition(&seen, "Ready");
        // After a restart the API server still has what it knew before.
        if ready["status"] == "True" && is_new(name, &ready["lastHeartbeatTime"]) {
            return Ok(String::new());
        }
        Err(unmet(&ready, "the node is unknown"))
    })
}

/// Waits until the API server passes requests on to the one who serves API `service`, as in
/// `v1beta1.metrics.k8s.io`. Ready Pods are not enough: the API server looks for itself, and
/// a little later. Its word from before a restart is not told from a new one, so wait for the
/// Pods first: until they run, it has found out that they do not.
///
/// # Errors
/// When it does not within a minute, with the API server's own words.
pub(crate) fn wait_for_api_service(name: Name, service: &str) -> Result<()> {
    let client = Client::of(name);
    poll(name, service, Duration::from_secs(60), || {
        available(&client.get(&["apiservices.apiregistration.k8s.io", service])?)
    })
}

fn available(service: &Value) -> Result<String> {
    let available = condition(service, "Available");
    if available["status"] == "True" {
        return Ok(String::new());
    }
    Err(unmet(&available, "nobody looked for it yet"))
}

/// Condition `kind` of an object; nothing when it has none yet.
fn condition(object: &Value, kind: &str) -> Value {
    object["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == kind)
        .cloned()
        .unwrap_or_default()
}

/// Why a condition is not met; `unknown` when nobody wrote it.
fn unmet(condition: &Value, unknown: &str) -> Error {
    let words = ["reason", "message"].map(|key| condition[key].as_str());
    Error::Refused(match words {
        [None, None] => unknown.to_owned(),
        words => words.into_iter().flatten().collect::<Vec<_>>().join(": "),
    })
}

/// Whether a time that an object tells is of the cluster's present boot.
fn is_new(name: Name, time: &Value) -> bool {
    let told = time
        .as_str()
        .and_then(|time| time.parse::<Timestamp>().ok());
    match (told, Identity::find(name)) {
        // Times in objects are whole seconds.
        (Some(told), Some(daemon)) => told.as_second() >= daemon.started.as_second(),
        _ => false,
    }
}

/// Waits until what is named, as in `deployment/coredns`, has all its Pods on our cluster
/// `name`.
///
/// # Errors
/// When it has not within two minutes, with the Pods' states and latest events.
pub fn wait_for_pods(name: Name, namespace: &str, what: &str) -> Result<()> {
    let client = Client::of(name);
    let patience = Duration::from_secs(120);
    let outcome = poll(name, what, patience, || {
        let stale = stale_pods(name, &client.get(&["pods", "--namespace", namespace])?);
        if !stale.is_empty() {
            return Err(Error::Refused(format!("not started: {stale}")));
        }
        client
            .kubectl()?
            .args(["--namespace", namespace, "rollout", "status", what])
            .arg("--timeout=5s")
            .check()
    });
    outcome.map_err(|error| Error::Refused(format!("{error}\n{}", describe(&client, namespace))))
}

/// Pods whose containers still are what the API server knew before the cluster was
/// restarted, in which none survived.
fn stale_pods(name: Name, pods: &Value) -> String {
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    all(&pods["items"])
        .iter()
        .filter(|pod| pod["status"]["phase"] == "Running")
        .filter(|pod| {
            let containers = all(&pod["status"]["containerStatuses"]);
            containers
                .iter()
                .any(|one| !is_new(name, &one["state"]["running"]["startedAt"]))
        })
        .filter_map(|pod| pod["metadata"]["name"].as_str())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The Pods and latest warnings of `namespace`, for a person to read.
pub fn describe(client: &Client, namespace: &str) -> String {
    let ask = |words: &[&str]| {
        client
            .kubectl()
            .and_then(|mut command| command.args(["--namespace", namespace]).args(words).check())
            .unwrap_or_else(|error| error.to_string())
    };
    let events = ask(&[
        "get",
        "events",
        "--field-selector=type=Warning",
        "--sort-by=.lastTimestamp",
        "--output=custom-columns=OBJECT:.involvedObject.name,REASON:.reason,MESSAGE:.message",
    ]);
    format!(
        "{}\n{}",
        ask(&["get", "pods", "--output=wide"]).trim_end(),
        last_lines(&events, LOG_LINES)
    )
}

fn poll(
    name: Name,
    what: &str,
    patience: Duration,
    mut ask: impl FnMut() -> Result<String>,
) -> Result<()> {
    let begun = Instant::now();
    loop {
        let Err(error) = ask() else { return Ok(()) };
        if Identity::find(name).is_none() {
            return Err(Error::Refused(format!(
                "the cluster ended while it was waited for{}",
                ending(&Paths::of(name), "daemon")
            )));
        }
        if begun.elapsed() > patience {
            return Err(Error::Timeout {
                what: what.to_owned(),
                seconds: patience.as_secs(),
                last: format!("{error}{}", troubles(name)),
            });
        }
        // The parts start in any order; there is nothing to subscribe to before the first
        // answer.
        thread::sleep(Duration::from_millis(200));
    }
}

/// The ends of the logs of those parts that do not run, or were started again.
fn troubles(name: Name) -> String {
    let paths = Paths::of(name);
    running(&paths)
        .into_iter()
        .filter(|(_, part)| part.pid == 0 || part.restarts > 2)
        .map(|(part, running)| {
            let times = running.restarts;
            format!(
                "\n{part} was started again {times} times{}",
                ending(&paths, &part)
            )
        })
        .collect()
}

/// What is known of the parts, by their names.
pub(crate) fn running(paths: &Paths) -> BTreeMap<String, Running> {
    fs::read(paths.run("running.json"))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// The end of a part's log, with its path.
pub(crate) fn ending(paths: &Paths, part: &str) -> String {
    let path = paths.log(part);
    let text = fs::read(&path).unwrap_or_default();
    format!(
        "; the end of {}:\n{}",
        path.display(),
        last_lines(&String::from_utf8_lossy(&text), LOG_LINES)
    )
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..]
        .iter()
        .map(|line| format!("    {line}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_end_of_a_log_is_shown() {
        let text: String = (0..20).map(|n| format!("line {n}\n")).collect();
        assert_eq!(last_lines(&text, 2), "    line 18\n    line 19\n");
    }

    #[test]
    fn an_api_is_served_when_the_api_server_says_so() {
        let told = [
            json!(null),
            json!([{"type": "Other", "status": "True"}]),
            json!([{
                "type": "Available",
                "status": "False",
                "reason": "MissingEndpoints",
                "message": "the Service has no addresses",
            }]),
            json!([{"type": "Available", "status": "True", "reason": "Passed"}]),
        ]
        .map(|conditions| {
            let service = json!({"status": {"conditions": conditions}});
            available(&service).map_or_else(|error| error.to_string(), |_| "served".to_owned())
        });
        expect_test::expect![[r#"
            nobody looked for it yet
            nobody looked for it yet
            MissingEndpoints: the Service has no addresses
            served"#]]
        .assert_eq(&told.join("\n"));
    }

    #[test]
    fn a_missing_log_is_no_trouble() {
        assert_eq!(last_lines("", 3), "");
    }
}
