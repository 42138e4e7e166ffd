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

/// What was read, or why nothing was.
type Known = (Instant, Result<Secret, String>);

/// Secrets by namespace and name, as last read. Nobody watches them: that would need the right to
/// see all.
pub(crate) struct Secrets {
    client: Client,
    known: Mutex<HashMap<(String, String), Known>>,
}

impl Secrets {
    pub(crate) fn new(client: Client) -> Self {
        Self {
            client,
            known: Mutex::default(),
        }
    }

    /// A Secret.
    ///
    /// # Errors
    /// That it is not there, in a sentence that ends with `hint`.
    pub(crate) async fn get(&self, key: &(String, String), hint: &str) -> Result<Secret, String> {
        let known = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(key).cloned()
        };
        if let Some((_, found)) = known.filter(holds) {
            return found;
        }
        let (namespace, name) = key;
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get(name).await.map_err(|error| {
            if not_found(&error) {
                format!("Secret {name} does not exist: {hint}")
            } else {
                format!("Secret {name} cannot be read: {error}")
            }
        });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| holds(known));
        known.insert(key.clone(), (Instant::now(), found.clone()));
        found
    }

    /// Has a Secret read anew the next time. `true` if that may make a difference.
    pub(crate) fn forget(&self, key: Option<&(String, String)>) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let old = |(at, _): &mut Known| at.elapsed() > YOUNG;
        key.is_some_and(|key| known.get_mut(key).is_some_and(old) && known.remove(key).is_some())
    }
}

/// Whether it need not be read again. That a Secret is missing is remembered for a moment only: so
/// that a flood of questions is one request, and whoever makes it does not wait.
fn holds((at, found): &Known) -> bool {
    at.elapsed() < if found.is_ok() { KEEP } else { YOUNG }
}
