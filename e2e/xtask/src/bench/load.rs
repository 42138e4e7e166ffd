//! Requests through the ingress controller while a Service changes: how many fail.

mod generator;
mod service;
mod tally;

use std::time::Instant;

use cluster::{Client, Name, Network};
use serde_json::{Value, json};

use super::application;
use crate::{
    error::{Doing, Error, Result},
    operator::DOMAIN,
    step::step,
};
use generator::{Good, Load, Target};
use service::{Service, is_ready};
use tally::{Row, table};

const PROJECT: &str = "bench-load";
const NAMESPACE: &str = "bench-load-production";
/// The application, and the words in it that make a version.
const APPLICATION: &str = "examples/go";
const GREETING: &str = "Hello from Go";
/// Requests of a scenario at least, and of them before and after the change.
const REQUESTS: usize = 10_000;
const AROUND: usize = 1_000;

const PROJECT_MANIFEST: &str = r"
apiVersion: trackbed.dev/v1alpha1
kind: Project
metadata: {name: bench-load}
spec: {environments: [{name: production}], deletionPolicy: Delete}
";
const MANIFESTS: &str = r"
apiVersion: v1
kind: Secret
metadata: {name: settings, namespace: bench-load-production}
stringData: {key: first}
---
apiVersion: trackbed.dev/v1alpha1
kind: Database
metadata: {name: db, namespace: bench-load-production, annotations: {trackbed.dev/confirm-deletion: db}}
spec: {engine: Postgres, version: '17', deletionPolicy: Delete, credentials: {keep: 1m}}
---
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {name: web, namespace: bench-load-production}
spec:
  source: {git: {url: http://git.trackbed-git/bench-load.git, interval: 10s}}
  scale: {replicas: 2}
  rollout: {timeout: 30s}
  run:
    healthcheck: {path: /, timeout: 10s}
    env:
      - {name: VERSION, value: '1'}
      - {name: KEY, valueFrom: {secretKeyRef: {name: settings, key: key}}}
      - {name: DATABASE_URL, valueFrom: {databaseRef: {name: db}}}
";

/// What is asked for meanwhile.
enum Asks {
    /// The greeting. Each of these versions has to be seen.
    Versions(&'static [u32]),
    /// The time, which the application asks its database for.
    Database,
}

struct Scenario {
    what: &'static str,
    asks: Asks,
    /// Changes the Service, and waits for the end of it.
    change: fn(Name, &Service) -> Result<()>,
}

/// In this order: each begins with what the one before it left.
const SCENARIOS: [Scenario; 10] = [
    Scenario {
        what: "rolling update: a commit, then a variable",
        asks: Asks::Versions(&[1, 2]),
        change: update,
    },
    Scenario {
        what: "failed update, rolled back by itself, and one that mends it",
        asks: Asks::Versions(&[2]),
        change: failed_update,
    },
    Scenario {
        what: "going back by a pin, and forth again",
        asks: Asks::Versions(&[1, 2]),
        change: pin,
    },
    Scenario {
        what: "a Secret changed, twice",
        asks: Asks::Versions(&[2]),
        change: rotate,
    },
    Scenario {
        what: "other credentials for the database that each request asks",
        asks: Asks::Database,
        change: other_credentials,
    },
    Scenario {
        what: "pods deleted, one after the other",
        asks: Asks::Versions(&[2]),
        change: delete_pods,
    },
    Scenario {
        what: "pods evicted, as by a drain",
        asks: Asks::Versions(&[2]),
        change: evict_pods,
    },
    Scenario {
        what: "2 → 4 → 2 pods, twice",
        asks: Asks::Versions(&[2]),
        change: scale,
    },
    Scenario {
        what: "operator's pod deleted",
        asks: Asks::Versions(&[2]),
        change: delete_operator,
    },
    Scenario {
        what: "nothing, to compare",
        asks: Asks::Versions(&[2]),
        change: |_, _| Ok(()),
    },
];

/// Runs it, or only scenarios with one of these words in them, prints its table, and fails if a
/// request did.
pub(super) fn run(name: Name, only: &[String]) -> Result<()> {
    let client = Client::of(name);
    client.apply(PROJECT_MANIFEST)?;
    let service = Service::of(Client::of(name), NAMESPACE);
    let outcome = step("load", || {
        publish(name, 1)?;
        service.until("the Project", |it| {
            Ok(is_ready(&it.get(&["projects.trackbed.dev", PROJECT])?))
        })?;
        client.apply(MANIFESTS)?;
        service.settled()?;
        let mut rows = Vec::new();
        let wanted = |scenario: &&Scenario| {
            only.is_empty() || only.iter().any(|words| scenario.what.contains(words))
        };
        let ended = SCENARIOS
            .iter()
            .filter(wanted)
            .try_for_each(|scenario| play(name, &service, scenario, &mut rows));
        println!("\n{}", table(&rows));
        ended?;
        match rows.iter().map(|(_, tally, _)| tally.failed()).sum() {
            0 => Ok(()),
            failed => Err(Error::Failed(format!("{failed} requests failed"))),
        }
    });
    let removed = service.kubectl(&["delete", "projects.trackbed.dev", PROJECT, "--wait"]);
    outcome.and(removed)
}

/// Changes the Service under load. What came of the requests is a row, also if the change fails.
fn play(name: Name, service: &Service, scenario: &Scenario, rows: &mut Vec<Row>) -> Result<()> {
    service.watch()?;
    let (path, good) = match scenario.asks {
        Asks::Versions(versions) => {
            let lines = versions.iter().copied().map(greeting);
            ("", Good::Lines(lines.collect()))
        }
        Asks::Database => ("now", Good::Begins("\"20")),
    };
    let kinds = good.kinds();
    let load = Load::begin(Target {
        url: format!("http://{}/{path}", Network::of(name).node),
        host: format!("web-{PROJECT}.{DOMAIN}"),
        good,
    })?;
    load.reach(AROUND);
    let changed = (scenario.change)(name, service);
    load.reach((load.answered() + AROUND).max(REQUESTS));
    let tally = load.end();
    let what = scenario.what;
    let (requests, failed) = (tally.requests(), tally.failed());
    println!("  {what}: {failed} of {requests} failed");
    let seen = tally.bodies.len();
    rows.push((what, tally, service.replaced()?));
    changed?;
    if requests < REQUESTS || seen != kinds {
        return Err(Error::Failed(format!(
            "{what}: {requests} requests, and answers of {seen} kinds: that says nothing"
        )));
    }
    Ok(())
}

/// What a version says first.
fn greeting(version: u32) -> String {
    format!("{GREETING}, version {version}")
}

fn publish(name: Name, version: u32) -> Result<()> {
    let words = greeting(version);
    application::publish(name, APPLICATION, PROJECT, &[(GREETING, &words)])
}

/// Does something that makes a release, and waits until that serves.
fn released(service: &Service, change: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = service.active()?;
    change()?;
    service.until("the next release", |it| Ok(it.active()? != before))?;
    service.settled()
}

fn update(name: Name, service: &Service) -> Result<()> {
    released(service, || publish(name, 2))?;
    let key = json!({"secretKeyRef": {"name": "settings", "key": "key"}});
    let env = json!([
        {"name": "VERSION", "value": "2"},
        {"name": "KEY", "valueFrom": key},
        {"name": "DATABASE_URL", "valueFrom": {"databaseRef": {"name": "db"}}},
    ]);
    let env = json!({"run": {"env": env}});
    released(service, || service.patch(&env))
}

/// A release that answers its health check with 404, and one that mends it.
fn failed_update(_: Name, service: &Service) -> Result<()> {
    let before = service.active()?;
    let healthcheck = |path: &str| json!({"run": {"healthcheck": {"path": path}}});
    service.patch(&healthcheck("/missing"))?;
    service.until("the rollback", |it| {
        let releases = it.get(&["deployments.trackbed.dev"])?;
        let mut releases = releases["items"].as_array().into_iter().flatten();
        Ok(releases.any(|release| release["status"]["phase"] == "RolledBack"))
    })?;
    if service.active()? != before {
        return Err(Error::Failed("the failed release serves".to_owned()));
    }
    released(service, || service.patch(&healthcheck("/")))
}

/// To the first release and back, neither of which builds anything.
fn pin(_: Name, service: &Service) -> Result<()> {
    let newest = service.active()?;
    let builds = service.builds()?;
    for (pin, serves) in [(json!("web-1"), "web-1"), (json!(null), &newest)] {
        let begun = Instant::now();
        service.patch(&json!({"pin": pin}))?;
        service.until("the release", |it| Ok(it.active()? == serves))?;
        let took = begun.elapsed().as_secs_f64();
        println!("  Deployment {serves} serves again after {took:.1} s");
        service.settled()?;
    }
    if service.builds()? != builds {
        return Err(Error::Failed("something was built".to_owned()));
    }
    Ok(())
}

/// Each change is one release more.
fn rotate(_: Name, service: &Service) -> Result<()> {
    for key in ["second", "third"] {
        released(service, || {
            let patch = json!({"stringData": {"key": key}}).to_string();
            service.here(&["patch", "secret", "settings", "-p", &patch])?;
            let now = format!("trackbed.dev/reconcile-at={key}");
            let web = "services.trackbed.dev/web";
            service.here(&["annotate", web, "--overwrite", &now])
        })?;
    }
    Ok(())
}

/// From the change until those of before have ended: pods are replaced, and nothing is released.
fn other_credentials(_: Name, service: &Service) -> Result<()> {
    let before = service.active()?;
    let patch = json!({"spec": {"credentials": {"rotate": "bench"}}}).to_string();
    let database = "databases.trackbed.dev/db";
    service.here(&["patch", database, "--type=merge", "-p", &patch])?;
    let credentials = |it: &Service| -> Result<Value> {
        let database = it.get(&["databases.trackbed.dev", "db"])?;
        Ok(database["status"]["credentials"].clone())
    };
    service.until("the change", |it| Ok(credentials(it)?["rotate"] == "bench"))?;
    service.until("the pods that know it", |it| {
        let workload = it.get(&["deployments.apps", "web"])?;
        let annotations = &workload["spec"]["template"]["metadata"]["annotations"];
        let all = workload["spec"]["replicas"] == workload["status"]["updatedReplicas"];
        Ok(all && annotations["trackbed.dev/credentials"].is_string())
    })?;
    service.settled()?;
    service.until("the end of those before", |it| {
        Ok(credentials(it)?["previousUntil"].is_null())
    })?;
    match service.active()? == before {
        true => Ok(()),
        false => Err(Error::Failed("it made a release".to_owned())),
    }
}

fn delete_pods(_: Name, service: &Service) -> Result<()> {
    for pod in service.pods()? {
        service.here(&["delete", "pod", &pod, "--wait=false"])?;
        service.gone(&pod)?;
    }
    Ok(())
}

fn evict_pods(_: Name, service: &Service) -> Result<()> {
    for pod in service.pods()? {
        let eviction = json!({
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": NAMESPACE},
        });
        let folder = tempfile::tempdir().doing(|| "making a folder".to_owned())?;
        let file = folder.path().join("eviction.json");
        std::fs::write(&file, eviction.to_string())
            .doing(|| format!("writing {}", file.display()))?;
        let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction");
        let file = file.display().to_string();
        service.kubectl(&["create", "--raw", &path, "-f", &file])?;
        service.gone(&pod)?;
    }
    Ok(())
}

fn scale(_: Name, service: &Service) -> Result<()> {
    for replicas in ["4", "2", "4", "2"] {
        let replicas = format!("--replicas={replicas}");
        service.here(&["scale", "services.trackbed.dev/web", &replicas])?;
        service.settled()?;
    }
    Ok(())
}

fn delete_operator(_: Name, service: &Service) -> Result<()> {
    let (namespace, operator) = ("trackbed-system", "app.kubernetes.io/name=trackbed");
    service.kubectl(&["delete", "pod", "-n", namespace, "-l", operator])?;
    service.kubectl(&[
        "rollout",
        "status",
        "-n",
        namespace,
        "deployment/trackbed",
        "--timeout=120s",
    ])
}
