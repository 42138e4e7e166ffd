//! Which backups there are, and how they go.

use futures::{StreamExt, stream};
use jiff::Timestamp;
use object_store::{ObjectStoreExt, path::Path};

use crate::{
    Destination, Error, Manifest, check_identity, check_name,
    destination::{DATA, MANIFEST},
    failure::is_absent,
};

/// Manifests that are read at once.
const AT_ONCE: usize = 4;

/// What is at a destination.
#[derive(Debug, Default)]
pub struct Survey {
    /// The backups, oldest first.
    pub backups: Vec<Manifest>,
    /// What has a manifest that cannot be used, by name. Nothing removes these but
    /// [`Destination::remove`].
    pub unusable: Vec<Unusable>,
}

/// A backup with a manifest that cannot be used.
#[derive(Debug)]
pub struct Unusable {
    /// The name of its folder.
    pub name: String,
    /// Why not.
    pub error: Error,
}

impl Destination {
    /// The backups of an identity, oldest first. What has no manifest, or one that cannot be used, is
    /// passed over: see [`Destination::survey`].
    ///
    /// # Errors
    /// What the destination says.
    pub async fn list(&self, identity: &str) -> Result<Vec<Manifest>, Error> {
        Ok(self.survey(identity).await?.backups)
    }

    /// The backups of an identity, and what has a manifest and is none. One that is spoilt keeps
    /// nobody from the others.
    ///
    /// # Errors
    /// What the destination says.
    pub async fn survey(&self, identity: &str) -> Result<Survey, Error> {
        let names = self.names(identity).await?;
        let mut found = stream::iter(names)
            .map(|name| async {
                let manifest = self.manifest(identity, &name).await;
                (name, manifest)
            })
            .buffered(AT_ONCE);
        let mut survey = Survey::default();
        while let Some((name, manifest)) = found.next().await {
            match manifest {
                Ok(manifest) => survey.backups.push(manifest),
                Err(Error::Missing { .. }) => {}
                Err(
                    error @ (Error::Foreign { .. }
                    | Error::Unreadable { .. }
                    | Error::UnknownFormat { .. }),
                ) => survey.unusable.push(Unusable { name, error }),
                Err(error) => return Err(error),
            }
        }
        let key = |it: &Manifest| (it.taken_at, it.name.clone());
        survey.backups.sort_by_key(key);
        Ok(survey)
    }

    /// Removes a backup, the manifest first: half removed it is none. Its parts go last. It is no error
    /// if there is none.
    ///
    /// # Errors
    /// What the destination says.
    pub async fn remove(&self, identity: &str, name: &str) -> Result<(), Error> {
        self.remove_one(identity, name).await?;
        self.remove_parts(identity, name).await
    }

    /// Removes a backup and not its parts.
    pub(crate) async fn remove_one(&self, identity: &str, name: &str) -> Result<(), Error> {
        check_identity(identity)?;
        check_name(name)?;
        self.delete(&self.manifest_path(identity, name)).await?;
        if let Some(volume) = &self.volume {
            // The system may write down removals in another order than they were asked for.
            let synced = volume.sync(identity, name).await;
            synced.map_err(|error| self.label.explain_io(error))?;
        }
        self.remove_data(identity, name).await
    }

    /// Removes what writers left that never came to an end, if it was last written before
    /// `older_than`, and says of which names. That time has to lie before the begin of the longest
    /// backup that may still be running: some buckets date an object by that.
    ///
    /// Parts of an object that a bucket holds for an upload that never ended are not seen: a rule of
    /// the bucket (AbortIncompleteMultipartUpload) removes them.
    ///
    /// # Errors
    /// What the destination says.
    pub async fn sweep(&self, identity: &str, older_than: Timestamp) -> Result<Vec<String>, Error> {
        let mut swept = Vec::new();
        for name in self.names(identity).await? {
            if self.sweep_one(identity, &name, older_than).await? {
                swept.push(name);
            }
        }
        let parts = self.sweep_parts(identity, older_than).await?;
        swept.extend(parts);
        swept.sort();
        swept.dedup();
        Ok(swept)
    }

    pub(crate) async fn sweep_one(
        &self,
        identity: &str,
        name: &str,
        older_than: Timestamp,
    ) -> Result<bool, Error> {
        let mut found = self.sweep_data(identity, name, older_than).await?;
        if let Some(volume) = &self.volume {
            let unstaged = volume.unstage(identity, name, Some(older_than)).await;
            found |= unstaged.map_err(|error| self.label.explain_io(error))?;
        }
        Ok(found)
    }

    async fn sweep_data(
        &self,
        identity: &str,
        name: &str,
        older_than: Timestamp,
    ) -> Result<bool, Error> {
        let folder = self.folder(identity).join(name);
        let listed = self.store.list_with_delimiter(Some(&folder)).await;
        let objects = listed.map_err(|error| self.explain(&error))?.objects;
        let object = |name| {
            let is = |path: &Path| path.filename() == Some(name);
            objects.iter().find(move |it| is(&it.location))
        };
        let (Some(data), None) = (object(DATA), object(MANIFEST)) else {
            return Ok(false);
        };
        if data.last_modified.timestamp() >= older_than.as_second() {
            return Ok(false);
        }
        self.delete(&data.location).await?;
        Ok(true)
    }

    /// Removes the data, and on a volume what may be left of writing them.
    pub(crate) async fn remove_data(&self, identity: &str, name: &str) -> Result<(), Error> {
        self.delete(&self.data(identity, name)).await?;
        if let Some(volume) = &self.volume {
            let unstaged = volume.unstage(identity, name, None).await;
            unstaged.map_err(|error| self.label.explain_io(error))?;
        }
        Ok(())
    }

    /// Whose backups may be here: the folders that have the names of identities, in the alphabet's
    /// order. Those of parts are none.
    ///
    /// # Errors
    /// What the destination says.
    pub async fn identities(&self) -> Result<Vec<String>, Error> {
        let all = self.folders().await?;
        Ok(all.into_iter().filter(|it| !it.contains('.')).collect())
    }

    /// The same with those of parts.
    pub(crate) async fn folders(&self) -> Result<Vec<String>, Error> {
        if let Some(volume) = &self.volume {
            let present = volume.present().await;
            present.map_err(|error| self.label.explain_io(error))?;
        }
        let listed = self.store.list_with_delimiter(Some(self.root())).await;
        let listed = listed.map_err(|error| self.explain(&error))?;
        let names = listed.common_prefixes.iter().filter_map(Path::filename);
        let mut names: Vec<String> = names
            .filter(|name| check_identity(name).is_ok())
            .map(str::to_owned)
            .collect();
        names.sort();
        Ok(names)
    }

    /// What lies beside each other under an identity and has the name of a backup.
    pub(crate) async fn names(&self, identity: &str) -> Result<Vec<String>, Error> {
        check_identity(identity)?;
        if let Some(volume) = &self.volume {
            let present = volume.present().await;
            present.map_err(|error| self.label.explain_io(error))?;
        }
        let folder = self.folder(identity);
        let listed = self.store.list_with_delimiter(Some(&folder)).await;
        let listed = listed.map_err(|error| self.explain(&error))?;
        let names = listed.common_prefixes.iter().filter_map(Path::filename);
        Ok(names
            .filter(|name| check_name(name).is_ok())
            .map(str::to_owned)
            .collect())
    }

    async fn delete(&self, path: &Path) -> Result<(), Error> {
        match self.store.delete(path).await {
            Err(error) if !is_absent(&error) => Err(self.explain(&error)),
            _ => Ok(()),
        }
    }
}
