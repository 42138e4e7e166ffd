//! Which hosts the Service has, and their certificates.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use trackbed_api::{
    Service,
    common::condition::HOSTS_READY,
    expose::{CertificateStatus, HostStatus, Resolves},
    labels, names,
    reason::{Reason, progress},
};
use trackbed_kit::{
    Config, Fact, Health,
    cert_manager::{Certificate, CertificateSpec, IssuerReference, PrivateKey, find},
    config::CustomDomains,
    hosts::{self, Certified, overlap, within},
    meta,
};

use super::View;

/// A host that another Service has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The host.
    pub host: String,
    /// Since when. Of two claims the earlier counts.
    pub since: Timestamp,
    /// When the Service was made: decides between claims of the same second.
    pub created: Option<Timestamp>,
    /// Namespace and name of the Service: decide in the end.
    pub who: (String, String),
}

impl Claim {
    /// The hosts that a Service has.
    pub fn of(service: &Service) -> impl Iterator<Item = Self> {
        let created = service.creation_timestamp().map(|time| time.0);
        let who = (service.namespace().unwrap_or_default(), service.name_any());
        held(service).map(move |has| Self {
            host: has.host.clone(),
            since: has.since.0,
            created,
            who: who.clone(),
        })
    }

    fn order(&self) -> (Timestamp, Option<Timestamp>, &(String, String)) {
        (self.since, self.created, &self.who)
    }
}

/// The hosts that a Service has.
pub fn held(service: &Service) -> impl Iterator<Item = &HostStatus> {
    let status = service.status.as_ref();
    status
        .and_then(|it| it.hosts.as_ref())
        .into_iter()
        .flatten()
}

/// The hosts of a Service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hosts {
    /// Those that it has.
    pub have: Vec<HostStatus>,
    /// Why it does not have others.
    pub refused: Vec<(Reason, String)>,
    /// What is wrong with those that it has (their certificates and routes), and whether the host is
    /// served all the same.
    pub troubled: Vec<(Reason, String, bool)>,
}

impl Hosts {
    /// Whether it has that host.
    pub fn has(&self, host: &str) -> bool {
        self.have.iter().any(|has| has.host == host)
    }
}

/// Decides.
pub fn hosts(view: &View<'_>, config: &Config, now: Timestamp) -> Hosts {
    let project = view.seen.project.as_deref();
    let name = view.name();
    let generated = hosts::generated(&name, view.place, project, config);
    let mut found = Hosts::default();
    for host in hosts::of(view.object, &name, view.place, project, config) {
        let custom = host != generated;
        let claim = claim(view, &host, now);
        let refused = custom
            .then(|| forbidden(view, &host, config))
            .flatten()
            .map(|why| (Reason::HostNotAllowed, why))
            .or_else(|| Some((Reason::HostClaimed, taken(view, &claim)?)));
        if let Some(refused) = refused {
            found.refused.push(refused);
            continue;
        }
        let certificate = match hosts::certified(&host, project, config) {
            Certified::By(issuer) => certificate(view, &host, &issuer, config, &mut found),
            Certified::Not | Certified::ByPlatform => None,
        };
        if let Some(said) = unrouted(view, &host) {
            let message = format!("the Gateway does not take {host}: {said}");
            found
                .troubled
                .push((Reason::RouteNotAccepted, message, false));
        }
        found.have.push(HostStatus {
            since: Time(claim.since),
            record: custom.then(|| format!("{host} CNAME {generated}")),
            resolves: view.seen.resolves.get(&host).copied(),
            certificate,
            host,
        });
    }
    found
}

/// What this Service claims; it keeps its time.
fn claim(view: &View<'_>, host: &str, now: Timestamp) -> Claim {
    let own = Claim::of(view.object).find(|claim| claim.host == host);
    own.unwrap_or_else(|| Claim {
        host: host.to_owned(),
        // As it is stored.
        since: Timestamp::from_second(now.as_second()).unwrap_or(now),
        created: view.object.creation_timestamp().map(|time| time.0),
        who: (view.object.namespace().unwrap_or_default(), view.name()),
    })
}

/// Who has it, if somebody has.
fn taken(view: &View<'_>, mine: &Claim) -> Option<String> {
    let claims = view.seen.claims.iter();
    let first = claims
        .filter(|other| overlap(&other.host, &mine.host) && other.order() < mine.order())
        .min_by_key(|other| other.order())?;
    let (namespace, name) = &first.who;
    Some(format!(
        "{} belongs to Service {name} in namespace {namespace}, which has {} since {}: remove it there first, or ask for another host here",
        mine.host, first.host, first.since
    ))
}

/// Why the Project's Services may not have the host.
fn forbidden(view: &View<'_>, host: &str, config: &Config) -> Option<String> {
    let project = view.seen.project.as_deref();
    let own = hosts::domain(project, config);
    let mut others = view.seen.domains.iter().map(String::as_str);
    let base = config.base_domain.as_str();
    let theirs = others.find(|domain| *domain != own && within(host, domain));
    let platforms = (within(host, base) && !(own != base && within(host, own))).then_some(base);
    if let Some(domain) = theirs.or(platforms) {
        return Some(format!(
            "{host} is below {domain}, whose hosts the platform gives itself: ask for a host of another domain"
        ));
    }
    let project = &view.place.project;
    let spec = view.seen.project.as_deref().map(|project| &project.spec);
    let allowed = match spec.and_then(|spec| spec.allowed_domains.as_ref()) {
        Some(patterns) => patterns.iter().any(|it| hosts::allows(it, host)),
        None => config.custom_domains == CustomDomains::Any,
    };
    (!allowed).then(|| {
        format!(
            "{host} is not among the hosts of Project {project}: ask the platform team to add it to spec.allowedDomains there"
        )
    })
}

/// What a Gateway says against the route of a host. One that nobody has looked at yet is none: there
/// is a moment between a route and its answer.
fn unrouted(view: &View<'_>, host: &str) -> Option<String> {
    let name = names::route(&view.name(), host);
    let mut routes = view.seen.routes.iter();
    let route = routes.find(|it| it.name_any() == name)?;
    let parents = route.status.iter().flat_map(|it| &it.parents);
    let mut said = parents.flat_map(|it| &it.conditions);
    let against = |it: &&Condition| {
        matches!(it.type_.as_str(), "Accepted" | "ResolvedRefs") && it.status == "False"
    };
    let said = said.find(against)?;
    Some(match said.message.as_str() {
        "" => said.reason.clone(),
        message => format!("{} ({})", message.trim_end_matches('.'), said.reason),
    })
}

/// How far a host's certificate is. What is wrong with it is noted.
fn certificate(
    view: &View<'_>,
    host: &str,
    issuer: &str,
    config: &Config,
    found: &mut Hosts,
) -> Option<CertificateStatus> {
    let name = names::certificate(&view.name(), host);
    if !config.served.certificates {
        let message = format!(
            "{host} is to have a certificate of ClusterIssuer {issuer}, and this cluster has no cert-manager: install it and restart the operator, or remove the issuer"
        );
        let reason = Reason::CertificatesUnavailable;
        found.troubled.push((reason, message, false));
        return None;
    }
    let mut live = view.seen.certificates.iter();
    let live = live.find(|live| live.name_any() == name);
    let status = live
        .and_then(|live| live.status.clone())
        .unwrap_or_default();
    let ready = find(&status.conditions, "Ready").is_some_and(|it| it.status == "True");
    let (failed, message) = trouble(view, &name, &status.conditions, ready);
    if let Some(message) = &message {
        let reason = match failed {
            true => Reason::CertificateFailed,
            false => Reason::CertificatePending,
        };
        let sentence = format!("certificate {name} of {host}: {message}");
        found.troubled.push((reason, sentence, ready));
    }
    Some(CertificateStatus {
        secret: name,
        ready,
        message,
        not_after: status.not_after,
        renewal_time: status.renewal_time,
    })
}

/// What cert-manager says of a certificate that is not issued, or cannot be renewed: of the last
/// try, if there is one. Whether that failed, too.
fn trouble(
    view: &View<'_>,
    name: &str,
    conditions: &[trackbed_kit::cert_manager::Condition],
    ready: bool,
) -> (bool, Option<String>) {
    let issuing = find(conditions, "Issuing");
    let failed = issuing.is_some_and(|it| it.reason == "Failed");
    if ready && !failed {
        return (false, None);
    }
    let requests = view.seen.requests.iter();
    let mut tries = requests.filter(|(of, said)| of == name && said.status != "True");
    if let Some((_, said)) = tries.next_back() {
        return (
            said.reason == "Failed" || failed,
            Some(said.message.clone()),
        );
    }
    let said = issuing.filter(|_| failed);
    let said = said.or_else(|| find(conditions, "Ready"));
    let message = said.map(|it| it.message.clone());
    (
        failed,
        Some(message.unwrap_or_else(|| "is asked for".to_owned())),
    )
}

/// The certificates of the hosts that have one of their own.
pub fn certificates(view: &View<'_>, hosts: &Hosts, config: &Config) -> Vec<Certificate> {
    let project = view.seen.project.as_deref();
    let own = hosts.have.iter().filter(|has| has.certificate.is_some());
    let wanted = own.filter_map(|has| match hosts::certified(&has.host, project, config) {
        Certified::By(issuer) => Some(desired(view, &has.host, issuer)),
        Certified::Not | Certified::ByPlatform => None,
    });
    wanted.collect()
}

fn desired(view: &View<'_>, host: &str, issuer: String) -> Certificate {
    let name = names::certificate(&view.name(), host);
    let mut certificate = Certificate::new(
        &name,
        CertificateSpec {
            secret_name: name.clone(),
            dns_names: vec![host.to_owned()],
            issuer_ref: IssuerReference {
                group: "cert-manager.io".to_owned(),
                kind: "ClusterIssuer".to_owned(),
                name: issuer,
            },
            private_key: PrivateKey {
                algorithm: "ECDSA".to_owned(),
                size: 256,
                rotation_policy: "Always".to_owned(),
            },
        },
    );
    certificate.metadata = meta::owned(view.object, &name);
    let labels = &mut certificate.metadata.labels;
    meta::insert(labels, labels::SERVICE, view.name());
    meta::insert(labels, labels::PROJECT, &view.place.project);
    certificate
}

/// The condition of the hosts. `None`: it asks for none.
pub fn fact(hosts: &Hosts) -> Option<Fact> {
    let troubles = hosts.refused.iter().map(|(reason, said)| (*reason, said));
    let more = hosts.troubled.iter();
    let all: Vec<_> = troubles
        .chain(more.map(|(reason, said, _)| (*reason, said)))
        .collect();
    if let Some((reason, _)) = all.first() {
        let said: Vec<&str> = all.iter().map(|(_, said)| said.as_str()).collect();
        let message = said.join("; ");
        return Some(Fact::new(
            HOSTS_READY,
            Some(false),
            reason.as_str(),
            message,
        ));
    }
    let have: Vec<&str> = hosts.have.iter().map(|has| has.host.as_str()).collect();
    let nowhere = |has: &&HostStatus| has.resolves == Some(Resolves::No);
    let lost = hosts.have.iter().filter(nowhere);
    let lost: Vec<&str> = lost.filter_map(|has| has.record.as_deref()).collect();
    let mut message = format!("has {}", have.join(", "));
    if !lost.is_empty() {
        message.push_str(&format!("; the DNS lacks {}", lost.join(", ")));
    }
    (!have.is_empty()).then(|| Fact::new(HOSTS_READY, Some(true), progress::READY, message))
}

/// Health of a Service whose release is healthy: it is not what was asked for while a host is
/// missing, or cannot be reached by https.
pub fn health(hosts: &Hosts, health: Health) -> Health {
    let Health::Ready(serving) = &health else {
        return health;
    };
    if let Some((reason, said)) = hosts.refused.first() {
        return Health::Stalled(*reason, format!("{said}; {serving}"));
    }
    let mut open = hosts.troubled.iter().filter(|(_, _, served)| !served);
    match open.next() {
        Some((Reason::CertificatesUnavailable, said, _)) => Health::Stalled(
            Reason::CertificatesUnavailable,
            format!("{said}; {serving}"),
        ),
        Some((reason, said, _)) => Health::Waiting(*reason, format!("{said}; {serving}")),
        None => health,
    }
}
