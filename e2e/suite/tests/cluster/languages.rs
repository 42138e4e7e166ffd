//! The example applications: three languages without a Dockerfile, and a Dockerfile.

use std::fmt::Write as _;

use suite::{Cluster, repository};

/// Folder of the example, what its Build recognises, and how its page begins.
const EXAMPLES: [(&str, &str, &str); 4] = [
    ("node", "node", "Hello from Node"),
    ("python", "python", "Hello from Python"),
    ("go", "go", "Hello from Go"),
    ("dockerfile", "dockerfile", "HELLO FROM A DOCKERFILE"),
];

#[test]
fn the_examples_are_built_and_answer() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("languages");
    let mut manifests = String::new();
    for (name, _, _) in EXAMPLES {
        cluster.push(name, &repository("examples").join(name), "main");
        let url = cluster.git_url(name);
        write!(
            manifests,
            "---\napiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{source: {{git: {{url: \"{url}\"}}}}, build: {{resources: {{requests: {{cpu: 50m}}}}}}}}\n"
        )
        .expect("a String takes it");
    }
    cluster.apply(&manifests);
    for (name, language, greeting) in EXAMPLES {
        cluster.ready("service", &namespace, name, 900);
        let host = cluster.host(name, "languages");
        cluster.answers(&host, "/", 30, |answer| answer.body.starts_with(greeting));
        let build = cluster.get("build", &namespace, &format!("{name}-1"));
        assert_eq!(build["status"]["plan"]["language"], language);
        let origin = if language == "dockerfile" {
            "repository"
        } else {
            "generated"
        };
        assert_eq!(build["status"]["plan"]["dockerfile"], origin);
    }
}
