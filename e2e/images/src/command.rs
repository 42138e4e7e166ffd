use std::process::{Command, Output, Stdio};

use crate::{Error, Result, error::Doing};

/// Lines of a failed program's output that an error keeps.
const KEPT_LINES: usize = 30;

/// Runs `command` to its end with nothing on its input, and gives what it printed.
pub(crate) fn check(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .doing(|| format!("starting `{}`", line(command)))?;
    if !output.status.success() {
        return Err(Error::Command {
            command: line(command),
            status: output.status,
            output: tail(&output),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether `command` runs and succeeds.
pub(crate) fn works(command: &mut Command) -> bool {
    check(command).is_ok()
}

fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        // A script would hide everything else.
        .map(|word| {
            if word.contains('\n') {
                "…".into()
            } else {
                word
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn tail(output: &Output) -> String {
    let text = [
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    ]
    .concat();
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(KEPT_LINES)..].join("\n")
}
