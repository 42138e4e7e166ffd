//! What a release applies: YAML in (Service and release), YAML out, whole.

mod addresses;
mod bindings;
mod copies;
mod pods;
mod ports;
mod times;

use std::sync::Arc;

use expect_test::Expect;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use trackbed_deployment::{
    observe::{Place, Seen},
    plan::{Children, plan},
};
use trackbed_kit::Config;

const SERVICE: &str = "
metadata: {name: web, namespace: shop-production, uid: u-web}
spec:
  source: {git: {url: 'https://git.example.com/acme/shop'}}
  scale: {replicas: 2}
";
const RELEASE: &str = "
metadata: {name: web-3, namespace: shop-production, uid: u-web-3}
spec:
  service: web
  sequence: 3
  image: 'registry.example.com/apps/shop/web@sha256:aa'
  run:
    command: [node, server.js]
    env:
    - {name: PLAIN, value: 'costs $(HOME)'}
    - {name: DATABASE_URL, valueFrom: {databaseRef: {name: db}}}
    - {name: API, valueFrom: {serviceRef: {name: api}}}
    - {name: KEY, valueFrom: {secretKeyRef: {name: stripe, key: key}}}
    healthcheck: {path: /healthz}
status: {phase: Active, activeSince: '2026-01-01T00:00:00Z'}
";

fn children(service: &str, release: &str) -> Children {
    children_with(service, release, |_| ())
}

fn children_with(service: &str, release: &str, settings: impl FnOnce(&mut Config)) -> Children {
    children_of(service, release, settings, |_| ())
}

fn children_of(
    service: &str,
    release: &str,
    settings: impl FnOnce(&mut Config),
    surroundings: impl FnOnce(&mut Seen),
) -> Children {
    let mut config = Config::example();
    settings(&mut config);
    let release: trackbed_api::Deployment = serde_saphyr::from_str(release).expect("a release");
    let service = serde_saphyr::from_str(service).expect("a Service");
    let mut seen = Seen {
        place: Some(Place {
            preview_of: None,
            project: "shop".to_owned(),
            environment: "production".to_owned(),
        }),
        service: Some(Arc::new(service)),
        releases: vec![Arc::new(release.clone())],
        ..Seen::default()
    };
    surroundings(&mut seen);
    let now: Timestamp = "2026-01-01T00:10:00Z".parse().expect("a time");
    plan(&release, &seen, &config, now)
        .children
        .expect("the release that serves is applied")
}

fn check(object: &impl Serialize, expected: &Expect) {
    let mut value = serde_json::to_value(object).expect("JSON");
    strip(&mut value);
    expected.assert_eq(&serde_saphyr::to_string(&value).expect("YAML"));
}

/// What every object has alike says nothing here.
fn strip(value: &mut Value) {
    if let Some(map) = value.as_object_mut() {
        map.remove("ownerReferences");
        map.values_mut().for_each(strip);
    }
}
