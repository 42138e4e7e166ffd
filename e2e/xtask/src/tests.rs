//! `test` and `e2e`.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use cluster::{Credentials, Login, Name, Network, Paths, daemon, daemon::Life, spoken, tools};

use crate::{
    check, collect,
    error::{Error, Result},
    interrupt,
    operator::{self, Profile},
    up,
};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only tests whose names contain this
    filter: Option<String>,
    /// Leave the cluster up to look at
    #[arg(long)]
    keep: bool,
}

/// The parts of a run, each with its time and outcome.
#[derive(Debug, Default)]
struct Report {
    parts: Vec<(&'static str, Duration, Option<String>)>,
    /// What the failed tests said.
    said: String,
}

impl Report {
    /// Runs one part; a failing one does not keep the others from running.
    fn part(&mut self, name: &'static str, work: impl FnOnce() -> Result<()>) -> bool {
        println!("\n=== {name}");
        let begun = Instant::now();
        let failure = work().err().map(|error| error.to_string());
        if let Some(failure) = &failure {
            interrupt::settle();
            eprintln!("error: {failure}");
        }
        let passed = failure.is_none();
        self.parts.push((name, begun.elapsed(), failure));
        passed
    }

    fn finish(self) -> ExitCode {
        println!("\n=== summary");
        print!("{}", self.summary());
        if !self.said.is_empty() {
            print!("\n=== what failed\n{}", self.said);
        }
        if self.parts.iter().all(|(_, _, failure)| failure.is_none()) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn summary(&self) -> String {
        self.parts
            .iter()
            .map(|(name, took, failure)| {
                let outcome = if failure.is_none() { "ok" } else { "FAILED" };
                format!("{name:<28} {outcome:<7} {}\n", spoken(*took))
            })
            .collect()
    }
}

/// Everything a change must pass.
pub(crate) fn all() -> Result<ExitCode> {
    interrupt::watch()?;
    let mut report = Report::default();
    report.part("format", check::format);
    report.part("clippy", check::clippy);
    report.part("unit tests", check::unit);
    report.part("generated Dockerfiles", check::dockerfiles);
    if check::has_codegen() {
        report.part("generated files", check::generated);
    }
    if operator::exists() {
        report.part("chart", check::chart);
    }
    cluster_parts(&mut report, None, false);
    Ok(report.finish())
}

pub(crate) fn end_to_end(options: &Options) -> Result<ExitCode> {
    interrupt::watch()?;
    let mut report = Report::default();
    if let Some(filter) = &options.filter
        && !report.part("filter", || check::matched(filter))
    {
        return Ok(report.finish());
    }
    cluster_parts(&mut report, options.filter.as_deref(), options.keep);
    Ok(report.finish())
}

/// The parts that need a real cluster, which is gone afterwards unless it is to be kept.
fn cluster_parts(report: &mut Report, filter: Option<&str>, keep: bool) {
    let name = Name::Test;
    let life = if keep { Life::Long } else { Life::Owned };
    let up = report.part("test cluster", || {
        // What an earlier run left would be found by this one.
        daemon::stop(name)?;
        remove_data(name)?;
        collect::clear()?;
        interrupt::own(name);
        up::start(name, life)?;
        up::install_operator(name, Profile::Tests)
    });
    if up && operator::exists() {
        let passed = report.part("end-to-end tests", || {
            check::suite(&variables(name, keep)?, filter)
        });
        if !passed {
            report.said = collect::said();
            match collect::failure(name) {
                Ok(folder) => println!("what the cluster looked like: {}", folder.display()),
                Err(error) => eprintln!("error: {error}"),
            }
        }
    }
    if keep {
        interrupt::disown(name);
        println!("the cluster stays up: cargo xtask --cluster test kubectl …");
        return;
    }
    report.part("tear down", || up::down(name, false));
}

fn remove_data(name: Name) -> Result<()> {
    let root = Paths::of(name).root().to_owned();
    if root.exists() {
        std::fs::remove_dir_all(&root).map_err(|source| Error::Io {
            action: format!("removing {}", root.display()),
            source,
        })?;
    }
    Ok(())
}

/// How the suite finds its cluster.
fn variables(name: Name, keep: bool) -> Result<Vec<(&'static str, String)>> {
    let paths = Paths::of(name);
    let network = Network::of(name);
    let credentials = Credentials::read(&paths)?;
    let login = |login: &Login| format!("{}:{}", login.user, login.password);
    let kubectl = tools::KUBERNETES.path("kubectl")?;
    let helm = tools::HELM.path("helm")?;
    let keep = keep.then(|| ("TRACKBED_E2E_KEEP", "1".to_owned()));
    let mut variables = vec![
        ("TRACKBED_E2E_KUBECTL", kubectl.display().to_string()),
        ("TRACKBED_E2E_HELM", helm.display().to_string()),
        (
            "TRACKBED_E2E_KUBECONFIG",
            paths.kubeconfig().display().to_string(),
        ),
        ("TRACKBED_E2E_NODE", network.node.to_string()),
        ("TRACKBED_E2E_HOST", network.host.to_string()),
        (
            "TRACKBED_E2E_AUDIT_LOG",
            paths.audit_log().display().to_string(),
        ),
        ("TRACKBED_E2E_DOMAIN", operator::DOMAIN.to_owned()),
        ("TRACKBED_E2E_GIT_LOGIN", login(&credentials.git)),
        ("TRACKBED_E2E_FORGE", network.forge()),
        (
            "TRACKBED_E2E_FORGE_KNOWN_HOSTS",
            paths.forge_known_hosts().display().to_string(),
        ),
        ("TRACKBED_E2E_CA", paths.pki("ca.crt").display().to_string()),
        (
            "TRACKBED_E2E_FAILURES",
            collect::folder().display().to_string(),
        ),
    ];
    let forge = credentials.forge.as_ref().map(login);
    variables.extend(forge.map(|login| ("TRACKBED_E2E_FORGE_LOGIN", login)));
    variables.extend(keep);
    Ok(variables)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn one_failing_part_fails_the_run_and_the_others_still_run() {
        let mut report = Report::default();
        assert!(!report.part("first", || Err(Error::Failed("no".to_owned()))));
        assert!(report.part("second", || Ok(())));
        for (_, took, _) in &mut report.parts {
            *took = Duration::from_millis(1500);
        }
        expect_test::expect![[r#"
            first                        FAILED  1.5 s
            second                       ok      1.5 s
        "#]]
        .assert_eq(&report.summary());
        assert_eq!(
            format!("{:?}", report.finish()),
            format!("{:?}", ExitCode::FAILURE)
        );
    }
}
