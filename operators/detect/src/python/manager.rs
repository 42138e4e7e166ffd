//! Package managers of Python.

use crate::{
    Error, Subject,
    dockerfile::Dockerfile,
    known::{PIPENV, POETRY, UV},
    manifest::at,
    work::Work,
};

use super::Project;

/// uv's way with the virtual environment that is there.
const UV_SETTINGS: &str =
    "ENV UV_PROJECT_ENVIRONMENT=/venv UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_NO_CACHE=1";

const PIP_INSTALL: &str = "pip install -r requirements.txt";

/// How dependencies are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manager {
    /// `uv.lock`, or `[tool.uv]`.
    Uv { locked: bool, package: bool },
    /// `poetry.lock`, or `[tool.poetry]`.
    Poetry { locked: bool, package: bool },
    /// `Pipfile`.
    Pipenv { locked: bool },
    /// `requirements.txt`.
    Requirements,
    /// `pyproject.toml` alone; `dynamic`: its dependencies stand in the code.
    Project { dynamic: bool },
    /// The standard library is all.
    None,
}

/// What is to be done with an application's code, once its dependencies are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// It is a package that is installed.
    Installed(&'static str),
    /// It runs from where it is.
    Copied,
}

impl Code {
    fn of(package: bool, install: &'static str) -> Self {
        if package {
            Self::Installed(install)
        } else {
            Self::Copied
        }
    }
}

pub(crate) fn find(work: &mut Work<'_>, project: &Project) -> Result<Manager, Error> {
    let tree = work.tree;
    let table = project.pyproject.as_ref();
    let builds = table.is_some_and(|it| it.contains_key("build-system"));
    let poetry = table.is_some_and(|it| at(it, &["tool", "poetry"]).is_some());
    let package_mode = table.and_then(|it| at(it, &["tool", "poetry", "package-mode"]));
    let package = builds && package_mode.and_then(toml::Value::as_bool) != Some(false);
    let uv = table.is_some_and(|it| at(it, &["tool", "uv"]).is_some());
    let listed = table.and_then(|it| at(it, &["project", "dependencies"]));
    let dynamic = listed.is_none();
    let (manager, name) = if tree.has("uv.lock") || (uv && !tree.has("requirements.txt")) {
        let locked = tree.has("uv.lock");
        let package = builds;
        (Manager::Uv { locked, package }, "uv")
    } else if tree.has("poetry.lock") || (poetry && !tree.has("requirements.txt")) {
        let locked = tree.has("poetry.lock");
        (Manager::Poetry { locked, package }, "poetry")
    } else if tree.has("requirements.txt") {
        (Manager::Requirements, "pip")
    } else if tree.has("Pipfile") {
        let locked = tree.has("Pipfile.lock");
        (Manager::Pipenv { locked }, "pipenv")
    } else if table.is_some_and(|it| it.contains_key("project") || builds) {
        (Manager::Project { dynamic }, "pip")
    } else {
        (Manager::None, "none")
    };
    work.say(
        Subject::Manager,
        name,
        Some(manager.file().unwrap_or("no manifest")),
    );
    let locks = ["uv.lock", "poetry.lock", "Pipfile.lock"];
    let locks: Vec<&str> = locks.into_iter().filter(|lock| tree.has(lock)).collect();
    if locks.len() > 1 {
        work.warn(format!(
            "there are several lockfiles ({}): remove those that are not of {name}",
            locks.join(", ")
        ));
    }
    match manager {
        Manager::Uv { locked: false, .. }
        | Manager::Poetry { locked: false, .. }
        | Manager::Pipenv { locked: false }
        | Manager::Project { .. } => {
            work.warn(
                "there is no lockfile: versions of dependencies may change from build to build",
            );
        }
        _ => {}
    }
    if matches!(manager, Manager::Uv { .. }) && table.is_none() {
        return Err(Error::Unusable(
            "there is a uv.lock and no pyproject.toml: add it".to_owned(),
        ));
    }
    Ok(manager)
}

impl Manager {
    /// The file that says so.
    pub(crate) fn file(self) -> Option<&'static str> {
        Some(match self {
            Self::Uv { locked: true, .. } => "uv.lock",
            Self::Poetry { locked: true, .. } => "poetry.lock",
            Self::Uv { .. } | Self::Poetry { .. } | Self::Project { .. } => "pyproject.toml",
            Self::Pipenv { locked: true } => "Pipfile.lock",
            Self::Pipenv { .. } => "Pipfile",
            Self::Requirements => "requirements.txt",
            Self::None => return None,
        })
    }

    /// The files that the plan is made from.
    pub(crate) fn files(self, work: &Work<'_>) -> Vec<String> {
        let Some(file) = self.file() else {
            let found = work.tree.first(&["manage.py", "main.py", "app.py"]);
            return vec![found.unwrap_or("Python files").to_owned()];
        };
        let manifest = match file {
            "uv.lock" | "poetry.lock" => Some("pyproject.toml"),
            "Pipfile.lock" => Some("Pipfile"),
            _ => None,
        };
        manifest
            .into_iter()
            .chain([file])
            .map(str::to_owned)
            .collect()
    }

    /// Installs the dependencies, then copies everything, then installs the project. What is `added`
    /// is installed as early as it can be, so that it stays while the code changes.
    pub(crate) fn install(self, work: &mut Work<'_>, added: Option<&str>, file: &mut Dockerfile) {
        let added = added.map(|it| format!("{} '{it}'", self.add()));
        let add = |file: &mut Dockerfile| added.iter().for_each(|it| file.run(it));
        let whole = "COPY . .";
        let (command, code) = self.dependencies(work, file);
        match code {
            Code::Installed(install) => {
                file.line(whole);
                file.run(install);
                add(file);
            }
            Code::Copied => {
                add(file);
                file.line(whole);
            }
        }
        if !command.is_empty() {
            work.say(Subject::Install, command, self.file());
        }
    }

    /// Installs the dependencies as far as that goes without the code. Says what people call that,
    /// and what is to be done with the code.
    fn dependencies(self, work: &Work<'_>, file: &mut Dockerfile) -> (&'static str, Code) {
        match self {
            Self::Uv { locked, package } => {
                let sync = sync(locked);
                tool(file, "uv", UV);
                file.line(UV_SETTINGS);
                self.copy(work, file);
                file.run(&format!(
                    "{sync} --no-install-project --no-install-workspace"
                ));
                (sync, Code::of(package, sync))
            }
            Self::Poetry { locked, package } => {
                tool(file, "poetry", POETRY);
                self.copy(work, file);
                let lock = if locked {
                    ""
                } else {
                    "poetry lock --no-interaction && "
                };
                file.run(&format!(
                    "{lock}poetry install --only main --no-root --no-interaction --no-cache"
                ));
                let install = "poetry install --only main --no-interaction --no-cache";
                ("poetry install --only main", Code::of(package, install))
            }
            Self::Pipenv { locked } => {
                tool(file, "pipenv", PIPENV);
                self.copy(work, file);
                let lock = if locked { "" } else { "pipenv lock && " };
                file.run(&format!("{lock}pipenv requirements > /tmp/requirements.txt && pip install -r /tmp/requirements.txt"));
                ("pipenv requirements | pip install", Code::Copied)
            }
            Self::Requirements => {
                let install = PIP_INSTALL;
                let others = names_others(work);
                if others {
                    file.comment("requirements.txt names other files.");
                } else {
                    file.copy(&["requirements.txt"], "./");
                    file.run(install);
                }
                (install, Code::of(others, install))
            }
            Self::Project { dynamic: true } => ("pip install .", Code::Installed("pip install .")),
            Self::Project { dynamic: false } => {
                // pip knows no way to install what a project depends on without the project.
                tool(file, "uv", UV);
                file.line("ENV UV_LINK_MODE=copy UV_NO_CACHE=1");
                file.copy(&["pyproject.toml"], "./");
                file.run("uv pip install -r pyproject.toml");
                ("pip install .", Code::Installed("pip install --no-deps ."))
            }
            Self::None => ("", Code::Copied),
        }
    }

    /// Whether nothing but the dependencies is there once they are installed, and the code needs no
    /// step of its own.
    pub(crate) fn leaves_nothing(self, work: &Work<'_>) -> bool {
        match self {
            Self::Uv { package, .. } => !package,
            Self::Requirements => !names_others(work),
            Self::None => true,
            Self::Poetry { .. } | Self::Pipenv { .. } | Self::Project { .. } => false,
        }
    }

    /// Makes the application's folder and installs the dependencies, for managers of which
    /// [`Manager::leaves_nothing`] holds. One command does all, for each is a layer of its own.
    pub(crate) fn install_alone(
        self,
        work: &mut Work<'_>,
        added: Option<&str>,
        file: &mut Dockerfile,
    ) {
        /// The application may write beside its code.
        const OWN: &str = "chown 1000:1000 /app";
        let (said, mut commands) = if let Self::Uv { locked, .. } = self {
            let sync = sync(locked);
            file.line("ENV PATH=/venv/bin:$PATH VIRTUAL_ENV=/venv PYTHONUNBUFFERED=1");
            file.line(UV_SETTINGS);
            file.line("WORKDIR /app");
            self.copy(work, file);
            let mut commands = vec![
                "python -m venv /opt/uv".to_owned(),
                format!("/opt/uv/bin/pip install --no-cache-dir '{UV}'"),
                format!("/opt/uv/bin/{sync} --no-install-project --no-install-workspace"),
            ];
            commands.extend(added.map(|it| format!("/opt/uv/bin/uv pip install '{it}'")));
            commands.push("rm -rf /opt/uv".to_owned());
            (sync, commands)
        } else {
            // The image has nothing but this application: it needs no environment of its own in it.
            file.line("ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore");
            file.line("WORKDIR /app");
            let mut commands = Vec::new();
            let mut said = "";
            if matches!(self, Self::Requirements) {
                said = PIP_INSTALL;
                file.copy(&["requirements.txt"], "./");
                commands.push(said.to_owned());
            }
            commands.extend(added.map(|it| format!("pip install '{it}'")));
            (said, commands)
        };
        commands.push(OWN.to_owned());
        file.run(&commands.join(" && "));
        if !said.is_empty() {
            work.say(Subject::Install, said, self.file());
        }
    }

    /// Copies manifest and lockfile.
    fn copy(self, work: &Work<'_>, file: &mut Dockerfile) {
        let files = match self {
            Self::Uv { .. } => ["pyproject.toml", "uv.lock"],
            Self::Poetry { .. } => ["pyproject.toml", "poetry.lock"],
            _ => ["Pipfile", "Pipfile.lock"],
        };
        let there: Vec<&str> = files.into_iter().filter(|it| work.tree.has(it)).collect();
        file.copy(&there, "./");
    }

    /// The command that adds a package.
    pub(crate) fn add(self) -> &'static str {
        match self {
            Self::Uv { .. } => "uv pip install",
            _ => "pip install",
        }
    }
}

fn sync(locked: bool) -> &'static str {
    if locked {
        "uv sync --frozen --no-dev"
    } else {
        "uv sync --no-dev"
    }
}

/// Whether requirements.txt names other files, or the project itself.
fn names_others(work: &Work<'_>) -> bool {
    let text = work.tree.read("requirements.txt").unwrap_or_default();
    text.lines().map(str::trim).any(|line| {
        line.starts_with("-r")
            || line.starts_with("-c")
            || line.starts_with("-e")
            || line.starts_with("--r")
            || line.starts_with('.')
    })
}

/// Installs a manager beside the application's packages, not among them.
fn tool(file: &mut Dockerfile, name: &str, requirement: &str) {
    file.run(&format!(
        "python -m venv /opt/{name} && /opt/{name}/bin/pip install '{requirement}' && ln -s /opt/{name}/bin/{name} /usr/local/bin/{name}"
    ));
}
