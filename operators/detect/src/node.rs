//! Node: npm with or without a lockfile.

use serde_json::Value;

use crate::{
    Error, Plan, Settings, Tree,
    dockerfile::{Dockerfile, plain_words},
};

/// Major version where nothing asks for another.
const DEFAULT: &str = "22";

/// Frameworks by the package that is them.
const FRAMEWORKS: &[(&str, &str)] = &[
    ("next", "next"),
    ("nuxt", "nuxt"),
    ("@nestjs/core", "nest"),
    ("express", "express"),
    ("fastify", "fastify"),
    ("koa", "koa"),
];

pub(crate) fn plan(tree: &Tree, settings: &Settings) -> Result<Plan, Error> {
    let text = tree.read("package.json").unwrap_or_default();
    let package: Value = serde_json::from_str(text)
        .map_err(|error| Error::Unusable(format!("package.json is no JSON: {error}")))?;
    for (lock, tool) in [
        ("pnpm-lock.yaml", "pnpm"),
        ("yarn.lock", "yarn"),
        ("bun.lock", "bun"),
    ] {
        if tree.has(lock) && !tree.has("package-lock.json") {
            return Err(Error::Unusable(format!(
                "{lock} is of {tool}, which is not supported yet: add a package-lock.json or a Dockerfile"
            )));
        }
    }
    let start = start(tree, &package)?;
    let version = version(tree, &package);
    let image = format!("node:{version}-slim");
    let script = package["scripts"]["build"].as_str().is_some();
    let build = settings
        .build_command
        .clone()
        .or_else(|| script.then(|| "npm run build".to_owned()));

    let mut file = Dockerfile::build_stage(&image);
    file.line("WORKDIR /app");
    let locked = tree.has("package-lock.json");
    file.line(if locked {
        "COPY package.json package-lock.json ./"
    } else {
        "COPY package.json ./"
    });
    let install = if locked { "npm ci" } else { "npm install" };
    // What only the build needs is removed again after it.
    let only = if build.is_some() { "" } else { " --omit=dev" };
    file.fetch(&format!(
        "{install}{only} --no-audit --no-fund --no-update-notifier"
    ));
    file.line("COPY . .");
    if let Some(build) = &build {
        file.shell(build);
        file.line("RUN npm prune --omit=dev --no-audit --no-fund --no-update-notifier --offline");
    }
    file.run_stage(&image);
    file.line("ENV NODE_ENV=production");
    file.line("WORKDIR /app");
    file.line("COPY --from=build --chown=1000:1000 /app /app");
    file.line("USER 1000:1000");
    match plain_words(&start) {
        Some(words) => file.start(&words),
        None => file.start_shell(&start),
    }
    Ok(Plan {
        language: "node",
        version,
        framework: framework(&package),
        dockerfile: file.finish(),
    })
}

/// The command that starts it. A script that is one program is started without npm, which would
/// keep signals to itself.
fn start(tree: &Tree, package: &Value) -> Result<String, Error> {
    if let Some(command) = tree.procfile() {
        return Ok(command);
    }
    if let Some(script) = package["scripts"]["start"].as_str() {
        let alone = script.starts_with("node ") && plain_words(script).is_some();
        return Ok(if alone {
            script.to_owned()
        } else {
            "npm start".to_owned()
        });
    }
    let main = package["main"]
        .as_str()
        .map(|main| main.trim_start_matches("./"));
    let candidates = [main, Some("server.js"), Some("index.js"), Some("app.js")];
    candidates
        .into_iter()
        .flatten()
        .find(|file| tree.has(file))
        .map(|file| format!("node {file}"))
        .ok_or_else(|| {
            Error::Unusable(
                "package.json does not say how to start: add a script \"start\", a Procfile with a line 'web: …', or a server.js".to_owned(),
            )
        })
}

/// The major version that the project asks for.
fn version(tree: &Tree, package: &Value) -> String {
    let asked = [
        tree.read(".nvmrc"),
        tree.read(".node-version"),
        package["engines"]["node"].as_str(),
    ];
    asked
        .into_iter()
        .flatten()
        .find_map(major)
        .unwrap_or_else(|| DEFAULT.to_owned())
}

/// The first number of a version or range. A range that only has a lower bound (`>=18`) is met by
/// the default.
fn major(text: &str) -> Option<String> {
    let text = text.trim();
    let at_least = text.starts_with('>');
    let digits: String = text
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    let number: u32 = digits.parse().ok()?;
    let default: u32 = DEFAULT.parse().ok()?;
    Some(
        if at_least {
            number.max(default)
        } else {
            number
        }
        .to_string(),
    )
}

fn framework(package: &Value) -> Option<String> {
    let uses = |name: &str| package["dependencies"][name].is_string();
    FRAMEWORKS
        .iter()
        .find(|(name, _)| uses(name))
        .map(|(_, framework)| (*framework).to_owned())
}
