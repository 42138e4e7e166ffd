//! Where a repository is, and where the API is that speaks of it.

use reqwest::Url;

use super::{Provider, Refusal};

/// Where a repository is.
pub(super) struct Place {
    /// The public forge that it is at, and what that forge's web host is.
    pub(super) known: Option<(Provider, String)>,
    /// Where the forge's web pages are, without a slash at the end.
    origin: String,
    ssh: bool,
    path: Vec<String>,
}

/// A repository as the API of its forge names it.
pub(super) struct Repository {
    /// Base of the API, without a slash at the end.
    api: String,
    /// Parts of its path.
    path: Vec<String>,
}

impl Place {
    /// Reads what git takes for a URL.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let hostile =
            |c: char| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#' | '\\');
        if text.contains(hostile) {
            return None;
        }
        let url = Url::parse(&short(text).unwrap_or_else(|| text.to_owned())).ok()?;
        let ssh = url.scheme() == "ssh";
        let web = if ssh {
            // Its user and its port are ssh's. The host is read again, by the rules of https.
            Url::parse(&format!("https://{}{}", url.host_str()?, url.path())).ok()?
        } else {
            url
        };
        let plain = web.username().is_empty() && web.password().is_none();
        if !matches!(web.scheme(), "http" | "https") || !plain {
            return None;
        }
        let known = known(web.host_str()?);
        let origin = match &known {
            Some((_, host)) => format!("https://{host}"),
            None => web.origin().ascii_serialization(),
        };
        let path = path(web.path())?;
        Some(Self {
            known,
            origin,
            ssh,
            path,
        })
    }

    /// What the API of a provider names this repository, and where that API is.
    pub(super) fn repository(
        &self,
        provider: Provider,
        api: Option<&str>,
    ) -> Result<Repository, Refusal> {
        let given = api.map(base).transpose()?;
        let (before, path) = self.split(provider, given.as_deref())?;
        let api = match given {
            Some(api) => api,
            None => self.api(provider, before)?,
        };
        Ok(Repository {
            api,
            path: path.to_vec(),
        })
    }

    /// What of the path is not the repository's, and what is. A forge may live below a path.
    fn split(
        &self,
        provider: Provider,
        api: Option<&str>,
    ) -> Result<(&[String], &[String]), Refusal> {
        let count = self.path.len();
        let last_two = count.checked_sub(2).map(|at| self.path.split_at(at));
        match provider {
            Provider::GitHub | Provider::Bitbucket => last_two
                .filter(|(before, _)| before.is_empty())
                .ok_or(Refusal::Path("OWNER/NAME")),
            Provider::Gitea => last_two.ok_or(Refusal::Path("OWNER/NAME")),
            Provider::BitbucketServer => {
                let (before, path) = last_two.ok_or(Refusal::Path("PROJECT/NAME"))?;
                let before = match before {
                    [] if self.ssh => before,
                    [before @ .., scm] if scm == "scm" => before,
                    _ => return Err(Refusal::Path("scm/PROJECT/NAME")),
                };
                Ok((before, path))
            }
            Provider::GitLab => {
                let at = api.map_or(0, |api| self.below(api));
                let (before, path) = self.path.split_at(at);
                if path.len() < 2 {
                    return Err(Refusal::Path("GROUP/NAME"));
                }
                Ok((before, path))
            }
        }
    }

    /// How much of the path is where GitLab itself lives. Groups nest, so that only the API's
    /// address tells: `https://example.com/gitlab/api/v4` has `https://example.com/gitlab/a/b`.
    fn below(&self, api: &str) -> usize {
        let Some(rest) = api.strip_prefix(&self.origin).filter(|_| !self.ssh) else {
            return 0;
        };
        let rest = rest.strip_suffix("/api/v4").unwrap_or_default();
        let parts: Vec<&str> = rest.split('/').filter(|it| !it.is_empty()).collect();
        if self
            .path
            .iter()
            .map(String::as_str)
            .take(parts.len())
            .eq(parts.iter().copied())
        {
            parts.len()
        } else {
            0
        }
    }

    fn api(&self, provider: Provider, before: &[String]) -> Result<String, Refusal> {
        let mut root = self.origin.clone();
        for part in before {
            root = format!("{root}/{part}");
        }
        let known = self
            .known
            .as_ref()
            .map(|(provider, host)| (*provider, host.as_str()));
        Ok(match (provider, known) {
            (Provider::GitHub, Some((Provider::GitHub, host))) => format!("https://api.{host}"),
            (Provider::GitHub, _) => format!("{root}/api/v3"),
            (Provider::GitLab, _) => format!("{root}/api/v4"),
            (Provider::Gitea, _) => format!("{root}/api/v1"),
            (Provider::Bitbucket, Some((Provider::Bitbucket, host))) => {
                format!("https://api.{host}/2.0")
            }
            (Provider::Bitbucket, _) => return Err(Refusal::NotBitbucketCloud),
            (Provider::BitbucketServer, _) => format!("{root}/rest/api/latest"),
        })
    }
}

impl Repository {
    /// Where statuses of a commit are posted to.
    pub(super) fn endpoint(&self, provider: Provider, commit: &str) -> String {
        let Self { api, path } = self;
        let whole = path.join("/");
        match provider {
            Provider::GitHub | Provider::Gitea => format!("{api}/repos/{whole}/statuses/{commit}"),
            Provider::GitLab => format!("{api}/projects/{}/statuses/{commit}", path.join("%2F")),
            Provider::Bitbucket => {
                format!("{api}/repositories/{whole}/commit/{commit}/statuses/build")
            }
            Provider::BitbucketServer => {
                let whole = path.join("/repos/");
                format!("{api}/projects/{whole}/commits/{commit}/builds")
            }
        }
    }

    /// The page of a commit, for those who insist on a link.
    pub(super) fn page(&self, provider: Provider, commit: &str) -> String {
        let Self { api, path } = self;
        match provider {
            Provider::BitbucketServer => {
                let root = api.split("/rest/").next().unwrap_or(api);
                let whole = path.join("/repos/");
                format!("{root}/projects/{whole}/commits/{commit}")
            }
            _ => format!("https://bitbucket.org/{}/commits/{commit}", path.join("/")),
        }
    }
}

/// git's short form `USER@HOST:PATH`, written out.
fn short(text: &str) -> Option<String> {
    let (user, rest) = text.split_once('@')?;
    let (host, path) = rest.split_once(':')?;
    if user.contains('/') || host.contains(['/', '@']) {
        return None;
    }
    Some(format!("ssh://{user}@{host}/{path}"))
}

/// The public forges, also by the hosts that take ssh at the port of https.
fn known(host: &str) -> Option<(Provider, String)> {
    let (provider, host) = match host {
        "github.com" | "www.github.com" | "ssh.github.com" => (Provider::GitHub, "github.com"),
        "gitlab.com" | "altssh.gitlab.com" => (Provider::GitLab, "gitlab.com"),
        "bitbucket.org" | "altssh.bitbucket.org" => (Provider::Bitbucket, "bitbucket.org"),
        "codeberg.org" | "gitea.com" => (Provider::Gitea, host),
        // GitHub Enterprise Cloud with data residency.
        _ if host.ends_with(".ghe.com") => (Provider::GitHub, host),
        _ => return None,
    };
    Some((provider, host.to_owned()))
}

/// The parts of a path, of characters that forges allow in names. None of them means anything else
/// in a URL.
fn path(text: &str) -> Option<Vec<String>> {
    let text = text.trim_matches('/');
    let text = text.strip_suffix(".git").unwrap_or(text);
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.~+".contains(c);
    let parts = text.split('/').map(|part| {
        let name = !matches!(part, "" | "." | "..") && part.chars().all(good);
        name.then(|| part.to_owned())
    });
    parts.collect()
}

/// Base of an API, as somebody wrote it.
fn base(text: &str) -> Result<String, Refusal> {
    let url = Url::parse(text).map_err(|_| Refusal::Api)?;
    let plain = url.username().is_empty() && url.password().is_none();
    let whole = url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !plain || !whole {
        return Err(Refusal::Api);
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
