//! Layouts are deterministic, complete and readable.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::Path,
};

use expect_test::expect;
use flate2::read::GzDecoder;
use images::oci::{Digest, ImageBuilder, Layout};

fn write(path: &Path, content: &str, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The entries of an image's layers as `ls` would show them.
fn listing(layout: &Path) -> String {
    let layout = Layout::open(layout).unwrap();
    let mut lines = String::new();
    for layer in layout.manifest().unwrap().layers {
        lines += "layer\n";
        let blob = File::open(layout.blob(&layer.digest).unwrap()).unwrap();
        let mut archive = tar::Archive::new(GzDecoder::new(blob));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            let header = entry.header();
            assert_eq!(header.mtime().unwrap(), 0);
            let link = entry.link_name().unwrap();
            lines += &format!(
                "  {:?} {:o} {}:{} {}{} {content}\n",
                header.entry_type(),
                header.mode().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap(),
                entry.path().unwrap().display(),
                link.map_or(String::new(), |link| format!(" -> {}", link.display())),
            );
        }
    }
    lines
}

fn sample(host: &Path) -> ImageBuilder {
    write(&host.join("program"), "#!/bin/sh", 0o600);
    ImageBuilder::new()
        .file(host.join("program"), "/usr/local/bin/program", 0o755)
        .bytes("/etc/passwd", 0o644, "root:x:0:0::/:\n")
        .dir("/tmp", 0o1777)
        .dir("/data", 0o700)
        .owner("/data", 999, 998)
        .symlink("/bin", "usr/local/bin")
        .user("999")
        .entrypoint(["/usr/local/bin/program"])
        .cmd(["serve"])
        .env("PATH", "/usr/local/bin")
        .env("PATH", "/usr/local/bin:/usr/bin")
        .workdir("/data")
        .exposed_port(8080)
        .volume("/data")
        .stop_signal("SIGINT")
        .label("who", "me")
}

#[test]
fn the_digest_depends_on_the_content_alone() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let image = other.path().join("image");
    let digest = sample(one.path()).write(one.path().join("image")).unwrap();
    fs::create_dir(&image).unwrap();
    assert_eq!(sample(other.path()).write(&image).unwrap(), digest);
    // Again over what is there, and in another order.
    assert_eq!(sample(other.path()).write(&image).unwrap(), digest);
    let changed = sample(one.path()).bytes("/etc/passwd", 0o644, "");
    assert_ne!(changed.write(&image).unwrap(), digest);
    let left: Vec<_> = fs::read_dir(other.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn every_blob_is_what_its_name_says() {
    let host = tempfile::tempdir().unwrap();
    let image = host.path().join("image");
    let digest = sample(host.path()).write(&image).unwrap();
    let layout = Layout::open(&image).unwrap();
    assert_eq!(layout.digest(), &digest);
    let blobs: Vec<_> = fs::read_dir(image.join("blobs/sha256"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(blobs.len(), 3);
    for blob in blobs {
        let name = blob.file_name().unwrap().to_str().unwrap();
        assert_eq!(Digest::of_file(&blob).unwrap().hex(), Some(name));
    }
    let manifest = layout.manifest().unwrap();
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        let path = layout.blob(&blob.digest).unwrap();
        assert_eq!(path.metadata().unwrap().len(), blob.size);
    }
    let mut plain = Vec::new();
    let layer = File::open(layout.blob(&manifest.layers[0].digest).unwrap()).unwrap();
    GzDecoder::new(layer).read_to_end(&mut plain).unwrap();
    let config = layout.config().unwrap();
    assert_eq!(config.rootfs.diff_ids, [Digest::of(&plain)]);
    assert_eq!(
        fs::read_to_string(image.join("oci-layout")).unwrap(),
        r#"{"imageLayoutVersion":"1.0.0"}"#
    );
}

#[test]
fn layers_and_settings_are_as_asked() {
    let host = tempfile::tempdir().unwrap();
    let image = host.path().join("image");
    sample(host.path()).write(&image).unwrap();
    expect![[r#"
        layer
          Symlink 777 0:0 bin -> usr/local/bin 
          Directory 700 999:998 data 
          Directory 755 0:0 etc 
          Regular 644 0:0 etc/passwd root:x:0:0::/:

          Directory 1777 0:0 tmp 
          Directory 755 0:0 usr 
          Directory 755 0:0 usr/local 
          Directory 755 0:0 usr/local/bin 
          Regular 755 0:0 usr/local/bin/program #!/bin/sh
    "#]]
    .assert_eq(&listing(&image));
    let mut config = Layout::open(&image).unwrap().config().unwrap();
    config.platform.architecture = "HERE".to_owned();
    config.rootfs.diff_ids.clear();
    expect![[r#"
        {
          "created": "1970-01-01T00:00:00Z",
          "architecture": "HERE",
          "os": "linux",
          "config": {
            "User": "999",
            "ExposedPorts": {
              "8080/tcp": {}
            },
            "Env": [
              "PATH=/usr/local/bin:/usr/bin"
            ],
            "Entrypoint": [
              "/usr/local/bin/program"
            ],
            "Cmd": [
              "serve"
            ],
            "Volumes": {
              "/data": {}
            },
            "WorkingDir": "/data",
            "Labels": {
              "who": "me"
            },
            "StopSignal": "SIGINT"
          },
          "rootfs": {
            "type": "layers",
            "diff_ids": []
          },
          "history": [
            {
              "created": "1970-01-01T00:00:00Z",
              "created_by": "trackbed images"
            }
          ]
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&config).unwrap());
}

#[test]
fn an_image_extends_another() {
    let host = tempfile::tempdir().unwrap();
    let (base, image) = (host.path().join("base"), host.path().join("image"));
    sample(host.path()).write(&base).unwrap();
    ImageBuilder::new()
        .base(&base)
        .bytes("/usr/local/bin/other", 0o755, "other")
        .entrypoint(["/usr/local/bin/other"])
        .env("MORE", "yes")
        .user("0:0")
        .write(&image)
        .unwrap();
    let (below, above) = (Layout::open(&base).unwrap(), Layout::open(&image).unwrap());
    let lower = below.manifest().unwrap().layers;
    assert_eq!(above.manifest().unwrap().layers[..1], lower);
    // The folders of the base keep what they are: only what was added is in the layer.
    assert!(listing(&image).ends_with("layer\n  Regular 755 0:0 usr/local/bin/other other\n"));
    let settings = above.config().unwrap().config;
    assert_eq!(settings.entrypoint, ["/usr/local/bin/other"]);
    assert!(settings.cmd.is_empty());
    assert_eq!(settings.user, "0:0");
    assert_eq!(settings.working_dir, "/data");
    assert_eq!(settings.variable("PATH"), Some("/usr/local/bin:/usr/bin"));
    assert_eq!(settings.variable("MORE"), Some("yes"));
    // The base may go away.
    fs::remove_dir_all(&base).unwrap();
    assert_eq!(listing(&image).matches("layer\n").count(), 2);
}

/// What is below `root`: kind, mode, owner and content by path.
fn tree(root: &Path) -> BTreeMap<String, String> {
    fn visit(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if metadata.is_dir() {
                visit(root, &path, found);
                "folder".to_owned()
            } else {
                fs::read_to_string(&path).unwrap()
            };
            let (mode, uid, gid) = (metadata.mode(), metadata.uid(), metadata.gid());
            let name = path.strip_prefix(root).unwrap().display().to_string();
            found.insert(name, format!("{mode:o} {uid}:{gid} {content}"));
        }
    }
    let mut found = BTreeMap::new();
    visit(root, root, &mut found);
    found
}

#[test]
fn a_tree_comes_back_as_it_was() {
    let host = tempfile::tempdir().unwrap();
    let root = host.path().join("root");
    let long = format!("usr/share/{}/{}", "long".repeat(30), "name".repeat(30));
    write(&root.join("usr/bin/su"), "su", 0o4755);
    write(&root.join("usr/bin-first"), "sorted", 0o644);
    write(&root.join(&long), "long", 0o640);
    write(&root.join("etc/Főtanúsítvány.crt"), "letters", 0o444);
    fs::hard_link(root.join("usr/bin/su"), root.join("usr/bin/another")).unwrap();
    symlink("usr/bin", root.join("bin")).unwrap();
    symlink(format!("/{long}"), root.join("absolute")).unwrap();
    fs::create_dir(root.join("private")).unwrap();
    fs::set_permissions(root.join("private"), fs::Permissions::from_mode(0o1770)).unwrap();
    let is_root = root.metadata().unwrap().uid() == 0;
    if is_root {
        chown(root.join("private"), Some(999), Some(998)).unwrap();
        chown(root.join(&long), Some(70_000), Some(65_532)).unwrap();
    }
    let image = host.path().join("image");
    ImageBuilder::new().tree(&root).write(&image).unwrap();
    if !is_root {
        // Ownership cannot be given away; what the archive says is all that can be seen.
        assert!(listing(&image).contains(" private "));
        return;
    }
    let copy = host.path().join("copy");
    Layout::open(&image).unwrap().unpack(&copy).unwrap();
    assert_eq!(tree(&copy), tree(&root));
    let inode = |path: &str| copy.join(path).metadata().unwrap().ino();
    assert_eq!(inode("usr/bin/su"), inode("usr/bin/another"));
}

#[test]
fn changes_of_a_tree_are_a_layer() {
    let host = tempfile::tempdir().unwrap();
    let (before, after) = (host.path().join("before"), host.path().join("after"));
    for root in [&before, &after] {
        write(&root.join("same/file"), "same", 0o644);
        write(&root.join("usr/bin/tool"), "one", 0o755);
        write(&root.join("usr/lib/library"), "library", 0o644);
        write(&root.join("gone/deep/file"), "gone", 0o644);
        write(&root.join("turned/file"), "turned", 0o644);
        symlink("usr/bin", root.join("bin")).unwrap();
    }
    write(&after.join("usr/bin/tool"), "two", 0o755);
    write(&after.join("usr/bin/new"), "new", 0o755);
    fs::set_permissions(
        after.join("usr/lib/library"),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    fs::remove_dir_all(after.join("gone/deep")).unwrap();
    fs::remove_dir_all(after.join("turned")).unwrap();
    symlink("usr", after.join("turned")).unwrap();

    let (base, image) = (host.path().join("base"), host.path().join("image"));
    ImageBuilder::new().tree(&before).write(&base).unwrap();
    ImageBuilder::new()
        .base(&base)
        .changes(&before, &after)
        .write(&image)
        .unwrap();
    let layer = listing(&image);
    let layer = layer.rsplit_once("layer\n").unwrap().1;
    for (kept, path) in [
        (true, "usr/bin/tool two"),
        (true, "usr/bin/new new"),
        (true, "600 0:0 usr/lib/library library"),
        (true, "gone/.wh.deep"),
        (true, "turned -> usr"),
        (false, "same"),
        (false, " bin "),
        (false, "turned/"),
    ] {
        assert_eq!(layer.contains(path), kept, "{path} in\n{layer}");
    }
    let copy = host.path().join("copy");
    Layout::open(&image).unwrap().unpack(&copy).unwrap();
    assert_eq!(tree(&copy), tree(&after));
}

#[test]
fn what_cannot_be_in_an_image_is_refused() {
    let host = tempfile::tempdir().unwrap();
    let image = host.path().join("image");
    let fails = |builder: ImageBuilder| builder.write(&image).unwrap_err().to_string();
    assert_eq!(
        fails(ImageBuilder::new().dir("/a/../../b", 0o755)),
        "/a/../../b: no path in an image"
    );
    assert_eq!(
        fails(ImageBuilder::new().dir("/", 0o755)),
        "/: no path in an image"
    );
    assert_eq!(
        fails(ImageBuilder::new().owner("/data", 1, 1)),
        "/data: nothing was added under this path"
    );
    assert!(
        fails(ImageBuilder::new().file("/nowhere/at/all", "/file", 0o644))
            .starts_with("adding /file to the layer: /nowhere/at/all: ")
    );
    assert!(fails(ImageBuilder::new().base("/nowhere")).starts_with("reading /nowhere/index.json"));
    assert_eq!(fs::read_dir(host.path()).unwrap().count(), 0);
}
