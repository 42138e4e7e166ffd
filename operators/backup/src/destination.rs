//! Where backups are.

use std::{fmt, path::PathBuf, sync::Arc};

use object_store::{ObjectStore, local::LocalFileSystem, path::Path};

use crate::{Error, Key, S3, failure::Label, volume::Volume};

/// The data of a backup.
pub(crate) const DATA: &str = "data.zst";

/// What makes them a backup.
pub(crate) const MANIFEST: &str = "manifest.json";

/// Where backups are kept.
#[derive(Clone, Debug)]
pub enum Place {
    /// On a volume.
    Volume {
        /// A folder that exists. It is not made, lest backups go to a disk that is not meant.
        folder: PathBuf,
    },
    /// In a bucket.
    S3(S3),
}

/// A place that backups are written to and read from. Several may use it at once, if no two write a
/// backup of the same identity and name.
///
/// A request to a bucket has 10 seconds to connect and 120 seconds in all, and is tried up to six
/// times again, with pauses from 100 milliseconds to 10 seconds, until 150 seconds have passed since
/// the first try: after four and a half minutes at most it has failed. Files are in the hands of the
/// system, which may wait for a network's disk without end.
#[derive(Clone)]
pub struct Destination {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) label: Arc<Label>,
    /// What the store does not do of a volume.
    pub(crate) volume: Option<Volume>,
    pub(crate) key: Option<Key>,
    prefix: Path,
}

impl Destination {
    /// Makes what is needed to use a place. Nothing is sent and nothing is written; for a bucket, a
    /// default crypto provider of rustls has to be installed before.
    ///
    /// # Errors
    /// [`Error::Misconfigured`] for a description that cannot be, [`Error::NotReachable`] for a
    /// folder that is not there.
    pub fn open(place: &Place) -> Result<Self, Error> {
        match place {
            Place::Volume { folder } => {
                let label = Label {
                    place: format!("the folder {}", folder.display()),
                    hidden: Vec::new(),
                };
                let volume = Volume::open(folder).map_err(|error| label.explain_io(error))?;
                let store = LocalFileSystem::new_with_prefix(folder)
                    .map_err(|error| label.explain(&error))?
                    .with_automatic_cleanup(true)
                    // Data have to be there before a manifest says so, also after a power failure.
                    .with_fsync(true);
                Ok(Self {
                    store: Arc::new(store),
                    label: Arc::new(label),
                    volume: Some(volume),
                    key: None,
                    prefix: Path::default(),
                })
            }
            Place::S3(s3) => {
                let (store, prefix) = s3.open()?;
                let label = Label {
                    place: s3.place(),
                    hidden: s3.hidden(),
                };
                Ok(Self {
                    store,
                    label: Arc::new(label),
                    volume: None,
                    key: None,
                    prefix,
                })
            }
        }
    }

    /// Encrypts what is written from now on, and reads what was encrypted for one of these keys.
    /// Backups that are not encrypted are read as before: they may be older than the key.
    #[must_use = "it is another destination"]
    pub fn with_key(self, key: Key) -> Self {
        Self {
            key: Some(key),
            ..self
        }
    }

    /// What all backups begin with.
    pub(crate) fn root(&self) -> &Path {
        &self.prefix
    }

    /// What all backups of an identity begin with. Both have to be checked before.
    pub(crate) fn folder(&self, identity: &str) -> Path {
        self.prefix.clone().join(identity)
    }

    pub(crate) fn data(&self, identity: &str, name: &str) -> Path {
        self.folder(identity).join(name).join(DATA)
    }

    pub(crate) fn manifest_path(&self, identity: &str, name: &str) -> Path {
        self.folder(identity).join(name).join(MANIFEST)
    }

    pub(crate) fn explain(&self, error: &object_store::Error) -> Error {
        self.label.explain(error)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Destination({})", self.label.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_to_be_there() {
        let volume = tempfile::tempdir().expect("a folder");
        let open = |folder: PathBuf| Destination::open(&Place::Volume { folder });
        assert!(open(volume.path().to_owned()).is_ok());
        let missing = open(volume.path().join("missing")).expect_err("refused");
        assert_eq!(missing.reason(), "DestinationUnreachable");
        std::fs::write(volume.path().join("file"), "").expect("a file");
        let file = open(volume.path().join("file")).expect_err("refused");
        assert_eq!(file.reason(), "DestinationUnreachable");
    }

    #[test]
    fn neither_places_nor_destinations_show_keys() {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let place = Place::S3(S3 {
            endpoint: Some("http://minio:9000".to_owned()),
            prefix: Some("trackbed".to_owned()),
            session_token: Some("sessiontoken".to_owned()),
            ..S3::new("backups", "AKIAKEY", "topsecret")
        });
        let destination = Destination::open(&place).expect("a bucket");
        let data = destination.data("ours", "daily");
        assert_eq!(data.as_ref(), "trackbed/ours/daily/data.zst");
        let shown = format!("{place:?} {destination:?}");
        assert!(shown.contains("backups"), "{shown}");
        for secret in ["AKIAKEY", "topsecret", "sessiontoken"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
