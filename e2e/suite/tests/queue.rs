//! Two hundred builds of two Projects, of which few run at once.
//!
//! The queue, the operator and the API server are real. The builds are not: their pods ask for more
//! than any node has, so that the scheduler places none of them, and a Job stands for a build that
//! runs until the test cancels it. With real ones the number would take an hour.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use suite::{Cluster, Environment, Proxy, Value, Watch, eventually};

/// Builds that run at once, as the chart is installed on our clusters.
const PLACES: usize = 3;
/// The Project that is there first, and its builds; the one that comes later.
const MANY: (&str, usize) = ("queue-many", 150);
const FEW: (&str, usize) = ("queue-few", 50);
/// After so many ends the first Project may have one build at a time only.
const LOWERED: usize = 60;

/// The rules, as the documentation has them.
#[derive(Default)]
struct Model {
    lines: BTreeMap<String, Line>,
}

/// The builds of a namespace.
#[derive(Default)]
struct Line {
    limit: usize,
    running: BTreeSet<String>,
    /// When each was created, its sequence, and its name.
    waiting: VecDeque<(String, i64, String)>,
}

impl Model {
    /// Takes the builds of a namespace up, in the order in which they came.
    fn add(&mut self, cluster: &Cluster, namespace: &str) {
        let builds = cluster.list("build", namespace);
        let mut waiting: Vec<_> = builds.iter().map(entry).collect();
        waiting.sort();
        let line = Line {
            limit: usize::MAX,
            waiting: waiting.into(),
            ..Line::default()
        };
        self.lines.insert(namespace.to_owned(), line);
    }

    /// The build that gets a free place, if one is free and somebody may have it: of the Project
    /// with the fewest under way, and there the first; between two such the one that waits longest.
    fn next(&mut self) -> Option<(String, String)> {
        let running: usize = self.lines.values().map(|line| line.running.len()).sum();
        if running >= PLACES {
            return None;
        }
        let may = |line: &Line| line.running.len() < line.limit;
        let (namespace, line) = self
            .lines
            .iter_mut()
            .filter(|(_, line)| may(line) && !line.waiting.is_empty())
            .min_by_key(|(_, line)| (line.running.len(), line.waiting[0].clone()))?;
        let (_, _, name) = line.waiting.pop_front()?;
        line.running.insert(name.clone());
        Some((namespace.clone(), name))
    }

    fn running(&self) -> Vec<(String, String)> {
        let of = |(namespace, line): (&String, &Line)| {
            let names = line.running.iter().cloned();
            names
                .map(|name| (namespace.clone(), name))
                .collect::<Vec<_>>()
        };
        self.lines.iter().flat_map(of).collect()
    }
}

fn entry(build: &Value) -> (String, i64, String) {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        word(&build["metadata"]["creationTimestamp"]),
        build["spec"]["sequence"].as_i64().unwrap_or_default(),
        word(&build["metadata"]["name"]),
    )
}

/// Waits for the Job that begins next, and gives its namespace and name.
fn begins(jobs: &Watch) -> (String, String) {
    loop {
        let event = jobs.next(60).expect("a Job within a minute");
        let metadata = &event["object"]["metadata"];
        let word = |key: &str| metadata[key].as_str().unwrap_or_default().to_owned();
        // Others may have Jobs of builds that ended long ago.
        let ours = word("namespace").starts_with("queue-");
        if ours && event["type"] == "ADDED" {
            return (word("namespace"), word("name"));
        }
    }
}

/// Creates builds that never end by themselves.
fn create(cluster: &Cluster, namespace: &str, count: usize, from: usize) {
    let mut manifests = String::new();
    for number in 1..=count {
        write!(
            manifests,
            r#"---
apiVersion: trackbed.dev/v1alpha1
kind: Build
metadata: {{name: build-{number:03}, namespace: {namespace}}}
spec:
  source: {{git: {{url: "{}", commit: "{number:040}"}}}}
  sequence: {}
  build: {{resources: {{requests: {{cpu: "1000"}}, limits: {{cpu: "1000"}}}}}}
"#,
            cluster.git_url("nowhere"),
            from + number,
        )
        .expect("a String takes it");
    }
    cluster.run(&["create", "-f", "-"], &manifests);
}

/// Positions of the builds that wait in a namespace.
fn positions(cluster: &Cluster, namespace: &str) -> BTreeMap<String, i64> {
    let builds = cluster.list("build", namespace);
    let queued = builds
        .iter()
        .filter(|build| build["status"]["phase"] == "Queued");
    let told = queued.filter_map(|build| {
        let (_, _, name) = entry(build);
        Some((name, build["status"]["queuePosition"].as_i64()?))
    });
    told.collect()
}

/// Waits until every build that waits knows its place, and looks whether they fit together.
fn all_know_their_place(cluster: &Cluster, many: &str, few: &str) {
    eventually(120, || {
        let (behind, ahead) = (positions(cluster, many), positions(cluster, few));
        let told = ahead.values().chain(behind.values()).copied();
        let near: BTreeSet<i64> = told.filter(|place| *place <= 10).collect();
        let all = behind.len() == MANY.1 - PLACES && ahead.len() == FEW.1;
        let right = all
            // It is next, whoever ends.
            && ahead["build-001"] == 1
            // Who came first is first.
            && ahead.values().is_sorted()
            && behind.values().is_sorted()
            // Near places are told exactly.
            && near == (1..=10).collect();
        match right {
            true => Ok(()),
            false => Err(format!("places {ahead:?} and {behind:?}")),
        }
    });
}

/// Waits until these are the only Jobs and pods that are not about to go, of all builds.
fn only(cluster: &Cluster, namespaces: &[&Environment], running: &[(String, String)]) {
    eventually(60, || {
        let mut found = [Vec::new(), Vec::new()];
        for namespace in namespaces {
            for (kind, found) in ["jobs", "pods"].iter().zip(&mut found) {
                let stays = |object: &Value| object["metadata"]["deletionTimestamp"].is_null();
                let list = cluster.list(kind, namespace);
                found.extend(list.iter().filter(|it| stays(it)).map(|object| {
                    let build = &object["metadata"]["labels"]["trackbed.dev/build"];
                    let build = build.as_str().unwrap_or_default().to_owned();
                    (namespace.to_string(), build)
                }));
            }
        }
        found.iter_mut().for_each(|found| found.sort());
        match found.iter().all(|found| found == running) {
            true => Ok(()),
            false => Err(format!("Jobs and pods {found:?} instead of {running:?}")),
        }
    });
}

/// What a person sees who looks at the builds.
fn the_table_shows_places(cluster: &Cluster, namespace: &str) {
    let table = cluster.run(&["get", "tbuild", "-n", namespace], "");
    let mut lines = table.lines().map(|line| line.split_whitespace().collect());
    let titles: Vec<&str> = lines.next().unwrap_or_default();
    assert_eq!(titles[..3], ["NAME", "PHASE", "QUEUE"], "{table}");
    let first: Vec<&str> = lines.next().unwrap_or_default();
    assert_eq!(first[..3], ["build-001", "Queued", "1"], "{table}");
}

fn cancel(proxy: &Proxy, (namespace, name): &(String, String)) {
    let path = format!("/apis/trackbed.dev/v1alpha1/namespaces/{namespace}/builds/{name}");
    proxy.patch(&path, &serde_json::json!({"spec": {"cancel": true}}));
}

#[test]
fn two_hundred_builds_of_two_projects_take_turns() {
    let cluster = Cluster::connect();
    let (many, few) = (cluster.project(MANY.0), cluster.project(FEW.0));
    let proxy = cluster.proxy();
    let jobs = proxy.watch("/apis/batch/v1/jobs", "trackbed.dev/role=build");
    let mut model = Model::default();

    create(&cluster, &many, MANY.1, 0);
    model.add(&cluster, &many);
    // They begin at once, so which of them is seen first is nobody's to say.
    let first: BTreeSet<_> = (0..PLACES).map(|_| begins(&jobs)).collect();
    let expected: BTreeSet<_> = std::iter::from_fn(|| model.next()).collect();
    assert_eq!(first, expected, "an empty queue is filled in order");
    create(&cluster, &few, FEW.1, MANY.1);
    model.add(&cluster, &few);

    all_know_their_place(&cluster, &many, &few);
    the_table_shows_places(&cluster, &few);
    only(&cluster, &[&many, &few], &model.running());

    all_end(&cluster, &proxy, &jobs, &mut model);
    for (namespace, count) in [(&many, MANY.1), (&few, FEW.1)] {
        // The last one says so when its Job is gone.
        eventually(60, || {
            let builds = cluster.list("build", namespace);
            let phases = builds.iter().map(|build| &build["status"]["phase"]);
            match phases.filter(|phase| **phase == "Cancelled").count() {
                ended if ended == count => Ok(()),
                ended => Err(format!("{ended} of {count} ended")),
            }
        });
    }
    only(&cluster, &[&many, &few], &[]);
}

/// Ends one build after another, whichever, and looks who takes its place.
fn all_end(cluster: &Cluster, proxy: &Proxy, jobs: &Watch, model: &mut Model) {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut ends = 0;
    loop {
        let running = model.running();
        if running.is_empty() {
            break;
        }
        let ended = &running[random.random_range(0..running.len())];
        cancel(proxy, ended);
        ends += 1;
        if let Some(line) = model.lines.get_mut(&ended.0) {
            line.running.remove(&ended.1);
        }
        while let Some(next) = model.next() {
            assert_eq!(
                begins(jobs),
                next,
                "after end {ends}, of {ended:?}, with {running:?}"
            );
            let running = model.running();
            assert!(running.len() <= PLACES, "{running:?}");
        }
        if ends == LOWERED {
            lower(cluster, proxy, model);
        }
    }
    assert_eq!(ends, MANY.1 + FEW.1);
}

/// Lets the first Project have one build at a time. What runs goes on.
fn lower(cluster: &Cluster, proxy: &Proxy, model: &mut Model) {
    let (project, _) = MANY;
    let path = format!("/apis/trackbed.dev/v1alpha1/projects/{project}");
    proxy.patch(
        &path,
        &serde_json::json!({"spec": {"quota": {"concurrentBuilds": 1}}}),
    );
    // The operator has seen it when it says so.
    cluster.ready("project", "", project, 60);
    let line = model.lines.get_mut(&format!("{project}-production"));
    line.expect("its builds").limit = 1;
}
