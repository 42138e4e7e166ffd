//! Where backups lie and what they are encrypted with, as pods see it.

use k8s_openapi::api::core::v1::{Volume, VolumeMount};
use trackbed_api::{
    backup::{Backup, Bucket, Encryption},
    names,
};

use super::pod;

/// Folder of the backups.
const FOLDER: &str = "/backups";
/// Folder of the bucket's keys, where the supervisor looks for them.
const BUCKET: &str = "/etc/trackbed/bucket";
/// Folder of the keys that backups are encrypted with.
const KEYS: &str = "/etc/trackbed/encryption";
/// Which of the Secret's keys holds them. Flux calls it that, too.
const KEY: &str = "age.agekey";

/// Backups of one Database or several.
#[derive(Clone, Debug)]
pub struct Lies<'a> {
    /// Where they are.
    pub at: At<'a>,
    /// What they are encrypted with.
    pub encryption: Option<&'a Encryption>,
}

/// Where backups are.
#[derive(Clone, Debug)]
pub enum At<'a> {
    /// On the volume of this claim.
    Claim(String),
    /// In a bucket.
    Bucket(&'a Bucket),
}

impl<'a> Lies<'a> {
    /// Those of a Database of that name. The schema lets nobody name both places or neither.
    pub fn of(backup: &'a Backup, database: &str) -> Self {
        Self {
            at: match &backup.destination.s3 {
                Some(bucket) => At::Bucket(bucket),
                None => At::Claim(names::backup_claim(database)),
            },
            encryption: backup.encryption.as_ref(),
        }
    }

    /// What the supervisor is told.
    pub fn arguments(&self) -> Vec<String> {
        let mut words = match &self.at {
            At::Claim(_) => vec![format!("--folder={FOLDER}")],
            At::Bucket(bucket) => place(bucket),
        };
        words.extend(self.encryption.map(|_| format!("--key-file={KEYS}/{KEY}")));
        words
    }

    /// The volume of the backups, or of the bucket's keys, and that of the key. A Secret that is
    /// missing is named by the supervisor; the pod would only wait for it.
    pub fn volumes(&self) -> Vec<Volume> {
        let place = match &self.at {
            At::Claim(claim) => pod::claim("backups", claim.clone()),
            At::Bucket(bucket) => pod::secret("bucket", bucket.secret_ref.name.to_string(), true),
        };
        let key = self.encryption.map(|it| it.secret_ref.name.to_string());
        let key = key.map(|secret| pod::secret("encryption", secret, true));
        [place].into_iter().chain(key).collect()
    }

    /// Where they are in a container.
    pub fn mounts(&self, read_only: bool) -> Vec<VolumeMount> {
        let place = match &self.at {
            At::Claim(_) => pod::mount("backups", FOLDER, read_only),
            At::Bucket(_) => pod::mount("bucket", BUCKET, true),
        };
        let key = self
            .encryption
            .map(|_| pod::mount("encryption", KEYS, true));
        [place].into_iter().chain(key).collect()
    }
}

fn place(bucket: &Bucket) -> Vec<String> {
    let mut words = vec![format!("--bucket={}", bucket.bucket)];
    let endpoint = bucket.endpoint.as_ref();
    words.extend(endpoint.map(|it| format!("--endpoint={}", it.trim_end_matches('/'))));
    words.extend(bucket.region.as_ref().map(|it| format!("--region={it}")));
    words.extend(bucket.prefix.as_ref().map(|it| format!("--prefix={it}")));
    words
}
