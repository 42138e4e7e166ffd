//! How full a volume is, and what is said of it.

use trackbed_api::{DatabaseStatus, common::condition::STORAGE_AMPLE, reason::Reason};
use trackbed_database::plan::{
    storage::{Report, Volume, fact, usage},
    warnings,
};
use trackbed_kit::Health;

const MIB: u64 = 1 << 20;

fn volume(data: u64, size: u64, available: u64) -> Volume {
    let text = format!(
        "# HELP trackbed_database_data_bytes What the server's files take on disk.\n# TYPE trackbed_database_data_bytes gauge\ntrackbed_database_data_bytes {}\ntrackbed_database_volume_bytes {}\ntrackbed_database_volume_available_bytes {}\n# EOF\n",
        data * MIB,
        size * MIB,
        available * MIB
    );
    Volume::read(&text).expect("metrics")
}

fn well() -> Health {
    Health::Ready("it answers".to_owned())
}

fn said(data: u64, size: u64, available: u64) -> (String, Option<bool>, String) {
    let volume = volume(data, size, available);
    let usage = usage(Some(&volume), Some("1Gi")).expect("it is known");
    let before = DatabaseStatus::default();
    let health = usage.health(well());
    let fact = fact(Some(&usage), &health, Some("1Gi"), &before).expect("a condition");
    let (_, reason, _) = health.ready();
    (usage.used(), fact.status, reason.to_owned())
}

#[test]
fn a_volume_of_its_own_is_as_full_as_its_file_system() {
    let told = |used: &str, ample, reason: &str| (used.to_owned(), Some(ample), reason.to_owned());
    assert_eq!(said(300, 1000, 600), told("40%", true, "Ready"));
    assert_eq!(said(300, 1000, 151), told("80%", true, "Ready"));
    assert_eq!(said(800, 1000, 150), told("85%", false, "Ready"));
    assert_eq!(said(900, 1000, 15), told("95%", false, "StorageFull"));
}

#[test]
fn a_folder_of_a_file_system_of_others_is_as_full_as_its_files() {
    let told = |used: &str, ample, reason: &str| (used.to_owned(), Some(ample), reason.to_owned());
    assert_eq!(said(512, 200_000, 90_000), told("50%", true, "Ready"));
    assert_eq!(said(2048, 200_000, 90_000), told("200%", false, "Ready"));
    assert_eq!(said(512, 200_000, 3), told("50%", false, "StorageFull"));
}

#[test]
fn what_changes_nothing_that_is_told_wakes_nobody() {
    let report = |data, size, available| Report {
        volume: volume(data, size, available),
        version: None,
        primary: None,
        databases: None,
    };
    let before = report(300, 1000, 600);
    let wakes = |other: Report| other.differs(&before, Some("1Gi"));
    assert!(!wakes(report(301, 1000, 605)), "it swings about 40%");
    assert!(wakes(report(301, 1000, 610)), "39%, which is told as 35%");
    assert!(!wakes(report(316, 1000, 590)), "41%");
    assert!(wakes(report(300, 1000, 550)), "45%");
    assert!(wakes(report(300, 2000, 1600)), "it was grown");
    assert!(
        report(300, 1000, 15).differs(&report(300, 1000, 17), Some("1Gi")),
        "full"
    );
    let told = Report {
        version: Some("17.5".to_owned()),
        ..report(300, 1000, 600)
    };
    assert!(wakes(told), "who answers");
    assert_eq!(Volume::read("trackbed_database_up 1\n"), None);
}

#[test]
fn servers_say_their_version_each_in_its_way() {
    let version = |metrics: &str| Report::read(metrics).expect("a report").version;
    let single = "trackbed_database_data_bytes 1\ntrackbed_database_volume_bytes 2\ntrackbed_database_volume_available_bytes 1\n";
    assert_eq!(version(single), None);
    let info = "trackbed_database_server_info{engine=\"postgres\",version=\"17.6\"} 1\n";
    let told = Some("17.6".to_owned());
    assert_eq!(version(&format!("{single}{info}")), told);
    let several = "cnpg_trackbed_database_data_bytes 1\ncnpg_trackbed_database_server_info{version=\"17.6 (Debian 17.6-1.pgdg12+1)\"} 1\n";
    assert_eq!(version(several), told);
}

#[test]
fn a_log_that_grows_in_a_large_volume_wakes_nobody() {
    let read = |bytes: &str| {
        let text = format!("cnpg_trackbed_database_data_bytes {bytes}\n");
        Report::read(&text).expect("a report")
    };
    let (before, segment) = (read("4.0e+07"), read("5.7e+07"));
    assert!(!segment.differs(&before, Some("10Gi")));
    assert!(segment.differs(&before, Some("512Mi")), "13% after 9%");
    assert!(!segment.differs(&before, None), "nobody knows of how much");
}

#[test]
fn of_servers_that_see_their_files_only_the_files_count() {
    let read = |bytes: &str| {
        let text = format!(
            "cnpg_trackbed_database_connections 3\ncnpg_trackbed_database_data_bytes {bytes}\n"
        );
        Volume::read(&text).expect("metrics")
    };
    let half = read("5.36870912e+08");
    let used = |volume: &Volume, of| usage(Some(volume), of).map(|it| it.used());
    assert_eq!(used(&half, Some("1Gi")).as_deref(), Some("55%"));
    assert_eq!(used(&half, None), None, "nobody knows of how much");
    let (less, more) = (read("1048576"), read("9.8e+08"));
    assert_eq!(
        Volume::fullest([less, more, half].into_iter()),
        Some(more),
        "the one with the most"
    );
    let usage = usage(Some(&more), Some("1Gi")).expect("it is known");
    let before = DatabaseStatus::default();
    let fact = fact(Some(&usage), &well(), Some("1Gi"), &before).expect("a condition");
    assert_eq!(
        (fact.status, fact.message.as_str()),
        (
            Some(false),
            "105% of 1Gi are taken: raise storage.size, or make room"
        )
    );
}

#[test]
fn a_warning_is_given_once_and_what_was_said_holds_until_more_is_known() {
    let full = volume(900, 1000, 100);
    let usage = usage(Some(&full), Some("1Gi")).expect("it is known");
    let mut status = DatabaseStatus::default();
    let facts: Vec<_> = fact(Some(&usage), &well(), Some("1Gi"), &status)
        .into_iter()
        .collect();
    assert_eq!(warnings(Some(&status), &facts).len(), 1);
    assert_eq!(fact(None, &well(), Some("1Gi"), &status), None);
    status.conditions =
        trackbed_kit::conditions::conditions(&[], Some(1), &well(), &facts, super::now());
    assert_eq!(warnings(Some(&status), &facts).len(), 0);
    let kept = fact(None, &well(), Some("1Gi"), &status).expect("what was said");
    assert_eq!(kept, facts[0]);
    assert_eq!(kept.kind, STORAGE_AMPLE);
}

#[test]
fn a_server_that_ended_for_want_of_room_tells_it_by_itself() {
    let ended = Health::Stalled(Reason::StorageFull, "no room".to_owned());
    let nothing = DatabaseStatus::default();
    let told = fact(None, &ended, Some("1Gi"), &nothing).expect("a condition");
    assert_eq!(told.status, Some(false));
    assert_eq!(told.reason, "StorageAlmostFull");
    assert_eq!(
        told.message,
        "no room is left on 1Gi: raise storage.size, or make room"
    );
    assert_eq!(
        warnings(Some(&nothing), std::slice::from_ref(&told)).len(),
        1
    );

    let before = usage(Some(&volume(300, 1000, 600)), Some("1Gi"));
    let told = fact(before.as_ref(), &ended, Some("1Gi"), &nothing).expect("a condition");
    assert_eq!(told.status, Some(false), "whatever was said before");
}
