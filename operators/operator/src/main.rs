//! The binary `trackbed`.

use std::process::ExitCode;

fn main() -> ExitCode {
    trackbed::main()
}
