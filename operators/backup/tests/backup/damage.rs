use std::fs;

use crate::{Volume, open, random, read, reason};

/// A backup of data that do not compress, so that the stored bytes are nearly those.
async fn damaged(change: impl FnOnce(&mut Vec<u8>)) -> (&'static str, &'static str) {
    let volume = Volume::new();
    let manifest = volume.backup("daily", &random(20 << 20)).await;
    let path = volume.path("ours/daily/data.zst");
    let mut stored = fs::read(&path).expect("data");
    change(&mut stored);
    fs::write(&path, stored).expect("a file");
    let verified = reason(volume.destination.verify(&manifest).await);
    let read = read(&volume.destination, &manifest).await;
    (verified, read.expect_err("no end"))
}

#[tokio::test]
async fn data_that_are_cut_short_are_told_from_whole_ones() {
    let cut = ("BackupTruncated", "BackupTruncated");
    assert_eq!(damaged(|it| it.truncate(it.len() - 1)).await, cut);
    assert_eq!(damaged(|it| it.truncate(it.len() / 2)).await, cut);
    assert_eq!(damaged(Vec::clear).await, cut);
}

#[tokio::test]
async fn data_that_were_changed_are_told_from_those_that_were_written() {
    let changed = ("BackupTampered", "BackupTampered");
    let flip = |it: &mut Vec<u8>, at: usize| it[at] ^= 1;
    assert_eq!(damaged(|it| flip(it, 0)).await, changed);
    assert_eq!(damaged(|it| flip(it, it.len() / 2)).await, changed);
    assert_eq!(damaged(|it| flip(it, it.len() - 1)).await, changed);
    assert_eq!(damaged(|it| it.push(0)).await, changed);
}

#[tokio::test]
async fn data_that_are_missing_are_told() {
    let volume = Volume::new();
    let manifest = volume.backup("daily", b"rows").await;
    fs::remove_file(volume.path("ours/daily/data.zst")).expect("it goes");
    let verified = volume.destination.verify(&manifest).await;
    let error = verified.expect_err("no data");
    assert_eq!(error.reason(), "BackupMissing");
    assert!(error.to_string().contains("its data are not"), "{error}");
    let data = read(&volume.destination, &manifest).await;
    assert_eq!(data, Err("BackupMissing"));
}

#[tokio::test]
async fn data_that_change_while_they_are_read_do_not_come_to_a_plain_end() {
    use tokio::io::AsyncReadExt;
    let volume = Volume::new();
    let manifest = volume.backup("daily", &random(20 << 20)).await;
    let mut reading = volume.destination.read(&manifest).await.expect("data");
    let mut first = vec![0; 1 << 20];
    reading.read_exact(&mut first).await.expect("a beginning");
    let path = volume.path("ours/daily/data.zst");
    let file = fs::OpenOptions::new().write(true).open(path);
    file.expect("data").set_len(10 << 20).expect("it is cut");
    let error = reading.read_to_end(&mut first).await.expect_err("no end");
    let error = trackbed_backup::Error::within(&error).expect("one of ours");
    assert_eq!(error.reason(), "BackupTruncated", "{error}");
}

#[tokio::test]
async fn a_manifest_that_lies_of_the_data_is_found_out() {
    let volume = Volume::new();
    let data = vec![7; 1 << 20];
    for bytes in [0, 1, (1 << 20) - 1, (1 << 20) + 1, u64::MAX] {
        let name = format!("b{bytes}");
        volume.backup(&name, &data).await;
        volume.forge(&name, |it| it.bytes = bytes);
        let manifest = volume.destination.manifest("ours", &name).await;
        let read = read(&volume.destination, &manifest.expect("a manifest")).await;
        assert_eq!(read, Err("BackupTampered"), "{bytes}");
    }
    // The data are as the manifest says, and are no whole stream.
    let manifest = volume.backup("half", &random(1 << 20)).await;
    let path = volume.path("ours/half/data.zst");
    let half = &fs::read(&path).expect("data")[..400_000];
    fs::write(&path, half).expect("a file");
    let mut lying = manifest;
    lying.stored_bytes = 400_000;
    lying.sha256 = sha256(half);
    volume.destination.verify(&lying).await.expect("as it says");
    let read = read(&volume.destination, &lying).await;
    assert_eq!(read, Err("BackupTampered"));
}

pub(crate) fn sha256(data: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(data);
    digest.iter().map(|it| format!("{it:02x}")).collect()
}

#[tokio::test]
async fn a_backup_of_another_database_is_not_taken_for_ones_own() {
    let volume = Volume::new();
    volume.backup("daily", b"rows").await;
    // Somebody copied it.
    fs::create_dir_all(volume.path("theirs/daily")).expect("a folder");
    for file in ["data.zst", "manifest.json"] {
        let from = volume.path(&format!("ours/daily/{file}"));
        let to = volume.path(&format!("theirs/daily/{file}"));
        fs::copy(from, to).expect("a copy");
    }
    let found = volume.destination.manifest("theirs", "daily").await;
    assert_eq!(reason(found), "BackupForeign");
    let survey = volume.destination.survey("theirs").await.expect("a survey");
    assert!(survey.backups.is_empty());
    assert_eq!(survey.unusable[0].error.reason(), "BackupForeign");
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_hides_no_other_and_is_no_leftover() {
    let volume = Volume::new();
    for name in ["garbage", "good", "later", "large", "renamed"] {
        volume.backup(name, b"rows").await;
    }
    let manifest = |name: &str| volume.path(&format!("ours/{name}/manifest.json"));
    fs::write(manifest("garbage"), b"\x00{").expect("a file");
    volume.forge("later", |it| it.format = 3);
    volume.forge("renamed", |it| it.name = "good".to_owned());
    let large = fs::File::create(manifest("large")).expect("a file");
    large.set_len(1 << 40).expect("a hole");

    assert_eq!(volume.names().await, ["good"]);
    let survey = volume.destination.survey("ours").await.expect("a survey");
    let unusable = survey.unusable.iter();
    let unusable: Vec<_> = unusable
        .map(|it| (it.name.as_str(), it.error.reason()))
        .collect();
    let expected = ["garbage", "large", "later", "renamed"];
    assert_eq!(unusable, expected.map(|name| (name, "BackupUnreadable")));

    let swept = volume.destination.sweep("ours", crate::in_hours(1)).await;
    assert_eq!(swept.expect("swept"), Vec::<String>::new());
    let again = volume.destination.write(crate::draft("garbage"), &b""[..]);
    assert_eq!(reason(again.await), "BackupExists");
    for name in expected {
        let removed = volume.destination.remove("ours", name).await;
        removed.expect("it goes");
    }
    assert_eq!(volume.files().len(), 2);
}

#[tokio::test]
async fn what_else_lies_at_the_destination_is_left_alone() {
    let volume = Volume::new();
    volume.backup("daily", b"rows").await;
    fs::create_dir_all(volume.path("ours/lost+found")).expect("a folder");
    fs::create_dir_all(volume.path("ours/Notes")).expect("a folder");
    for file in [
        "ours/README",
        "ours/Notes/data.zst",
        "ours/daily/notes",
        "x",
    ] {
        fs::write(volume.path(file), "x").expect("a file");
    }
    let destination = open(volume.folder.path());
    assert_eq!(volume.names().await, ["daily"]);
    let swept = destination.sweep("ours", crate::in_hours(1)).await;
    assert_eq!(swept.expect("swept"), Vec::<String>::new());
    destination.remove("ours", "daily").await.expect("it goes");
    let left = [
        "ours/Notes/data.zst",
        "ours/README",
        "ours/daily/notes",
        "x",
    ];
    assert_eq!(volume.files(), left);
}
