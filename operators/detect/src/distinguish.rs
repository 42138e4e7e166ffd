//! Layers that know the names of files.
//!
//! Kaniko finds a layer of an earlier build by what came before it: the instructions, and the
//! content of the files that they copied, in order. Of a folder it takes the content of the files
//! and not their names (`hashDir` in
//! <https://github.com/chainguard-dev/kaniko/blob/v1.25.1/pkg/executor/composite_cache.go>), so that
//! a renamed file is built from the layer that has the old name. An instruction that says the names
//! makes the difference.

use crate::declare::{instructions, words};

/// The build argument that says them.
const NAME: &str = "TRACKBED_PATHS";

/// What an instruction copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied {
    /// These paths of the build's context.
    Paths(Vec<String>),
    /// What is not known beforehand: the files of patterns, variables and other stages.
    Anything,
}

/// Inserts, before every instruction that copies, a build argument with what `names` says of its
/// files: a digest of their names. `None`: they are no folders. Everything else stays as it is.
pub fn distinguish(dockerfile: &str, names: impl Fn(&Copied) -> Option<String>) -> String {
    let mut text = String::with_capacity(dockerfile.len());
    let mut done = 0;
    for instruction in instructions(dockerfile) {
        if !matches!(instruction.name.as_str(), "copy" | "add") {
            continue;
        }
        let Some(digest) = copied(&instruction.rest).and_then(|it| names(&it)) else {
            continue;
        };
        text += dockerfile.get(done..instruction.begin).unwrap_or_default();
        text += &format!("ARG {NAME}={digest}\n");
        done = instruction.begin;
    }
    text + dockerfile.get(done..).unwrap_or_default()
}

/// What the arguments of a COPY or ADD name. `None`: nothing of the context or of a stage.
fn copied(rest: &str) -> Option<Copied> {
    let mut rest = rest.trim_start();
    while rest.starts_with("--") {
        let (flag, more) = rest.split_once(char::is_whitespace)?;
        if flag.starts_with("--from") {
            return Some(Copied::Anything);
        }
        rest = more.trim_start();
    }
    let list: Option<Vec<String>> = serde_json::from_str(rest).ok();
    let mut sources = list.or_else(|| words(rest)).unwrap_or_default();
    // The last one says where to.
    sources.pop();
    sources.retain(|source| !source.starts_with("<<") && !source.contains("://"));
    if sources.is_empty() {
        return None;
    }
    let plain = |source: &String| !source.contains(['$', '*', '?', '[', '\\', '"', '\'']);
    Some(match sources.iter().all(plain) {
        true => Copied::Paths(sources),
        false => Copied::Anything,
    })
}
