//! The registry that stands in for the public ones, where images get newer.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Cluster, http::agent};

/// What manifests are in this registry.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The registry. The node pulls `docker.io` from it.
#[derive(Clone, Debug)]
pub struct Mirror {
    base: String,
}

impl Mirror {
    /// That of the cluster.
    pub fn of(cluster: &Cluster) -> Self {
        Self {
            base: format!("http://{}:5000/v2", cluster.node),
        }
    }

    /// Has a tag stand for the same image with a label, which is another image to everybody. Gives
    /// its digest.
    ///
    /// # Panics
    /// If the registry does not take it.
    pub fn relabel(&self, repository: &str, tag: &str, label: &str) -> String {
        let mut manifest = self.json(&format!("{repository}/manifests/{tag}"));
        let config = manifest["config"]["digest"].as_str().expect("a digest");
        let mut config = self.json(&format!("{repository}/blobs/{config}"));
        config["config"]["Labels"] = json!({ "e2e": label });
        let config = config.to_string();
        let digest = digest(&config);
        manifest["config"]["digest"] = digest.clone().into();
        manifest["config"]["size"] = config.len().into();
        let begun = agent()
            .post(format!("{}/{repository}/blobs/uploads/", self.base))
            .send_empty()
            .expect("an upload");
        let place = begun.headers()["location"].to_str().expect("a URL");
        let place = match place.starts_with('/') {
            true => format!("{}{place}", self.base.trim_end_matches("/v2")),
            false => place.to_owned(),
        };
        let separator = if place.contains('?') { '&' } else { '?' };
        let place = format!("{place}{separator}digest={digest}");
        put(&place, "application/octet-stream", &config);
        let manifest = manifest.to_string();
        let place = format!("{}/{repository}/manifests/{tag}", self.base);
        put(&place, MANIFEST, &manifest);
        self::digest(&manifest)
    }

    fn json(&self, path: &str) -> Value {
        let request = agent().get(format!("{}/{path}", self.base));
        let answer = request.header("accept", MANIFEST).call();
        let mut answer = answer.expect("the registry answers");
        let text = answer.body_mut().read_to_string().expect("a text");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }
}

fn put(url: &str, kind: &str, text: &str) {
    let request = agent().put(url).header("content-type", kind);
    let answer = request.send(text).expect("the registry answers");
    assert_eq!(answer.status(), 201, "{url}");
}

fn digest(text: &str) -> String {
    let sum = Sha256::digest(text.as_bytes());
    let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
