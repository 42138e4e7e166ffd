//! Addresses of repositories, as people write them.

use crate::Error;

/// How a host is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain http.
    Http,
    /// https.
    Https,
    /// ssh.
    Ssh,
}

/// Where a repository is. It never holds a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// How its host is spoken to.
    pub scheme: Scheme,
    /// Who one is there (ssh only).
    pub user: Option<String>,
    /// Host in lower case, an IPv6 address in brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    path: String,
    text: String,
}

impl Url {
    /// Reads `https://HOST/PATH`, `http://…`, `ssh://USER@HOST/PATH` and git's own short form
    /// `USER@HOST:PATH`.
    ///
    /// # Errors
    /// [`Error::InvalidUrl`], which does not repeat what may hold a password.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).ok_or_else(|| {
            let shown = !text.contains('@') && text.len() < 256;
            let clean = text.chars().all(|c| !c.is_control());
            Error::InvalidUrl(if shown && clean { text } else { "it" }.to_owned())
        })
    }

    fn read(text: &str) -> Option<Self> {
        let hostile =
            |c: char| c.is_control() || c.is_whitespace() || matches!(c, '?' | '#' | '\\');
        if text.contains(hostile) {
            return None;
        }
        let (scheme, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (Scheme::Https, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (Scheme::Http, rest)
        } else if let Some(rest) = text.strip_prefix("ssh://") {
            (Scheme::Ssh, rest)
        } else {
            return Self::short(text);
        };
        let (authority, path) = rest.split_once('/')?;
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) if scheme == Scheme::Ssh => (Some(user), place),
            Some(_) => return None,
            None => (None, authority),
        };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (place, None),
        };
        Self::new(scheme, user, host, port, path, text)
    }

    /// `git@host:acme/shop.git`.
    fn short(text: &str) -> Option<Self> {
        let (user, rest) = text.split_once('@')?;
        let (host, path) = rest.split_once(':')?;
        Self::new(Scheme::Ssh, Some(user), host, None, path, text)
    }

    fn new(
        scheme: Scheme,
        user: Option<&str>,
        host: &str,
        port: Option<u16>,
        path: &str,
        text: &str,
    ) -> Option<Self> {
        let name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        let address = |c: char| c.is_ascii_hexdigit() || ":.".contains(c);
        let good_host = match host.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            Some(inner) => !inner.is_empty() && inner.chars().all(address),
            None => !host.is_empty() && !host.starts_with('-') && host.chars().all(name),
        };
        let good_user = user.is_none_or(|user| {
            !user.is_empty() && !user.starts_with('-') && user.chars().all(name)
        });
        let good_path = !path.trim_matches('/').is_empty();
        (good_host && good_user && good_path).then(|| Self {
            scheme,
            user: user.map(str::to_owned),
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(match scheme {
                Scheme::Http => 80,
                Scheme::Https => 443,
                Scheme::Ssh => 22,
            }),
            path: path.to_owned(),
            text: text.to_owned(),
        })
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Which repository of its host it is, whichever way the host is spoken to: `acme/shop`.
    pub fn repository(&self) -> &str {
        let path = self.path.trim_matches('/');
        path.strip_suffix(".git").unwrap_or(path)
    }

    /// What comes after the host, without the slash before it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether what may be sent to one may be sent to the other: same scheme, host and port.
    pub fn same_origin(&self, other: &Self) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }

    /// The address of a submodule, which may be relative to that of its repository
    /// (<https://git-scm.com/docs/gitmodules>, `submodule.<name>.url`).
    ///
    /// # Errors
    /// [`Error::InvalidUrl`].
    pub fn join(&self, text: &str) -> Result<Self, Error> {
        if !text.starts_with("./") && !text.starts_with("../") {
            return Self::parse(text);
        }
        let mut path: Vec<&str> = self.path.trim_end_matches('/').split('/').collect();
        for part in text.split('/') {
            match part {
                "." | "" => {}
                ".." if path.len() > 1 || path.first().is_some_and(|it| !it.is_empty()) => {
                    path.pop();
                }
                ".." => return Err(Error::InvalidUrl(text.to_owned())),
                part => path.push(part),
            }
        }
        let before = &self.text[..self.text.len() - self.path.len()];
        Self::parse(&format!("{before}{}", path.join("/")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    #[test]
    fn what_people_write_is_read() {
        for (text, scheme, user, host, port) in [
            (
                "https://example.com/a/b",
                Scheme::Https,
                None,
                "example.com",
                443,
            ),
            (
                "http://Example.com:3000/a",
                Scheme::Http,
                None,
                "example.com",
                3000,
            ),
            (
                "ssh://git@example.com:2222/a/b.git",
                Scheme::Ssh,
                Some("git"),
                "example.com",
                2222,
            ),
            ("ssh://example.com/a", Scheme::Ssh, None, "example.com", 22),
            (
                "git@example.com:a/b.git",
                Scheme::Ssh,
                Some("git"),
                "example.com",
                22,
            ),
            ("https://[::1]:8443/a", Scheme::Https, None, "[::1]", 8443),
            ("https://[::1]/a", Scheme::Https, None, "[::1]", 443),
        ] {
            let url = url(text);
            assert_eq!(
                (url.scheme, url.user.as_deref(), url.host.as_str(), url.port),
                (scheme, user, host, port),
                "{text}"
            );
            assert_eq!(url.as_str(), text);
        }
    }

    #[test]
    fn a_repository_is_the_same_by_https_and_ssh() {
        for text in [
            "https://example.com/acme/shop.git",
            "http://git.internal:3000/acme/shop",
            "ssh://git@example.com:2222/acme/shop.git/",
            "git@example.com:acme/shop.git",
        ] {
            assert_eq!(url(text).repository(), "acme/shop", "{text}");
        }
    }

    #[test]
    fn what_is_hostile_is_not() {
        for text in [
            "",
            "file:///etc",
            "/etc/passwd",
            "--upload-pack=x",
            "git://example.com/a",
            "ext::sh -c id",
            "https://ada:pw@example.com/a",
            "https://ada@example.com/a",
            "ssh://ada:pw@example.com/a",
            "ssh://-oProxyCommand=id/a",
            "ssh://git@-oProxyCommand=id/a",
            "-x@example.com:a",
            "git@example.com:",
            "https://example.com",
            "https://example.com/",
            "https:///a",
            "https://example.com/a?x=1",
            "https://example.com/a b",
            "https://example.com/a\nb",
            "https://example.com:99999/a",
        ] {
            let error = Url::parse(text).expect_err(text);
            assert_eq!(error.reason(), "InvalidUrl", "{text}");
            assert!(!error.to_string().contains("pw"), "{error}");
        }
    }

    #[test]
    fn submodules_are_found_beside_and_elsewhere() {
        let shop = url("https://example.com/acme/shop.git");
        let joined = |text: &str| shop.join(text).map(|it| it.as_str().to_owned());
        assert_eq!(
            joined("../lib.git").ok(),
            Some("https://example.com/acme/lib.git".to_owned())
        );
        assert_eq!(
            joined("./lib").ok(),
            Some("https://example.com/acme/shop.git/lib".to_owned())
        );
        assert_eq!(
            joined("../../x/lib").ok(),
            Some("https://example.com/x/lib".to_owned())
        );
        assert_eq!(
            joined("https://other.example/x").ok(),
            Some("https://other.example/x".to_owned())
        );
        assert!(joined("../../../../x").is_err());
        let short = url("git@example.com:acme/shop.git");
        let lib = short.join("../lib.git").expect("beside");
        assert_eq!(lib.as_str(), "git@example.com:acme/lib.git");
    }

    #[test]
    fn credentials_are_for_one_scheme_host_and_port() {
        let shop = url("https://example.com/acme/shop.git");
        for (text, same) in [
            ("https://EXAMPLE.com:443/acme/lib", true),
            ("http://example.com/acme/lib", false),
            ("https://example.com:8443/acme/lib", false),
            ("https://example.com.evil.test/acme/lib", false),
            ("git@example.com:acme/lib", false),
        ] {
            assert_eq!(shop.same_origin(&url(text)), same, "{text}");
        }
    }
}
