//! The ecosystems, and which of them an application belongs to.

use std::{fmt, str::FromStr};

use crate::{
    Error, Subject, Tree, go, java, node, php, python, ruby, rust, site,
    work::{Made, Work},
};

/// What an application is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// PHP behind Apache.
    Php,
    /// A Go module.
    Go,
    /// A Java program of Maven or Gradle.
    Java,
    /// A Rust program of Cargo.
    Rust,
    /// A Ruby application of Bundler.
    Ruby,
    /// A Python application.
    Python,
    /// A Node server, or files that Node builds.
    Node,
    /// Files that are served as they are.
    Static,
}

/// All, in the order in which they are asked: those whose manifests say most come first. A
/// `package.json` is often only for the assets of another language.
const ALL: [Provider; 8] = [
    Provider::Go,
    Provider::Java,
    Provider::Rust,
    Provider::Ruby,
    Provider::Php,
    Provider::Python,
    Provider::Node,
    Provider::Static,
];

impl Provider {
    /// Its name, as in `build.provider`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Php => "php",
            Self::Go => "go",
            Self::Java => "java",
            Self::Rust => "rust",
            Self::Ruby => "ruby",
            Self::Python => "python",
            Self::Node => "node",
            Self::Static => "static",
        }
    }

    /// What tells it, in words.
    fn signs(self) -> &'static str {
        match self {
            Self::Php => "PHP (composer.json or index.php)",
            Self::Go => "Go (go.mod or go.work)",
            Self::Java => "Java (pom.xml, build.gradle or build.gradle.kts)",
            Self::Rust => "Rust (Cargo.toml)",
            Self::Ruby => "Ruby (Gemfile)",
            Self::Python => {
                "Python (requirements.txt, pyproject.toml, Pipfile, manage.py, main.py or app.py)"
            }
            Self::Node => "Node (package.json)",
            Self::Static => "static files (index.html or public/index.html)",
        }
    }

    /// The file that tells it.
    fn sign(self, tree: &Tree) -> Option<&'static str> {
        match self {
            Self::Php => tree.first(&["composer.json", "index.php", "public/index.php"]),
            Self::Go => tree.first(&["go.mod", "go.work"]),
            Self::Java => tree.first(&["pom.xml", "build.gradle", "build.gradle.kts"]),
            Self::Rust => tree.first(&["Cargo.toml"]),
            Self::Ruby => tree.first(&["Gemfile"]),
            Self::Python => python::sign(tree),
            Self::Node => tree.first(&["package.json"]),
            Self::Static => tree.first(&["index.html", "public/index.html"]),
        }
    }

    pub(crate) fn plan(self, work: &mut Work<'_>) -> Result<Made, Error> {
        match self {
            Self::Php => php::plan(work),
            Self::Go => go::plan(work),
            Self::Java => java::plan(work),
            Self::Rust => rust::plan(work),
            Self::Ruby => ruby::plan(work),
            Self::Python => python::plan(work),
            Self::Node => node::plan(work),
            Self::Static => site::plan(work),
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|it| it.as_str()).collect();
            Error::Unusable(format!(
                "build.provider must be one of {}, not {text:?}",
                names.join(", ")
            ))
        })
    }
}

/// One line for each ecosystem.
pub(crate) fn recognised() -> String {
    let lines: Vec<String> = ALL.iter().map(|it| format!("\n  {}", it.signs())).collect();
    lines.concat()
}

/// What the application is.
pub(crate) fn choose(work: &mut Work<'_>) -> Result<Provider, Error> {
    let found: Vec<(Provider, &str)> = ALL
        .into_iter()
        .filter_map(|it| Some((it, it.sign(work.tree)?)))
        .collect();
    if let Some(forced) = work.settings.provider {
        if !found.iter().any(|(it, _)| *it == forced) && !can_be_forced(work, forced) {
            return Err(Error::Unusable(format!(
                "build.provider is {forced}, but the folder has none of its files: {}. Found: {}",
                forced.signs(),
                work.tree.summary()
            )));
        }
        work.say(Subject::Provider, forced.as_str(), Some("build.provider"));
        return Ok(forced);
    }
    let Some((first, sign)) = found.first() else {
        return Err(Error::Unknown {
            found: work.tree.summary(),
        });
    };
    work.say(Subject::Provider, first.as_str(), Some(sign));
    // Bare pages beside a program are its own, and Rails and PHP build their assets with Node.
    let others: Vec<String> = found
        .iter()
        .skip(1)
        .filter(|(it, _)| *it != Provider::Static)
        .filter(|(it, _)| {
            !(*it == Provider::Node && matches!(first, Provider::Ruby | Provider::Php))
        })
        .map(|(it, sign)| format!("{sign} ({it})"))
        .collect();
    if !others.is_empty() {
        work.warn(format!(
            "there is {} too: set build.provider if that is what is to run",
            others.join(" and ")
        ));
    }
    Ok(*first)
}

/// A static site may be in any folder, and Python may start from any file.
fn can_be_forced(work: &Work<'_>, provider: Provider) -> bool {
    match provider {
        Provider::Static => work.settings.output.is_some(),
        Provider::Python | Provider::Php => {
            let suffix = if provider == Provider::Php {
                ".php"
            } else {
                ".py"
            };
            work.tree.files.iter().any(|path| path.ends_with(suffix))
        }
        _ => false,
    }
}
