//! Several servers: CloudNativePG's Cluster. It stays when the Database goes, because its volumes
//! would go with it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use serde_json::{Value, json};
use trackbed_api::{labels, names, scalar::Quantity, tls::TlsMode};
use trackbed_kit::{claim, meta};

use super::{
    Place,
    archive::Fate,
    pod, queries,
    recovery::{self, Origin},
    rotation::Logins,
    secret::Login,
    server::RESOURCES,
    settings,
    tls::Transport,
};
use crate::{
    cloudnative_pg::{
        Bootstrap, Certificates, Cluster, ClusterSpec, ExternalCluster, HIBERNATION, Initdb, Key,
        Managed, Metadata, Monitoring, Name, Plugin, Postgresql, Role, Storage, Synchronous,
    },
    observe::Seen,
};

/// How long a server that is to end waits for clients to leave, in seconds: as the single one does,
/// hardly.
const PATIENCE: i32 = 5;
/// And how long it may take then: what it writes at its end may be much.
const END: i32 = 120;
/// Shares of the volume that the log takes, in percent, and the least and the most of each, in MiB.
/// Between two checkpoints: the server's own default is made for larger volumes.
const BETWEEN: (i128, i128, i128) = (10, 64, 1 << 10);
/// In any case: a primary that was taken over from goes back to the last checkpoint before that.
const KEPT: (i128, i128, i128) = (20, 96, 2 << 10);
/// For a server that is away: one that is away for longer begins anew, and the primary's volume is not
/// filled for it.
const AWAY: (i128, i128, i128) = (30, 96, i128::MAX);
/// What is used again instead of removed: the least that the server takes.
const REUSED: &str = "32MB";

/// What a Cluster is made from besides its Database.
pub(super) struct Made<'a> {
    /// Name of the database, and of the role that owns it.
    pub(super) database: &'a str,
    /// Whose the data are.
    pub(super) identity: &'a str,
    /// Whom the servers let in.
    pub(super) logins: &'a Logins,
    /// How connections are encrypted.
    pub(super) transport: Option<&'a Transport>,
    /// How it is now.
    pub(super) live: Option<&'a Cluster>,
    /// Whether the super-user is let in.
    pub(super) superuser: bool,
    /// Whether the parameters that are asked for are refused, and those of before stay.
    pub(super) refused: bool,
    /// Whether its volumes cannot grow to the size that is asked for.
    pub(super) cannot_grow: bool,
    /// Who keeps the log.
    pub(super) archive: Option<Plugin>,
    /// What it begins with.
    pub(super) begins: Begins<'a>,
    /// What tells that from something else.
    pub(super) mark: Option<String>,
}

/// What servers begin with.
pub(super) enum Begins<'a> {
    /// An empty database.
    Empty,
    /// What is in an archive.
    As(&'a Origin),
    /// What they began with: it cannot be said now.
    AsBefore,
}

/// The Cluster.
pub(super) fn desired(place: &Place<'_>, made: &Made<'_>) -> Cluster {
    let spec = &place.object.spec;
    let storage = storage(place, made);
    let kept = made.live.filter(|_| made.refused);
    let mut metadata = place.retained(&place.name);
    let sleeps = if spec.suspend { "on" } else { "off" };
    meta::insert(&mut metadata.annotations, HIBERNATION, sleeps);
    meta::insert(&mut metadata.annotations, labels::IDENTITY, made.identity);
    if let Some(mark) = &made.mark {
        meta::insert(&mut metadata.annotations, recovery::ASKED, mark);
    }
    let (bootstrap, external_clusters) = begins(place, made);
    Cluster {
        metadata,
        spec: ClusterSpec {
            instances: spec.replicas,
            image_name: tagged(&place.image, &spec.version),
            postgres_uid: pod::USER,
            postgres_gid: pod::USER,
            enable_superuser_access: made.superuser,
            smart_shutdown_timeout: PATIENCE,
            stop_delay: END,
            primary_update_strategy: "unsupervised".to_owned(),
            primary_update_method: "switchover".to_owned(),
            bootstrap,
            postgresql: Postgresql {
                parameters: match kept {
                    Some(live) => live.spec.postgresql.parameters.clone(),
                    None => parameters(place, &storage),
                },
                pg_hba: hba(made.transport),
                synchronous: synchronous(),
            },
            managed: Managed {
                roles: roles(place, made),
            },
            certificates: made.transport.map(|it| Certificates {
                server_tls_secret: it.secret.clone(),
                server_ca_secret: it.secret.clone(),
            }),
            monitoring: Monitoring {
                custom_queries_config_map: vec![Key {
                    name: settings::name(&place.name),
                    key: queries::FILE.to_owned(),
                }],
            },
            plugins: made.archive.iter().cloned().collect(),
            external_clusters,
            storage,
            resources: spec.resources.with_defaults(RESOURCES),
            inherited_metadata: Metadata {
                labels: BTreeMap::from([
                    (labels::DATABASE.to_owned(), place.name.clone()),
                    (labels::PROJECT.to_owned(), place.project.to_owned()),
                ]),
            },
        },
        status: None,
    }
}

/// The image with a tag, where CloudNativePG reads the major version: a digest does not tell it.
fn tagged(image: &str, version: &str) -> String {
    match image.split_once('@') {
        Some((name, digest)) => format!("{name}:{version}@{digest}"),
        None => image.to_owned(),
    }
}

/// What it begins with, and whose data these are.
fn begins(place: &Place<'_>, made: &Made<'_>) -> (Bootstrap, Vec<ExternalCluster>) {
    let owner = made.database;
    let users = users(place, made);
    let own = users.iter().find(|(login, _)| login.username == owner);
    let secret = Name {
        name: own.map_or_else(|| names::credentials(&place.name), |(_, it)| it.clone()),
    };
    match (&made.begins, made.live) {
        (Begins::As(origin), _) => (origin.bootstrap(owner, secret), vec![origin.external()]),
        (Begins::AsBefore, Some(live)) => {
            let live = &live.spec;
            (live.bootstrap.clone(), live.external_clusters.clone())
        }
        (Begins::Empty | Begins::AsBefore, _) => {
            let bootstrap = Bootstrap {
                initdb: Some(empty(owner, secret, &users)),
                recovery: None,
            };
            (bootstrap, Vec::new())
        }
    }
}

/// Postgres' own order of texts, and checksums, as a single server has them.
fn empty(owner: &str, secret: Name, users: &[(&Login, String); 2]) -> Initdb {
    Initdb {
        database: owner.to_owned(),
        owner: owner.to_owned(),
        secret,
        encoding: "UTF8".to_owned(),
        locale_collate: "C.UTF-8".to_owned(),
        locale_c_type: "C.UTF-8".to_owned(),
        data_checksums: true,
        post_init_application_sql: members(owner, users),
    }
}

/// SQL after which what the users make belongs to one role, whoever of them makes it.
fn members(owner: &str, users: &[(&Login, String); 2]) -> Vec<String> {
    let name = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let owner = name(owner);
    let users = users.iter().map(|(login, _)| name(&login.username));
    users
        .filter(|user| *user != owner)
        .flat_map(|user| {
            [
                format!("create role {user} login"),
                format!("grant {owner} to {user}"),
                format!("alter role {user} set role to {owner}"),
            ]
        })
        .collect()
}

/// Whoever is let in, and the Secret with the password.
fn users<'a>(place: &Place<'_>, made: &Made<'a>) -> [(&'a Login, String); 2] {
    [
        (&made.logins.current, names::credentials(&place.name)),
        (&made.logins.reserve.login, names::standby(&place.name)),
    ]
}

fn roles(place: &Place<'_>, made: &Made<'_>) -> Vec<Role> {
    let mut users = users(place, made);
    users.sort_by(|(one, _), (other, _)| one.username.cmp(&other.username));
    let role = |(login, secret): (&Login, String)| {
        let owner = made.database.to_owned();
        Role {
            name: login.username.clone(),
            ensure: "present".to_owned(),
            login: true,
            in_roles: match login.username == owner {
                true => Vec::new(),
                false => vec![owner],
            },
            password_secret: Name { name: secret },
        }
    };
    users.into_iter().map(role).collect()
}

/// A commit waits for one other server, if there is one; and no server takes over that may lack one.
fn synchronous() -> Synchronous {
    Synchronous {
        method: "any".to_owned(),
        number: 1,
        data_durability: "preferred".to_owned(),
        failover_quorum: true,
    }
}

/// Of the class that the live ones are of, and not smaller: a Database that is made again may name
/// the size that it began with. Nor larger, where they cannot be: CloudNativePG takes nothing back.
fn storage(place: &Place<'_>, made: &Made<'_>) -> Storage {
    let asked = &place.object.spec.storage;
    let units = |size: &str| Quantity::from(size).units();
    let mut storage = Storage {
        size: asked.size.to_string(),
        storage_class: asked.class_name.as_ref().map(ToString::to_string),
    };
    if let Some(live) = made.live.map(|it| &it.spec.storage) {
        storage.storage_class.clone_from(&live.storage_class);
        if made.cannot_grow || units(&live.size) > units(&storage.size) {
            storage.size.clone_from(&live.size);
        }
    }
    storage
}

/// As a single server has them, and what several need.
fn parameters(place: &Place<'_>, storage: &Storage) -> BTreeMap<String, String> {
    let size = Quantity::from(storage.size.as_str()).units();
    let size = size.unwrap_or_default() >> 20;
    let own = [
        ("max_slot_wal_keep_size", AWAY),
        ("max_wal_size", BETWEEN),
        ("wal_keep_size", KEPT),
    ];
    let own = own.map(|(name, (percent, least, most))| {
        let amount = (size * percent / 100).clamp(least, most);
        (name.to_owned(), format!("{amount}MB"))
    });
    let reused = ("min_wal_size".to_owned(), REUSED.to_owned());
    // CloudNativePG would turn those away that know 1.2 only.
    let tls = ("ssl_min_protocol_version".to_owned(), "TLSv1.2".to_owned());
    let common = settings::parameters(place).into_iter();
    own.into_iter().chain([reused, tls]).chain(common).collect()
}

/// Only clients that encrypt, where that is asked for.
fn hba(transport: Option<&Transport>) -> Vec<String> {
    match transport.map(|it| it.mode) {
        Some(TlsMode::Require) => vec![
            "hostssl all all all scram-sha-256".to_owned(),
            "hostnossl all all all reject".to_owned(),
        ],
        Some(TlsMode::Allow) | None => Vec::new(),
    }
}

/// Whether that is the size that the volumes of a Cluster are to have.
pub(crate) fn has_size(cluster: &Cluster, size: Option<&str>) -> bool {
    let units = |size: &str| Quantity::from(size).units();
    size.is_some_and(|size| units(size) >= units(&cluster.spec.storage.size))
}

/// The size that the volumes of a Cluster are to grow to, if it is another one.
pub(crate) fn grows(cluster: &Cluster, size: &Quantity) -> Option<String> {
    let has = Quantity::from(cluster.spec.storage.size.as_str()).units();
    (size.units() > has).then(|| size.to_string())
}

/// A volume that is to be larger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Name of its claim.
    pub claim: String,
    /// The size that it is to have.
    pub size: String,
}

impl Growth {
    /// That in words.
    pub fn what(&self) -> String {
        format!("grow PersistentVolumeClaim {} to {}", self.claim, self.size)
    }

    /// What is asked for, as a merge patch of the claim.
    pub fn patch(&self) -> Value {
        json!({"spec": {"resources": {"requests": {"storage": self.size}}}})
    }
}

/// Volumes that are smaller than they are to be.
pub(crate) fn growing(volumes: &[PersistentVolumeClaim], size: &str) -> Vec<Growth> {
    let smaller = |it: &&PersistentVolumeClaim| {
        let requested = claim::requested(it).and_then(|it| it.units());
        !meta::is_deleted(*it) && requested < Quantity::from(size).units()
    };
    let growth = |it: &PersistentVolumeClaim| Growth {
        claim: it.name_any(),
        size: size.to_owned(),
    };
    volumes.iter().filter(smaller).map(growth).collect()
}

/// The volumes that are to grow. CloudNativePG grows them by itself, but does nothing any more once a
/// server has ended for want of room.
pub(super) fn grown(cluster: &Fate<Cluster>, seen: &Seen) -> Vec<Growth> {
    match cluster {
        Fate::Is(cluster) if seen.cannot_grow.is_none() => {
            growing(&seen.volumes, &cluster.spec.storage.size)
        }
        _ => Vec::new(),
    }
}

/// The size that all of the volumes have, if they were looked at.
pub(super) fn capacity(volumes: &[PersistentVolumeClaim]) -> Option<String> {
    let sizes = volumes.iter().filter_map(|claim| {
        let capacity = claim.status.as_ref()?.capacity.as_ref()?;
        Some(capacity.get("storage")?.0.clone())
    });
    sizes.min_by_key(|size| Quantity::from(size.as_str()).units())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_tells_its_major_version() {
        assert_eq!(
            tagged("docker.io/library/postgres:17", "17"),
            "docker.io/library/postgres:17"
        );
        assert_eq!(
            tagged("registry.example.com:5000/postgres@sha256:ab", "17"),
            "registry.example.com:5000/postgres:17@sha256:ab"
        );
    }
}
