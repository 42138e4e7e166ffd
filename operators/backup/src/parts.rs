//! Backups that belong to another: a server may have several databases, and each has a backup of its
//! own, `{prefix}/{identity}.{database}/{name}/`. The one without a database in its path is written
//! last and removed first, and says which others belong to it.

use jiff::Timestamp;
use object_store::{ObjectStoreExt, path::Path};
use serde::{Deserialize, Serialize};

use crate::{
    Destination, Error, Manifest, check_identity,
    destination::MANIFEST,
    failure::{is_absent, line},
};

/// A backup that belongs to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// The database that it is of.
    pub database: String,
    /// The user who owns that.
    pub owner: String,
    /// Bytes as they are stored.
    pub stored_bytes: u64,
    /// Of the bytes as they are stored: it is this one, and no other of its name.
    pub sha256: String,
}

impl Part {
    /// What is told of a backup that was taken of another user's database.
    pub fn of(manifest: &Manifest, owner: &str) -> Self {
        Self {
            database: manifest.database.clone().unwrap_or_default(),
            owner: owner.to_owned(),
            stored_bytes: manifest.stored_bytes,
            sha256: manifest.sha256.clone(),
        }
    }
}

/// The identity that the backups of one more database have.
pub fn part_identity(identity: &str, database: &str) -> String {
    format!("{identity}.{database}")
}

impl Destination {
    /// The manifests of the parts of a backup, in their order.
    ///
    /// # Errors
    /// What is wrong with one, with the name of its database.
    pub async fn parts(&self, manifest: &Manifest) -> Result<Vec<Manifest>, Error> {
        let mut found = Vec::new();
        for part in &manifest.parts {
            let identity = part_identity(&manifest.identity, &part.database);
            let read = self.manifest(&identity, &manifest.name).await;
            let read = read.map_err(|error| error.of(&line(&part.database)))?;
            let same = read.database.as_ref() == Some(&part.database);
            if !same || read.sha256 != part.sha256 {
                let error = Error::tampered(&manifest.name, "they are those of another backup");
                return Err(error.of(&line(&part.database)));
            }
            found.push(read);
        }
        Ok(found)
    }

    /// Removes all parts of a name, those of a backup that was removed or never finished.
    ///
    /// # Errors
    /// What the destination says.
    pub async fn remove_parts(&self, identity: &str, name: &str) -> Result<(), Error> {
        for part in self.part_identities(identity).await? {
            self.remove_one(&part, name).await?;
        }
        Ok(())
    }

    /// Removes parts that belong to no backup, if they were last written before a time, and says of
    /// which names.
    pub(crate) async fn sweep_parts(
        &self,
        identity: &str,
        older_than: Timestamp,
    ) -> Result<Vec<String>, Error> {
        let mut swept = Vec::new();
        for part in self.part_identities(identity).await? {
            for name in self.names(&part).await? {
                let mut found = self.sweep_one(&part, &name, older_than).await?;
                if self.is_left(identity, &part, &name, older_than).await? {
                    self.remove_one(&part, &name).await?;
                    found = true;
                }
                if found && !swept.contains(&name) {
                    swept.push(name);
                }
            }
        }
        Ok(swept)
    }

    /// Whether a part that is whole belongs to a backup that is not there.
    async fn is_left(
        &self,
        identity: &str,
        part: &str,
        name: &str,
        older_than: Timestamp,
    ) -> Result<bool, Error> {
        let written = self.written(&self.manifest_path(part, name)).await?;
        if written.is_none_or(|written| written >= older_than.as_second()) {
            return Ok(false);
        }
        let whole = self.written(&self.manifest_path(identity, name)).await?;
        Ok(whole.is_none())
    }

    /// When an object was written, in Unix seconds, if it is there.
    async fn written(&self, path: &Path) -> Result<Option<i64>, Error> {
        debug_assert_eq!(path.filename(), Some(MANIFEST));
        match self.store.head(path).await {
            Ok(found) => Ok(Some(found.last_modified.timestamp())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.explain(&error)),
        }
    }

    /// Under which identities there are parts of this one's backups.
    async fn part_identities(&self, identity: &str) -> Result<Vec<String>, Error> {
        check_identity(identity)?;
        let prefix = part_identity(identity, "");
        let all = self.folders().await?;
        Ok(all
            .into_iter()
            .filter(|it| it.starts_with(&prefix))
            .collect())
    }
}
