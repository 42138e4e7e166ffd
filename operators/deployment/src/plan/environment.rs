//! The application's environment variables, and what they refer to.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, Secret, SecretKeySelector};
use kube::ResourceExt;
use trackbed_api::{
    Deployment, labels, names,
    run::{AddressKey, ServiceReference, ValueFrom},
};
use trackbed_kit::{Config, contents::Values, meta};

use super::{bindings, subject::Subject};

/// Port of every Service's address inside the cluster.
pub const PORT: i32 = 80;
/// Sentences about missing references that a message holds.
const SENTENCES: usize = 4;

/// Something that has to exist before the release is applied.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// A Secret, and a key in it.
    Secret(String, Option<String>),
    /// A ConfigMap and a key in it.
    ConfigMap(String, String),
    /// A Database, one of its databases, and a key of the binding Secret.
    Database(String, Option<String>, String),
    /// A Service.
    Service(String),
}

/// A reference and who needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needed {
    /// What has to exist.
    pub reference: Reference,
    /// Whether the release keeps a copy of it.
    pub copied: bool,
    /// How it goes away: `remove STRIPE_KEY`.
    pub way_out: String,
}

/// What is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// A sentence without its full stop.
    pub sentence: String,
    /// Whether a watch tells when it appears.
    pub watched: bool,
}

/// Why a reference cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The object itself is not there.
    Object,
    /// The key is not in it.
    Key,
    /// The Database is there, its credentials are not.
    Credentials,
    /// The Database is there, and does not list the database.
    Unlisted,
    /// The Service is there, and answers no requests.
    Address,
}

/// Everything that a release refers to, in the order of its spec, each once.
pub fn references(object: &Deployment) -> Vec<Needed> {
    let pull = object.spec.pull_secret_ref.iter().map(|secret| Needed {
        reference: Reference::Secret(secret.name.to_string(), None),
        copied: false,
        way_out: "remove source.image.pullSecretRef".to_owned(),
    });
    let variables = object.spec.run.env.iter().filter_map(|variable| {
        Some(Needed {
            reference: reference(variable.value_from.as_ref()?)?,
            copied: variable.copied().is_some(),
            way_out: format!("remove {}", variable.name),
        })
    });
    let bindings = object.spec.run.bindings.iter().map(|it| Needed {
        // The one key that each of them has.
        reference: Reference::Database(
            it.name.to_string(),
            it.database.as_ref().map(ToString::to_string),
            "type".to_owned(),
        ),
        copied: false,
        way_out: format!("remove {} from run.bindings", it.name),
    });
    let mut found: Vec<Needed> = Vec::new();
    for needed in pull.chain(variables).chain(bindings) {
        if !found
            .iter()
            .any(|known| known.reference == needed.reference)
        {
            found.push(needed);
        }
    }
    found
}

fn reference(from: &ValueFrom) -> Option<Reference> {
    if let Some(secret) = &from.secret_key_ref {
        return Some(Reference::Secret(
            secret.name.to_string(),
            Some(secret.key.clone()),
        ));
    }
    if let Some(map) = &from.config_map_key_ref {
        return Some(Reference::ConfigMap(map.name.to_string(), map.key.clone()));
    }
    if let Some(database) = &from.database_ref {
        return Some(Reference::Database(
            database.name.to_string(),
            database.database.as_ref().map(ToString::to_string),
            database.key.as_str().to_owned(),
        ));
    }
    let service = from.service_ref.as_ref()?;
    Some(Reference::Service(service.name.to_string()))
}

impl Reference {
    /// The database in a Database's server.
    fn database(&self) -> Option<&str> {
        match self {
            Self::Database(_, database, _) => database.as_deref(),
            _ => None,
        }
    }
}

impl Needed {
    /// The sentence for what is missing.
    pub fn missing(&self, namespace: &str, lack: Lack) -> Missing {
        let out = &self.way_out;
        let (kind, name, key) = match &self.reference {
            Reference::Secret(name, key) => ("Secret", name, key.as_deref()),
            Reference::ConfigMap(name, key) => ("ConfigMap", name, Some(key.as_str())),
            Reference::Database(name, _, key) => ("Database", name, Some(key.as_str())),
            Reference::Service(name) => ("Service", name, None),
        };
        let sentence = match lack {
            Lack::Object => format!(
                "{kind} {name} does not exist in namespace {namespace}: create it, or {out}"
            ),
            Lack::Key => format!(
                "{kind} {name} in namespace {namespace} has no key {}: add it, or {out}",
                key.unwrap_or_default()
            ),
            Lack::Address => format!(
                "{kind} {name} in namespace {namespace} answers no requests (it has run.worker, or cron), so there is no address to refer to: {out}"
            ),
            Lack::Unlisted => format!(
                "Database {name} in namespace {namespace} has no database {}: add it to spec.databases of the Database, or {out}",
                self.reference.database().unwrap_or_default()
            ),
            Lack::Credentials => format!(
                "Database {name} in namespace {namespace} has no credentials yet: see its own status"
            ),
        };
        Missing {
            sentence,
            watched: matches!(lack, Lack::Object | Lack::Unlisted | Lack::Address)
                && matches!(
                    self.reference,
                    Reference::Database(..) | Reference::Service(_)
                ),
        }
    }
}

/// One message for all that is missing.
pub fn describe(missing: &[Missing]) -> String {
    let first: Vec<&str> = missing
        .iter()
        .take(SENTENCES)
        .map(|missing| missing.sentence.as_str())
        .collect();
    match missing.len().saturating_sub(SENTENCES) {
        0 => first.join("; "),
        more => format!("{}; and {more} more", first.join("; ")),
    }
}

/// The variables of the container: `PORT` first, where the application listens, so that nothing can
/// be in front of it, then those of the spec.
pub fn variables(
    object: &Deployment,
    listens: bool,
    namespace: &str,
    config: &Config,
) -> Vec<EnvVar> {
    let run = &object.spec.run;
    let port = listens.then(|| plain("PORT".to_owned(), &run.port.to_string()));
    // Whoever says it otherwise has files of another origin.
    let said = run.env.iter().any(|it| it.name.as_str() == bindings::ROOT);
    let root = (!run.bindings.is_empty() && !said)
        .then(|| plain(bindings::ROOT.to_owned(), bindings::FOLDER));
    let given = run
        .env
        .iter()
        .filter(|variable| variable.name.as_str() != "PORT");
    port.into_iter()
        .chain(root)
        .chain(given.map(|variable| {
            let name = variable.name.to_string();
            match (variable.copied(), &variable.value_from) {
                (Some(_), _) => {
                    let copy = names::environment(&object.name_any());
                    from_secret(name.clone(), copy, &name)
                }
                (None, Some(from)) => resolved(name, from, namespace, config),
                (None, None) => plain(name, variable.value.as_deref().unwrap_or_default()),
            }
        }))
        .collect()
}

fn resolved(name: String, from: &ValueFrom, namespace: &str, config: &Config) -> EnvVar {
    match (&from.service_ref, &from.database_ref) {
        (Some(service), _) => plain(name, &address(service, namespace, &config.cluster_domain)),
        (None, Some(database)) => from_secret(name, database.secret(), database.key.as_str()),
        // The schema refuses it.
        (None, None) => plain(name, ""),
    }
}

fn from_secret(name: String, secret: String, key: &str) -> EnvVar {
    EnvVar {
        name,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret,
                key: key.to_owned(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

/// The release's copy of what its variables refer to. Pods that start later, be it after the
/// release came back, get what those before them got. It never changes, and goes with the release.
pub fn copy(subject: &Subject<'_>, values: &Values) -> Secret {
    let release = subject.object.name_any();
    let mut metadata = meta::owned(subject.object, &names::environment(&release));
    for (key, value) in [
        (labels::SERVICE, subject.name()),
        (labels::PROJECT, &subject.place.project),
        (labels::RELEASE, &release),
    ] {
        meta::insert(&mut metadata.labels, key, value);
    }
    Secret {
        metadata,
        data: Some(values.0.clone()),
        immutable: Some(true),
        ..Secret::default()
    }
}

fn address(service: &ServiceReference, namespace: &str, cluster_domain: &str) -> String {
    let host = format!("{}.{namespace}.svc.{cluster_domain}", service.name);
    match service.key {
        AddressKey::Url => format!("http://{host}"),
        AddressKey::Host => host,
        AddressKey::Port => PORT.to_string(),
    }
}

fn plain(name: String, value: &str) -> EnvVar {
    EnvVar {
        name,
        value: Some(literal(value)),
        ..EnvVar::default()
    }
}

/// Text that kubelet leaves as it is. It replaces `$(NAME)` in values and commands, and makes `$`
/// of `$$`
/// (<https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables>).
pub fn literal(text: &str) -> String {
    if text.contains("$(") || text.contains("$$") {
        text.replace('$', "$$")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelet_gets_back_what_was_written() {
        for (text, escaped) in [
            ("plain", "plain"),
            ("a$b$", "a$b$"),
            ("$(HOME)", "$$(HOME)"),
            ("pa$$word$(x)$y", "pa$$$$word$$(x)$$y"),
        ] {
            assert_eq!(literal(text), escaped);
            assert_eq!(expand(escaped), text);
        }
    }

    #[test]
    fn a_service_without_an_address_is_named_and_waited_for() {
        let needed = Needed {
            reference: Reference::Service("jobs".to_owned()),
            copied: false,
            way_out: "remove JOBS_URL".to_owned(),
        };
        let missing = needed.missing("shop-production", Lack::Address);
        assert_eq!(
            missing.sentence,
            "Service jobs in namespace shop-production answers no requests (it has run.worker, or cron), so there is no address to refer to: remove JOBS_URL"
        );
        assert!(missing.watched);
    }

    /// What kubelet does where no variable is known (`third_party/forked/golang/expansion`).
    fn expand(text: &str) -> String {
        text.replace("$$", "$")
    }
}
