//! From a push until the new version answers, split by step, with the requests that Trackbed made
//! on the way and the memory that it held.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use cluster::{Client, CommandExt, Name, Network};
use jiff::Timestamp;
use serde_json::Value;

use super::{Spread, application, mebibytes, operator, requests};
use crate::{
    error::{Error, Result},
    look,
    operator::DOMAIN,
    step::step,
};

const PROJECT: &str = "bench";
const NAMESPACE: &str = "bench-production";
/// The application, and the words in it that make a version.
const APPLICATION: &str = "examples/node";
const GREETING: &str = "Hello from Node";
/// Longest wait for a version.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often the URL is asked: the resolution of the end of a run.
const EVERY: Duration = Duration::from_millis(50);

const MANIFESTS: &str = r"
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {name: web, namespace: bench-production}
spec:
  source: {git: {url: http://git.trackbed-git/bench.git, interval: 10s}}
";
const PROJECT_MANIFEST: &str = r"
apiVersion: trackbed.dev/v1alpha1
kind: Project
metadata: {name: bench}
spec: {environments: [{name: production}], deletionPolicy: Delete}
";

/// The steps, in order, and what each ends with.
const STEPS: [&str; 9] = [
    "push → Build exists (the next look, every 10 s)",
    "Build exists → Job exists",
    "Job exists → its first step runs (scheduler, kubelet)",
    "fetch",
    "build (Kaniko)",
    "hand-over and push to the registry",
    "steps ended → Deployment exists",
    "Deployment exists → workload applied",
    "workload applied → the URL answers with it",
];
/// Those that are nobody's but the operator's.
const OWN: [usize; 3] = [1, 6, 7];

/// Seconds that each step took in one run, and all of them together.
type Run = [f64; STEPS.len()];

/// Runs it and prints its tables.
pub(super) fn run(name: Name, runs: u32) -> Result<()> {
    let client = Client::of(name);
    let outcome = step("push-to-serve", || {
        publish(name, 0)?;
        client.apply(PROJECT_MANIFEST)?;
        wait(&client, "projects.trackbed.dev/bench")?;
        client.apply(MANIFESTS)?;
        wait(&client, "services.trackbed.dev/web")?;
        let idle = operator::memory(&client)?;
        let mut times = Vec::new();
        let mut asked = Vec::new();
        for version in 1..=runs {
            let log = requests::Log::end(name)?;
            let run = once(name, &client, version, &log)?;
            println!("  run {version}: {:.1} s", run.iter().sum::<f64>());
            times.push(run);
            wait(&client, "services.trackbed.dev/web")?;
            asked.push(requests::counts(&log.since()?));
        }
        let after = operator::memory(&client)?;
        print(&times, &asked, idle, after);
        Ok(())
    });
    client
        .kubectl()?
        .args(["delete", "projects.trackbed.dev", PROJECT, "--wait"])
        .check()?;
    outcome
}

/// Pushes one version and follows it.
fn once(name: Name, client: &Client, version: u32, log: &requests::Log) -> Result<Run> {
    publish(name, version)?;
    let pushed = Timestamp::now();
    let served = answers(name, &format!("version {version}"))?;
    // The first version was number 1.
    let build = format!("web-{}", version + 1);
    let object = client.get(&["builds.trackbed.dev", &build, "--namespace", NAMESPACE])?;
    let steps = containers(&pod(client, &build)?)?;
    let requests = log.since()?;
    let first = |resource: &str, verbs: &[&str], named: &str| {
        requests
            .iter()
            .find(|request| {
                request.namespace == NAMESPACE
                    && request.resource == resource
                    && verbs.contains(&request.verb.as_str())
                    && (named.is_empty() || request.name.is_empty() || request.name == named)
            })
            .map(|request| request.at)
            .ok_or_else(|| Error::Failed(format!("no {verbs:?} of {resource} in the audit log")))
    };
    let made = ["create", "patch"];
    let seen = first("trackbed.dev/builds", &made, &build)?;
    let job = first("batch/jobs", &made, &build)?;
    let release = first("trackbed.dev/deployments", &made, &build)?;
    let workload = first("apps/deployments", &made, "web")?;
    if object["status"]["phase"] != "Succeeded" {
        return Err(Error::Failed(format!("{build} did not succeed")));
    }
    let between = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64();
    let [fetch, kaniko, push] = steps;
    Ok([
        between(pushed, seen),
        between(seen, job),
        between(job, fetch.0),
        between(fetch.0, fetch.1),
        between(fetch.1, kaniko.1),
        between(kaniko.1, push.1),
        between(push.1, release),
        between(release, workload),
        between(workload, served),
    ])
}

/// The pod of a Build's Job.
fn pod(client: &Client, build: &str) -> Result<Value> {
    let selector = format!("--selector=job-name={build}");
    let pods = client.get(&["pods", "--namespace", NAMESPACE, &selector])?;
    Ok(pods["items"][0].clone())
}

/// When fetch, build and push began and ended. The kubelet tells whole seconds.
fn containers(pod: &Value) -> Result<[(Timestamp, Timestamp); 3]> {
    let statuses: Vec<Value> = ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .flat_map(|list| pod["status"][list].as_array().cloned().unwrap_or_default())
        .collect();
    let times = |name: &str| {
        let status = statuses.iter().find(|it| it["name"] == name)?;
        let ended = &status["state"]["terminated"];
        let time = |name: &str| ended[name].as_str()?.parse().ok();
        Some((time("startedAt")?, time("finishedAt")?))
    };
    match ["fetch", "build", "push"].map(times) {
        [Some(fetch), Some(build), Some(push)] => Ok([fetch, build, push]),
        _ => Err(Error::Failed(format!(
            "not all steps have ended in {pod:#}"
        ))),
    }
}

/// Puts version `version` of the application on the git server.
fn publish(name: Name, version: u32) -> Result<()> {
    let words = format!("version {version}");
    application::publish(name, APPLICATION, PROJECT, &[(GREETING, &words)])
}

/// Waits until the Service's URL answers with `words`, and gives the time.
fn answers(name: Name, words: &str) -> Result<Timestamp> {
    let port = Network::of(name).forward_port;
    let host = format!("web-{PROJECT}.{DOMAIN}");
    let options = ["--silent", "--fail", "--max-time", "5"].map(str::to_owned);
    let begun = Instant::now();
    loop {
        let answer = look::curl(&host, port, &options).check();
        if answer.is_ok_and(|body| body.trim() == words) {
            return Ok(Timestamp::now());
        }
        if begun.elapsed() > PATIENCE {
            return Err(Error::Failed(format!("{host} does not answer '{words}'")));
        }
        thread::sleep(EVERY);
    }
}

fn wait(client: &Client, object: &str) -> Result<()> {
    let mut command = client.kubectl()?;
    command.args(["wait", "--for=condition=Ready", "--timeout=600s"]);
    command.args(["--namespace", NAMESPACE, object]);
    Ok(command.check().map(drop)?)
}

type Counts = BTreeMap<(String, String), usize>;

fn print(times: &[Run], asked: &[Counts], idle: operator::Memory, after: operator::Memory) {
    println!("\nFrom push to serving, seconds, {} runs:\n", times.len());
    print!("{}", steps_table(times));
    println!("\nRequests of Trackbed to the API server in a run, without watches and Lease:\n");
    print!("{}", requests_table(asked));
    let megabytes = |memory: operator::Memory| {
        let operator::Memory {
            resident,
            anonymous,
        } = memory;
        format!("| {} | {} |", mebibytes(resident), mebibytes(anonymous))
    };
    println!("\nMemory of the operator, MiB:\n");
    println!("| when | resident | of it its own |\n|---|---|---|");
    println!("| before the runs {}", megabytes(idle));
    println!("| after the runs {}", megabytes(after));
}

fn steps_table(times: &[Run]) -> String {
    let row = |what: &str, values: &[f64]| {
        let Spread { mean, least, most } = Spread::of(values);
        format!("| {what} | {mean:.2} | {least:.2} | {most:.2} |\n")
    };
    let mut table = "| step | mean | least | most |\n|---|---|---|---|\n".to_owned();
    for (index, step) in STEPS.iter().enumerate() {
        let values: Vec<f64> = times.iter().map(|run| run[index]).collect();
        table += &row(step, &values);
    }
    let sum = |steps: &[usize]| -> Vec<f64> {
        let of = |run: &Run| steps.iter().map(|step| run[*step]).sum();
        times.iter().map(of).collect()
    };
    let all: Vec<usize> = (0..STEPS.len()).collect();
    table += &row("**all**", &sum(&all));
    table += &row("**the operator's own share**", &sum(&OWN));
    table
}

fn requests_table(asked: &[Counts]) -> String {
    let mut table = "| verb | resource | mean | most |\n|---|---|---|---|\n".to_owned();
    let mut keys: Vec<_> = asked.iter().flat_map(Counts::keys).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let of = |counts: &Counts| {
            let count = counts.get(key).copied().unwrap_or_default();
            f64::from(u32::try_from(count).unwrap_or(u32::MAX))
        };
        let Spread { mean, most, .. } = Spread::of(&asked.iter().map(of).collect::<Vec<_>>());
        let (verb, resource) = key;
        table += &format!("| {verb} | {resource} | {mean:.1} | {most:.0} |\n");
    }
    table
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn steps_and_requests_are_tables() {
        let runs = [[1.0; STEPS.len()], [2.0; STEPS.len()]];
        let table = steps_table(&runs);
        assert!(
            table.contains("| **all** | 13.50 | 9.00 | 18.00 |"),
            "{table}"
        );
        assert!(
            table.contains("own share** | 4.50 | 3.00 | 6.00 |"),
            "{table}"
        );
        let key = |verb: &str| (verb.to_owned(), "batch/jobs".to_owned());
        let asked = [
            Counts::from([(key("patch"), 1)]),
            Counts::from([(key("patch"), 2), (key("create"), 1)]),
        ];
        expect![[r"
            | verb | resource | mean | most |
            |---|---|---|---|
            | create | batch/jobs | 0.5 | 1 |
            | patch | batch/jobs | 1.5 | 2 |
        "]]
        .assert_eq(&requests_table(&asked));
    }

    #[test]
    fn the_three_steps_are_read_from_a_pod() {
        let status = |name: &str, from: &str, to: &str| serde_json::json!({"name": name, "state": {"terminated": {"startedAt": from, "finishedAt": to}}});
        let pod = serde_json::json!({"status": {
            "initContainerStatuses": [
                status("fetch", "2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z"),
                status("build", "2026-01-01T00:00:03Z", "2026-01-01T00:00:09Z"),
                status("hand-over", "2026-01-01T00:00:09Z", "2026-01-01T00:00:09Z"),
            ],
            "containerStatuses": [status("push", "2026-01-01T00:00:10Z", "2026-01-01T00:00:11Z")],
        }});
        let [fetch, _, push] = containers(&pod).expect("three steps");
        assert_eq!(push.1.duration_since(fetch.0).as_secs(), 11);
        assert!(containers(&serde_json::json!({})).is_err());
    }
}
