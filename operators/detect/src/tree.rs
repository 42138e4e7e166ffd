//! What detection sees of a repository.

use std::collections::{BTreeMap, BTreeSet};

/// The files of an application's folder, and of the repository around it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Paths relative to the folder, `/` between parts. Folders are told by what is in them.
    pub files: BTreeSet<String>,
    /// Content of those of [`Tree::wanted`], each cut at [`Tree::CONTENT_MAX`].
    pub content: BTreeMap<String, String>,
    /// The repository's root, where the folder is not it.
    pub root: Option<Root>,
}

/// The root of a repository whose application is in a folder of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Root {
    /// The application's folder relative to the root, like `apps/web`.
    pub path: String,
    /// As [`Tree::files`], relative to the root.
    pub files: BTreeSet<String>,
    /// As [`Tree::content`], relative to the root.
    pub content: BTreeMap<String, String>,
}

/// Files that say what an application is, wherever they are.
const ANYWHERE: &[&str] = &["Cargo.toml", "package.json", "settings.py"];

/// Files that say what an application is, at the root of a folder or of the repository.
const WANTED: &[&str] = &[
    ".bun-version",
    ".dockerignore",
    ".go-version",
    ".java-version",
    ".node-version",
    ".nvmrc",
    ".php-version",
    ".python-version",
    ".ruby-version",
    ".tool-versions",
    ".yarnrc.yml",
    "Cargo.lock",
    "Gemfile",
    "Gemfile.lock",
    "Pipfile",
    "Procfile",
    "angular.json",
    "astro.config.js",
    "astro.config.mjs",
    "astro.config.ts",
    "build.gradle",
    "build.gradle.kts",
    "composer.json",
    "global.json",
    "go.mod",
    "go.work",
    "manage.py",
    "next.config.js",
    "next.config.mjs",
    "next.config.ts",
    "package.json",
    "pnpm-lock.yaml",
    "pom.xml",
    "pyproject.toml",
    "requirements.txt",
    "runtime.txt",
    "rust-toolchain",
    "rust-toolchain.toml",
    "settings.gradle",
    "settings.gradle.kts",
    "svelte.config.js",
    "system.properties",
    "yarn.lock",
];

/// Python files that may hold the application's object.
pub(crate) const PYTHON_SOURCES: &[&str] = &[
    "main.py",
    "app.py",
    "wsgi.py",
    "asgi.py",
    "server.py",
    "application.py",
    "api.py",
    "run.py",
    "index.py",
    "app/main.py",
    "app/app.py",
    "app/__init__.py",
    "src/main.py",
    "src/app.py",
    "api/main.py",
    "backend/main.py",
];

impl Tree {
    /// Most bytes of a file that detection looks at.
    pub const CONTENT_MAX: usize = 1 << 20;

    /// Whether the content of a file is looked at.
    pub fn wanted(path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        WANTED.contains(&path) || PYTHON_SOURCES.contains(&path) || ANYWHERE.contains(&name)
    }

    /// Whether a folder of this name need not be listed: it is made by tools, not by people.
    pub fn skipped(name: &str) -> bool {
        matches!(
            name,
            ".git" | "node_modules" | ".venv" | "venv" | "__pycache__" | "target" | ".next"
        )
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    pub(crate) fn read(&self, path: &str) -> Option<&str> {
        self.content.get(path).map(String::as_str)
    }

    /// The first of some files that is there.
    pub(crate) fn first<'a>(&self, paths: &[&'a str]) -> Option<&'a str> {
        paths.iter().copied().find(|path| self.has(path))
    }

    /// Whether there is a file under a folder.
    pub(crate) fn has_folder(&self, folder: &str) -> bool {
        self.files
            .range(format!("{folder}/")..)
            .next()
            .is_some_and(|path| path.starts_with(&format!("{folder}/")))
    }

    /// Whether the repository's root has a file. False where the folder is the root.
    pub(crate) fn root_has(&self, path: &str) -> bool {
        self.root
            .as_ref()
            .is_some_and(|root| root.files.contains(path))
    }

    /// A file of the folder, else of the repository's root.
    pub(crate) fn read_up(&self, path: &str) -> Option<&str> {
        self.read(path).or_else(|| {
            let root = self.root.as_ref()?;
            root.content.get(path).map(String::as_str)
        })
    }

    /// The command of a process type of a Procfile.
    pub(crate) fn procfile(&self, process: &str) -> Option<&str> {
        let lines = self.read("Procfile")?.lines();
        let command = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim() == process)?
            .1
            .trim();
        (!command.is_empty()).then_some(command)
    }

    /// The first names in the folder, in words.
    pub(crate) fn summary(&self) -> String {
        const SHOWN: usize = 10;
        let mut names: Vec<String> = self
            .files
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
}

/// Whether a path can stand in any instruction of a Dockerfile as it is.
pub(crate) fn is_plain_path(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with(['-', '/'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && path
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./@+".contains(c))
}
