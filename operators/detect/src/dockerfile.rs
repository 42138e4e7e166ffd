//! Lines of Dockerfiles.

use std::fmt::Write;

/// Base image of what runs without a language.
pub(crate) const STATIC: &str = "gcr.io/distroless/static-debian12:nonroot";

/// Settings that Trackbed gives to every build. A build argument must be declared to be seen.
const ARGUMENTS: &str = "ARG HTTP_PROXY\nARG HTTPS_PROXY\nARG NO_PROXY\nARG TRACKBED_CA_FILE\n";

/// Makes the tools of the languages trust the operator's certificates besides their own.
const TRUST: &str = "if [ -n \"$TRACKBED_CA_FILE\" ]; then export NODE_EXTRA_CA_CERTS=\"$TRACKBED_CA_FILE\" SSL_CERT_FILE=\"$TRACKBED_CA_FILE\" PIP_CERT=\"$TRACKBED_CA_FILE\" REQUESTS_CA_BUNDLE=\"$TRACKBED_CA_FILE\" GIT_SSL_CAINFO=\"$TRACKBED_CA_FILE\"; fi; ";

/// A Dockerfile in the making.
#[derive(Default)]
pub(crate) struct Dockerfile(String);

impl Dockerfile {
    /// Begins a stage that builds.
    pub(crate) fn build_stage(image: &str) -> Self {
        let mut file = Self::default();
        file.line(&format!("FROM {image} AS build"));
        file.0 += ARGUMENTS;
        file
    }

    /// Begins the stage that runs.
    pub(crate) fn run_stage(&mut self, image: &str) {
        self.line("");
        self.line(&format!("FROM {image}"));
    }

    /// A line of our own.
    pub(crate) fn line(&mut self, text: &str) {
        self.0 += text;
        self.0.push('\n');
    }

    /// A command of our own that talks to a package index.
    pub(crate) fn fetch(&mut self, command: &str) {
        self.json("RUN", &["/bin/sh", "-c", &format!("{TRUST}{command}")]);
    }

    /// A command of a user's: as JSON nothing in it ends the instruction or begins another.
    pub(crate) fn shell(&mut self, command: &str) {
        self.json("RUN", &["/bin/sh", "-c", &format!("{TRUST}{command}")]);
    }

    /// What the container starts: one program that signals reach.
    pub(crate) fn start(&mut self, words: &[&str]) {
        self.json("CMD", words);
    }

    /// What the container starts, of a user's words: the shell gives way to the program.
    pub(crate) fn start_shell(&mut self, command: &str) {
        self.json("CMD", &["/bin/sh", "-c", &format!("exec {command}")]);
    }

    fn json(&mut self, instruction: &str, words: &[&str]) {
        let words = serde_json::Value::from(words.to_vec());
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{instruction} {words}");
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}

/// The words of a command that needs no shell, if it is one.
pub(crate) fn plain_words(command: &str) -> Option<Vec<&str>> {
    let special = |c: char| !(c.is_ascii_alphanumeric() || "-_./:=@,+ ".contains(c));
    let words: Vec<&str> = command.split_whitespace().collect();
    let first = words.first()?;
    (!command.contains(special) && !first.contains('=')).then_some(words)
}
