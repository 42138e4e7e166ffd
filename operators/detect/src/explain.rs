//! What was seen and decided, for people.

use serde::Serialize;

/// What a decision is about.
/// In the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// What the application was taken for.
    Provider,
    /// The version of the language.
    Version,
    /// The package manager.
    Manager,
    /// The framework.
    Framework,
    /// The folder that the build sees.
    Context,
    /// The command that installs the dependencies.
    Install,
    /// The command that builds it.
    Build,
    /// The folder of a static site.
    Output,
    /// The command that starts it.
    Start,
    /// Debian packages that are added.
    Packages,
    /// Something to know that is no error.
    Warning,
}

impl Subject {
    /// One word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Version => "version",
            Self::Manager => "manager",
            Self::Framework => "framework",
            Self::Install => "install",
            Self::Build => "build",
            Self::Start => "start",
            Self::Output => "output",
            Self::Context => "context",
            Self::Packages => "packages",
            Self::Warning => "warning",
        }
    }
}

/// Something that was seen and decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// What it is about.
    pub subject: Subject,
    /// What was decided: a name, a command, a sentence.
    pub text: String,
    /// The file or setting that decided; absent for a default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// Decisions as lines in columns.
pub fn text(decisions: &[Decision]) -> String {
    const WIDTH: usize = 48;
    let width = decisions
        .iter()
        .filter(|it| it.from.is_some())
        .map(|it| it.text.chars().count())
        .filter(|width| *width <= WIDTH)
        .max()
        .unwrap_or(0);
    let mut lines = String::new();
    for it in decisions {
        // A line break of a command is shown, not made.
        let text = it.text.replace('\n', "\\n");
        let line = match &it.from {
            Some(from) => format!("{:<10} {text:<width$}  ({from})", it.subject.as_str()),
            None => format!("{:<10} {text}", it.subject.as_str()),
        };
        lines += line.trim_end();
        lines.push('\n');
    }
    lines
}
