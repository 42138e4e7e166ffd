//! Commands that a Redis or Valkey denies to applications, from its start and while it runs.

use suite::{Cluster, eventually};

const NAMESPACE: &str = "denied-production";

fn database(cluster: &Cluster, engine: &str, version: &str, denied: &str) {
    let name = engine.to_lowercase();
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Database\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec: {{engine: {engine}, version: '{version}', deniedCommands: [{denied}], resources: {{requests: {{cpu: 20m}}}}}}\n"
    ));
}

#[test]
fn what_is_denied_is_refused_by_name_and_allowed_again() {
    let cluster = Cluster::connect();
    let _project = cluster.project("denied");
    let all = "FLUSHALL, FLUSHDB, INFO, KEYS, MIGRATE, RESTORE, SORT, SWAPDB, '@dangerous', '@scripting', '@blocking', '@pubsub'";
    let engines = [("Redis", "7"), ("Valkey", "9")];
    for (engine, version) in engines {
        database(&cluster, engine, version, all);
    }
    for (engine, version) in engines {
        let name = engine.to_lowercase();
        cluster.ready("database", NAMESPACE, &name, 300);
        let client = cluster.client(NAMESPACE, &name, &format!("client-{name}"));
        client.ask("set kept 42").expect("it takes it");
        for command in ["flushall", "keys *", "sort kept", "info", "publish a b"] {
            let refused = client.ask(command).expect_err("it is denied");
            assert!(refused.contains("NOPERM"), "{command}: {refused}");
        }
        let pod = format!("{name}-0");
        let uid = || cluster.get("pod", NAMESPACE, &pod)["metadata"]["uid"].clone();
        let before = uid();
        database(&cluster, engine, version, "FLUSHALL");
        eventually(60, || {
            let settings = cluster.get("configmap", NAMESPACE, &format!("{name}-settings"));
            let denied = settings["data"]["denied"] == "flushall\n";
            denied.then_some(()).ok_or_else(|| settings.to_string())
        });
        // The kubelet brings it to the pod when it looks at it: by itself, within two minutes.
        cluster.run(&["annotate", "pod", &pod, "-n", NAMESPACE, "e2e=look"], "");
        let keys = eventually(240, || client.ask("keys *"));
        assert_eq!(keys, "kept");
        client.ask("flushall").expect_err("it is denied");
        assert_eq!(client.ask("get kept").as_deref(), Ok("42"));
        assert_eq!(uid(), before, "nothing was restarted");
    }
}
