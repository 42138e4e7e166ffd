//! Rust: one binary of a package or workspace.

use std::collections::BTreeSet;

use crate::{
    Context, Error, Subject,
    command::Start,
    dockerfile::Dockerfile,
    go::Program,
    known::{DISTROLESS_CC, RUST},
    manifest::{self, at},
    tree::is_plain_path,
    version::{Asked, Chosen, Tilde},
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
];

/// A program: the package with it, and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Binary {
    package: String,
    name: String,
}

pub(crate) fn plan(work: &mut Work<'_>) -> Result<Made, Error> {
    let text = work.tree.read("Cargo.toml").unwrap_or_default();
    let cargo = manifest::toml("Cargo.toml", text)?;
    let version = version(work, &cargo)?;
    let context = context(work)?;
    let binary = binary(work, &cargo)?;
    let locked = match context {
        Context::Root => work.tree.root_has("Cargo.lock"),
        Context::Folder => work.tree.has("Cargo.lock"),
    };
    if !locked {
        work.warn(
            "there is no Cargo.lock: versions of dependencies may change from build to build",
        );
    }
    let mut file = Dockerfile::default();
    file.stage(
        &format!("docker.io/library/rust:{}-slim-bookworm", version.tag),
        Some("build"),
    );
    let lock = work.tree.read_up("Cargo.lock").unwrap_or_default();
    let openssl = [lock, text]
        .iter()
        .any(|it| it.contains("openssl-sys") || it.contains("native-tls"));
    apt(
        &mut file,
        if openssl {
            &["pkg-config", "libssl-dev"]
        } else {
            &[]
        },
    );
    file.comment("The image's toolchain, whatever a file of the repository names.");
    file.line("ENV RUSTUP_TOOLCHAIN=$RUST_VERSION CARGO_TERM_COLOR=never");
    file.line("WORKDIR /app");
    let flag = if locked { " --locked" } else { "" };
    let folder = work.folder(context);
    let own = work.own_install();
    let simple = context == Context::Folder && own.is_none() && is_simple(work, &cargo);
    if simple {
        dependencies(work, &cargo, flag, &mut file);
    }
    file.line("COPY . .");
    if folder != "/app" {
        file.line(&format!("WORKDIR {folder}"));
    }
    if let Some(own) = own {
        file.run_user(&own);
    }
    let build = work.build(Some(Said {
        command: format!(
            "cargo build --release{flag} --package {} --bin {}",
            binary.package, binary.name
        ),
        from: "Cargo.toml".to_owned(),
    }));
    file.run_user(&build.unwrap_or_default());
    file.run(&format!(
        "mkdir -p /out && cp /app/target/release/{} /out/app",
        binary.name
    ));
    let path = format!("/app/bin/{}", binary.name);
    let start = work.start(
        |_| Ok(Some((Start::exec(&[&path]), "the program".to_owned()))),
        "nothing says how to start the application: add a src/main.rs",
    )?;
    let data = DATA
        .iter()
        .copied()
        .filter(|it| work.tree.has_folder(it))
        .collect();
    let program = Program {
        path,
        start,
        base: DISTROLESS_CC,
        libraries: if openssl { &["libssl3"] } else { &[] },
        data,
    };
    program.run_stage(work, &folder, &mut file);
    let mut from = vec!["Cargo.toml".to_owned()];
    from.extend(locked.then(|| "Cargo.lock".to_owned()));
    let frameworks = ["axum", "actix-web", "rocket", "warp", "poem", "salvo"];
    let uses = |name: &&str| at(&cargo, &["dependencies", name]).is_some();
    let framework = frameworks.into_iter().find(uses);
    if let Some(framework) = framework {
        work.say(Subject::Framework, framework, Some("Cargo.toml"));
    }
    Ok(Made {
        version: Some(version.tag),
        framework: framework.map(str::to_owned),
        from,
        context,
        ignored: &["**/target"],
        dockerfile: file,
    })
}

/// A member of a workspace above is built from there.
fn context(work: &Work<'_>) -> Result<Context, Error> {
    let Some(root) = &work.tree.root else {
        return Ok(Context::Folder);
    };
    let Some(text) = root.content.get("Cargo.toml") else {
        return Ok(Context::Folder);
    };
    let cargo = manifest::toml("Cargo.toml of the repository's root", text)?;
    let own = work.tree.has("Cargo.lock");
    Ok(if cargo.contains_key("workspace") && !own {
        Context::Root
    } else {
        Context::Folder
    })
}

/// Whether dependencies can be built before the sources are there: one package whose files are
/// where Cargo looks for them.
fn is_simple(work: &Work<'_>, cargo: &toml::Table) -> bool {
    let named = ["bin", "lib", "example", "bench", "test", "workspace"];
    let custom = named.iter().any(|key| cargo.contains_key(*key));
    let built = work.tree.has("build.rs") || at(cargo, &["package", "build"]).is_some();
    let local = cargo.get("dependencies").and_then(toml::Value::as_table);
    let local = local
        .into_iter()
        .flatten()
        .any(|(_, it)| it.get("path").is_some());
    !custom && !built && !local && work.tree.has("src/main.rs")
}

/// Builds the dependencies under an empty program: a layer that stays while the manifests do.
fn dependencies(work: &mut Work<'_>, cargo: &toml::Table, flag: &str, file: &mut Dockerfile) {
    let name = at(cargo, &["package", "name"]).and_then(toml::Value::as_str);
    let name = name.filter(|it| is_plain_path(it)).unwrap_or("*");
    if name == "*" {
        return;
    }
    file.comment(
        "Dependencies first, under an empty program, so that they stay while they are the same.",
    );
    let mut files = vec!["Cargo.toml"];
    files.extend(["Cargo.lock"].into_iter().filter(|it| work.tree.has(it)));
    file.copy(&files, "./");
    file.run(&format!(
        "mkdir src && echo 'fn main() {{}}' > src/main.rs && touch src/lib.rs && cargo build --release{flag} && cargo clean --release{flag} --package {name} && rm -r src"
    ));
    let command = format!("cargo build --release{flag}, dependencies first");
    work.say(Subject::Install, &command, Some("Cargo.toml"));
}

/// The binary: the only one, or the one that is named.
fn binary(work: &mut Work<'_>, cargo: &toml::Table) -> Result<Binary, Error> {
    let mut found = BTreeSet::new();
    let manifests: Vec<(String, &str)> = work
        .tree
        .content
        .iter()
        .filter_map(|(path, text)| {
            Some((path.strip_suffix("Cargo.toml")?.to_owned(), text.as_str()))
        })
        .filter(|(folder, _)| folder.is_empty() || folder.ends_with('/'))
        .take(200)
        .collect();
    let workspace = cargo.contains_key("workspace");
    for (folder, text) in manifests {
        if !folder.is_empty() && !workspace {
            continue;
        }
        binaries(work, &folder, text, &mut found)?;
    }
    let all: Vec<&Binary> = found.iter().collect();
    let named = work
        .settings
        .start_command
        .as_deref()
        .or(work.tree.procfile("web"));
    let named = named.and_then(|it| it.split_whitespace().next()?.rsplit('/').next());
    let default = at(cargo, &["package", "default-run"]).and_then(toml::Value::as_str);
    let by_name = |name: Option<&str>| all.iter().find(|it| Some(it.name.as_str()) == name);
    let own = at(cargo, &["package", "name"]).and_then(toml::Value::as_str);
    let chosen = match all.as_slice() {
        [only] => Some(only),
        _ => by_name(named)
            .or_else(|| by_name(default))
            .or_else(|| by_name(own)),
    };
    match chosen {
        Some(chosen) => Ok((**chosen).clone()),
        None if all.is_empty() => Err(Error::Unusable(
            "there is a Cargo.toml and no program: add a src/main.rs".to_owned(),
        )),
        None => Err(Error::Unusable(format!(
            "the workspace has several programs ({}): name one with build.start, or set source.git.path to its folder",
            all.iter()
                .map(|it| it.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

/// The binaries of one package.
fn binaries(
    work: &Work<'_>,
    folder: &str,
    text: &str,
    found: &mut BTreeSet<Binary>,
) -> Result<(), Error> {
    let cargo = manifest::toml(&format!("{folder}Cargo.toml"), text)?;
    let Some(package) = at(&cargo, &["package", "name"]).and_then(toml::Value::as_str) else {
        return Ok(());
    };
    let mut names = Vec::new();
    let listed = cargo.get("bin").and_then(toml::Value::as_array);
    for bin in listed.into_iter().flatten() {
        names.extend(bin.get("name").and_then(toml::Value::as_str));
    }
    let main = work.tree.has(&format!("{folder}src/main.rs"));
    let listed_main = listed
        .into_iter()
        .flatten()
        .any(|it| it.get("path").and_then(toml::Value::as_str) == Some("src/main.rs"));
    if main && !listed_main {
        names.push(package);
    }
    let prefix = format!("{folder}src/bin/");
    let inside = work
        .tree
        .files
        .range(prefix.clone()..)
        .take_while(|it| it.starts_with(&prefix));
    for path in inside {
        let rest = path.get(prefix.len()..).unwrap_or_default();
        names.extend(rest.strip_suffix(".rs").filter(|it| !it.contains('/')));
        names.extend(rest.strip_suffix("/main.rs"));
    }
    let plain = |it: &str| is_plain_path(it) && !it.contains('/');
    for name in names {
        if plain(name) && plain(package) {
            found.insert(Binary {
                package: package.to_owned(),
                name: name.to_owned(),
            });
        }
    }
    Ok(())
}

/// A toolchain file is exact, `rust-version` is the least that will do.
/// <https://rust-lang.github.io/rustup/overrides.html#the-toolchain-file>
fn version(work: &mut Work<'_>, cargo: &toml::Table) -> Result<Chosen, Error> {
    let mut asked = None;
    for name in ["rust-toolchain.toml", "rust-toolchain"] {
        let Some(text) = work.tree.read_up(name) else {
            continue;
        };
        let channel = if text.contains('[') {
            let table = manifest::toml(name, text)?;
            at(&table, &["toolchain", "channel"])
                .and_then(toml::Value::as_str)
                .map(str::to_owned)
        } else {
            crate::version::first_line(text).map(str::to_owned)
        };
        asked = channel.map(|it| Asked::new(&it, name));
        break;
    }
    let asked = asked.or_else(|| work.version_file(&[], &["rust"]));
    let asked = match asked {
        Some(asked) if asked.text == "stable" => Some(Asked::new(RUST.default, &asked.from)),
        Some(asked) if asked.text.starts_with("nightly") || asked.text.starts_with("beta") => {
            return Err(Error::Unusable(format!(
                "{}: there is no image with Rust {}: use stable or a version, or add a Dockerfile",
                asked.from,
                asked.text.chars().take(40).collect::<String>()
            )));
        }
        Some(asked) => Some(asked),
        None => {
            let least = at(cargo, &["package", "rust-version"]).and_then(toml::Value::as_str);
            least.map(|it| Asked::new(&format!(">={it}"), "rust-version in Cargo.toml"))
        }
    };
    work.version(&RUST, Tilde::Minor, asked)
}
