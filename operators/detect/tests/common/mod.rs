//! Reads fixtures.

#![allow(dead_code, reason = "each test uses some of it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use trackbed_detect::{Context, Error, Plan, Root, Settings, Tree, detect, explain};

/// The folder of the fixtures.
pub(crate) fn place() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Names of the fixtures, in order.
pub(crate) fn fixtures() -> Vec<String> {
    let entries = fs::read_dir(place()).expect("the fixtures");
    let folders = entries
        .filter_map(|it| it.ok())
        .filter(|it| it.path().is_dir());
    let mut names: Vec<String> = folders
        .map(|it| it.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The plan of a fixture.
pub(crate) fn plan(name: &str) -> Result<Plan, Error> {
    let (mut path, mut settings) = (String::new(), Settings::default());
    let said = fs::read_to_string(place().join(format!("{name}.settings"))).unwrap_or_default();
    for line in said.lines() {
        let (key, value) = line.split_once(": ").expect("key: value");
        // A line break in a value is written as in JSON.
        let value = value.replace("\\n", "\n");
        match key {
            "path" => path = value,
            "build.install" => settings.install_command = Some(value),
            "build.command" => settings.build_command = Some(value),
            "build.start" => settings.start_command = Some(value),
            "build.output" => settings.output = Some(value),
            "build.provider" => settings.provider = Some(value.parse()?),
            "build.version" => settings.version = Some(value),
            "build.packages" => settings.packages = value.split(' ').map(str::to_owned).collect(),
            "run.command" => settings.start_elsewhere = true,
            other => panic!("{name}.settings: {other}?"),
        }
    }
    let root = place().join(name);
    let (files, content) = list(&root.join(&path));
    let above = list(&root);
    let root = (!path.is_empty()).then_some(Root {
        path,
        files: above.0,
        content: above.1,
    });
    let tree = Tree {
        files,
        content,
        root,
    };
    detect(&tree, &settings)
}

fn list(root: &Path) -> (BTreeSet<String>, BTreeMap<String, String>) {
    let (mut files, mut content) = (BTreeSet::new(), BTreeMap::new());
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root).expect("below");
            let name = name.to_string_lossy().into_owned();
            if Tree::wanted(&name) {
                let text = fs::read_to_string(&path).expect("text");
                content.insert(name.clone(), text);
            }
            files.insert(name);
        }
    }
    (files, content)
}

/// What comes of a fixture, as text.
pub(crate) fn outcome(name: &str) -> String {
    match plan(name) {
        Ok(plan) => {
            let mut text = explain::text(&plan.explanation);
            if plan.context == Context::Root {
                text += "(built from the repository's root)\n";
            }
            if plan.dockerignore.is_none() {
                text += "(the repository's own .dockerignore)\n";
            }
            format!("{text}\n{}", plan.dockerfile)
        }
        Err(error) => format!("{}: {error}\n", error.reason()),
    }
}
