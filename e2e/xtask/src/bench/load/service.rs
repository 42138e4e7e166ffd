//! The Service under load, and its pods.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use cluster::{Client, CommandExt};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// Longest wait for the end of a change.
const PATIENCE: Duration = Duration::from_secs(300);

/// The Service `web` of a namespace.
pub(super) struct Service {
    client: Client,
    namespace: &'static str,
    /// Pods that were seen since [`Service::watch`].
    seen: RefCell<BTreeSet<String>>,
}

impl Service {
    pub(super) fn of(client: Client, namespace: &'static str) -> Self {
        Self {
            client,
            namespace,
            seen: RefCell::default(),
        }
    }

    pub(super) fn kubectl(&self, arguments: &[&str]) -> Result<()> {
        Ok(self.client.kubectl()?.args(arguments).check().map(drop)?)
    }

    /// The same, in the Service's namespace.
    pub(super) fn here(&self, arguments: &[&str]) -> Result<()> {
        self.kubectl(&[arguments, &["-n", self.namespace]].concat())
    }

    pub(super) fn get(&self, what: &[&str]) -> Result<Value> {
        let what = [what, &["-n", self.namespace]].concat();
        Ok(self.client.get(&what)?)
    }

    pub(super) fn patch(&self, spec: &Value) -> Result<()> {
        let patch = json!({"spec": spec}).to_string();
        let service = "services.trackbed.dev/web";
        self.here(&["patch", service, "--type=merge", "-p", &patch])
    }

    /// The release that serves.
    pub(super) fn active(&self) -> Result<String> {
        let service = self.get(&["services.trackbed.dev", "web"])?;
        let active = service["status"]["activeDeployment"].as_str();
        Ok(active.unwrap_or_default().to_owned())
    }

    /// How many Builds it has.
    pub(super) fn builds(&self) -> Result<usize> {
        let builds = self.get(&["builds.trackbed.dev"])?;
        Ok(builds["items"].as_array().map_or(0, Vec::len))
    }

    /// Its pods, with those that are ending.
    pub(super) fn pods(&self) -> Result<BTreeSet<String>> {
        let pods = self.get(&["pods", "-l", "trackbed.dev/role=app"])?;
        let pods = pods["items"].as_array().into_iter().flatten();
        let names = pods.filter_map(|pod| pod["metadata"]["name"].as_str());
        let names: BTreeSet<_> = names.map(str::to_owned).collect();
        self.seen.borrow_mut().extend(names.iter().cloned());
        Ok(names)
    }

    /// Forgets the pods that were seen before.
    pub(super) fn watch(&self) -> Result<()> {
        self.seen.borrow_mut().clear();
        self.pods().map(drop)
    }

    /// How many pods that were seen are no more.
    pub(super) fn replaced(&self) -> Result<usize> {
        let now = self.pods()?;
        Ok(self.seen.borrow().difference(&now).count())
    }

    /// Waits until a pod has ended and another one took its place.
    pub(super) fn gone(&self, pod: &str) -> Result<()> {
        self.until("the pod's end", |it| Ok(!it.pods()?.contains(pod)))?;
        self.settled()
    }

    /// Waits until the Service says of its present spec that it is ready, and no pod is ending.
    pub(super) fn settled(&self) -> Result<()> {
        self.until("the Service", |it| {
            let service = it.get(&["services.trackbed.dev", "web"])?;
            let wanted = service["spec"]["scale"]["replicas"].as_u64();
            let pods = it.pods()?.len();
            Ok(is_ready(&service) && usize::try_from(wanted.unwrap_or(0)).ok() == Some(pods))
        })
    }

    pub(super) fn until(&self, what: &str, holds: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !holds(self)? {
            if begun.elapsed() > PATIENCE {
                let service = self.get(&["services.trackbed.dev"])?;
                return Err(Error::Failed(format!("{what} did not come: {service:#}")));
            }
            // Pods that live shortly are to be seen too.
            self.pods()?;
            thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }
}

/// Whether an object is ready, in the state that its spec describes now.
pub(super) fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["type"] == "Ready"
            && condition["status"] == "True"
            && condition["observedGeneration"] == object["metadata"]["generation"]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_is_of_the_present_spec() {
        let service = |observed: i64| {
            json!({
                "metadata": {"generation": 2},
                "status": {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": observed}]},
            })
        };
        assert!(is_ready(&service(2)));
        assert!(!is_ready(&service(1)));
        assert!(!is_ready(&json!({})));
    }
}
