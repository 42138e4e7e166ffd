use std::os::unix::fs::symlink;

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use super::*;

const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
const GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
const ROOM: u64 = 1 << 20;

fn digest(data: &[u8]) -> String {
    let digits: String = Sha256::digest(data)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{digits}")
}

/// As Kaniko writes one: a layer of one kind, whose configuration says that `content` is in it.
fn image(folder: &Path, media_type: &str, layer: &[u8], content: &[u8]) {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("a folder");
    let put = |data: &[u8]| {
        let digest = digest(data);
        fs::write(blob(folder, &digest).expect("a digest"), data).expect("a file");
        json!({"digest": digest, "size": data.len()})
    };
    let config = json!({"rootfs": {"type": "layers", "diff_ids": [digest(content)]}});
    let mut layer = put(layer);
    layer["mediaType"] = media_type.into();
    let manifest = json!({
        "schemaVersion": 2,
        "config": put(config.to_string().as_bytes()),
        "layers": [layer],
    });
    let index = json!({"schemaVersion": 2, "manifests": [put(manifest.to_string().as_bytes())]});
    fs::write(folder.join("index.json"), index.to_string()).expect("a file");
}

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 0).expect("it is compressed")
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("memory");
    encoder.finish().expect("it is compressed")
}

fn content(of: u8) -> Vec<u8> {
    vec![of; 100_000]
}

/// A cache with a layer `a` by zstd and `b` by gzip, and an image with a layer of its own.
fn folders(own: u8) -> (TempDir, TempDir) {
    let cache = tempfile::tempdir().expect("a folder");
    let (a, b) = (content(b'a'), content(b'b'));
    image(&cache.path().join("layers:a"), ZSTD, &zstd(&a), &a);
    image(&cache.path().join("layers:b"), GZIP, &gzip(&b), &b);
    let layout = tempfile::tempdir().expect("a folder");
    let own = content(own);
    image(layout.path(), ZSTD, &zstd(&own), &own);
    (cache, layout)
}

/// Type, size, digest and content of a cached layer, as somebody finds it who starts at the index.
fn found(cache: &TempDir, name: &str) -> (String, u64, String, Vec<u8>) {
    let image = Image::read(&cache.path().join(name)).expect("an image");
    let descriptor = &image.index["manifests"][0];
    let manifest = image.blob(text(&descriptor["digest"])).expect("a digest");
    let manifest = fs::read(manifest).expect("a manifest");
    assert_eq!(descriptor["size"], manifest.len());
    assert_eq!(descriptor["digest"], digest(&manifest));
    let layer = &image.manifest["layers"][0];
    let data = image.blob(image.layer_digest()).expect("a digest");
    let data = fs::read(data).expect("a layer");
    assert_eq!(text(&layer["digest"]), digest(&data));
    (
        image.layer_type().to_owned(),
        layer["size"].as_u64().expect("a size"),
        image.layer_digest().to_owned(),
        data,
    )
}

fn files(cache: &TempDir, name: &str) -> usize {
    let blobs = cache.path().join(name).join("blobs/sha256");
    fs::read_dir(blobs).expect("a folder").count()
}

#[test]
fn layers_that_no_image_has_are_uncompressed_and_nothing_else_is_left() {
    let (cache, layout) = folders(b'o');
    let done = uncompress(cache.path(), layout.path(), ROOM, Type::Own).expect("an image");
    assert_eq!(done.layers, 2);
    let (a, b) = (content(b'a'), content(b'b'));
    let compressed = zstd(&a).len() + gzip(&b).len();
    assert_eq!(done.bytes, 200_000 - compressed as u64);
    let plain = |kind: &str, data: Vec<u8>| (kind.to_owned(), 100_000, digest(&data), data);
    let oci = "application/vnd.oci.image.layer.v1.tar";
    let docker = "application/vnd.docker.image.rootfs.diff.tar";
    assert_eq!(found(&cache, "layers:a"), plain(oci, a));
    assert_eq!(found(&cache, "layers:b"), plain(docker, b));
    assert_eq!(
        files(&cache, "layers:a"),
        3,
        "configuration, manifest, layer"
    );
    let again = uncompress(cache.path(), layout.path(), ROOM, Type::Own).expect("an image");
    assert_eq!(again, Uncompressed::default());
}

#[test]
fn layers_of_the_image_stay_compressed_and_do_so_when_a_later_image_has_others() {
    let (cache, layout) = folders(b'a');
    let before = found(&cache, "layers:a");
    let done = uncompress(cache.path(), layout.path(), ROOM, Type::Own).expect("an image");
    assert_eq!(done.layers, 1);
    let later = content(b'z');
    image(layout.path(), ZSTD, &zstd(&later), &later);
    let done = uncompress(cache.path(), layout.path(), ROOM, Type::Own).expect("an image");
    assert_eq!(done.layers, 0);
    assert_eq!(found(&cache, "layers:a"), before);
}

#[test]
fn a_layer_that_becomes_the_images_is_made_anew() {
    let (cache, layout) = folders(b'o');
    uncompress(cache.path(), layout.path(), ROOM, Type::Own).expect("an image");
    let a = content(b'a');
    image(
        layout.path(),
        "application/vnd.oci.image.layer.v1.tar",
        &a,
        &a,
    );
    uncompress(cache.path(), layout.path(), ROOM, Type::Own).expect("an image");
    assert!(!cache.path().join("layers:a").exists());
    assert!(cache.path().join("layers:b").exists());
}

#[test]
fn nothing_grows_beyond_the_room_that_there_is() {
    let (cache, layout) = folders(b'o');
    let before = [found(&cache, "layers:a"), found(&cache, "layers:b")];
    let done = uncompress(cache.path(), layout.path(), 50_000, Type::Own).expect("an image");
    assert_eq!(done, Uncompressed::default());
    assert_eq!(
        [found(&cache, "layers:a"), found(&cache, "layers:b")],
        before
    );
    assert!(!cache.path().join("layers:a").join(PART).exists());
    let done = uncompress(cache.path(), layout.path(), 150_000, Type::Own).expect("an image");
    assert_eq!(done.layers, 1, "there is room for one of them");
}

#[test]
fn a_layer_that_is_not_what_its_image_says_is_left_alone() {
    let (cache, layout) = folders(b'o');
    let other = cache.path().join("layers:c");
    image(&other, ZSTD, &zstd(b"something else"), b"what it says");
    image(
        &cache.path().join("layers:d"),
        ZSTD,
        b"no zstd",
        b"what it says",
    );
    fs::create_dir(cache.path().join("programs")).expect("a folder");
    fs::write(cache.path().join("file"), "").expect("a file");
    let done = uncompress(cache.path(), layout.path(), ROOM, Type::Own).expect("an image");
    assert_eq!(done.layers, 2);
    for name in ["layers:c", "layers:d"] {
        assert_eq!(found(&cache, name).0, ZSTD);
        assert!(!cache.path().join(name).join(PART).exists());
    }
}

#[test]
fn links_and_names_lead_nowhere() {
    let (cache, layout) = folders(b'o');
    let outside = tempfile::tempdir().expect("a folder");
    let data = content(b'p');
    image(outside.path(), ZSTD, &zstd(&data), &data);
    symlink(outside.path(), cache.path().join("layers:x")).expect("a link");
    let within = cache.path().join("layers:y");
    fs::create_dir(&within).expect("a folder");
    symlink(outside.path().join("blobs"), within.join("blobs")).expect("a link");
    fs::copy(outside.path().join("index.json"), within.join("index.json")).expect("a file");
    let done = uncompress(cache.path(), layout.path(), ROOM, Type::Own).expect("an image");
    assert_eq!(done.layers, 2);
    assert_eq!(files(&outside, ""), 3);
    for digest in ["sha256:../../../etc/passwd", "sha512:ab", ""] {
        assert!(blob(outside.path(), digest).is_err(), "{digest}");
    }
}

#[test]
fn layers_get_the_type_that_their_base_asks_for() {
    let (cache, layout) = folders(b'o');
    let oci = "application/vnd.oci.image.layer.v1.tar";
    let docker = "application/vnd.docker.image.rootfs.diff.tar";
    for (wanted, name) in [(Type::Own, oci), (Type::Docker, docker)] {
        uncompress(cache.path(), layout.path(), ROOM, wanted).expect("an image");
        let layer = found(&cache, "layers:a");
        assert_eq!((layer.0.as_str(), layer.1), (name, 100_000));
        assert_eq!(files(&cache, "layers:a"), 3);
    }
}
