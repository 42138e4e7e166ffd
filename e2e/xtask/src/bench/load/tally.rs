//! What came of many requests, as a row of a table.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::Duration,
};

/// A request that begins later than this after it was due is counted as late.
const LATE: Duration = Duration::from_millis(50);

/// One request. Times are from the beginning of the load, and from when it was due.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub due: Duration,
    pub late: Duration,
    pub took: Duration,
    /// Which of the bodies came, or what went wrong.
    pub outcome: Result<usize, String>,
}

/// Failures of one kind: how many, and when the first and the last of them were due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failures {
    count: usize,
    first: Duration,
    last: Duration,
}

/// What came of a number of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// From the moment a request was due until its answer was read, in order of length.
    took: Vec<Duration>,
    late: usize,
    failures: BTreeMap<String, Failures>,
    /// The bodies that came.
    pub bodies: BTreeSet<usize>,
}

impl Tally {
    pub(super) fn of(samples: Vec<Sample>) -> Self {
        let mut tally = Self::default();
        for sample in samples {
            tally.took.push(sample.took);
            tally.late += usize::from(sample.late > LATE);
            match sample.outcome {
                Ok(body) => {
                    tally.bodies.insert(body);
                }
                Err(what) => tally.fail(what, sample.due),
            }
        }
        tally.took.sort_unstable();
        tally
    }

    fn fail(&mut self, what: String, due: Duration) {
        let failures = self.failures.entry(what).or_insert(Failures {
            count: 0,
            first: due,
            last: due,
        });
        failures.count += 1;
        failures.first = failures.first.min(due);
        failures.last = failures.last.max(due);
    }

    pub(super) fn requests(&self) -> usize {
        self.took.len()
    }

    pub(super) fn failed(&self) -> usize {
        self.failures.values().map(|failures| failures.count).sum()
    }

    /// The milliseconds within which so many of a hundred were answered.
    fn percentile(&self, percent: usize) -> u128 {
        let at = (self.took.len() * percent).div_ceil(100).saturating_sub(1);
        self.took.get(at).map_or(0, Duration::as_millis)
    }

    fn what_failed(&self) -> String {
        let failures = self.failures.iter().map(|(what, failures)| {
            let (first, last) = (failures.first.as_secs_f64(), failures.last.as_secs_f64());
            format!(
                "{} × {what} (second {first:.1} to {last:.1})",
                failures.count
            )
        });
        failures.collect::<Vec<_>>().join(", ")
    }
}

/// A scenario: its name, what came of the requests, and how many pods went.
pub(super) type Row = (&'static str, Tally, usize);

pub(super) fn table(rows: &[Row]) -> String {
    let mut table =
        "| while | requests | failed | what failed | 99 of 100 within, ms | longest, ms | begun late | pods replaced |\n|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for (what, tally, pods) in rows {
        // Writing to a String does not fail.
        let _ = writeln!(
            table,
            "| {what} | {} | {} | {} | {} | {} | {} | {pods} |",
            tally.requests(),
            tally.failed(),
            tally.what_failed(),
            tally.percentile(99),
            tally.percentile(100),
            tally.late,
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn sample(due: u64, took: u64, outcome: Result<usize, &str>) -> Sample {
        Sample {
            due: Duration::from_millis(due),
            late: Duration::from_millis(took / 2),
            took: Duration::from_millis(took),
            outcome: outcome.map_err(str::to_owned),
        }
    }

    #[test]
    fn the_table_counts_failures_by_kind_and_says_when() {
        let calm = Tally::of(vec![
            sample(0, 30, Ok(0)),
            sample(5, 1, Ok(0)),
            sample(10, 2, Ok(1)),
        ]);
        let storm = Tally::of(vec![
            sample(2500, 4, Err("status 502")),
            sample(1200, 4, Err("status 502")),
            sample(1300, 10_000, Err("no answer in time")),
            sample(1400, 102, Ok(0)),
            sample(1500, 100, Ok(0)),
        ]);
        assert_eq!((calm.failed(), storm.failed()), (0, 3));
        assert_eq!(calm.bodies, BTreeSet::from([0, 1]));
        expect![[r"
            | while | requests | failed | what failed | 99 of 100 within, ms | longest, ms | begun late | pods replaced |
            |---|---|---|---|---|---|---|---|
            | calm | 3 | 0 |  | 30 | 30 | 0 | 0 |
            | storm | 5 | 3 | 1 × no answer in time (second 1.3 to 1.3), 2 × status 502 (second 1.2 to 2.5) | 10000 | 10000 | 2 | 4 |
        "]]
        .assert_eq(&table(&[("calm", calm, 0), ("storm", storm, 4)]));
    }

    #[test]
    fn percentiles_are_times_that_were_seen() {
        let of = |took: &[u64]| Tally::of(took.iter().map(|it| sample(0, *it, Ok(0))).collect());
        let tally = of(&[9, 5, 1, 2]);
        let at = [1, 50, 75, 99, 100].map(|percent| tally.percentile(percent));
        assert_eq!(at, [1, 2, 5, 9, 9]);
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(of(&hundred).percentile(99), 99);
        assert_eq!(Tally::default().percentile(99), 0);
    }
}
