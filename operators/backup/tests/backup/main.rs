//! Backups on a volume: what goes in comes out, or says why not.

mod damage;
mod encryption;
mod leftovers;
mod parts;
mod round_trip;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use futures::stream;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::{bytes::Bytes, io::StreamReader};
use trackbed_backup::{Destination, Draft, Error, Manifest, Place};

/// A volume, and the destination on it.
struct Volume {
    folder: TempDir,
    destination: Destination,
}

impl Volume {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let destination = open(folder.path());
        Self {
            folder,
            destination,
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Writes a backup of the identity `ours`.
    async fn backup(&self, name: &str, data: &[u8]) -> Manifest {
        let written = self.destination.write(draft(name), data).await;
        let written = written.expect("data are written");
        let counts = BTreeMap::from([("public.orders".to_owned(), 3)]);
        written.finish(counts).await.expect("a manifest")
    }

    async fn names(&self) -> Vec<String> {
        let listed = self.destination.list("ours").await.expect("a list");
        listed.into_iter().map(|it| it.name).collect()
    }

    /// Changes the manifest of a backup, as somebody who can write to the destination could.
    fn forge(&self, name: &str, change: impl FnOnce(&mut Manifest)) {
        let path = self.path(&format!("ours/{name}/manifest.json"));
        let text = fs::read(&path).expect("a manifest");
        let mut manifest = serde_json::from_slice(&text).expect("JSON");
        change(&mut manifest);
        let text = serde_json::to_vec(&manifest).expect("JSON");
        fs::write(&path, text).expect("a file");
    }

    /// All files, by their paths on the volume.
    fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        collect(self.folder.path(), self.folder.path(), &mut files);
        files.sort();
        files
    }
}

fn open(folder: &Path) -> Destination {
    let folder = folder.to_owned();
    Destination::open(&Place::Volume { folder }).expect("a destination")
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let path = path.strip_prefix(root).expect("below").display();
            files.push(path.to_string());
        }
    }
}

fn draft(name: &str) -> Draft {
    Draft {
        name: name.to_owned(),
        engine: "postgres".to_owned(),
        version: "17".to_owned(),
        identity: "ours".to_owned(),
        database: Some("shop".to_owned()),
        taken_at: at(0),
        content: "pg_dump custom".to_owned(),
    }
}

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + hour * 3600).expect("a time")
}

/// The time now, moved by hours.
fn in_hours(hours: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(hours)
}

/// A source that gives some data and then fails.
fn failing(data: Vec<u8>) -> impl AsyncRead {
    let failure = io::Error::other("pg_dump ended with 1");
    StreamReader::new(stream::iter([Ok(Bytes::from(data)), Err(failure)]))
}

#[tokio::test]
async fn everything_can_be_done_from_tasks_of_a_runtime() {
    let volume = Volume::new();
    let destination = volume.destination.clone();
    let all = async move {
        let written = destination.write(draft("daily"), &b"rows"[..]).await?;
        let manifest = written.finish(BTreeMap::new()).await?;
        destination.verify(&manifest).await?;
        let data = read(&destination, &manifest).await;
        assert_eq!(data.expect("data"), b"rows");
        let listed = destination.list("ours").await?;
        assert_eq!(listed, [destination.manifest("ours", "daily").await?]);
        destination.sweep("ours", at(0)).await?;
        destination.remove("ours", "daily").await
    };
    tokio::spawn(all).await.expect("it ends").expect("it works");
}

/// Reads a backup to its end, or tells the reason why that cannot be.
async fn read(destination: &Destination, manifest: &Manifest) -> Result<Vec<u8>, &'static str> {
    let mut reading = match destination.read(manifest).await {
        Ok(reading) => reading,
        Err(error) => return Err(error.reason()),
    };
    let mut data = Vec::new();
    match reading.read_to_end(&mut data).await {
        Ok(_) => Ok(data),
        Err(error) => Err(Error::within(&error).expect("one of ours").reason()),
    }
}

/// The reason of a failure.
fn reason<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "none",
        Err(error) => error.reason(),
    }
}

/// Bytes that do not compress, the same ones each time (splitmix64: the generators of `rand` are slow
/// where nothing is optimised).
fn random(length: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let mut data = Vec::with_capacity(length + 8);
    while data.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        data.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    data.truncate(length);
    data
}
