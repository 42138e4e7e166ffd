//! Every read of a reconcile: from the caches, and by GET what nobody watches.

use std::{collections::BTreeMap, fmt, sync::Arc};

use k8s_openapi::{
    ByteString, NamespaceResourceScope,
    api::{
        core::v1::{
            ConfigMap, LimitRange, Namespace, PersistentVolumeClaim, ResourceQuota, Secret,
        },
        networking::v1::NetworkPolicy,
        rbac::v1::RoleBinding,
    },
};
use kube::{Api, Resource, ResourceExt, api::ListParams};
use trackbed_api::{Database, Project, labels, names};
use trackbed_kit::{Cache, Caches, Context, Error, cache::Watched, meta};

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
    /// What holds data in it. Looked for only where the namespace may have to go.
    pub data: Vec<Data>,
}

/// What a plan is made from.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The environments of the spec, in its order.
    pub environments: Vec<Environment>,
    /// Environments that are not in the spec any more.
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
pub async fn observe(context: &Context, stores: &Stores, object: &Project) -> Result<Seen, Error> {
    let name = object.name_any();
    let wanted: Vec<String> = object
        .spec
        .environments
        .iter()
        .map(|environment| names::namespace(&name, &environment.name))
        .collect();
    let mut seen = Seen::default();
    for namespace in &wanted {
        let mut environment = cached(stores, namespace);
        if environment.live.is_none() {
            environment.live = get(Api::<Namespace>::all(context.client.clone()), namespace)
                .await?
                .map(Arc::new);
        }
        let ours = environment
            .live
            .as_deref()
            .is_some_and(|live| meta::label(live, labels::PROJECT) == Some(name.as_str()));
        if ours && !meta::is_deleted(object) {
            environment.secrets = secrets(context, namespace).await?;
            environment.config_maps = build_files(context, namespace).await?;
        } else if ours {
            environment.data = data(context, namespace).await?;
        }
        seen.environments.push(environment);
    }
    let former = stores.namespaces.list_all(|namespace| {
        meta::label(namespace, labels::PROJECT) == Some(name.as_str())
            && !wanted.contains(&namespace.name_any())
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

async fn list<K>(context: &Context, namespace: &str) -> Result<Vec<K>, Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let found = api.list(&ListParams::default()).await.map_err(|source| {
        Error::api(
            format!("list {}s of namespace {namespace}", K::kind(&())),
            source,
        )
    })?;
    Ok(found.items)
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

async fn secrets(context: &Context, namespace: &str) -> Result<BTreeMap<String, Secret>, Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let mut found = BTreeMap::new();
    for name in [names::PUSH_SECRET, names::PULL_SECRET] {
        match get(api.clone(), name).await {
            Ok(Some(secret)) => {
                found.insert(name.to_owned(), secret);
            }
            Ok(None) => {}
            // The rights in a new environment come with its first binding.
            Err(error) if forbidden(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

async fn build_files(context: &Context, namespace: &str) -> Result<Vec<Arc<ConfigMap>>, Error> {
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
    match get(api, names::BUILD_CONFIG_MAP).await {
        Ok(found) => Ok(found.into_iter().map(Arc::new).collect()),
        Err(error) if forbidden(&error) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether the API server says that we may not.
pub fn forbidden(error: &Error) -> bool {
    matches!(error, Error::Api { source: kube::Error::Api(status), .. } if status.code == 403)
}

async fn get<K>(api: Api<K>, name: &str) -> Result<Option<K>, Error>
where
    K: Resource<DynamicType = ()> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    api.get_opt(name)
        .await
        .map_err(|source| Error::api(format!("get {} {name}", K::kind(&())), source))
}

async fn source(context: &Context, name: Option<&str>) -> Result<Source, Error> {
    let Some(name) = name else {
        return Ok(Source::None);
    };
    let namespace = &context.config.operator_namespace;
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let Some(secret) = get(api, name).await? else {
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
