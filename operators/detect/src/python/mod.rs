//! Python: servers with pip, uv, Poetry or Pipenv.

mod manager;
mod start;

use std::collections::BTreeSet;

use crate::{
    Context, Error, Subject, Tree,
    dockerfile::Dockerfile,
    known::{GUNICORN, PYTHON, UVICORN},
    manifest::{self, at},
    version::{Asked, Chosen, Tilde},
    work::{Made, Work, apt},
};
use manager::Manager;

/// The file that tells it. A bare program beside a `package.json` is a script of a Node project.
pub(crate) fn sign(tree: &Tree) -> Option<&'static str> {
    let manifests = ["requirements.txt", "Pipfile", "manage.py"];
    if let Some(found) = tree.first(&manifests) {
        return Some(found);
    }
    // A pyproject.toml beside a package.json often only configures a linter.
    if let Some(text) = tree.read("pyproject.toml")
        && (!tree.has("package.json")
            || text.contains("[project]")
            || text.contains("[tool.poetry"))
    {
        return Some("pyproject.toml");
    }
    let bare = !tree.has("package.json");
    tree.first(&["main.py", "app.py"]).filter(|_| bare)
}

/// What the files of a project say.
pub(crate) struct Project {
    pub(crate) pyproject: Option<toml::Table>,
    pipfile: Option<toml::Table>,
    /// Names of direct dependencies, in lower case with `-`.
    dependencies: BTreeSet<String>,
}

impl Project {
    fn read(work: &Work<'_>) -> Result<Self, Error> {
        let table = |file: &str| {
            let text = work.tree.read(file);
            text.map(|text| manifest::toml(file, text)).transpose()
        };
        let mut project = Self {
            pyproject: table("pyproject.toml")?,
            pipfile: table("Pipfile")?,
            dependencies: BTreeSet::new(),
        };
        project.collect(work.tree.read("requirements.txt").unwrap_or_default());
        Ok(project)
    }

    fn collect(&mut self, requirements: &str) {
        let mut names: BTreeSet<String> = requirements.lines().filter_map(name).collect();
        if let Some(project) = &self.pyproject {
            let list = at(project, &["project", "dependencies"]).and_then(|it| it.as_array());
            let list = list.into_iter().flatten().filter_map(|it| it.as_str());
            names.extend(list.filter_map(name));
            let table = at(project, &["tool", "poetry", "dependencies"]);
            let table = table.and_then(|it| it.as_table());
            names.extend(table.into_iter().flatten().filter_map(|(key, _)| name(key)));
        }
        if let Some(pipfile) = &self.pipfile {
            let table = pipfile.get("packages").and_then(|it| it.as_table());
            names.extend(table.into_iter().flatten().filter_map(|(key, _)| name(key)));
        }
        self.dependencies = names;
    }

    pub(crate) fn uses(&self, name: &str) -> bool {
        self.dependencies.contains(name)
    }
}

/// The normal name of a requirement, and with the extra `binary` that of the package which that
/// brings: it has the C libraries in it.
/// <https://packaging.python.org/en/latest/specifications/name-normalization/>
fn name(requirement: &str) -> Option<String> {
    let end = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
    let requirement = requirement.trim();
    let name = requirement.split(end).next()?;
    let extras = requirement[name.len()..].trim_start().strip_prefix('[');
    let mut extras = extras.and_then(|it| it.split(']').next()).into_iter();
    let binary = extras.any(|it| it.split(',').any(|extra| extra.trim() == "binary"));
    let suffix = if binary { "-binary" } else { "" };
    (!name.is_empty() && !name.starts_with('-'))
        .then(|| name.to_ascii_lowercase().replace(['_', '.'], "-") + suffix)
}

/// Packages with C in them that come without wheels: what building and what running them needs.
const NATIVE: &[(&str, &[&str], &[&str])] = &[
    ("psycopg2", &["gcc", "libc6-dev", "libpq-dev"], &["libpq5"]),
    ("psycopg", &[], &["libpq5"]),
    (
        "mysqlclient",
        &[
            "gcc",
            "libc6-dev",
            "pkg-config",
            "default-libmysqlclient-dev",
        ],
        &["libmariadb3"],
    ),
    ("uwsgi", &["gcc", "libc6-dev"], &[]),
    (
        "python-ldap",
        &["gcc", "libc6-dev", "libldap2-dev", "libsasl2-dev"],
        &["libldap-2.5-0"],
    ),
    (
        "weasyprint",
        &[],
        &["libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0"],
    ),
];

pub(crate) fn plan(work: &mut Work<'_>) -> Result<Made, Error> {
    let project = Project::read(work)?;
    let version = version(work, &project)?;
    let manager = manager::find(work, &project)?;
    let framework = [
        "django",
        "flask",
        "fastapi",
        "starlette",
        "litestar",
        "streamlit",
    ]
    .into_iter()
    .find(|it| project.uses(it));
    if let Some(framework) = framework {
        work.say(Subject::Framework, framework, manager.file());
    }
    let own = work.own_install();
    let server = start::find(work, &project)?;
    let added = server.as_ref().and_then(|it| it.added(&project));
    let start = work.start(
        |_| Ok(server.map(|it| (it.start, it.from))),
        "nothing says how to start the application: add a main.py",
    )?;
    // Only what is started is added.
    let added = added.filter(|it| {
        start
            .as_ref()
            .is_some_and(|start| start.text().contains(it))
    });
    if let Some(added) = added {
        work.warn(format!("{added} is not among the dependencies and is added: write it there to choose its version"));
    }
    let image = format!("docker.io/library/python:{}-slim-bookworm", version.tag);
    let added = added.map(|name| match name {
        "gunicorn" => GUNICORN,
        _ => UVICORN,
    });
    let mut file = Dockerfile::default();
    let tools = build_tools(work, &project);
    let nothing_built = tools.is_empty() && own.is_none() && work.settings.build_command.is_none();
    if nothing_built && manager.leaves_nothing(work) {
        one_image(work, &project, &manager, &image, added, &mut file);
    } else {
        file.stage(&image, Some("build"));
        apt(&mut file, &tools);
        build_stage(work, &manager, own.as_deref(), added, &mut file);
        run_stage(work, &project, &image, &mut file);
    }
    if let Some(start) = &start {
        file.start(start);
    }
    Ok(Made {
        version: Some(version.tag),
        framework: framework.map(str::to_owned),
        from: manager.files(work),
        context: Context::Folder,
        ignored: &["**/*.egg-info", "**/.tox", "**/.ruff_cache"],
        dockerfile: file,
    })
}

/// Debian packages that only building needs.
fn build_tools(work: &Work<'_>, project: &Project) -> Vec<&'static str> {
    let mut packages: BTreeSet<&str> = NATIVE
        .iter()
        .filter(|(name, ..)| project.uses(name))
        .flat_map(|(_, build, _)| build.iter().copied())
        .collect();
    let text = work.tree.read("requirements.txt").unwrap_or_default();
    if text.contains("git+") {
        packages.insert("git");
    }
    packages.into_iter().collect()
}

/// Debian packages that running needs.
fn run_tools(project: &Project) -> Vec<&'static str> {
    let packages: BTreeSet<&str> = NATIVE
        .iter()
        .filter(|(name, ..)| project.uses(name))
        .flat_map(|(_, _, run)| run.iter().copied())
        .collect();
    packages.into_iter().collect()
}

/// Where only the code is missing once the dependencies are there: these first, and the code on top.
/// A change of the code leaves everything below it as it is. It is one stage, for there is nothing to
/// leave behind, and a stage that begins with another is written out and unpacked in between.
fn one_image(
    work: &mut Work<'_>,
    project: &Project,
    manager: &Manager,
    image: &str,
    added: Option<&str>,
    file: &mut Dockerfile,
) {
    file.stage(image, None);
    apt(file, &run_tools(project));
    work.packages(file);
    manager.install_alone(work, added, file);
    Work::port(file);
    file.line("COPY --chown=1000:1000 . .");
    file.line("USER 1000:1000");
    collect_static(work, file);
}

fn build_stage(
    work: &mut Work<'_>,
    manager: &Manager,
    own: Option<&str>,
    added: Option<&str>,
    file: &mut Dockerfile,
) {
    file.line("ENV PATH=/venv/bin:$PATH VIRTUAL_ENV=/venv PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1");
    file.line("WORKDIR /app");
    file.run("python -m venv /venv");
    match own {
        Some(command) => {
            file.line("COPY . .");
            file.run_user(command);
            if let Some(added) = added {
                file.run(&format!("pip install '{added}'"));
            }
        }
        None => manager.install(work, added, file),
    }
    let build = work.build(None);
    if let Some(build) = &build {
        file.run_user(build);
    }
    collect_static(work, file);
}

/// Django's files for browsers, where it is said to which folder they go.
fn collect_static(work: &mut Work<'_>, file: &mut Dockerfile) {
    let Some(settings) = start::collects(work) else {
        return;
    };
    work.say(
        Subject::Build,
        "python manage.py collectstatic --noinput",
        Some(&settings),
    );
    file.comment(&format!(
        "STATIC_ROOT is set in {settings}. The key is for this command only."
    ));
    file.run("SECRET_KEY=${SECRET_KEY:-collectstatic} python manage.py collectstatic --noinput");
}

fn run_stage(work: &mut Work<'_>, project: &Project, image: &str, file: &mut Dockerfile) {
    file.stage(image, None);
    apt(file, &run_tools(project));
    work.packages(file);
    file.line("ENV PATH=/venv/bin:$PATH VIRTUAL_ENV=/venv PYTHONUNBUFFERED=1");
    Work::port(file);
    file.line("WORKDIR /app");
    file.line("COPY --from=build /venv /venv");
    file.line("COPY --from=build --chown=1000:1000 /app /app");
    file.line("USER 1000:1000");
}

fn version(work: &mut Work<'_>, project: &Project) -> Result<Chosen, Error> {
    let of = |table: &Option<toml::Table>, path: &[&str], from: &str| {
        let text = at(table.as_ref()?, path)?.as_str()?.to_owned();
        Some(Asked::new(&text, from))
    };
    let asked = work
        .version_file(&[".python-version", "runtime.txt"], &["python"])
        .or_else(|| {
            of(
                &project.pyproject,
                &["project", "requires-python"],
                "requires-python in pyproject.toml",
            )
        })
        .or_else(|| {
            of(
                &project.pyproject,
                &["tool", "poetry", "dependencies", "python"],
                "python in pyproject.toml",
            )
        })
        .or_else(|| {
            of(
                &project.pipfile,
                &["requires", "python_full_version"],
                "python_full_version in Pipfile",
            )
        })
        .or_else(|| {
            of(
                &project.pipfile,
                &["requires", "python_version"],
                "python_version in Pipfile",
            )
        });
    let asked = asked.map(|it| {
        Asked::new(
            it.text
                .trim_start_matches("python-")
                .trim_start_matches("cpython-"),
            &it.from,
        )
    });
    work.version(&PYTHON, Tilde::Minor, asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_have_normal_names() {
        let cases = [
            ("Flask==3.1", Some("flask")),
            ("zope.interface >= 5", Some("zope-interface")),
            ("psycopg [c, binary] >=3", Some("psycopg-binary")),
            ("psycopg[pool]", Some("psycopg")),
            ("-r other.txt", None),
            ("# a comment", None),
        ];
        for (requirement, expected) in cases {
            assert_eq!(name(requirement).as_deref(), expected, "{requirement}");
        }
    }
}
