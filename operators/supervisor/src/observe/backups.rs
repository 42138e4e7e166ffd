//! How the Database's backups stand. The Jobs that take them tell the controller, which writes it
//! down beside the server's settings: a supervisor asks no API server.

use std::{
    fmt, fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};
use serde::Deserialize;

/// The file, beside the settings.
pub const FILE: &str = "backups.json";
/// The metrics: the rest of their names, and what they tell. Those that nothing is known of are not
/// told: a zero would be a time, too.
pub const METRICS: [(&str, &str); 4] = [
    (
        "backup_scheduled",
        "Whether backups are taken by a schedule",
    ),
    (
        "backup_failed",
        "Whether the last backup could not be taken, or not be restored",
    ),
    (
        "backup_timestamp_seconds",
        "Time of the data of the newest backup",
    ),
    (
        "backup_verified_timestamp_seconds",
        "Time of the data of the newest backup that a restore has proven",
    ),
];

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backups {
    /// Whether there is a schedule.
    pub scheduled: bool,
    /// Whether the last backup that ended did not end as a proven one.
    pub failed: bool,
    /// Time of the data of the newest, in Unix seconds.
    pub last: Option<i64>,
    /// Time of the data of the newest that was proven, in Unix seconds.
    pub last_verified: Option<i64>,
}

impl Backups {
    /// Reads the file in a folder. `None`: the Database has no backups, or its controller does not
    /// say.
    pub fn read(folder: &Path) -> Option<Self> {
        let text = fs::read(folder.join(FILE)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// In the order of the metrics.
    fn values(&self) -> [Option<i64>; 4] {
        [
            Some(self.scheduled.into()),
            Some(self.failed.into()),
            self.last,
            self.last_verified,
        ]
    }
}

/// What was read last.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<Mutex<Option<Backups>>>);

impl Known {
    pub(super) fn set(&self, backups: Option<Backups>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = backups;
    }
}

impl Collector for Known {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let values = known.iter().flat_map(Backups::values);
        for ((name, help), value) in METRICS.into_iter().zip(values) {
            let Some(value) = value else { continue };
            let gauge = ConstGauge::new(value);
            let told = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(told)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn what_is_known_of_backups_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let known = Known::default();
        let mut registry = Registry::with_prefix(super::super::PREFIX);
        registry.register_collector(Box::new(known.clone()));
        let check = |told: Expect| {
            known.set(Backups::read(folder.path()));
            let mut text = String::new();
            encode(&mut text, &registry).expect("text");
            told.assert_eq(&text);
        };
        let write = |text: &str| fs::write(folder.path().join(FILE), text).expect("a file");
        check(expect![[r#"
            # EOF
        "#]]);
        write(r#"{"scheduled":true,"failed":false}"#);
        check(expect![[r#"
            # HELP trackbed_database_backup_scheduled Whether backups are taken by a schedule
            # TYPE trackbed_database_backup_scheduled gauge
            trackbed_database_backup_scheduled 1
            # HELP trackbed_database_backup_failed Whether the last backup could not be taken, or not be restored
            # TYPE trackbed_database_backup_failed gauge
            trackbed_database_backup_failed 0
            # EOF
        "#]]);
        write(
            r#"{"scheduled":true,"failed":true,"last":1767240001,"lastVerified":1767236401,"more":1}"#,
        );
        check(expect![[r#"
            # HELP trackbed_database_backup_scheduled Whether backups are taken by a schedule
            # TYPE trackbed_database_backup_scheduled gauge
            trackbed_database_backup_scheduled 1
            # HELP trackbed_database_backup_failed Whether the last backup could not be taken, or not be restored
            # TYPE trackbed_database_backup_failed gauge
            trackbed_database_backup_failed 1
            # HELP trackbed_database_backup_timestamp_seconds Time of the data of the newest backup
            # TYPE trackbed_database_backup_timestamp_seconds gauge
            trackbed_database_backup_timestamp_seconds 1767240001
            # HELP trackbed_database_backup_verified_timestamp_seconds Time of the data of the newest backup that a restore has proven
            # TYPE trackbed_database_backup_verified_timestamp_seconds gauge
            trackbed_database_backup_verified_timestamp_seconds 1767236401
            # EOF
        "#]]);
        write("{");
        check(expect![[r#"
            # EOF
        "#]]);
    }
}
