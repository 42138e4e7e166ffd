//! The log of several servers, kept in a bucket by CloudNativePG's plugin Barman Cloud, and what has
//! copies of all data taken that it is replayed onto.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVar, Secret};
use trackbed_api::{
    DatabaseSpec,
    archive::Archive,
    backup::Bucket,
    common::{ResourceDefaults, Resources},
    names,
};
use trackbed_kit::meta;

use super::{Place, secret};
use crate::{
    barman_cloud::{
        Configuration, Credentials, Data, ObjectStore, ObjectStoreSpec, PLUGIN, SERVER, STORE,
        ScheduledBackup, ScheduledBackupSpec, Sidecar, Wal,
    },
    cloudnative_pg::{Key, Name, Plugin},
    observe::Seen,
};

/// Keys of a bucket's Secret.
const KEYS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
/// Key of it: what the server's certificate is checked by.
const AUTHORITY: &str = "ca.crt";
/// Annotation of what has copies taken: where they go.
const DESTINATION: &str = "trackbed.dev/destination";
/// Folder of the archives, beside backups.
const FOLDER: &str = "archive";
/// What the container beside each server gets: it compresses.
const RESOURCES: ResourceDefaults = ["10m", "64Mi", "1", "512Mi"];
/// Files of the log that are moved at once. One takes seconds, of which a program's start is the most:
/// a server that writes much needs more than one, and one that takes over asks for several in vain.
const PARALLEL: i32 = 2;
/// Every image of the plugin can do that.
const COMPRESSION: &str = "gzip";

/// What is to become of an object.
#[derive(Clone, Debug, Default)]
pub enum Fate<K> {
    /// It is to be like this.
    Is(Box<K>),
    /// It stays as it is, or away.
    #[default]
    Stays,
    /// It is to go.
    Goes,
}

impl<K> Fate<K> {
    /// It is to be like this.
    pub fn is(object: K) -> Self {
        Self::Is(Box::new(object))
    }

    /// It is to go, unless it is needed.
    fn unless(needed: bool) -> Self {
        match needed {
            true => Self::Stays,
            false => Self::Goes,
        }
    }

    /// How it is to be.
    pub fn object(self) -> Option<K> {
        match self {
            Self::Is(object) => Some(*object),
            Self::Stays | Self::Goes => None,
        }
    }
}

/// What keeps an archive, and what it begins with.
#[derive(Clone, Debug, Default)]
pub struct Archives {
    /// Where it is.
    pub store: Fate<ObjectStore>,
    /// Where the one is that the Database begins with.
    pub origin: Fate<ObjectStore>,
    /// What has copies taken.
    pub copies: Fate<ScheduledBackup>,
}

/// What is to be there; with `origin`, that which the Database begins with is somewhere else.
pub(super) fn desired(place: &Place<'_>, seen: &Seen, origin: Option<ObjectStore>) -> Archives {
    if !place.object.spec.is_replicated() || !place.config.served.archives() {
        return Archives::default();
    }
    // What servers still name has to be there: without it, none takes over.
    let live = seen.cluster.as_deref().map(|it| &it.spec);
    let writes = live.is_some_and(|it| !it.plugins.is_empty());
    let reads = live.is_some_and(|it| !it.external_clusters.is_empty());
    let origin = origin.map_or_else(|| Fate::unless(reads), Fate::is);
    let Some(archive) = &place.object.spec.archive else {
        return Archives {
            store: Fate::unless(writes),
            origin,
            copies: Fate::Goes,
        };
    };
    // Without the Secret nobody knows whether it has an authority, and for another answer the servers
    // would be restarted.
    if lacks(place, seen).is_some() {
        return Archives {
            origin,
            ..Archives::default()
        };
    }
    let name = names::archive(&place.name);
    let mut store = store(place, &name, &archive.s3, seen.archive.bucket.as_ref());
    store.metadata = place.retained(&name);
    store.spec.retention_policy = Some(format!("{}d", archive.retain_days));
    Archives {
        copies: copies(place, seen, archive, &store),
        store: Fate::is(store),
        origin,
    }
}

/// Buckets that the servers themselves write to, or read from.
pub(super) fn buckets(spec: &DatabaseSpec) -> impl Iterator<Item = &Bucket> {
    let restore = spec.restore.as_ref().filter(|it| it.time.is_some());
    let origin = restore.and_then(|it| it.from.s3.as_ref());
    let archive = spec.archive.as_ref().map(|it| &it.s3);
    archive.into_iter().chain(origin)
}

/// A bucket, as the plugin is told of it.
pub(super) fn store(
    place: &Place<'_>,
    name: &str,
    bucket: &Bucket,
    secret: Option<&Secret>,
) -> ObjectStore {
    let secret_name = bucket.secret_ref.name.to_string();
    let key = |key: &str| Key {
        name: secret_name.clone(),
        key: key.to_owned(),
    };
    let has = |key: &str| secret.is_some_and(|it| self::secret::value(it, key).is_some());
    let folders = [bucket.prefix.as_deref(), Some(FOLDER)];
    let folders: Vec<_> = folders.into_iter().flatten().collect();
    ObjectStore {
        metadata: place.owned(name),
        spec: ObjectStoreSpec {
            configuration: Configuration {
                destination_path: format!("s3://{}/{}", bucket.bucket, folders.join("/")),
                endpoint_url: bucket
                    .endpoint
                    .as_ref()
                    .map(|it| it.trim_end_matches('/').to_owned()),
                endpoint_ca: has(AUTHORITY).then(|| key(AUTHORITY)),
                s3_credentials: Credentials {
                    access_key_id: key(KEYS[0]),
                    secret_access_key: key(KEYS[1]),
                },
                wal: Wal {
                    compression: COMPRESSION.to_owned(),
                    max_parallel: PARALLEL,
                },
                data: Data {
                    compression: COMPRESSION.to_owned(),
                    // A schedule says when the server may be busy with it.
                    immediate_checkpoint: true,
                },
            },
            retention_policy: None,
            instance_sidecar_configuration: Sidecar {
                env: environment(bucket),
                resources: Resources::default().with_defaults(RESOURCES),
            },
        },
        status: None,
    }
}

/// What the plugin's S3 client reads: the region, and not to ask servers other than Amazon's for what
/// not all of them know
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-dataintegrity.html>).
fn environment(bucket: &Bucket) -> Vec<EnvVar> {
    let mut all = Vec::new();
    let mut say = |name: &str, value: &str| {
        all.push(EnvVar {
            name: name.to_owned(),
            value: Some(value.to_owned()),
            ..EnvVar::default()
        });
    };
    say(
        "AWS_DEFAULT_REGION",
        bucket.region.as_deref().unwrap_or("us-east-1"),
    );
    if bucket.endpoint.is_some() {
        for name in [
            "AWS_REQUEST_CHECKSUM_CALCULATION",
            "AWS_RESPONSE_CHECKSUM_VALIDATION",
        ] {
            say(name, "when_required");
        }
    }
    all
}

/// The first copy is taken at once, of a server that runs; so is the first at another place.
fn copies(
    place: &Place<'_>,
    seen: &Seen,
    archive: &Archive,
    store: &ObjectStore,
) -> Fate<ScheduledBackup> {
    let bucket = &store.spec.configuration;
    let endpoint = bucket.endpoint_url.as_deref().unwrap_or_default();
    let destination = format!("{} {endpoint}", bucket.destination_path);
    let destination = destination.trim_end();
    match seen.archive.copies.as_deref() {
        None if !super::health::answers(seen) => return Fate::Stays,
        Some(live)
            if meta::is_managed(live)
                && meta::annotation(live, DESTINATION) != Some(destination) =>
        {
            return Fate::Goes;
        }
        _ => {}
    }
    let mut metadata = place.owned(&names::archive(&place.name));
    meta::insert(&mut metadata.annotations, DESTINATION, destination);
    Fate::is(ScheduledBackup {
        metadata,
        spec: ScheduledBackupSpec {
            cluster: Name {
                name: place.name.clone(),
            },
            schedule: match archive.schedule.starts_with('@') {
                true => archive.schedule.to_string(),
                false => format!("0 {}", archive.schedule.trim()),
            },
            suspend: place.object.spec.suspend,
            immediate: true,
            backup_owner_reference: "self".to_owned(),
            method: "plugin".to_owned(),
            // Of another server, it would be good only once the primary's log has gone on.
            target: "primary".to_owned(),
            plugin_configuration: Name {
                name: PLUGIN.to_owned(),
            },
        },
    })
}

/// What the Cluster says of its archive. Servers that have none are not given one that cannot work;
/// those that have one keep it.
pub(super) fn plugin(place: &Place<'_>, seen: &Seen, identity: &str) -> Option<Plugin> {
    place.object.spec.archive.as_ref()?;
    let cluster = seen.cluster.as_deref();
    let has = cluster.is_some_and(|it| !it.spec.plugins.is_empty());
    let may = has || lacks(place, seen).is_none();
    (place.config.served.archives() && may).then(|| Plugin {
        is_wal_archiver: true,
        ..named(&names::archive(&place.name), identity)
    })
}

/// The plugin, for a folder of a store.
pub(super) fn named(store: &str, folder: &str) -> Plugin {
    let parameters = [(STORE, store), (SERVER, folder)];
    let parameters = parameters.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Plugin {
        name: PLUGIN.to_owned(),
        is_wal_archiver: false,
        parameters: BTreeMap::from(parameters),
    }
}

/// What the Secret of the archive's bucket lacks.
pub(super) fn lacks(place: &Place<'_>, seen: &Seen) -> Option<String> {
    let archive = place.object.spec.archive.as_ref()?;
    missing(&archive.s3, seen.archive.bucket.as_ref())
        .map(|it| format!("archive.s3.secretRef: {it}"))
}

/// What a bucket's Secret lacks.
pub(super) fn missing(bucket: &Bucket, secret: Option<&Secret>) -> Option<String> {
    let name = &bucket.secret_ref.name;
    let Some(secret) = secret else {
        return Some(format!("Secret {name} does not exist in this namespace"));
    };
    let lacking = KEYS
        .iter()
        .find(|key| self::secret::value(secret, key).is_none());
    lacking.map(|key| format!("Secret {name} has no key {key}"))
}
