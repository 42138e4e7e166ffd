//! Hosts of public Services: which there are, who may have them, and who certifies them.

use trackbed_api::{
    Project, Service,
    expose::{Expose, Routing},
    names,
};

use crate::{Config, Place};

/// Who has a Service's host certified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Certified {
    /// Nobody: it is served by http, or by https as somebody else arranges.
    Not,
    /// The ingress controller has a certificate for it.
    ByPlatform,
    /// This ClusterIssuer.
    By(String),
}

/// The domain that a Project's generated hosts are under.
pub fn domain<'a>(project: Option<&'a Project>, config: &'a Config) -> &'a str {
    let own = project.and_then(|project| project.spec.domain.as_deref());
    own.unwrap_or(&config.base_domain)
}

/// The host that a Service has without asking.
pub fn generated(
    service: &str,
    place: &Place,
    project: Option<&Project>,
    config: &Config,
) -> String {
    names::host(
        service,
        &place.project,
        &place.environment,
        domain(project, config),
    )
}

/// The hosts that an application asks for: the generated one first, each once.
pub fn asked(generated: String, expose: &Expose) -> Vec<String> {
    if !expose.public {
        return Vec::new();
    }
    let mut hosts = vec![generated];
    for domain in &expose.domains {
        let host = domain.host.to_string();
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// The hosts that a Service asks for. None, if it is not public or answers no requests.
pub fn of(
    service: &Service,
    name: &str,
    place: &Place,
    project: Option<&Project>,
    config: &Config,
) -> Vec<String> {
    match service.spec.listens() {
        true => asked(
            generated(name, place, project, config),
            &service.spec.expose,
        ),
        false => Vec::new(),
    }
}

/// Whether a host could be both: they are the same, or one is `*.example.com` and the other one
/// label below.
pub fn overlap(one: &str, other: &str) -> bool {
    let below = |wildcard: &str, host: &str| {
        let parent = wildcard.strip_prefix("*.");
        parent.is_some_and(|it| host.split_once('.').is_some_and(|(_, rest)| rest == it))
    };
    one == other || below(one, other) || below(other, one)
}

/// Whether a host (or all hosts that it stands for) is `domain` or below it.
pub fn within(host: &str, domain: &str) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host);
    let above = host.strip_suffix(domain);
    above.is_some_and(|it| it.is_empty() || it.ends_with('.'))
}

/// Whether a pattern of `allowedDomains` allows a host. `*.example.com` allows all below it, and
/// not `example.com`.
pub fn allows(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => within(host, domain) && host != domain,
        None => pattern == host,
    }
}

/// How requests from outside reach a Project's Services. Without a Gateway it is by Ingresses.
pub fn routing(project: Option<&Project>, config: &Config) -> Routing {
    let own = project.and_then(|project| project.spec.routing);
    let is_there = config.served.gateways && !config.gateway.name.is_empty();
    match own.unwrap_or(config.routing) {
        Routing::Gateway if is_there => Routing::Gateway,
        Routing::Gateway | Routing::Ingress => Routing::Ingress,
    }
}

/// Who has a host certified.
pub fn certified(host: &str, project: Option<&Project>, config: &Config) -> Certified {
    let tls = project.and_then(|project| project.spec.tls.as_ref());
    if tls.is_some_and(|tls| tls.disabled) {
        return Certified::Not;
    }
    // Whether the platform has a certificate, and whether others have a place to be shown.
    let (wildcard, others) = match routing(project, config) {
        Routing::Ingress => (config.tls.wildcard, true),
        Routing::Gateway => (
            !config.gateway.https_listener.is_empty(),
            !config.gateway.class_name.is_empty(),
        ),
    };
    let is_base = host
        .split_once('.')
        .is_some_and(|(label, rest)| label != "*" && rest == config.base_domain);
    if wildcard && is_base {
        return Certified::ByPlatform;
    }
    let own = tls.and_then(|tls| tls.issuer.as_ref().map(ToString::to_string));
    match own.or_else(|| config.tls.issuer.clone()) {
        Some(issuer) if others => Certified::By(issuer),
        Some(_) | None => Certified::Not,
    }
}

/// Whether browsers reach a host by https as Trackbed arranges it. Without cert-manager nobody
/// does as an issuer is named for.
pub fn is_https(host: &str, project: Option<&Project>, config: &Config) -> bool {
    match certified(host, project, config) {
        Certified::Not => false,
        Certified::ByPlatform => true,
        Certified::By(_) => config.served.certificates,
    }
}

/// The URL of a host.
pub fn url(host: &str, project: Option<&Project>, config: &Config) -> String {
    match (is_https(host, project, config), config.url_port) {
        (true, _) => format!("https://{host}"),
        (false, Some(port)) => format!("{}://{host}:{port}", config.url_scheme),
        (false, None) => format!("{}://{host}", config.url_scheme),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_overlap_where_both_could_be_meant() {
        for (one, other, expected) in [
            ("www.example.com", "www.example.com", true),
            ("*.example.com", "www.example.com", true),
            ("*.example.com", "*.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", "*.b.example.com", false),
            ("www.example.com", "example.com", false),
        ] {
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn a_pattern_allows_what_is_below_it() {
        for (pattern, host, expected) in [
            ("example.com", "example.com", true),
            ("example.com", "www.example.com", false),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "*.example.com", true),
            ("*.example.com", "badexample.com", false),
            ("*.example.com", "example.com.evil.org", false),
        ] {
            assert_eq!(allows(pattern, host), expected, "{pattern} {host}");
        }
        assert!(within("a.apps.example.com", "apps.example.com"));
        assert!(!within("myapps.example.com", "apps.example.com"));
    }

    #[test]
    fn hosts_are_certified_by_whom_the_settings_name() {
        let mut config = Config::example();
        let by = |config: &Config, tls: &str, host: &str| {
            let yaml = format!("{{metadata: {{name: shop}}, spec: {{{tls}}}}}");
            let project: Project = serde_saphyr::from_str(&yaml).expect("a Project");
            certified(host, Some(&project), config)
        };
        let (own, generated) = ("www.example.org", "web-shop.apps.example.com");
        assert_eq!(by(&config, "", own), Certified::Not);
        let mine = "tls: {issuer: mine}";
        assert_eq!(by(&config, mine, own), Certified::By("mine".to_owned()));
        config.tls.issuer = Some("all".to_owned());
        config.tls.wildcard = true;
        assert_eq!(by(&config, "", own), Certified::By("all".to_owned()));
        assert_eq!(by(&config, mine, own), Certified::By("mine".to_owned()));
        assert_eq!(by(&config, mine, generated), Certified::ByPlatform);
        assert_eq!(by(&config, "tls: {disabled: true}", own), Certified::Not);
        config.routing = Routing::Gateway;
        config.served.gateways = true;
        config.gateway.name = "public".to_owned();
        let nowhere = by(&config, "", own);
        assert_eq!(nowhere, Certified::Not, "no listener would show it");
        assert_eq!(by(&config, "", generated), Certified::ByPlatform);
        config.gateway.class_name = "envoy".to_owned();
        let wildcard = "*.apps.example.com";
        assert_eq!(by(&config, "", wildcard), Certified::By("all".to_owned()));
        assert_eq!(
            url(generated, None, &config),
            "https://web-shop.apps.example.com"
        );
    }
}
