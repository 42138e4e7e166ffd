//! What the children are made from.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::LocalObjectReference,
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference},
};
use kube::{Resource, ResourceExt};
use trackbed_api::{
    Deployment, Project, Service,
    expose::Expose,
    labels::{self, role},
    names,
    scale::Scale,
    service::Rollout,
};
use trackbed_kit::{Config, meta};

use crate::observe::{Place, Seen};

/// How many pods there should be of a release.
pub fn replicas(object: &Deployment, service: Option<&Service>) -> i32 {
    let wanted = match service {
        Some(service) if service.spec.suspend || service.spec.cron.is_some() => 0,
        Some(service) => service.spec.scale.wanted(),
        None => Scale::default().replicas,
    };
    object.spec.run.pods(wanted)
}

/// One release and what surrounds it.
pub struct Subject<'a> {
    /// The release.
    pub object: &'a Deployment,
    /// Its namespace.
    pub namespace: String,
    /// Its Service. `None`: the release was written by hand and stands alone.
    pub service: Option<&'a Service>,
    /// The Project and environment that the namespace belongs to.
    pub place: &'a Place,
    /// The Project.
    pub project: Option<&'a Project>,
    /// The operator's settings.
    pub config: &'a Config,
    /// When the credentials of its Databases were changed.
    pub rotated: &'a BTreeMap<String, Timestamp>,
    owners: Vec<OwnerReference>,
}

impl<'a> Subject<'a> {
    /// Brings together what was seen.
    pub fn new(
        object: &'a Deployment,
        seen: &'a Seen,
        place: &'a Place,
        config: &'a Config,
    ) -> Self {
        let service = seen.service.as_deref();
        // With a Service the workload outlives each release. Without one it belongs to all
        // releases together, and goes with the last.
        let owners = match service {
            Some(service) => service.controller_owner_ref(&()).into_iter().collect(),
            None => seen
                .releases
                .iter()
                .filter_map(|release| release.owner_ref(&()))
                .collect(),
        };
        Self {
            object,
            namespace: object.namespace().unwrap_or_default(),
            service,
            place,
            project: seen.project.as_deref(),
            config,
            rotated: &seen.rotated,
            owners,
        }
    }

    /// Name of the Service and of all children.
    pub fn name(&self) -> &str {
        &self.object.spec.service
    }

    /// Whether the application answers on a port.
    pub fn listens(&self) -> bool {
        let cron = self.service.is_some_and(|it| it.spec.cron.is_some());
        !self.object.spec.run.worker && !cron
    }

    /// How many pods there should be.
    pub fn replicas(&self) -> i32 {
        replicas(self.object, self.service)
    }

    /// How a release replaces the one before.
    pub fn rollout(&self) -> Rollout {
        self.service
            .map_or_else(Rollout::default, |service| service.spec.rollout.clone())
    }

    /// How the application is reached from outside.
    pub fn expose(&self) -> Expose {
        match self.service {
            Some(service) => service.spec.expose.clone(),
            None => Expose {
                public: false,
                domains: Vec::new(),
                tcp: None,
            },
        }
    }

    /// Metadata of a child. All are called like the Service.
    pub fn metadata(&self) -> ObjectMeta {
        let mut metadata = meta::retained(&self.namespace, self.name());
        metadata.owner_references = (!self.owners.is_empty()).then(|| self.owners.clone());
        let labels = &mut metadata.labels;
        meta::insert(labels, labels::SERVICE, self.name());
        meta::insert(labels, labels::PROJECT, &self.place.project);
        metadata
    }

    /// Labels of a Job or pod of the release.
    pub fn labels(&self, role: &str) -> BTreeMap<String, String> {
        let mut labels = meta::managed();
        for (key, value) in [
            (labels::SERVICE, self.name()),
            (labels::PROJECT, &self.place.project),
            (labels::RELEASE, &self.object.name_any()),
            (labels::ROLE, role),
        ] {
            labels.insert(key.to_owned(), value.to_owned());
        }
        labels
    }

    /// Labels by which the pods are found; the same for all releases.
    pub fn selector(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (labels::SERVICE.to_owned(), self.name().to_owned()),
            (labels::ROLE.to_owned(), role::APP.to_owned()),
        ])
    }

    /// The same as Kubernetes' own type.
    pub fn label_selector(&self) -> LabelSelector {
        LabelSelector {
            match_labels: Some(self.selector()),
            match_expressions: None,
        }
    }

    /// Secrets that pull the image: the registry's, where it has one, and the release's own.
    pub fn pull_secrets(&self) -> Option<Vec<LocalObjectReference>> {
        let platform = &self.config.registry;
        let project = self
            .project
            .and_then(|project| project.spec.registry.as_ref());
        let any = platform.push_secret.is_some()
            || platform.pull_secret.is_some()
            || project.is_some_and(|registry| registry.secret_ref.is_some());
        let own = self.object.spec.pull_secret_ref.as_ref();
        let names: Vec<LocalObjectReference> = any
            .then(|| names::PULL_SECRET.to_owned())
            .into_iter()
            .chain(own.map(|secret| secret.name.to_string()))
            .map(|name| LocalObjectReference { name })
            .collect();
        (!names.is_empty()).then_some(names)
    }
}
