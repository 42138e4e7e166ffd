//! What Trackbed asked of the API server, from its audit log.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

use cluster::{Name, Paths};
use jiff::Timestamp;
use serde_json::Value;

use crate::error::{Doing, Result};

/// Trackbed's user, as the API server knows it.
const USER: &str = "system:serviceaccount:trackbed-system:trackbed";

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// When it arrived.
    pub at: Timestamp,
    /// `create`, `patch`, …
    pub verb: String,
    /// Group and plural: `apps/deployments`, `/secrets`, with `/status` where it is about that.
    pub resource: String,
    /// Name of the object; empty for lists and creates.
    pub name: String,
    /// Namespace; empty for what is in none.
    pub namespace: String,
}

/// A place in the log from which to read on.
#[derive(Clone, Debug)]
pub(super) struct Log {
    path: PathBuf,
    from: u64,
}

impl Log {
    /// The end of the log as it is now.
    pub(super) fn end(name: Name) -> Result<Self> {
        let path = Paths::of(name).audit_log();
        let metadata = std::fs::metadata(&path).doing(|| format!("reading {}", path.display()))?;
        Ok(Self {
            from: metadata.len(),
            path,
        })
    }

    /// What Trackbed asked since then, renewals of its Lease left out.
    pub(super) fn since(&self) -> Result<Vec<Request>> {
        let mut text = String::new();
        File::open(&self.path)
            .and_then(|mut file| {
                file.seek(SeekFrom::Start(self.from))?;
                file.read_to_string(&mut text)
            })
            .doing(|| format!("reading {}", self.path.display()))?;
        Ok(text.lines().filter_map(parse).collect())
    }
}

fn parse(line: &str) -> Option<Request> {
    let event: Value = serde_json::from_str(line).ok()?;
    let object = &event["objectRef"];
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut resource = format!(
        "{}/{}",
        word(&object["apiGroup"]),
        word(&object["resource"])
    );
    if let Some(part) = object["subresource"].as_str() {
        resource = format!("{resource}/{part}");
    }
    let ours = event["user"]["username"] == USER && object["resource"] != "leases";
    ours.then_some(Request {
        at: event["requestReceivedTimestamp"].as_str()?.parse().ok()?,
        verb: word(&event["verb"]),
        name: word(&object["name"]),
        namespace: word(&object["namespace"]),
        resource,
    })
}

/// How many requests there were of each verb and resource. Watches, which end and are asked for
/// again whenever the API server likes, do not count.
pub(super) fn counts(requests: &[Request]) -> BTreeMap<(String, String), usize> {
    let mut counts = BTreeMap::new();
    for request in requests.iter().filter(|request| request.verb != "watch") {
        let key = (request.verb.clone(), request.resource.clone());
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trackbeds_requests_are_told_from_others() {
        let line = |user: &str, resource: &str| {
            serde_json::json!({
                "verb": "patch",
                "user": {"username": user},
                "objectRef": {"resource": resource, "apiGroup": "apps", "name": "web", "namespace": "n", "subresource": "status"},
                "requestReceivedTimestamp": "2026-01-02T03:04:05.678901Z",
            })
            .to_string()
        };
        let request = parse(&line(USER, "deployments")).expect("a request of ours");
        assert_eq!(request.resource, "apps/deployments/status");
        assert_eq!(request.at.subsec_microsecond(), 678_901);
        assert_eq!(parse(&line(USER, "leases")), None);
        assert_eq!(parse(&line("somebody", "deployments")), None);
        assert_eq!(parse("half a li"), None);
        let counts = counts(&[request.clone(), request]);
        assert_eq!(counts.values().collect::<Vec<_>>(), [&2]);
    }
}
