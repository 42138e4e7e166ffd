//! Python: pip with a requirements.txt or pyproject.toml.

use crate::{
    Error, Plan, Settings, Tree,
    dockerfile::{Dockerfile, plain_words},
};

/// Version where nothing asks for another.
const DEFAULT: &str = "3.11";
/// Files that are started when nothing says what is.
const STARTS: [&str; 4] = ["main.py", "app.py", "server.py", "wsgi.py"];

pub(crate) fn is(tree: &Tree) -> bool {
    ["requirements.txt", "pyproject.toml", "main.py", "app.py"]
        .iter()
        .any(|file| tree.has(file))
}

pub(crate) fn plan(tree: &Tree, settings: &Settings) -> Result<Plan, Error> {
    let start = start(tree)?;
    let version = version(tree);
    let image = format!("python:{version}-slim");
    let mut file = Dockerfile::build_stage(&image);
    file.line("ENV PATH=/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1");
    file.line("WORKDIR /app");
    file.line("RUN python -m venv /venv");
    if tree.has("requirements.txt") {
        file.line("COPY requirements.txt ./");
        file.fetch("pip install -r requirements.txt");
        file.line("COPY . .");
    } else {
        file.line("COPY . .");
        if tree.has("pyproject.toml") {
            file.fetch("pip install .");
        }
    }
    if let Some(build) = &settings.build_command {
        file.shell(build);
    }
    file.run_stage(&image);
    file.line("ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1");
    file.line("WORKDIR /app");
    file.line("COPY --from=build /venv /venv");
    file.line("COPY --from=build --chown=1000:1000 /app /app");
    file.line("USER 1000:1000");
    match plain_words(&start) {
        Some(words) => file.start(&words),
        None => file.start_shell(&start),
    }
    Ok(Plan {
        language: "python",
        version,
        framework: framework(tree),
        dockerfile: file.finish(),
    })
}

fn start(tree: &Tree) -> Result<String, Error> {
    if let Some(command) = tree.procfile() {
        return Ok(command);
    }
    if tree.has("manage.py") {
        return Err(Error::Unusable(
            "this is a Django project and nothing says how to start it: add a Procfile with a line like 'web: gunicorn mysite.wsgi --bind 0.0.0.0:$PORT'".to_owned(),
        ));
    }
    let found = STARTS.iter().find(|file| tree.has(file));
    found.map(|file| format!("python {file}")).ok_or_else(|| {
        Error::Unusable(
            "nothing says how to start the application: add a main.py, or a Procfile with a line 'web: …'".to_owned(),
        )
    })
}

/// `3.11`, from `3.11.4` or `python-3.11.4`.
fn version(tree: &Tree) -> String {
    let asked = [tree.read(".python-version"), tree.read("runtime.txt")];
    let found = asked.into_iter().flatten().find_map(|text| {
        let text = text.trim().trim_start_matches("python-");
        let mut parts = text.split('.');
        let (major, minor) = (parts.next()?, parts.next()?);
        let number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        (number(major) && number(minor)).then(|| format!("{major}.{minor}"))
    });
    found.unwrap_or_else(|| DEFAULT.to_owned())
}

fn framework(tree: &Tree) -> Option<String> {
    let requirements = tree.read("requirements.txt")?.to_lowercase();
    ["django", "flask", "fastapi"]
        .into_iter()
        .find(|name| {
            requirements.lines().any(|line| {
                line.strip_prefix(name).is_some_and(|rest| {
                    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-')
                })
            })
        })
        .map(str::to_owned)
}
