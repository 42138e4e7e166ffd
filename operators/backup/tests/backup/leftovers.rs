use std::{collections::BTreeMap, fs};

use futures::stream;
use tokio_util::{bytes::Bytes, io::StreamReader};

use crate::{Volume, draft, failing, in_hours, random, read, reason};

#[tokio::test]
async fn of_a_source_that_fails_nothing_is_left() {
    let volume = Volume::new();
    for data in [Vec::new(), b"rows".to_vec(), random(40 << 20)] {
        let written = volume.destination.write(draft("daily"), failing(data));
        let error = written.await.expect_err("no backup");
        assert_eq!(error.reason(), "BackupFailed");
        assert!(
            error.to_string().contains("pg_dump ended with 1"),
            "{error}"
        );
        assert_eq!(volume.files(), Vec::<String>::new());
        assert!(volume.names().await.is_empty());
    }
    // And nothing stands in the way of the next try.
    volume.backup("daily", b"rows").await;
    assert_eq!(volume.names().await, ["daily"]);
}

#[tokio::test]
async fn a_failure_takes_what_an_earlier_try_left() {
    let volume = Volume::new();
    let written = volume.destination.write(draft("daily"), &b"rows"[..]).await;
    drop(written.expect("written"));
    assert_eq!(volume.files(), ["ours/daily/data.zst"]);
    let failed = volume
        .destination
        .write(draft("daily"), failing(Vec::new()));
    assert_eq!(reason(failed.await), "BackupFailed");
    assert_eq!(volume.files(), Vec::<String>::new());
}

#[tokio::test]
async fn data_without_a_manifest_are_no_backup_and_are_overwritten() {
    let volume = Volume::new();
    let written = volume
        .destination
        .write(draft("daily"), &b"first"[..])
        .await;
    drop(written.expect("written"));
    // A writer that was killed leaves this.
    fs::write(volume.path("ours/daily/data.zst#1"), "half").expect("a file");
    assert!(volume.names().await.is_empty());
    let found = volume.destination.manifest("ours", "daily").await;
    assert_eq!(reason(found), "BackupMissing");
    let manifest = volume.backup("daily", b"second").await;
    let data = read(&volume.destination, &manifest).await;
    assert_eq!(data.expect("data"), b"second");
    let files = volume.files();
    assert_eq!(files, ["ours/daily/data.zst", "ours/daily/manifest.json"]);
}

#[tokio::test]
async fn data_that_are_given_up_go() {
    let volume = Volume::new();
    let written = volume.destination.write(draft("daily"), &b"rows"[..]).await;
    let written = written.expect("written");
    assert_eq!(written.manifest().bytes, 4);
    written.abandon().await.expect("it goes");
    assert_eq!(volume.files(), Vec::<String>::new());
}

#[tokio::test]
async fn of_two_writers_of_one_name_the_first_to_finish_has_it() {
    let volume = Volume::new();
    let first = volume
        .destination
        .write(draft("daily"), &b"first"[..])
        .await;
    let first = first.expect("written");
    // The second one is halfway when the first one finishes.
    let halfway = async move {
        let finished = first.finish(BTreeMap::new()).await;
        Ok::<_, std::io::Error>(Bytes::from(finished.expect("a backup").name))
    };
    let source = StreamReader::new(stream::once(Box::pin(halfway)));
    let second = volume.destination.write(draft("daily"), source).await;
    assert_eq!(reason(second), "BackupExists");
    let files = volume.files();
    assert_eq!(files, ["ours/daily/data.zst", "ours/daily/manifest.json"]);
    let manifest = volume.destination.manifest("ours", "daily").await;
    let data = read(&volume.destination, &manifest.expect("a manifest")).await;
    assert_eq!(data.expect("data"), b"first");
}

#[tokio::test]
async fn whoever_finishes_late_leaves_the_backup_that_is_there() {
    let volume = Volume::new();
    for end in ["finish", "abandon"] {
        let late = volume.destination.write(draft(end), &b"rows"[..]).await;
        let late = late.expect("written");
        let manifest = volume.backup(end, b"rows").await;
        let ended = match end {
            "finish" => late.finish(BTreeMap::new()).await.map(drop),
            _ => late.abandon().await,
        };
        assert_eq!(reason(ended), "BackupExists");
        volume.destination.verify(&manifest).await.expect("whole");
    }
}

#[tokio::test]
async fn old_leftovers_are_swept_and_backups_are_not() {
    let volume = Volume::new();
    volume.backup("daily", b"rows").await;
    let left = volume.destination.write(draft("left"), &b"rows"[..]).await;
    drop(left.expect("written"));
    fs::create_dir_all(volume.path("ours/killed")).expect("a folder");
    fs::write(volume.path("ours/killed/data.zst#3"), "half").expect("a file");
    fs::write(volume.path("ours/daily/manifest.json#1"), "half").expect("a file");
    let before = volume.files();

    let young = volume.destination.sweep("ours", in_hours(-1)).await;
    assert_eq!(young.expect("swept"), Vec::<String>::new());
    assert_eq!(volume.files(), before);

    let mut old = volume
        .destination
        .sweep("ours", in_hours(1))
        .await
        .expect("swept");
    old.sort();
    assert_eq!(old, ["daily", "killed", "left"]);
    let files = volume.files();
    assert_eq!(files, ["ours/daily/data.zst", "ours/daily/manifest.json"]);
    assert!(!volume.path("ours/killed").exists());
    assert_eq!(volume.names().await, ["daily"]);
}

#[tokio::test]
async fn a_backup_that_is_half_removed_is_none_and_is_swept() {
    let volume = Volume::new();
    volume.backup("daily", b"rows").await;
    fs::remove_file(volume.path("ours/daily/manifest.json")).expect("it goes");
    assert!(volume.names().await.is_empty());
    let swept = volume.destination.sweep("ours", in_hours(1)).await;
    assert_eq!(swept.expect("swept"), ["daily"]);
    assert_eq!(volume.files(), Vec::<String>::new());
}
