//! `trackbed plan`: what a build would do with a folder, without a cluster.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use trackbed_detect::{Error, Plan, Settings, detect, explain};

use crate::tree::{inside, tree};

/// What the build would do with a folder on this machine
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The repository's root
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Folder of the application in the repository
    #[arg(long, default_value = ".", value_name = "SUB")]
    path: String,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    settings: Overrides,
}

/// What a person says about a build, as in `spec.build` of a Service.
#[derive(Args, Clone, Debug, Default)]
pub struct Overrides {
    /// Command that installs the dependencies (build.install)
    #[arg(long, value_name = "COMMAND")]
    install: Option<String>,
    /// Command that builds the application (build.command)
    #[arg(long, value_name = "COMMAND")]
    build: Option<String>,
    /// Command that starts it (build.start)
    #[arg(long, value_name = "COMMAND")]
    start: Option<String>,
    /// Folder of a static site's built files (build.output)
    #[arg(long, value_name = "FOLDER")]
    output: Option<String>,
    /// What to take it for, like node (build.provider)
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Version of the language (build.version)
    #[arg(long, value_name = "VERSION")]
    language_version: Option<String>,
    /// Debian packages for the image, divided by commas (build.packages)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    packages: Vec<String>,
    /// The platform starts it with a command of its own (run.command)
    #[arg(long)]
    start_elsewhere: bool,
}

/// How a plan is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// What was decided and why, and the Dockerfile
    Text,
    /// All of it, for programs
    Json,
    /// The Dockerfile alone
    Dockerfile,
}

impl Overrides {
    /// For the detection.
    ///
    /// # Errors
    /// When there is no such ecosystem.
    pub(crate) fn settings(self) -> Result<Settings, Error> {
        Ok(Settings {
            install_command: self.install,
            build_command: self.build,
            start_command: self.start,
            output: self.output,
            provider: self.provider.map(|it| it.parse()).transpose()?,
            version: self.language_version,
            packages: self.packages,
            start_elsewhere: self.start_elsewhere,
        })
    }
}

/// Runs the command.
pub fn run(options: Options) -> ExitCode {
    match text(options) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn text(options: Options) -> Result<String, String> {
    let folder = inside(&options.directory, options.path.as_ref()).filter(|it| it.is_dir());
    let folder = folder.ok_or_else(|| {
        let place = options.directory.join(&options.path);
        format!("there is no folder {}", place.display())
    })?;
    let settings = options.settings.settings().map_err(|it| it.to_string())?;
    let plan =
        detect(&tree(&options.directory, &folder), &settings).map_err(|it| it.to_string())?;
    match options.format {
        Format::Text => Ok(page(&plan)),
        Format::Dockerfile => Ok(plan.dockerfile),
        Format::Json => serde_json::to_string_pretty(&plan)
            .map(|text| text + "\n")
            .map_err(|it| it.to_string()),
    }
}

/// A page for people: what was decided, and the Dockerfile under it.
fn page(plan: &Plan) -> String {
    let mut page = explain::text(&plan.explanation);
    page += "\nDockerfile\n";
    for line in plan.dockerfile.lines() {
        page += format!("  {line}").trim_end();
        page.push('\n');
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use expect_test::expect;
    use std::fs;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn plan(files: &[(&str, &str)], arguments: &[&str]) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, content) in files {
            fs::write(folder.path().join(path), content).expect("a file");
        }
        let place = folder.path().to_string_lossy().into_owned();
        let words = ["plan", &place]
            .into_iter()
            .chain(arguments.iter().copied());
        match text(Cli::parse_from(words).options) {
            Ok(text) => text,
            Err(message) => format!("error: {message}\n").replace(&place, "DIR"),
        }
    }

    #[test]
    fn a_plan_is_a_page() {
        let page = plan(&[("index.html", "<p>")], &[]);
        let head: String = page.split_inclusive('\n').take(5).collect();
        expect![[r#"
            provider   static  (index.html)
            output     .       (index.html)
            start      nginx   (static files)

            Dockerfile
        "#]]
        .assert_eq(&head);
        let only = plan(&[("index.html", "<p>")], &["--format=dockerfile"]);
        assert!(only.starts_with("# Generated by Trackbed"), "{only}");
        let json = plan(&[("index.html", "<p>")], &["--format=json"]);
        let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["provider"], "static");
    }

    /// Examples without a Dockerfile, and the application's folder in them.
    const EXAMPLES: [(&str, &str); 11] = [
        ("django", "."),
        ("fastapi", "."),
        ("go", "."),
        ("node", "."),
        ("pnpm-workspace", "apps/web"),
        ("procfile", "."),
        ("python", "."),
        ("quickstart/app", "."),
        ("rust", "."),
        ("static", "."),
        ("vite", "."),
    ];

    #[test]
    fn every_example_is_explained() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (name, path) in EXAMPLES {
            let folder = root.join("examples").join(name);
            let place = folder.to_string_lossy().into_owned();
            let words = ["plan", &place, "--path", path];
            let page = text(Cli::parse_from(words).options).unwrap_or_else(|it| panic!("{it}"));
            let file = format!("tests/plans/{}.txt", name.replace('/', "-"));
            let file = root.join("operators/operator").join(file);
            expect_test::expect_file![file].assert_eq(&page);
        }
    }

    #[test]
    fn errors_are_sentences() {
        expect![[r#"
            error: build.provider must be one of go, java, rust, ruby, php, python, node, static, not "cobol"
        "#]]
        .assert_eq(&plan(&[], &["--provider=cobol"]));
        expect![[r#"
            error: there is no folder DIR/nowhere
        "#]]
        .assert_eq(&plan(&[], &["--path=nowhere"]));
        assert!(plan(&[], &[]).contains("Found: nothing. Recognised are:"));
    }
}
