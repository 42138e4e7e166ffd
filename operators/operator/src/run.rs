//! `trackbed run`: the controllers, with leadership, health, metrics and a graceful stop.

mod controllers;
mod http;
mod leader;
mod webhooks;

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use futures::{FutureExt, future};
use k8s_openapi::{api::core::v1::Service, apimachinery::pkg::util::intstr::IntOrString};
use kube::{Api, Client, api::ListParams};
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use trackbed_kit::{Caches, Config, Context, config::Served, metrics::Metrics};

use crate::error::Error;
use controllers::Name;
use leader::{Lease, Times};

/// How long reconciles that are under way may take to end after a stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Runs the controllers until SIGTERM.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The operator's settings, a YAML file
    #[arg(long, env = "TRACKBED_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Which controllers to run
    #[arg(
        long,
        env = "TRACKBED_CONTROLLERS",
        value_delimiter = ',',
        default_values_t = Name::ALL,
        value_name = "NAMES"
    )]
    controllers: Vec<Name>,
    /// Where /healthz, /readyz and /metrics answer
    #[arg(
        long,
        env = "TRACKBED_LISTEN",
        default_value = "0.0.0.0:8080",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// Where forges' webhooks are received, if the settings say how they reach it
    #[arg(
        long,
        env = "TRACKBED_WEBHOOKS_LISTEN",
        default_value = "0.0.0.0:8090",
        value_name = "ADDRESS"
    )]
    webhooks_listen: SocketAddr,
    /// Who this process is in the Lease: the pod's name
    #[arg(long, env = "TRACKBED_IDENTITY", value_name = "NAME")]
    identity: Option<String>,
    /// Name of the Lease. Processes with other controllers need another
    #[arg(
        long,
        env = "TRACKBED_LEASE",
        default_value = "trackbed",
        value_name = "NAME"
    )]
    lease: String,
    /// Run without leader election: only when there is one process, as on a developer's machine
    #[arg(long, env = "TRACKBED_NO_LEADER_ELECTION")]
    no_leader_election: bool,
}

/// Runs until a signal, or until leadership is lost.
///
/// # Errors
/// Wrong settings, no API server, a lost Lease.
pub async fn run(options: Options) -> Result<(), Error> {
    let config = read(&options.config)?;
    let namespace = config.operator_namespace.clone();
    let client = Client::try_default().await.map_err(Error::Client)?;
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&mut registry));
    let identity = options.identity.clone().unwrap_or_else(own_name);
    let (state, ready) = watch::channel(false);
    let receives = config.webhooks.url.is_some() && options.controllers.contains(&Name::Service);
    let webhooks = match receives {
        true => {
            Some(webhooks::serve(options.webhooks_listen, client.clone(), &mut registry).await?)
        }
        false => None,
    };
    let server = http::serve(options.listen, Arc::new(registry), ready).await?;
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        signal().await;
        tracing::info!("stops: reconciles that are under way come to their end");
        // Nobody listens any more if everything has ended already.
        let _gone = stop.send(true);
    });
    // Ready is: it would take over. One of two replicas waits, and both are in order.
    state.send_replace(true);

    let lease = Lease::new(
        client.clone(),
        &namespace,
        &options.lease,
        &identity,
        Times::DEFAULT,
    );
    let mut held = None;
    if !options.no_leader_election {
        tracing::info!(lease = options.lease, identity, "waits for the Lease");
        tokio::select! {
            acquired = lease.acquire() => held = Some(acquired),
            () = stopped(stopping.clone()) => return Ok(()),
        }
        tracing::info!("leads");
    }
    let config = Config {
        served: served(&client).await?,
        api_ports: api_ports(&client).await?,
        ..config
    };
    let context = Arc::new(Context::new(client, config, metrics, Some(identity)));
    let work = work(&options, context, stopping.clone());
    let result = match held {
        None => {
            work.await;
            Ok(())
        }
        Some(held) => tokio::select! {
            () = work => {
                lease.release().await;
                Ok(())
            }
            // Another process may write from now on: this one must not, so it ends at once.
            error = lease.hold(held) => Err(error),
        },
    };
    server.abort();
    if let Some(webhooks) = webhooks {
        webhooks.abort();
    }
    result
}

/// Kinds of others that the cluster serves.
async fn served(client: &Client) -> Result<Served, Error> {
    let groups = client.list_api_groups().await.map_err(Error::Client)?;
    let serves = |name: &str| groups.groups.iter().any(|group| group.name == name);
    let served = Served {
        certificates: serves("cert-manager.io"),
        gateways: serves("gateway.networking.k8s.io"),
        cloudnative_pg: serves("postgresql.cnpg.io"),
        barman_cloud: serves("barmancloud.cnpg.io"),
    };
    tracing::info!(?served, "looked for kinds of others");
    Ok(served)
}

/// Ports of the API server: that of its Service, and the one behind it. Network policies count one or
/// the other, by who enforces them.
async fn api_ports(client: &Client) -> Result<Vec<i32>, Error> {
    let services: Api<Service> = Api::namespaced(client.clone(), "default");
    let named = ListParams::default().fields("metadata.name=kubernetes");
    let found = services.list(&named).await.map_err(Error::Client)?;
    let ports = found.items.into_iter().filter_map(|it| it.spec?.ports);
    let ports: BTreeSet<i32> = ports
        .flatten()
        .flat_map(|it| match it.target_port {
            Some(IntOrString::Int(behind)) => vec![it.port, behind],
            _ => vec![it.port],
        })
        .collect();
    Ok(ports.into_iter().collect())
}

/// Starts caches and controllers and waits until a stop has drained them.
async fn work(options: &Options, context: Arc<Context>, stopping: watch::Receiver<bool>) {
    let mut caches = Caches::default();
    let running: Vec<_> = options
        .controllers
        .iter()
        .map(|name| {
            tracing::info!(controller = %name, "starts");
            name.start(context.clone(), &mut caches, stopped(stopping.clone()))
        })
        .collect();
    let (watches, ready) = caches.start(&context.client);
    let watches = tokio::spawn(watches);
    tokio::select! {
        () = ready => {}
        () = stopped(stopping.clone()) => return,
    }
    tracing::info!("caches are filled");
    let controllers = future::join_all(running.into_iter().map(tokio::spawn)).map(|_| ());
    let drained = async {
        stopped(stopping).await;
        tokio::time::sleep(DRAIN).await;
        tracing::warn!("reconciles did not end in time");
    };
    tokio::select! {
        () = controllers => {}
        () = drained => {}
    }
    watches.abort();
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // A dropped sender means that the process is ending anyway.
    let _gone = stopping.wait_for(|stop| *stop).await;
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind: SignalKind| async move {
        match signal(kind) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            Err(error) => {
                tracing::error!(%error, "signals cannot be caught");
                future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::interrupt()) => {}
    }
}

fn read(file: &std::path::Path) -> Result<Config, Error> {
    let text = std::fs::read_to_string(file).map_err(|source| Error::File {
        path: file.to_owned(),
        source,
    })?;
    serde_saphyr::from_str(&text).map_err(|error| Error::Settings {
        path: file.to_owned(),
        message: error.to_string(),
    })
}

fn own_name() -> String {
    std::env::var("HOSTNAME").unwrap_or_else(|_| format!("trackbed-{}", std::process::id()))
}
