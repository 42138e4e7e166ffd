//! Requests through the ingress controller while a Service changes: how many fail.

mod generator;

use std::{
    fmt::Write as _,
    thread,
    time::{Duration, Instant},
};

use cluster::{Client, CommandExt, Name, Network};
use serde_json::{Value, json};

use super::application;
use crate::{
    error::{Error, Result},
    operator::DOMAIN,
    step::step,
};
use generator::{Load, Tally};

const PROJECT: &str = "bench-load";
const NAMESPACE: &str = "bench-load-production";
const APPLICATION: &str = "examples/go";
const GREETING: &str = "Hello from Go";
/// Requests of a scenario at least, and of them before and after the change.
const REQUESTS: usize = 10_000;
const AROUND: usize = 1_000;
/// Longest wait for the end of a change.
const PATIENCE: Duration = Duration::from_secs(300);

const MANIFESTS: &str = r"
apiVersion: trackbed.dev/v1alpha1
kind: Project
metadata: {name: bench-load}
spec: {environments: [{name: production}], deletionPolicy: Delete}
";
const SERVICE: &str = r"
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {name: web, namespace: bench-load-production}
spec:
  source: {git: {url: http://git.trackbed-git/bench-load.git, interval: 1h}}
  scale: {replicas: 2}
  rollout: {timeout: 30s}
  run: {healthcheck: {path: /, timeout: 10s}, env: [{name: VERSION, value: '1'}]}
";

/// A change of the Service, which it waits for the end of.
type Change = fn(&Cluster) -> Result<()>;

const SCENARIOS: [(&str, Change); 8] = [
    ("rolling update", update),
    ("failed update, rolled back by itself", failed_update),
    ("going back by a pin, and forth again", pin),
    ("pods deleted", delete_pods),
    ("pods evicted, as by a drain", evict_pods),
    ("2 → 4 → 2 pods, twice", scale),
    ("operator restarted", restart_operator),
    ("nothing", |_| Ok(())),
];

/// Runs it, prints its table, and fails if a request did.
pub(super) fn run(name: Name) -> Result<()> {
    let cluster = Cluster(Client::of(name));
    let node = Network::of(name).node;
    let outcome = step("load", || {
        cluster.0.apply(MANIFESTS)?;
        application::publish(name, APPLICATION, PROJECT, &[])?;
        cluster.until("the Project", |it| {
            Ok(is_ready(&it.0.get(&["projects.trackbed.dev", PROJECT])?))
        })?;
        cluster.0.apply(SERVICE)?;
        cluster.settled()?;
        let mut rows = Vec::new();
        for (what, change) in SCENARIOS {
            let load = Load::begin(
                &format!("http://{node}/"),
                &format!("web-{PROJECT}.{DOMAIN}"),
                GREETING,
            );
            load.reach(AROUND);
            let changed = change(&cluster);
            load.reach((load.sent() + AROUND).max(REQUESTS));
            let tally = load.end();
            changed?;
            println!(
                "  {what}: {} of {} failed",
                tally.failed(),
                tally.millis.len()
            );
            rows.push((what, tally));
        }
        println!("\n{}", table(&rows));
        match rows.iter().map(|(_, tally)| tally.failed()).sum() {
            0 => Ok(()),
            failed => Err(Error::Failed(format!("{failed} requests failed"))),
        }
    });
    cluster.kubectl(&["delete", "projects.trackbed.dev", PROJECT, "--wait"])?;
    outcome
}

fn table(rows: &[(&str, Tally)]) -> String {
    let mut table =
        "| while | requests | failed | 99 of 100 within, ms | longest, ms | what failed |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for (what, tally) in rows {
        let failures = tally.failures.iter();
        let failures: Vec<_> = failures.map(|(what, n)| format!("{n} × {what}")).collect();
        // Writing to a String does not fail.
        let _ = writeln!(
            table,
            "| {what} | {} | {} | {} | {} | {} |",
            tally.millis.len(),
            tally.failed(),
            tally.percentile(99),
            tally.percentile(100),
            failures.join(", ")
        );
    }
    table
}

fn update(cluster: &Cluster) -> Result<()> {
    for version in ["2", "3"] {
        let before = cluster.active()?;
        cluster.patch(&json!({"run": {"env": [{"name": "VERSION", "value": version}]}}))?;
        cluster.until("the update", |it| Ok(it.active()? != before))?;
        cluster.settled()?;
    }
    Ok(())
}

/// A release that answers its health check with 404, and one that mends it.
fn failed_update(cluster: &Cluster) -> Result<()> {
    let before = cluster.active()?;
    cluster.patch(&json!({"run": {"healthcheck": {"path": "/missing"}}}))?;
    cluster.until("the rollback", |it| {
        let releases = it.0.get(&["deployments.trackbed.dev", "-n", NAMESPACE])?;
        let releases = releases["items"].as_array().cloned().unwrap_or_default();
        let back = |it: &Value| it["status"]["phase"] == "RolledBack";
        Ok(releases.iter().any(back))
    })?;
    if cluster.active()? != before {
        return Err(Error::Failed("the failed release serves".to_owned()));
    }
    cluster.patch(&json!({"run": {"healthcheck": {"path": "/"}}}))?;
    cluster.until("the next release", |it| Ok(it.active()? != before))?;
    cluster.settled()
}

fn pin(cluster: &Cluster) -> Result<()> {
    let newest = cluster.active()?;
    cluster.patch(&json!({"pin": "web-1"}))?;
    cluster.until("the pinned release", |it| Ok(it.active()? == "web-1"))?;
    cluster.settled()?;
    cluster.patch(&json!({"pin": null}))?;
    cluster.until("the newest release", |it| Ok(it.active()? == newest))?;
    cluster.settled()
}

fn delete_pods(cluster: &Cluster) -> Result<()> {
    for pod in cluster.pods()? {
        cluster.kubectl(&["delete", "pod", "-n", NAMESPACE, &pod, "--wait=false"])?;
        cluster.gone(&pod)?;
    }
    Ok(())
}

fn evict_pods(cluster: &Cluster) -> Result<()> {
    for pod in cluster.pods()? {
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": NAMESPACE},
        });
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction");
        let file = tempfile::NamedTempFile::new()
            .and_then(|file| std::fs::write(file.path(), eviction.to_string()).map(|()| file));
        let file = file.map_err(|error| Error::Failed(format!("writing a file: {error}")))?;
        let from = file.path().display().to_string();
        cluster.kubectl(&["create", "--raw", &path, "-f", &from])?;
        cluster.gone(&pod)?;
    }
    Ok(())
}

fn scale(cluster: &Cluster) -> Result<()> {
    for replicas in ["4", "2", "4", "2"] {
        let replicas = format!("--replicas={replicas}");
        let service = "services.trackbed.dev/web";
        cluster.kubectl(&["scale", service, "-n", NAMESPACE, &replicas])?;
        cluster.settled()?;
    }
    Ok(())
}

fn restart_operator(cluster: &Cluster) -> Result<()> {
    let (namespace, workload) = ("trackbed-system", "deployment/trackbed");
    cluster.kubectl(&["rollout", "restart", "-n", namespace, workload])?;
    cluster.kubectl(&["rollout", "status", "-n", namespace, workload])
}

struct Cluster(Client);

impl Cluster {
    fn kubectl(&self, arguments: &[&str]) -> Result<()> {
        Ok(self.0.kubectl()?.args(arguments).check().map(drop)?)
    }

    fn patch(&self, spec: &Value) -> Result<()> {
        let patch = json!({"spec": spec}).to_string();
        let service = "services.trackbed.dev/web";
        self.kubectl(&[
            "patch",
            service,
            "-n",
            NAMESPACE,
            "--type=merge",
            "-p",
            &patch,
        ])
    }

    fn service(&self) -> Result<Value> {
        Ok(self
            .0
            .get(&["services.trackbed.dev", "web", "-n", NAMESPACE])?)
    }

    fn active(&self) -> Result<String> {
        let active = self.service()?["status"]["activeDeployment"].clone();
        Ok(active.as_str().unwrap_or_default().to_owned())
    }

    fn pods(&self) -> Result<Vec<String>> {
        let role = "trackbed.dev/role=app";
        let pods = self.0.get(&["pods", "-n", NAMESPACE, "-l", role])?;
        let pods = pods["items"].as_array().into_iter().flatten();
        let names = pods.filter_map(|pod| pod["metadata"]["name"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// Waits until a pod has ended and another one took its place.
    fn gone(&self, pod: &str) -> Result<()> {
        self.until("the pod's end", |it| {
            Ok(!it.pods()?.iter().any(|name| name == pod))
        })?;
        self.settled()
    }

    /// Waits until the Service says of its present spec that it is ready, and no pod is ending.
    fn settled(&self) -> Result<()> {
        self.until("the Service", |it| {
            let service = it.service()?;
            let wanted = service["spec"]["scale"]["replicas"].as_u64();
            let pods = it.pods()?.len();
            Ok(is_ready(&service) && usize::try_from(wanted.unwrap_or(0)).ok() == Some(pods))
        })
    }

    fn until(&self, what: &str, holds: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !holds(self)? {
            if begun.elapsed() > PATIENCE {
                let service = self.service()?;
                return Err(Error::Failed(format!("{what} did not come: {service:#}")));
            }
            thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }
}

/// Whether an object is ready, in the state that its spec describes now.
fn is_ready(object: &Value) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["type"] == "Ready"
            && condition["status"] == "True"
            && condition["observedGeneration"] == object["metadata"]["generation"]
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use expect_test::expect;

    use super::*;

    #[test]
    fn the_table_names_what_failed() {
        let failures = BTreeMap::from([("status 502".to_owned(), 2)]);
        let (good, bad) = (
            Tally {
                millis: vec![1, 2, 30],
                ..Tally::default()
            },
            Tally {
                millis: vec![4; 5],
                failures,
            },
        );
        expect![[r#"
            | while | requests | failed | 99 of 100 within, ms | longest, ms | what failed |
            |---|---|---|---|---|---|
            | calm | 3 | 0 | 30 | 30 |  |
            | storm | 5 | 2 | 4 | 4 | 2 × status 502 |
        "#]]
        .assert_eq(&table(&[("calm", good), ("storm", bad)]));
    }

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
