//! Names of the objects that belong together. All are deterministic: a repeated create meets the
//! object of the first one instead of making a second.

use sha2::{Digest, Sha256};

use crate::databases::MAIN;

/// Longest DNS label (RFC 1123).
const LABEL_MAX: usize = 63;

/// Secret in each environment that may push to the registry. Only the push step mounts it.
pub const PUSH_SECRET: &str = "trackbed-registry-push";
/// Secret in each environment that pulls images.
pub const PULL_SECRET: &str = "trackbed-registry-pull";
/// ConfigMap in each environment with files that builds need: the certificates that they trust
/// ([`CA_FILE`]), and Cargo's settings ([`CARGO_FILE`]).
pub const BUILD_CONFIG_MAP: &str = "trackbed-build";
/// Key of the certificates, in PEM, where there are any besides the public ones.
pub const CA_FILE: &str = "ca.crt";
/// Key of Cargo's settings, where its index has a mirror.
pub const CARGO_FILE: &str = "cargo.toml";
/// ClusterRole that the chart installs with what the operator may do inside environments, and name
/// of the RoleBinding that the Project makes for it in each.
pub const OPERATOR_ROLE: &str = "trackbed-environment";
/// Finalizer of the Builds that Services make: when one goes, its image goes from the registry
/// first.
pub const IMAGE_FINALIZER: &str = "trackbed.dev/image";

/// The namespace of a Project's environment.
pub fn namespace(project: &str, environment: &str) -> String {
    format!("{project}-{environment}")
}

/// A Build's name, and that of the Deployment which first releases it.
pub fn build(service: &str, sequence: u64) -> String {
    format!("{service}-{sequence}")
}

/// A Deployment's name. The first revision is called like its Build; later ones (the same image
/// with another configuration) carry the revision.
pub fn deployment(service: &str, sequence: u64, revision: u32) -> String {
    match revision {
        0 | 1 => build(service, sequence),
        _ => format!("{service}-{sequence}-{revision}"),
    }
}

/// The claim that keeps a Service's build cache.
pub fn build_cache(service: &str) -> String {
    format!("{service}-build-cache")
}

/// The claim that holds a Database's data.
pub fn data_claim(database: &str) -> String {
    format!("{database}-data")
}

/// Volume of one of several servers of Redis or Valkey, as their StatefulSet calls it.
pub fn server_claim(database: &str, ordinal: i32) -> String {
    format!("data-{database}-{ordinal}")
}

/// The Service that CloudNativePG makes for whichever of a Database's servers takes writes.
pub fn primary(database: &str) -> String {
    format!("{database}-rw")
}

/// Where a Database's log goes, and what copies its data thereto.
pub fn archive(database: &str) -> String {
    format!("{database}-archive")
}

/// The archive that a Database begins with, where no Database of its namespace keeps it.
pub fn origin(database: &str) -> String {
    format!("{database}-origin")
}

/// The claim that holds a Database's backups, where they are on a volume.
pub fn backup_claim(database: &str) -> String {
    format!("{database}-backups")
}

/// The CronJob that takes a Database's backups.
pub fn backups(database: &str) -> String {
    format!("{database}-backup")
}

/// The Job that takes a Database's backup because somebody asked for it by this text.
pub fn requested_backup(database: &str, request: &str) -> String {
    format!("{database}-backup-{}", &hash(request.as_bytes())[..8])
}

/// The CronJob that looks for newer images of a Database's server.
pub fn updates(database: &str) -> String {
    format!("{database}-update")
}

/// The Job that looks for one because somebody asked for it by this text.
pub fn requested_update(database: &str, request: &str) -> String {
    format!("{database}-update-{}", &hash(request.as_bytes())[..8])
}

/// The Job that restores the backup that a Database begins with, as it is asked for.
pub fn restore(database: &str, asked: &str) -> String {
    format!("{database}-restore-{}", &hash(asked.as_bytes())[..8])
}

/// The Job that runs the SQL which a Database begins with, as it is asked for.
pub fn begin(database: &str, asked: &str) -> String {
    format!("{database}-begin-{}", &hash(asked.as_bytes())[..8])
}

/// The Job that makes the databases of a list with this checksum, and the users of their owners.
pub fn databases(database: &str, list: &str) -> String {
    format!("{database}-databases-{}", &list[..8])
}

/// The Secret with the super-user of several servers, as CloudNativePG calls it.
pub fn superuser(database: &str) -> String {
    format!("{database}-superuser")
}

/// The claim of a Service's volume.
pub fn volume_claim(service: &str, volume: &str) -> String {
    format!("{service}-vol-{volume}")
}

/// The Secret that keeps a release's copy of what its variables refer to.
pub fn environment(release: &str) -> String {
    format!("{release}-env")
}

/// The address of a Service outside the cluster, and the policy that lets clients in. The hash keeps
/// it apart from Services that are called like that.
pub fn tcp(service: &str) -> String {
    format!("{service}-tcp-{}", &hash(service.as_bytes())[..8])
}

/// The certificate of a Service's host, and the Secret that it is in.
pub fn certificate(service: &str, host: &str) -> String {
    format!("{service}-tls-{}", &hash(host.as_bytes())[..8])
}

/// The route of a Service's host. No other Service is called like that: their names have no dots.
pub fn route(service: &str, host: &str) -> String {
    format!("{service}.{}", &hash(host.as_bytes())[..8])
}

/// The listener of a host, in the Gateway of its Service.
pub fn listener(host: &str) -> String {
    format!("host-{}", &hash(host.as_bytes())[..8])
}

/// The Secret with a Database's certificate and its own authority.
pub fn database_certificate(database: &str) -> String {
    format!("{database}-tls")
}

/// The binding Secret of a Database.
pub fn credentials(database: &str) -> String {
    format!("{database}-credentials")
}

/// The binding Secret of one of the databases in a Database's server. The dot keeps it apart from those
/// of other Databases, whose names have none.
pub fn database_credentials(database: &str, inner: &str) -> String {
    match inner {
        MAIN => credentials(database),
        _ => format!("{database}.{}-credentials", inner.replace('_', "-")),
    }
}

/// The Secret with the user and password that a Database's server knows besides.
pub fn standby(database: &str) -> String {
    format!("{database}-standby")
}

/// Database's headless Service, which gives its pods names.
pub fn headless(database: &str) -> String {
    format!("{database}-headless")
}

/// The generated host of a public Service: `{service}-{project}.{domain}`, with the environment in
/// it unless that is `production`. A label that would be too long is cut and gets a hash.
pub fn host(service: &str, project: &str, environment: &str, domain: &str) -> String {
    let label = match environment {
        "production" => format!("{service}-{project}"),
        _ => format!("{service}-{project}-{environment}"),
    };
    format!("{}.{domain}", shorten(&label, LABEL_MAX))
}

/// Cuts a name to `max` characters, replacing its end by a hash of the whole.
pub fn shorten(name: &str, max: usize) -> String {
    if name.len() <= max {
        return name.to_owned();
    }
    let hash = hash(name.as_bytes());
    let head: String = name.chars().take(max - 9).collect();
    format!("{}-{}", head.trim_end_matches('-'), &hash[..8])
}

/// SHA-256 in lower-case hexadecimal digits.
pub fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_name_the_environment_unless_it_is_production() {
        assert_eq!(
            host("web", "shop", "production", "example.com"),
            "web-shop.example.com"
        );
        assert_eq!(
            host("web", "shop", "staging", "example.com"),
            "web-shop-staging.example.com"
        );
    }

    #[test]
    fn long_names_stay_labels_and_differ() {
        let one = shorten(&"a".repeat(70), 63);
        let other = shorten(&"a".repeat(71), 63);
        assert_eq!(one.len(), 63);
        assert_ne!(one, other);
    }

    #[test]
    fn a_database_in_a_server_is_no_other_database() {
        assert_eq!(database_credentials("db", "app"), "db-credentials");
        assert_eq!(
            database_credentials("db", "web_shop"),
            "db.web-shop-credentials"
        );
        assert_ne!(database_credentials("db", "a"), credentials("db-a"));
    }

    #[test]
    fn later_revisions_are_told_apart() {
        assert_eq!(deployment("web", 41, 1), "web-41");
        assert_eq!(deployment("web", 41, 2), "web-41-2");
    }
}
