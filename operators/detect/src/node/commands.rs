//! What a package manager of Node is told to do.
//!
//! They are installed by npm, which knows of mirrors and proxies, and not by corepack.

use crate::{Context, dockerfile::Dockerfile, tree::is_plain_path, work::Work};

use super::{
    Package,
    manager::{Kind, Manager},
};

/// Most manifests of a workspace that are copied one by one.
const MANIFESTS_MAX: usize = 100;

/// Where npm keeps what it downloaded, unless it is told otherwise.
pub(crate) const NPM_CACHE: &str = "/root/.npm";

impl Manager {
    /// Installs the manager itself.
    pub(crate) fn prepare(&self, file: &mut Dockerfile) {
        let package = match (self.kind, &self.version) {
            (_, None) => return,
            (Kind::Berry, Some(version)) => {
                file.comment("The loader of Yarn's own is for few: everybody knows node_modules.");
                file.line("ENV YARN_NODE_LINKER=node-modules YARN_ENABLE_TELEMETRY=0");
                format!("@yarnpkg/cli-dist@{version}")
            }
            (kind, Some(version)) => format!("{}@{version}", kind.name()),
        };
        // The image has a yarn of its own.
        file.run(&format!(
            "npm install -g --force --no-audit --no-fund {package} && rm -rf {NPM_CACHE}"
        ));
    }

    /// Keeps what installs download out of the layers, where it would double them: it is read and
    /// unpacked by every build. Not pnpm's and bun's, whose modules are links to it.
    pub(crate) fn keep_downloads_aside(&self, file: &mut Dockerfile) {
        let variables: &[&str] = match self.kind {
            Kind::Npm => &["npm_config_cache=${TRACKBED_CACHE:-/tmp}/npm"],
            Kind::Classic => &["YARN_CACHE_FOLDER=${TRACKBED_CACHE:-/tmp}/yarn"],
            // Its mirror is a second copy of the same, in root's home.
            Kind::Berry => &[
                "YARN_ENABLE_GLOBAL_CACHE=0",
                "YARN_ENABLE_MIRROR=0",
                "YARN_CACHE_FOLDER=${TRACKBED_CACHE:-/tmp}/yarn",
            ],
            Kind::Pnpm | Kind::Bun => return,
        };
        file.comment("Downloads stay for the next build, where there is a place for them.");
        file.line(&format!("ENV {}", variables.join(" ")));
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
