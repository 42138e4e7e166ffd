//! Reading objects again and again while something is waited for. A `kubectl` for each look would
//! take more of the node than what is looked at.

use std::{sync::OnceLock, time::Duration};

use backon::{BlockingRetryable, ConstantBuilder};
use kube::{
    Api, Client, Config, Discovery,
    api::{ApiResource, DynamicObject, ListParams},
    config::{KubeConfigOptions, Kubeconfig},
    discovery::Scope,
};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{Cluster, kubectl::resource};

/// Words for kinds that only `kubectl` knows.
const SHORT: [(&str, &str); 1] = [("pvc", "persistentvolumeclaims")];

/// A client, and the kinds that there are.
struct Reader {
    runtime: Runtime,
    client: Client,
    kinds: Vec<(ApiResource, Scope)>,
}

impl Reader {
    fn of(cluster: &Cluster) -> Result<Self, String> {
        let runtime = Runtime::new().map_err(|error| error.to_string())?;
        let (client, kinds) = runtime
            .block_on(connect(cluster))
            .map_err(|error| error.to_string())?;
        Ok(Self {
            runtime,
            client,
            kinds,
        })
    }

    /// Finds a kind by one of its names, as `kubectl` does: `pod`, `pods`, `deployments.apps`.
    fn kind(&self, word: &str) -> Option<&(ApiResource, Scope)> {
        let full = SHORT.iter().find(|(short, _)| *short == word);
        let word = full.map_or(word, |(_, full)| full);
        let (name, group) = word.split_once('.').unwrap_or((word, ""));
        let is_called =
            |kind: &ApiResource| kind.plural == name || kind.kind.to_lowercase() == name;
        let of = |(kind, _): &&(ApiResource, Scope)| {
            is_called(kind) && (group.is_empty() || kind.group == group)
        };
        // One of the core group goes before others of its name.
        let found = || self.kinds.iter().filter(of);
        found()
            .find(|(kind, _)| kind.group == group)
            .or(found().next())
    }

    fn api(&self, word: &str, namespace: &str) -> Api<DynamicObject> {
        let (kind, scope) = self
            .kind(word)
            .unwrap_or_else(|| panic!("the server has no resource type {word}"));
        match (scope, namespace) {
            (Scope::Cluster, _) | (_, "") => Api::all_with(self.client.clone(), kind),
            (Scope::Namespaced, _) => Api::namespaced_with(self.client.clone(), namespace, kind),
        }
    }
}

async fn connect(
    cluster: &Cluster,
) -> Result<(Client, Vec<(ApiResource, Scope)>), Box<dyn std::error::Error>> {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let config = Kubeconfig::read_from(&cluster.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let found = Discovery::new(client.clone()).run_aggregated().await?;
    let kinds = found
        .groups()
        .flat_map(|group| group.recommended_resources())
        .map(|(kind, capabilities)| (kind, capabilities.scope))
        .collect();
    Ok((client, kinds))
}

/// A connection that was kept may have ended with the server that it was to, and a pod that is
/// replaced is not there for a moment: both are looked at again for half a minute.
fn answered<T>(read: impl FnMut() -> kube::Result<T>) -> kube::Result<T> {
    let every = ConstantBuilder::default()
        .with_delay(Duration::from_millis(500))
        .with_max_times(60);
    let passes = |error: &kube::Error| match error {
        kube::Error::Api(status) => status.is_not_found(),
        _ => true,
    };
    read.retry(every).when(passes).call()
}

fn value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).expect("an object is JSON")
}

impl Cluster {
    fn reader(&self) -> &'static Reader {
        static READER: OnceLock<Reader> = OnceLock::new();
        READER.get_or_init(|| Reader::of(self).expect("the API server answers"))
    }

    /// An object as it is.
    ///
    /// # Panics
    /// If it is not there, nor will be soon.
    #[track_caller]
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Value {
        let reader = self.reader();
        let api = reader.api(resource(kind), namespace);
        let read = || reader.runtime.block_on(api.get(name));
        value(&answered(read).unwrap_or_else(|error| panic!("{kind} {namespace}/{name}: {error}")))
    }

    /// All objects of a kind in a namespace.
    ///
    /// # Panics
    /// If there is no such kind.
    #[track_caller]
    pub fn list(&self, kind: &str, namespace: &str) -> Vec<Value> {
        let reader = self.reader();
        let api = reader.api(resource(kind), namespace);
        let read = || reader.runtime.block_on(api.list(&ListParams::default()));
        let list = answered(read).unwrap_or_else(|error| panic!("{kind} in {namespace}: {error}"));
        list.items.iter().map(value).collect()
    }
}
