//! Backups that others belong to.

use std::{collections::BTreeMap, fs};

use trackbed_backup::{Draft, Manifest, Part, part_identity};

use crate::{Volume, draft, in_hours, reason};

impl Volume {
    /// A backup of a further database.
    async fn part(&self, name: &str, database: &str) -> Part {
        let draft = Draft {
            identity: part_identity("ours", database),
            database: Some(database.to_owned()),
            ..draft(name)
        };
        let written = self.destination.write(draft, database.as_bytes()).await;
        let written = written
            .expect("written")
            .with(vec!["citext".into()], Vec::new());
        let manifest = written.finish(BTreeMap::new()).await.expect("finished");
        Part::of(&manifest, "web")
    }

    /// A backup with two parts.
    async fn whole(&self, name: &str) -> Manifest {
        let parts = vec![
            self.part(name, "shop").await,
            self.part(name, "stats_1").await,
        ];
        let written = self.destination.write(draft(name), &b"main"[..]).await;
        let written = written.expect("written").with(Vec::new(), parts);
        written.finish(BTreeMap::new()).await.expect("finished")
    }
}

#[tokio::test]
async fn parts_belong_to_one_backup_and_go_with_it() {
    let volume = Volume::new();
    let one = volume.whole("one").await;
    let _two = volume.whole("two").await;
    assert_eq!(volume.names().await, ["one", "two"]);
    let identities = volume.destination.identities().await.expect("a list");
    assert_eq!(identities, ["ours"], "parts are no Database's backups");
    let parts = volume.destination.parts(&one).await.expect("parts");
    let databases: Vec<_> = parts.iter().map(|it| it.database.as_deref()).collect();
    assert_eq!(databases, [Some("shop"), Some("stats_1")]);
    assert_eq!(parts[0].extensions, ["citext"]);
    volume
        .destination
        .remove("ours", "one")
        .await
        .expect("gone");
    assert_eq!(
        volume.files(),
        [
            "ours.shop/two/data.zst",
            "ours.shop/two/manifest.json",
            "ours.stats_1/two/data.zst",
            "ours.stats_1/two/manifest.json",
            "ours/two/data.zst",
            "ours/two/manifest.json",
        ]
    );
}

#[tokio::test]
async fn a_part_that_is_spoilt_is_named() {
    let volume = Volume::new();
    let whole = volume.whole("one").await;
    let said = |result: Result<Vec<Manifest>, _>| {
        let error: trackbed_backup::Error = result.expect_err("refused");
        (error.reason(), error.to_string())
    };
    let of = |name: &str| {
        fs::copy(
            volume.path(&format!("ours.shop/{name}/manifest.json")),
            volume.path("ours.shop/one/manifest.json"),
        )
    };
    let other = volume.part("other", "shop").await;
    assert_eq!(other.sha256, whole.parts[0].sha256, "the same bytes");
    of("other").expect("a copy");
    let (reason, words) = said(volume.destination.parts(&whole).await);
    assert_eq!(reason, "BackupUnreadable", "it is called otherwise");
    assert!(words.contains("one of the database shop"), "{words}");
    fs::remove_file(volume.path("ours.shop/one/manifest.json")).expect("it goes");
    let (reason, words) = said(volume.destination.parts(&whole).await);
    assert_eq!(reason, "BackupMissing");
    assert!(words.contains("one of the database shop"), "{words}");
}

#[tokio::test]
async fn another_part_of_the_same_name_is_not_taken() {
    let volume = Volume::new();
    let mut whole = volume.whole("one").await;
    whole.parts[1].sha256 = "0".repeat(64);
    let found = volume.destination.parts(&whole).await;
    assert_eq!(reason(found), "BackupTampered");
    whole.parts[1].database = "../ours".to_owned();
    let found = volume.destination.parts(&whole).await;
    assert_eq!(reason(found), "InvalidBackupName");
}

#[tokio::test]
async fn parts_of_no_backup_are_swept_when_they_are_old() {
    let volume = Volume::new();
    let _kept = volume.whole("kept").await;
    let _left = volume.part("left", "shop").await;
    let sweep = |hours| volume.destination.sweep("ours", in_hours(hours));
    assert_eq!(sweep(-1).await.expect("swept"), Vec::<String>::new());
    assert_eq!(sweep(1).await.expect("swept"), ["left"]);
    assert_eq!(volume.files().len(), 6, "{:?}", volume.files());
    let _more = volume.part("more", "shop").await;
    let removed = volume.destination.remove_parts("ours", "more").await;
    removed.expect("removed");
    assert_eq!(volume.files().len(), 6, "{:?}", volume.files());
}
