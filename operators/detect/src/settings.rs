//! What a person says about the build.

use crate::{Error, Provider, tree::is_plain_path};

/// What a person says about the build. All of it is optional, and goes before what files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Command that installs the dependencies (`build.install`).
    pub install_command: Option<String>,
    /// Command that builds the application (`build.command`).
    pub build_command: Option<String>,
    /// Command that starts it (`build.start`).
    pub start_command: Option<String>,
    /// Folder with the built files of a static site, relative to the application's folder
    /// (`build.output`).
    pub output: Option<String>,
    /// What to take the application for (`build.provider`).
    pub provider: Option<Provider>,
    /// Version of the language (`build.version`).
    pub version: Option<String>,
    /// Debian packages to add to the final image (`build.packages`).
    pub packages: Vec<String>,
    /// The platform starts the image with a command of its own (`run.command`): it needs none.
    pub start_elsewhere: bool,
}

impl Settings {
    /// Longest command, in bytes.
    const COMMAND_MAX: usize = 16 << 10;

    pub(crate) fn validate(&self) -> Result<(), Error> {
        for (field, command) in [
            ("build.install", &self.install_command),
            ("build.command", &self.build_command),
            ("build.start", &self.start_command),
        ] {
            let Some(command) = command else { continue };
            let control = |c: char| c.is_control() && c != '\n' && c != '\t';
            if command.trim().is_empty() || command.contains(control) {
                return Err(Error::Unusable(format!(
                    "{field} must be a command, without control characters"
                )));
            }
            if command.len() > Self::COMMAND_MAX {
                return Err(Error::Unusable(format!(
                    "{field} must be at most {} bytes: put it into a script of the repository",
                    Self::COMMAND_MAX
                )));
            }
        }
        if let Some(output) = &self.output
            && !is_plain_path(output.trim_end_matches('/'))
        {
            return Err(Error::Unusable(format!(
                "build.output must be a folder under the application's, like 'dist', not {output:?}"
            )));
        }
        for package in &self.packages {
            if !is_package(package) {
                return Err(Error::Unusable(format!(
                    "build.packages: {package:?} is no name of a Debian package: at least two of a-z, 0-9, '+', '-' and '.', starting with a letter or digit"
                )));
            }
        }
        Ok(())
    }
}

/// <https://www.debian.org/doc/debian-policy/ch-controlfields.html#source>
fn is_package(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    (2..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(allowed)
}
