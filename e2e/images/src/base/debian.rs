//! What is taken from Debian: the first root file system, and programs for this machine.

use std::{fs, path::Path, process::Command};

use crate::{
    Error, Result,
    command::{check, works},
    error::Doing,
};

/// The release that the images are.
const RELEASE: &str = "bookworm";

/// Installs `package` on this machine when it has no `program`.
pub(super) fn need(program: &str, package: &str) -> Result<()> {
    let found = || works(Command::new("sh").args(["-c", "command -v \"$0\"", program]));
    if found() {
        return Ok(());
    }
    println!("  installing {package} …");
    check(Command::new("apt-get").args(["update", "-qq"]))?;
    check(
        Command::new("apt-get")
            .args([
                "install",
                "-qq",
                "--yes",
                "--no-install-recommends",
                package,
            ])
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    if found() {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "`{program}` is needed to make images, and package {package} does not bring it"
    )))
}

/// Makes the smallest Debian in `root`, from where this machine has its own.
pub(super) fn bootstrap(root: &Path) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::Refused(
            "images of whole systems are made by entering them, which needs root".to_owned(),
        ));
    }
    need("mmdebstrap", "mmdebstrap")?;
    let sources = sources()?;
    let list = root.with_added_extension("list");
    fs::write(&list, sources).doing(|| format!("writing {}", list.display()))?;
    check(
        Command::new("mmdebstrap")
            .args([
                "--quiet",
                "--variant=minbase",
                "--mode=root",
                "--format=directory",
            ])
            // As the slim image has it: /bin and the like are links from the start. What else makes
            // them so needs all of Perl.
            .arg("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr")
            .arg("--include=usr-is-merged")
            // Manuals and translations stay away for good.
            .arg("--dpkgopt=path-exclude=/usr/share/man/*")
            .arg("--dpkgopt=path-exclude=/usr/share/locale/*")
            .arg("--dpkgopt=path-exclude=/usr/share/doc/*")
            .arg("--dpkgopt=path-include=/usr/share/doc/*/copyright")
            .arg(RELEASE)
            .args([root, &list])
            // Programs here may read times; nothing of the image does.
            .env("SOURCE_DATE_EPOCH", "0"),
    )?;
    Ok(())
}

/// This machine's own sources of Debian, for the release that images are.
fn sources() -> Result<String> {
    let mut texts = Vec::new();
    let folder = Path::new("/etc/apt/sources.list.d");
    let mut files = vec![Path::new("/etc/apt/sources.list").to_owned()];
    if let Ok(entries) = fs::read_dir(folder) {
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.sort();
    for file in files {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        let deb822 = file.extension().is_some_and(|end| end == "sources");
        texts.push((deb822, text));
    }
    let own = own_release()?;
    let lines: Vec<String> = texts
        .iter()
        .flat_map(|(deb822, text)| {
            if *deb822 {
                stanzas(text, &own)
            } else {
                lines(text, &own)
            }
        })
        .collect();
    if lines.is_empty() {
        return Err(Error::Refused(format!(
            "the images are made from Debian's packages, and this machine's apt has no source of {own}"
        )));
    }
    Ok(lines.join("\n") + "\n")
}

fn own_release() -> Result<String> {
    let path = "/etc/os-release";
    let text = fs::read_to_string(path).doing(|| format!("reading {path}"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .map(|name| name.trim_matches('"').to_owned())
        .ok_or_else(|| Error::Refused(format!("{path} does not say which release this is")))
}

/// One line a suite, for the stanzas that have suites of release `own`.
fn stanzas(text: &str, own: &str) -> Vec<String> {
    let mut found = Vec::new();
    for stanza in text.split("\n\n") {
        let field = |name: &str| {
            stanza.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let (Some(uris), Some(suites)) = (field("URIs"), field("Suites")) else {
            continue;
        };
        if field("Enabled").is_some_and(|value| value.eq_ignore_ascii_case("no")) {
            continue;
        }
        for uri in uris.split_whitespace() {
            for suite in suites.split_whitespace() {
                found.extend(line(uri, suite, own));
            }
        }
    }
    found
}

fn lines(text: &str, own: &str) -> Vec<String> {
    text.lines()
        .filter_map(|text| {
            let text = text.trim().strip_prefix("deb ")?.trim_start();
            // Options say what holds for this machine only.
            let text = match text.strip_prefix('[') {
                Some(rest) => rest.split_once(']')?.1,
                None => text,
            };
            let mut words = text.split_whitespace();
            line(words.next()?, words.next()?, own)
        })
        .collect()
}

/// The line for `suite`, when it is one of release `own`.
fn line(uri: &str, suite: &str, own: &str) -> Option<String> {
    let rest = suite.strip_prefix(own)?;
    matches!(rest, "" | "-updates" | "-security").then(|| format!("deb {uri} {RELEASE}{rest} main"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_of_other_vendors_are_left_out() {
        let text = "Types: deb\nURIs: http://mirror/debian\nSuites: trixie trixie-updates trixie-backports\nComponents: main\n\n\
                    Types: deb\nURIs: http://mirror/tools\nSuites: nodistro\nComponents: main\n\n\
                    Types: deb\nEnabled: no\nURIs: http://mirror/off\nSuites: trixie\n";
        assert_eq!(
            stanzas(text, "trixie"),
            [
                "deb http://mirror/debian bookworm main",
                "deb http://mirror/debian bookworm-updates main"
            ]
        );
    }

    #[test]
    fn sources_of_one_line_are_read_too() {
        let text = "# deb http://x bookworm main\n\
                    deb [signed-by=/a.gpg arch=amd64] http://mirror/debian bookworm main contrib\n\
                    deb-src http://mirror/debian bookworm main\n\
                    deb http://mirror/security bookworm-security main\n\
                    deb http://mirror/other stable main\n";
        assert_eq!(
            lines(text, "bookworm"),
            [
                "deb http://mirror/debian bookworm main",
                "deb http://mirror/security bookworm-security main"
            ]
        );
    }
}
