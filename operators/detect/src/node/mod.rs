//! Node: servers, and sites that Node builds.

mod commands;
mod framework;
mod manager;
mod start;
mod workspace;

use serde_json::Value;

use crate::{
    Context, Error, Subject,
    dockerfile::Dockerfile,
    known::NODE,
    manifest, site,
    version::{Asked, Chosen, Tilde, meets},
    work::{Made, Said, Work, apt},
};
use commands::NPM_CACHE;
use framework::{Framework, Output};
use manager::Manager;

/// `package.json`.
pub(crate) struct Package(Value);

impl Package {
    pub(crate) fn script(&self, name: &str) -> Option<&str> {
        self.0["scripts"][name]
            .as_str()
            .filter(|it| !it.trim().is_empty())
    }

    /// Whether it depends on a package, at run time or for development.
    pub(crate) fn uses(&self, name: &str) -> bool {
        self.0["dependencies"][name].is_string() || self.develops_with(name)
    }

    pub(crate) fn develops_with(&self, name: &str) -> bool {
        self.0["devDependencies"][name].is_string()
    }

    fn text(&self, path: [&str; 2]) -> Option<&str> {
        self.0[path[0]][path[1]].as_str()
    }
}

/// Packages that need tools of Debian while they are installed.
const BUILD_NATIVE: &[(&str, &[&str])] = &[
    ("argon2", &["g++", "make", "python3"]),
    ("bcrypt", &["g++", "make", "python3"]),
    ("better-sqlite3", &["g++", "make", "python3"]),
    ("node-pty", &["g++", "make", "python3"]),
    ("sqlite3", &["g++", "make", "python3"]),
    ("@prisma/client", &["openssl"]),
    ("prisma", &["openssl"]),
];
/// Packages that need libraries of Debian while they run.
const RUN_NATIVE: &[(&str, &[&str])] = &[
    ("@prisma/client", &["ca-certificates", "openssl"]),
    ("puppeteer", &["chromium"]),
];

/// The Debian packages for some of npm's.
fn native(package: &Package, table: &[(&str, &[&'static str])]) -> Vec<&'static str> {
    let used = table.iter().filter(|(name, _)| package.uses(name));
    let mut packages: Vec<&str> = used.flat_map(|(_, it)| it.iter().copied()).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Steps that the plan is made of.
struct Steps {
    manager: Manager,
    image: String,
    /// The application's folder in the image.
    folder: String,
    build: Option<String>,
    framework: Option<Framework>,
}

pub(crate) fn plan(work: &mut Work<'_>) -> Result<Made, Error> {
    let text = work.tree.read("package.json").unwrap_or_default();
    let package = Package(manifest::json("package.json", text)?);
    let version = version(work, &package)?;
    let manager = manager::find(work, &package)?;
    let framework = framework::find(work, &package)?;
    if let Some(framework) = &framework {
        work.say(Subject::Framework, framework.name, Some("package.json"));
    }
    let script = build_script(work, &package, &manager, framework.as_ref());
    let build = work.build(script);
    let context = manager.context;
    let steps = Steps {
        image: format!("docker.io/library/node:{}-bookworm-slim", version.tag),
        folder: work.folder(context),
        build,
        framework,
        manager,
    };
    let mut file = Dockerfile::default();
    let one = steps.build_stage(work, &package, &mut file);
    let site = steps.framework.as_ref().and_then(|it| it.site(work));
    match site {
        Some(site) => {
            work.say(Subject::Output, &site.output, None);
            work.say(Subject::Start, "nginx", Some("static files"));
            let files = format!("--from=build {}/{}", steps.folder, site.output);
            site::serve(&mut file, &site, &files);
        }
        None => steps.run_stage(work, &package, one, &mut file)?,
    }
    let mut from = vec!["package.json".to_owned()];
    from.extend(steps.manager.lock.map(str::to_owned));
    Ok(Made {
        version: Some(version.tag),
        framework: steps.framework.map(|it| it.name.to_owned()),
        from,
        context,
        ignored: &[
            "**/.next",
            "**/.nuxt",
            "**/.output",
            "**/.svelte-kit",
            "**/.turbo",
            "**/coverage",
        ],
        dockerfile: file,
    })
}

impl Steps {
    /// Installs, and builds if there is something to build. Whether all of it is the final image's
    /// own stage: there is nothing that only the build needs.
    fn build_stage(&self, work: &mut Work<'_>, package: &Package, file: &mut Dockerfile) -> bool {
        let own = work.own_install();
        let early = ["preinstall", "install", "postinstall", "prepare"];
        let script = early
            .into_iter()
            .find(|name| package.script(name).is_some());
        let strips =
            own.is_none() && self.copies_modules() && !start::needs_development(work, package);
        // Nothing to build and nothing to run: only what the application needs is installed.
        let production = strips
            && self.build.is_none()
            && script.is_none()
            && self.manager.installs_production();
        let tools = native(package, BUILD_NATIVE);
        if production && tools.is_empty() && self.manager.leaves_no_store() {
            return self.dependencies(work, package, file);
        }
        file.stage(&self.image, Some("build"));
        apt(file, &tools);
        file.line("WORKDIR /app");
        self.manager.prepare(file);
        self.manager.keep_downloads_aside(file);
        if let Some(script) = script {
            file.comment(&format!("The script \"{script}\" may need any file."));
        }
        let early = script.is_none() && own.is_none() && self.manager.copy_manifests(work, file);
        if !early {
            file.line("COPY . .");
        }
        match own {
            Some(command) => file.run_user(&command),
            None => {
                let command = self.manager.install(work, production);
                work.say(Subject::Install, &command, self.manager.lock);
                file.run(&command);
            }
        }
        if early {
            file.line("COPY . .");
        }
        if self.folder != "/app" {
            file.line(&format!("WORKDIR {}", self.folder));
        }
        if let Some(build) = &self.build {
            file.run_user(build);
        }
        if strips && !production && (script.is_none() || self.manager.keeps_what_scripts_made()) {
            self.manager.prune(work, &self.folder, file);
        }
        false
    }

    /// All that the application needs but its code, which comes last: a change of the code leaves
    /// everything below it as it is. It is one stage, for there is nothing to leave behind, and a
    /// stage that begins with another is written out and unpacked in between.
    fn dependencies(&self, work: &mut Work<'_>, package: &Package, file: &mut Dockerfile) -> bool {
        file.stage(&self.image, None);
        apt(file, &native(package, RUN_NATIVE));
        work.packages(file);
        file.line("WORKDIR /app");
        self.manager.prepare(file);
        let early = self.manager.copy_manifests(work, file);
        let command = self.manager.install(work, true);
        work.say(Subject::Install, &command, self.manager.lock);
        if !early {
            file.line("COPY . .");
        }
        file.run(&format!(
            "{command} && chown -R 1000:1000 /app && rm -rf {NPM_CACHE}"
        ));
        true
    }

    /// Whether the final image has the modules: not if the build made something without them.
    fn copies_modules(&self) -> bool {
        !matches!(
            self.framework.as_ref().map(|it| &it.output),
            Some(Output::Site { .. } | Output::Bundle(_) | Output::Standalone)
        )
    }

    fn run_stage(
        &self,
        work: &mut Work<'_>,
        package: &Package,
        one: bool,
        file: &mut Dockerfile,
    ) -> Result<(), Error> {
        let standalone = self.standalone_server();
        let start = work.start(
            |work| {
                start::find(
                    work,
                    package,
                    self.framework.as_ref(),
                    standalone.as_deref(),
                )
            },
            "package.json does not say how to start: add a script \"start\", a server.js",
        )?;
        if !one {
            file.stage(&self.image, None);
            apt(file, &native(package, RUN_NATIVE));
            work.packages(file);
        }
        file.line("ENV NODE_ENV=production HOST=0.0.0.0 HOSTNAME=0.0.0.0");
        Work::port(file);
        let folder = &self.folder;
        if start
            .as_ref()
            .is_some_and(|it| self.manager.is_named_in(&it.text()))
        {
            self.manager.prepare(file);
        }
        match self.framework.as_ref().map(|it| &it.output) {
            Some(Output::Standalone) => {
                file.line("WORKDIR /app");
                file.line(&format!(
                    "COPY --from=build --chown=1000:1000 {folder}/.next/standalone /app"
                ));
                file.line(&format!("COPY --from=build --chown=1000:1000 {folder}/.next/static {folder}/.next/static"));
                if work.tree.has_folder("public") {
                    file.line(&format!(
                        "COPY --from=build --chown=1000:1000 {folder}/public {folder}/public"
                    ));
                }
            }
            Some(Output::Bundle(output)) => {
                file.line("WORKDIR /app");
                file.line(&format!(
                    "COPY --from=build --chown=1000:1000 {folder}/{output} /app/{output}"
                ));
            }
            _ => {
                let above = if folder == "/app" {
                    ""
                } else {
                    "/app/node_modules/.bin:"
                };
                file.line(&format!("ENV PATH={folder}/node_modules/.bin:{above}$PATH"));
                if !one || folder != "/app" {
                    file.line(&format!("WORKDIR {folder}"));
                }
                file.line(if one {
                    "COPY --chown=1000:1000 . /app"
                } else {
                    "COPY --from=build --chown=1000:1000 /app /app"
                });
            }
        }
        file.line("USER 1000:1000");
        if let Some(start) = &start {
            file.start(start);
        }
        Ok(())
    }

    /// Next puts its server where the application is in the repository.
    fn standalone_server(&self) -> Option<String> {
        let standalone = matches!(self.framework.as_ref()?.output, Output::Standalone);
        let inner = self.folder.strip_prefix("/app").unwrap_or_default();
        let inner = inner.trim_start_matches('/');
        standalone.then(|| match inner {
            "" => "server.js".to_owned(),
            inner => format!("{inner}/server.js"),
        })
    }
}

/// What builds it: turbo in a repository of many packages, else its script, else its framework.
fn build_script(
    work: &Work<'_>,
    package: &Package,
    manager: &Manager,
    framework: Option<&Framework>,
) -> Option<Said> {
    let own = package.script("build").is_some();
    if own
        && let (Context::Root, Some(root)) = (manager.context, &work.tree.root)
        && root.files.contains("turbo.json")
    {
        return Some(Said {
            command: format!("npx turbo run build --filter=./{}", root.path),
            from: "turbo.json".to_owned(),
        });
    }
    if let Some(command) = manager.run_build(work, package) {
        let from = if own {
            "scripts.build in package.json"
        } else {
            "scripts.build of the packages that it uses"
        };
        return Some(Said {
            command,
            from: from.to_owned(),
        });
    }
    let command = framework?.build?;
    Some(Said {
        command: format!("npx {command}"),
        from: "framework".to_owned(),
    })
}

/// The version that the project asks for: a file for it goes before `engines`, which is a range.
fn version(work: &mut Work<'_>, package: &Package) -> Result<Chosen, Error> {
    let engines = package.text(["engines", "node"]);
    let asked = work
        .version_file(&[".nvmrc", ".node-version"], &["nodejs", "node"])
        .or_else(|| {
            Some(Asked::new(
                package.text(["volta", "node"])?,
                "volta.node in package.json",
            ))
        })
        .or_else(|| Some(Asked::new(engines?, "engines.node in package.json")))
        .map(named);
    let chosen = work.version(&NODE, Tilde::Minor, asked)?;
    let from = chosen.from.as_deref().unwrap_or_default();
    if let Some(engines) = engines
        && !from.starts_with("engines")
        && !meets(&chosen.tag, engines)
    {
        work.warn(format!(
            "{from} says Node {}, and engines.node in package.json says {engines}",
            chosen.tag
        ));
    }
    Ok(chosen)
}

/// nvm's names of versions: <https://github.com/nvm-sh/nvm#long-term-support>.
fn named(asked: Asked) -> Asked {
    let text = match asked.text.to_ascii_lowercase().as_str() {
        "lts/*" | "lts" | "--lts" => "24",
        "lts/krypton" => "24",
        "lts/jod" => "22",
        "lts/iron" => "20",
        "lts/hydrogen" => "18",
        "lts/gallium" => "16",
        "node" | "latest" | "current" | "stable" => "*",
        _ => return asked,
    };
    Asked::new(text, &asked.from)
}
