//! `codegen [--check]`: writes the generated files, or says which are not up to date.

use std::process::ExitCode;

use clap::Parser;
use trackbed_codegen::{drift, files, root, write};

/// Writes crds/, the chart's definitions and roles, and docs/reference.
#[derive(Parser)]
struct Options {
    /// Write nothing; fail with the list of files that are not up to date
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("codegen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode, trackbed_codegen::Error> {
    let files = files()?;
    let drifted = drift(&root(), &files)?;
    if drifted.is_empty() {
        println!("{} generated files are up to date", files.len());
        return Ok(ExitCode::SUCCESS);
    }
    if options.check {
        eprintln!("not up to date, run 'cargo xtask codegen':");
        for path in &drifted {
            eprintln!("  {path}");
        }
        return Ok(ExitCode::FAILURE);
    }
    write(&root(), &files, &drifted)?;
    for path in &drifted {
        println!("wrote {path}");
    }
    Ok(ExitCode::SUCCESS)
}
