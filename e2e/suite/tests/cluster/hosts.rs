//! Hosts: who has them, and https by certificates that a real cert-manager issues.

use suite::{Cluster, Environment, Secure, Value, builds::condition, eventually};

/// A Project with an issuer, and what else it says.
fn project(cluster: &Cluster, name: &str, issuer: &str, more: &str) -> Environment {
    cluster.project_of(
        name,
        &format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {{name: {name}}}\nspec: {{environments: [{{name: production}}], tls: {{issuer: {issuer}}}{more}}}\n"
        ),
    )
}

/// A Service that answers at `/passwd`.
fn service(cluster: &Cluster, namespace: &str, domains: &str) {
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: web, namespace: {namespace}}}\nspec:\n  source: {{image: {{reference: \"{}\"}}}}\n  run: {{command: [httpd, -f, -p, '8080', -h, /etc]}}\n  expose: {{domains: [{domains}]}}\n",
        cluster.busybox()
    ));
}

/// The answer by https, as soon as the ingress controller has the certificate.
fn secure(cluster: &Cluster, host: &str) -> Secure {
    eventually(60, || match cluster.https(host, "/passwd") {
        Ok(secure) if secure.answer.status == 200 => Ok(secure),
        other => Err(format!("https://{host}: {other:?}")),
    })
}

fn hosts(cluster: &Cluster, namespace: &str) -> Vec<Value> {
    let service = cluster.get("service", namespace, "web");
    let hosts = service["status"]["hosts"].as_array();
    hosts.unwrap_or_else(|| panic!("{service:#}")).clone()
}

/// Waits until status says so of the host of the Service's own.
fn resolves(cluster: &Cluster, namespace: &str, what: &str) {
    let path = format!("jsonpath={{.status.hosts[1].resolves}}={what}");
    cluster.wait("service", namespace, "web", &path, 60);
}

fn patch(cluster: &Cluster, what: &[&str], patch: &str) {
    let arguments = [&["patch"], what, &["--type=merge", "-p", patch]].concat();
    cluster.run(&arguments, "");
}

/// Has a certificate renewed now, as `cmctl renew` does.
fn renew(cluster: &Cluster, namespace: &str, name: &str) {
    let certificate = cluster.get("certificate", namespace, name);
    let mut conditions = certificate["status"]["conditions"].clone();
    let issuing = r#"{"type":"Issuing","status":"True","reason":"ManuallyTriggered","message":"renewed by a person"}"#;
    let issuing: Value = serde_json::from_str(issuing).expect("JSON");
    conditions.as_array_mut().expect("conditions").push(issuing);
    let text = format!("{{\"status\":{{\"conditions\":{conditions}}}}}");
    let what = ["certificate", name, "-n", namespace, "--subresource=status"];
    patch(cluster, &what, &text);
}

#[test]
fn an_ingress_serves_https_for_generated_hosts_and_for_those_of_users() {
    let cluster = Cluster::connect();
    let namespace = project(&cluster, "tls-ingress", "cluster-ca", "");
    service(&cluster, &namespace, "{host: www.tls-ingress.example.org}");
    cluster.ready("service", &namespace, "web", 300);
    let generated = cluster.host("web", "tls-ingress");
    let found = cluster.get("service", &namespace, "web");
    assert_eq!(found["status"]["url"], format!("https://{generated}"));
    for host in [generated.as_str(), "www.tls-ingress.example.org"] {
        secure(&cluster, host);
    }
    let hosts_before = hosts(&cluster, &namespace);
    assert_eq!(hosts_before.len(), 2, "{hosts_before:#?}");
    let own = &hosts_before[1];
    assert_eq!(
        own["record"],
        format!("www.tls-ingress.example.org CNAME {generated}")
    );
    assert!(own["certificate"]["notAfter"].is_string(), "{own:#}");
    assert!(own["certificate"]["renewalTime"].is_string(), "{own:#}");

    // Nobody has entered it in the DNS.
    resolves(&cluster, &namespace, "No");
    let found = cluster.get("service", &namespace, "web");
    let said = condition(&found, "HostsReady")["message"].to_string();
    assert!(said.contains("the DNS lacks www.tls-ingress"), "{said}");

    // Renewed, it is another one, and requests find it.
    let before = secure(&cluster, "www.tls-ingress.example.org");
    let name = own["certificate"]["secret"].as_str().expect("a name");
    renew(&cluster, &namespace, name);
    eventually(60, || {
        let now = secure(&cluster, "www.tls-ingress.example.org");
        match now.certificate == before.certificate {
            true => Err("it is the same certificate".to_owned()),
            false => Ok(()),
        }
    });
    cluster.ready("service", &namespace, "web", 60);

    // What nobody asks for any more goes.
    service(&cluster, &namespace, "");
    eventually(60, || {
        let left = cluster.list("certificate", &namespace).len();
        match left {
            1 => Ok(()),
            left => Err(format!("{left} certificates")),
        }
    });
}

#[test]
fn a_gateway_serves_https_and_sends_http_there() {
    let cluster = Cluster::connect();
    let more = ", routing: Gateway";
    let namespace = project(&cluster, "tls-gateway", "cluster-ca", more);
    let own = "www.pointed.example.org";
    service(&cluster, &namespace, &format!("{{host: {own}}}"));
    cluster.ready("service", &namespace, "web", 300);
    let generated = cluster.host("web", "tls-gateway");
    for host in [generated.as_str(), own] {
        secure(&cluster, host);
        cluster.answers(host, "/passwd", 60, |answer| answer.status == 301);
    }
    resolves(&cluster, &namespace, "Here");
    let ingresses = cluster.list("ingress", &namespace);
    assert_eq!(ingresses, Vec::<Value>::new());
    assert_eq!(cluster.list("httproute", &namespace).len(), 4);

    // And back: an Ingress takes over, nothing is left of the other way.
    let ingress = r#"{"spec":{"routing":"Ingress"}}"#;
    patch(&cluster, &["projects.trackbed.dev", "tls-gateway"], ingress);
    eventually(60, || {
        let left: Vec<_> = ["httproute", "gateway"]
            .iter()
            .flat_map(|kind| cluster.list(kind, &namespace))
            .collect();
        match (left.len(), cluster.list("ingress", &namespace).len()) {
            (0, 1) => Ok(()),
            (left, ingresses) => Err(format!("{left} of before, {ingresses} Ingresses")),
        }
    });
    secure(&cluster, own);
}

#[test]
fn an_issuer_that_fails_is_named_until_it_is_mended() {
    let cluster = Cluster::connect();
    let namespace = project(&cluster, "tls-fails", "nobody", "");
    service(&cluster, &namespace, "");
    let message = cluster.wait_reason("service", &namespace, "web", "CertificatePending", 120);
    assert!(message.contains("nobody"), "{message}");
    let found = cluster.get("service", &namespace, "web");
    assert!(
        found["status"]["activeDeployment"].is_string(),
        "it serves all the same: {found:#}"
    );
    let mended = r#"{"spec":{"tls":{"issuer":"cluster-ca"}}}"#;
    patch(&cluster, &["projects.trackbed.dev", "tls-fails"], mended);
    cluster.wait("service", &namespace, "web", "condition=Ready", 120);
    let host = cluster.host("web", "tls-fails");
    secure(&cluster, &host);

    // One that cannot be renewed is told, and the old one is served on.
    let broken = r#"{"spec":{"tls":{"issuer":"nobody"}}}"#;
    patch(&cluster, &["projects.trackbed.dev", "tls-fails"], broken);
    cluster.wait_reason("service", &namespace, "web", "CertificatePending", 120);
    secure(&cluster, &host);
}

#[test]
fn the_second_who_asks_for_a_host_is_refused_until_the_first_gives_it_up() {
    let cluster = Cluster::connect();
    let first = cluster.project("host-first");
    let second = cluster.project("host-second");
    let host = "www.claimed.example.org";
    service(&cluster, &first, &format!("{{host: {host}}}"));
    cluster.ready("service", &first, "web", 300);
    service(&cluster, &second, "{host: '*.claimed.example.org'}");
    let message = cluster.wait_reason("service", &second, "web", "HostClaimed", 120);
    assert!(
        message.contains("Service web in namespace host-first-production"),
        "{message}"
    );
    // What it has besides is served.
    let generated = cluster.host("web", "host-second");
    cluster.answers(&generated, "/passwd", 60, |answer| answer.status == 200);
    let ready = condition(&cluster.get("service", &second, "web"), "HostsReady");
    assert_eq!(ready["status"], "False", "{ready:#}");
    let ingress = cluster.get("ingress", &second, "web").to_string();
    assert!(!ingress.contains("claimed.example.org"), "{ingress}");
    cluster.answers(host, "/passwd", 60, |answer| answer.status == 200);

    service(&cluster, &first, "");
    // It is refused until that is seen.
    cluster.wait("service", &second, "web", "condition=Ready", 60);
    cluster.answers("api.claimed.example.org", "/passwd", 60, |answer| {
        answer.status == 200
    });

    // Hosts of the platform are nobody's to ask for.
    let platforms = format!("{{host: web-host-first.{}}}", cluster.domain);
    service(&cluster, &second, &platforms);
    cluster.wait_reason("service", &second, "web", "HostNotAllowed", 60);
}
