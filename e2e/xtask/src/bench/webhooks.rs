//! From a delivery of a webhook to the Build's Job, and what a flood of junk costs.

use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use cluster::{Client, CommandExt, Name, Network, Publish};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use super::{Spread, mebibytes, operator, requests};
use crate::{
    error::{Doing, Error, Result},
    operator::DOMAIN,
    step::step,
};

const PROJECT: &str = "bench-webhooks";
const NAMESPACE: &str = "bench-webhooks-production";
const SECRET: &str = "it is a secret to everybody";
const DOCKERFILE: &str =
    "FROM busybox:1.36\nCOPY Dockerfile /\nUSER 1000\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\"]\n";
/// Requests of the flood, and those who send them.
const JUNK: usize = 10_000;
const SENDERS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(120);

const MANIFESTS: &str = r"
apiVersion: v1
kind: Secret
metadata: {name: hook, namespace: bench-webhooks-production}
stringData: {secret: it is a secret to everybody}
---
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {name: web, namespace: bench-webhooks-production}
spec:
  source:
    git: {url: http://git.trackbed-git/bench-webhooks.git, interval: 24h, webhook: {secretRef: {name: hook}}}
  expose: {public: false}
";
const PROJECT_MANIFEST: &str = r"
apiVersion: trackbed.dev/v1alpha1
kind: Project
metadata: {name: bench-webhooks}
spec: {environments: [{name: production}], deletionPolicy: Delete}
";

/// Runs it and prints its tables.
pub(super) fn run(name: Name, runs: u32) -> Result<()> {
    let client = Client::of(name);
    let outcome = step("webhooks", || {
        publish(name, 0)?;
        client.apply(PROJECT_MANIFEST)?;
        wait(
            &client,
            "condition=Ready",
            "projects.trackbed.dev/bench-webhooks",
        )?;
        client.apply(MANIFESTS)?;
        built(&client, 1)?;
        let door = Door::of(name);
        let mut times = Vec::new();
        for version in 1..=runs {
            times.push(once(name, &client, &door, version)?);
            built(&client, version + 1)?;
        }
        print_deliveries(&times);
        flood(name, &client, &door)
    });
    client
        .kubectl()?
        .args(["delete", "projects.trackbed.dev", PROJECT, "--wait"])
        .check()?;
    outcome
}

/// The receiver, through the ingress controller.
struct Door {
    agent: ureq::Agent,
    place: String,
}

impl Door {
    fn of(name: Name) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .proxy(None)
            .build()
            .into();
        let place = format!("http://{}", Network::of(name).node);
        Self { agent, place }
    }

    /// The status of the answer; 0 for none.
    fn knock(&self, path: &str, signature: Option<&str>, body: &str) -> u16 {
        let request = self
            .agent
            .post(format!("{}{path}", self.place))
            .header("host", format!("hooks.{DOMAIN}"));
        let request = match signature {
            Some(signature) => request.header("x-trackbed-signature", signature),
            None => request,
        };
        let answer = request.send(body);
        answer.map_or(0, |answer| answer.status().as_u16())
    }
}

fn hook() -> String {
    format!("/hooks/{NAMESPACE}/hook")
}

fn sign(body: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes())
        .map_err(|error| Error::Failed(error.to_string()))?;
    mac.update(body.as_bytes());
    let digest = mac.finalize().into_bytes();
    let hex: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256={}", hex.concat()))
}

/// Seconds from a delivery to its answer, to the Build, and to its Job.
type Run = [f64; 3];

fn once(name: Name, client: &Client, door: &Door, version: u32) -> Result<Run> {
    let log = requests::Log::end(name)?;
    let commit = publish(name, version)?;
    let body = format!(
        r#"{{"url": "http://git.trackbed-git/bench-webhooks.git", "ref": "refs/heads/main", "commit": "{commit}"}}"#
    );
    let signature = sign(&body)?;
    let sent = Timestamp::now();
    let status = door.knock(&hook(), Some(&signature), &body);
    let answered = Timestamp::now();
    if status != 200 {
        return Err(Error::Failed(format!(
            "the delivery was answered with {status}"
        )));
    }
    let build = format!("web-{}", version + 1);
    let job = format!("jobs.batch/{build}");
    wait(client, "create", &job)?;
    let requests = log.since()?;
    let made = |resource: &str| {
        let found = requests.iter().find(|request| {
            request.namespace == NAMESPACE
                && request.resource == resource
                && matches!(request.verb.as_str(), "create" | "patch")
        });
        let at = found.map(|request| request.at.duration_since(sent).as_secs_f64());
        at.ok_or_else(|| Error::Failed(format!("no {resource} in the audit log")))
    };
    Ok([
        answered.duration_since(sent).as_secs_f64(),
        made("trackbed.dev/builds")?,
        made("batch/jobs")?,
    ])
}

/// Puts the next version on the git server, and gives its commit.
fn publish(name: Name, version: u32) -> Result<String> {
    let folder = tempfile::tempdir().doing(|| "making a folder".to_owned())?;
    let text = format!("{DOCKERFILE}# version {version}\n");
    let file = folder.path().join("Dockerfile");
    fs::write(&file, text).doing(|| format!("writing {}", file.display()))?;
    let published = cluster::publish(
        name,
        &Publish {
            folder: folder.path().to_owned(),
            name: PROJECT.to_owned(),
            branch: "main".to_owned(),
            private: false,
            always: true,
        },
    )?;
    Ok(published.commit)
}

fn wait(client: &Client, what: &str, object: &str) -> Result<()> {
    let mut command = client.kubectl()?;
    command.args(["wait", &format!("--for={what}"), "--timeout=120s"]);
    command.args(["--namespace", NAMESPACE, object]);
    Ok(command.check().map(drop)?)
}

fn built(client: &Client, sequence: u32) -> Result<()> {
    let object = format!("builds.trackbed.dev/web-{sequence}");
    wait(client, "create", &object)?;
    wait(client, "jsonpath={.status.phase}=Succeeded", &object)
}

fn print_deliveries(times: &[Run]) {
    println!("\nFrom a delivery, seconds, {} runs:\n", times.len());
    println!("| until | mean | least | most |\n|---|---|---|---|");
    for (at, what) in ["it is answered", "the Build exists", "its Job exists"]
        .iter()
        .enumerate()
    {
        let values: Vec<f64> = times.iter().map(|run| run[at]).collect();
        let Spread { mean, least, most } = Spread::of(&values);
        println!("| {what} | {mean:.3} | {least:.3} | {most:.3} |");
    }
}

/// Junk of five kinds, in turns.
fn junk(door: &Door, number: usize) -> u16 {
    let wrong = format!("sha256={number:064x}");
    let body = format!("{{\"number\": {number}}}");
    match number % 5 {
        0 => door.knock(&format!("/hooks/{NAMESPACE}/{number}"), Some(&wrong), &body),
        1 => door.knock(&hook(), Some(&wrong), &body),
        2 => door.knock(&hook(), None, &body),
        3 => door.knock(&hook(), Some("none"), &"x".repeat(64 << 10)),
        _ => door.knock("/hooks/../../etc/passwd", Some(&wrong), &body),
    }
}

fn flood(name: Name, client: &Client, door: &Door) -> Result<()> {
    let before = operator::memory(client)?;
    let log = requests::Log::end(name)?;
    let (next, begun) = (AtomicUsize::new(0), Instant::now());
    let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
    thread::scope(|threads| {
        let send = || {
            let mut found = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= JUNK || begun.elapsed() > PATIENCE {
                    return found;
                }
                found.push(junk(door, number));
            }
        };
        let senders: Vec<_> = (0..SENDERS).map(|_| threads.spawn(send)).collect();
        for sender in senders {
            for status in sender.join().unwrap_or_default() {
                *statuses.entry(status).or_default() += 1;
            }
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let after = operator::memory(client)?;
    let asked = requests::counts(&log.since()?);
    let sent: usize = statuses.values().sum();
    println!("\n{sent} requests of junk from {SENDERS} senders in {seconds:.1} s:\n");
    println!("| answered with | requests |\n|---|---|");
    for (status, count) in &statuses {
        println!("| {status} | {count} |");
    }
    println!("\n| | before | after |\n|---|---|---|");
    println!(
        "| resident, MiB | {} | {} |",
        mebibytes(before.resident),
        mebibytes(after.resident)
    );
    println!(
        "| of it its own, MiB | {} | {} |",
        mebibytes(before.anonymous),
        mebibytes(after.anonymous)
    );
    println!("\nRequests to the API server that followed from it:\n");
    println!("| verb | resource | requests |\n|---|---|---|");
    for ((verb, resource), count) in &asked {
        println!("| {verb} | {resource} | {count} |");
    }
    Ok(())
}
