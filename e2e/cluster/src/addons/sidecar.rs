//! The image of what is beside a Postgres server whose log is archived: the plugin's program and
//! Barman's, which are Python and come as wheels.

use std::{
    fs,
    path::{Path, PathBuf},
};

use images::{
    base::{self, BASE_IMAGES},
    oci::{ImageBuilder, Layout},
    sandbox::Sandbox,
};

use crate::{
    Result,
    error::Doing,
    paths::{cache, create_dir},
    tools,
};

/// The base image that it stands on.
const PYTHON: &str = "python-3.11-slim";
/// Where Barman is in it.
const HOME: &str = "/opt/barman";
const PATH: &str = "/opt/barman/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Python runs for every 16 MiB of the log, and may write nowhere: what it would compile each time is
/// compiled here. Files in an image have no times of their own to compare.
const INSTALL: &str = "python3 -m pip install --quiet --no-index --no-deps --no-compile \
     --root-user-action=ignore --prefix=/opt/barman /mnt/*.whl && \
     python3 -m compileall -q --invalidation-mode unchecked-hash -x /lib2to3/tests/ \
     /usr/local/lib/python3.11 /opt/barman/lib";
/// Where that is, for who compiles and who runs.
const COMPILED: (&str, &str) = ("PYTHONPYCACHEPREFIX", "/opt/barman/compiled");

/// Where the base image is, or will be: what it is made from is in the path.
fn python() -> PathBuf {
    let image = BASE_IMAGES.iter().find(|image| image.name == PYTHON);
    image.map(|image| image.layout()).unwrap_or_default()
}

/// Hash of what the base image is made from.
pub(super) fn base() -> String {
    let python = python();
    let hash = python.file_name().unwrap_or_default();
    hash.to_string_lossy().into_owned()
}

/// The image; what is made for it is kept in the cache under `tag`.
pub(super) fn image(tag: &str) -> Result<ImageBuilder> {
    base::ensure(&[PYTHON])?;
    let python = python();
    let barman = installed(&python, tag)?;
    Ok(ImageBuilder::new()
        .base(python)
        .tree(barman)
        .file(tools::BARMAN_CLOUD.path("manager")?, "/manager", 0o755)
        .env("PATH", PATH)
        .env("PYTHONPATH", "/opt/barman/lib/python3.11/site-packages")
        .env(COMPILED.0, COMPILED.1)
        .user("65532")
        .entrypoint(["/manager"])
        .cmd::<&str>([]))
}

/// A folder with Barman in it, as the root of an image has it, installed by the Python of the image in
/// `python`.
fn installed(python: &Path, tag: &str) -> Result<PathBuf> {
    let folder = cache().join("barman").join(tag);
    if folder.is_dir() {
        return Ok(folder);
    }
    let work = folder.with_added_extension(format!("new-{}", std::process::id()));
    remove(&work)?;
    let [wheels, root, done] = ["wheels", "root", "done"].map(|name| work.join(name));
    let requirements = tools::tools_folder().join("barman-cloud/requirements.txt");
    base::wheels(&requirements, &wheels)?;
    Layout::open(python)?.unpack(&root)?;
    let inside = HOME.trim_start_matches('/');
    for place in [root.join(inside), done.join(inside), root.join("mnt")] {
        create_dir(&place)?;
    }
    Sandbox::new(&root)
        .env("PATH", PATH)
        .env(COMPILED.0, COMPILED.1)
        .bind(wheels, "/mnt")
        .bind(done.join(inside), HOME)
        .script(INSTALL)?;
    match fs::rename(&done, &folder) {
        // Somebody else was faster with the same content.
        Err(_) if folder.is_dir() => {}
        other => other.doing(|| format!("keeping {}", folder.display()))?,
    }
    remove(&work)?;
    Ok(folder)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).doing(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_image_is_one() {
        assert!(!base().is_empty());
    }
}
