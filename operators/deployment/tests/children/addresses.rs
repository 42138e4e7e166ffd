//! Addresses, and the protection against drains.

use expect_test::expect;
use trackbed_api::expose::Routing;
use trackbed_kit::config::{Gateway, Served};

use crate::{RELEASE, SERVICE, check, children, children_with};

#[test]
fn the_address_inside_and_outside() {
    let children = children(SERVICE, RELEASE);
    check(
        &children.service,
        &expect![[r#"
        apiVersion: v1
        kind: Service
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
            trackbed.dev/service: web
          name: web
          namespace: shop-production
        spec:
          ports:
          - name: http
            port: 80
            protocol: TCP
            targetPort: http
          selector:
            trackbed.dev/role: app
            trackbed.dev/service: web
          type: ClusterIP
    "#]],
    );
    check(
        &children.ingress,
        &expect![[r#"
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
            trackbed.dev/service: web
          name: web
          namespace: shop-production
        spec:
          ingressClassName: traefik
          rules:
          - host: web-shop.apps.example.com
            http:
              paths:
              - backend:
                  service:
                    name: web
                    port:
                      number: 80
                path: /
                pathType: Prefix
    "#]],
    );
    check(
        &children.budget,
        &expect![[r#"
        apiVersion: policy/v1
        kind: PodDisruptionBudget
        metadata:
          labels:
            app.kubernetes.io/managed-by: trackbed
            trackbed.dev/project: shop
            trackbed.dev/service: web
          name: web
          namespace: shop-production
        spec:
          maxUnavailable: 1
          selector:
            matchLabels:
              trackbed.dev/role: app
              trackbed.dev/service: web
          unhealthyPodEvictionPolicy: AlwaysAllow
    "#]],
    );
}

#[test]
fn a_private_service_with_one_pod_has_no_more_than_it_needs() {
    let service = SERVICE.replace("replicas: 2", "replicas: 1") + "  expose: {public: false}\n";
    let children = children(&service, RELEASE);
    assert_eq!(children.ingress, None);
    assert_eq!(children.budget, None);
    assert!(children.prune, "what was there before is removed");
}

#[test]
fn only_hosts_that_the_service_has_are_served_and_those_by_https() {
    let service = SERVICE.replace(
        "  scale:",
        "  expose: {domains: [{host: www.example.org}, {host: taken.example.org}]}\n  scale:",
    ) + "status: {hosts: [{host: web-shop.apps.example.com, since: '2023-01-01T00:00:00Z'}, {host: www.example.org, since: '2023-01-01T00:00:00Z'}, {host: given.up.example.org, since: '2023-01-01T00:00:00Z'}]}\n";
    let ingress = |available: bool| {
        let children = children_with(&service, RELEASE, |config| {
            config.tls.issuer = Some("letsencrypt".to_owned());
            config.tls.wildcard = true;
            config.served.certificates = available;
        });
        children.ingress.expect("an Ingress").spec.expect("a spec")
    };
    check(
        &ingress(true),
        &expect![[r#"
        ingressClassName: traefik
        rules:
        - host: web-shop.apps.example.com
          http:
            paths:
            - backend:
                service:
                  name: web
                  port:
                    number: 80
              path: /
              pathType: Prefix
        - host: www.example.org
          http:
            paths:
            - backend:
                service:
                  name: web
                  port:
                    number: 80
              path: /
              pathType: Prefix
        tls:
        - hosts:
          - web-shop.apps.example.com
        - hosts:
          - www.example.org
          secretName: web-tls-8a59b0a3
    "#]],
    );
    // The platform's own certificate is there; nobody issues the others.
    let tls = ingress(false).tls.expect("one");
    assert_eq!(tls.len(), 1);
}

#[test]
fn routes_lead_to_https_where_there_is_a_certificate() {
    let service = SERVICE.replace(
        "  scale:",
        "  expose: {domains: [{host: www.example.org}]}\n  scale:",
    );
    let routed = |issuer: Option<&str>| {
        let children = children_with(&service, RELEASE, |config| {
            config.tls.issuer = issuer.map(str::to_owned);
            config.routing = Routing::Gateway;
            config.gateway = Gateway {
                namespace: "ingress".to_owned(),
                name: "public".to_owned(),
                class_name: "envoy".to_owned(),
                ..Gateway::default()
            };
            config.served = Served {
                certificates: true,
                gateways: true,
                ..Served::default()
            };
        });
        assert_eq!(children.ingress, None);
        children.routes
    };
    check(
        &routed(Some("letsencrypt")),
        &expect![[r#"
            - apiVersion: gateway.networking.k8s.io/v1
              kind: HTTPRoute
              metadata:
                labels:
                  app.kubernetes.io/managed-by: trackbed
                  trackbed.dev/project: shop
                  trackbed.dev/service: web
                name: web.42feaa8e
                namespace: shop-production
                ownerReferences:
                - apiVersion: trackbed.dev/v1alpha1
                  controller: true
                  kind: Service
                  name: web
                  uid: u-web
              spec:
                hostnames:
                - web-shop.apps.example.com
                parentRefs:
                - group: gateway.networking.k8s.io
                  kind: Gateway
                  name: public
                  namespace: ingress
                  sectionName: https
                rules:
                - backendRefs:
                  - name: web
                    port: 80
                  matches:
                  - path:
                      type: PathPrefix
                      value: /
            - apiVersion: gateway.networking.k8s.io/v1
              kind: HTTPRoute
              metadata:
                labels:
                  app.kubernetes.io/managed-by: trackbed
                  trackbed.dev/project: shop
                  trackbed.dev/service: web
                name: web.42feaa8e.redirect
                namespace: shop-production
                ownerReferences:
                - apiVersion: trackbed.dev/v1alpha1
                  controller: true
                  kind: Service
                  name: web
                  uid: u-web
              spec:
                hostnames:
                - web-shop.apps.example.com
                parentRefs:
                - group: gateway.networking.k8s.io
                  kind: Gateway
                  name: public
                  namespace: ingress
                  sectionName: http
                rules:
                - filters:
                  - requestRedirect:
                      port: 443
                      scheme: https
                      statusCode: 301
                    type: RequestRedirect
                  matches:
                  - path:
                      type: PathPrefix
                      value: /
            - apiVersion: gateway.networking.k8s.io/v1
              kind: HTTPRoute
              metadata:
                labels:
                  app.kubernetes.io/managed-by: trackbed
                  trackbed.dev/project: shop
                  trackbed.dev/service: web
                name: web.8a59b0a3
                namespace: shop-production
                ownerReferences:
                - apiVersion: trackbed.dev/v1alpha1
                  controller: true
                  kind: Service
                  name: web
                  uid: u-web
              spec:
                hostnames:
                - www.example.org
                parentRefs:
                - group: gateway.networking.k8s.io
                  kind: Gateway
                  name: web
                  sectionName: host-8a59b0a3
                rules:
                - backendRefs:
                  - name: web
                    port: 80
                  matches:
                  - path:
                      type: PathPrefix
                      value: /
            - apiVersion: gateway.networking.k8s.io/v1
              kind: HTTPRoute
              metadata:
                labels:
                  app.kubernetes.io/managed-by: trackbed
                  trackbed.dev/project: shop
                  trackbed.dev/service: web
                name: web.8a59b0a3.redirect
                namespace: shop-production
                ownerReferences:
                - apiVersion: trackbed.dev/v1alpha1
                  controller: true
                  kind: Service
                  name: web
                  uid: u-web
              spec:
                hostnames:
                - www.example.org
                parentRefs:
                - group: gateway.networking.k8s.io
                  kind: Gateway
                  name: public
                  namespace: ingress
                  sectionName: http
                rules:
                - filters:
                  - requestRedirect:
                      port: 443
                      scheme: https
                      statusCode: 301
                    type: RequestRedirect
                  matches:
                  - path:
                      type: PathPrefix
                      value: /
        "#]],
    );
    // Without an issuer the host that the platform's certificate is not good for stays with http.
    let listeners: Vec<_> = routed(None)
        .iter()
        .flat_map(|it| it.spec.parent_refs.clone())
        .map(|it| it.section_name)
        .collect();
    assert_eq!(
        listeners,
        ["https", "http", "http"].map(|it| Some(it.to_owned()))
    );
}
