use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Descriptor, Digest, History, ImageConfig, Index, Layout, Manifest, Platform, RootFs, Settings,
    layer::{self, Content, Entries, Entry},
    spec::{CONFIG, EPOCH, INDEX, LAYER, MANIFEST},
    tree,
};
use crate::{Error, Result, error::Doing};

/// Collects what an image consists of, and writes it as a layout.
///
/// Nothing is read before [`ImageBuilder::write`]. A later entry replaces an earlier one of
/// the same path. Everything is owned by root unless [`ImageBuilder::owner`] says otherwise,
/// but for trees, which keep their owners.
#[derive(Debug, Clone, Default)]
#[must_use = "an image exists once it is written"]
pub struct ImageBuilder {
    base: Option<PathBuf>,
    steps: Vec<Step>,
    changes: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Step {
    Add(PathBuf, Entry),
    Tree(PathBuf),
    Changes { before: PathBuf, after: PathBuf },
    Owner(PathBuf, u32, u32),
}

#[derive(Debug, Clone)]
enum Change {
    User(String),
    Entrypoint(Vec<String>),
    Cmd(Vec<String>),
    Env(String, String),
    Workdir(String),
    Port(u16),
    Volume(String),
    StopSignal(String),
    Label(String, String),
}

impl ImageBuilder {
    /// An empty image for this machine's architecture.
    pub fn new() -> Self {
        ImageBuilder::default()
    }

    /// Stands on the image in `layout`: its layers come first, and its settings apply
    /// unless they are changed.
    pub fn base(mut self, layout: impl Into<PathBuf>) -> Self {
        self.base = Some(layout.into());
        self
    }

    /// The content of a file of this machine, as `path` in the image.
    pub fn file(self, host: impl Into<PathBuf>, path: impl Into<PathBuf>, mode: u32) -> Self {
        let content = Content::Host {
            path: host.into(),
            inode: None,
        };
        self.add(path, mode, content)
    }

    /// A file with this content.
    pub fn bytes(self, path: impl Into<PathBuf>, mode: u32, content: impl AsRef<[u8]>) -> Self {
        self.add(path, mode, Content::Bytes(content.as_ref().to_vec()))
    }

    /// A folder.
    pub fn dir(self, path: impl Into<PathBuf>, mode: u32) -> Self {
        self.add(path, mode, Content::Folder)
    }

    /// A symbolic link.
    pub fn symlink(self, path: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        self.add(path, 0o777, Content::Symlink(target.into()))
    }

    /// Everything below a folder of this machine, as the root of the image: with owners,
    /// modes, symbolic and hard links, without devices, sockets, pipes and extended
    /// attributes.
    pub fn tree(mut self, root: impl Into<PathBuf>) -> Self {
        self.steps.push(Step::Tree(root.into()));
        self
    }

    /// What changed from the root file system `before` to `after`, like a container's
    /// layer: what is gone is marked as gone. `before` is what the base image unpacks to.
    pub fn changes(mut self, before: impl Into<PathBuf>, after: impl Into<PathBuf>) -> Self {
        self.steps.push(Step::Changes {
            before: before.into(),
            after: after.into(),
        });
        self
    }

    /// Gives an entry that was added before to somebody else.
    pub fn owner(mut self, path: impl Into<PathBuf>, user: u32, group: u32) -> Self {
        self.steps.push(Step::Owner(path.into(), user, group));
        self
    }

    /// Who runs it: a name or uid, with an optional `:group`.
    pub fn user(self, user: impl Into<String>) -> Self {
        self.change(Change::User(user.into()))
    }

    /// The program. What a base image had as arguments no longer applies.
    pub fn entrypoint<W: Into<String>>(self, words: impl IntoIterator<Item = W>) -> Self {
        self.change(Change::Entrypoint(collect(words)))
    }

    /// The program's arguments, or the program where there is no entry point.
    pub fn cmd<W: Into<String>>(self, words: impl IntoIterator<Item = W>) -> Self {
        self.change(Change::Cmd(collect(words)))
    }

    /// A variable.
    pub fn env(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.change(Change::Env(name.into(), value.into()))
    }

    /// Where the program starts.
    pub fn workdir(self, path: impl Into<String>) -> Self {
        self.change(Change::Workdir(path.into()))
    }

    /// A TCP port that it listens on.
    pub fn exposed_port(self, port: u16) -> Self {
        self.change(Change::Port(port))
    }

    /// A folder that holds data.
    pub fn volume(self, path: impl Into<String>) -> Self {
        self.change(Change::Volume(path.into()))
    }

    /// The signal that asks it to end, as `SIGINT`.
    pub fn stop_signal(self, signal: impl Into<String>) -> Self {
        self.change(Change::StopSignal(signal.into()))
    }

    /// Whatever else is to be known of it.
    pub fn label(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.change(Change::Label(name.into(), value.into()))
    }

    /// Writes the image as a layout, in place of what was in `layout`, and gives the
    /// digest of its manifest. What was there stays until the new one is complete.
    ///
    /// # Errors
    /// When the base is no layout, a path is none, or something cannot be read or written.
    pub fn write(&self, layout: impl AsRef<Path>) -> Result<Digest> {
        let target = layout.as_ref();
        let draft = target.with_added_extension(format!("new-{}", std::process::id()));
        remove(&draft)?;
        let written = self.write_into(&draft);
        if written.is_err() {
            // The failure itself is what the caller wants to know.
            let _ = fs::remove_dir_all(&draft);
        }
        let digest = written?;
        remove(target)?;
        fs::rename(&draft, target).doing(|| format!("moving {} into place", target.display()))?;
        Ok(digest)
    }

    fn write_into(&self, draft: &Path) -> Result<Digest> {
        let blobs = draft.join("blobs/sha256");
        fs::create_dir_all(&blobs).doing(|| format!("creating {}", blobs.display()))?;
        let (mut config, mut layers) = match &self.base {
            Some(base) => inherit(base, &blobs)?,
            None => (empty(), Vec::new()),
        };
        for change in &self.changes {
            change.apply(&mut config.config);
        }
        let entries = self.entries()?;
        if !entries.is_empty() {
            let path = blobs.join("layer");
            let written = layer::write(&entries, &path)?;
            keep(&path, &blobs, &written.digest)?;
            layers.push(descriptor(LAYER, written.digest, written.size));
            config.rootfs.diff_ids.push(written.diff_id);
            config.history.push(History {
                created: Some(EPOCH.to_owned()),
                created_by: "trackbed images".to_owned(),
                empty_layer: false,
            });
        }
        let platform = config.platform.clone();
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            config: blob(&blobs, CONFIG, &config)?,
            layers,
        };
        let mut manifest = blob(&blobs, MANIFEST, &manifest)?;
        manifest.platform = Some(platform);
        let digest = manifest.digest.clone();
        let index = Index {
            schema_version: 2,
            media_type: INDEX.to_owned(),
            manifests: vec![manifest],
        };
        write(&draft.join("index.json"), &json(draft, &index)?)?;
        write(
            &draft.join("oci-layout"),
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        Ok(digest)
    }

    fn entries(&self) -> Result<Entries> {
        let mut entries = Entries::new();
        for step in &self.steps {
            match step {
                Step::Add(path, entry) => {
                    entries.insert(layer::key(path)?, entry.clone());
                }
                Step::Tree(root) => tree::add(root, &mut entries)?,
                Step::Changes { before, after } => {
                    tree::add_changes(before, after, &mut entries)?;
                }
                Step::Owner(path, user, group) => {
                    let entry =
                        entries
                            .get_mut(&layer::key(path)?)
                            .ok_or_else(|| Error::Content {
                                path: path.clone(),
                                problem: "nothing was added under this path".to_owned(),
                            })?;
                    entry.owner = (*user, *group);
                }
            }
        }
        if self.base.is_none() {
            layer::add_parents(&mut entries);
        }
        Ok(entries)
    }

    fn add(mut self, path: impl Into<PathBuf>, mode: u32, content: Content) -> Self {
        self.steps
            .push(Step::Add(path.into(), Entry::root(mode, content)));
        self
    }

    fn change(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }
}

impl Change {
    fn apply(&self, settings: &mut Settings) {
        match self {
            Change::User(user) => settings.user.clone_from(user),
            Change::Entrypoint(words) => {
                settings.entrypoint.clone_from(words);
                settings.cmd.clear();
            }
            Change::Cmd(words) => settings.cmd.clone_from(words),
            Change::Env(name, value) => settings.set_variable(name, value),
            Change::Workdir(path) => settings.working_dir.clone_from(path),
            Change::Port(port) => {
                settings
                    .exposed_ports
                    .insert(format!("{port}/tcp"), serde_json::Map::new());
            }
            Change::Volume(path) => {
                settings
                    .volumes
                    .insert(path.clone(), serde_json::Map::new());
            }
            Change::StopSignal(signal) => settings.stop_signal.clone_from(signal),
            Change::Label(name, value) => {
                settings.labels.insert(name.clone(), value.clone());
            }
        }
    }
}

fn collect<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Vec<String> {
    words.into_iter().map(Into::into).collect()
}

fn empty() -> ImageConfig {
    ImageConfig {
        created: Some(EPOCH.to_owned()),
        platform: Platform::here(),
        config: Settings::default(),
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
        },
        history: Vec::new(),
    }
}

/// The configuration and layers of the image in `base`, its layers' blobs put into `blobs`.
fn inherit(base: &Path, blobs: &Path) -> Result<(ImageConfig, Vec<Descriptor>)> {
    let base = Layout::open(base)?;
    let layers = base.manifest()?.layers;
    for layer in &layers {
        let from = base.blob(&layer.digest)?;
        let to = blobs.join(from.file_name().unwrap_or_default());
        // A link costs no space; the cache may be spread over file systems.
        if fs::hard_link(&from, &to).is_err() && !to.exists() {
            fs::copy(&from, &to).doing(|| format!("copying {}", from.display()))?;
        }
    }
    Ok((base.config()?, layers))
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size,
        platform: None,
    }
}

fn blob(blobs: &Path, media_type: &str, document: &impl serde::Serialize) -> Result<Descriptor> {
    let content = json(blobs, document)?;
    let digest = Digest::of(&content);
    let path = blobs.join("document");
    write(&path, &content)?;
    keep(&path, blobs, &digest)?;
    Ok(descriptor(media_type, digest, content.len() as u64))
}

fn keep(draft: &Path, blobs: &Path, digest: &Digest) -> Result<()> {
    let target = blobs.join(digest.hex().unwrap_or_default());
    fs::rename(draft, &target).doing(|| format!("writing {}", target.display()))
}

fn json(path: &Path, document: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(document).map_err(|source| Error::Json {
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).doing(|| format!("writing {}", path.display()))
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).doing(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}
