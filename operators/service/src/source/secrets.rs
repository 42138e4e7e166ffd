//! Credentials that looks need, read once in a while.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use trackbed_kit::error::not_found;

/// How long a Secret is taken as it was read.
const KEEP: Duration = Duration::from_secs(600);
/// A Secret that was read this lately is not read again for a refusal.
const YOUNG: Duration = Duration::from_secs(2);

/// Secrets by namespace and name, as last read. Nobody watches them: that would need the right to
/// see all.
pub(super) struct Secrets {
    client: Client,
    known: Mutex<HashMap<(String, String), (Instant, Secret)>>,
}

impl Secrets {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            known: Mutex::default(),
        }
    }

    /// A Secret.
    ///
    /// # Errors
    /// That it is not there, in a sentence that ends with `hint`.
    pub(super) async fn get(&self, key: &(String, String), hint: &str) -> Result<Secret, String> {
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(key).cloned()
        };
        if let Some((_, secret)) = known.filter(|(at, _)| at.elapsed() < KEEP) {
            return Ok(secret);
        }
        let (namespace, name) = key;
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let secret = api.get(name).await.map_err(|error| {
            if not_found(&error) {
                format!("Secret {name} does not exist: {hint}")
            } else {
                format!("Secret {name} cannot be read: {error}")
            }
        })?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| at.elapsed() < KEEP);
        known.insert(key.clone(), (Instant::now(), secret.clone()));
        Ok(secret)
    }

    /// Has a Secret read anew the next time. `true` if that may make a difference.
    pub(super) fn forget(&self, key: Option<&(String, String)>) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        key.and_then(|key| known.remove(key))
            .is_some_and(|(at, _)| at.elapsed() > YOUNG)
    }
}
