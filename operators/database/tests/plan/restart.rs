//! What ends a server's pod, and what does not.

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetStatus},
    core::v1::{Pod, PodStatus},
};
use kube::ResourceExt;
use trackbed_api::Database;
use trackbed_database::{
    observe::Seen,
    plan::{Children, plan},
};
use trackbed_kit::Config;

use super::{backup::yaml, database, now, seen};

/// Digests, and the images of them.
pub(crate) const OLD: &str =
    "sha256:1111111111111111111111111111111111111111111111111111111111111111";
pub(crate) const NEW: &str =
    "sha256:2222222222222222222222222222222222222222222222222222222222222222";

pub(crate) fn image(digest: &str) -> String {
    format!("docker.io/library/postgres@{digest}")
}

/// A pod's status whose server runs an image and answers.
pub(crate) fn ready(digest: &str) -> String {
    format!(
        "{{conditions: [{{type: Ready, status: 'True'}}], containerStatuses: [{{name: postgres, image: x, imageID: '{}', ready: true, restartCount: 0, state: {{running: {{startedAt: '2026-01-01T00:00:00Z'}}}}}}]}}",
        image(digest)
    )
}

/// One whose image cannot be pulled.
pub(crate) const UNPULLED: &str = "{containerStatuses: [{name: postgres, image: x, imageID: '', ready: false, restartCount: 0, state: {waiting: {reason: ImagePullBackOff, message: no answer}}}]}";

/// The StatefulSet as its controller has seen it.
pub(crate) fn known(set: StatefulSet) -> Arc<StatefulSet> {
    let mut set = set;
    set.metadata.generation = Some(1);
    set.status = Some(StatefulSetStatus {
        observed_generation: Some(1),
        ..StatefulSetStatus::default()
    });
    Arc::new(set)
}

/// What there is once the children were written.
pub(crate) fn written(seen: &Seen, children: &Children) -> Seen {
    Seen {
        secret: Some(children.secret.clone()),
        standby: Some(children.standby.clone()),
        settings: Some(children.settings.clone()),
        set: children.set.clone().map(known),
        ..seen.clone()
    }
}

/// The pod that the StatefulSet's controller makes.
pub(crate) fn made(seen: &Seen, hour: u8, status: &str) -> Arc<Pod> {
    let template = seen.set.as_deref().expect("a set").spec.clone();
    let template = template.expect("a spec").template;
    let mut pod = Pod {
        metadata: template.metadata.expect("metadata"),
        spec: template.spec,
        status: Some(Arc::unwrap_or_clone(yaml::<PodStatus>(status))),
    };
    pod.metadata.name = Some("db-0".to_owned());
    let at = format!("2026-01-01T{hour:02}:00:00Z");
    let at = at.parse().expect("a time");
    pod.metadata.creation_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
    Arc::new(pod)
}

const SPEC: &str = "{engine: Postgres, version: '17', storage: {size: 1Gi}}";

/// A server that answers, by its digest.
pub(crate) fn serving(object: &Database) -> Seen {
    let mut seen = seen();
    seen = written(&seen, &decide(object, &seen, &Config::example()));
    seen.pod = Some(made(&seen, 0, &ready(OLD)));
    written(&seen, &decide(object, &seen, &Config::example()))
}

fn decide(object: &Database, seen: &Seen, config: &Config) -> Children {
    let plan = plan(object, seen, config, now());
    plan.children.expect("children")
}

/// Why the pod is ended, once the StatefulSet's controller knows what is next.
fn restarts(spec: &str, seen: &Seen, config: &Config) -> Option<String> {
    let object = database(spec);
    let children = decide(&object, seen, config);
    let known = seen.set.as_deref().is_some_and(|live| {
        let set = children.set.as_ref().and_then(|it| it.spec.as_ref());
        set == live.spec.as_ref()
    });
    assert!(
        children.restart.is_none() || known,
        "not before its controller knows what is next"
    );
    let seen = written(seen, &children);
    decide(&object, &seen, config).restart.map(|it| it.why)
}

#[test]
fn what_has_answered_stays_by_digest_without_a_restart() {
    let object = database(SPEC);
    let mut seen = seen();
    let first = decide(&object, &seen, &Config::example());
    let asks = |children: &Children| {
        let set = children.set.clone().and_then(|it| it.spec).expect("a set");
        set.template.spec.expect("a spec").containers[0]
            .image
            .clone()
    };
    assert_eq!(
        asks(&first).as_deref(),
        Some("docker.io/library/postgres:17")
    );
    seen = written(&seen, &first);
    seen.pod = Some(made(&seen, 0, UNPULLED));
    let waiting = decide(&object, &seen, &Config::example());
    assert_eq!(asks(&waiting), asks(&first));
    seen.pod = Some(made(&seen, 0, &ready(OLD)));
    let second = decide(&object, &seen, &Config::example());
    assert_eq!(asks(&second), Some(image(OLD)));
    assert!(second.restart.is_none());
    seen = written(&seen, &second);
    assert!(decide(&object, &seen, &Config::example()).restart.is_none());
    // Its container starts again, and the tag stands for another image by then.
    seen.pod = Some(made(&written(&seen, &first), 0, &ready(NEW)));
    let drifted = decide(&object, &seen, &Config::example());
    assert_eq!(asks(&drifted), Some(image(NEW)), "never back");
    assert!(drifted.restart.is_none());
    // Who takes the data up later goes on with it.
    seen = Seen {
        secret: Some(drifted.secret),
        ..super::seen()
    };
    assert_eq!(
        asks(&decide(&object, &seen, &Config::example())),
        Some(image(NEW))
    );
}

#[test]
fn only_what_was_asked_for_ends_a_pod() {
    let seen = serving(&database(SPEC));
    let config = Config::example();
    let spec = |more: &str| format!("{{engine: Postgres, version: '17', {more}}}");
    for (change, expected) in [
        ("storage: {size: 2Gi}", None),
        ("resources: {limits: {cpu: 1000m}}", None),
        ("parameters: {work_mem: 8MB}", None),
        ("suspend: true", None),
        (
            "parameters: {max_connections: '50'}",
            Some("for settings that it reads when it starts"),
        ),
        (
            "resources: {limits: {cpu: 1500m}}",
            Some("for other resources or another certificate"),
        ),
    ] {
        let why = restarts(&spec(change), &seen, &config);
        assert_eq!(why.as_deref(), expected, "{change}");
    }
    let mut by_hand = seen.clone();
    let set = by_hand.set.as_mut().map(Arc::make_mut).expect("a set");
    let template = &mut set.spec.as_mut().expect("a spec").template;
    let metadata = template.metadata.as_mut().expect("metadata");
    let at = (
        "kubectl.kubernetes.io/restartedAt".to_owned(),
        "now".to_owned(),
    );
    metadata.annotations.get_or_insert_default().extend([at]);
    let children = decide(&database(SPEC), &by_hand, &config);
    let restart = children.restart.expect("as kubectl rollout restart asks");
    assert_eq!(restart.pod.name_any(), "db-0");
}

#[test]
fn an_upgrade_of_the_operator_restarts_nothing() {
    let seen = serving(&database(SPEC));
    let mut upgraded = Config::example();
    upgraded.images.operator = "docker.io/trackbed/operator:2".to_owned();
    upgraded.images.postgres = "mirror.example.com/postgres".to_owned();
    let children = decide(&database(SPEC), &seen, &upgraded);
    let text = serde_json::to_string(&children.set).expect("JSON");
    assert!(text.contains("operator:2"), "the next pod has it: {text}");
    assert!(
        text.contains(&image(OLD)),
        "and the image that it has: {text}"
    );
    assert_eq!(restarts(SPEC, &seen, &upgraded), None);
    let mut starting = seen.clone();
    let recovers = ready(OLD).replace("'True'", "'False'");
    starting.pod = Some(made(&seen, 0, &recovers));
    assert_eq!(restarts(SPEC, &starting, &upgraded), None, "it may recover");
    let mut broken = seen.clone();
    broken.pod = Some(made(&seen, 0, UNPULLED));
    assert_eq!(restarts(SPEC, &broken, &Config::example()), None);
    assert_eq!(
        restarts(SPEC, &broken, &upgraded).as_deref(),
        Some("because it does not start, and is to be another now")
    );
}

#[test]
fn what_does_not_start_is_made_anew_for_any_change() {
    let with = |key: &str| {
        format!(
            "{{engine: Postgres, version: '17', init: {{configMapKeyRef: {{name: schema, key: {key}}}}}}}"
        )
    };
    let config = Config::example();
    let mut seen = serving(&database(&with("wrong.sql")));
    assert_eq!(
        restarts(&with("right.sql"), &seen, &config),
        None,
        "it has begun"
    );
    let crashes = UNPULLED.replace("ImagePullBackOff", "CrashLoopBackOff");
    seen.pod = Some(made(&seen, 0, &crashes));
    assert_eq!(restarts(&with("wrong.sql"), &seen, &config), None);
    assert_eq!(
        restarts(&with("right.sql"), &seen, &config).as_deref(),
        Some("because it does not start, and is to be another now")
    );
    let creating = UNPULLED.replace("ImagePullBackOff", "ContainerCreating");
    seen.pod = Some(made(&seen, 0, &creating));
    assert_eq!(restarts(&with("right.sql"), &seen, &config), None, "it may");
}

#[test]
fn a_server_that_was_killed_starts_again_in_its_pod() {
    let object = database(SPEC);
    let mut seen = seen();
    let config = Config::example();
    seen = written(&seen, &decide(&object, &seen, &config));
    let first = made(&seen, 0, &ready(OLD));
    seen.pod = Some(first.clone());
    seen = written(&seen, &decide(&object, &seen, &config));
    // The kubelet waits a while before it starts the container again.
    let mut killed = Arc::unwrap_or_clone(first);
    let id = format!("imageID: '{}'", image(OLD));
    let status = UNPULLED
        .replace("ImagePullBackOff", "CrashLoopBackOff")
        .replace("imageID: ''", &id);
    killed.status = Some(Arc::unwrap_or_clone(yaml::<PodStatus>(&status)));
    seen.pod = Some(Arc::new(killed));
    assert_eq!(restarts(SPEC, &seen, &config), None);
}

#[test]
fn one_user_too_few_is_a_reason() {
    let mut seen = serving(&database(SPEC));
    let pod = seen.pod.as_mut().map(Arc::make_mut).expect("a pod");
    let volumes = pod.spec.as_mut().and_then(|it| it.volumes.as_mut());
    volumes.expect("volumes").retain(|it| it.name != "standby");
    let config = Config::example();
    assert_eq!(restarts(SPEC, &seen, &config), None);
    let rotate = "{engine: Postgres, version: '17', credentials: {rotate: today}}";
    assert_eq!(
        restarts(rotate, &seen, &config).as_deref(),
        Some("because its supervisor knows one user only")
    );
}

#[test]
fn a_pod_of_before_is_judged_by_what_it_says() {
    let mut seen = serving(&database(SPEC));
    let pod = seen.pod.as_mut().map(Arc::make_mut).expect("a pod");
    let annotations = pod.metadata.annotations.as_mut().expect("annotations");
    annotations.retain(|name, _| name == "trackbed.dev/settings");
    let config = Config::example();
    assert_eq!(restarts(SPEC, &seen, &config), None);
    let other = "{engine: Postgres, version: '17', parameters: {max_connections: '50'}}";
    assert!(restarts(other, &seen, &config).is_some());
}

#[test]
fn an_image_that_nobody_has_any_more_is_given_up() {
    let object = database(SPEC);
    let config = Config::example();
    let mut seen = serving(&object);
    for (message, gone) in [
        (
            "failed to resolve reference: 503 Service Unavailable",
            false,
        ),
        ("failed to authorize: 401 Unauthorized", false),
        (
            "Back-off pulling image: ErrImagePull: docker.io/library/postgres@sha256:1111: not found",
            true,
        ),
        ("reading manifest sha256:1111: manifest unknown", true),
    ] {
        let status = UNPULLED.replace("no answer", &format!("'{message}'"));
        seen.pod = Some(made(&seen, 0, &status));
        let why = restarts(SPEC, &seen, &config);
        let tag = "for the image docker.io/library/postgres:17";
        assert_eq!(why.as_deref(), gone.then_some(tag), "{message}");
    }
    let mut supervisor = seen.clone();
    let status = UNPULLED
        .replace("containerStatuses", "initContainerStatuses")
        .replace("no answer", "not found");
    supervisor.pod = Some(made(&seen, 0, &status));
    let set = serde_json::to_string(&decide(&object, &supervisor, &config).set);
    let text = set.expect("JSON");
    assert!(
        text.contains(OLD),
        "the supervisor's image is another: {text}"
    );
    let given_up = written(&seen, &decide(&object, &seen, &config));
    let seen = Seen {
        pod: None,
        ..given_up
    };
    let text = serde_json::to_string(&decide(&object, &seen, &config).set).expect("JSON");
    assert!(!text.contains(OLD), "nor is it remembered: {text}");
}

#[test]
fn an_image_that_the_settings_say_otherwise_helps_one_that_never_ran() {
    let object = database(SPEC);
    let mut seen = seen();
    seen = written(&seen, &decide(&object, &seen, &Config::example()));
    seen.pod = Some(made(&seen, 0, UNPULLED));
    let mut corrected = Config::example();
    let mirror = "mirror.example.com/postgres:17.6".to_owned();
    corrected.images.versions = [("postgres-17".to_owned(), mirror.clone())].into();
    assert_eq!(
        restarts(SPEC, &seen, &corrected),
        Some(format!("for the image {mirror}"))
    );
}
