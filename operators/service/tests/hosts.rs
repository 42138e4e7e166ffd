//! Hosts of a Service: YAML in (the Service, others' claims, certificates), the hosts and what is
//! said of them in YAML out.

use std::{collections::HashMap, fmt::Write, sync::Arc};

use expect_test::{Expect, expect};
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Deserialize;
use trackbed_api::{
    Project, Service,
    expose::{Resolves, Routing},
    names,
};
use trackbed_kit::{
    Config,
    cert_manager::{Certificate, Condition},
    conditions::conditions,
    config::Served,
    gateway::HttpRoute,
};
use trackbed_service::{
    observe::{Place, Seen},
    plan::{hosts::Claim, plan},
    source::Look,
};

#[derive(Deserialize)]
struct Case {
    service: Service,
    #[serde(default)]
    project: Option<Project>,
    #[serde(default)]
    others: Vec<Service>,
    #[serde(default)]
    domains: Vec<String>,
    #[serde(default)]
    certificates: Vec<Certificate>,
    #[serde(default)]
    requests: Vec<(String, Condition)>,
    #[serde(default)]
    routes: Vec<HttpRoute>,
    #[serde(default)]
    resolves: HashMap<String, Resolves>,
}

const NOW: i64 = 1_700_000_000;

/// A Service that serves, with these domains and this status.
fn service(domains: &str, status: &str) -> String {
    format!(
        "service:\n  metadata: {{name: web, namespace: shop-production, uid: u-web, creationTimestamp: '2023-01-01T00:00:00Z'}}\n  spec:\n    source: {{image: {{reference: 'example.com/web:1'}}}}\n    expose: {{domains: [{domains}]}}\n  status: {{{status}}}\n"
    )
}

fn other(host: &str, since: &str) -> String {
    format!(
        "others:\n- metadata: {{name: front, namespace: other-production, creationTimestamp: '2023-01-02T00:00:00Z'}}\n  spec: {{source: {{}}}}\n  status: {{hosts: [{{host: '{host}', since: '{since}'}}]}}\n"
    )
}

/// A certificate of that name, and its status.
fn certificate(name: &str, status: &str) -> String {
    format!(
        "- metadata: {{name: {name}, namespace: shop-production}}\n  spec: {{secretName: a, dnsNames: [], issuerRef: {{group: '', kind: '', name: ''}}, privateKey: {{algorithm: '', size: 0, rotationPolicy: ''}}}}\n  status: {{{status}}}\n"
    )
}

fn planned(yaml: &str, settings: impl FnOnce(&mut Config)) -> String {
    let case: Case = serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    let mut config = Config::example();
    settings(&mut config);
    let seen = Seen {
        place: Some(Place {
            preview_of: None,
            project: "shop".to_owned(),
            environment: "production".to_owned(),
        }),
        project: case.project.map(Arc::new),
        claims: case.others.iter().flat_map(Claim::of).collect(),
        domains: case.domains,
        certificates: case.certificates.into_iter().map(Arc::new).collect(),
        requests: case.requests,
        routes: case.routes.into_iter().map(Arc::new).collect(),
        resolves: case.resolves,
        look: Look::Unknown,
        ..Seen::default()
    };
    let now = Timestamp::from_second(NOW).expect("a time");
    let plan = plan(&case.service, &seen, &config, now);
    let mut out = String::new();
    let status = &plan.outcome.status;
    let _ = writeln!(out, "url {}", status.url.as_deref().unwrap_or("none"));
    for host in status.hosts.iter().flatten() {
        let record = host.record.as_deref().unwrap_or("generated");
        let _ = writeln!(out, "has {} since {}, {record}", host.host, host.since.0);
        if let Some(resolves) = host.resolves {
            let _ = writeln!(out, "  resolves {resolves:?}");
        }
        if let Some(it) = &host.certificate {
            let said = it.message.as_deref().unwrap_or("nothing");
            let _ = writeln!(out, "  {} ready {}, says {said}", it.secret, it.ready);
        }
    }
    for certificate in &plan.children.addresses.certificates {
        let (hosts, issuer) = (
            &certificate.spec.dns_names,
            &certificate.spec.issuer_ref.name,
        );
        let _ = writeln!(
            out,
            "wants {} for {hosts:?} of {issuer}",
            certificate.name_any()
        );
    }
    if let Some(gateway) = &plan.children.addresses.gateway {
        let hosts = gateway
            .spec
            .listeners
            .iter()
            .map(|it| it.hostname.as_deref());
        let class = &gateway.spec.gateway_class_name;
        let _ = writeln!(
            out,
            "wants a Gateway of {class} for {:?}",
            hosts.collect::<Vec<_>>()
        );
    }
    for certificate in &plan.children.addresses.old_certificates {
        let _ = writeln!(out, "removes {}", certificate.name_any());
    }
    let outcome = &plan.outcome;
    for condition in conditions(&[], Some(1), &outcome.health, &outcome.facts, now) {
        if condition.type_ == "HostsReady" {
            let (status, reason) = (condition.status, condition.reason);
            let _ = writeln!(out, "{status} {reason}: {}", condition.message);
        }
    }
    out
}

fn check(yaml: &str, expected: &Expect) {
    expected.assert_eq(&planned(yaml, |_| ()));
}

fn certified(yaml: &str, expected: &Expect) {
    expected.assert_eq(&planned(yaml, |config| {
        config.tls.issuer = Some("letsencrypt".to_owned());
        config.served.certificates = true;
    }));
}

#[test]
fn hosts_that_nobody_has_are_taken() {
    check(
        &service("{host: www.example.org}", ""),
        &expect![[r#"
            url https://web-shop.apps.example.com
            has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
            has www.example.org since 2023-11-14T22:13:20Z, www.example.org CNAME web-shop.apps.example.com
            True Ready: has web-shop.apps.example.com, www.example.org
        "#]],
    );
}

#[test]
fn a_host_that_the_dns_does_not_know_is_told() {
    let domains = "{host: a.example.org}, {host: b.example.org}, {host: c.example.org}";
    let known = "resolves: {a.example.org: 'No', b.example.org: Here}\n";
    check(
        &(service(domains, "") + known),
        &expect![[r#"
        url https://web-shop.apps.example.com
        has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
        has a.example.org since 2023-11-14T22:13:20Z, a.example.org CNAME web-shop.apps.example.com
          resolves No
        has b.example.org since 2023-11-14T22:13:20Z, b.example.org CNAME web-shop.apps.example.com
          resolves Here
        has c.example.org since 2023-11-14T22:13:20Z, c.example.org CNAME web-shop.apps.example.com
        True Ready: has web-shop.apps.example.com, a.example.org, b.example.org, c.example.org; the DNS lacks a.example.org CNAME web-shop.apps.example.com
    "#]],
    );
}

#[test]
fn a_host_keeps_its_time() {
    let has = "hosts: [{host: www.example.org, since: '2023-05-01T00:00:00Z'}]";
    let late = other("www.example.org", "2023-05-01T00:00:01Z");
    check(
        &(service("{host: www.example.org}", has) + &late),
        &expect![[r#"
            url https://web-shop.apps.example.com
            has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
            has www.example.org since 2023-05-01T00:00:00Z, www.example.org CNAME web-shop.apps.example.com
            True Ready: has web-shop.apps.example.com, www.example.org
        "#]],
    );
}

#[test]
fn the_later_claim_is_refused_and_told_who_has_it() {
    let early = other("*.example.org", "2023-05-01T00:00:00Z");
    let has = "hosts: [{host: www.example.org, since: '2023-05-01T00:00:01Z'}]";
    check(
        &(service("{host: www.example.org}, {host: example.org}", has) + &early),
        &expect![[r#"
            url https://web-shop.apps.example.com
            has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
            has example.org since 2023-11-14T22:13:20Z, example.org CNAME web-shop.apps.example.com
            False HostClaimed: www.example.org belongs to Service front in namespace other-production, which has *.example.org since 2023-05-01T00:00:00Z: remove it there first, or ask for another host here
        "#]],
    );
}

#[test]
fn of_claims_of_one_second_the_older_service_has_it() {
    let has = "hosts: [{host: www.example.org, since: '2023-05-01T00:00:00Z'}]";
    let same = other("www.example.org", "2023-05-01T00:00:00Z");
    check(
        &(service("{host: www.example.org}", has) + &same),
        &expect![[r#"
            url https://web-shop.apps.example.com
            has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
            has www.example.org since 2023-05-01T00:00:00Z, www.example.org CNAME web-shop.apps.example.com
            True Ready: has web-shop.apps.example.com, www.example.org
        "#]],
    );
}

#[test]
fn generated_hosts_can_collide_too() {
    let early = other("web-shop.apps.example.com", "2023-05-01T00:00:00Z");
    check(
        &(service("", "") + &early),
        &expect![[r#"
            url none
            False HostClaimed: web-shop.apps.example.com belongs to Service front in namespace other-production, which has web-shop.apps.example.com since 2023-05-01T00:00:00Z: remove it there first, or ask for another host here
        "#]],
    );
}

#[test]
fn hosts_of_the_platform_and_of_other_projects_are_not_given() {
    check(
        &(service(
            "{host: api-bank.apps.example.com}, {host: '*.apps.example.com'}, {host: pay.bank.example.net}",
            "",
        ) + "domains: [bank.example.net]\n"),
        &expect![[r#"
            url https://web-shop.apps.example.com
            has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
            False HostNotAllowed: api-bank.apps.example.com is below apps.example.com, whose hosts the platform gives itself: ask for a host of another domain; *.apps.example.com is below apps.example.com, whose hosts the platform gives itself: ask for a host of another domain; pay.bank.example.net is below bank.example.net, whose hosts the platform gives itself: ask for a host of another domain
        "#]],
    );
}

#[test]
fn a_project_with_a_list_has_nothing_else() {
    let project = "project: {metadata: {name: shop}, spec: {domain: shop.example.net, allowedDomains: ['*.example.org']}}\ndomains: [shop.example.net]\n";
    check(
        &(service("{host: www.example.org}, {host: example.org}", "") + project),
        &expect![[r#"
            url https://web-shop.shop.example.net
            has web-shop.shop.example.net since 2023-11-14T22:13:20Z, generated
            has www.example.org since 2023-11-14T22:13:20Z, www.example.org CNAME web-shop.shop.example.net
            False HostNotAllowed: example.org is not among the hosts of Project shop: ask the platform team to add it to spec.allowedDomains there
        "#]],
    );
}

#[test]
fn each_host_has_a_certificate() {
    certified(
        &service("{host: www.example.org}", ""),
        &expect![[r#"
        url https://web-shop.apps.example.com
        has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
          web-tls-42feaa8e ready false, says is asked for
        has www.example.org since 2023-11-14T22:13:20Z, www.example.org CNAME web-shop.apps.example.com
          web-tls-8a59b0a3 ready false, says is asked for
        wants web-tls-42feaa8e for ["web-shop.apps.example.com"] of letsencrypt
        wants web-tls-8a59b0a3 for ["www.example.org"] of letsencrypt
        False CertificatePending: certificate web-tls-42feaa8e of web-shop.apps.example.com: is asked for; certificate web-tls-8a59b0a3 of www.example.org: is asked for
    "#]],
    );
}

#[test]
fn the_last_try_says_why_there_is_no_certificate() {
    let name = "web-tls-42feaa8e";
    let waits = "conditions: [{type: Ready, status: 'False', reason: DoesNotExist, message: Issuing certificate as Secret does not exist}]";
    let tries = format!(
        "requests:\n- [{name}, {{type: Ready, status: 'False', reason: Failed, message: the first try}}]\n- [{name}, {{type: Ready, status: 'False', reason: Pending, message: 'Referenced \"ClusterIssuer\" not found'}}]\n"
    );
    let waits = format!("certificates:\n{}{tries}", certificate(name, waits));
    certified(
        &(service("", "") + &waits),
        &expect![[r#"
        url https://web-shop.apps.example.com
        has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
          web-tls-42feaa8e ready false, says Referenced "ClusterIssuer" not found
        wants web-tls-42feaa8e for ["web-shop.apps.example.com"] of letsencrypt
        False CertificatePending: certificate web-tls-42feaa8e of web-shop.apps.example.com: Referenced "ClusterIssuer" not found
    "#]],
    );
}

#[test]
fn a_certificate_that_cannot_be_renewed_is_named_and_still_served() {
    let name = "web-tls-42feaa8e";
    let fails = "notAfter: '2024-01-01T00:00:00Z', conditions: [{type: Ready, status: 'True', message: up to date}, {type: Issuing, status: 'False', reason: Failed, message: the authority is away}]";
    let (fails, old) = (certificate(name, fails), certificate("web-tls-old", ""));
    let fails = format!("certificates:\n{fails}{old}");
    certified(
        &(service("", "") + &fails),
        &expect![[r#"
        url https://web-shop.apps.example.com
        has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
          web-tls-42feaa8e ready true, says the authority is away
        wants web-tls-42feaa8e for ["web-shop.apps.example.com"] of letsencrypt
        removes web-tls-old
        False CertificateFailed: certificate web-tls-42feaa8e of web-shop.apps.example.com: the authority is away
    "#]],
    );
}

#[test]
fn without_cert_manager_certificates_are_named_as_what_is_missing() {
    let found = planned(&service("", ""), |config| {
        config.tls.issuer = Some("letsencrypt".to_owned());
    });
    expect![[r#"
        url https://web-shop.apps.example.com
        has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
        False CertificatesUnavailable: web-shop.apps.example.com is to have a certificate of ClusterIssuer letsencrypt, and this cluster has no cert-manager: install it and restart the operator, or remove the issuer
    "#]].assert_eq(&found);
}

#[test]
fn a_gateway_of_its_own_has_only_hosts_whose_certificate_is_there() {
    let own = names::certificate("web", "www.example.org");
    let there = "conditions: [{type: Ready, status: 'True', message: up to date}]";
    let there = format!("certificates:\n{}", certificate(&own, there));
    let yaml = service("{host: www.example.org}, {host: api.example.org}", "") + &there;
    let found = planned(&yaml, |config| {
        config.tls.issuer = Some("letsencrypt".to_owned());
        config.routing = Routing::Gateway;
        config.gateway.name = "public".to_owned();
        config.gateway.class_name = "envoy".to_owned();
        config.served = Served {
            certificates: true,
            gateways: true,
            ..Served::default()
        };
    });
    expect![[r#"
        url https://web-shop.apps.example.com
        has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
        has www.example.org since 2023-11-14T22:13:20Z, www.example.org CNAME web-shop.apps.example.com
          web-tls-8a59b0a3 ready true, says nothing
        has api.example.org since 2023-11-14T22:13:20Z, api.example.org CNAME web-shop.apps.example.com
          web-tls-839f41f7 ready false, says is asked for
        wants web-tls-8a59b0a3 for ["www.example.org"] of letsencrypt
        wants web-tls-839f41f7 for ["api.example.org"] of letsencrypt
        wants a Gateway of envoy for [Some("www.example.org")]
        False CertificatePending: certificate web-tls-839f41f7 of api.example.org: is asked for
    "#]].assert_eq(&found);
}

#[test]
fn a_route_that_the_gateway_does_not_take_is_told() {
    let route = |conditions: &str| {
        let name = trackbed_api::names::route("web", "web-shop.apps.example.com");
        format!(
            "routes:\n- metadata: {{name: {name}, namespace: shop-production}}\n  spec: {{parentRefs: [], hostnames: [], rules: []}}\n  status: {{parents: [{{conditions: [{conditions}]}}]}}\n"
        )
    };
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        format!(
            "{{type: {kind}, status: '{status}', reason: {reason}, message: '{message}', lastTransitionTime: '2023-01-01T00:00:00Z'}}"
        )
    };
    let refused = condition(
        "Accepted",
        "False",
        "NotAllowedByListeners",
        "No matching listener.",
    );
    let taken = condition("Accepted", "True", "Accepted", "");
    let lost = condition("ResolvedRefs", "False", "BackendNotFound", "");
    for (conditions, expected) in [
        (
            refused,
            expect![[r#"
                url https://web-shop.apps.example.com
                has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
                False RouteNotAccepted: the Gateway does not take web-shop.apps.example.com: No matching listener (NotAllowedByListeners)
            "#]],
        ),
        (
            format!("{taken}, {lost}"),
            expect![[r#"
                url https://web-shop.apps.example.com
                has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
                False RouteNotAccepted: the Gateway does not take web-shop.apps.example.com: BackendNotFound
            "#]],
        ),
        (
            taken,
            expect![[r#"
            url https://web-shop.apps.example.com
            has web-shop.apps.example.com since 2023-11-14T22:13:20Z, generated
            True Ready: has web-shop.apps.example.com
        "#]],
        ),
    ] {
        check(&(service("", "") + &route(&conditions)), &expected);
    }
}
