//! The registry that builds push to.

use base64::{Engine, prelude::BASE64_STANDARD};
use suite::{Cluster, Value};

/// What a tag may stand for.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// The registry of the applications' images, with the credentials that builds have.
pub(crate) struct Registry {
    agent: ureq::Agent,
    authorization: String,
}

impl Registry {
    /// With the credentials of a namespace.
    #[track_caller]
    pub(crate) fn of(cluster: &Cluster, namespace: &str) -> Self {
        let secret = cluster.get("secret", namespace, "trackbed-registry-push");
        let text = secret["data"][".dockerconfigjson"]
            .as_str()
            .expect("a configuration");
        let text = BASE64_STANDARD.decode(text).expect("base64");
        let config: Value = serde_json::from_slice(&text).expect("JSON");
        let entries = config["auths"].as_object().expect("registries");
        let entry = entries.values().next().expect("a registry");
        let word = |name: &str| entry[name].as_str().expect("a word").to_owned();
        let login = format!("{}:{}", word("username"), word("password"));
        let config = ureq::Agent::config_builder().proxy(None);
        Self {
            agent: config.build().into(),
            authorization: format!("Basic {}", BASE64_STANDARD.encode(login)),
        }
    }

    /// What the registry has of an image, as JSON.
    #[track_caller]
    pub(crate) fn get(&self, image: &str, what: &str) -> Value {
        let (registry, repository) = image.split_once('/').expect("a registry");
        let answer = self
            .agent
            .get(format!("http://{registry}/v2/{repository}/{what}"))
            .header("authorization", &self.authorization)
            .header("accept", MANIFESTS)
            .call();
        let mut answer = answer.unwrap_or_else(|error| panic!("{what}: {error}"));
        let text = answer.body_mut().read_to_string().expect("a text");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Whether the registry has a manifest under a digest or tag.
    #[track_caller]
    pub(crate) fn has(&self, image: &str, reference: &str) -> bool {
        let (registry, repository) = image.split_once('/').expect("a registry");
        let url = format!("http://{registry}/v2/{repository}/manifests/{reference}");
        let answer = self
            .agent
            .head(&url)
            .header("authorization", &self.authorization)
            .header("accept", MANIFESTS)
            .call();
        match answer {
            Ok(_) => true,
            Err(ureq::Error::StatusCode(404)) => false,
            Err(error) => panic!("{url}: {error}"),
        }
    }
}
