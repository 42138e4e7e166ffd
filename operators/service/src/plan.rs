//! What a Service needs next, from what was seen. No I/O and no clock.

pub mod build;
pub mod gateway;
pub mod health;
pub mod history;
pub mod hosts;
pub mod promotion;
pub mod release;
pub mod report;
pub mod runs;
pub mod scaling;
pub mod source;
pub mod tcp;

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use trackbed_api::{
    Build, Deployment, Service, ServiceStatus, deployment::DeploymentPhase, labels,
};
use trackbed_kit::{
    Config, Plan as Outcome, cert_manager::Certificate, gateway::Gateway, hosts as of, meta,
};

use crate::{
    observe::{Place, Seen},
    source::Look,
};
use hosts::Hosts;
use report::Report;

/// Everything that follows from a look at a Service.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Status and when to look again.
    pub outcome: Outcome<ServiceStatus>,
    /// What to create and to remove.
    pub children: Children,
}

/// Objects to create and to remove.
#[derive(Clone, Debug, Default)]
pub struct Children {
    /// A Build to create.
    pub build: Option<Build>,
    /// A release to create.
    pub release: Option<Deployment>,
    /// Builds beyond the history's limit.
    pub old_builds: Vec<Arc<Build>>,
    /// Releases beyond the history's limit.
    pub old_releases: Vec<Arc<Deployment>>,
    /// What hosts need besides routes.
    pub addresses: Addresses,
    /// What to tell the forge.
    pub report: Option<Report>,
}

/// What hosts need besides routes.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// Certificates that there are to be.
    pub certificates: Vec<Certificate>,
    /// Those that nobody needs any more.
    pub old_certificates: Vec<Arc<Certificate>>,
    /// A Gateway of its own.
    pub gateway: Option<Gateway>,
    /// One that it does not need any more.
    pub old_gateway: Option<Arc<Gateway>>,
}

/// A Service and what was seen of its surroundings, for the parts of the plan.
pub struct View<'a> {
    /// The Service.
    pub object: &'a Service,
    /// What was seen.
    pub seen: &'a Seen,
    /// The environment.
    pub place: &'a Place,
    /// Status as it will be written.
    pub status: ServiceStatus,
}

impl View<'_> {
    /// Name of the Service.
    pub fn name(&self) -> String {
        self.object.name_any()
    }

    /// The Build of the commit that was taken up last.
    pub fn build(&self) -> Option<&Build> {
        let sequence = self.status.source.as_ref()?.sequence;
        let mut builds = self.seen.builds.iter();
        builds
            .find(|build| build.spec.sequence == sequence)
            .map(AsRef::as_ref)
    }

    /// The newest release.
    pub fn newest(&self) -> Option<&Deployment> {
        let releases = self.seen.releases.iter();
        releases
            .max_by_key(|release| release.spec.order())
            .map(AsRef::as_ref)
    }

    /// The release that serves.
    pub fn active(&self) -> Option<&Deployment> {
        let releases = self.seen.releases.iter();
        releases
            .filter(|release| phase(release) == DeploymentPhase::Active)
            .max_by_key(|release| {
                let pinned = self.object.spec.pin.as_deref() == Some(release.name_any().as_str());
                (pinned, release.spec.order())
            })
            .map(AsRef::as_ref)
    }
}

/// Where a release stands.
pub fn phase(release: &Deployment) -> DeploymentPhase {
    release
        .status
        .as_ref()
        .map(|status| status.phase)
        .unwrap_or_default()
}

/// Decides.
pub fn plan(object: &Service, seen: &Seen, config: &Config, now: Timestamp) -> Plan {
    let before = object.status.clone().unwrap_or_default();
    let Some(place) = &seen.place else {
        return Plan {
            outcome: health::unmanaged(before),
            children: Children::default(),
        };
    };
    let taken = source::taken(object, seen, now);
    // What is not written down yet is neither built nor released.
    let written = taken == before.source;
    let mut view = View {
        object,
        seen,
        place,
        status: ServiceStatus {
            source: taken,
            ..before
        },
    };
    let mut children = Children::default();
    if written && !object.spec.suspend {
        children.build = build::next(&view, config);
        children.release = release::next(&view);
    }
    children.old_builds = history::builds(&view);
    children.old_releases = history::releases(&view);
    let hosts = hosts::hosts(&view, config, now);
    children.addresses = addresses(&view, &hosts, config);
    view.status = status(&view, &children, &hosts, config);
    children.report = report::next(&view);
    let (health, mut facts) = health::of(&view, &children);
    let health = tcp::health(&view, hosts::health(&hosts, health));
    facts.extend(hosts::fact(&hosts));
    facts.extend(report::fact(&view));
    facts.extend(runs::fact(&view));
    facts.extend(scaling::fact(&view));
    Plan {
        outcome: Outcome {
            status: view.status,
            health,
            facts,
            requeue: [seen.again, seen.report_again, seen.resolves_again]
                .into_iter()
                .flatten()
                .min(),
        },
        children,
    }
}

/// The rest of the status.
fn status(view: &View<'_>, children: &Children, hosts: &Hosts, config: &Config) -> ServiceStatus {
    let newest_build = view.seen.builds.iter().max_by_key(|it| it.spec.sequence);
    let created_build = children.build.as_ref().map(ResourceExt::name_any);
    let created_release = children.release.as_ref().map(ResourceExt::name_any);
    let workload = view.seen.workload.as_deref();
    ServiceStatus {
        latest_build: created_build.or_else(|| newest_build.map(|build| build.name_any())),
        latest_deployment: created_release
            .or_else(|| view.newest().map(|release| release.name_any())),
        active_deployment: view.active().map(ResourceExt::name_any),
        url: url(view, hosts, config),
        tcp: tcp::status(view),
        hosts: (hosts != &Hosts::default()).then(|| hosts.have.clone()),
        last_run: runs::last(view),
        webhook: webhook(view, config),
        commit_status: report::told(view),
        last_handled_reconcile_at: handled(view),
        replicas: Some(
            workload
                .and_then(|workload| workload.status.as_ref()?.replicas)
                .unwrap_or(0),
        ),
        selector: Some(format!(
            "{}={},{}={}",
            labels::SERVICE,
            view.name(),
            labels::ROLE,
            labels::role::APP
        )),
        ..view.status.clone()
    }
}

/// Where the forge sends what it signs.
fn webhook(view: &View<'_>, config: &Config) -> Option<String> {
    let webhook = view.object.spec.source.git.as_ref()?.webhook.as_ref()?;
    let namespace = view.object.namespace().unwrap_or_default();
    config.webhook(&namespace, &webhook.secret_ref.name)
}

/// The last request of a person or a forge that the source was looked at for.
fn handled(view: &View<'_>) -> Option<String> {
    let before = view.status.last_handled_reconcile_at.clone();
    match view.seen.look {
        Look::Unknown | Look::Pending => before,
        Look::Found(_) | Look::Failed(..) => {
            let asked = meta::annotation(view.object, labels::RECONCILE_AT);
            asked.map(str::to_owned).or(before)
        }
    }
}

fn url(view: &View<'_>, hosts: &Hosts, config: &Config) -> Option<String> {
    let project = view.seen.project.as_deref();
    let generated = of::generated(&view.name(), view.place, project, config);
    hosts
        .has(&generated)
        .then(|| of::url(&generated, project, config))
}

fn addresses(view: &View<'_>, hosts: &Hosts, config: &Config) -> Addresses {
    let certificates = hosts::certificates(view, hosts, config);
    let wanted = |name: &str| certificates.iter().any(|it| it.name_any() == name);
    let live = view.seen.certificates.iter();
    let old = live.filter(|live| !wanted(&live.name_any()));
    let old_certificates = old.cloned().collect();
    let gateway = gateway::desired(view, hosts, config);
    let live = view.seen.gateway.clone();
    Addresses {
        old_gateway: live.filter(|_| gateway.is_none()),
        certificates,
        old_certificates,
        gateway,
    }
}
