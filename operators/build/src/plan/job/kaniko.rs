//! The container in which Kaniko makes the image, and the `RUN` lines of users run.

use k8s_openapi::{
    api::core::v1::{Capabilities, Container, ResourceRequirements, SecurityContext},
    apimachinery::pkg::api::resource::Quantity,
};
use trackbed_api::{build::BuildSpec, common::ResourceDefaults};

use super::{
    Place,
    containers::{
        CACHE, CACHE_ARGUMENT, RESULT, WORKSPACE, cache_limit, certificates, literal, mount,
        variable, variables,
    },
};
use crate::plan::environment;

/// Where RUN lines find the Build's secrets.
const SECRETS: &str = "/run/secrets";
/// Where Cargo looks for settings from wherever it runs: in the folders above.
const CARGO: &str = "/.cargo";
/// What a build gets when its spec says nothing.
const BUILD_RESOURCES: ResourceDefaults = ["250m", "512Mi", "2", "4Gi"];
/// What Kaniko needs as root: it unpacks file systems and changes users. All of them are within the
/// Pod Security Standard `baseline`.
const CAPABILITIES: [&str; 9] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "SETFCAP",
    "SETGID",
    "SETUID",
];

/// What keeps the maintained fork of Kaniko from taking one layer for another: most of it is on by
/// itself in newer versions, and other executors do not know it.
/// <https://github.com/osscontainertools/kaniko#feature-flags>
const CACHE_KEYS: [&str; 5] = [
    "FF_KANIKO_HASH_DIR_FRAMING",
    "FF_KANIKO_RESOLVE_CACHE_KEY",
    "FF_KANIKO_ROLLING_CACHE_KEY",
    "FF_KANIKO_SCOPED_DOCKERIGNORE",
    "FF_KANIKO_SKIP_WRITE_WHITEOUTS",
];

/// Makes the image. Nothing is mounted here that is worth stealing.
pub(super) fn build(place: &Place<'_>) -> Container {
    let spec = &place.object.spec;
    let settings = &place.config.build;
    let mut args = vec![
        format!("--context=dir://{WORKSPACE}/context"),
        format!("--dockerfile={WORKSPACE}/Dockerfile"),
        "--no-push".to_owned(),
        format!("--oci-layout-path={WORKSPACE}/image"),
        format!("--destination={}", place.image()),
        // Kaniko asks whether it is in a container and does not know all runtimes.
        "--force".to_owned(),
        "--log-format=text".to_owned(),
        "--image-download-retry=3".to_owned(),
        format!("--compression={}", settings.compression.as_str()),
        "--ignore-path=/etc/trackbed".to_owned(),
    ];
    args.extend(target(spec));
    let arguments = environment::arguments(&place.environment, &spec.build.args);
    let arguments = arguments.iter();
    args.extend(arguments.map(|(name, value)| format!("--build-arg={name}={value}")));
    args.extend(registries(place));
    if !settings.insecure_registries.is_empty() {
        args.push("--insecure-pull".to_owned());
    }
    let mut env = variables(place).unwrap_or_default();
    env.extend(CACHE_KEYS.map(|flag| variable(flag, "true")));
    let mut mounts = vec![mount("workspace", WORKSPACE, false)];
    mounts.extend(certificates(place));
    if place.environment.package_indexes.cargo.is_some() {
        mounts.push(mount("cargo", CARGO, true));
    }
    if !spec.build.secrets.is_empty() {
        mounts.push(mount("secrets", SECRETS, true));
    }
    if place.cache().is_some() {
        args.push("--cache=true".to_owned());
        // A stage of which everything is there is then not even unpacked.
        args.push("--cache-copy-layers=true".to_owned());
        args.push(format!("--cache-repo=oci:{CACHE}/layers"));
        args.push(format!("--build-arg={CACHE_ARGUMENT}={CACHE}/programs"));
        args.push("--compressed-caching=false".to_owned());
        mounts.push(mount("cache", CACHE, false));
    }
    Container {
        name: "build".to_owned(),
        image: Some(place.config.images.kaniko.clone()),
        command: Some(literal(kaniko(place))),
        args: Some(literal(args)),
        env: Some(env),
        volume_mounts: Some(mounts),
        resources: Some(resources(place)),
        security_context: Some(SecurityContext {
            run_as_user: Some(0),
            run_as_group: Some(0),
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                add: Some(CAPABILITIES.iter().map(|it| (*it).to_owned()).collect()),
                drop: Some(vec!["ALL".to_owned()]),
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

fn target(spec: &BuildSpec) -> Option<String> {
    let target = spec.build.target.as_ref()?;
    Some(format!("--target={target}"))
}

/// Where base images come from, in words that Kaniko knows and `trackbed bases` as well.
fn registries(place: &Place<'_>) -> Vec<String> {
    let settings = &place.config.build;
    let each = |option: &str, of: &[String]| -> Vec<String> {
        of.iter().map(|it| format!("--{option}={it}")).collect()
    };
    let mirror = settings.registry_mirror.as_slice();
    [
        each("registry-mirror", mirror),
        each("registry-map", &settings.registry_maps),
        each("insecure-registry", &settings.insecure_registries),
    ]
    .concat()
}

/// Kaniko, with base images from the cache, and whose `sync` does nothing: it has the disk written
/// before it reads again what it unpacked. The node would write all files of a build that goes a moment
/// later, and wait for its slowest disk.
/// <https://github.com/GoogleContainerTools/kaniko/issues/2288>
fn kaniko(place: &Place<'_>) -> Vec<String> {
    let program = format!("{WORKSPACE}/trackbed");
    let mut words = Vec::new();
    if place.cache().is_some() {
        words.extend([program.clone(), "bases".to_owned()]);
        words.push(format!("--dockerfile={WORKSPACE}/Dockerfile"));
        words.extend(cache_limit(place));
        words.extend(target(&place.object.spec));
        words.extend(registries(place));
        if place.environment.ca_bundle.is_some() {
            words.push(format!("--ca-file={}", environment::CERTIFICATES));
        }
    }
    let result = format!("--result={RESULT}");
    words.extend([program, "unsynced".to_owned(), result, place.executor()]);
    words
}

/// CPU and memory of the Build, and the disk of the operator's settings. Nothing is set aside of
/// the disk: few builds take much of it.
fn resources(place: &Place<'_>) -> ResourceRequirements {
    const DISK: &str = "ephemeral-storage";
    let own = &place.object.spec.build.resources;
    let mut resources = own.with_defaults(BUILD_RESOURCES);
    let limits = resources.limits.get_or_insert_default();
    limits.insert(DISK.to_owned(), place.disk_limit());
    let requests = resources.requests.get_or_insert_default();
    requests.insert(DISK.to_owned(), Quantity("0".to_owned()));
    resources
}
