//! Base images in the cache of a build, as Kaniko's `--cache-dir` has them: `DIGEST` is an archive as
//! `docker save` writes one, and `DIGEST.json` the manifest that the registry has.
//!
//! Kaniko neither looks whether an archive is whole nor at what is in it. One that is being written has
//! another name; and one that is not known to be on the disk is not used by another build, for a node may
//! lose its power.
//!
//! `DIGEST.is` has the digest of the image that an index with this digest names for this kind of processor.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde_json::json;
use tar::{Builder, Header};

/// Digests of the images that the build at hand has.
const LIST: &str = "bases";
/// Begins the name of what is not whole.
const PART: &str = "part-";

/// The folder with the images.
pub(crate) struct Store {
    folder: PathBuf,
}

/// An image to be put there.
pub(super) struct Archive<'a> {
    /// Digest of the manifest, and as it is at the registry.
    pub(super) digest: &'a str,
    pub(super) manifest: &'a [u8],
    pub(super) config: &'a [u8],
    /// Files with the uncompressed layers, the lowest first.
    pub(super) layers: &'a [PathBuf],
}

impl Store {
    /// The images in a folder.
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// Says which images the build at hand has.
    pub(super) fn list(&self, digests: &[String]) -> io::Result<()> {
        create(&self.folder.join(LIST), digests.join("\n").as_bytes())
    }

    /// After a build: has its images on the disk for the next ones. Whether there are any.
    pub(crate) fn settle(&self) -> io::Result<bool> {
        let mut list = String::new();
        match crate::cache::read(&self.folder.join(LIST)) {
            Ok(file) => file.take(1 << 16).read_to_string(&mut list)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let is_digest = |it: &&str| crate::cache::is_digest(it);
        for digest in list.lines().filter(is_digest) {
            let settled = self.settled(digest);
            if settled.symlink_metadata().is_err() {
                for path in [self.archive(digest), self.manifest(digest)] {
                    crate::cache::read(&path)?.sync_data()?;
                }
                File::create_new(settled)?;
            }
        }
        Ok(!list.is_empty())
    }

    /// The image that is there for a digest, its own or that of an index. It counts as used then.
    pub(super) fn find(&self, digest: &str) -> Option<String> {
        let meant = self.meant(digest);
        let mut own = String::new();
        if let Ok(file) = crate::cache::read(&meant) {
            touch(&meant).ok()?;
            file.take(100).read_to_string(&mut own).ok()?;
        }
        let image = if own.is_empty() { digest } else { &own };
        let known = crate::cache::is_digest(image) && self.has(image);
        known.then(|| image.to_owned())
    }

    fn has(&self, digest: &str) -> bool {
        let files = [
            self.archive(digest),
            self.manifest(digest),
            self.settled(digest),
        ];
        files.iter().all(|path| touch(path).is_ok())
    }

    /// Bytes that an image may take, of which its layers are there for a moment beside the archive:
    /// half of what the cache may, and no more than leaves room for what builds put there.
    pub(super) fn room(&self, cache: u64) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.folder)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        Ok((cache / 2).min(free / 3))
    }

    /// Where to put a part of an image that is not there yet.
    pub(super) fn part(&self, at: usize) -> PathBuf {
        self.folder.join(format!("{PART}{at}"))
    }

    /// Removes parts, also those of a build that was ended.
    pub(super) fn clear(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(PART) {
                let _stays = fs::remove_file(entry.path());
            }
        }
    }

    /// Puts an image there. The files with its layers go.
    pub(super) fn put(&self, image: &Archive<'_>) -> io::Result<()> {
        let part = self.folder.join(format!("{PART}archive"));
        let digest = image.digest;
        write(image, BufWriter::new(File::create_new(&part)?))?;
        let _none = fs::remove_file(self.settled(digest));
        create(&self.manifest(digest), image.manifest)?;
        fs::rename(part, self.archive(digest))
    }

    /// Says which image an index names.
    pub(super) fn name(&self, index: &str, digest: &str) -> io::Result<()> {
        create(&self.meant(index), digest.as_bytes())
    }

    fn meant(&self, index: &str) -> PathBuf {
        self.folder.join(format!("{index}.is"))
    }

    fn archive(&self, digest: &str) -> PathBuf {
        self.folder.join(digest)
    }

    fn manifest(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.json"))
    }

    fn settled(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.settled"))
    }
}

/// Kaniko takes no image that is older than two weeks, and of the cache goes first what was not used.
fn touch(path: &Path) -> io::Result<()> {
    let file = File::options().append(true).open(path)?;
    file.set_modified(SystemTime::now())
}

/// Writes a file in the place of another, not through a link.
fn create(path: &Path, data: &[u8]) -> io::Result<()> {
    let _none = fs::remove_file(path);
    File::create_new(path)?.write_all(data)
}

/// Writes an archive: <https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format>.
fn write(image: &Archive<'_>, to: impl Write) -> io::Result<()> {
    let mut archive = Builder::new(to);
    let mut add = |name: &str, size: u64, data: &mut dyn Read| {
        let mut header = Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, data)
    };
    let mut names = Vec::new();
    for (at, path) in image.layers.iter().enumerate() {
        let name = format!("{at}.tar");
        let mut layer = File::open(path)?;
        add(&name, layer.metadata()?.len(), &mut layer)?;
        fs::remove_file(path)?;
        names.push(name);
    }
    let mut put = |name: &str, data: &[u8]| add(name, data.len() as u64, &mut &*data);
    put("config.json", image.config)?;
    let list = json!([{"Config": "config.json", "RepoTags": [], "Layers": names}]);
    put("manifest.json", list.to_string().as_bytes())?;
    archive.into_inner()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tar::Archive as Reader;

    const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    const INDEX: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn put(store: &Store, folder: &Path) {
        let layers = ["x", "y"].map(|it| folder.join(it));
        for (path, data) in layers.iter().zip(["lower", "upper"]) {
            fs::write(path, data).expect("a file");
        }
        let image = Archive {
            digest: DIGEST,
            manifest: b"manifest",
            config: b"config",
            layers: &layers,
        };
        store.put(&image).expect("it is written");
        store.name(INDEX, DIGEST).expect("it is written");
    }

    #[test]
    fn an_archive_has_what_its_manifest_names() {
        let folder = tempfile::tempdir().expect("a folder");
        put(&Store::new(folder.path()), folder.path());
        let file = File::open(folder.path().join(DIGEST)).expect("a file");
        let mut found = String::new();
        for entry in Reader::new(file).entries().expect("an archive") {
            let mut entry = entry.expect("an entry");
            found += &format!("{}: ", entry.path().expect("a path").display());
            entry.read_to_string(&mut found).expect("text");
            found += "\n";
        }
        expect_test::expect![[r#"
            0.tar: lower
            1.tar: upper
            config.json: config
            manifest.json: [{"Config":"config.json","Layers":["0.tar","1.tar"],"RepoTags":[]}]
        "#]]
        .assert_eq(&found);
        assert!(!folder.path().join("x").exists(), "its layers go");
        let manifest = folder.path().join(format!("{DIGEST}.json"));
        assert_eq!(fs::read(manifest).expect("a file"), b"manifest");
    }

    #[test]
    fn an_image_is_used_again_once_it_is_on_the_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::new(folder.path());
        assert!(!store.settle().expect("nothing to do"));
        put(&store, folder.path());
        assert_eq!(store.find(INDEX), None, "nobody knows whether it is whole");
        store
            .list(&[DIGEST.to_owned(), "../x".to_owned()])
            .expect("a file");
        assert!(store.settle().expect("it is there"));
        assert!(store.settle().expect("it is there still"));
        for digest in [DIGEST, INDEX] {
            assert_eq!(store.find(digest).as_deref(), Some(DIGEST));
        }
        fs::remove_file(folder.path().join(format!("{DIGEST}.json"))).expect("a file");
        assert_eq!(store.find(DIGEST), None, "the cache was trimmed");
        store.list(&[]).expect("no file");
        assert!(!store.settle().expect("nothing to do"), "a build without");
    }
    #[test]
    fn what_a_build_left_that_was_ended_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::new(folder.path());
        fs::write(store.part(0), "half of a layer").expect("a file");
        fs::write(folder.path().join("programs"), "").expect("a file");
        store.clear();
        assert!(!store.part(0).exists());
        assert!(folder.path().join("programs").exists());
    }

    #[test]
    fn an_image_takes_half_of_the_cache_at_most() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::new(folder.path());
        assert_eq!(store.room(1000).expect("a disk"), 500);
        let free = store.room(u64::MAX).expect("a disk");
        assert!(free < u64::MAX / 2, "{free}");
    }
}
