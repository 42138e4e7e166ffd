//! How a registry is told who asks: by name and password, or by a token that another service gives
//! for these (<https://distribution.github.io/distribution/spec/auth/token/>).

use http_auth::ChallengeRef;
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use trackbed_kit::docker::Login;

use super::{ANSWER_MAX, Answer, Session, begin, unreachable};

/// What lets a request in. Has no debug text on purpose.
pub(super) enum Pass {
    /// User and password.
    Basic(Login),
    /// A token for this repository.
    Bearer(String),
}

/// What a registry asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer {
        realm: String,
        service: Option<String>,
    },
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Session<'_> {
    /// What the registry asks for.
    pub(super) async fn pass(&self, challenges: &[&str]) -> Result<Pass, Answer> {
        match (challenge(challenges), self.login) {
            (Some(Challenge::Basic), Some(login)) => Ok(Pass::Basic(login.clone())),
            (Some(Challenge::Basic), None) | (None, _) => Err(Answer::Unauthorized),
            (Some(Challenge::Bearer { realm, service }), _) => {
                self.token(&realm, service.as_deref()).await
            }
        }
    }

    async fn token(&self, realm: &str, service: Option<&str>) -> Result<Pass, Answer> {
        let scope = format!("repository:{}:pull,delete", self.repository);
        let url = place(&self.manifests, realm, service, &scope).map_err(Answer::Refused)?;
        let request = self.http.get(url.clone());
        let request = match self.login {
            Some(login) => request.basic_auth(&login.username, Some(&login.password)),
            None => request,
        };
        let answer = request.send().await.map_err(|it| unreachable(&url, &it))?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Answer::Unauthorized),
            status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                let words = format!("its token service answers with HTTP {status}");
                return Err(Answer::Unavailable(words));
            }
            status => {
                let words = format!("its token service answers with HTTP {status}");
                return Err(Answer::Refused(words));
            }
        }
        // The parser's words could quote the token.
        let token: Option<Token> = serde_json::from_slice(&begin(answer, ANSWER_MAX).await).ok();
        let token = token.and_then(|it| it.token.or(it.access_token));
        let none = || Answer::Refused("its token service gives no token".to_owned());
        token.map(Pass::Bearer).ok_or_else(none)
    }
}

/// What is asked for in headers. A token goes before a password: where both are offered, the
/// password of some registries is good for tokens only.
fn challenge(headers: &[&str]) -> Option<Challenge> {
    let all = headers.iter();
    let all: Vec<ChallengeRef<'_>> = all
        .filter_map(|it| http_auth::parse_challenges(it).ok())
        .flatten()
        .collect();
    let of = |scheme: &str| {
        let mut all = all.iter();
        all.find(|it| it.scheme.eq_ignore_ascii_case(scheme))
    };
    let bearer = of("Bearer").and_then(|it| {
        let parameter = |name: &str| {
            let mut all = it.params.iter();
            let found = all.find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        Some(Challenge::Bearer {
            realm: parameter("realm")?,
            service: parameter("service"),
        })
    });
    bearer.or_else(|| of("Basic").map(|_| Challenge::Basic))
}

/// Where a token is asked for: by https, unless the registry itself is asked by plain http.
fn place(registry: &Url, realm: &str, service: Option<&str>, scope: &str) -> Result<Url, String> {
    let url = Url::parse(realm).ok().filter(Url::has_host);
    let mut url = url.ok_or("it sends to a token service that has no URL")?;
    match url.scheme() {
        "https" => {}
        "http" if registry.scheme() == "http" => {}
        scheme => {
            let host = url.host_str().unwrap_or_default();
            return Err(format!(
                "it wants the credentials to be sent to {host} by {scheme}, not by https"
            ));
        }
    }
    let mut query = url.query_pairs_mut();
    if let Some(service) = service {
        query.append_pair("service", service);
    }
    query.append_pair("scope", scope);
    drop(query);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
        })
    }

    #[test]
    fn what_registries_ask_for_is_understood() {
        let token = "https://auth.example.com/token";
        for (headers, expected) in [
            (&[r#"Basic realm="registry""#][..], Some(Challenge::Basic)),
            (
                &[
                    r#"Bearer realm="https://auth.example.com/token",service="r",scope="repository:a/b:pull""#,
                ],
                bearer(token, Some("r")),
            ),
            (
                &[r#"Basic realm="r", bearer realm="https://auth.example.com/token""#],
                bearer(token, None),
            ),
            (
                &[
                    "Basic realm=r",
                    r#"Bearer realm="https://auth.example.com/token""#,
                ],
                bearer(token, None),
            ),
            (&[r#"Bearer service="r""#], None),
            (&["Negotiate"], None),
            (&["=,\""], None),
            (&[], None),
        ] {
            assert_eq!(challenge(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn tokens_are_asked_for_as_safely_as_the_registry_is() {
        let asked = |registry: &str, realm: &str| {
            let registry = Url::parse(registry).expect("a URL");
            let url = place(&registry, realm, Some("r&s"), "repository:a/b:pull,delete");
            url.map(String::from)
        };
        let query = "service=r%26s&scope=repository%3Aa%2Fb%3Apull%2Cdelete";
        for (registry, realm) in [
            ("https://r.example.com/", "https://auth.example.com/token"),
            ("http://r.example.com/", "https://auth.example.com/token"),
            ("http://r.example.com/", "http://auth.example.com/token"),
        ] {
            assert_eq!(asked(registry, realm), Ok(format!("{realm}?{query}")));
        }
        assert_eq!(
            asked("http://r.example.com/", "http://a.example.com/?x=y"),
            Ok(format!("http://a.example.com/?x=y&{query}"))
        );
        for realm in [
            "http://auth.example.com/token",
            "ftp://a.example.com/",
            "token",
            "unix:/a",
        ] {
            let refused = asked("https://r.example.com/", realm);
            assert!(refused.is_err(), "{realm}: {refused:?}");
        }
    }
}
