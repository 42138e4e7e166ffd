use std::{
    io,
    process::{Command, Output, Stdio},
    time::Duration,
};

use crate::{Error, Result, error::Doing};

/// Lines of a failed program's output that an error keeps.
const KEPT_LINES: usize = 15;

/// A command that is named in the error when it fails.
pub trait CommandExt {
    /// Runs it to its end with nothing on its input; fails unless it succeeds.
    ///
    /// # Errors
    /// When it cannot be started or ends without success; the error holds its last lines.
    fn check(&mut self) -> Result<String>;

    /// Like [`CommandExt::check`], with its output going to the terminal.
    ///
    /// # Errors
    /// When it cannot be started or ends without success.
    fn check_visible(&mut self) -> Result<()>;

    /// The command line as a person would type it.
    fn line(&self) -> String;
}

impl CommandExt for Command {
    fn check(&mut self) -> Result<String> {
        let output = self
            .stdin(Stdio::null())
            .output()
            .doing(|| format!("starting `{}`", self.line()))?;
        if !output.status.success() {
            return Err(Error::Command {
                command: self.line(),
                status: output.status,
                output: tail(&output),
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn check_visible(&mut self) -> Result<()> {
        let status = self
            .status()
            .doing(|| format!("starting `{}`", self.line()))?;
        if !status.success() {
            return Err(Error::Command {
                command: self.line(),
                status,
                output: String::new(),
            });
        }
        Ok(())
    }

    fn line(&self) -> String {
        std::iter::once(self.get_program())
            .chain(self.get_args())
            .map(|word| word.to_string_lossy())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

pub(crate) fn tail(output: &Output) -> String {
    let text = [
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    ]
    .concat();
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(KEPT_LINES)..].join("\n")
}

/// Runs `program` with the words of `arguments`, which hold no blanks of their own.
pub(crate) fn run(program: &str, arguments: &str) -> Result<String> {
    Command::new(program)
        .args(arguments.split_whitespace())
        .check()
}

/// A duration as people say it: `3.2 s`, `2 min 10 s`.
pub fn spoken(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds}.{} s", duration.subsec_millis() / 100),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// Resolves when standard input is closed: whoever held its other end is gone.
pub(crate) async fn end_of_input() {
    let (closed, wait) = tokio::sync::oneshot::channel();
    // A thread of its own, which nobody waits for: a read cannot be called off.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = closed.send(());
    });
    let _ = wait.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_its_last_words() {
        let error = Command::new("sh")
            .args(["-c", "echo out; echo broken >&2; exit 3"])
            .check()
            .unwrap_err();
        expect_test::expect![[r#"
            `sh -c echo out; echo broken >&2; exit 3` failed (exit status: 3)
                out
                broken"#]]
        .assert_eq(&error.to_string());
    }

    #[test]
    fn durations_are_spoken() {
        assert_eq!(spoken(Duration::from_millis(3210)), "3.2 s");
        assert_eq!(spoken(Duration::from_secs(130)), "2 min 10 s");
    }
}
