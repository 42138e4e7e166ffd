//! What the application speaks, and its address for clients without HTTP.

use std::sync::Arc;

use expect_test::expect;

use crate::{RELEASE, SERVICE, check, children, children_of};

#[test]
fn what_the_application_speaks_is_told() {
    let release = RELEASE.replace("  run:\n", "  run:\n    appProtocol: kubernetes.io/h2c\n");
    let service = children(SERVICE, &release).service.expect("an address");
    let ports = service.spec.expect("a spec").ports.expect("ports");
    assert_eq!(ports[0].app_protocol.as_deref(), Some("kubernetes.io/h2c"));
}

#[test]
fn the_address_for_clients_without_http() {
    let service = SERVICE.replace("spec:\n", "spec:\n  expose: {tcp: {port: 5000}}\n");
    let strict = "metadata: {name: shop}\nspec: {environments: [{name: production}]}";
    let project = |text: &str| Some(Arc::new(serde_saphyr::from_str(text).expect("a Project")));
    let with = |text: &str| {
        let project = project(text);
        children_of(&service, RELEASE, |_| (), |seen| seen.project = project)
    };
    let children = with(strict);
    check(
        &children.tcp,
        &expect![[r#"
        apiVersion: v1
        kind: Service
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
            trackbed.dev/service: web
          name: web-tcp-4b5e57f6
          namespace: shop-production
        spec:
          ports:
          - name: tcp
            port: 5000
            protocol: TCP
            targetPort: http
          selector:
            trackbed.dev/role: app
            trackbed.dev/service: web
          type: LoadBalancer
    "#]],
    );
    check(
        &children.tcp_policy,
        &expect![[r#"
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
            trackbed.dev/service: web
          name: web-tcp-4b5e57f6
          namespace: shop-production
        spec:
          ingress:
          - ports:
            - port: http
              protocol: TCP
          podSelector:
            matchLabels:
              trackbed.dev/role: app
              trackbed.dev/service: web
          policyTypes:
          - Ingress
    "#]],
    );
    let open = format!("{strict}\n").replace("]}\n", "], isolation: None}\n");
    assert_eq!(with(&open).tcp_policy, None, "nobody is kept out");
    let worker = RELEASE.replace("  run:\n", "  run:\n    worker: true\n");
    let worker = children_of(
        &service,
        &worker,
        |_| (),
        |seen| seen.project = project(strict),
    );
    assert_eq!(
        (worker.tcp, worker.tcp_policy),
        (None, None),
        "nothing listens"
    );
}
