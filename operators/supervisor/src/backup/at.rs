//! Where backups are, and what they are encrypted with.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use trackbed_backup::{Destination, Key, Place, S3};

use crate::Error;

/// Where backups are.
#[derive(Args, Clone, Debug)]
pub struct At {
    /// A folder on a volume
    #[arg(long, value_name = "DIR", conflicts_with = "bucket")]
    pub folder: Option<PathBuf>,
    /// A bucket
    #[arg(long, required_unless_present = "folder")]
    pub bucket: Option<String>,
    /// URL of the bucket's server. Default: Amazon's
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The bucket's region
    #[arg(long)]
    pub region: Option<String>,
    /// What the names of objects in the bucket begin with
    #[arg(long)]
    pub prefix: Option<String>,
    /// The files AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and perhaps AWS_SESSION_TOKEN and ca.crt
    #[arg(long, default_value = "/etc/trackbed/bucket", value_name = "DIR")]
    pub keys: PathBuf,
    /// File of the key that backups are encrypted with, as age-keygen makes it. Default: they are not
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

impl At {
    /// Opens the place.
    ///
    /// # Errors
    /// That it cannot be as it is described.
    pub(super) fn open(&self) -> Result<Destination, Error> {
        let place = match (&self.folder, &self.bucket) {
            (Some(folder), _) => Place::Volume {
                folder: folder.clone(),
            },
            (None, bucket) => Place::S3(S3 {
                endpoint: self.endpoint.clone(),
                region: self.region.clone(),
                prefix: self.prefix.clone(),
                session_token: key(&self.keys, "AWS_SESSION_TOKEN").ok(),
                ca_bundle: Some(self.keys.join("ca.crt")).filter(|it| it.exists()),
                ..S3::new(
                    bucket.clone().unwrap_or_default(),
                    key(&self.keys, "AWS_ACCESS_KEY_ID")?,
                    key(&self.keys, "AWS_SECRET_ACCESS_KEY")?,
                )
            }),
        };
        let destination = Destination::open(&place)?;
        match &self.key_file {
            Some(file) => Ok(destination.with_key(encryption(file)?)),
            None => Ok(destination),
        }
    }
}

fn key(folder: &Path, name: &str) -> Result<String, Error> {
    let text = fs::read_to_string(folder.join(name));
    let text = text.map(|text| text.trim().to_owned()).unwrap_or_default();
    if text.is_empty() {
        let why = format!("the Secret with its keys has no {name}");
        return Err(trackbed_backup::Error::Misconfigured(why).into());
    }
    Ok(text)
}

/// The key that backups are encrypted with.
fn encryption(file: &Path) -> Result<Key, Error> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(file).map_err(|error| {
        let why = format!("the Secret with the key of backups has no {name} ({error})");
        trackbed_backup::Error::Misconfigured(why)
    })?;
    Ok(Key::parse(&text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_missing_are_named() {
        let keys = tempfile::tempdir().expect("a folder");
        let at = At {
            folder: None,
            bucket: Some("acme".to_owned()),
            endpoint: None,
            region: None,
            prefix: None,
            keys: keys.path().to_owned(),
            key_file: None,
        };
        fs::write(keys.path().join("AWS_ACCESS_KEY_ID"), "id\n").expect("a file");
        let error = at.open().expect_err("refused");
        assert_eq!(error.reason(), "DestinationInvalid");
        assert!(
            error.to_string().contains("AWS_SECRET_ACCESS_KEY"),
            "{error}"
        );
    }

    #[test]
    fn a_key_that_is_missing_or_none_is_said_without_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("age.agekey");
        let said = || encryption(&file).expect_err("refused").to_string();
        assert!(said().contains("has no age.agekey"), "{}", said());
        fs::write(&file, "canary\n").expect("a file");
        assert!(said().contains("AGE-SECRET-KEY-1"), "{}", said());
        assert!(!said().contains("canary"), "{}", said());
    }
}
