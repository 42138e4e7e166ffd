//! Which version of its server an image has.

use std::process::Command;

use serde::Serialize;

use crate::{Engine, Error, Options, postgres, process, redis};

/// What the controller is told.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    /// As the server says it: 17.6.
    pub version: String,
}

/// Looks whether the image has a server of the major version that is wanted.
///
/// # Errors
/// That it has none, or one of another version.
pub(crate) fn look(engine: Engine, options: &Options) -> Result<Version, Error> {
    let version = of(engine, options)?;
    let wanted = &options.version;
    match version.strip_prefix(wanted.as_str()) {
        // 17.6, and not 170; 19beta1 is one of the first of 19.
        Some(rest) if !rest.starts_with(|it: char| it.is_ascii_digit()) => Ok(Version { version }),
        _ => Err(Error::OtherVersion {
            found: version,
            wanted: wanted.clone(),
        }),
    }
}

/// The version, as the server says it.
///
/// # Errors
/// That it does not say it.
pub(crate) fn of(engine: Engine, options: &Options) -> Result<String, Error> {
    let program = match engine {
        Engine::Postgres => postgres::program(options, "postgres"),
        Engine::Redis | Engine::Valkey => redis::program(engine, options, "server"),
    };
    let words = process::check(Command::new(program).arg("--version"))?;
    let silent = || Error::NoAnswer(format!("the server does not say its version: {words}"));
    read(&words).ok_or_else(silent)
}

/// `postgres (PostgreSQL) 17.6 (Debian …)`, `Redis server v=7.4.2 sha=…`.
fn read(words: &str) -> Option<String> {
    let words = words.split_whitespace();
    let mut numbers = words.map(|word| word.strip_prefix("v=").unwrap_or(word));
    let number = numbers.find(|word| word.starts_with(|it: char| it.is_ascii_digit()));
    number.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn servers_say_their_version_in_their_own_ways() {
        for (words, version) in [
            (
                "postgres (PostgreSQL) 17.6 (Debian 17.6-1.pgdg12+1)\n",
                Some("17.6"),
            ),
            ("postgres (PostgreSQL) 19beta1\n", Some("19beta1")),
            (
                "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64\n",
                Some("7.0.15"),
            ),
            ("Valkey server v=8.1.1 sha=00000000:0\n", Some("8.1.1")),
            ("nothing\n", None),
        ] {
            assert_eq!(read(words).as_deref(), version, "{words}");
        }
    }

    #[test]
    fn an_image_of_another_major_version_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("postgres");
        let looks = |says: &str, wanted: &str| {
            fs::write(
                &program,
                format!("#!/bin/sh\necho 'postgres (PostgreSQL) {says}'\n"),
            )
            .expect("a program");
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("rights");
            let options = Options {
                programs: Some(folder.path().to_owned()),
                version: wanted.to_owned(),
                ..Options::test()
            };
            look(Engine::Postgres, &options)
                .map(|it| it.version)
                .map_err(|error| error.to_string())
        };
        assert_eq!(looks("17.6", "17").as_deref(), Ok("17.6"));
        assert_eq!(looks("19beta1", "19").as_deref(), Ok("19beta1"));
        let refused = looks("18.1", "17").expect_err("another one");
        assert!(refused.contains("18.1"), "{refused}");
        looks("170.1", "17").expect_err("another one");
    }
}
