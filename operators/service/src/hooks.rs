//! What stands behind the door that forges knock at: which Services follow what was pushed, and how
//! they are told.
//!
//! A push is passed on through the API server, as an annotation of each Service that follows it: so
//! it is no matter which replica of the operator was called, and a push that was passed on is not
//! lost when that one ends. It makes the source be looked at, and nothing of the payload is believed
//! besides. A pull request is passed on likewise, and of it the forge is believed that it is open,
//! and of which branch: git does not tell.

mod index;
mod pulls;

use std::sync::{Arc, PoisonError, RwLock};

use futures::{StreamExt, future::BoxFuture, stream};
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use trackbed_api::{Service, labels};
use trackbed_forge::{
    delivery::{PullRequest, Push},
    receiver::{Hooks, Matched},
};
use trackbed_kit::error::not_found;

use crate::source::secrets::Secrets;
use index::{Feed, Target};

/// Key of the Secret that a forge signs with.
const KEY: &str = "secret";
/// Services that are told at once.
const AT_ONCE: usize = 16;

/// Webhooks of all Services.
pub struct Webhooks {
    client: Client,
    secrets: Secrets,
    feed: Arc<RwLock<Feed>>,
}

impl Webhooks {
    /// Knows nothing yet; the future keeps it up to date for as long as it runs.
    pub fn new(client: Client) -> (Self, BoxFuture<'static, ()>) {
        let feed = Arc::new(RwLock::new(Feed::default()));
        let webhooks = Self {
            secrets: Secrets::new(client.clone()),
            feed: feed.clone(),
            client: client.clone(),
        };
        (webhooks, Box::pin(watch(client, feed)))
    }

    fn read<T>(&self, ask: impl FnOnce(&Feed) -> T) -> T {
        ask(&self.feed.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn key(&self, namespace: &str, name: &str) -> Option<Vec<u8>> {
        let key = (namespace.to_owned(), name.to_owned());
        let secret = self.secrets.get(&key, "a webhook is signed with it").await;
        let secret = secret.inspect_err(|error| tracing::warn!(namespace, %error, "no webhook"));
        let found = secret.ok()?.data?.remove(KEY)?.0;
        // Files and editors end lines; forges do not take what they were given for lines.
        Some(found.trim_ascii_end().to_vec())
    }

    async fn pass_on(
        &self,
        namespace: &str,
        name: &str,
        targets: Vec<Target>,
    ) -> Option<Vec<Matched>> {
        let told = stream::iter(targets).map(|target| async move {
            let triggered = self.tell(namespace, &target).await?;
            Ok::<_, kube::Error>(Matched {
                service: target.service,
                r#ref: target.reference,
                triggered,
            })
        });
        let told: Vec<_> = told.buffered(AT_ONCE).collect().await;
        let told: Result<Vec<_>, _> = told.into_iter().collect();
        told.inspect_err(|error| tracing::warn!(namespace, name, %error, "it is not passed on"))
            .ok()
    }

    /// Writes what a Service is told. `false`: it knew, or is gone.
    async fn tell(&self, namespace: &str, target: &Target) -> Result<bool, kube::Error> {
        let Some((annotation, value)) = &target.value else {
            return Ok(false);
        };
        let api: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let annotations = json!({annotation: value});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        let manager = PatchParams {
            field_manager: Some(labels::field_manager("webhook")),
            ..PatchParams::default()
        };
        match api.patch_metadata(&target.service, &manager, &patch).await {
            Ok(_) => Ok(true),
            Err(error) if not_found(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

async fn watch(client: Client, feed: Arc<RwLock<Feed>>) {
    let services: Api<Service> = Api::all(client);
    let events = watcher(services, watcher::Config::default()).default_backoff();
    events
        .for_each(|event| {
            match event {
                Ok(event) => feed
                    .write()
                    .unwrap_or_else(PoisonError::into_inner)
                    .apply(event),
                Err(error) => tracing::warn!(%error, "watch failed, it is tried again"),
            }
            futures::future::ready(())
        })
        .await;
}

impl Hooks for Webhooks {
    fn known(&self, namespace: &str, name: &str) -> bool {
        self.read(|feed| feed.now().known(namespace, name))
    }

    async fn secret(&self, namespace: &str, name: &str) -> Option<Vec<u8>> {
        self.key(namespace, name).await
    }

    async fn renewed(&self, namespace: &str, name: &str) -> Option<Vec<u8>> {
        let key = (namespace.to_owned(), name.to_owned());
        if !self.secrets.forget(Some(&key)) {
            return None;
        }
        self.key(namespace, name).await
    }

    async fn push(&self, namespace: &str, name: &str, push: &Push) -> Option<Vec<Matched>> {
        let now = Timestamp::now();
        let targets = self.read(|feed| feed.now().targets(namespace, name, push, now));
        self.pass_on(namespace, name, targets).await
    }

    async fn pull_request(
        &self,
        namespace: &str,
        name: &str,
        request: &PullRequest,
    ) -> Option<Vec<Matched>> {
        let now = Timestamp::now();
        let targets = self.read(|feed| feed.now().previews(namespace, name, request, now));
        self.pass_on(namespace, name, targets).await
    }
}
