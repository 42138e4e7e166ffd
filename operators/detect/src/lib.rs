//! What a source tree is, and the Dockerfile it gets. Pure: files in, plan out.
//!
//! Every generated Dockerfile builds in one stage and runs in another, as a user without rights,
//! orders its layers so that dependencies are cached, and starts the application directly, so that
//! signals reach it. Text of users goes into it as JSON only.

mod dockerfile;
mod go;
mod node;
mod python;

use std::collections::{BTreeMap, BTreeSet};

/// The files at the root of an application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Paths relative to the root, `/` between parts. Folders are told by what is in them.
    pub files: BTreeSet<String>,
    /// Content of those of [`Tree::wanted`].
    pub content: BTreeMap<String, String>,
}

impl Tree {
    /// Whether the content of a file is looked at.
    pub fn wanted(path: &str) -> bool {
        matches!(
            path,
            "package.json"
                | ".nvmrc"
                | ".node-version"
                | "requirements.txt"
                | ".python-version"
                | "runtime.txt"
                | "go.mod"
                | "Procfile"
        )
    }

    fn has(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    fn read(&self, path: &str) -> Option<&str> {
        self.content.get(path).map(String::as_str)
    }

    /// The command of the `web` process of a Procfile.
    fn procfile(&self) -> Option<String> {
        let line = self
            .read("Procfile")?
            .lines()
            .find_map(|line| line.strip_prefix("web:"))?;
        let command = line.trim();
        (!command.is_empty()).then(|| command.to_owned())
    }
}

/// What a person said about the build.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Command that builds the application.
    pub build_command: Option<String>,
}

/// How an application is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// `node`, `python` or `go`.
    pub language: &'static str,
    /// Version of the language.
    pub version: String,
    /// Framework, if one is recognised.
    pub framework: Option<String>,
    /// The Dockerfile.
    pub dockerfile: String,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing is recognised.
    #[error(
        "there is no Dockerfile, and no language is recognised. Found: {found}. Recognised are Node (package.json), Python (requirements.txt, pyproject.toml, main.py or app.py) and Go (go.mod)"
    )]
    Unknown {
        /// The first files, in words.
        found: String,
    },
    /// A language is recognised, and its files do not say enough.
    #[error("{0}")]
    Unusable(String),
}

impl Error {
    /// The reason as it stands in conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "NoLanguageDetected",
            Self::Unusable(_) => "InvalidBuildPlan",
        }
    }
}

/// Recognises an application.
///
/// # Errors
/// That it is none, or that its files do not say enough; with what to do.
pub fn detect(tree: &Tree, settings: &Settings) -> Result<Plan, Error> {
    if tree.has("package.json") {
        return node::plan(tree, settings);
    }
    if tree.has("go.mod") {
        return go::plan(tree, settings);
    }
    if python::is(tree) {
        return python::plan(tree, settings);
    }
    Err(Error::Unknown {
        found: found(&tree.files),
    })
}

/// The first names at the root.
fn found(files: &BTreeSet<String>) -> String {
    const SHOWN: usize = 10;
    let mut names: Vec<String> = files
        .iter()
        .map(|path| match path.split_once('/') {
            Some((folder, _)) => format!("{folder}/"),
            None => path.clone(),
        })
        .collect();
    names.dedup();
    if names.is_empty() {
        return "nothing".to_owned();
    }
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
