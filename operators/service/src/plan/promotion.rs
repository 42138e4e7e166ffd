//! What there is to promote from another environment.

use std::sync::Arc;

use kube::ResourceExt;
use trackbed_api::{Deployment, Project, Service, reason::Reason, service::Promotion};
use trackbed_kit::Place;

use super::phase;
use crate::source::{Found, Look};

/// The Service that is promoted from, and its releases.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The Service. `None`: it is not there.
    pub service: Option<Arc<Service>>,
    /// Its releases.
    pub releases: Vec<Arc<Deployment>>,
}

/// Name of the Service that is promoted from.
pub fn service_of<'a>(promotion: &'a Promotion, own: &'a str) -> &'a str {
    promotion.service.as_deref().unwrap_or(own)
}

/// Decides.
pub fn look(
    promotion: &Promotion,
    own: &str,
    place: &Place,
    project: Option<&Project>,
    origin: &Origin,
) -> Look {
    let environment = promotion.environment.as_str();
    let missing = |what: String| Look::Failed(Reason::ReferenceMissing, what);
    if environment == place.environment {
        return missing(format!(
            "source.promotion names {environment}, the environment that it is in: name another one of Project {}",
            place.project
        ));
    }
    let mut environments = project.iter().flat_map(|it| &it.spec.environments);
    if !environments.any(|it| it.name.as_str() == environment) {
        return missing(format!(
            "Project {} has no environment {environment}: name one of its environments in source.promotion, or add it to the Project",
            place.project
        ));
    }
    let service = service_of(promotion, own);
    let Some(found) = &origin.service else {
        return missing(format!(
            "there is no Service {service} in environment {environment}: create it, or name another one in source.promotion.service"
        ));
    };
    let active = found
        .status
        .as_ref()
        .and_then(|it| it.active_deployment.as_deref());
    let wanted = match (&promotion.deployment, active) {
        (Some(named), _) => named.as_str(),
        (None, Some(active)) => active,
        (None, None) => {
            return Look::Failed(
                Reason::NotPromotable,
                format!("nothing of Service {service} serves in environment {environment} yet"),
            );
        }
    };
    let mut releases = origin.releases.iter();
    let Some(release) = releases.find(|it| it.name_any() == wanted) else {
        return missing(format!(
            "Service {service} has no Deployment {wanted} in environment {environment}: name one that 'kubectl get tdep' shows there"
        ));
    };
    let status = release.status.as_ref();
    if status.is_none_or(|status| status.active_since.is_none()) {
        return Look::Failed(
            Reason::NotPromotable,
            format!(
                "Deployment {wanted} has not served in environment {environment} yet: it is {}",
                phase(release).as_str()
            ),
        );
    }
    Look::Found(Found {
        commit: release.spec.commit.as_ref().map(ToString::to_string),
        image: Some(release.spec.image.to_string()),
        ..Found::default()
    })
}
