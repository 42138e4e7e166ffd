//! What starts a Python application: a server for the object that a framework's name is called for.

use crate::{Error, command::Start, manifest::at, tree::PYTHON_SOURCES, work::Work};

use super::Project;

/// A way to start.
pub(crate) struct Server {
    pub(crate) start: Start,
    pub(crate) from: String,
    /// The package with the server.
    package: Option<&'static str>,
}

impl Server {
    /// The server, if the project does not have it.
    pub(crate) fn added(&self, project: &Project) -> Option<&'static str> {
        let package = self.package?;
        // fastapi[standard] has uvicorn, but its extra cannot be told from its name.
        (!project.uses(package)).then_some(package)
    }
}

pub(crate) fn find(work: &Work<'_>, project: &Project) -> Result<Option<Server>, Error> {
    if work.settings.start_command.is_some() || work.tree.procfile("web").is_some() {
        return Ok(None);
    }
    if work.tree.has("manage.py") {
        return django(work).map(Some);
    }
    let found = PYTHON_SOURCES.iter().find_map(|path| {
        let text = work.tree.read(path)?;
        object(path, text, project, work)
    });
    if found.is_some() {
        return Ok(found);
    }
    let bare = work.tree.first(&[
        "main.py",
        "app.py",
        "server.py",
        "wsgi.py",
        "bot.py",
        "run.py",
        "src/main.py",
        "app/main.py",
    ]);
    if let Some(path) = bare {
        if project.uses("streamlit") {
            let line = format!(
                "exec streamlit run {path} --server.headless true --server.address 0.0.0.0 --server.port $PORT"
            );
            return Ok(Some(Server {
                start: Start::Shell(line),
                from: path.to_owned(),
                package: None,
            }));
        }
        return Ok(Some(Server {
            start: Start::exec(&["python", path]),
            from: path.to_owned(),
            package: None,
        }));
    }
    Ok(script(project))
}

/// The only program of `[project.scripts]`.
fn script(project: &Project) -> Option<Server> {
    let scripts = at(project.pyproject.as_ref()?, &["project", "scripts"])?.as_table()?;
    let mut names = scripts.keys();
    let name = names.next().filter(|_| names.next().is_none())?;
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    plain.then(|| Server {
        start: Start::exec(&[name]),
        from: "project.scripts in pyproject.toml".to_owned(),
        package: None,
    })
}

/// gunicorn takes its address from PORT by itself.
/// <https://docs.gunicorn.org/en/stable/settings.html#bind>
fn django(work: &Work<'_>) -> Result<Server, Error> {
    let manage = work.tree.read("manage.py").unwrap_or_default();
    let named = after(manage, "DJANGO_SETTINGS_MODULE").and_then(settings_module);
    let package = named.and_then(|it| it.split_once(".settings").map(|(package, _)| package));
    let by_name = package
        .map(|package| package.replace('.', "/"))
        .filter(|folder| work.tree.has(&format!("{folder}/wsgi.py")));
    let found = by_name.or_else(|| {
        let mut all = work
            .tree
            .files
            .iter()
            .filter_map(|path| path.strip_suffix("/wsgi.py"));
        let only = all.next()?;
        all.next().is_none().then(|| only.to_owned())
    });
    let Some(folder) = found.filter(|it| is_module(it)) else {
        return Err(Error::Unusable(
            "this is a Django project without a wsgi.py: add one, a Procfile with a line like 'web: gunicorn mysite.wsgi', or set build.start".to_owned(),
        ));
    };
    Ok(Server {
        start: Start::exec(&["gunicorn", &format!("{}.wsgi", folder.replace('/', "."))]),
        from: "manage.py".to_owned(),
        package: Some("gunicorn"),
    })
}

fn after<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.split_once(name).map(|(_, rest)| rest)
}

/// The module in `", "mysite.settings")`.
fn settings_module(rest: &str) -> Option<&str> {
    let rest = rest.get(1..)?;
    let start = rest.find(['"', '\''])? + 1;
    let rest = rest.get(start..)?;
    rest.split(['"', '\'']).next()
}

fn is_module(path: &str) -> bool {
    !path.is_empty()
        && path.split('/').all(|part| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
}

/// Whether a settings file of Django sets STATIC_ROOT: then files are to be collected.
pub(crate) fn collects(work: &Work<'_>) -> Option<String> {
    if !work.tree.has("manage.py") {
        return None;
    }
    let settings = work
        .tree
        .content
        .iter()
        .filter(|(path, _)| path.ends_with("settings.py"));
    let mut said = settings.filter(|(_, text)| {
        text.lines()
            .any(|line| line.trim_start().starts_with("STATIC_ROOT"))
    });
    said.next().map(|(path, _)| path.clone())
}

/// The object of a framework in a file: `app = Flask(__name__)`, or a function that makes it.
fn object(path: &str, text: &str, project: &Project, work: &Work<'_>) -> Option<Server> {
    let wsgi = ["Flask", "Bottle", "falcon.App"];
    let asgi = ["FastAPI", "Starlette", "Quart", "Litestar", "Sanic"];
    for line in text.lines() {
        let Some((left, right)) = line.split_once('=') else {
            continue;
        };
        // Only what stands at the left margin is an object of the module.
        let name = left.split(':').next().unwrap_or_default().trim_end();
        let is_name =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let call = right
            .trim_start()
            .rsplit_once('(')
            .map_or("", |_| right.trim_start());
        let called = |it: &str| {
            call.strip_prefix(it)
                .is_some_and(|rest| rest.trim_start().starts_with('('))
        };
        if !is_name {
            continue;
        }
        if wsgi.iter().any(|it| called(it)) {
            return Some(serve(path, name, "gunicorn", work));
        }
        if asgi.iter().any(|it| called(it)) {
            return Some(serve(path, name, "uvicorn", work));
        }
        if call.starts_with("create_app(") && (project.uses("flask") || project.uses("fastapi")) {
            let server = if project.uses("flask") {
                "gunicorn"
            } else {
                "uvicorn"
            };
            return Some(serve(path, name, server, work));
        }
    }
    let makes = text.lines().any(|line| line.starts_with("def create_app("));
    (makes && project.uses("flask")).then(|| serve(path, "create_app()", "gunicorn", work))
}

/// The server's command for an object in a file.
fn serve(path: &str, name: &str, server: &'static str, work: &Work<'_>) -> Server {
    let (folder, stem) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = stem.trim_end_matches(".py");
    // A folder that is no package is where the program runs.
    let package = work.tree.has(&format!("{folder}/__init__.py"));
    let (module, inside) = match (folder, package) {
        ("", _) => (stem.to_owned(), None),
        (folder, true) if stem == "__init__" => (folder.to_owned(), None),
        ("src", false) => (stem.to_owned(), Some("src")),
        (folder, _) => (format!("{folder}.{stem}"), None),
    };
    let target = format!("{module}:{name}");
    let start = match (server, inside) {
        ("gunicorn", None) => Start::exec(&["gunicorn", &target]),
        ("gunicorn", Some(inside)) => Start::exec(&["gunicorn", "--chdir", inside, &target]),
        (_, inside) => {
            let inside = inside
                .map(|it| format!(" --app-dir {it}"))
                .unwrap_or_default();
            Start::Shell(format!(
                "exec uvicorn {target}{inside} --host 0.0.0.0 --port $PORT"
            ))
        }
    };
    Server {
        start,
        from: path.to_owned(),
        package: Some(server),
    }
}
