//! Contents of Secrets and ConfigMaps that variables refer to. Nobody watches them: a right to list
//! Secrets is a right to read them all, so each is read by its name when it matters.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{Api, Client};
use trackbed_api::run::{Copied, EnvVar};

use crate::{Error, read};

/// Values by key. What is printed of it are the keys.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Values(pub BTreeMap<String, ByteString>);

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Values {
    /// Whether there is a value of that key.
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// The keys whose values differ in the other, or are missing there.
    pub fn differences<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        let changed = self
            .0
            .iter()
            .filter(|(key, value)| other.0.get(*key) != Some(value));
        changed.map(|(key, _)| key.as_str())
    }
}

/// Reads each Secret and ConfigMap of a namespace once, and forgets them when it is dropped.
pub struct Contents {
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
    known: BTreeMap<(&'static str, String), Option<Values>>,
}

impl Contents {
    /// Nothing is read yet.
    pub fn new(client: &Client, namespace: &str) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client.clone(), namespace),
            known: BTreeMap::new(),
        }
    }

    /// What is in a Secret. `None`: it is not there.
    ///
    /// # Errors
    /// The API server's.
    pub async fn secret(&mut self, name: &str) -> Result<Option<&Values>, Error> {
        let slot = match self.known.entry(("Secret", name.to_owned())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                let found = read::get(&self.secrets, name).await?;
                vacant.insert(found.map(|found| Values(found.data.unwrap_or_default())))
            }
        };
        Ok(slot.as_ref())
    }

    /// What is in a ConfigMap, but for binary data, of which no variable can be made. `None`: it
    /// is not there.
    ///
    /// # Errors
    /// The API server's.
    pub async fn config_map(&mut self, name: &str) -> Result<Option<&Values>, Error> {
        let slot = match self.known.entry(("ConfigMap", name.to_owned())) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => {
                let found = read::get(&self.config_maps, name).await?;
                let text = |(key, text): (String, String)| (key, ByteString(text.into_bytes()));
                let data = found.map(|found| found.data.unwrap_or_default());
                vacant.insert(data.map(|data| Values(data.into_iter().map(text).collect())))
            }
        };
        Ok(slot.as_ref())
    }

    /// What a release with these variables keeps a copy of, by the variables' names. What is not
    /// there is left out.
    ///
    /// # Errors
    /// The API server's.
    pub async fn copied(&mut self, variables: &[EnvVar]) -> Result<Values, Error> {
        let mut copies = Values::default();
        for variable in variables {
            let (values, key) = match variable.copied() {
                Some(Copied::Secret(from)) => (self.secret(&from.name).await?, &from.key),
                Some(Copied::ConfigMap(from)) => (self.config_map(&from.name).await?, &from.key),
                None => continue,
            };
            if let Some(value) = values.and_then(|values| values.0.get(key)) {
                copies.0.insert(variable.name.to_string(), value.clone());
            }
        }
        Ok(copies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> Values {
        let pairs = pairs.iter();
        let owned =
            pairs.map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        Values(owned.collect())
    }

    #[test]
    fn values_are_not_printed() {
        let printed = format!("{:?}", values(&[("KEY", "hunter2")]));
        assert_eq!(printed, r#"{"KEY"}"#);
    }

    #[test]
    fn differences_are_what_changed_or_went() {
        let kept = values(&[("A", "1"), ("B", "2"), ("C", "3")]);
        let now = values(&[("A", "1"), ("B", "4"), ("D", "5")]);
        let found: Vec<_> = kept.differences(&now).collect();
        assert_eq!(found, ["B", "C"]);
        assert_eq!(kept.differences(&kept).count(), 0);
    }
}
