//! Rules that the workspace keeps, read from `cargo metadata`.

use std::{collections::BTreeMap, process::Command};

use suite::{Value, repository};

fn metadata(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .current_dir(repository("."))
        .args(["metadata", "--format-version=1", "--locked"])
        .args(arguments)
        .output()
        .expect("cargo starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What each crate of the operators may use of the others. Decisions meet in the API's types:
/// no controller knows another.
const MAY_USE: &[(&str, &[&str])] = &[
    ("trackbed-api", &[]),
    ("trackbed-backup", &[]),
    ("trackbed-detect", &[]),
    ("trackbed-forge", &["trackbed-http"]),
    ("trackbed-git", &[]),
    ("trackbed-http", &[]),
    ("trackbed-supervisor", &["trackbed-backup"]),
    ("trackbed-kit", &["trackbed-api", "trackbed-http"]),
    ("trackbed-project", &["trackbed-api", "trackbed-kit"]),
    (
        "trackbed-service",
        &[
            "trackbed-api",
            "trackbed-kit",
            "trackbed-forge",
            "trackbed-git",
        ],
    ),
    (
        "trackbed-build",
        &[
            "trackbed-api",
            "trackbed-kit",
            "trackbed-git",
            "trackbed-http",
        ],
    ),
    ("trackbed-deployment", &["trackbed-api", "trackbed-kit"]),
    (
        "trackbed-database",
        &["trackbed-api", "trackbed-kit", "trackbed-http"],
    ),
];

#[test]
fn dependencies_point_one_way() {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().expect("packages");
    let ours: BTreeMap<&str, Vec<&str>> = packages
        .iter()
        .map(|package| {
            let used = package["dependencies"].as_array().into_iter().flatten();
            let used = used.map(|dependency| text(&dependency["name"]));
            (text(&package["name"]), used.collect())
        })
        .collect();
    for (name, allowed) in MAY_USE {
        let used = ours.get(name).unwrap_or_else(|| panic!("no crate {name}"));
        let wrong: Vec<_> = used
            .iter()
            .filter(|other| ours.contains_key(*other) && !allowed.contains(other))
            .collect();
        assert!(wrong.is_empty(), "{name} must not use {wrong:?}");
    }
    // The API is types: no client and no runtime.
    let api = &ours["trackbed-api"];
    assert!(!api.contains(&"tokio"), "{api:?}");
}

/// Licences that may be linked into what is shipped under Apache-2.0.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Whether an SPDX expression can be met with the licences above. `/` is an old way to write OR.
fn acceptable(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" AND ").all(|part| {
        part.split(" OR ")
            .any(|licence| LICENCES.contains(&licence.trim()))
    })
}

#[test]
fn licences_fit_ours() {
    let metadata = metadata(&["--filter-platform=x86_64-unknown-linux-gnu"]);
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 50, "{} packages", packages.len());
    let wrong: Vec<String> = packages
        .iter()
        .filter(|package| !acceptable(text(&package["license"])))
        .map(|package| {
            format!(
                "{} {}: {}",
                package["name"], package["version"], package["license"]
            )
        })
        .collect();
    assert!(wrong.is_empty(), "licences to look at: {wrong:#?}");
}

#[test]
fn an_expression_needs_one_good_choice_of_each_part() {
    for good in ["MIT", "MIT/Apache-2.0", "(MIT OR GPL-2.0) AND Unicode-3.0"] {
        assert!(acceptable(good), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", ""] {
        assert!(!acceptable(bad), "{bad}");
    }
}
