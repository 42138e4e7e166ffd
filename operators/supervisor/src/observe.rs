//! How the server, its volume and its backups are: metrics for Prometheus and the controller.

pub mod backups;
pub mod databases;

use std::{
    future::Future,
    net::{Ipv4Addr, Ipv6Addr},
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use axum::{Router, http::header, routing::get};
use prometheus_client::{
    encoding::text::encode,
    metrics::{gauge::Gauge, info::Info},
    registry::Registry,
};
use tokio::net::TcpListener;

use crate::{Engine, Error, Options, storage, version};
use backups::{Backups, Known};

/// Port that they are told at.
pub const PORT: u16 = 9187;
/// Until the server and its volume are looked at again.
const EVERY: Duration = Duration::from_secs(30);
/// The same of one of several servers: who is the primary may change at any time.
const SOONER: Duration = Duration::from_secs(5);
/// What the names of metrics begin with.
pub const PREFIX: &str = "trackbed_database";
/// The metrics of every server: the rest of their names, and what they tell.
pub const METRICS: [(&str, &str); 6] = [
    ("up", "Whether the server answers"),
    ("connections", "Clients that are connected"),
    ("connections_max", "Most clients that may be connected"),
    ("data_bytes", "What the server's files take on disk"),
    ("volume_bytes", "Size of the file system that they are on"),
    ("volume_available_bytes", "What is left on it"),
];
/// Type of the answer: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What a server says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Clients that are connected.
    pub(crate) connections: u64,
    /// Most that may be.
    pub(crate) connections_max: u64,
    /// Of one of several servers.
    pub(crate) group: Option<Group>,
}

/// What a server says that is one of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Group {
    /// Whether it takes writes.
    pub(crate) primary: bool,
    /// Servers that there are to be.
    pub(crate) replicas: u64,
}

/// The metrics of one of several servers.
pub const GROUP: [(&str, &str); 2] = [
    ("primary", "Whether the server takes writes"),
    ("replicas", "Servers that there are to be"),
];

type Number = Gauge<u64, AtomicU64>;

/// What was seen last.
#[derive(Clone, Default)]
struct Gauges {
    up: Number,
    connections: Number,
    connections_max: Number,
    data: Number,
    size: Number,
    available: Number,
    /// Those of [`GROUP`], where there are several.
    group: Option<[Number; 2]>,
    backups: Known,
    databases: databases::Known,
    /// Version of the server, if it says one.
    version: Option<String>,
}

impl Gauges {
    fn register(&self) -> Registry {
        let mut registry = Registry::with_prefix(PREFIX);
        let gauges = [
            &self.up,
            &self.connections,
            &self.connections_max,
            &self.data,
            &self.size,
            &self.available,
        ];
        for ((name, help), gauge) in METRICS.into_iter().zip(gauges) {
            registry.register(name, help, gauge.clone());
        }
        for (gauge, (name, help)) in self.group.iter().flatten().zip(GROUP) {
            registry.register(name, help, gauge.clone());
        }
        if let Some(version) = &self.version {
            let labels = vec![("version", version.clone())];
            registry.register("server", "The server", Info::new(labels));
        }
        registry.register_collector(Box::new(self.backups.clone()));
        registry.register_collector(Box::new(self.databases.clone()));
        registry
    }

    fn set_load(&self, load: Result<Load, Error>) {
        self.up.set(load.is_ok().into());
        let load = load.unwrap_or_default();
        self.connections.set(load.connections);
        self.connections_max.set(load.connections_max);
        if let Some([primary, replicas]) = &self.group {
            let group = load.group.unwrap_or_default();
            primary.set(group.primary.into());
            // How many there are to be it does not forget.
            if group.replicas > 0 {
                replicas.set(group.replicas);
            }
        }
    }

    fn look_at_backups(&self, options: &Options) {
        self.backups.set(Backups::read(&options.state));
    }

    async fn look_at_volume(&self, options: &Options) {
        let folder = options.data.clone();
        let look = move || (storage::Room::of(&folder), storage::taken(&folder));
        if let Ok((Some(room), taken)) = tokio::task::spawn_blocking(look).await {
            self.data.set(taken);
            self.size.set(room.size);
            self.available.set(room.available);
        }
    }
}

/// Looks at the server, its volume and its backups again and again, and tells who asks. That nobody
/// can ask is said and stops no server.
pub(crate) async fn observe<F>(
    engine: Engine,
    options: Options,
    databases: databases::Known,
    load: impl Fn() -> F,
) where
    F: Future<Output = Result<Load, Error>>,
{
    let gauges = Gauges {
        version: said(engine, &options).await,
        group: options.pod.as_ref().map(|_| <[Number; 2]>::default()),
        databases,
        ..Gauges::default()
    };
    gauges.look_at_volume(&options).await;
    gauges.look_at_backups(&options);
    let told = tokio::spawn(tell(Arc::new(gauges.register())));
    let every = gauges.group.as_ref().map_or(EVERY, |_| SOONER);
    while !told.is_finished() {
        gauges.set_load(load().await);
        tokio::time::sleep(every).await;
        gauges.look_at_volume(&options).await;
        gauges.look_at_backups(&options);
    }
}

/// The server's version. Without it, the rest is told.
async fn said(engine: Engine, options: &Options) -> Option<String> {
    let options = options.clone();
    let said = tokio::task::spawn_blocking(move || version::of(engine, &options)).await;
    said.ok()?
        .inspect_err(|error| eprintln!("trackbed: {error}"))
        .ok()
}

async fn tell(registry: Arc<Registry>) {
    let metrics = move || {
        let mut text = String::new();
        // Writing to a text does not fail.
        let _whole = encode(&mut text, &registry);
        std::future::ready(([(header::CONTENT_TYPE, OPEN_METRICS)], text))
    };
    let router = Router::new().route("/metrics", get(metrics));
    let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)).await {
        // Where there is no IPv6.
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await,
        bound => bound,
    };
    let ended = match listener {
        Ok(listener) => axum::serve(listener, router).await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        eprintln!("trackbed: there are no metrics: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_seen_last_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("file"), vec![1; 8192]).expect("a file");
        let state = tempfile::tempdir().expect("a folder");
        let stand = r#"{"scheduled":true,"failed":false}"#;
        std::fs::write(state.path().join(backups::FILE), stand).expect("a file");
        let options = Options {
            data: folder.path().to_owned(),
            state: state.path().to_owned(),
            ..Options::test()
        };
        let gauges = Gauges {
            version: Some("17.6".to_owned()),
            ..Gauges::default()
        };
        gauges.set_load(Ok(Load {
            connections: 3,
            connections_max: 100,
            group: None,
        }));
        gauges.look_at_volume(&options).await;
        gauges.look_at_backups(&options);
        let text = |gauges: &Gauges| {
            let mut text = String::new();
            encode(&mut text, &gauges.register()).expect("text");
            text
        };
        let said = text(&gauges);
        for line in [
            "trackbed_database_up 1",
            "trackbed_database_server_info{version=\"17.6\"} 1",
            "trackbed_database_connections 3",
            "trackbed_database_connections_max 100",
            "trackbed_database_data_bytes 8192",
            "trackbed_database_backup_scheduled 1",
        ] {
            assert!(said.lines().any(|it| it == line), "{line}: {said}");
        }
        gauges.set_load(Err(Error::NoAnswer("no".to_owned())));
        let said = text(&gauges);
        assert!(said.contains("trackbed_database_up 0"), "{said}");
        assert!(said.contains("trackbed_database_connections 0"), "{said}");
    }
}
