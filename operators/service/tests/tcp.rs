//! Addresses for clients without HTTP: what the cluster gave in, what status says of it out.

use std::sync::Arc;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1 as appsv1, core::v1 as corev1};
use trackbed_api::{Deployment, Service};
use trackbed_kit::Config;
use trackbed_service::{
    observe::{Place, Seen},
    plan::plan,
    source::Look,
};

fn check(tcp: &str, live: Option<&str>, expected: &Expect) {
    let digest = "0".repeat(64);
    let image = format!("ghcr.io/acme/web@sha256:{digest}");
    let read = |text: String| -> Service { serde_saphyr::from_str(&text).expect("a Service") };
    let service = read(format!(
        "metadata: {{name: web, namespace: shop-production, uid: u-web, generation: 1}}\nspec: {{source: {{image: {{reference: ghcr.io/acme/web}}}}, expose: {{public: false, tcp: {tcp}}}}}\nstatus: {{source: {{sequence: 1, image: '{image}'}}}}\n"
    ));
    let release: Deployment = serde_saphyr::from_str(&format!(
        "metadata: {{name: web-1, namespace: shop-production}}\nspec: {{service: web, sequence: 1, image: '{image}', run: {{}}}}\nstatus: {{phase: Active}}\n"
    ))
    .expect("a release");
    let workload: appsv1::Deployment =
        serde_saphyr::from_str("metadata: {name: web}\nstatus: {availableReplicas: 1}\n")
            .expect("a workload");
    let live = live.map(|live| -> corev1::Service {
        serde_saphyr::from_str(live).expect("a Service of Kubernetes' own")
    });
    let seen = Seen {
        place: Some(Place {
            preview_of: None,
            project: "shop".to_owned(),
            environment: "production".to_owned(),
        }),
        releases: vec![Arc::new(release)],
        workload: Some(Arc::new(workload)),
        tcp: live.map(Arc::new),
        look: Look::Unknown,
        ..Seen::default()
    };
    let now = Timestamp::from_second(1_700_000_000).expect("a time");
    let outcome = plan(&service, &seen, &Config::example(), now).outcome;
    let (ready, reason, message) = outcome.health.ready();
    let message = message.replace(&digest, "0");
    let tcp = serde_json::to_string(&outcome.status.tcp).expect("JSON");
    expected.assert_eq(&format!("{tcp}\n{ready} {reason}: {message}\n"));
}

#[test]
fn a_node_port_is_named() {
    let live = "spec: {type: NodePort, ports: [{port: 8080, nodePort: 31234}]}";
    check(
        "{type: NodePort}",
        Some(live),
        &expect![[r#"
            {"port":31234}
            True Ready: Deployment web-1 serves image ghcr.io/acme/web@sha256:0 with 1 of 1 pods
        "#]],
    );
}

#[test]
fn a_load_balancer_is_waited_for_and_named() {
    check(
        "{}",
        None,
        &expect![[r#"
            null
            False AddressPending: the cluster has not given it an address for expose.tcp: it needs load balancers, or set expose.tcp.type: NodePort; Deployment web-1 serves image ghcr.io/acme/web@sha256:0 with 1 of 1 pods
        "#]],
    );
    let live = "spec: {type: LoadBalancer, ports: [{port: 5000, nodePort: 31234}]}\n";
    check(
        "{port: 5000}",
        Some(live),
        &expect![[r#"
            null
            False AddressPending: the cluster has not given it an address for expose.tcp: it needs load balancers, or set expose.tcp.type: NodePort; Deployment web-1 serves image ghcr.io/acme/web@sha256:0 with 1 of 1 pods
        "#]],
    );
    let status = "status: {loadBalancer: {ingress: [{ip: 192.0.2.7}, {hostname: lb.example.com, ip: 192.0.2.8}]}}\n";
    let live = format!("{live}{status}");
    check(
        "{port: 5000}",
        Some(&live),
        &expect![[r#"
            {"hosts":["192.0.2.7","lb.example.com"],"port":5000}
            True Ready: Deployment web-1 serves image ghcr.io/acme/web@sha256:0 with 1 of 1 pods
        "#]],
    );
    check(
        "{type: NodePort}",
        Some(&live),
        &expect![[r#"
            null
            False AddressPending: the cluster has not given it an address for expose.tcp: it needs load balancers, or set expose.tcp.type: NodePort; Deployment web-1 serves image ghcr.io/acme/web@sha256:0 with 1 of 1 pods
        "#]],
    );
}
