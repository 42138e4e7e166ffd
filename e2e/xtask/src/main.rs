//! `cargo xtask`: everything that is done with this repository, for people and for CI.

mod bench;
mod check;
mod collect;
mod error;
mod example;
mod interrupt;
mod look;
mod operator;
mod step;
mod tests;
mod up;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use cluster::{
    Client, Name, Network, Paths,
    daemon::{self, Life},
    node,
};
use error::Result;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about)]
struct Cli {
    /// Which of this machine's clusters: `dev` is that of `up`, `test` that of the tests
    #[arg(long, default_value = "dev", value_name = "NAME")]
    cluster: Name,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Bring up a cluster with Trackbed and an example application in it
    Up(up::Options),
    /// Stop the cluster and leave nothing of it on this machine
    Down {
        /// Remove its data and all caches too
        #[arg(long)]
        purge: bool,
    },
    /// Show what runs, and where the logs are
    Status,
    /// Run kubectl against the cluster
    #[command(disable_help_flag = true)]
    Kubectl(Passed),
    /// Run helm against the cluster
    #[command(disable_help_flag = true)]
    Helm(Passed),
    /// Print the path of the cluster's kubeconfig
    Kubeconfig,
    /// Put a folder's content on the cluster's git server
    Publish(look::PublishOptions),
    /// Request a Service's public host through the ingress controller
    Curl {
        /// The host, as the Service's status names it
        host: String,
        /// The path, and curl's options
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Run all tests
    Test,
    /// Run the end-to-end tests
    E2e(tests::Options),
    /// Measure, and print tables
    Bench(bench::Options),
    /// Write, or check, what is generated from the Rust types
    Codegen {
        /// Change nothing; fail when something is out of date
        #[arg(long)]
        check: bool,
    },
    /// Lint the Dockerfiles that are generated for the fixtures
    Lint,
    /// Build the operator's image
    Image {
        /// Push it to a registry, under this name
        #[arg(long, value_name = "REF")]
        push: Option<String>,
        /// The registry speaks plain http
        #[arg(long, requires = "push")]
        insecure: bool,
        /// Docker's configuration file with the registry's user
        #[arg(long, requires = "push", value_name = "FILE")]
        auth_file: Option<PathBuf>,
    },
    /// Build the cluster's programs, and nothing else
    Tools,
    #[command(hide = true)]
    ClusterDaemon {
        name: Name,
        #[arg(long)]
        owned: bool,
    },
    #[command(hide = true)]
    ClusterInit { name: Name },
    #[command(hide = true)]
    ClusterNode { name: Name },
}

/// Arguments for another program.
#[derive(Debug, Args)]
struct Passed {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            interrupt::settle();
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(Cli { cluster, task }: Cli) -> Result<ExitCode> {
    match task {
        Task::Up(options) => up::up(cluster, &options)?,
        Task::Down { purge } => up::down(cluster, purge)?,
        Task::Status => look::status(cluster)?,
        Task::Kubectl(Passed { arguments }) => {
            return look::pass(Client::of(cluster).kubectl()?.args(arguments));
        }
        Task::Helm(Passed { arguments }) => {
            return look::pass(Client::of(cluster).helm()?.args(arguments));
        }
        Task::Kubeconfig => println!("{}", Paths::of(cluster).kubeconfig().display()),
        Task::Publish(options) => look::publish(cluster, options)?,
        Task::Curl { host, arguments } => {
            let port = Network::of(cluster).forward_port;
            return look::pass(&mut look::curl(&host, port, &arguments));
        }
        Task::Test => return tests::all(),
        Task::E2e(options) => return tests::end_to_end(&options),
        Task::Bench(options) => bench::run(cluster, &options)?,
        Task::Codegen { check } => check::codegen(check)?,
        Task::Lint => check::dockerfiles()?,
        Task::Image {
            push,
            insecure,
            auth_file,
        } => operator::publish_image(push.as_deref(), insecure, auth_file.as_deref())?,
        Task::Tools => cluster::tools::build(&cluster::tools::CLUSTER)?,
        Task::ClusterDaemon { name, owned } => {
            daemon::run(name, if owned { Life::Owned } else { Life::Long })?;
        }
        Task::ClusterInit { name } => return Ok(node::init(name)?),
        Task::ClusterNode { name } => node::run(name)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// A path below the repository's root.
fn repository(path: &str) -> PathBuf {
    cluster::repository().join(path)
}
