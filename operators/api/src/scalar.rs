//! Text that a person writes, each with the rule that the API server holds it to.
//!
//! User text is hostile input: it ends in URLs, ref names, file paths and host names. A rule here
//! refuses what no later step should have to defend against (a leading `-`, control characters,
//! `..`), with a sentence that says what to write instead.

use std::{borrow::Cow, fmt, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// Declares a newtype over `String` whose schema has a maximal length and CEL rules.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, max = $max:literal, $(($rule:expr, $message:expr)),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The text as it was written.
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl Deref for $name {
            type Target = str;
            fn deref(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self { Self(text.to_owned()) }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self { Self(text) }
        }
        impl JsonSchema for $name {
            fn inline_schema() -> bool { true }
            fn schema_name() -> Cow<'static, str> { stringify!($name).into() }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "maxLength": $max,
                    "x-kubernetes-validations": [$({"rule": $rule, "message": $message}),+],
                })
            }
        }
    };
}

text!(
    /// The name of an object in the same namespace (a DNS subdomain, RFC 1123).
    ObjectName, max = 253,
    ("self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
     "must be the name of an object in the same namespace: lower-case letters, digits, '-' and '.', like 'shop-git'"),
);
text!(
    /// The name of a Service, Database or environment as part of other names (a DNS label).
    Label, max = 40,
    ("self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
     "must be lower-case letters, digits and '-', start with a letter and end with a letter or digit, like 'web'"),
);
text!(
    /// The name of a database in a Postgres server, or of a user of it.
    DatabaseName, max = 31,
    ("self.matches('^[a-z]([a-z0-9_]*[a-z0-9])?$')", "must be lower-case letters, digits and '_', start with a letter and end with a letter or digit, like 'analytics'"),
);
text!(
    /// The name of an extension of Postgres.
    ExtensionName, max = 63,
    ("self.matches('^[a-z][a-z0-9_-]*$')", "must be the name of an extension as CREATE EXTENSION takes it, like 'pg_trgm'"),
);
text!(
    /// Where a git repository is, without password.
    GitUrl, max = 2048,
    ("self.matches('^(https?://[^-/@?#\\\\\\\\\\\\s\\\\x00-\\\\x1f\\\\x7f][^/@?#\\\\\\\\\\\\s\\\\x00-\\\\x1f\\\\x7f]*|ssh://([A-Za-z0-9_.][-A-Za-z0-9_.]*@)?[A-Za-z0-9\\\\[][-A-Za-z0-9_.:\\\\[\\\\]]*)/[^?#\\\\\\\\\\\\s\\\\x00-\\\\x1f\\\\x7f]+$') || self.matches('^[A-Za-z0-9_.][-A-Za-z0-9_.]*@[A-Za-z0-9][-A-Za-z0-9_.]*:[^?#\\\\\\\\\\\\s\\\\x00-\\\\x1f\\\\x7f]+$')",
     "must be the https://, http:// or ssh:// URL of a repository, or its short form git@HOST:PATH, without password or query, like 'https://git.example.com/acme/shop' (credentials belong into a Secret named by secretRef)"),
);
text!(
    /// A branch or tag, without `refs/heads/` or `refs/tags/` (rules of `git check-ref-format`).
    RefName, max = 244,
    ("self.matches('^[^-./\\\\s~^:?*\\\\[\\\\x00-\\\\x1f\\\\x7f][^\\\\s~^:?*\\\\[\\\\x00-\\\\x1f\\\\x7f]*$') && !self.contains('..') && !self.contains('//') && !self.contains('@{') && !self.contains('\\\\') && !self.endsWith('/') && !self.endsWith('.') && !self.endsWith('.lock')",
     "must be a branch or tag name as git allows it, without refs/heads/, like 'main' or 'feature/cart': no leading '-', no '..', spaces or control characters"),
    ("!self.startsWith('refs/')", "must be the short name: write 'main', not 'refs/heads/main'"),
);
text!(
    /// A full commit id (SHA-1).
    CommitId, max = 40,
    ("self.matches('^[0-9a-f]{40}$')", "must be the full commit id: 40 lower-case hexadecimal digits, as 'git rev-parse HEAD' prints it"),
);
text!(
    /// A path inside the repository.
    RepoPath, max = 512,
    ("self == '.' || (self.matches('^[^-/\\\\x00-\\\\x1f\\\\x7f\\\\\\\\][^\\\\x00-\\\\x1f\\\\x7f\\\\\\\\]*$') && !self.split('/').exists(p, p == '..' || p == ''))",
     "must be a path inside the repository, relative to its root, without '..' or a leading '/' or '-', like 'apps/web'"),
);
text!(
    /// When something is to happen, as cron writes it.
    CronSchedule, max = 128,
    ("self.matches('^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|([*?0-9A-Za-z,/-]+ +){4}[*?0-9A-Za-z,/-]+)$')",
     "must be the five fields of cron (minute, hour, day of the month, month, day of the week), like '*/5 * * * *', or @hourly, @daily, @weekly, @monthly, @yearly; the time zone goes into timeZone"),
);
text!(
    /// The name of a time zone in the IANA database.
    TimeZone, max = 64,
    ("self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z][A-Za-z0-9_+-]*)*$') && self != 'Local'", "must be the name of a time zone, like 'Europe/Berlin'"),
);
text!(
    /// Where a volume is in a container's file system.
    MountPath, max = 256,
    ("self.matches('^(/[A-Za-z0-9_][-A-Za-z0-9._]*)+$')",
     "must be an absolute path without '..' and a trailing '/', like '/data'"),
);
text!(
    /// An absolute path of an HTTP request.
    HttpPath, max = 512,
    ("self.matches('^/[!-~]*$')", "must be the path of a request, starting with '/', like '/healthz'"),
);
text!(
    /// The name of an environment variable or build argument.
    VariableName, max = 128,
    ("self.matches('^[A-Za-z_][A-Za-z0-9_]*$')", "must be letters, digits and '_', not starting with a digit, like 'LOG_LEVEL'"),
);
text!(
    /// A fully qualified host name (RFC 1123), without port.
    HostName, max = 253,
    ("self.matches('^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?[.])+[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
     "must be a host name in lower case with at least one dot and without scheme, port or path, like 'www.example.com'"),
);
text!(
    /// A host, or all hosts one label below a domain: `*.example.com`.
    HostPattern, max = 253,
    ("self.matches('^([*][.])?([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?[.])+[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
     "must be a host name in lower case with at least one dot and without scheme, port or path, like 'www.example.com', or '*.example.com' for all hosts one label below a domain"),
);
text!(
    /// An image reference as a person writes it: registry (optional), repository, tag or digest.
    ImageReference, max = 512,
    ("self.matches('^[a-zA-Z0-9][a-zA-Z0-9._:/-]*(@sha256:[0-9a-f]{64})?$') && !self.contains('//')",
     "must be an image reference without scheme, like 'ghcr.io/acme/web:1.4'"),
);
text!(
    /// An image by digest: what a release is made of (moving a tag changes nothing).
    ImageDigest, max = 512,
    ("self.matches('^[a-zA-Z0-9][a-zA-Z0-9._:/-]*@sha256:[0-9a-f]{64}$')",
     "must name the image by digest, like 'registry.example.com/shop/web@sha256:…' (64 hexadecimal digits)"),
);
text!(
    /// A repository prefix in a registry.
    RepositoryPrefix, max = 255,
    ("self.matches('^[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$')",
     "must be a registry host and a path, without scheme or tag, like 'registry.example.com/shop'"),
);
text!(
    /// Where a mirror of a package index is, without password.
    IndexUrl, max = 2048,
    ("self.matches('^https?://[A-Za-z0-9][A-Za-z0-9.:_-]*(/[A-Za-z0-9._~%/+=:-]*)?$')",
     "must be the http:// or https:// URL of one index, without password, like 'https://npm.example.com/'"),
);
text!(
    /// Base URL of a forge's API, without password.
    ApiUrl, max = 2048,
    ("self.matches('^https?://[A-Za-z0-9][A-Za-z0-9.:_-]*(/[A-Za-z0-9._~%/+:-]*)?$')",
     "must be the http:// or https:// URL of a forge's API, without password, like 'https://git.example.com/api/v1'"),
);
text!(
    /// A pattern of paths, as `.gitignore` takes them (<https://git-scm.com/docs/gitignore>).
    PathPattern, max = 256,
    ("self.matches('^!?[^#!\\\\s\\\\x00-\\\\x1f\\\\x7f][^\\\\x00-\\\\x1f\\\\x7f]*$')", "must be a pattern of paths as .gitignore takes them, like 'apps/web/**' or '!**/*.md'"),
);
text!(
    /// A folder of built files, under the application's.
    OutputPath, max = 512,
    ("self.matches('^[A-Za-z0-9_.][-A-Za-z0-9_./]*$') && !self.split('/').exists(p, p == '..')",
     "must be a folder under the application's, like 'dist'"),
);
text!(
    /// A version of a language, as its image's tag begins with.
    LanguageVersion, max = 64,
    ("self.matches('^[A-Za-z0-9][A-Za-z0-9.+_ <>=^~|*-]*$')", "must be a version, like '22' or '3.13'"),
);
text!(
    /// A range of versions (<https://semver.org>).
    VersionRange, max = 128,
    ("self.matches('^[<>=~^*0-9][<>=~^*0-9A-Za-z.+, -]*$')", "must be a range of versions, like '>=1.2, <2' or '1.*'"),
);
text!(
    /// A Debian package.
    PackageName, max = 128,
    ("self.matches('^[a-z0-9][a-z0-9+.-]+$')", "must be the name of a Debian package, like 'ffmpeg': lower-case letters, digits, '+', '-' and '.'"),
);
text!(
    /// The name of a file.
    FileName, max = 128,
    ("self.matches('^[A-Za-z0-9_][-A-Za-z0-9_.]*$')", "must be a file name: letters, digits, '-', '_' and '.', like 'npm-token'"),
);
text!(
    /// One command line of a build, run by a shell inside the build's own container.
    CommandLine, max = 4096,
    ("self.matches('^[^\\\\x00-\\\\x1f\\\\x7f]+$')", "must be one line without control characters, like 'npm run build'"),
);
text!(
    /// The name of a bucket (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html>).
    BucketName, max = 63,
    ("self.matches('^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$') && !self.contains('..')",
     "must be the name of a bucket, without scheme, host or path, like 'acme-backups'"),
);
text!(
    /// What the names of objects in a bucket begin with.
    BucketPrefix, max = 255,
    ("self.matches('^[A-Za-z0-9_][-A-Za-z0-9_.]*(/[A-Za-z0-9_][-A-Za-z0-9_.]*)*$')",
     "must be a path inside the bucket, without a leading or trailing '/' and without '..', like 'backups/production'"),
);
text!(
    /// URL of a server that speaks S3, without path or password.
    EndpointUrl, max = 512,
    ("self.matches('^https?://[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/?$')",
     "must be the https:// or http:// URL of the server alone, without bucket, path or password, like 'https://s3.example.com'"),
);
text!(
    /// The name of a backup.
    BackupName, max = 63,
    ("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
     "must be the name of a backup, as status.backup.newest of its Database has it, like '20260301-020000-k3v9'"),
);
text!(
    /// A moment, or the last one there is.
    Moment, max = 40,
    ("self == 'latest' || self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$')",
     "must be a moment with its offset from UTC, like '2026-03-01T12:00:00Z' or '2026-03-01T13:00:00+01:00', or 'latest'"),
);
text!(
    /// Whose data some are.
    IdentityText, max = 63,
    ("self.matches('^[A-Za-z0-9]([-_A-Za-z0-9]*[A-Za-z0-9])?$')",
     "must be the identity of a Database, as its status.identity has it, and the name of a folder at the destination"),
);
text!(
    /// A length of time in Go's notation.
    Duration, max = 32,
    ("self.matches('^([0-9]+(s|m|h))+$')", "must be a length of time in whole hours, minutes and seconds, like '90s', '20m' or '1h30m'"),
);

impl Duration {
    /// Whole seconds. Zero for text that the schema would have refused.
    pub fn seconds(&self) -> u64 {
        let mut total = 0_u64;
        let mut number = 0_u64;
        for c in self.0.chars() {
            let unit = match c {
                'h' => 3600,
                'm' => 60,
                's' => 1,
                _ => {
                    let Some(digit) = c.to_digit(10) else {
                        return 0;
                    };
                    number = number.saturating_mul(10).saturating_add(u64::from(digit));
                    continue;
                }
            };
            total = total.saturating_add(number.saturating_mul(unit));
            number = 0;
        }
        total
    }

    /// The same as a standard duration.
    pub fn to_std(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.seconds())
    }
}

/// An amount in Kubernetes' notation (`500m`, `128Mi`, `10Gi`), written as text or whole number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

impl Quantity {
    /// The amount as Kubernetes' own type.
    pub fn to_k8s(&self) -> k8s_openapi::apimachinery::pkg::api::resource::Quantity {
        k8s_openapi::apimachinery::pkg::api::resource::Quantity(self.0.clone())
    }

    /// The amount in thousandths of its unit (millicores for CPU, thousandths of bytes for
    /// memory), rounded up. `None` if it is not a quantity.
    ///
    /// Suffixes: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
    pub fn milli(&self) -> Option<i128> {
        const SUFFIXES: [(&str, f64); 14] = [
            ("Ki", 1024.0),
            ("Mi", 1_048_576.0),
            ("Gi", 1_073_741_824.0),
            ("Ti", 1_099_511_627_776.0),
            ("Pi", 1_125_899_906_842_624.0),
            ("n", 1e-9),
            ("u", 1e-6),
            ("m", 1e-3),
            ("k", 1e3),
            ("M", 1e6),
            ("G", 1e9),
            ("T", 1e12),
            ("P", 1e15),
            ("", 1.0),
        ];
        let (digits, factor) = SUFFIXES
            .iter()
            .find_map(|(suffix, factor)| self.0.strip_suffix(suffix).map(|rest| (rest, *factor)))?;
        let number: f64 = digits.parse().ok()?;
        Some((number * factor * 1000.0).ceil() as i128)
    }

    /// The amount in whole units (bytes, cores), rounded up. `None` if it is not a quantity.
    pub fn units(&self) -> Option<i128> {
        self.milli().map(|milli| (milli + 999).div_euclid(1000))
    }
}

impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum IntOrString {
            Int(i64),
            Text(String),
        }
        Ok(match IntOrString::deserialize(deserializer)? {
            IntOrString::Int(number) => Self(number.to_string()),
            IntOrString::Text(text) => Self(text),
        })
    }
}

impl JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 32,
            "x-kubernetes-validations": [{
                "rule": "type(self) == int ? self > 0 : self.matches('^[0-9]+([.][0-9]{1,3})?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$') && quantity(self).isGreaterThan(quantity('0'))",
                "message": "must be an amount above zero, like '500m' for CPU or '512Mi' for memory",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up() {
        for (text, seconds) in [
            ("90s", 90),
            ("20m", 1200),
            ("1h30m", 5400),
            ("0s", 0),
            ("x", 0),
        ] {
            assert_eq!(Duration::from(text).seconds(), seconds, "{text}");
        }
    }

    #[test]
    fn quantities_compare_across_suffixes() {
        for (text, milli) in [
            ("500m", Some(500)),
            ("2", Some(2000)),
            ("0.5", Some(500)),
            ("1Ki", Some(1_024_000)),
            ("512Mi", Some(512 * 1_048_576_000)),
            ("1G", Some(1_000_000_000_000)),
            ("much", None),
        ] {
            assert_eq!(Quantity::from(text).milli(), milli, "{text}");
        }
        assert_eq!(Quantity::from("1500m").units(), Some(2));
    }

    #[test]
    fn quantities_may_be_numbers() {
        let quantity: Quantity = serde_json::from_str("2").expect("a number is a quantity");
        assert_eq!(quantity, Quantity::from("2"));
    }
}
