//! Which parameters a server takes, by its own list. For Postgres that is what `postgres
//! --describe-config` prints, for Redis and Valkey the answer to `CONFIG GET *`, each of
//! the version that the official images had when the list was made; `parameters` has them.
//!
//! A server that runs is never given what it would not start with.

use trackbed_api::database::{DatabaseSpec, Engine};

/// Of each major version: name, context, type, least and greatest value, parted by tabs.
const POSTGRES: [(&str, &str); 4] = [
    ("15", include_str!("parameters/postgres-15.tsv")),
    ("16", include_str!("parameters/postgres-16.tsv")),
    ("17", include_str!("parameters/postgres-17.tsv")),
    ("18", include_str!("parameters/postgres-18.tsv")),
];
/// Of each other server: names.
const OTHERS: [(Engine, &str, &str); 3] = [
    (Engine::Redis, "7", include_str!("parameters/redis-7.txt")),
    (Engine::Valkey, "8", include_str!("parameters/valkey-8.txt")),
    (Engine::Valkey, "9", include_str!("parameters/valkey-9.txt")),
];
/// What decides over paths, commands and who gets in besides what the schema names.
const OURS: &[&str] = &[
    "allow_alter_system",
    "archive_cleanup_command",
    "archive_library",
    "dynamic_library_path",
    "external_pid_file",
    "extension_control_path",
    "jit_provider",
    "krb_server_keyfile",
    "local_preload_libraries",
    "log_destination",
    "log_directory",
    "logging_collector",
    "oauth_validator_libraries",
    "password_encryption",
    "primary_conninfo",
    "primary_slot_name",
    "recovery_end_command",
    "session_preload_libraries",
    "acl-pubsub-default",
    "appenddirname",
    "appendfilename",
    "enable-debug-command",
    "enable-module-command",
    "enable-protected-configs",
    "masterauth",
    "masteruser",
    "primaryauth",
    "primaryuser",
    "rdma-bind",
    "rdma-port",
    "replicaof",
    "slaveof",
    "supervised",
    "unixsocketgroup",
    "unixsocketperm",
];
/// What decides, with several servers, over who takes over from whom and where they log: that is for
/// CloudNativePG to say.
const SEVERAL: &[&str] = &[
    "allow_system_table_mods",
    "archive_mode",
    "bonjour",
    "bonjour_name",
    "cluster_name",
    "data_sync_retry",
    "event_source",
    "hot_standby",
    "log_file_mode",
    "log_filename",
    "log_rotation_age",
    "log_rotation_size",
    "log_truncate_on_rotation",
    "recovery_min_apply_delay",
    "recovery_target",
    "recovery_target_action",
    "recovery_target_inclusive",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_timeline",
    "recovery_target_xid",
    "restart_after_crash",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_crl_file",
    "ssl_dh_params_file",
    "ssl_ecdh_curve",
    "ssl_key_file",
    "ssl_passphrase_command",
    "ssl_passphrase_command_supports_reload",
    "ssl_prefer_server_ciphers",
    "synchronized_standby_slots",
    "synchronous_standby_names",
    "syslog_facility",
    "syslog_ident",
    "syslog_sequence_numbers",
    "syslog_split_messages",
    "temp_tablespaces",
    "unix_socket_group",
    "unix_socket_permissions",
];
/// What decides, with several servers of Redis or Valkey, over who takes over, and whether writes are
/// taken that nobody else has.
const FOLLOWED: &[&str] = &[
    "cluster-enabled",
    "min-replicas-max-lag",
    "min-replicas-to-write",
    "min-slaves-max-lag",
    "min-slaves-to-write",
    "repl-diskless-load",
    "replica-announce-ip",
    "replica-announce-port",
    "replica-announced",
    "replica-priority",
    "replica-read-only",
    "replica-serve-stale-data",
    "slave-announce-ip",
    "slave-announce-port",
    "slave-priority",
    "slave-read-only",
    "slave-serve-stale-data",
];
/// What the names begin with of how Redis and Valkey encrypt, which is for `tls` to say.
const ENCRYPTION: &str = "tls-";
/// Names that are this alike are suggested.
const ALIKE: f64 = 0.8;

/// What a server says of one of its parameters.
struct Known<'a> {
    name: &'a str,
    /// The server has to be started for it.
    restarts: bool,
    kind: &'a str,
    least: Option<f64>,
    greatest: Option<f64>,
}

/// What is wrong with a Database's parameters, a sentence each, in their order.
pub fn faults(spec: &DatabaseSpec) -> Vec<String> {
    let List(known) = List::of(spec);
    let server = format!("{} {}", spec.engine.as_str(), spec.version);
    let all = spec.parameters.iter();
    all.filter_map(|(name, value)| {
        let theirs = spec.is_replicated() && SEVERAL.contains(&name.as_str());
        let followed = spec.has_sentinels() && FOLLOWED.contains(&name.as_str());
        let fault = match (theirs, followed) {
            (true, _) => "is CloudNativePG's to set, with several replicas: remove it".to_owned(),
            (_, true) => "is Trackbed's to set, with several replicas: remove it".to_owned(),
            _ => fault(&known, &server, name, value)?,
        };
        Some(format!("parameters.{name} {fault}"))
    })
    .collect()
}

/// A server's own list.
pub struct List(Vec<Known<'static>>);

impl List {
    /// That of a Database's server.
    pub fn of(spec: &DatabaseSpec) -> Self {
        Self(match spec.engine {
            Engine::Postgres => POSTGRES
                .iter()
                .find(|(version, _)| *version == spec.version)
                .map(|(_, table)| table.lines().filter_map(postgres).collect())
                .unwrap_or_default(),
            Engine::Redis | Engine::Valkey => OTHERS
                .iter()
                .find(|(engine, version, _)| (*engine, *version) == (spec.engine, &spec.version))
                .map(|(.., names)| names.lines().map(redis).collect())
                .unwrap_or_default(),
        })
    }

    /// Whether a server that runs takes another value of a parameter when it reads its settings
    /// again.
    pub fn reloads(&self, name: &str) -> bool {
        let found = find(&self.0, name);
        found.is_some_and(|it| !it.restarts)
    }
}

fn find<'a>(known: &'a [Known<'a>], name: &str) -> Option<&'a Known<'a>> {
    known.iter().find(|it| it.name.eq_ignore_ascii_case(name))
}

fn postgres(line: &str) -> Option<Known<'_>> {
    let mut fields = line.split('\t');
    let name = fields.next()?;
    let restarts = fields.next()? == "postmaster";
    Some(Known {
        name,
        restarts,
        kind: fields.next()?,
        least: fields.next()?.parse().ok(),
        greatest: fields.next()?.parse().ok(),
    })
}

fn redis(name: &str) -> Known<'_> {
    Known {
        name,
        restarts: true,
        kind: "STRING",
        least: None,
        greatest: None,
    }
}

fn fault(known: &[Known<'_>], server: &str, name: &str, value: &str) -> Option<String> {
    if OURS.contains(&name) || name.starts_with(ENCRYPTION) {
        return Some("is Trackbed's to set: remove it".to_owned());
    }
    let Some(found) = find(known, name) else {
        // An extension's own, which the server takes without knowing it.
        let of_extension = name.contains('.') && server.starts_with("Postgres");
        return (!of_extension).then(|| unknown(known, server, name));
    };
    match found.kind {
        "BOOLEAN" => (!is_boolean(value)).then(|| format!("must be on or off, not '{value}'")),
        "INTEGER" | "REAL" => number(found, value),
        _ => None,
    }
}

fn unknown(known: &[Known<'_>], server: &str, name: &str) -> String {
    let alike = known
        .iter()
        .map(|it| (strsim::jaro_winkler(it.name, name), it.name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match alike {
        Some((_, meant)) => format!("is not known to {server}: did you mean {meant}?"),
        None => format!("is not known to {server}: remove it"),
    }
}

/// Any beginning of a word that is not that of another one
/// (<https://www.postgresql.org/docs/current/config-setting.html>).
fn is_boolean(value: &str) -> bool {
    let value = value.to_lowercase();
    let begins = |word: &str, least: usize| value.len() >= least && word.starts_with(&value);
    matches!(value.as_str(), "0" | "1")
        || begins("true", 1)
        || begins("false", 1)
        || begins("yes", 1)
        || begins("no", 1)
        || begins("on", 2)
        || begins("off", 2)
}

fn number(known: &Known<'_>, value: &str) -> Option<String> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = value[digits.len()..].trim();
    let is_unit = matches!(
        unit,
        "" | "B" | "kB" | "MB" | "GB" | "TB" | "us" | "ms" | "s" | "min" | "h" | "d"
    );
    let number = digits.trim().parse::<f64>().ok().filter(|_| is_unit);
    let Some(number) = number else {
        return Some(format!(
            "must be a number, with a unit where it has one (kB, MB, GB, ms, s, min), not '{value}'"
        ));
    };
    // With a unit it is counted in that, and the server's limits are not.
    let (Some(least), Some(greatest)) = (known.least, known.greatest) else {
        return None;
    };
    let outside = unit.is_empty() && !(least..=greatest).contains(&number);
    outside.then(|| format!("must be from {least} to {greatest}, not {value}"))
}
