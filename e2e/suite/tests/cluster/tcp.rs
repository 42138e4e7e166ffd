//! Clients without HTTP, from outside the cluster.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use suite::{Cluster, eventually};

const PROJECT: &str = "tcp";

fn service(cluster: &Cluster, namespace: &str, tcp: &str) {
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: echo, namespace: {namespace}}}\nspec:\n  source: {{image: {{reference: \"{}\"}}}}\n  run: {{command: [nc, -ll, -p, '7000', -e, cat], port: 7000}}\n  expose: {{public: false{tcp}}}\n",
        cluster.busybox()
    ));
}

/// What comes back of some words.
fn echo(address: &str) -> Result<String, String> {
    let talk = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"no HTTP at all\n")?;
        let mut words = [0; 15];
        stream.read_exact(&mut words)?;
        std::io::Result::Ok(String::from_utf8_lossy(&words).trim().to_owned())
    };
    talk().map_err(|error| format!("{address}: {error}"))
}

#[test]
fn clients_without_http_reach_a_port_that_is_exposed() {
    let cluster = Cluster::connect();
    let namespace = cluster.project(PROJECT);
    service(&cluster, &namespace, ", tcp: {type: NodePort}");
    cluster.ready("service", &namespace, "echo", 300);
    let status = || cluster.get("service", &namespace, "echo")["status"]["tcp"].clone();
    let address = format!("{}:{}", cluster.node, status()["port"]);
    assert_eq!(eventually(60, || echo(&address)), "no HTTP at all");

    // This cluster has no load balancers, and the Service says so.
    service(&cluster, &namespace, ", tcp: {port: 7777}");
    let message = cluster.wait_reason("service", &namespace, "echo", "AddressPending", 60);
    assert!(message.contains("type: NodePort"), "{message}");
    assert!(message.contains("serves image"), "{message}");
    let services = || {
        let all = cluster.list("services", &namespace).into_iter();
        let outside = all.filter(|it| it["spec"]["type"] != "ClusterIP");
        outside
            .map(|it| {
                it["metadata"]["name"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect::<Vec<_>>()
    };
    let balanced = services();
    assert_eq!(balanced.len(), 1);
    // What a cloud's controller does.
    let given = r#"{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.7"}]}}}"#;
    let patch = ["patch", "services", &balanced[0], "-n", &namespace];
    let how = ["--subresource=status", "--type=merge", "-p", given];
    cluster.run(&[&patch[..], &how].concat(), "");
    eventually(60, || match status()["hosts"][0] == "192.0.2.7" {
        true => Ok(()),
        false => Err(status().to_string()),
    });
    cluster.ready("service", &namespace, "echo", 60);
    assert_eq!(status()["port"], 7777);

    service(&cluster, &namespace, "");
    eventually(60, || match services() {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?} stay")),
    });
    cluster.ready("service", &namespace, "echo", 60);
    assert!(status().is_null());
}
