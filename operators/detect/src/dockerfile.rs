//! Lines of Dockerfiles. What a user wrote goes in as JSON, or as it is where it cannot end its
//! line or begin another.

use std::fmt::Write;

use crate::command::{Start, stands_in_a_line};

/// A Dockerfile in the making.
#[derive(Default)]
pub(crate) struct Dockerfile(String);

impl Dockerfile {
    /// Begins a stage. A named one is for others to copy from.
    pub(crate) fn stage(&mut self, image: &str, name: Option<&str>) {
        if !self.0.is_empty() {
            self.line("");
        }
        match name {
            Some(name) => self.line(&format!("FROM {image} AS {name}")),
            None => self.line(&format!("FROM {image}")),
        }
    }

    /// A line of our own.
    pub(crate) fn line(&mut self, text: &str) {
        self.0 += text;
        self.0.push('\n');
    }

    /// A comment: why the lines after it are there.
    pub(crate) fn comment(&mut self, text: &str) {
        self.line(&format!("# {text}"));
    }

    /// A command of our own.
    pub(crate) fn run(&mut self, command: &str) {
        self.line(&format!("RUN {command}"));
    }

    /// A command of a user's.
    pub(crate) fn run_user(&mut self, command: &str) {
        if stands_in_a_line(command) {
            self.run(command.trim());
        } else {
            self.json("RUN", &["/bin/sh", "-c", command].map(str::to_owned));
        }
    }

    /// Files of the context, by their plain paths.
    pub(crate) fn copy<S: AsRef<str>>(&mut self, files: &[S], to: &str) {
        let files: Vec<&str> = files.iter().map(AsRef::as_ref).collect();
        self.line(&format!("COPY {} {to}", files.join(" ")));
    }

    /// Writes a file of our own lines.
    pub(crate) fn write(&mut self, path: &str, lines: &[&str]) {
        let folder = path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        let mut text = format!("RUN mkdir -p {folder} && printf '%s\\n' \\\n");
        for line in lines {
            text += &format!("    '{line}' \\\n");
        }
        self.0 += &text;
        self.line(&format!("    > {path}"));
    }

    /// What the container starts.
    pub(crate) fn start(&mut self, start: &Start) {
        self.json("CMD", &start.words());
    }

    fn json(&mut self, instruction: &str, words: &[String]) {
        // Lists of strings always have a JSON, with a space after each comma for readers.
        let words: Vec<String> = words
            .iter()
            .map(|word| serde_json::Value::from(word.as_str()).to_string())
            .collect();
        // Writing to a String does not fail.
        let _ = writeln!(self.0, "{instruction} [{}]", words.join(", "));
    }

    pub(crate) fn finish(self) -> String {
        self.0
    }
}
