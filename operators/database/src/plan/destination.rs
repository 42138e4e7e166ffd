//! Where backups lie, as pods see it.

use k8s_openapi::api::core::v1::{Volume, VolumeMount};
use trackbed_api::{
    backup::{Bucket, Destination},
    names,
};

use super::pod;

/// Folder of the backups.
const FOLDER: &str = "/backups";
/// Folder of the bucket's keys, where the supervisor looks for them.
const KEYS: &str = "/etc/trackbed/bucket";

/// Where backups lie.
#[derive(Clone, Debug)]
pub enum Lies<'a> {
    /// On the volume of this claim.
    Claim(String),
    /// In a bucket.
    Bucket(&'a Bucket),
}

impl<'a> Lies<'a> {
    /// Where those of a Database of that name lie. The schema lets nobody name both or neither.
    pub fn of(destination: &'a Destination, database: &str) -> Self {
        match &destination.s3 {
            Some(bucket) => Self::Bucket(bucket),
            None => Self::Claim(names::backup_claim(database)),
        }
    }
}

/// What the supervisor is told.
pub fn arguments(lies: &Lies<'_>) -> Vec<String> {
    let bucket = match lies {
        Lies::Claim(_) => return vec![format!("--folder={FOLDER}")],
        Lies::Bucket(bucket) => bucket,
    };
    let mut words = vec![format!("--bucket={}", bucket.bucket)];
    let endpoint = bucket.endpoint.as_ref();
    words.extend(endpoint.map(|it| format!("--endpoint={}", it.trim_end_matches('/'))));
    words.extend(bucket.region.as_ref().map(|it| format!("--region={it}")));
    words.extend(bucket.prefix.as_ref().map(|it| format!("--prefix={it}")));
    words
}

/// The volume of the backups, or of the bucket's keys. A Secret that is missing is named by the
/// supervisor; the pod would only wait for it.
pub fn volume(lies: &Lies<'_>) -> Volume {
    match lies {
        Lies::Claim(claim) => pod::claim("backups", claim.clone()),
        Lies::Bucket(bucket) => pod::secret("bucket", bucket.secret_ref.name.to_string(), true),
    }
}

/// Where it is in a container.
pub fn mount(lies: &Lies<'_>, read_only: bool) -> VolumeMount {
    match lies {
        Lies::Claim(_) => pod::mount("backups", FOLDER, read_only),
        Lies::Bucket(_) => pod::mount("bucket", KEYS, true),
    }
}
