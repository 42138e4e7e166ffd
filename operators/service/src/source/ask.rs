//! What Services ask of their sources, and what of it they can share.

use std::time::Duration;

use kube::ResourceExt;
use trackbed_api::{Project, Service, build::full_ref, service::GitSource};

use super::{FORGET, Found, Look, image};

/// A Secret by namespace and name.
type SecretKey = Option<(String, String)>;

/// What can be shared between Services.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) what: What,
    /// The Project, where it says itself how hosts are reached.
    pub(super) project: Option<String>,
}

/// What is asked for: the refs of a repository, the digest of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    Git {
        url: String,
        secret: SecretKey,
    },
    Image {
        reference: String,
        range: Option<String>,
        secret: SecretKey,
    },
    Between {
        url: String,
        secret: SecretKey,
        reference: Option<String>,
        from: String,
        to: String,
        patterns: Vec<String>,
    },
}

/// A question to a source.
#[derive(Clone, Debug)]
pub struct Ask {
    pub(super) key: Key,
    pub(super) reference: Option<String>,
    pub(super) interval: Duration,
}

impl Ask {
    /// The question that a Service asks.
    ///
    /// # Errors
    /// None: the question stands where an error would, because a commit or a digest is an answer
    /// already.
    #[allow(clippy::result_large_err, reason = "both are made once a reconcile")]
    pub fn of(service: &Service, namespace: &str) -> Result<Look, Self> {
        let source = &service.spec.source;
        if let Some(git) = &source.git {
            if let Some(commit) = &git.commit {
                return Ok(Look::Found(Found {
                    commit: Some(commit.to_string()),
                    ..Found::default()
                }));
            }
            return Err(Self::git(git, namespace));
        }
        let Some(image) = &source.image else {
            return Ok(Look::Unknown);
        };
        if image.reference.contains("@sha256:") {
            return Ok(Look::Found(Found {
                image: Some(image.reference.to_string()),
                ..Found::default()
            }));
        }
        let secret = image.pull_secret_ref.as_ref();
        Err(Self {
            key: What::Image {
                reference: image.reference.to_string(),
                range: image.semver.as_ref().map(ToString::to_string),
                secret: secret.map(|secret| (namespace.to_owned(), secret.name.to_string())),
            }
            .into(),
            reference: None,
            interval: image.interval.to_std(),
        })
    }

    /// The question whether a commit is worth a build, if it is one: since the commit that was built
    /// last, of the same inputs, something else may have changed than the Service watches.
    pub fn between(
        service: &Service,
        namespace: &str,
        found: &Found,
        inputs: &str,
    ) -> Option<Self> {
        let git = service.spec.source.git.as_ref()?;
        let before = service.status.as_ref()?.source.as_ref()?;
        let to = found.commit.as_ref()?;
        let from = before.built_commit.as_ref().or(before.commit.as_ref())?;
        let known = before.commit.as_ref() == Some(to) || from == to;
        let asked = git.watch_paths.is_empty() || git.commit.is_some();
        if known || asked || before.inputs.as_deref() != Some(inputs) {
            return None;
        }
        let secret = git.secret_ref.as_ref();
        Some(Self {
            key: What::Between {
                url: git.url.to_string(),
                secret: secret.map(|secret| (namespace.to_owned(), secret.name.to_string())),
                reference: found.r#ref.clone(),
                from: from.clone(),
                to: to.clone(),
                patterns: git.watch_paths.iter().map(ToString::to_string).collect(),
            }
            .into(),
            reference: None,
            // Two commits stay what they are.
            interval: FORGET,
        })
    }

    /// The same question, asked the way that a Project says, if it says one: then its answer is
    /// shared within that Project only.
    #[must_use]
    pub fn within(mut self, project: Option<&Project>) -> Self {
        let own = project.filter(|project| {
            let build = project.spec.build.as_ref();
            build.is_some_and(|build| build.environment.is_way())
        });
        self.key.project = own.map(ResourceExt::name_any);
        self
    }

    fn git(git: &GitSource, namespace: &str) -> Self {
        let secret = git.secret_ref.as_ref();
        Self {
            key: What::Git {
                url: git.url.to_string(),
                secret: secret.map(|secret| (namespace.to_owned(), secret.name.to_string())),
            }
            .into(),
            reference: full_ref(git.branch.as_ref(), git.tag.as_ref()),
            interval: git.interval.to_std(),
        }
    }
}

impl From<What> for Key {
    fn from(what: What) -> Self {
        let project = None;
        Self { what, project }
    }
}

impl Key {
    /// The host that is asked.
    pub(super) fn host(&self) -> String {
        match &self.what {
            // What cannot be read is refused before anybody is asked.
            What::Git { url, .. } | What::Between { url, .. } => trackbed_git::Url::parse(url)
                .map(|url| url.host)
                .unwrap_or_default(),
            What::Image { reference, .. } => image::registry(reference),
        }
    }

    pub(super) fn secret(&self) -> Option<&(String, String)> {
        match &self.what {
            What::Git { secret, .. }
            | What::Image { secret, .. }
            | What::Between { secret, .. } => secret.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
        serde_saphyr::from_str(text).expect("an object")
    }

    #[test]
    fn who_is_reached_in_another_way_is_asked_for_each_project() {
        let service: Service = read(
            "{metadata: {name: web}, spec: {source: {git: {url: 'https://example.com/a/b'}}}}",
        );
        let project = |name: &str, environment: &str| -> Project {
            read(&format!(
                "{{metadata: {{name: {name}}}, spec: {{build: {{environment: {environment}}}}}}}"
            ))
        };
        let key = |project: &Project| {
            let ask = Ask::of(&service, "shop-production").expect_err("a question");
            ask.within(Some(project)).key
        };
        let plain = [project("shop", "{}"), project("blog", "{}")];
        assert_eq!(key(&plain[0]), key(&plain[1]), "one look for both");
        let own = "{noProxy: .example.com}";
        let own = [project("shop", own), project("blog", own)];
        assert_ne!(key(&own[0]), key(&plain[0]));
        assert_ne!(key(&own[0]), key(&own[1]), "each its own");
        assert_eq!(key(&own[0]).host(), "example.com");
    }
}
