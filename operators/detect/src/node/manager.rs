//! Package managers of Node, by lockfile.
//!
//! They are installed by npm, which knows of mirrors and proxies, and not by corepack.

use crate::{
    Context, Error, Subject,
    dockerfile::Dockerfile,
    known::{BUN, PNPM, YARN_BERRY, YARN_CLASSIC},
    manifest,
    tree::is_plain_path,
    version::parts,
    work::Work,
};

use super::Package;

/// Most manifests of a workspace that are copied one by one.
const MANIFESTS_MAX: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Npm,
    Pnpm,
    Classic,
    Berry,
    Bun,
}

impl Kind {
    fn name(self) -> &'static str {
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
    version: Option<String>,
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

impl Manager {
    /// Installs the manager itself.
    pub(crate) fn prepare(&self, file: &mut Dockerfile) {
        let package = match (self.kind, &self.version) {
            (_, None) => return,
            (Kind::Berry, Some(version)) => {
                file.comment("The loader of Yarn's own is for few: everybody knows node_modules.");
                file.line("ENV YARN_NODE_LINKER=node-modules YARN_ENABLE_TELEMETRY=0 YARN_ENABLE_GLOBAL_CACHE=0 YARN_CACHE_FOLDER=/tmp/yarn");
                format!("@yarnpkg/cli-dist@{version}")
            }
            (kind, Some(version)) => format!("{}@{version}", kind.name()),
        };
        // The image has a yarn of its own.
        file.run(&format!(
            "npm install -g --force --no-audit --no-fund {package}"
        ));
    }

    /// Whether a command line needs the manager.
    pub(crate) fn is_named_in(&self, command: &str) -> bool {
        let name = self.kind.name();
        self.kind != Kind::Npm
            && command
                .split(|c: char| !(c.is_ascii_alphanumeric() || "-_./@".contains(c)))
                .any(|word| word == name || (name == "bun" && word == "bunx"))
    }

    /// Copies what an install reads. False if all files must be there for it.
    pub(crate) fn copy_manifests(&self, work: &Work<'_>, file: &mut Dockerfile) -> bool {
        let files = match (&work.tree.root, self.context) {
            (Some(root), Context::Root) => &root.files,
            _ => &work.tree.files,
        };
        let mut top: Vec<&str> = vec!["package.json"];
        top.extend(self.lock);
        let others = [
            ".npmrc",
            "pnpm-workspace.yaml",
            ".pnpmfile.cjs",
            ".yarnrc",
            ".yarnrc.yml",
            "bunfig.toml",
        ];
        top.extend(others.into_iter().filter(|name| files.contains(*name)));
        file.copy(&top, "./");
        for folder in [".yarn", "patches"] {
            if files
                .range(format!("{folder}/")..)
                .next()
                .is_some_and(|it| it.starts_with(&format!("{folder}/")))
            {
                file.copy(&[folder], &format!("./{folder}/"));
            }
        }
        let nested: Vec<&str> = files
            .iter()
            .filter_map(|path| path.strip_suffix("/package.json"))
            .filter(|folder| !folder.contains("node_modules"))
            .collect();
        let workspace = self.context == Context::Root
            || files.contains("pnpm-workspace.yaml")
            || work
                .tree
                .read("package.json")
                .is_some_and(|it| it.contains("\"workspaces\""));
        if !workspace {
            return true;
        }
        if nested.len() > MANIFESTS_MAX || !nested.iter().all(|it| is_plain_path(it)) {
            return false;
        }
        for folder in nested {
            file.copy(&[format!("{folder}/package.json")], &format!("{folder}/"));
        }
        true
    }

    /// Installs everything, what the build needs included; or only what runs.
    pub(crate) fn install(&self, work: &Work<'_>, production: bool) -> String {
        let locked = self.lock.is_some();
        let command = match (self.kind, locked) {
            (Kind::Npm, true) => "npm ci --no-audit --no-fund",
            (Kind::Npm, false) => "npm install --no-audit --no-fund",
            (Kind::Pnpm, true) => "pnpm install --frozen-lockfile",
            (Kind::Pnpm, false) => "pnpm install --no-frozen-lockfile",
            (Kind::Classic, true) => "yarn install --frozen-lockfile --non-interactive",
            (Kind::Classic, false) => "yarn install --non-interactive",
            (Kind::Berry, true) => "yarn install --immutable",
            (Kind::Berry, false) => "yarn install --no-immutable",
            (Kind::Bun, true) => "bun install --frozen-lockfile",
            (Kind::Bun, false) => "bun install",
        };
        let production = match (production, self.kind) {
            (false, _) | (true, Kind::Berry) => "",
            (true, Kind::Npm) => " --omit=dev",
            (true, Kind::Pnpm) => " --prod",
            (true, Kind::Classic | Kind::Bun) => " --production",
        };
        match (self.kind, self.filter(work)) {
            (Kind::Pnpm, Some(path)) => {
                format!("{command}{production} --filter . --filter '{{./{path}}}...'")
            }
            _ => format!("{command}{production}"),
        }
    }

    /// Whether what only the build needs can be removed when a script made something in it.
    pub(crate) fn keeps_what_scripts_made(&self) -> bool {
        self.kind != Kind::Bun
    }

    /// Whether what only the build needs can be left out from the start.
    pub(crate) fn installs_production(&self) -> bool {
        self.kind != Kind::Berry
    }

    /// Whether an install leaves nothing behind but the modules, once npm's cache is removed.
    pub(crate) fn leaves_no_store(&self) -> bool {
        self.kind == Kind::Npm
    }

    /// Runs the script `build`; in a workspace, of what the application uses first.
    /// None: there is nothing to build.
    pub(crate) fn run_build(&self, work: &Work<'_>, package: &Package) -> Option<String> {
        let own = package.script("build").is_some();
        let own = own.then(|| format!("{} run build", self.kind.name()));
        if self.filter(work).is_none() {
            return own;
        }
        let used = super::workspace::builds(work, package);
        if self.kind == Kind::Pnpm {
            // With what it uses, or only that.
            let which = if own.is_some() { "{.}..." } else { "{.}^..." };
            return (own.is_some() || !used.is_empty())
                .then(|| format!("pnpm --fail-if-no-match --filter '{which}' run build"));
        }
        // The others know no order.
        let mut commands: Vec<String> = used
            .into_iter()
            .map(|folder| match self.kind {
                Kind::Npm => format!("npm --prefix /app/{folder} run build"),
                Kind::Bun => format!("bun run --cwd /app/{folder} build"),
                _ => format!("yarn --cwd /app/{folder} run build"),
            })
            .collect();
        commands.extend(own);
        (!commands.is_empty()).then(|| commands.join(" && "))
    }

    /// The application's folder in its workspace.
    fn filter<'a>(&self, work: &Work<'a>) -> Option<&'a str> {
        let root = work.tree.root.as_ref()?;
        (self.context == Context::Root).then_some(root.path.as_str())
    }

    /// Removes what only the build needs.
    pub(crate) fn prune(&self, work: &Work<'_>, folder: &str, file: &mut Dockerfile) {
        if self.lock.is_none() && matches!(self.kind, Kind::Pnpm | Kind::Bun | Kind::Classic) {
            return;
        }
        let workspace = self.context == Context::Root;
        file.comment("What only the build needs stays here.");
        let command = match self.kind {
            Kind::Npm => "npm prune --omit=dev --ignore-scripts --no-audit --no-fund".to_owned(),
            Kind::Pnpm => {
                // pnpm's own prune knows no workspaces, and asks before it removes unless in CI.
                let filter = self.filter(work).map(|path| format!(" --filter '{{./{path}}}...'"));
                format!(
                    "CI=true pnpm install --prod --frozen-lockfile --prefer-offline --ignore-scripts --config.modules-cache-max-age=0{}",
                    filter.unwrap_or_default()
                )
            }
            Kind::Classic => {
                "yarn install --production --frozen-lockfile --ignore-scripts --prefer-offline --non-interactive"
                    .to_owned()
            }
            Kind::Berry => "yarn workspaces focus --production".to_owned(),
            // Bun removes nothing that is there.
            Kind::Bun => "rm -rf node_modules && bun install --production --frozen-lockfile".to_owned(),
        };
        // Yarn berry means the package of the folder it is in, all others mean the workspace.
        if workspace && self.kind != Kind::Berry {
            file.line("WORKDIR /app");
            file.run(&command);
            file.line(&format!("WORKDIR {folder}"));
        } else {
            file.run(&command);
        }
    }
}
