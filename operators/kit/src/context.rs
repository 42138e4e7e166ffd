//! What a reconcile is given besides its object.

use std::sync::Arc;

use kube::{
    Client,
    runtime::events::{Recorder, Reporter},
};

use crate::{Config, metrics::Metrics};

/// Client, settings, events and metrics of one process.
#[derive(Clone)]
pub struct Context {
    /// The API client.
    pub client: Client,
    /// The operator's settings.
    pub config: Arc<Config>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Publishes Events.
    pub recorder: Recorder,
}

impl Context {
    /// A context for a process. `instance` is the pod's name.
    pub fn new(
        client: Client,
        config: Config,
        metrics: Arc<Metrics>,
        instance: Option<String>,
    ) -> Self {
        let reporter = Reporter {
            controller: "trackbed.dev/operator".into(),
            instance,
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            config: Arc::new(config),
            metrics,
        }
    }
}
