//! A plan in the making: what every provider does the same way.

use crate::{
    Context, Decision, Error, Settings, Subject, Tree,
    command::Start,
    dockerfile::Dockerfile,
    known::Language,
    version::{Asked, Chosen, Tilde, choose, first_line, tool_version},
};

/// Port of an image that is told none. The platform sets PORT.
const PORT: &str = "8080";

/// A plan in the making.
pub(crate) struct Work<'a> {
    pub(crate) tree: &'a Tree,
    pub(crate) settings: &'a Settings,
    pub(crate) explanation: Vec<Decision>,
}

/// What a provider made.
pub(crate) struct Made {
    pub(crate) version: Option<String>,
    pub(crate) framework: Option<String>,
    /// The files that it was made from.
    pub(crate) from: Vec<String>,
    pub(crate) context: Context,
    /// Patterns of what the language's tools make.
    pub(crate) ignored: &'static [&'static str],
    pub(crate) dockerfile: Dockerfile,
}

/// A command and who said so.
pub(crate) struct Said {
    pub(crate) command: String,
    pub(crate) from: String,
}

impl<'a> Work<'a> {
    pub(crate) fn new(tree: &'a Tree, settings: &'a Settings) -> Self {
        Self {
            tree,
            settings,
            explanation: Vec::new(),
        }
    }

    pub(crate) fn say(&mut self, subject: Subject, text: &str, from: Option<&str>) {
        self.explanation.push(Decision {
            subject,
            text: text.to_owned(),
            from: from.map(str::to_owned),
        });
    }

    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.say(Subject::Warning, &text.into(), None);
    }

    /// The folder in the image, of the application.
    pub(crate) fn folder(&self, context: Context) -> String {
        match (&self.tree.root, context) {
            (Some(root), Context::Root) => format!("/app/{}", root.path),
            _ => "/app".to_owned(),
        }
    }

    /// Processes of a Procfile that are not started.
    pub(crate) fn procfile_notes(&mut self) {
        if self.tree.procfile("release").is_some() {
            self.warn(
                "the 'release:' line of the Procfile is not run: set it as run.preDeploy.command",
            );
        }
        if self.tree.has("Procfile") && self.tree.procfile("web").is_none() {
            self.warn("the Procfile has no 'web:' line, so it does not say what to start");
        }
    }

    /// Chooses the language's version, and says so.
    pub(crate) fn version(
        &mut self,
        language: &Language,
        tilde: Tilde,
        asked: Option<Asked>,
    ) -> Result<Chosen, Error> {
        let own = self.settings.version.as_ref();
        let own = own.map(|text| Asked::new(text, "build.version"));
        let chosen = choose(language, own.or(asked), tilde)?;
        self.say(
            Subject::Version,
            &format!("{} {}", language.name, chosen.tag),
            Some(chosen.from.as_deref().unwrap_or("default")),
        );
        if let Some(warning) = &chosen.warning {
            self.warn(warning.clone());
        }
        Ok(chosen)
    }

    /// The version in one of some files, or in `.tool-versions`, in the folder or the root above.
    pub(crate) fn version_file(&self, files: &[&str], tools: &[&str]) -> Option<Asked> {
        let own = files.iter().find_map(|file| {
            let line = first_line(self.tree.read_up(file)?)?;
            Some(Asked::new(line, file))
        });
        own.or_else(|| {
            let text = self.tree.read_up(".tool-versions")?;
            Some(Asked::new(tool_version(text, tools)?, ".tool-versions"))
        })
    }

    /// The command that builds: the person's, else what the files say.
    pub(crate) fn build(&mut self, own: Option<Said>) -> Option<String> {
        let said = match &self.settings.build_command {
            Some(command) => Some(Said {
                command: command.clone(),
                from: "build.command".to_owned(),
            }),
            None => own,
        }?;
        self.say(Subject::Build, &said.command, Some(&said.from));
        Some(said.command)
    }

    /// The command that installs, of the person.
    pub(crate) fn own_install(&mut self) -> Option<String> {
        let command = self.settings.install_command.clone()?;
        self.say(Subject::Install, &command, Some("build.install"));
        Some(command)
    }

    /// What starts: the person's, the Procfile's, else what the provider finds.
    /// None where the platform has a command of its own.
    pub(crate) fn start(
        &mut self,
        own: impl FnOnce(&mut Self) -> Result<Option<(Start, String)>, Error>,
        missing: &str,
    ) -> Result<Option<Start>, Error> {
        if self.settings.start_elsewhere {
            self.say(
                Subject::Start,
                "what the platform says",
                Some("run.command"),
            );
            return Ok(None);
        }
        let found = if let Some(command) = &self.settings.start_command {
            Some((Start::of(command), "build.start".to_owned()))
        } else if let Some(command) = self.tree.procfile("web") {
            Some((Start::of(command), "Procfile".to_owned()))
        } else {
            own(self)?
        };
        let Some((start, from)) = found else {
            return Err(Error::Unusable(format!(
                "{missing}, a Procfile with a line 'web: …', or set build.start"
            )));
        };
        self.say(Subject::Start, &start.text(), Some(&from));
        Ok(Some(start))
    }

    /// The port of the final stage.
    pub(crate) fn port(file: &mut Dockerfile) {
        file.line(&format!("ENV PORT={PORT}"));
        file.line(&format!("EXPOSE {PORT}"));
    }

    /// The person's Debian packages, in the final stage and before its user.
    pub(crate) fn packages(&mut self, file: &mut Dockerfile) {
        let packages = self.settings.packages.clone();
        if !packages.is_empty() {
            self.say(
                Subject::Packages,
                &packages.join(" "),
                Some("build.packages"),
            );
        }
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        apt(file, &packages);
    }
}

/// Installs Debian packages.
pub(crate) fn apt(file: &mut Dockerfile, packages: &[&str]) {
    if packages.is_empty() {
        return;
    }
    file.run(&format!(
        "apt-get update && apt-get install -y --no-install-recommends {} && rm -rf /var/lib/apt/lists/*",
        packages.join(" ")
    ));
}
