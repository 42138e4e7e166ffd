use std::collections::BTreeMap;

use tokio::io::AsyncReadExt;
use trackbed_backup::Draft;

use crate::{Volume, at, draft, open, random, read, reason};

const MIB: usize = 1 << 20;

async fn returns(data: &[u8]) -> u64 {
    let volume = Volume::new();
    let manifest = volume.backup("daily", data).await;
    let files = volume.files();
    assert_eq!(files, ["ours/daily/data.zst", "ours/daily/manifest.json"]);
    assert_eq!(manifest.bytes, u64::try_from(data.len()).expect("a length"));
    let stored = std::fs::metadata(volume.path("ours/daily/data.zst")).expect("a file");
    assert_eq!(manifest.stored_bytes, stored.len());

    // Another process reads it.
    let other = open(volume.folder.path());
    let found = other.manifest("ours", "daily").await.expect("a manifest");
    assert_eq!(found, manifest);
    other.verify(&found).await.expect("whole data");
    let back = read(&other, &found).await.expect("whole data");
    assert!(back == data, "{} bytes and {}", back.len(), data.len());
    manifest.stored_bytes
}

#[tokio::test]
async fn nothing_returns() {
    assert!(returns(b"").await < 100);
}

#[tokio::test]
async fn a_few_bytes_return() {
    returns(b"x").await;
}

#[tokio::test]
async fn what_cannot_be_compressed_returns() {
    // More parts than are on their way at once, and a last one that is not full.
    let stored = returns(&random(70 * MIB + 1)).await;
    assert!(stored >= 70 << 20, "{stored}");
}

#[tokio::test]
async fn what_compresses_well_returns() {
    let stored = returns(&b"insert into orders values (1, 'socks');\n".repeat(MIB / 2)).await;
    assert!(stored < 1 << 20, "{stored}");
    returns(&vec![0; 20 * MIB]).await;
}

#[tokio::test]
async fn a_source_that_comes_in_small_pieces_returns() {
    let data = random(300_000);
    let (mut sender, receiver) = tokio::io::duplex(777);
    let volume = Volume::new();
    let written = volume.destination.write(draft("daily"), receiver);
    let send = async {
        tokio::io::copy(&mut &data[..], &mut sender)
            .await
            .expect("it is read");
        drop(sender);
    };
    let (written, ()) = tokio::join!(written, send);
    let manifest = written.expect("written").finish(BTreeMap::new()).await;
    let manifest = manifest.expect("a manifest");
    let mut reading = volume.destination.read(&manifest).await.expect("data");
    let mut back = Vec::new();
    let mut piece = [0; 999];
    loop {
        match reading.read(&mut piece).await.expect("whole data") {
            0 => break,
            length => back.extend_from_slice(&piece[..length]),
        }
    }
    assert!(back == data);
}

#[tokio::test]
async fn the_manifest_says_what_it_was_told() {
    let volume = Volume::new();
    let manifest = volume.backup("daily", b"rows").await;
    let said = Draft {
        name: manifest.name.clone(),
        engine: manifest.engine.clone(),
        version: manifest.version.clone(),
        identity: manifest.identity.clone(),
        database: manifest.database.clone(),
        taken_at: manifest.taken_at,
        content: manifest.content.clone(),
    };
    assert_eq!(said, draft("daily"));
    assert_eq!(manifest.format, 1);
    assert_eq!(manifest.counts["public.orders"], 3);
    assert_eq!(manifest.sha256.len(), 64);
}

#[tokio::test]
async fn backups_are_listed_by_age_and_by_identity() {
    let volume = Volume::new();
    let taken = [("third", 3), ("first", 1), ("second", 2), ("also-first", 1)];
    for (name, hour) in taken {
        let draft = Draft {
            taken_at: at(hour),
            ..draft(name)
        };
        let written = volume.destination.write(draft, &b"rows"[..]).await;
        let finished = written.expect("written").finish(BTreeMap::new()).await;
        finished.expect("a manifest");
    }
    let names = volume.names().await;
    assert_eq!(names, ["also-first", "first", "second", "third"]);
    let theirs = volume.destination.list("theirs").await.expect("a list");
    assert!(theirs.is_empty(), "{theirs:?}");
}

#[tokio::test]
async fn whose_backups_there_are_is_found() {
    let volume = Volume::new();
    let found = || volume.destination.identities();
    assert!(found().await.expect("a list").is_empty());
    volume.backup("daily", b"data").await;
    for folder in ["another", "lost+found", ".trash"] {
        std::fs::create_dir_all(volume.path(folder).join("x")).expect("a folder");
    }
    std::fs::write(volume.path("file"), "").expect("a file");
    assert_eq!(found().await.expect("a list"), ["another", "ours"]);
}

#[tokio::test]
async fn a_backup_is_never_written_over() {
    let volume = Volume::new();
    let manifest = volume.backup("daily", b"first").await;
    let again = volume.destination.write(draft("daily"), &b"second"[..]);
    assert_eq!(reason(again.await), "BackupExists");
    let data = read(&volume.destination, &manifest).await;
    assert_eq!(data.expect("data"), b"first");
}

#[tokio::test]
async fn a_backup_that_is_removed_is_gone_and_makes_room_for_another() {
    let volume = Volume::new();
    let (first, _) = (
        volume.backup("first", b"1").await,
        volume.backup("second", b"2").await,
    );
    for _ in 0..2 {
        let removed = volume.destination.remove("ours", "first").await;
        removed.expect("it goes, or is gone");
    }
    assert_eq!(volume.names().await, ["second"]);
    let files = volume.files();
    assert_eq!(files, ["ours/second/data.zst", "ours/second/manifest.json"]);
    assert!(!volume.path("ours/first").exists());
    let found = volume.destination.manifest("ours", "first").await;
    assert_eq!(reason(found), "BackupMissing");
    assert_eq!(
        reason(volume.destination.verify(&first).await),
        "BackupMissing"
    );
    volume.backup("first", b"3").await;
    assert_eq!(volume.names().await, ["first", "second"]);
}

#[tokio::test]
async fn names_and_identities_that_lead_elsewhere_are_refused_everywhere() {
    let volume = Volume::new();
    let manifest = volume.backup("daily", b"rows").await;
    let it = &volume.destination;
    for bad in ["..", "../ours", "a/b", "", "Daily", "a#1"] {
        let mut named = draft(bad);
        assert_eq!(
            reason(it.write(named.clone(), &b""[..]).await),
            "InvalidBackupName"
        );
        assert_eq!(reason(it.manifest("ours", bad).await), "InvalidBackupName");
        assert_eq!(reason(it.remove("ours", bad).await), "InvalidBackupName");
        let mut hostile = manifest.clone();
        hostile.name = bad.to_owned();
        assert_eq!(reason(it.verify(&hostile).await), "InvalidBackupName");
        assert_eq!(reason(it.read(&hostile).await), "InvalidBackupName");
        if bad == "Daily" {
            continue;
        }
        named.identity = bad.to_owned();
        named.name = "daily".to_owned();
        assert_eq!(reason(it.write(named, &b""[..]).await), "InvalidBackupName");
        assert_eq!(reason(it.manifest(bad, "daily").await), "InvalidBackupName");
        assert_eq!(reason(it.list(bad).await), "InvalidBackupName");
        assert_eq!(reason(it.remove(bad, "daily").await), "InvalidBackupName");
        assert_eq!(reason(it.sweep(bad, at(0)).await), "InvalidBackupName");
    }
    assert_eq!(volume.files().len(), 2);
}

#[tokio::test]
async fn a_volume_that_vanished_is_not_taken_for_an_empty_one() {
    let volume = Volume::new();
    volume.backup("daily", b"rows").await;
    let inner = volume.path("inner");
    std::fs::create_dir(&inner).expect("a folder");
    let destination = open(&inner);
    std::fs::remove_dir(&inner).expect("it goes");
    let gone = "DestinationUnreachable";
    assert_eq!(reason(destination.list("ours").await), gone);
    assert_eq!(reason(destination.sweep("ours", at(0)).await), gone);
    let written = destination.write(draft("daily"), &b"rows"[..]).await;
    assert_eq!(reason(written), gone);
    assert!(!inner.exists());
}
