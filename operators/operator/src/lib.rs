//! Trackbed's one binary: the controllers (`run`), and the programs that run inside the pods of
//! builds (`fetch`, `hand-over`, `push`) and databases (`supervisor`); and `plan`, for people on their machines.

pub mod bases;
mod cache;
pub mod error;
pub mod fetch;
pub mod hand_over;
mod ls_remote;
mod names;
mod origin;
pub mod plan;
mod provenance;
pub mod push;
mod registry;
mod report;
pub mod run;
mod tree;
pub mod unsynced;

use std::{io::IsTerminal, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

/// Kubernetes operators that build, release and route what people push
#[derive(Debug, Parser)]
#[command(name = "trackbed", version, propagate_version = true)]
struct Cli {
    /// How log lines look
    #[arg(
        long,
        env = "TRACKBED_LOG_FORMAT",
        global = true,
        value_name = "FORMAT"
    )]
    log_format: Option<LogFormat>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// Lines for people
    Text,
    /// Lines for machines
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the controllers
    Run(run::Options),
    /// Fetch one commit and decide how it is built (a step of a Build)
    Fetch(Box<fetch::Options>),
    /// Ask a repository for its refs: the request comes as JSON on standard input
    #[command(name = trackbed_service::source::child::LS_REMOTE, hide = true)]
    LsRemote,
    /// Compare two commits: the question comes as JSON on standard input
    #[command(name = trackbed_service::source::child::COMPARE, hide = true)]
    Compare,
    /// Show what a build would do with a folder
    Plan(plan::Options),
    /// Keep base images in a build's cache and run Kaniko with them (a step of a Build)
    Bases(Box<bases::Options>),
    /// Run a program for which `sync` does nothing (a step of a Build)
    Unsynced(unsynced::Options),
    /// Keep a layer cache within its limit (a step of a Build)
    MakeRoom(cache::Options),
    /// Make an image layout readable for the step that pushes it (a step of a Build)
    HandOver(hand_over::Options),
    /// Push an image layout to a registry (a step of a Build)
    Push(push::Options),
    /// Run a database server (inside a Database's pod)
    Supervisor {
        /// What to do
        #[command(subcommand)]
        command: Box<trackbed_supervisor::Cli>,
    },
}

/// Runs the command of the process's arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log(cli.log_format);
    // One provider for all of TLS, said before anybody asks for it.
    let _already = rustls::crypto::ring::default_provider().install_default();
    match cli.command {
        Command::Run(options) => match runtime().map(|runtime| runtime.block_on(run::run(options)))
        {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(error)) => failed(&error.to_string()),
            Err(error) => failed(&format!("no runtime: {error}")),
        },
        Command::Fetch(options) => fetch::run(&options),
        Command::LsRemote => ls_remote::run(),
        Command::Compare => ls_remote::compare(),
        Command::Plan(options) => plan::run(options),
        Command::Bases(options) => match runtime() {
            Ok(runtime) => runtime.block_on(bases::run(&options)),
            Err(error) => failed(&format!("no runtime: {error}")),
        },
        Command::Unsynced(options) => unsynced::run(&options),
        Command::MakeRoom(options) => {
            cache::trim(&options);
            ExitCode::SUCCESS
        }
        Command::HandOver(options) => hand_over::run(&options),
        Command::Push(options) => match runtime() {
            Ok(runtime) => runtime.block_on(push::run(&options)),
            Err(error) => failed(&format!("no runtime: {error}")),
        },
        Command::Supervisor { command } => trackbed_supervisor::run(*command),
    }
}

fn failed(message: &str) -> ExitCode {
    tracing::error!("{message}");
    ExitCode::FAILURE
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
}

/// JSON where nobody looks on, text in a terminal.
fn log(format: Option<LogFormat>) {
    let default = if std::io::stderr().is_terminal() {
        LogFormat::Text
    } else {
        LogFormat::Json
    };
    let filter = EnvFilter::try_from_env("TRACKBED_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,kube_client=warn,kube_runtime=warn"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format.unwrap_or(default) {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    #[test]
    fn no_two_options_of_a_command_have_one_name() {
        super::Cli::command().debug_assert();
    }

    #[test]
    fn what_a_program_is_told_is_for_it_alone() {
        let words = [
            "trackbed",
            "unsynced",
            "/kaniko/executor",
            "--log-format=text",
            "--help",
            "--",
            "-v",
        ];
        let cli = super::Cli::try_parse_from(words).expect("words for a program");
        let super::Command::Unsynced(options) = cli.command else {
            panic!("{:?}", cli.command);
        };
        assert_eq!(options.words, words[2..]);
        assert!(super::Cli::try_parse_from(["trackbed", "unsynced"]).is_err());
    }

    #[test]
    fn plan_is_a_command() {
        let words = [
            "trackbed",
            "plan",
            ".",
            "--language-version=22",
            "--packages=curl,jq",
        ];
        assert!(super::Cli::try_parse_from(words).is_ok());
    }
}
