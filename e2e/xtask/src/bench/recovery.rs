//! How long a database is away: after its server was killed, its pod deleted, its settings changed;
//! how long a new one takes that begins with a backup; and how long until another server takes over.

use std::{
    io::Read,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use cluster::{Client, CommandExt, Name, Network};
use serde_json::Value;

use super::{Spread, mebibytes, operator};
use crate::{
    error::{Error, Result},
    step::step,
};

const PROJECT: &str = "bench-recovery";
const NAMESPACE: &str = "bench-recovery-production";
const PROJECT_MANIFEST: &str = r"
apiVersion: trackbed.dev/v1alpha1
kind: Project
metadata: {name: bench-recovery}
spec: {environments: [{name: production}], deletionPolicy: Delete}
";
/// Rows and keys that there are.
const ROWS: u32 = 1_000_000;

/// How often it is looked whether a pod is another one.
const EVERY: Duration = Duration::from_millis(100);

/// Until everything is in files.
const SETTLED: Duration = Duration::from_secs(5);

/// A server, and how it is spoken to from a pod with its binding Secret.
struct Engine {
    name: &'static str,
    spec: &'static str,
    image: &'static str,
    /// Makes the data, as soon as the network lets the pod through.
    fill: &'static str,
    /// Writes for ever.
    write: &'static str,
    /// Is asked until it succeeds.
    ask: &'static str,
    /// What changes with each run of a change of settings.
    parameter: &'static str,
}

const ENGINES: [Engine; 2] = [
    Engine {
        name: "postgres",
        spec: "engine: Postgres, version: '17'",
        image: "postgres:17",
        fill: r#"until psql "$uri" -c "create table kept as select n, md5(n::text) from generate_series(1, 1000000) n"; do sleep 0.3; done"#,
        write: r#"while psql "$uri" -qc "insert into kept select n, md5(n::text) from generate_series(1, 1000) n"; do echo; done"#,
        ask: r#"until psql "$uri" -qc 'select n from kept limit 1'; do sleep 0.1; done"#,
        parameter: "max_connections",
    },
    Engine {
        name: "redis",
        spec: "engine: Redis, version: '7'",
        image: "redis:7",
        fill: r#"until redis-cli -u "$uri" --no-auth-warning -e eval "for i=1,1000000 do redis.call('set','key:'..i,redis.sha1hex(i)) end" 0; do sleep 0.3; done"#,
        write: r#"while redis-cli -u "$uri" --no-auth-warning -e eval "for i=1,1000 do redis.call('rpush','log',i) end" 0; do echo; done"#,
        ask: r#"until redis-cli -u "$uri" --no-auth-warning -e get key:1; do sleep 0.1; done"#,
        parameter: "maxclients",
    },
];

/// Servers that take over from each other. Asked is whether one takes writes.
const SEVERAL: [Engine; 2] = [
    Engine {
        name: "several",
        spec: "engine: Postgres, version: '17', replicas: 2",
        ask: r#"until psql "$uri" -qc 'insert into kept select 0'; do sleep 0.1; done"#,
        ..ENGINES[0]
    },
    Engine {
        name: "several-redis",
        spec: "engine: Redis, version: '7', replicas: 3",
        ask: r#"until redis-cli -u "$uri" --no-auth-warning -e set asked 1; do sleep 0.1; done"#,
        ..ENGINES[1]
    },
];

/// Who runs those of Postgres.
const SERVERS: &str = "clusters.postgresql.cnpg.io";

/// What is done to the server that takes writes, of several.
const TAKEOVERS: [&str; 2] = ["the primary killed while it writes", "its pod deleted"];

/// What is done to a server.
const EVENTS: [&str; 4] = [
    "killed while it writes",
    "pod deleted",
    "a parameter that needs a restart",
    "a new Database from the backup",
];

/// Runs it and prints its table.
pub(super) fn run(name: Name, runs: u32) -> Result<()> {
    let client = Client::of(name);
    let outcome = step("recovery", || {
        client.apply(PROJECT_MANIFEST)?;
        wait(&client, "projects.trackbed.dev/bench-recovery")?;
        for engine in &ENGINES {
            let (times, bytes) = measure(name, &client, engine, runs)?;
            println!(
                "{}, {ROWS} rows or keys, {} MiB as a backup:\n",
                engine.name,
                mebibytes(bytes)
            );
            println!(
                "| what happens | seconds until it answers, mean (least to most) |\n|---|---|"
            );
            table(&EVENTS, &times);
        }
        for engine in &SEVERAL {
            if engine.image == ENGINES[0].image && client.get(&["crd", SERVERS]).is_err() {
                println!(
                    "several servers of Postgres are not measured: this cluster has no CloudNativePG, that of the tests (--cluster test) has"
                );
                continue;
            }
            let times = take_over(name, &client, engine, runs)?;
            println!("{}, {ROWS} rows or keys:\n", engine.spec);
            println!(
                "| what happens | seconds until one takes writes, mean (least to most) |\n|---|---|"
            );
            table(&TAKEOVERS, &times);
        }
        Ok(())
    });
    for database in ENGINES
        .iter()
        .flat_map(|it| [it.name.to_owned(), format!("{}-new", it.name)])
        .chain(SEVERAL.iter().map(|it| it.name.to_owned()))
    {
        confirm(&client, &database)?;
    }
    client
        .kubectl()?
        .args(["delete", "projects.trackbed.dev", PROJECT, "--wait=false"])
        .check()?;
    outcome
}

fn table(events: &[&str], times: &[Vec<f64>]) {
    for (event, times) in events.iter().zip(times) {
        let spread = Spread::of(times);
        println!(
            "| {event} | {:.1} ({:.1} to {:.1}) |",
            spread.mean, spread.least, spread.most
        );
    }
    println!();
}

/// Seconds of each takeover.
fn take_over(
    name: Name,
    client: &Client,
    engine: &Engine,
    runs: u32,
) -> Result<[Vec<f64>; TAKEOVERS.len()]> {
    let object = format!("databases.trackbed.dev/{}", engine.name);
    apply(client, engine, engine.name, "")?;
    wait(client, &object)?;
    let pod = start_client(name, client, engine)?;
    exec(client, &pod, engine.fill)?;
    let mut times = <[Vec<f64>; TAKEOVERS.len()]>::default();
    for _ in 0..runs {
        for (event, times) in times.iter_mut().enumerate() {
            wait_for(client, &object, "condition=Replicated")?;
            let get = ["databases.trackbed.dev", engine.name];
            let database = client.get(&[&get[..], &["--namespace", NAMESPACE]].concat())?;
            let primary = database["status"]["replication"]["primary"].as_str();
            let primary = primary.unwrap_or_default().to_owned();
            let mut writer = writer(client, &pod, engine)?;
            let begun = Instant::now();
            match event {
                0 => kill(client, &primary)?,
                _ => delete(client, &primary, "--wait=false")?,
            }
            exec(client, &pod, engine.ask)?;
            times.push(begun.elapsed().as_secs_f64());
            // It ends with its server.
            let _ended = writer.wait();
        }
    }
    Ok(times)
}

/// A client that writes until its server ends, and has begun to.
fn writer(client: &Client, pod: &str, engine: &Engine) -> Result<Child> {
    let starting = |error| Error::Failed(format!("starting kubectl: {error}"));
    let mut writer = command(client, pod, engine.write)?
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(starting)?;
    if let Some(output) = &mut writer.stdout {
        // The first word that it says is after its first write.
        output.read_exact(&mut [0]).map_err(starting)?;
    }
    Ok(writer)
}

/// Deletes a pod, and waits until it is gone or not.
fn delete(client: &Client, pod: &str, wait: &str) -> Result<()> {
    let mut delete = client.kubectl()?;
    delete.args(["delete", "pod", pod, "--namespace", NAMESPACE, wait]);
    Ok(delete.check().map(drop)?)
}

/// Lets the data of this benchmark go with its Project.
fn confirm(client: &Client, database: &str) -> Result<()> {
    let confirmed = format!("trackbed.dev/confirm-deletion={database}");
    let what = ["annotate", "databases.trackbed.dev", database, &confirmed];
    // One that was never made needs no confirmation.
    let _perhaps = client
        .kubectl()?
        .args(what)
        .args(["--namespace", NAMESPACE])
        .check();
    Ok(())
}

type Times = [Vec<f64>; EVENTS.len()];

/// Seconds of each event, and bytes of the backup.
fn measure(name: Name, client: &Client, engine: &Engine, runs: u32) -> Result<(Times, u64)> {
    let database = |parameter: u32, more: &str| {
        apply(
            client,
            engine,
            engine.name,
            &format!(
                "parameters: {{{}: '{parameter}'}}, {more}",
                engine.parameter
            ),
        )
    };
    let object = format!("databases.trackbed.dev/{}", engine.name);
    let backup = "backup: {request: one, destination: {volume: {size: 1Gi}}}";
    database(100, "")?;
    wait(client, &object)?;
    let pod = start_client(name, client, engine)?;
    exec(client, &pod, engine.fill)?;
    // Redis may keep what it was given for two seconds before it writes it.
    thread::sleep(SETTLED);
    let mut times = Times::default();
    let server = format!("{}-0", engine.name);
    for run in 1..=runs {
        let mut writer = writer(client, &pod, engine)?;
        let begun = Instant::now();
        kill(client, &server)?;
        exec(client, &pod, engine.ask)?;
        times[0].push(begun.elapsed().as_secs_f64());
        // It ends with its server.
        let _ended = writer.wait();
        wait(client, &object)?;

        let begun = Instant::now();
        delete(client, &server, "--wait=true")?;
        exec(client, &pod, engine.ask)?;
        times[1].push(begun.elapsed().as_secs_f64());
        wait(client, &object)?;

        let uid = uid(client, &server)?;
        let begun = Instant::now();
        database(100 + run, "")?;
        while self::uid(client, &server).is_ok_and(|it| it == uid) {
            thread::sleep(EVERY);
        }
        exec(client, &pod, engine.ask)?;
        times[2].push(begun.elapsed().as_secs_f64());
        wait(client, &object)?;
    }
    database(100 + runs, backup)?;
    wait_for(client, &object, "condition=BackupReady")?;
    let status = client.get(&[
        "databases.trackbed.dev",
        engine.name,
        "--namespace",
        NAMESPACE,
    ])?;
    let bytes = status["status"]["backup"]["newest"][0]["storedBytes"].as_u64();
    let new = format!("{}-new", engine.name);
    let begun = Instant::now();
    apply(
        client,
        engine,
        &new,
        &format!("restore: {{from: {{database: {}}}}}", engine.name),
    )?;
    wait(client, &format!("databases.trackbed.dev/{new}"))?;
    times[3].push(begun.elapsed().as_secs_f64());
    Ok((times, bytes.unwrap_or_default()))
}

fn apply(client: &Client, engine: &Engine, name: &str, more: &str) -> Result<()> {
    Ok(client.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec: {{{}, deletionPolicy: Delete, storage: {{size: 2Gi}}, {more}}}\n",
        engine.spec
    ))?)
}

/// Starts a pod with the engine's client and the binding Secret, and gives its name.
fn start_client(name: Name, client: &Client, engine: &Engine) -> Result<String> {
    let pod = format!("client-{}", engine.name);
    let image = format!("{}/library/{}", Network::of(name).mirror(), engine.image);
    client.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {pod}, namespace: {NAMESPACE}}}\nspec:\n  terminationGracePeriodSeconds: 1\n  automountServiceAccountToken: false\n  containers: [{{name: client, image: {image}, command: [sleep, '86400'], envFrom: [{{secretRef: {{name: {}-credentials}}}}]}}]\n",
        engine.name
    ))?;
    wait(client, &format!("pod/{pod}"))?;
    Ok(pod)
}

fn command(client: &Client, pod: &str, script: &str) -> Result<Command> {
    let mut command = client.kubectl()?;
    command.args([
        "exec",
        "--namespace",
        NAMESPACE,
        pod,
        "--",
        "sh",
        "-c",
        script,
    ]);
    Ok(command)
}

fn exec(client: &Client, pod: &str, script: &str) -> Result<()> {
    Ok(command(client, pod, script)?.check().map(drop)?)
}

fn uid(client: &Client, pod: &str) -> Result<Value> {
    let pod = client.get(&["pod", pod, "--namespace", NAMESPACE])?;
    Ok(pod["metadata"]["uid"].clone())
}

/// Kills everything in a pod at once.
fn kill(client: &Client, pod: &str) -> Result<()> {
    let uid = uid(client, pod)?;
    let found = operator::processes(&[uid.as_str().unwrap_or_default()]);
    if found.is_empty() {
        return Err(Error::Failed(format!("nothing runs in {pod}")));
    }
    let pids = found.iter().filter_map(|it| it.file_name());
    // Some end by the others' death.
    let _some = Command::new("kill").arg("-KILL").args(pids).output();
    Ok(())
}

fn wait(client: &Client, object: &str) -> Result<()> {
    wait_for(client, object, "condition=Ready")
}

fn wait_for(client: &Client, object: &str, what: &str) -> Result<()> {
    let mut command = client.kubectl()?;
    command.args(["wait", &format!("--for={what}"), "--timeout=600s"]);
    command.args(["--namespace", NAMESPACE, object]);
    Ok(command.check().map(drop)?)
}
