use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{BaseImage, CLEANUP, PRELUDE, catalog, debian};
use crate::{Result, cache, cache::Workshop, error::Doing, oci::Layout, sandbox::Sandbox};

/// Folders that recipes share, so that packages are listed and downloaded once.
const SHARED: [(&str, &str); 2] = [
    ("debian/lists", "/var/lib/apt/lists"),
    ("debian/archives", "/var/cache/apt/archives"),
];

/// Where recipes run.
pub(super) struct Kitchen<'a> {
    workshop: &'a Workshop,
    /// Debian's image, unpacked; what has changed since is a recipe's work.
    before: Option<PathBuf>,
    listed: bool,
}

impl<'a> Kitchen<'a> {
    pub(super) fn new(workshop: &'a Workshop) -> Self {
        Kitchen {
            workshop,
            before: None,
            listed: false,
        }
    }

    /// Makes a Debian, and gives its folder.
    pub(super) fn debian(&self) -> Result<PathBuf> {
        let root = self.workshop.path("debian");
        cache::remove(&root)?;
        debian::bootstrap(&root)?;
        Sandbox::new(&root).script(&format!("{PRELUDE}\n{}\n{CLEANUP}", catalog::DEBIAN.recipe))?;
        Ok(root)
    }

    /// Runs the recipe of `image` in Debian's image, and gives the root file system as it
    /// was before and as it is now. The layout of Debian's image exists.
    pub(super) fn cook(&mut self, image: &BaseImage) -> Result<(PathBuf, PathBuf)> {
        let before = self.before()?;
        // No name twice: what an earlier image was made of may still be mapped.
        let after = self.workshop.path(image.name);
        Layout::open(catalog::DEBIAN.layout())?.unpack(&after)?;
        let mut sandbox = Sandbox::new(&after).with_network().env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        );
        for (name, value) in image.env {
            sandbox = sandbox.env(*name, *value);
        }
        for name in ["http_proxy", "https_proxy", "no_proxy"] {
            if let Ok(value) = std::env::var(name) {
                sandbox = sandbox.env(name, value);
            }
        }
        for (folder, path) in SHARED {
            sandbox = sandbox.bind(cache::shared(folder)?, path);
        }
        let mut guests = Vec::new();
        for (name, input) in image.inputs {
            let content = input.fetch(&self.workshop.path(&format!("{}.{name}", image.name)))?;
            let place = after.join("mnt").join(name);
            cache::create(&place)?;
            sandbox = sandbox.bind(content, format!("/mnt/{name}"));
            guests.push(place);
        }
        let resolver = after.join("etc/resolv.conf");
        fs::copy("/etc/resolv.conf", &resolver)
            .doing(|| format!("writing {}", resolver.display()))?;
        if !self.listed {
            sandbox.script(&format!("{PRELUDE}\npackages update"))?;
            self.listed = true;
        }
        sandbox.script(&image.script())?;
        remove_file(&resolver)?;
        for place in guests {
            fs::remove_dir(&place).doing(|| format!("removing {}", place.display()))?;
        }
        Ok((before, after))
    }

    fn before(&mut self) -> Result<PathBuf> {
        if let Some(before) = &self.before {
            return Ok(before.clone());
        }
        let before = self.workshop.path("before");
        Layout::open(catalog::DEBIAN.layout())?.unpack(&before)?;
        self.before = Some(before.clone());
        Ok(before)
    }
}

fn remove_file(path: &Path) -> Result<()> {
    fs::remove_file(path).doing(|| format!("removing {}", path.display()))
}
