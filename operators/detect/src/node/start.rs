//! What starts a Node application.

use crate::{
    Error,
    command::{Start, plain_words},
    tree::is_plain_path,
    work::Work,
};

use super::{Package, framework::Framework};

/// Commands that serve for development only.
const DEVELOPMENT: &[&str] = &[
    "react-scripts start",
    "ng serve",
    "vue-cli-service serve",
    "vite preview",
    "vite dev",
    "vite serve",
    "astro dev",
    "astro preview",
    "next dev",
    "nuxt dev",
    "nuxi dev",
    "gatsby develop",
    "docusaurus start",
    "remix dev",
    "remix vite:dev",
    "react-router dev",
    "webpack serve",
    "webpack-dev-server",
    "parcel",
    "nodemon",
    "nest start",
    "eleventy --serve",
    "live-server",
];

/// Whether a script is for development only.
fn is_development(script: &str) -> bool {
    let script = script.trim().trim_start_matches("npx ");
    script == "vite" || DEVELOPMENT.iter().any(|it| script.starts_with(it))
}

/// Whether something serves, so that built pages are not all.
pub(crate) fn has_server(package: &Package) -> bool {
    package
        .script("start")
        .is_some_and(|it| !is_development(it))
}

/// Finds what starts it: a script for production, the framework's own server, a well-known file.
/// A script that is one program is started without npm, which would keep signals to itself.
pub(crate) fn find(
    work: &mut Work<'_>,
    package: &Package,
    framework: Option<&Framework>,
    standalone: Option<&str>,
) -> Result<Option<(Start, String)>, Error> {
    if let Some(server) = standalone {
        return Ok(Some((
            Start::exec(&["node", server]),
            "next's standalone output".to_owned(),
        )));
    }
    for name in ["start:prod", "start:production", "start"] {
        let Some(script) = package.script(name) else {
            continue;
        };
        if is_development(script) {
            let instead = framework.and_then(|it| it.start).is_some();
            if !instead {
                work.warn(format!(
                    "the script \"{name}\" ({script}) is for development"
                ));
            } else {
                continue;
            }
        }
        let from = format!("scripts.{name} in package.json");
        let around = [format!("pre{name}"), format!("post{name}")];
        if around.iter().any(|it| package.script(it).is_some()) {
            return Ok(Some((Start::exec(&["npm", "run", name]), from)));
        }
        return Ok(Some((Start::of(script), from)));
    }
    if let Some(framework) = framework
        && let Some(start) = framework.start
    {
        return Ok(Some((Start::of(start), framework.name.to_owned())));
    }
    let main = package.0["main"].as_str();
    let main = main
        .map(|main| main.trim_start_matches("./"))
        .filter(|main| is_plain_path(main));
    let files = [
        "server.js",
        "index.js",
        "app.js",
        "server.mjs",
        "index.mjs",
        "src/index.js",
        "src/server.js",
    ];
    if let Some(main) = main.filter(|main| work.tree.has(main)) {
        return Ok(Some((
            Start::exec(&["node", main]),
            "main in package.json".to_owned(),
        )));
    }
    let found = work.tree.first(&files);
    Ok(found.map(|file| (Start::exec(&["node", file]), file.to_owned())))
}

/// Whether what starts it is only there for development, so that it must stay.
pub(crate) fn needs_development(work: &mut Work<'_>, package: &Package) -> bool {
    let command = work
        .settings
        .start_command
        .as_deref()
        .or(work.tree.procfile("web"))
        .or(package.script("start:prod"))
        .or(package.script("start"));
    let Some(command) = command else { return false };
    let words = plain_words(command).unwrap_or_else(|| command.split_whitespace().collect());
    let tools = [
        ("nest", "@nestjs/cli"),
        ("remix-serve", "@remix-run/serve"),
        ("next", "next"),
        ("tsx", "tsx"),
        ("ts-node", "ts-node"),
        ("vite", "vite"),
        ("cross-env", "cross-env"),
        ("dotenv", "dotenv-cli"),
        ("serve", "serve"),
        ("concurrently", "concurrently"),
    ];
    let tool = tools.iter().find(|(program, package_name)| {
        words.contains(program) && package.develops_with(package_name)
    });
    let Some((program, name)) = tool else {
        return false;
    };
    work.warn(format!(
        "{program} starts the application and is a development dependency, so all of them are in the image: move {name} to dependencies"
    ));
    true
}
