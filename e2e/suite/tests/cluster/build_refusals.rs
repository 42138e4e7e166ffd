//! Builds that the platform does not let begin or end: registries that want other credentials,
//! quotas, limits, nodes without room, images that are not there.

use suite::{Cluster, Environment, builds::Failure, eventually};

const GOOD: &str = "FROM busybox:1.36\nCMD [\"true\"]\n";

/// A Project with a registry of its own, and the name of the Secret for it.
fn with_registry(cluster: &Cluster, secret: &str) -> String {
    format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {{name: build-login}}\nspec:\n  environments: [{{name: production}}]\n  registry: {{repository: \"{}:5001/apps/build-login\", secretRef: {{name: {secret}}}}}\n",
        cluster.node
    )
}

#[test]
fn a_registry_that_knows_nobody_of_that_name() {
    const SECRET: &str = "e2e-wrong-registry-login";
    let cluster = Cluster::connect();
    let place = "trackbed-system";
    cluster.delete("secret", place, SECRET);
    let namespace = cluster.project_of("build-login", &with_registry(&cluster, "registry"));
    let commit = cluster.commit("build-login", &[("Dockerfile", GOOD)]);

    // One that is not there is named before anything is built.
    cluster.apply(&with_registry(&cluster, SECRET));
    let message = cluster.wait_reason("project", "", "build-login", "SecretInvalid", 60);
    println!("build-login: SecretInvalid: {message}");
    cluster.run(
        &[
            "delete",
            "secret",
            "trackbed-registry-push",
            "-n",
            &namespace,
        ],
        "",
    );
    cluster.build(&namespace, "early", &commit, "", "");
    let message = cluster.wait_reason("build", &namespace, "early", "SecretInvalid", 60);
    println!("early: SecretInvalid: {message}");
    assert!(message.contains("trackbed-registry-push"), "{message}");

    let config = format!(
        "{{\"auths\": {{\"{}:5001\": {{\"username\": \"ada\", \"password\": \"canary\"}}}}}}",
        cluster.node
    );
    cluster.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {SECRET}, namespace: {place}}}\ntype: kubernetes.io/dockerconfigjson\nstringData: {{.dockerconfigjson: '{config}'}}\n"
    ));
    let says = ["refused the push", "registry.secretRef"];
    let expected = Failure::of("RegistryUnauthorized", "push", &says);
    cluster.fails(&namespace, "early", 180, &expected);
    let story = cluster.get("build", &namespace, "early").to_string();
    assert!(!story.contains("canary"), "no credential is told: {story}");

    cluster.apply(&with_registry(&cluster, "registry"));
    cluster.delete("secret", place, SECRET);
    let same = || {
        let template = "--template={{index .data \".dockerconfigjson\"}}";
        let read = |name: &str, namespace: &str| {
            cluster.run(&["get", "secret", name, "-n", namespace, template], "")
        };
        let copy = read("trackbed-registry-push", &namespace);
        if copy == read("registry", place) {
            Ok(())
        } else {
            Err("an old copy".to_owned())
        }
    };
    eventually(60, same);
    cluster.next_build_works(&namespace);
}

/// A Project whose environment may use that much CPU.
fn with_quota(cpu: &str) -> String {
    format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {{name: build-quota}}\nspec: {{environments: [{{name: production}}], quota: {{cpu: \"{cpu}\"}}}}\n"
    )
}

#[test]
fn clusters_that_refuse_a_builds_pod() {
    let cluster = Cluster::connect();
    let namespace = cluster.project_of("build-quota", &with_quota("100m"));
    let commit = cluster.commit("build-quota", &[("Dockerfile", GOOD)]);
    let hard = |cpu: &str| {
        let what = format!("jsonpath={{.spec.hard.requests\\.cpu}}={cpu}");
        cluster.wait("resourcequota", &namespace, "trackbed", &what, 60);
    };
    hard("100m");
    cluster.build(&namespace, "waits", &commit, "", "");
    cluster.build(&namespace, "gives-up", &commit, "", "timeout: 15s");
    let message = cluster.wait_reason("build", &namespace, "waits", "QuotaExceeded", 120);
    println!("waits: QuotaExceeded: {message}");
    assert!(message.contains("exceeded quota"), "{message}");
    let table = cluster.run(&["get", "tbuild", "-n", &namespace], "");
    assert!(table.contains("QuotaExceeded"), "people see it: {table}");
    let says = ["exceeded quota", "raise the Project's quota", "for 15s"];
    let expected = Failure::before_steps("QuotaExceeded", &says);
    cluster.fails(&namespace, "gives-up", 120, &expected);
    cluster.apply(&with_quota("2"));
    hard("2");
    let build = cluster.phase(&namespace, "waits", "Succeeded", 240);
    assert_eq!(build["status"]["attempts"], 1, "{build:#}");

    // A rule of the platform's own.
    cluster.apply(&format!(
        "apiVersion: v1\nkind: LimitRange\nmetadata: {{name: tight, namespace: {namespace}}}\nspec: {{limits: [{{type: Container, max: {{memory: 1Gi}}}}]}}\n"
    ));
    cluster.build(&namespace, "large", &commit, "", "timeout: 15s");
    let says = [
        "maximum memory usage per Container is 1Gi",
        "lower build.resources",
    ];
    let expected = Failure::before_steps("QuotaExceeded", &says);
    cluster.fails(&namespace, "large", 120, &expected);
    cluster.delete("limitrange", &namespace, "tight");

    let cpu = "resources: {requests: {cpu: \"1000\"}, limits: {cpu: \"1000\"}}, timeout: 15s";
    cluster.apply(&with_quota("2000"));
    hard("2k");
    cluster.build(&namespace, "huge", &commit, "", cpu);
    let message = cluster.wait_reason("build", &namespace, "huge", "Unschedulable", 120);
    assert!(message.contains("no node has room"), "{message}");
    let says = ["Insufficient cpu", "build.resources.requests", "for 15s"];
    let expected = Failure::before_steps("Unschedulable", &says);
    cluster.fails(&namespace, "huge", 120, &expected);
    cluster.next_build_works(&namespace);
}

/// A policy of the platform's that makes pods of a namespace pull from a registry which lacks the
/// image. It goes with the test.
struct Rewriting<'a>(&'a Cluster);

impl<'a> Rewriting<'a> {
    const NAME: &'static str = "e2e-rewriting";

    fn start(cluster: &'a Cluster, namespace: &Environment) -> Self {
        let (name, node) = (Self::NAME, &cluster.node);
        let policy = Self(cluster);
        cluster.apply(&format!(
            r#"
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
    resourceRules: [{{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]
  mutations:
    - patchType: JSONPatch
      jsonPatch:
        expression: '[JSONPatch{{op: "replace", path: "/spec/containers/0/image", value: "{node}:5000/acme/none:1"}}] + (has(object.spec.initContainers) ? [JSONPatch{{op: "replace", path: "/spec/initContainers/0/image", value: "{node}:5000/acme/none:1"}}] : [])'
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec: {{policyName: {name}}}
"#
        ));
        let probe = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: probe, namespace: {namespace}}}\nspec: {{containers: [{{name: a, image: \"{}\"}}]}}\n",
            cluster.busybox()
        );
        eventually(60, || {
            let dry = ["create", "--dry-run=server", "-f", "-", "-o", "yaml"];
            let pod = cluster.run(&dry, &probe);
            if pod.contains("acme/none") {
                Ok(())
            } else {
                Err("not in force yet".to_owned())
            }
        });
        policy
    }
}

impl Drop for Rewriting<'_> {
    fn drop(&mut self) {
        for kind in [
            "mutatingadmissionpolicybindings",
            "mutatingadmissionpolicies",
        ] {
            let arguments = ["delete", kind, Self::NAME, "--ignore-not-found"];
            self.0.kubectl(&arguments, "");
        }
    }
}

#[test]
fn steps_whose_image_cannot_be_pulled() {
    let cluster = Cluster::connect();
    let namespace = cluster.project("build-images");
    let commit = cluster.commit("build-images", &[("Dockerfile", GOOD)]);
    let policy = Rewriting::start(&cluster, &namespace);
    cluster.build(&namespace, "pull", &commit, "", "timeout: 15s");
    let says = ["image of step fetch", "acme/none:1", "for 15s"];
    let expected = Failure::before_steps("ImagePullFailed", &says);
    cluster.fails(&namespace, "pull", 120, &expected);
    drop(policy);
    cluster.next_build_works(&namespace);
}
