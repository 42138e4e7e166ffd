//! Promotion: YAML in (what is asked for, the other environment), what is found out.

use std::sync::Arc;

use serde::Deserialize;
use trackbed_api::{Deployment, Project, Service, reason::Reason, service::Promotion};
use trackbed_service::{
    observe::Place,
    plan::promotion::{Origin, look},
    source::{Found, Look},
};

#[derive(Deserialize)]
struct Case {
    promotion: Promotion,
    #[serde(default)]
    service: Option<Service>,
    #[serde(default)]
    releases: Vec<Deployment>,
}

const THERE: &str = "
service:
  metadata: {name: web, namespace: shop-staging}
  spec: {source: {}}
  status: {activeDeployment: web-2}
releases:
- metadata: {name: web-1, namespace: shop-staging}
  spec: {service: web, sequence: 1, image: 'example.com/web@sha256:01', commit: '11', run: {}}
  status: {phase: Superseded, activeSince: '2023-01-01T00:00:00Z'}
- metadata: {name: web-2, namespace: shop-staging}
  spec: {service: web, sequence: 2, image: 'example.com/web@sha256:02', commit: '22', run: {}}
  status: {phase: Active, activeSince: '2023-01-02T00:00:00Z'}
- metadata: {name: web-3, namespace: shop-staging}
  spec: {service: web, sequence: 3, image: 'example.com/web@sha256:03', run: {}}
  status: {phase: Progressing}
";

fn found(promotion: &str, there: &str) -> Look {
    let yaml = format!("promotion: {{{promotion}}}\n{there}");
    let case: Case = serde_saphyr::from_str(&yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    let project =
        "{metadata: {name: shop}, spec: {environments: [{name: staging}, {name: production}]}}";
    let project: Project = serde_saphyr::from_str(project).expect("a Project");
    let place = Place {
        preview_of: None,
        project: "shop".to_owned(),
        environment: "production".to_owned(),
    };
    let origin = Origin {
        service: case.service.map(Arc::new),
        releases: case.releases.into_iter().map(Arc::new).collect(),
    };
    look(&case.promotion, "web", &place, Some(&project), &origin)
}

fn image(number: u32) -> Look {
    Look::Found(Found {
        image: Some(format!("example.com/web@sha256:0{number}")),
        commit: Some(format!("{number}{number}")),
        ..Found::default()
    })
}

fn fails(promotion: &str, there: &str, reason: Reason, says: &str) {
    match found(promotion, there) {
        Look::Failed(found, message) => {
            assert_eq!(found, reason, "{message}");
            assert!(message.contains(says), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_serves_there_is_promoted_or_what_is_named() {
    assert_eq!(found("environment: staging", THERE), image(2));
    let named = "environment: staging, service: web, deployment: web-1";
    assert_eq!(found(named, THERE), image(1));
}

#[test]
fn what_never_served_is_not_promoted() {
    let named = "environment: staging, deployment: web-3";
    fails(named, THERE, Reason::NotPromotable, "it is Progressing");
    let nothing = THERE.replace("activeDeployment: web-2", "");
    let any = "environment: staging";
    fails(
        any,
        &nothing,
        Reason::NotPromotable,
        "nothing of Service web",
    );
}

#[test]
fn what_is_not_there_is_named() {
    let missing = Reason::ReferenceMissing;
    fails("environment: production", THERE, missing, "another one");
    fails(
        "environment: testing",
        THERE,
        missing,
        "no environment testing",
    );
    fails("environment: staging", "", missing, "no Service web");
    let named = "environment: staging, deployment: web-9";
    fails(named, THERE, missing, "no Deployment web-9");
}
