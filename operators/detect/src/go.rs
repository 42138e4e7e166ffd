//! Go: a module with one program.

use std::collections::BTreeSet;

use crate::{
    Error, Plan, Settings, Tree,
    dockerfile::{Dockerfile, STATIC},
};

/// The toolchain: it builds everything that asks for this version or an older one.
const TOOLCHAIN: (u32, u32) = (1, 26);

pub(crate) fn plan(tree: &Tree, settings: &Settings) -> Result<Plan, Error> {
    let module = tree.read("go.mod").unwrap_or_default();
    let asked = version(module).unwrap_or(TOOLCHAIN);
    let (major, minor) = asked.max(TOOLCHAIN);
    let package = package(tree)?;
    let mut file = Dockerfile::build_stage(&format!("golang:{major}.{minor}-bookworm"));
    file.line("WORKDIR /src");
    file.line(if tree.has("go.sum") {
        "COPY go.mod go.sum ./"
    } else {
        "COPY go.mod ./"
    });
    file.fetch("go mod download");
    file.line("COPY . .");
    match &settings.build_command {
        Some(command) => {
            file.shell(command);
            file.line("RUN test -x /out/app || (echo 'build.command must write the program to /out/app' >&2; exit 1)");
        }
        None => file.fetch(&format!(
            "CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/app {package}"
        )),
    }
    file.run_stage(STATIC);
    file.line("COPY --from=build /out/app /app");
    file.line("USER 65532:65532");
    file.start(&["/app"]);
    Ok(Plan {
        language: "go",
        version: format!("{major}.{minor}"),
        framework: None,
        dockerfile: file.finish(),
    })
}

/// The program: at the root, or the one under `cmd/`.
fn package(tree: &Tree) -> Result<String, Error> {
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
        .filter(|name| {
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        })
        .collect();
    if tree.has("main.go") || (at_root && commands.is_empty()) {
        return Ok(".".to_owned());
    }
    match (commands.len(), commands.first()) {
        (1, Some(only)) => Ok(format!("./cmd/{only}")),
        (0, _) => Err(Error::Unusable(
            "there is a go.mod and no program: add a main.go at its root or under cmd/NAME/"
                .to_owned(),
        )),
        _ => Err(Error::Unusable(format!(
            "cmd/ has several programs ({}): say which with build.command, like 'go build -o /out/app ./cmd/NAME'",
            commands.into_iter().collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// The line `go 1.22` or `go 1.22.3`.
fn version(module: &str) -> Option<(u32, u32)> {
    let line = module
        .lines()
        .find_map(|line| line.trim().strip_prefix("go "))?;
    let mut parts = line.trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
