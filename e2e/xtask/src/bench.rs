//! `bench`: what Trackbed costs, as tables. Never part of the tests.

mod application;
mod build;
mod fetch;
mod load;
mod operator;
mod push_to_serve;
mod recovery;
mod requests;
mod webhooks;

use clap::{Args, ValueEnum};
use cluster::Name;

use crate::{
    error::{Error, Result},
    up,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Which one; all of them when it is left out
    #[arg(value_enum)]
    benchmark: Option<Benchmark>,
    /// How often [default: 5 for push-to-serve and webhooks, 3 for recovery, else 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: Option<u32>,
    /// Only these: examples that `build` builds, or scenarios of `load` by a word in them
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Take the cluster as it is: measure the Trackbed that runs, not the one of this folder
    #[arg(long)]
    as_is: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Benchmark {
    /// From a push until the new version answers, split by step
    PushToServe,
    /// Examples without a Dockerfile: with an empty cache, and again after a change of one line
    Build,
    /// From a webhook's delivery to the Build's Job, and a flood of junk
    Webhooks,
    /// Requests while a Service is updated, rolled back, scaled and loses pods: how many fail
    Load,
    /// How long a database is away, and how long one takes that begins with a backup
    Recovery,
    /// A repository of 1 GiB: memory, disk and time. Needs no cluster
    Fetch,
}

/// Runs benchmarks on cluster `name`, which it brings up if it is down and they need one.
pub(crate) fn run(name: Name, options: &Options) -> Result<()> {
    let benchmarks = options
        .benchmark
        .map_or(Benchmark::value_variants().to_vec(), |one| vec![one]);
    if benchmarks.iter().any(|it| *it != Benchmark::Fetch) {
        match options.as_is {
            false => up::up(name, &up::Options::bare())?,
            true if cluster::status(name).is_empty() => {
                return Err(Error::Failed(format!(
                    "the cluster {name} is down, so there is none to take as it is: leave --as-is out to have it brought up"
                )));
            }
            true => {}
        }
    }
    for benchmark in benchmarks {
        match benchmark {
            Benchmark::PushToServe => push_to_serve::run(name, options.runs.unwrap_or(5))?,
            Benchmark::Build => build::run(name, options.runs.unwrap_or(1), &options.only)?,
            Benchmark::Webhooks => webhooks::run(name, options.runs.unwrap_or(5))?,
            Benchmark::Load => load::run(name, &options.only)?,
            Benchmark::Recovery => recovery::run(name, options.runs.unwrap_or(3))?,
            Benchmark::Fetch => fetch::run()?,
        }
    }
    Ok(())
}

/// Bytes, in MiB with one digit.
fn mebibytes(bytes: u64) -> String {
    let kibibytes = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
    format!("{:.1}", f64::from(kibibytes) / 1024.0)
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
