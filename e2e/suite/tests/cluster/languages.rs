//! The example applications: ten without a Dockerfile, whose dependencies come from the public
//! registries, and one with a Dockerfile.

use std::fmt::Write as _;

use suite::{Cluster, repository};

/// Folder of the example, the application's folder in it, what its Build recognises, and what is
/// on its page.
const EXAMPLES: [(&str, &str, &str, &str); 11] = [
    ("node", ".", "node", "Hello from Node"),
    (
        "pnpm-workspace",
        "apps/web",
        "node",
        "Hello from a pnpm workspace",
    ),
    ("vite", ".", "node", "Hello from Vite"),
    ("python", ".", "python", "Hello from Python"),
    ("fastapi", ".", "python", "Hello from FastAPI"),
    ("django", ".", "python", "Hello from Django"),
    ("go", ".", "go", "Hello from Go"),
    ("rust", ".", "rust", "Hello from Rust"),
    ("static", ".", "static", "Hello from static files"),
    ("procfile", ".", "python", "Hello from a Procfile"),
    ("dockerfile", ".", "dockerfile", "HELLO FROM A DOCKERFILE"),
];

/// Those that ask a Postgres beside them what the time is, at `/now`.
const CLIENTS: [&str; 3] = ["node", "python", "go"];
const DATABASES: [(&str, &str); 2] = [
    ("db", "engine: Postgres, version: '17'"),
    ("cache", "engine: Redis, version: '7'"),
];

/// They stay until the last of them answers, and must leave the node's cores to the tests beside.
#[test]
fn the_examples_are_built_and_answer() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("languages");
    let mut manifests = String::new();
    for (name, engine) in DATABASES {
        write!(
            manifests,
            "---\napiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{engine}, storage: {{size: 256Mi}}, resources: {{requests: {{cpu: 20m}}}}}}\n"
        )
        .expect("a String takes it");
    }
    for (name, path, _, _) in EXAMPLES {
        cluster.push(name, &repository("examples").join(name), "main");
        let url = cluster.git_url(name);
        let databases = match CLIENTS.contains(&name) {
            true => {
                "env: [{name: DATABASE_URL, valueFrom: {databaseRef: {name: db}}}], bindings: [{name: db}, {name: cache}], "
            }
            false => "",
        };
        write!(
            manifests,
            "---\napiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{source: {{git: {{url: \"{url}\", path: {path}}}}}, build: {{resources: {{requests: {{cpu: 50m}}}}}}, run: {{{databases}resources: {{requests: {{cpu: 20m}}}}}}}}\n"
        )
        .expect("a String takes it");
    }
    cluster.apply(&manifests);
    for (name, _, language, greeting) in EXAMPLES {
        cluster.ready("service", &namespace, name, 900);
        let host = cluster.host(name, "languages");
        cluster.answers(&host, "/", 30, |answer| answer.body.contains(greeting));
        let build = cluster.get("build", &namespace, &format!("{name}-1"));
        assert_eq!(build["status"]["plan"]["language"], language);
        let origin = if language == "dockerfile" {
            "repository"
        } else {
            "generated"
        };
        assert_eq!(build["status"]["plan"]["dockerfile"], origin);
    }
    for name in CLIENTS {
        let host = cluster.host(name, "languages");
        cluster.answers(&host, "/now", 30, |answer| {
            answer.status == 200 && answer.body.contains("20")
        });
    }
    // By a library for service bindings.
    let host = cluster.host("python", "languages");
    let bound = format!(
        r#"{{"database":"app","redis":["cache.{namespace}.svc.cluster.local"],"user":"app"}}"#
    );
    cluster.answers(&host, "/bound", 30, |answer| answer.body.trim() == bound);
}
