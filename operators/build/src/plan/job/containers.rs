//! The containers of a build. Everything that a user wrote is one whole argument.

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, EnvVar, ResourceRequirements, SecurityContext, VolumeMount,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::ResourceExt;
use std::collections::BTreeMap;
use trackbed_api::build::{BuildSpec, Provider, Strategy};

use super::Place;
use crate::plan::{claim, environment};

/// User and group of fetch and push.
pub(super) const USER: i64 = 65532;
pub(super) const WORKSPACE: &str = "/workspace";
pub(super) const CACHE: &str = "/cache";
/// Build argument that says where compilers may keep what the next build can use.
pub(super) const CACHE_ARGUMENT: &str = "TRACKBED_CACHE";
const GIT: &str = "/etc/trackbed/git";
const REGISTRY: &str = "/etc/trackbed/registry";
/// Where the kubelet reads a container's last words.
pub(super) const RESULT: &str = "/dev/termination-log";

/// Fetches the commit with the repository's credentials.
pub(super) fn fetch(place: &Place<'_>) -> Container {
    let spec = &place.object.spec;
    let git = &spec.source.git;
    let mut args = vec![
        "fetch".to_owned(),
        format!("--url={}", git.url),
        format!("--commit={}", git.commit),
        format!("--out={WORKSPACE}"),
        format!("--result={RESULT}"),
        format!("--dockerfile={}", spec.build.dockerfile),
        format!("--timeout={}", spec.build.timeout.seconds()),
        format!("--max-size={}", place.repository_limit()),
    ];
    args.extend(git.r#ref.as_ref().map(|it| format!("--ref={it}")));
    args.extend(git.path.as_ref().map(|it| format!("--path={it}")));
    if spec.build.strategy == Strategy::Dockerfile {
        args.push("--strategy=dockerfile".to_owned());
    }
    args.extend(overrides(spec));
    let declared = environment::declared(&place.environment, &spec.build.args);
    args.extend(declared.iter().map(|it| format!("--declare={it}")));
    if place.cache().is_some() {
        args.push(format!("--declare={CACHE_ARGUMENT}"));
    }
    let own = spec.build.args.keys();
    args.extend(own.map(|it| format!("--argument={it}")));
    let mut mounts = vec![
        mount("workspace", WORKSPACE, false),
        mount("tmp", "/tmp", false),
    ];
    if git.secret_ref.is_some() {
        args.push(format!("--credentials-dir={GIT}"));
        mounts.push(mount("git", GIT, true));
    }
    let mut container = reaching(place, own_container(place, "fetch", USER, args, mounts));
    // A home for what libgit2 reads there.
    let home = variable("HOME", "/tmp");
    container.env.get_or_insert_default().push(home);
    container
}

/// What the Build says about an image without a Dockerfile.
fn overrides(spec: &BuildSpec) -> Vec<String> {
    let build = &spec.build;
    let given = [
        ("install", build.install.as_deref()),
        ("build", build.command.as_deref()),
        ("start", build.start.as_deref()),
        ("output", build.output.as_deref()),
        ("provider", build.provider.map(Provider::as_str)),
        ("language-version", build.version.as_deref()),
    ];
    let mut args: Vec<String> = given
        .into_iter()
        .filter_map(|(name, value)| Some(format!("--{name}={}", value?)))
        .collect();
    args.extend(build.packages.iter().map(|it| format!("--packages={it}")));
    if spec.start_elsewhere {
        args.push("--start-elsewhere".to_owned());
    }
    args
}

/// Kubernetes puts other variables into values (`$(NAME)`) unless the `$` is doubled.
pub(super) fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.replace('$', "$$")),
        value_from: None,
    }
}

/// The way to git hosts and registries.
pub(super) fn variables(place: &Place<'_>) -> Option<Vec<EnvVar>> {
    let given = environment::ours(&place.environment);
    let variables = given.iter().map(|(name, value)| variable(name, value));
    (!given.is_empty()).then(|| variables.collect())
}

/// Trims the cache before a build whose predecessor failed and did not come to it: compilers and
/// package managers that keep their files there fail when it is full.
pub(super) fn make_room(place: &Place<'_>) -> Option<Container> {
    place.wants_room().then(|| {
        let mut args = vec!["make-room".to_owned()];
        args.extend(cache_limit(place));
        let mounts = vec![mount("cache", CACHE, false)];
        own_container(place, "make-room", 0, args, mounts)
    })
}

pub(super) fn cache_limit(place: &Place<'_>) -> [String; 2] {
    [
        format!("--cache-dir={CACHE}"),
        format!("--cache-max={}", claim::limit(place)),
    ]
}

/// Makes what Kaniko wrote readable for `push`. Kaniko's files are for their owner only: root
/// without capabilities is that owner, and no more.
pub(super) fn hand_over(place: &Place<'_>) -> Container {
    let mut args = vec![
        "hand-over".to_owned(),
        format!("--layout={WORKSPACE}/image"),
        format!("--result={RESULT}"),
    ];
    let mut mounts = vec![mount("workspace", WORKSPACE, false)];
    if place.cache().is_some() {
        args.extend(cache_limit(place));
        mounts.push(mount("cache", CACHE, false));
    }
    own_container(place, "hand-over", 0, args, mounts)
}

/// Pushes the image with the registry's credentials.
pub(super) fn push(place: &Place<'_>) -> Container {
    let spec = &place.object.spec;
    let mut args = vec![
        "push".to_owned(),
        format!("--layout={WORKSPACE}/image"),
        format!("--origin={WORKSPACE}/origin.json"),
        format!("--image={}", place.image()),
        format!("--result={RESULT}"),
        format!("--patience={}", patience(spec)),
    ];
    if place.config.build.provenance {
        let build = place.object.name_any();
        args.push(format!("--invocation={}/{build}", place.namespace));
    }
    if place.config.registry.insecure {
        args.push("--insecure".to_owned());
    }
    let mut mounts = vec![
        mount("workspace", WORKSPACE, true),
        mount("tmp", "/tmp", false),
    ];
    if place.registry_login() {
        args.push(format!("--auth-file={REGISTRY}/config.json"));
        mounts.push(mount("registry", REGISTRY, true));
    }
    if place.environment.ca_bundle.is_some() {
        args.push(format!("--ca-file={}", environment::CERTIFICATES));
    }
    reaching(place, own_container(place, "push", USER, args, mounts))
}

/// How long a registry is asked again that does not answer: a part of the build's time that is
/// likely to be left.
fn patience(spec: &BuildSpec) -> u64 {
    const MOST: u64 = 300;
    (spec.build.timeout.seconds() / 4).min(MOST)
}

pub(super) fn certificates(place: &Place<'_>) -> Option<VolumeMount> {
    let own = place.environment.ca_bundle.as_ref();
    own.map(|_| mount("environment", environment::FOLDER, true))
}

/// A container of our own that talks to git hosts or registries.
fn reaching(place: &Place<'_>, mut container: Container) -> Container {
    container.env = variables(place);
    let mounts = container.volume_mounts.get_or_insert_default();
    mounts.extend(certificates(place));
    container
}

/// A container with Trackbed's own binary and no rights. It knows no way to others.
fn own_container(
    place: &Place<'_>,
    name: &str,
    user: i64,
    args: Vec<String>,
    mounts: Vec<VolumeMount>,
) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(place.config.images.operator.clone()),
        command: Some(vec!["/trackbed".to_owned()]),
        args: Some(literal(args)),
        volume_mounts: Some(mounts),
        resources: Some(amounts()),
        security_context: Some(SecurityContext {
            run_as_user: Some(user),
            run_as_group: Some(user),
            run_as_non_root: (user != 0).then_some(true),
            read_only_root_filesystem: Some(true),
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                add: None,
                drop: Some(vec!["ALL".to_owned()]),
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// Kubernetes puts variables into arguments (`$(NAME)`) unless the `$` is doubled.
pub(super) fn literal(args: Vec<String>) -> Vec<String> {
    args.into_iter().map(|it| it.replace('$', "$$")).collect()
}

fn amounts() -> ResourceRequirements {
    let list = |cpu: &str, memory: &str| {
        Some(BTreeMap::from([
            ("cpu".to_owned(), Quantity(cpu.to_owned())),
            ("memory".to_owned(), Quantity(memory.to_owned())),
        ]))
    };
    ResourceRequirements {
        requests: list("50m", "64Mi"),
        limits: list("1", "512Mi"),
        ..ResourceRequirements::default()
    }
}

pub(super) fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}
