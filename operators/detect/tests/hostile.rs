//! Nothing that a repository holds makes detection panic, or adds an instruction.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use trackbed_detect::{Root, Settings, Tree, declare, detect};

/// Names that mean something, and some that do not.
fn name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "package.json",
        "pnpm-lock.yaml",
        "yarn.lock",
        "bun.lock",
        "package-lock.json",
        "turbo.json",
        "pnpm-workspace.yaml",
        ".nvmrc",
        "angular.json",
        "next.config.js",
        "requirements.txt",
        "pyproject.toml",
        "uv.lock",
        "poetry.lock",
        "Pipfile",
        "manage.py",
        "app.py",
        "main.py",
        "mysite/settings.py",
        "mysite/wsgi.py",
        "go.mod",
        "go.sum",
        "main.go",
        "cmd/a/main.go",
        "cmd/b/main.go",
        "go.work",
        "Cargo.toml",
        "Cargo.lock",
        "src/main.rs",
        "a/Cargo.toml",
        "a/src/main.rs",
        "rust-toolchain",
        "pom.xml",
        "build.gradle",
        "mvnw",
        "Gemfile",
        "Gemfile.lock",
        "config.ru",
        "composer.json",
        "index.php",
        "index.html",
        "Procfile",
        ".tool-versions",
        "runtime.txt",
        "system.properties",
        ".dockerignore",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "[ -~é/]{1,20}"]
}

/// Content that nearly means something.
fn content() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        ":",
        ",",
        "\n",
        "=",
        " ",
        "\\",
        "<<EOF",
        "FROM x",
        "RUN y",
        "web: ",
        "\"scripts\"",
        "\"start\"",
        "\"build\"",
        "\"dependencies\"",
        "\"next\"",
        "\"engines\"",
        "\"node\"",
        "\"packageManager\"",
        "pnpm@",
        "[package]",
        "[project]",
        "[tool.poetry]",
        "name",
        "version",
        "django",
        "app = Flask(",
        "DJANGO_SETTINGS_MODULE",
        "mysite.settings",
        "STATIC_ROOT",
        "go 1.",
        "toolchain go",
        "module ",
        "<project>",
        "<java.version>",
        "${",
        "~>",
        "^",
        ">=",
        "99",
        "3.",
        "ruby ",
        "gem ",
        "é",
        "\u{0}",
    ]);
    let json = prop::sample::select(vec![
        r#"{"scripts":{"start":"node a && b","build":"x"},"dependencies":{"next":"1"},"workspaces":["a"]}"#,
        r#"{"engines":{"node":">= 1 || x"},"packageManager":"yarn@","main":"../x"}"#,
        "[package]\nname = \"a\\nRUN x\"\n[workspace]\nmembers=['a']",
        "[project]\nname='x'\nrequires-python='>=3.1,<'\ndependencies=['Flask[async]>1']",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..40).prop_map(|it| it.concat()),
        json.prop_map(str::to_owned),
        any::<String>(),
    ]
}

fn files() -> impl Strategy<Value = (BTreeSet<String>, BTreeMap<String, String>)> {
    prop::collection::btree_map(name(), content(), 0..12).prop_map(|map| {
        let files = map.keys().cloned().collect();
        let wanted = map
            .into_iter()
            .filter(|(path, _)| Tree::wanted(path))
            .collect();
        (files, wanted)
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    let text = || prop::option::weighted(0.2, content());
    (text(), text(), text(), text(), text(), any::<bool>()).prop_map(
        |(install, build, start, output, version, elsewhere)| Settings {
            install_command: install,
            build_command: build,
            start_command: start,
            output,
            version,
            start_elsewhere: elsewhere,
            ..Settings::default()
        },
    )
}

/// Instructions that plans write.
const OURS: &[&str] = &[
    "ARG", "CMD", "COPY", "ENV", "EXPOSE", "FROM", "RUN", "USER", "WORKDIR",
];

#[test]
fn a_command_of_a_user_cannot_end_its_line() {
    let tree = Tree {
        files: ["package.json", "index.js"].map(str::to_owned).into(),
        content: [("package.json".to_owned(), "{}".to_owned())].into(),
        root: None,
    };
    for (command, line) in [
        ("echo \"hi\" && x $A", "RUN echo \"hi\" && x $A"),
        ("echo \\", r#"RUN ["/bin/sh", "-c", "echo \\"]"#),
        ("a\nUSER 0", r#"RUN ["/bin/sh", "-c", "a\nUSER 0"]"#),
        ("cat <<X", r#"RUN ["/bin/sh", "-c", "cat <<X"]"#),
        (
            "--mount=type=bind x",
            r#"RUN ["/bin/sh", "-c", "--mount=type=bind x"]"#,
        ),
        ("[\"rm\"]", r#"RUN ["/bin/sh", "-c", "[\"rm\"]"]"#),
    ] {
        let settings = Settings {
            build_command: Some(command.to_owned()),
            ..Settings::default()
        };
        let plan = detect(&tree, &settings).expect("a plan");
        let found = plan.dockerfile.lines().any(|it| it == line);
        assert!(found, "{line} in\n{}", plan.dockerfile);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_or_a_sentence(own in files(), above in prop::option::of(files()), path in "[a-z ./]{1,8}", settings in settings()) {
        let root = above.map(|(files, content)| Root { path, files, content });
        let tree = Tree { files: own.0, content: own.1, root };
        match detect(&tree, &settings) {
            Ok(plan) => {
                let mut continued = false;
                let mut user = "";
                for line in plan.dockerfile.lines() {
                    let first = line.split(' ').next().unwrap_or_default();
                    prop_assert!(continued || line.is_empty() || line.starts_with("# ") || OURS.contains(&first), "{line:?} in\n{}", plan.dockerfile);
                    let json = line.starts_with("RUN [") || line.starts_with("CMD [");
                    prop_assert!(json || !line.contains("<<"), "{line:?}");
                    continued = line.ends_with('\\');
                    if let Some(name) = line.strip_prefix("USER ") { user = name; }
                }
                prop_assert!(user.contains(':') && user != "0:0", "{}", plan.dockerfile);
                // What plans say is bounded, whatever the files say.
                prop_assert!(plan.dockerfile.len() < 200_000);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn any_text_is_declared_in(text in content()) {
        let declared = declare(&text, &["A"]);
        let added = declared.len() - text.len();
let lines = ["ARG A\n", "ARG A\r\n"];
        let whole = lines.iter().any(|line| added.is_multiple_of(line.len()));
        prop_assert!(whole || text.contains('\r'));
    }
}
