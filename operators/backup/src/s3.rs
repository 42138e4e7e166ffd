//! Buckets.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, path::Path,
};
use reqwest::Url;

use crate::{Error, client::Client, failure};

/// How often a request is tried again, with pauses from 100 ms to 10 s.
const RETRIES: usize = 6;

/// When no further try is begun.
const RETRY_UNTIL: Duration = Duration::from_secs(150);

/// Where buckets are if nothing is said.
const REGION: &str = "us-east-1";

/// A bucket of Amazon's, or of another server that speaks S3.
#[derive(Clone)]
pub struct S3 {
    /// URL of the server. Without one it is Amazon's. Only with one that says `http://` is anything
    /// sent in plain text.
    pub endpoint: Option<String>,
    /// The bucket.
    pub bucket: String,
    /// Its region. Default: us-east-1, which is what most other servers call theirs.
    pub region: Option<String>,
    /// What all names of objects begin with, such as "backups/production".
    pub prefix: Option<String>,
    /// The key's name.
    pub access_key: String,
    /// The key.
    pub secret_key: String,
    /// A third part that keys for a while have.
    pub session_token: Option<String>,
    /// Whether the bucket stands in the path of URLs rather than in their host. By default it does:
    /// every server understands that.
    pub path_style: bool,
    /// A file of certificates in PEM that are trusted besides the public ones and the system's.
    pub ca_bundle: Option<PathBuf>,
}

impl S3 {
    /// A bucket of which nothing is said but its name and a key.
    pub fn new(
        bucket: impl Into<String>,
        access_key: impl Into<String>,
        secret_key: impl Into<String>,
    ) -> Self {
        Self {
            endpoint: None,
            bucket: bucket.into(),
            region: None,
            prefix: None,
            access_key: access_key.into(),
            secret_key: secret_key.into(),
            session_token: None,
            path_style: true,
            ca_bundle: None,
        }
    }

    /// How errors name it.
    pub(crate) fn place(&self) -> String {
        let bucket = &self.bucket;
        match self.endpoint.as_deref().map(shown) {
            Some(endpoint) => format!("the bucket {bucket} at {endpoint}"),
            None => format!("the bucket {bucket}"),
        }
    }

    /// What must not be repeated.
    pub(crate) fn hidden(&self) -> Vec<String> {
        let keys = [&self.access_key, &self.secret_key].into_iter();
        keys.chain(&self.session_token).cloned().collect()
    }

    /// The prefix, and a client for the bucket. Nothing is sent.
    ///
    /// # Errors
    /// That something said of the bucket cannot be.
    pub(crate) fn open(&self) -> Result<(Arc<dyn ObjectStore>, Path), Error> {
        self.check()?;
        let (endpoint, allow_http) = self.url()?;
        let prefix = self.prefix.as_deref().unwrap_or_default();
        let prefix = Path::parse(prefix.trim_matches('/'))
            .map_err(|_| wrong("prefix has empty parts, '.', '..' or control characters"))?;
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_region(self.region.as_deref().unwrap_or(REGION))
            .with_access_key_id(&self.access_key)
            .with_secret_access_key(&self.secret_key)
            .with_virtual_hosted_style_request(!self.path_style)
            .with_client_options(ClientOptions::new().with_allow_http(allow_http))
            // Several servers know no bulk deletion, and there are two objects to delete at most.
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig {
                backoff: BackoffConfig {
                    init_backoff: Duration::from_millis(100),
                    max_backoff: Duration::from_secs(10),
                    base: 2.0,
                },
                max_retries: RETRIES,
                retry_timeout: RETRY_UNTIL,
            })
            .with_http_connector(Client::new(self.ca_bundle.as_deref(), allow_http)?);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(token) = &self.session_token {
            builder = builder.with_token(token);
        }
        let store = builder
            .build()
            .map_err(|error| Error::Misconfigured(failure::line(&error.to_string())))?;
        Ok((Arc::new(store), prefix))
    }

    /// All of these go into headers or paths, where the store's client takes it that they can.
    fn check(&self) -> Result<(), Error> {
        let plain = |text: &str, length| {
            let good =
                |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
            (1..=length).contains(&text.len()) && text.bytes().all(good) && !text.starts_with('.')
        };
        if !plain(&self.bucket, 255) {
            return Err(wrong(
                "the bucket's name is not of letters, digits, '-', '_' and '.'",
            ));
        }
        if !self.region.as_deref().is_none_or(|it| plain(it, 64)) {
            return Err(wrong(
                "the region is not of letters, digits, '-', '_' and '.'",
            ));
        }
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_graphic());
        for (what, key) in [
            ("the access key", Some(&self.access_key)),
            ("the secret key", Some(&self.secret_key)),
            ("the session token", self.session_token.as_ref()),
        ] {
            if !key.is_none_or(|it| visible(it)) {
                let rule = "must be one line of visible ASCII characters, without a line break";
                return Err(Error::Misconfigured(format!("{what} {rule}")));
            }
        }
        Ok(())
    }

    /// The server's URL as the store wants it, and whether it is in plain text.
    fn url(&self) -> Result<(Option<String>, bool), Error> {
        let Some(endpoint) = &self.endpoint else {
            return Ok((None, false));
        };
        let mut url = Url::parse(endpoint).map_err(|_| wrong("the endpoint is no URL"))?;
        let allow_http = match url.scheme() {
            "http" => true,
            "https" => false,
            _ => {
                return Err(wrong(
                    "the endpoint does not begin with https:// or http://",
                ));
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "the endpoint holds credentials: they go into the keys",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("the endpoint holds a '?' or a '#'"));
        }
        if !self.path_style {
            let host = url.domain().map(|host| format!("{}.{host}", self.bucket));
            let host = host.ok_or_else(|| {
                wrong(
                    "the endpoint is an address, before which no bucket can stand: use path style",
                )
            })?;
            url.set_host(Some(&host))
                .map_err(|_| wrong("the bucket's name cannot stand in a host's name"))?;
        }
        let url = url.as_str().trim_end_matches('/').to_owned();
        Ok((Some(url), allow_http))
    }
}

/// A URL without what may be credentials.
fn shown(endpoint: &str) -> String {
    match Url::parse(endpoint) {
        Ok(url) => url.origin().ascii_serialization(),
        Err(_) => "no URL".to_owned(),
    }
}

fn wrong(what: &str) -> Error {
    Error::Misconfigured(what.to_owned())
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3")
            .field("endpoint", &self.endpoint.as_deref().map(shown))
            .field("bucket", &self.bucket)
            .field("region", &self.region)
            .field("prefix", &self.prefix)
            .field("path_style", &self.path_style)
            .field("ca_bundle", &self.ca_bundle)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn bucket() -> S3 {
        S3::new("backups", "AKIAKEY", "topsecret")
    }

    fn opened(s3: &S3) -> Result<Path, String> {
        let _already = rustls::crypto::ring::default_provider().install_default();
        s3.open().map(|(_, prefix)| prefix).map_err(|error| {
            assert_eq!(error.reason(), "DestinationInvalid");
            error.to_string()
        })
    }

    fn refused(change: fn(&mut S3)) -> String {
        let mut s3 = bucket();
        change(&mut s3);
        opened(&s3).expect_err("refused")
    }

    #[test]
    fn a_bucket_is_described_in_full_or_shortly() {
        assert_eq!(opened(&bucket()).expect("a bucket").as_ref(), "");
        let full = S3 {
            endpoint: Some("http://minio.storage.svc:9000/".to_owned()),
            region: Some("eu-central-1".to_owned()),
            prefix: Some("/backups/production/".to_owned()),
            session_token: Some("token".to_owned()),
            ..bucket()
        };
        let prefix = opened(&full).expect("a bucket");
        assert_eq!(prefix.as_ref(), "backups/production");
        let place = full.place();
        assert_eq!(place, "the bucket backups at http://minio.storage.svc:9000");
    }

    #[test]
    fn a_bucket_may_stand_in_the_host() {
        let s3 = S3 {
            endpoint: Some("https://s3.example.com:8443/".to_owned()),
            path_style: false,
            ..bucket()
        };
        let url = s3.url().expect("a URL");
        let host = "https://backups.s3.example.com:8443".to_owned();
        assert_eq!(url, (Some(host), false));
        assert!(opened(&s3).is_ok());
        let address = refused(|it| {
            it.endpoint = Some("https://10.0.0.1".to_owned());
            it.path_style = false;
        });
        assert!(address.contains("path style"), "{address}");
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_is_sent() {
        for (change, word) in [
            ((|it| it.bucket = String::new()) as fn(&mut S3), "bucket"),
            (|it| it.bucket = "a/b".to_owned(), "bucket"),
            (|it| it.bucket = "..".to_owned(), "bucket"),
            (|it| it.region = Some("eu west".to_owned()), "region"),
            (|it| it.access_key = String::new(), "access key"),
            (|it| it.secret_key = "topsecret\n".to_owned(), "secret key"),
            (
                |it| it.session_token = Some("ä".to_owned()),
                "session token",
            ),
            (|it| it.prefix = Some("a/../b".to_owned()), "prefix"),
            (|it| it.prefix = Some("a//b".to_owned()), "prefix"),
            (|it| it.endpoint = Some("minio:9000".to_owned()), "https://"),
            (
                |it| it.endpoint = Some("ftp://minio".to_owned()),
                "https://",
            ),
            (|it| it.endpoint = Some("https://".to_owned()), "no URL"),
            (
                |it| it.endpoint = Some("https://a:b@c".to_owned()),
                "credentials",
            ),
            (|it| it.endpoint = Some("https://c?d".to_owned()), "'?'"),
            (|it| it.ca_bundle = Some("/nowhere".into()), "/nowhere"),
        ] {
            let message = refused(change);
            assert!(message.contains(word), "{message}");
            assert!(!message.contains("topsecret"), "{message}");
        }
    }

    #[test]
    fn certificates_of_ones_own_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.crt");
        let own = rcgen::generate_simple_self_signed(["minio".to_owned()]).expect("a certificate");
        let s3 = S3 {
            endpoint: Some("https://minio:9000".to_owned()),
            ca_bundle: Some(path.clone()),
            ..bucket()
        };
        fs::write(&path, own.cert.pem()).expect("a file");
        assert!(opened(&s3).is_ok());
        fs::write(&path, "nothing").expect("a file");
        let message = opened(&s3).expect_err("refused");
        assert!(message.contains("none in PEM"), "{message}");
    }

    #[test]
    fn keys_are_never_shown() {
        let s3 = S3 {
            endpoint: Some("https://ada:hunter2@minio:9000".to_owned()),
            session_token: Some("sessiontoken".to_owned()),
            ..bucket()
        };
        let shown = format!("{s3:?} {}", s3.place());
        assert!(shown.contains("https://minio:9000"), "{shown}");
        for secret in ["AKIAKEY", "topsecret", "sessiontoken", "hunter2"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
