//! What was tested in one environment is released in another, without a build.

use suite::{Cluster, Value, eventually};

const REPOSITORY: &str = "promotion";
const DOCKERFILE: &str =
    "FROM busybox:1.36\nCOPY start /start\nUSER 1000\nCMD [\"sh\", \"/start\"]\n";
/// Serves where it runs, and which version it is.
const START: &str = "mkdir /tmp/www && echo \"VERSION in $MODE\" > /tmp/www/index.html && exec httpd -f -p $PORT -h /tmp/www\n";

fn publish(cluster: &Cluster, version: &str) -> String {
    let start = START.replace("VERSION", version);
    cluster.publish(REPOSITORY, &[("Dockerfile", DOCKERFILE), ("start", &start)])
}

fn service(cluster: &Cluster, environment: &str, source: &str) {
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: web, namespace: promotion-{environment}}}\nspec:\n  source: {{{source}}}\n  rollout: {{timeout: 60s}}\n  run: {{env: [{{name: MODE, value: {environment}}}]}}\n"
    ));
}

fn says(cluster: &Cluster, host: &str, words: &str) {
    cluster.answers(host, "/", 240, |answer| answer.body.trim() == words);
}

/// The release that serves.
fn active(cluster: &Cluster, namespace: &str) -> Value {
    let found = cluster.get("service", namespace, "web");
    let name = found["status"]["activeDeployment"].as_str();
    let name = name.unwrap_or_else(|| panic!("nothing serves: {found:#}"));
    cluster.get("deployment", namespace, name)
}

#[test]
fn what_served_in_staging_is_promoted_without_a_build() {
    let cluster = Cluster::connect();
    let project = cluster.project_of(
        "promotion",
        "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {name: promotion}\nspec: {environments: [{name: production}, {name: staging}]}\n",
    );
    let staging = "promotion-staging";
    service(&cluster, "production", "promotion: {environment: staging}");
    cluster.wait_reason("service", &project, "web", "ReferenceMissing", 60);
    let first = publish(&cluster, "one");
    let git = format!(
        "git: {{url: '{}', interval: 10s}}",
        cluster.git_url(REPOSITORY)
    );
    service(&cluster, "staging", &git);
    let production = cluster.host("web", "promotion");
    let tested = cluster.host("web", "promotion-staging");
    says(&cluster, &tested, "one in staging");
    says(&cluster, &production, "one in production");
    cluster.ready("service", &project, "web", 60);
    let (from, to) = (active(&cluster, staging), active(&cluster, &project));
    assert_eq!(from["spec"]["image"], to["spec"]["image"]);
    assert_eq!(to["spec"]["commit"], first.as_str());
    assert_eq!(cluster.list("build", &project), Vec::<Value>::new());

    // What does not serve in staging does not come.
    cluster.publish(
        REPOSITORY,
        &[("Dockerfile", DOCKERFILE), ("start", "exit 3\n")],
    );
    cluster.wait_reason("service", staging, "web", "CrashLoop", 240);
    assert_eq!(active(&cluster, &project), to, "nothing was released");

    publish(&cluster, "three");
    says(&cluster, &production, "three in production");

    // One of before, named: what runs is that image again.
    let named = from["metadata"]["name"].as_str().expect("a name");
    let named = format!("promotion: {{environment: staging, deployment: {named}}}");
    service(&cluster, "production", &named);
    says(&cluster, &production, "one in production");
    says(&cluster, &tested, "three in staging");
    eventually(60, || {
        let image = active(&cluster, &project)["spec"]["image"].clone();
        match image == from["spec"]["image"] {
            true => Ok(()),
            false => Err(image.to_string()),
        }
    });
    assert_eq!(cluster.list("build", &project), Vec::<Value>::new());
}
