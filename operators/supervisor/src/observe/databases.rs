//! What became of the databases that a Postgres is told to have besides the application's. The
//! controller makes a condition of it.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};
use serde::Serialize;

/// The metrics: the rest of their names, and what they tell. Each is 1, and its labels say the rest.
pub const METRICS: [(&str, &str); 3] = [
    (
        "databases",
        "The list of databases that the server has heard of, as a label",
    ),
    (
        "extension_unavailable",
        "A database and an extension that it cannot have, as labels",
    ),
    (
        "owner_differs",
        "A database that belongs to another user than it is to, and that user, as labels",
    ),
];

/// Pairs that are told where there is little room: a termination message has 4096 bytes, and names up
/// to 63 each.
const TOLD: usize = 24;

/// What became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Told {
    /// Of the list that was done.
    pub(crate) version: String,
    /// Databases and the extensions that they cannot have.
    pub(crate) unavailable: Vec<(String, String)>,
    /// Databases and whom they belong to instead.
    pub(crate) differing: Vec<(String, String)>,
}

impl Told {
    /// As much of it as a termination message has room for.
    pub(crate) fn shortened(mut self) -> Self {
        self.differing.truncate(TOLD);
        self.unavailable.truncate(TOLD - self.differing.len());
        self
    }
}

/// What is known of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Arc<Mutex<Option<Told>>>);

impl Known {
    pub(crate) fn set(&self, told: Option<Told>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }
}

impl Collector for Known {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(told) = known.as_ref() else {
            return Ok(());
        };
        let pairs = |second: &'static str, of: &[(String, String)]| -> Vec<Vec<_>> {
            let labels = |(database, other): &(String, String)| {
                vec![("database", database.clone()), (second, other.clone())]
            };
            of.iter().map(labels).collect()
        };
        let all = [
            vec![vec![("version", told.version.clone())]],
            pairs("extension", &told.unavailable),
            pairs("owner", &told.differing),
        ];
        for ((name, help), labels) in METRICS.into_iter().zip(all) {
            let gauge = ConstGauge::new(1_i64);
            if labels.is_empty() {
                continue;
            }
            let mut told = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            for labels in labels {
                gauge.encode(told.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use prometheus_client::{encoding::text::encode, registry::Registry};

    use super::*;

    #[test]
    fn what_is_told_fits_into_a_termination_message() {
        let pair = |it: usize| (format!("{it:d>63}"), "e".repeat(63));
        let told = Told {
            version: "a1".to_owned(),
            unavailable: (0..512).map(pair).collect(),
            differing: (0..3).map(pair).collect(),
        };
        let text = serde_json::to_string(&told.shortened()).expect("JSON");
        assert!(text.len() < 4096, "{}", text.len());
    }

    #[test]
    fn what_cannot_be_is_told_by_name() {
        let known = Known::default();
        let mut registry = Registry::with_prefix(super::super::PREFIX);
        registry.register_collector(Box::new(known.clone()));
        let said = || {
            let mut text = String::new();
            encode(&mut text, &registry).expect("text");
            text
        };
        assert_eq!(said(), "# EOF\n", "nothing was listed");
        let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        known.set(Some(Told {
            version: "a1".to_owned(),
            unavailable: vec![pair("app", "postgis"), pair("shop", "postgis")],
            differing: Vec::new(),
        }));
        expect![[r##"
            # HELP trackbed_database_databases The list of databases that the server has heard of, as a label
            # TYPE trackbed_database_databases gauge
            trackbed_database_databases{version="a1"} 1
            # HELP trackbed_database_extension_unavailable A database and an extension that it cannot have, as labels
            # TYPE trackbed_database_extension_unavailable gauge
            trackbed_database_extension_unavailable{database="app",extension="postgis"} 1
            trackbed_database_extension_unavailable{database="shop",extension="postgis"} 1
            # EOF
        "##]]
        .assert_eq(&said());
    }
}
