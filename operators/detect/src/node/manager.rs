//! Which package manager a project has: by its lockfile, or as it says.

use crate::{
    Context, Error, Subject,
    known::{BUN, PNPM, YARN_BERRY, YARN_CLASSIC},
    manifest,
    version::parts,
    work::Work,
};

use super::Package;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Npm,
    Pnpm,
    Classic,
    Berry,
    Bun,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Classic | Self::Berry => "yarn",
            Self::Bun => "bun",
        }
    }
}

/// The package manager of a project.
#[derive(Debug)]
pub(crate) struct Manager {
    pub(crate) kind: Kind,
    /// Version to install; none where the image's own does.
    pub(crate) version: Option<String>,
    pub(crate) lock: Option<&'static str>,
    pub(crate) context: Context,
}

/// Lockfiles, the surest first.
const LOCKS: &[(&str, Kind)] = &[
    ("pnpm-lock.yaml", Kind::Pnpm),
    ("bun.lock", Kind::Bun),
    ("bun.lockb", Kind::Bun),
    ("yarn.lock", Kind::Classic),
    ("package-lock.json", Kind::Npm),
    ("npm-shrinkwrap.json", Kind::Npm),
];

/// Finds the manager: in the folder, else at the root of the workspace.
pub(crate) fn find(work: &mut Work<'_>, package: &Package) -> Result<Manager, Error> {
    let own: Vec<_> = LOCKS
        .iter()
        .filter(|(lock, _)| work.tree.has(lock))
        .collect();
    let above: Vec<_> = LOCKS
        .iter()
        .filter(|(lock, _)| work.tree.root_has(lock))
        .collect();
    let (context, locks) = if own.is_empty() && is_workspace(work)? {
        (Context::Root, above)
    } else {
        (Context::Folder, own)
    };
    let pinned = pin(work, package, context)?;
    let lock = match &pinned {
        Some((kind, ..)) => locks
            .iter()
            .find(|(_, it)| it.name() == kind.name())
            .or(locks.first()),
        None => locks.first(),
    };
    let kind = match (&pinned, lock) {
        (Some((kind, ..)), _) => *kind,
        (None, Some((lock, Kind::Classic))) => yarn(work, lock),
        (None, Some((_, kind))) => *kind,
        (None, None) => Kind::Npm,
    };
    let lock = lock
        .filter(|(_, it)| it.name() == kind.name())
        .map(|(lock, _)| *lock);
    let (version, from) = match pinned {
        Some((_, version, from)) => (Some(version), Some(from)),
        None => (default_version(work, kind), lock.map(str::to_owned)),
    };
    let text = match &version {
        Some(version) => format!("{} {version}", kind.name()),
        None => kind.name().to_owned(),
    };
    work.say(
        Subject::Manager,
        &text,
        Some(from.as_deref().unwrap_or("default")),
    );
    let names: Vec<&str> = locks.iter().map(|(lock, _)| *lock).collect();
    if names.len() > 1 {
        work.warn(format!(
            "there are several lockfiles ({}): remove those that are not of {}",
            names.join(", "),
            kind.name()
        ));
    } else if lock.is_none() {
        work.warn(format!(
            "there is no lockfile of {}: versions of dependencies may change from build to build",
            kind.name()
        ));
    }
    Ok(Manager {
        kind,
        version,
        lock,
        context,
    })
}

/// Whether the repository's root is a workspace of packages.
fn is_workspace(work: &Work<'_>) -> Result<bool, Error> {
    let Some(root) = &work.tree.root else {
        return Ok(false);
    };
    if root.files.contains("pnpm-workspace.yaml") {
        return Ok(true);
    }
    let Some(text) = root.content.get("package.json") else {
        return Ok(false);
    };
    let package = manifest::json("package.json of the repository's root", text)?;
    Ok(!package["workspaces"].is_null())
}

/// `packageManager`, like `pnpm@9.12.0+sha512.…`.
/// <https://nodejs.org/api/packages.html#packagemanager>
fn pin(
    work: &Work<'_>,
    package: &Package,
    context: Context,
) -> Result<Option<(Kind, String, String)>, Error> {
    let above = match (&work.tree.root, context) {
        (Some(root), Context::Root) => root.content.get("package.json"),
        _ => None,
    };
    let above = above
        .map(|text| manifest::json("package.json", text))
        .transpose()?;
    let said = above
        .as_ref()
        .and_then(|it| it["packageManager"].as_str())
        .or_else(|| package.0["packageManager"].as_str());
    let Some(said) = said else { return Ok(None) };
    let wrong = || {
        let shown: String = said.chars().take(60).collect();
        Error::Unusable(format!(
            "package.json: packageManager {shown:?} is not understood: write NAME@VERSION with npm, pnpm, yarn or bun, like pnpm@10.4.1"
        ))
    };
    let (name, version) = said.split_once('@').ok_or_else(wrong)?;
    let version = version.split('+').next().unwrap_or_default();
    let number = parts(version).ok_or_else(wrong)?;
    let kind = match (name, number.first()) {
        ("npm", _) => Kind::Npm,
        ("pnpm", _) => Kind::Pnpm,
        ("bun", _) => Kind::Bun,
        ("yarn", Some(0 | 1)) => Kind::Classic,
        ("yarn", _) => Kind::Berry,
        _ => return Err(wrong()),
    };
    Ok(Some((
        kind,
        version.to_owned(),
        "packageManager in package.json".to_owned(),
    )))
}

/// Which yarn a lockfile is of: berry's begins with its metadata.
fn yarn(work: &Work<'_>, lock: &str) -> Kind {
    let berry = work.tree.read_up(".yarnrc.yml").is_some()
        || work
            .tree
            .read_up(lock)
            .is_some_and(|text| text.contains("\n__metadata:"));
    if berry { Kind::Berry } else { Kind::Classic }
}

fn default_version(work: &Work<'_>, kind: Kind) -> Option<String> {
    let version = match kind {
        Kind::Npm => return None,
        Kind::Pnpm => {
            let lock = work.tree.read_up("pnpm-lock.yaml").unwrap_or_default();
            let line = lock
                .lines()
                .find_map(|line| line.strip_prefix("lockfileVersion:"));
            // Each format belongs to one major version: <https://pnpm.io/installation#compatibility>.
            match line.map(|it| it.trim().trim_matches(['\'', '"'])) {
                Some(format) if format.starts_with("5.") => "7",
                Some(format) if format.starts_with("6.") => "8",
                _ => PNPM,
            }
        }
        Kind::Classic => YARN_CLASSIC,
        Kind::Berry => YARN_BERRY,
        Kind::Bun => BUN,
    };
    Some(version.to_owned())
}
