//! Go: one program of a module or workspace.

use std::collections::BTreeSet;

use crate::{
    Context, Error, Subject,
    command::Start,
    dockerfile::Dockerfile,
    known::{DEBIAN, DISTROLESS_CC, DISTROLESS_STATIC, GO},
    tree::is_plain_path,
    version::{Asked, Chosen, Tilde, parts},
    work::{Made, Said, Work, apt},
};

/// Folders that programs often read while they run.
const DATA: &[&str] = &[
    "assets",
    "config",
    "migrations",
    "public",
    "static",
    "templates",
    "views",
    "web",
];
/// Modules that only work with C.
const C_MODULES: &[&str] = &[
    "github.com/mattn/go-sqlite3",
    "github.com/confluentinc/confluent-kafka-go",
];

pub(crate) fn plan(work: &mut Work<'_>) -> Result<Made, Error> {
    let module = work.tree.read("go.mod").unwrap_or_default();
    let version = version(work, module)?;
    let context = context(work, module);
    let package = package(work)?;
    let name = program_name(work, module, &package);
    let c = C_MODULES.iter().find(|it| module.contains(**it));
    if let Some(c) = c {
        work.warn(format!("{c} needs C: built with CGO_ENABLED=1"));
    }
    let mut file = Dockerfile::default();
    file.stage(
        &format!("docker.io/library/golang:{}-bookworm", version.tag),
        Some("build"),
    );
    file.comment("What was compiled stays for the next build, where there is a place for it.");
    file.line("ENV GOCACHE=${TRACKBED_CACHE:-/root/.cache}/go-build");
    file.line("WORKDIR /app");
    let folder = work.folder(context);
    dependencies(work, context, &folder, &mut file);
    let target = format!("-o /out/app {package}");
    let own = Said {
        command: format!(
            "CGO_ENABLED={} go build -trimpath -ldflags='-s -w' {target}",
            u8::from(c.is_some())
        ),
        from: if package == "." {
            "go.mod".to_owned()
        } else {
            package.clone()
        },
    };
    let build = work.build(Some(own)).unwrap_or_default();
    file.run_user(&build);
    if work.settings.build_command.is_some() {
        file.run("test -x /out/app || { echo 'build.command must write the program to /out/app' >&2; exit 1; }");
    }
    let path = format!("/app/bin/{name}");
    let start = work.start(
        |_| Ok(Some((Start::exec(&[&path]), "the program".to_owned()))),
        "nothing says how to start the application: add a main.go",
    )?;
    let needs = if c.is_some() {
        DISTROLESS_CC
    } else {
        DISTROLESS_STATIC
    };
    let data = DATA
        .iter()
        .copied()
        .filter(|it| work.tree.has_folder(it))
        .collect();
    let program = Program {
        path,
        start,
        base: needs,
        libraries: &[],
        data,
    };
    program.run_stage(work, &folder, &mut file);
    Ok(Made {
        version: Some(version.tag),
        framework: None,
        from: vec![
            work.tree
                .first(&["go.mod", "go.work"])
                .unwrap_or("go.mod")
                .to_owned(),
        ],
        context,
        ignored: &[],
        dockerfile: file,
    })
}

/// A compiled program, at `/out/app` of the stage `build`.
pub(crate) struct Program<'a> {
    /// Where it goes.
    pub(crate) path: String,
    pub(crate) start: Option<Start>,
    /// The smallest image that it runs on.
    pub(crate) base: &'static str,
    /// Debian packages that it needs where that image is not enough.
    pub(crate) libraries: &'static [&'static str],
    /// Folders that it may read.
    pub(crate) data: Vec<&'a str>,
}

impl Program<'_> {
    /// The stage that runs it: with a shell and packages only where they are needed.
    pub(crate) fn run_stage(&self, work: &mut Work<'_>, folder: &str, file: &mut Dockerfile) {
        let shell = matches!(self.start, Some(Start::Shell(_))) || self.start.is_none();
        if shell || !work.settings.packages.is_empty() {
            file.stage(DEBIAN, None);
            apt(
                file,
                &[&["ca-certificates", "tzdata"], self.libraries].concat(),
            );
        } else {
            file.stage(self.base, None);
        }
        work.packages(file);
        file.line("ENV PATH=/app/bin:$PATH");
        Work::port(file);
        file.line("WORKDIR /app");
        for data in &self.data {
            file.line(&format!("COPY --from=build {folder}/{data} ./{data}"));
        }
        file.line(&format!("COPY --from=build /out/app {}", self.path));
        file.line("USER 65532:65532");
        if let Some(start) = &self.start {
            file.start(start);
        }
    }
}

/// A workspace, or a module that takes another folder's place, needs more than its folder.
fn context(work: &mut Work<'_>, module: &str) -> Context {
    let outside = module.lines().any(|line| {
        let target = line.split_once("=>").map(|(_, target)| target.trim());
        target.is_some_and(|it| it.starts_with("../"))
    });
    if work.tree.root.is_some() && (outside || work.tree.root_has("go.work")) {
        return Context::Root;
    }
    if outside {
        work.warn("go.mod replaces a module by a folder above: set source.git.path to build a folder of the repository");
    }
    Context::Folder
}

fn dependencies(work: &mut Work<'_>, context: Context, folder: &str, file: &mut Dockerfile) {
    let own = work.own_install();
    let vendored = work.tree.has("vendor/modules.txt") || work.tree.root_has("vendor/modules.txt");
    if vendored {
        work.say(
            Subject::Install,
            "nothing: dependencies are in vendor/",
            Some("vendor/modules.txt"),
        );
    }
    let workspace = context == Context::Root || work.tree.has("go.work");
    if workspace || vendored || own.is_some() {
        file.line("COPY . .");
        if folder != "/app" {
            file.line(&format!("WORKDIR {folder}"));
        }
        match own {
            Some(own) => file.run_user(&own),
            None if !vendored => file.run("go mod download"),
            None => {}
        }
        return;
    }
    let sums = work.tree.has("go.sum");
    file.copy(
        if sums {
            &["go.mod", "go.sum"][..]
        } else {
            &["go.mod"]
        },
        "./",
    );
    file.run("go mod download");
    file.line("COPY . .");
    work.say(
        Subject::Install,
        "go mod download",
        Some(if sums { "go.sum" } else { "go.mod" }),
    );
}

/// The name of the program: of its folder, else of its module.
fn program_name(work: &Work<'_>, module: &str, package: &str) -> String {
    let line = module
        .lines()
        .find_map(|line| line.trim().strip_prefix("module "));
    let path = match package.strip_prefix("./") {
        Some(folder) => folder,
        None => line.unwrap_or("app").trim(),
    };
    let versions = |part: &str| {
        part.len() > 1 && part.starts_with('v') && part[1..].bytes().all(|b| b.is_ascii_digit())
    };
    let name = path
        .rsplit('/')
        .find(|part| !versions(part))
        .unwrap_or("app");
    let plain = is_plain_path(name) && work.tree.root.as_ref().is_none_or(|_| true);
    if plain {
        name.to_owned()
    } else {
        "app".to_owned()
    }
}

/// The program: at the root, or the one under `cmd/`.
fn package(work: &Work<'_>) -> Result<String, Error> {
    let tree = work.tree;
    let at_root = tree
        .files
        .iter()
        .any(|path| path.ends_with(".go") && !path.contains('/') && !path.ends_with("_test.go"));
    let commands: BTreeSet<&str> = tree
        .files
        .iter()
        .filter(|path| path.ends_with(".go"))
        .filter_map(|path| path.strip_prefix("cmd/")?.split_once('/'))
        .map(|(name, _)| name)
        .filter(|name| is_plain_path(name))
        .collect();
    if tree.has("main.go")
        || (at_root && commands.is_empty())
        || work.settings.build_command.is_some()
    {
        return Ok(".".to_owned());
    }
    // The Procfile may name one of several.
    let named = work
        .settings
        .start_command
        .as_deref()
        .or(tree.procfile("web"));
    let named = named.and_then(|it| it.split_whitespace().next()?.rsplit('/').next());
    if let Some(named) = named.and_then(|it| commands.get(it)) {
        return Ok(format!("./cmd/{named}"));
    }
    match (commands.len(), commands.first()) {
        (1, Some(only)) => Ok(format!("./cmd/{only}")),
        (0, _) if tree.has("cmd/main.go") => Ok("./cmd".to_owned()),
        (0, _) => Err(Error::Unusable(
            "there is a go.mod and no program: add a main.go at its root or under cmd/NAME/, or set build.command".to_owned(),
        )),
        _ => Err(Error::Unusable(format!(
            "cmd/ has several programs ({}): say which with build.command, like 'go build -o /out/app ./cmd/NAME'",
            commands.into_iter().collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// `go` is the least version that will do, so the default does unless it is older; `toolchain` and
/// version files are exact. <https://go.dev/doc/toolchain>
fn version(work: &mut Work<'_>, module: &str) -> Result<Chosen, Error> {
    let word = |name: &str| {
        let line = module
            .lines()
            .find_map(|line| line.trim().strip_prefix(name))?;
        line.split("//").next().map(str::trim)
    };
    let file = work.version_file(&[".go-version"], &["golang", "go"]);
    let least = |text: &str, from: &str| {
        let number = parts(text);
        let newest: &[u32] = GO.lines.first().map_or(&[], |it| it.number);
        match number {
            Some(number) if number.get(..2).unwrap_or(&number) <= newest => {
                Asked::new(GO.default, from)
            }
            _ => Asked::new(text, from),
        }
    };
    let asked = file
        .or_else(|| Some(least(word("toolchain go")?, "toolchain in go.mod")))
        .or_else(|| Some(least(word("go ")?, "go in go.mod")));
    work.version(&GO, Tilde::Minor, asked)
}
