//! Every read of a reconcile: from the caches, and by GET what nobody watches.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::{
        core::v1::{
            ConfigMap, LimitRange, Namespace, PersistentVolumeClaim, ResourceQuota, Secret,
        },
        networking::v1::NetworkPolicy,
        rbac::v1::RoleBinding,
    },
};
use kube::{Api, ResourceExt};
use trackbed_api::{Database, Project, Service, labels, names};
use trackbed_kit::{Cache, Caches, Context, Error, cache::Watched, meta, read::get};

use crate::{
    plan::{
        copies,
        previews::{self, Wanted},
    },
    read::{by_name, list},
};

/// The caches that the controller reads.
#[derive(Clone)]
pub struct Stores {
    /// All Projects.
    pub projects: Cache<Project>,
    /// The environments' namespaces.
    pub namespaces: Cache<Namespace>,
    bindings: Cache<RoleBinding>,
    quotas: Cache<ResourceQuota>,
    limits: Cache<LimitRange>,
    policies: Cache<NetworkPolicy>,
    /// Services, for previews.
    pub services: Cache<Service>,
    /// Databases, for previews.
    pub databases: Cache<Database>,
}

impl Stores {
    /// Asks for the caches.
    pub fn new(caches: &mut Caches) -> Self {
        Self {
            projects: caches.all(),
            namespaces: caches.managed(),
            bindings: caches.managed(),
            quotas: caches.managed(),
            limits: caches.managed(),
            policies: caches.managed(),
            services: caches.all(),
            databases: caches.all(),
        }
    }
}

/// A Secret that is copied into each environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Source {
    /// The settings name none.
    #[default]
    None,
    /// It is not there, or not of the right type. The sentence says which.
    Missing(String),
    /// Its data.
    Found(BTreeMap<String, ByteString>),
}

/// Something that holds data.
#[derive(Clone, Debug)]
pub enum Data {
    /// A Database.
    Database(Arc<Database>),
    /// A claim, of a Database that was or of anybody.
    Claim(String),
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(database) => write!(f, "Database {}", database.name_any()),
            Self::Claim(name) => write!(f, "claim {name}"),
        }
    }
}

/// An environment as it is.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// What is wanted. Nothing is, of an environment that is only left over.
    pub wanted: Option<Wanted>,
    /// Name of its namespace.
    pub namespace: String,
    /// The namespace.
    pub live: Option<Arc<Namespace>>,
    /// Bindings that are Trackbed's.
    pub bindings: Vec<Arc<RoleBinding>>,
    /// Quotas that are Trackbed's.
    pub quotas: Vec<Arc<ResourceQuota>>,
    /// Default limits that are Trackbed's.
    pub limits: Vec<Arc<LimitRange>>,
    /// Policies that are the Project's.
    pub policies: Vec<Arc<NetworkPolicy>>,
    /// ConfigMaps that are the Project's.
    pub config_maps: Vec<Arc<ConfigMap>>,
    /// The Secrets that the Project makes, by name.
    pub secrets: BTreeMap<String, Secret>,
    /// The Services in it, of a preview.
    pub services: Vec<Arc<Service>>,
    /// The Databases in it, of a preview.
    pub databases: Vec<Arc<Database>>,
    /// What holds data in it. Looked for only where the namespace may have to go.
    pub data: Vec<Data>,
}

/// What previews have copies of.
#[derive(Clone, Debug, Default)]
pub struct Base {
    /// Services.
    pub services: Vec<Arc<Service>>,
    /// Databases.
    pub databases: Vec<Arc<Database>>,
    /// The Secrets that are to be copied, as far as they are there.
    pub secrets: BTreeMap<String, Secret>,
    /// ConfigMaps likewise.
    pub config_maps: BTreeMap<String, ConfigMap>,
}

/// What a plan is made from.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The environments that are to be: those of the spec in its order, then pull requests'.
    pub environments: Vec<Environment>,
    /// Previews that are asked for and are not to be, with the reason.
    pub refused: Vec<(Wanted, String)>,
    /// When the next preview ends by itself.
    pub next_end: Option<Timestamp>,
    /// What previews have copies of.
    pub base: Base,
    /// Environments that are not to be any more.
    pub former: Vec<Environment>,
    /// Credentials that push images.
    pub push: Source,
    /// Credentials that pull them.
    pub pull: Source,
}

/// Reads everything.
///
/// # Errors
/// The API server's, of the GETs.
pub async fn observe(
    context: &Context,
    stores: &Stores,
    object: &Project,
    now: Timestamp,
) -> Result<Seen, Error> {
    let name = object.name_any();
    let mut seen = Seen {
        base: base(context, stores, object).await?,
        ..Seen::default()
    };
    let own = |it: &Namespace| meta::label(it, labels::PROJECT) == Some(name.as_str());
    let standing = stores.namespaces.list_all(|it| {
        own(it) && meta::label(it, labels::PREVIEW).is_some() && !meta::is_deleted(it)
    });
    let standing = standing.iter().filter_map(|it| {
        let name = meta::label(it.as_ref(), labels::ENVIRONMENT)?;
        Some(name.to_owned())
    });
    let services = &seen.base.services;
    let environments = previews::environments(object, services, &standing.collect(), now);
    seen.refused = environments.refused;
    seen.next_end = environments.next;
    for wanted in environments.wanted {
        let namespace = names::namespace(&name, &wanted.name);
        let mut environment = cached(stores, &namespace);
        if environment.live.is_none() {
            environment.live = get(&Api::<Namespace>::all(context.client.clone()), &namespace)
                .await?
                .map(Arc::new);
        }
        let ours = environment
            .live
            .as_deref()
            .is_some_and(|live| meta::label(live, labels::PROJECT) == Some(name.as_str()));
        if ours && !meta::is_deleted(object) {
            inside(context, stores, object, &wanted, &mut environment).await?;
        } else if ours {
            environment.data = data(context, &namespace).await?;
        }
        environment.wanted = Some(wanted);
        seen.environments.push(environment);
    }
    let former = stores.namespaces.list_all(|namespace| {
        let is_wanted = |it: &Environment| it.namespace == namespace.name_any();
        own(namespace) && !seen.environments.iter().any(is_wanted)
    });
    for namespace in former {
        let namespace = namespace.name_any();
        let mut environment = cached(stores, &namespace);
        environment.data = data(context, &namespace).await?;
        seen.former.push(environment);
    }
    let (push, pull) = credentials(context, object);
    seen.push = source(context, push).await?;
    seen.pull = source(context, pull).await?;
    Ok(seen)
}

/// What previews have copies of, where the Project has previews.
async fn base(context: &Context, stores: &Stores, object: &Project) -> Result<Base, Error> {
    let Some(previews) = &object.spec.previews else {
        return Ok(Base::default());
    };
    if meta::is_deleted(object) {
        return Ok(Base::default());
    }
    let namespace = &names::namespace(&object.name_any(), &previews.of);
    let mut base = Base {
        services: stores.services.list(namespace, |it| !meta::is_deleted(it)),
        databases: stores.databases.list(namespace, |it| !meta::is_deleted(it)),
        ..Base::default()
    };
    let secrets = previews.secrets.iter().map(|it| it.as_str());
    base.secrets = by_name(context, namespace, secrets).await?;
    let config_maps = previews.config_maps.iter().map(|it| it.as_str());
    base.config_maps = by_name(context, namespace, config_maps).await?;
    Ok(base)
}

/// What is in an environment that nobody watches, and what of a preview was copied.
async fn inside(
    context: &Context,
    stores: &Stores,
    object: &Project,
    wanted: &Wanted,
    environment: &mut Environment,
) -> Result<(), Error> {
    let namespace = environment.namespace.clone();
    let copied = copies::named(object, wanted, environment.live.as_deref());
    let made = [names::PUSH_SECRET, names::PULL_SECRET].into_iter();
    let secrets = copied.secrets.iter().map(String::as_str).chain(made);
    environment.secrets = by_name(context, &namespace, secrets).await?;
    let config_maps = copied.config_maps.iter().map(String::as_str);
    let config_maps = config_maps.chain([names::BUILD_CONFIG_MAP]);
    let config_maps = by_name::<ConfigMap>(context, &namespace, config_maps).await?;
    environment.config_maps = config_maps.into_values().map(Arc::new).collect();
    if wanted.preview.is_some() {
        environment.services = stores.services.list(&namespace, |_| true);
        environment.databases = stores.databases.list(&namespace, |_| true);
    }
    Ok(())
}

/// Names of the Secrets that push and pull a Project's images.
fn credentials<'a>(
    context: &'a Context,
    object: &'a Project,
) -> (Option<&'a str>, Option<&'a str>) {
    match &object.spec.registry {
        Some(registry) => {
            let own = registry
                .secret_ref
                .as_ref()
                .map(|secret| secret.name.as_str());
            (own, own)
        }
        None => {
            let registry = &context.config.registry;
            let push = registry.push_secret.as_deref();
            (push, registry.pull_secret.as_deref().or(push))
        }
    }
}

fn cached(stores: &Stores, namespace: &str) -> Environment {
    Environment {
        wanted: None,
        services: Vec::new(),
        databases: Vec::new(),
        namespace: namespace.to_owned(),
        live: stores.namespaces.get_cluster(namespace),
        bindings: ours(&stores.bindings, namespace),
        quotas: ours(&stores.quotas, namespace),
        limits: ours(&stores.limits, namespace),
        policies: ours(&stores.policies, namespace),
        config_maps: Vec::new(),
        secrets: BTreeMap::new(),
        data: Vec::new(),
    }
}

/// What holds data in a namespace that may have to go. Asked of the API server: a cache may be
/// late, knows only Trackbed's claims, and this deletion has no way back.
async fn data(context: &Context, namespace: &str) -> Result<Vec<Data>, Error> {
    let databases = list::<Database>(context, namespace).await?;
    let claims = list::<PersistentVolumeClaim>(context, namespace).await?;
    let databases = databases.into_iter().map(|it| Data::Database(Arc::new(it)));
    let claims = claims
        .iter()
        .filter(|claim| !is_cache(claim))
        .map(|claim| Data::Claim(claim.name_any()));
    Ok(databases.chain(claims).collect())
}

/// Whether a claim is a Service's build cache, which can be made again.
fn is_cache(claim: &PersistentVolumeClaim) -> bool {
    meta::is_managed(claim)
        && meta::label(claim, labels::SERVICE)
            .is_some_and(|service| claim.name_any() == names::build_cache(service))
}

/// Children of the Project itself: those of Databases and Services have an owner.
fn ours<K: Watched>(cache: &Cache<K>, namespace: &str) -> Vec<Arc<K>> {
    cache.list(namespace, |object| {
        meta::label(object, labels::PROJECT).is_some()
            && meta::controller(object).is_none()
            && meta::label(object, labels::DATABASE).is_none()
            && meta::label(object, labels::SERVICE).is_none()
    })
}

async fn source(context: &Context, name: Option<&str>) -> Result<Source, Error> {
    let Some(name) = name else {
        return Ok(Source::None);
    };
    let namespace = &context.config.operator_namespace;
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let Some(secret) = get(&api, name).await? else {
        return Ok(Source::Missing(format!(
            "Secret {name} with the registry's credentials does not exist in namespace {namespace}: create it with 'kubectl create secret docker-registry'"
        )));
    };
    let data = secret.data.unwrap_or_default();
    if !data.contains_key(".dockerconfigjson") {
        return Ok(Source::Missing(format!(
            "Secret {name} in namespace {namespace} must be of type kubernetes.io/dockerconfigjson"
        )));
    }
    Ok(Source::Found(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trackbeds_own_build_cache_is_no_data() {
        let claim = |yaml: &str| {
            let claim = serde_saphyr::from_str(&format!("metadata: {yaml}\n"));
            is_cache(&claim.expect("a claim"))
        };
        let labels = "app.kubernetes.io/managed-by: trackbed, trackbed.dev/service: web";
        assert!(claim(&format!(
            "{{name: web-build-cache, labels: {{{labels}}}}}"
        )));
        assert!(!claim(&format!("{{name: web-data, labels: {{{labels}}}}}")));
        assert!(!claim("{name: web-build-cache}"));
    }
}
