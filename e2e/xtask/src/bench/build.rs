//! Builds of the examples without a Dockerfile: with an empty cache, and again after a change of
//! one line.

use std::fmt::Write as _;

use cluster::{Client, CommandExt, Name};
use jiff::Timestamp;

use super::{Spread, application};
use crate::{
    error::{Error, Result},
    step::step,
};

const PROJECT: &str = "bench-build";
const NAMESPACE: &str = "bench-build-production";
/// The words of an application that change. They stand in one line of its own code.
const WORDS: (&str, &str) = ("Hello from", "Hello again from");
/// How much faster the second build is to be.
const TWICE: f64 = 2.0;

const PROJECT_MANIFEST: &str = r"
apiVersion: trackbed.dev/v1alpha1
kind: Project
metadata: {name: bench-build}
spec: {environments: [{name: production}], deletionPolicy: Delete}
";

/// An example.
struct Example {
    /// Its folder.
    name: &'static str,
    /// The application's folder in it.
    path: &'static str,
    /// Whether its build installs dependencies: then the cache can help.
    installs: bool,
}

const fn installs(name: &'static str, path: &'static str) -> Example {
    Example {
        name,
        path,
        installs: true,
    }
}

const EXAMPLES: [Example; 10] = [
    installs("node", "."),
    installs("pnpm-workspace", "apps/web"),
    installs("vite", "."),
    installs("python", "."),
    installs("fastapi", "."),
    installs("django", "."),
    installs("go", "."),
    installs("rust", "."),
    installs("procfile", "."),
    Example {
        name: "static",
        path: ".",
        installs: false,
    },
];

/// Seconds of the build with an empty cache, and of the one after it.
#[derive(Clone, Copy)]
struct Pair {
    first: f64,
    second: f64,
}

/// Runs it and prints its table.
pub(super) fn run(name: Name, runs: u32, only: &[String]) -> Result<()> {
    let examples = chosen(only)?;
    let client = Client::of(name);
    let outcome = step("build", || {
        client.apply(PROJECT_MANIFEST)?;
        wait(
            &client,
            "condition=Ready",
            &format!("projects.trackbed.dev/{PROJECT}"),
        )?;
        let mut rows = Vec::new();
        for example in examples {
            let mut pairs = Vec::new();
            for run in 1..=runs {
                let pair = once(name, &client, example, run)?;
                let Pair { first, second } = pair;
                println!("  {} {run}: {first:.1} s, then {second:.1} s", example.name);
                pairs.push(pair);
            }
            rows.push((example, pairs));
        }
        println!("\nBuild steps, seconds, {runs} runs:\n");
        print!("{}", table(&rows));
        Ok(())
    });
    client
        .kubectl()?
        .args(["delete", "projects.trackbed.dev", PROJECT, "--wait"])
        .check()?;
    outcome
}

fn chosen(only: &[String]) -> Result<Vec<&'static Example>> {
    let unknown = only
        .iter()
        .find(|name| EXAMPLES.iter().all(|it| it.name != **name));
    if let Some(unknown) = unknown {
        let names: Vec<_> = EXAMPLES.iter().map(|it| it.name).collect();
        return Err(Error::Failed(format!(
            "there is no example '{unknown}': {}",
            names.join(", ")
        )));
    }
    let wanted = |example: &&Example| only.is_empty() || only.iter().any(|it| it == example.name);
    Ok(EXAMPLES.iter().filter(wanted).collect())
}

/// Builds an example twice. A Service that is new has an empty cache.
fn once(cluster: Name, client: &Client, example: &Example, run: u32) -> Result<Pair> {
    let service = format!("{}-{run}", example.name);
    let folder = format!("examples/{}", example.name);
    let repository = format!("{PROJECT}-{}", example.name);
    application::publish(cluster, &folder, &repository, &[])?;
    client.apply(&format!(
        r"
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {{name: {service}, namespace: {NAMESPACE}}}
spec:
  source: {{git: {{url: http://git.trackbed-git/{repository}.git, path: {}, interval: 10s}}}}
  build: {{resources: {{requests: {{cpu: 50m}}}}}}
",
        example.path
    ))?;
    let first = built(client, &format!("{service}-1"))?;
    application::publish(cluster, &folder, &repository, &[WORDS])?;
    let second = built(client, &format!("{service}-2"))?;
    client
        .kubectl()?
        .args(["delete", "services.trackbed.dev", &service])
        .args(["--namespace", NAMESPACE, "--wait"])
        .check()?;
    Ok(Pair { first, second })
}

/// Waits until a Build succeeded, and gives the seconds of its step *build*.
fn built(client: &Client, build: &str) -> Result<f64> {
    let object = format!("builds.trackbed.dev/{build}");
    wait(client, "create", &object)?;
    wait(client, "jsonpath={.status.completionTime}", &object)?;
    let found = client.get(&["--namespace", NAMESPACE, &object])?;
    if found["status"]["phase"] != "Succeeded" {
        return Err(Error::Failed(format!(
            "{build} did not succeed: {:#}",
            found["status"]["failure"]
        )));
    }
    let log = client
        .kubectl()?
        .args(["logs", "--namespace", NAMESPACE, "--timestamps"])
        .args(["--container=build", &format!("jobs/{build}")])
        .check()?;
    seconds(&log).ok_or_else(|| Error::Failed(format!("the log of {build} has no times")))
}

/// From a log's first line to its last. The kubelet says of a container in whole seconds when it
/// ran, and of each of its lines in nanoseconds when it came.
fn seconds(log: &str) -> Option<f64> {
    let time = |line: &str| line.split(' ').next()?.parse::<Timestamp>().ok();
    let mut times = log.lines().filter_map(time);
    let first = times.next()?;
    Some(times.next_back()?.duration_since(first).as_secs_f64())
}

fn wait(client: &Client, what: &str, object: &str) -> Result<()> {
    let mut command = client.kubectl()?;
    command.args(["wait", &format!("--for={what}"), "--timeout=900s"]);
    command.args(["--namespace", NAMESPACE, object]);
    Ok(command.check().map(drop)?)
}

fn table(rows: &[(&Example, Vec<Pair>)]) -> String {
    let mut table =
        "| example | first | second | first ÷ second | least | at least twice as fast |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for (example, pairs) in rows {
        let of = |value: fn(&Pair) -> f64| Spread::of(&pairs.iter().map(value).collect::<Vec<_>>());
        let (first, second) = (of(|it| it.first), of(|it| it.second));
        let ratio = of(|it| it.first / it.second);
        let verdict = match (ratio.least >= TWICE, example.installs) {
            (true, _) => "yes",
            (false, true) => "**no**",
            (false, false) => "no: nothing to install",
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            table,
            "| {} | {:.1} | {:.1} | {:.1} | {:.1} | {verdict} |",
            example.name, first.mean, second.mean, ratio.mean, ratio.least
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn pairs_are_a_table() {
        let pair = |first, second| Pair { first, second };
        let rows = [
            (&EXAMPLES[0], vec![pair(20.0, 5.0), pair(30.0, 10.0)]),
            (&EXAMPLES[1], vec![pair(20.0, 15.0)]),
            (&EXAMPLES[9], vec![pair(3.0, 2.0)]),
        ];
        expect![[r#"
            | example | first | second | first ÷ second | least | at least twice as fast |
            |---|---|---|---|---|---|
            | node | 25.0 | 7.5 | 3.5 | 3.0 | yes |
            | pnpm-workspace | 20.0 | 15.0 | 1.3 | 1.3 | **no** |
            | static | 3.0 | 2.0 | 1.5 | 1.5 | no: nothing to install |
        "#]]
        .assert_eq(&table(&rows));
    }

    #[test]
    fn the_time_is_that_between_the_lines() {
        let log = "2026-01-02T03:04:05.5Z INFO a\n2026-01-02T03:04:06Z b\nhalf a line\n2026-01-02T03:04:07.75Z c\n";
        assert_eq!(seconds(log), Some(2.25));
        assert_eq!(seconds(""), None);
    }

    #[test]
    fn only_what_there_is_is_chosen() {
        let names = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(ToString::to_string).collect();
            chosen(&only).map(|it| it.iter().map(|it| it.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&["rust", "go"]).expect("two"), ["go", "rust"]);
        assert_eq!(names(&[]).expect("all").len(), EXAMPLES.len());
        assert!(names(&["cobol"]).is_err());
    }
}
