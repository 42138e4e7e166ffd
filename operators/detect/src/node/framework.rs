//! Frameworks of Node: what they build, and how that is served.

use crate::{Error, manifest, site::Site, tree::is_plain_path, work::Work};

use super::Package;

/// A framework, as it is used here.
#[derive(Debug)]
pub(crate) struct Framework {
    pub(crate) name: &'static str,
    /// Arguments of npx, where no script builds it.
    pub(crate) build: Option<&'static str>,
    /// What starts it, where no script does.
    pub(crate) start: Option<&'static str>,
    pub(crate) output: Output,
}

/// What a build makes.
#[derive(Debug)]
pub(crate) enum Output {
    /// A server that needs its modules.
    Server,
    /// A folder that holds everything to start.
    Bundle(&'static str),
    /// Next's own selection of files.
    Standalone,
    /// Static files.
    Site {
        output: String,
        single_page: bool,
        hashed: Option<&'static str>,
    },
}

impl Framework {
    /// How its files are served, if files are all there is.
    pub(crate) fn site(&self, work: &Work<'_>) -> Option<Site> {
        let Output::Site {
            output,
            single_page,
            hashed,
        } = &self.output
        else {
            return None;
        };
        let own = work.settings.output.as_deref();
        Some(Site {
            output: own.unwrap_or(output).trim_end_matches('/').to_owned(),
            single_page: *single_page,
            hashed: *hashed,
        })
    }
}

fn server(
    name: &'static str,
    build: Option<&'static str>,
    start: Option<&'static str>,
) -> Framework {
    Framework {
        name,
        build,
        start,
        output: Output::Server,
    }
}

fn bundle(
    name: &'static str,
    build: &'static str,
    start: &'static str,
    folder: &'static str,
) -> Framework {
    Framework {
        name,
        build: Some(build),
        start: Some(start),
        output: Output::Bundle(folder),
    }
}

fn site(
    name: &'static str,
    build: &'static str,
    output: &str,
    single_page: bool,
    hashed: Option<&'static str>,
) -> Framework {
    Framework {
        name,
        build: Some(build),
        start: None,
        output: Output::Site {
            output: output.to_owned(),
            single_page,
            hashed,
        },
    }
}

/// Finds the framework. One that builds pages goes before a server library that it uses.
pub(crate) fn find(work: &Work<'_>, package: &Package) -> Result<Option<Framework>, Error> {
    if work.settings.output.is_some() {
        let found = known(work, package)?;
        let found = found.filter(|it| matches!(it.output, Output::Site { .. }));
        let plain = || Framework {
            build: None,
            ..site("static", "", "", true, None)
        };
        return Ok(Some(found.unwrap_or_else(plain)));
    }
    known(work, package)
}

fn known(work: &Work<'_>, package: &Package) -> Result<Option<Framework>, Error> {
    let uses = |name: &str| package.uses(name);
    let found = if uses("next") {
        next(work)
    } else if uses("nuxt") {
        let generates = package
            .script("build")
            .is_some_and(|it| it.contains("nuxt generate"));
        if generates {
            site(
                "nuxt",
                "nuxt generate",
                ".output/public",
                false,
                Some("^/_nuxt/"),
            )
        } else {
            bundle(
                "nuxt",
                "nuxt build",
                "node .output/server/index.mjs",
                ".output",
            )
        }
    } else if uses("astro") {
        if uses("@astrojs/node") {
            server(
                "astro",
                Some("astro build"),
                Some("node dist/server/entry.mjs"),
            )
        } else {
            site("astro", "astro build", "dist", false, Some("^/_astro/"))
        }
    } else if uses("@sveltejs/kit") {
        return svelte(package).map(Some);
    } else if uses("@remix-run/serve") {
        server(
            "remix",
            Some("remix vite:build"),
            Some("remix-serve build/server/index.js"),
        )
    } else if uses("@react-router/serve") {
        server(
            "react-router",
            Some("react-router build"),
            Some("react-router-serve build/server/index.js"),
        )
    } else if uses("@nestjs/core") {
        server("nest", None, Some("node dist/main"))
    } else if let Some(name) = library(package) {
        server(name, None, None)
    } else {
        return pages(work, package);
    };
    Ok(Some(found))
}

/// Libraries that serve: what uses one is a server, whatever else it builds.
fn library(package: &Package) -> Option<&'static str> {
    let libraries = ["express", "fastify", "koa", "hono", "@hapi/hapi", "polka"];
    let found = libraries
        .into_iter()
        .find(|name| package.0["dependencies"][*name].is_string())?;
    let builds = ["vite", "react-scripts", "@vue/cli-service", "@angular/core"];
    let page = builds.iter().any(|name| package.uses(name));
    // A page may have a server library for no more than its tests.
    (!page || package.script("start").is_some()).then_some(found.trim_start_matches('@'))
}

/// What builds pages for any server.
fn pages(work: &Work<'_>, package: &Package) -> Result<Option<Framework>, Error> {
    let uses = |name: &str| package.uses(name);
    Ok(Some(if uses("@angular/core") {
        angular(work)?
    } else if uses("react-scripts") {
        site(
            "create-react-app",
            "react-scripts build",
            "build",
            true,
            Some("^/static/"),
        )
    } else if uses("@vue/cli-service") {
        site(
            "vue-cli",
            "vue-cli-service build",
            "dist",
            true,
            Some("^/(js|css)/.+[.][0-9a-f]{8}[.]"),
        )
    } else if uses("gatsby") {
        site("gatsby", "gatsby build", "public", false, Some("^/static/"))
    } else if uses("@docusaurus/core") {
        site(
            "docusaurus",
            "docusaurus build",
            "build",
            false,
            Some("^/assets/"),
        )
    } else if uses("@11ty/eleventy") {
        site("eleventy", "@11ty/eleventy", "_site", false, None)
    } else if uses("parcel") {
        site("parcel", "parcel build", "dist", true, None)
    } else if uses("vite") && !super::start::has_server(package) {
        site("vite", "vite build", "dist", true, Some("^/assets/"))
    } else {
        return Ok(None);
    }))
}

fn next(work: &Work<'_>) -> Framework {
    let files = ["next.config.js", "next.config.mjs", "next.config.ts"];
    let config = files
        .iter()
        .find_map(|file| work.tree.read(file))
        .unwrap_or_default();
    // `output: "export"`, in any quotes and spaces.
    let bare: String = config.chars().filter(|c| !c.is_whitespace()).collect();
    let says = |value: &str| {
        ['"', '\'', '`']
            .iter()
            .any(|quote| bare.contains(&format!("output:{quote}{value}{quote}")))
    };
    if says("export") {
        return site("next", "next build", "out", false, Some("^/_next/static/"));
    }
    let mut found = server("next", Some("next build"), Some("next start"));
    if says("standalone") {
        found.output = Output::Standalone;
    }
    found
}

fn svelte(package: &Package) -> Result<Framework, Error> {
    if package.uses("@sveltejs/adapter-node") {
        return Ok(server("sveltekit", Some("vite build"), Some("node build")));
    }
    if package.uses("@sveltejs/adapter-static") {
        return Ok(site(
            "sveltekit",
            "vite build",
            "build",
            true,
            Some("^/_app/immutable/"),
        ));
    }
    Err(Error::Unusable(
        "this SvelteKit project has no adapter for a server: install @sveltejs/adapter-node (or @sveltejs/adapter-static for a static site) and name it in svelte.config.js".to_owned(),
    ))
}

/// Angular says in angular.json where its output goes; since version 17 the pages are in a folder
/// `browser` of it. <https://angular.dev/reference/configs/workspace-config>
fn angular(work: &Work<'_>) -> Result<Framework, Error> {
    let text = work.tree.read("angular.json").unwrap_or("{}");
    let config = manifest::json("angular.json", text)?;
    let named = config["defaultProject"].as_str();
    let projects = config["projects"].as_object();
    let project = projects.and_then(|all| {
        all.iter().find(|(name, project)| match named {
            Some(named) => name.as_str() == named,
            None => project["projectType"].as_str() != Some("library"),
        })
    });
    let (name, build) = match project {
        Some((name, project)) => (name.as_str(), &project["architect"]["build"]),
        None => ("app", &serde_json::Value::Null),
    };
    let output = &build["options"]["outputPath"];
    let base = output.as_str().or(output["base"].as_str());
    let base = base.map_or_else(|| format!("dist/{name}"), str::to_owned);
    let inner = output["browser"].as_str().unwrap_or("browser");
    let new = build["builder"]
        .as_str()
        .is_none_or(|it| it.ends_with(":application"));
    let path = base.trim_start_matches("./").trim_end_matches('/');
    let path = if new && !inner.is_empty() {
        format!("{path}/{inner}")
    } else {
        path.to_owned()
    };
    if !is_plain_path(&path) {
        return Err(manifest::invalid(
            "angular.json",
            None,
            &format!("the outputPath {path:?} is no plain path: set build.output"),
        ));
    }
    Ok(site(
        "angular",
        "ng build",
        &path,
        true,
        Some("^/[^/]+[-.][0-9A-Za-z]{8,20}[.](js|css)$"),
    ))
}
