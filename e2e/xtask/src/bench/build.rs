//! Builds of the examples without a Dockerfile: with an empty cache, and again after a change of
//! one line.

mod log;

use std::fmt::Write as _;

use cluster::{Client, CommandExt, Name};
use log::Log;

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

/// An example's folder, and the application's folder in it.
type Example = (&'static str, &'static str);

const EXAMPLES: [Example; 10] = [
    ("node", "."),
    ("pnpm-workspace", "apps/web"),
    ("vite", "."),
    ("python", "."),
    ("fastapi", "."),
    ("django", "."),
    ("go", "."),
    ("rust", "."),
    ("procfile", "."),
    ("static", "."),
];

/// Seconds of the build with an empty cache, and of the one after it.
#[derive(Clone, Copy)]
struct Pair {
    first: f64,
    /// What the first took for instructions that the second had in its cache.
    kept: f64,
    second: f64,
}

impl Pair {
    /// How much faster the second were if the cache cost nothing.
    fn best(&self) -> f64 {
        self.first / (self.first - self.kept)
    }
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
                let Pair { first, second, .. } = pair;
                println!("  {} {run}: {first:.1} s, then {second:.1} s", example.0);
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
        .find(|name| EXAMPLES.iter().all(|it| it.0 != **name));
    if let Some(unknown) = unknown {
        let names: Vec<_> = EXAMPLES.iter().map(|it| it.0).collect();
        return Err(Error::Failed(format!(
            "there is no example '{unknown}': {}",
            names.join(", ")
        )));
    }
    let wanted = |example: &&Example| only.is_empty() || only.iter().any(|it| it == example.0);
    Ok(EXAMPLES.iter().filter(wanted).collect())
}

/// Builds an example twice. A Service that is new has an empty cache.
fn once(cluster: Name, client: &Client, example: &Example, run: u32) -> Result<Pair> {
    let (name, path) = *example;
    let service = format!("{name}-{run}");
    let folder = format!("examples/{name}");
    let repository = format!("{PROJECT}-{name}");
    application::publish(cluster, &folder, &repository, &[])?;
    client.apply(&format!(
        r"
apiVersion: trackbed.dev/v1alpha1
kind: Service
metadata: {{name: {service}, namespace: {NAMESPACE}}}
spec:
  source: {{git: {{url: http://git.trackbed-git/{repository}.git, path: {path}, interval: 10s}}}}
  build: {{resources: {{requests: {{cpu: 50m}}}}}}
"
    ))?;
    let first = built(client, &format!("{service}-1"))?;
    application::publish(cluster, &folder, &repository, &[WORDS])?;
    let second = built(client, &format!("{service}-2"))?;
    client
        .kubectl()?
        .args(["delete", "services.trackbed.dev", &service])
        .args(["--namespace", NAMESPACE, "--wait"])
        .check()?;
    Ok(Pair {
        first: first.seconds(),
        kept: first.seconds_of(&second.cached()),
        second: second.seconds(),
    })
}

/// Waits until a Build succeeded, and gives the log of its step *build*.
fn built(client: &Client, build: &str) -> Result<Log> {
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
    Log::read(&log).ok_or_else(|| Error::Failed(format!("the log of {build} has no times")))
}

fn wait(client: &Client, what: &str, object: &str) -> Result<()> {
    let mut command = client.kubectl()?;
    command.args(["wait", &format!("--for={what}"), "--timeout=900s"]);
    command.args(["--namespace", NAMESPACE, object]);
    Ok(command.check().map(drop)?)
}

fn table(rows: &[(&Example, Vec<Pair>)]) -> String {
    let mut table =
        "| example | first | of it what the cache keeps | second | first ÷ second | least | at least twice as fast |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
    for ((name, _), pairs) in rows {
        let of = |value: fn(&Pair) -> f64| Spread::of(&pairs.iter().map(value).collect::<Vec<_>>());
        let (first, second) = (of(|it| it.first), of(|it| it.second));
        let kept = of(|it| it.kept);
        let (ratio, best) = (of(|it| it.first / it.second), of(Pair::best));
        let verdict = if ratio.least >= TWICE {
            "yes".to_owned()
        } else if best.least < TWICE {
            format!("no: {:.1} at most, if the cache cost nothing", best.mean)
        } else {
            "**no**".to_owned()
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            table,
            "| {name} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | {verdict} |",
            first.mean, kept.mean, second.mean, ratio.mean, ratio.least
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
        let pair = |first, kept, second| Pair {
            first,
            kept,
            second,
        };
        let rows = [
            (
                &EXAMPLES[0],
                vec![pair(20.0, 16.0, 5.0), pair(30.0, 20.0, 10.0)],
            ),
            (&EXAMPLES[1], vec![pair(20.0, 15.0, 15.0)]),
            (&EXAMPLES[9], vec![pair(3.0, 1.0, 2.0)]),
        ];
        expect![[r#"
            | example | first | of it what the cache keeps | second | first ÷ second | least | at least twice as fast |
            |---|---|---|---|---|---|---|
            | node | 25.0 | 18.0 | 7.5 | 3.5 | 3.0 | yes |
            | pnpm-workspace | 20.0 | 15.0 | 15.0 | 1.3 | 1.3 | **no** |
            | static | 3.0 | 1.0 | 2.0 | 1.5 | 1.5 | no: 1.5 at most, if the cache cost nothing |
        "#]]
        .assert_eq(&table(&rows));
    }

    #[test]
    fn only_what_there_is_is_chosen() {
        let names = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(ToString::to_string).collect();
            chosen(&only).map(|it| it.iter().map(|it| it.0).collect::<Vec<_>>())
        };
        assert_eq!(names(&["rust", "go"]).expect("two"), ["go", "rust"]);
        assert_eq!(names(&[]).expect("all").len(), EXAMPLES.len());
        assert!(names(&["cobol"]).is_err());
    }
}
