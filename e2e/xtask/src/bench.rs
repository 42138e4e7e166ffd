//! `bench`: what Trackbed costs, as tables. Never part of the tests.

mod operator;
mod push_to_serve;
mod requests;

use clap::{Args, ValueEnum};
use cluster::Name;

use crate::{error::Result, up};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which one; all of them when it is left out
    #[arg(value_enum)]
    benchmark: Option<Benchmark>,
    /// How often
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Benchmark {
    /// From a push until the new version answers, split by step
    PushToServe,
}

/// Runs benchmarks on cluster `name`, which it brings up if it is down.
pub(crate) fn run(name: Name, options: &Options) -> Result<()> {
    let benchmarks = options
        .benchmark
        .map_or(Benchmark::value_variants().to_vec(), |one| vec![one]);
    up::up(name, &up::Options::bare())?;
    for benchmark in benchmarks {
        match benchmark {
            Benchmark::PushToServe => push_to_serve::run(name, options.runs)?,
        }
    }
    Ok(())
}

/// Mean, least and most of `values`; zeros for none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Spread {
    mean: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let Some(first) = values.first() else {
            return Self::default();
        };
        // Runs are counted in tens.
        #[allow(clippy::cast_precision_loss)]
        let count = values.len() as f64;
        Self {
            mean: values.iter().sum::<f64>() / count,
            least: values.iter().copied().fold(*first, f64::min),
            most: values.iter().copied().fold(*first, f64::max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_mean_least_and_most() {
        let spread = Spread::of(&[2.0, 1.0, 6.0]);
        assert_eq!(
            format!("{spread:?}"),
            "Spread { mean: 3.0, least: 1.0, most: 6.0 }"
        );
        assert_eq!(Spread::of(&[]), Spread::default());
    }
}
