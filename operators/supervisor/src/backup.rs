//! The commands of backups, each for a container of its own: one takes a backup, one proves it, one
//! restores it to where there is nothing yet.

mod at;
mod engine;
mod restore;

use std::fs;

use clap::Args;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rand::distr::{Alphanumeric, SampleString};
use serde::Serialize;
use trackbed_backup::{Destination, Keep, Manifest, surplus};

pub use at::At;
pub(crate) use engine::{Use, suits};
pub use restore::Asked;
pub(crate) use restore::{refill, restore};

use crate::{Engine, Error, Options, marker, process};

/// Backups that are told of. A termination message has room for 4096 bytes.
const TOLD: usize = 10;
/// File in the pod's memory: the name of the backup that was just taken.
const TAKEN: &str = "taken";

/// How many stay.
#[derive(Args, Clone, Copy, Debug)]
pub struct Retain {
    /// This many of the newest
    #[arg(long, default_value_t = 7)]
    pub keep: u32,
    /// None that is older, in seconds, unless it is the newest
    #[arg(long, value_name = "SECONDS")]
    pub keep_for: Option<u32>,
    /// What a backup may take, in seconds: what is older and was never finished is removed
    #[arg(long, value_name = "SECONDS", default_value_t = 21600)]
    pub timeout: u32,
}

/// What the controller is told of what is at a destination.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// How many backups there are.
    pub count: usize,
    /// The newest ones, newest first.
    pub newest: Vec<Entry>,
    /// Why some are still there that are too many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
}

/// One backup.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// The time that its data are of.
    pub taken_at: Timestamp,
    /// Bytes that it takes.
    pub stored_bytes: u64,
}

/// What the controller is told of a backup that was proven, or restored.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Loaded {
    /// Its name.
    pub name: String,
    /// The time that its data are of.
    pub taken_at: Timestamp,
    /// How many tables it has, or kinds of keys.
    pub tables: usize,
    /// How many rows or keys they have.
    pub rows: u64,
}

/// The name of a backup: its time, and something that sets it apart from another of the same second.
fn name(now: Timestamp, end: &str) -> String {
    let time = now.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S");
    format!("{time}-{end}")
}

fn end() -> String {
    Alphanumeric
        .sample_string(&mut rand::rng(), 4)
        .to_lowercase()
}

/// Takes a backup, and removes those that are too many.
///
/// # Errors
/// What the server or the destination says.
pub(crate) fn take(
    engine: Engine,
    options: &Options,
    at: &At,
    retain: Retain,
) -> Result<Taken, Error> {
    process::runtime()?.block_on(async {
        let destination = at.open()?;
        // To the second, as Kubernetes tells times.
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
        let name = name(now, &end());
        println!("trackbed: takes the backup {name}");
        let manifest = engine.take(options, &destination, &name, now).await?;
        println!(
            "trackbed: {} bytes, {} of them stored",
            manifest.bytes, manifest.stored_bytes
        );
        let path = options.run.join(TAKEN);
        fs::write(&path, &name).map_err(|e| Error::io(format!("writing {}", path.display()), e))?;
        let identity = manifest.identity;
        let backups = destination.survey(&identity).await?.backups;
        let keep = Keep {
            count: retain.keep,
            for_: retain
                .keep_for
                .map(|it| SignedDuration::from_secs(it.into())),
        };
        let superfluous = surplus(&backups, keep, now);
        // Twice as long as any may take: two may run at once.
        let longest = SignedDuration::from_secs(i64::from(retain.timeout) * 2);
        // The backup is good, whatever becomes of others.
        let mut gone = Vec::new();
        let cleared = clear(
            &destination,
            &identity,
            superfluous,
            now - longest,
            &mut gone,
        )
        .await;
        let left = cleared.err().map(|error| error.to_string());
        if let Some(why) = &left {
            eprintln!("trackbed: what is too much stays: {why}");
        }
        Ok(told(&backups, &gone, left))
    })
}

/// Removes backups that are too many, and what was begun before `begun` and never finished.
async fn clear(
    destination: &Destination,
    identity: &str,
    superfluous: Vec<String>,
    begun: Timestamp,
    gone: &mut Vec<String>,
) -> Result<(), Error> {
    for name in superfluous {
        println!("trackbed: removes the backup {name}");
        destination.remove(identity, &name).await?;
        gone.push(name);
    }
    for name in destination.sweep(identity, begun).await? {
        println!("trackbed: removes what was left of {name}, which was never finished");
    }
    Ok(())
}

/// What is told of the backups that stay.
fn told(backups: &[Manifest], removed: &[String], left: Option<String>) -> Taken {
    let stay = backups.iter().filter(|it| !removed.contains(&it.name));
    let entries: Vec<Entry> = stay
        .rev()
        .map(|it| Entry {
            name: it.name.clone(),
            taken_at: it.taken_at,
            stored_bytes: it.stored_bytes + it.parts.iter().map(|it| it.stored_bytes).sum::<u64>(),
        })
        .collect();
    Taken {
        count: entries.len(),
        newest: entries.into_iter().take(TOLD).collect(),
        left,
    }
}

/// Restores the backup that was just taken into a server of its own.
///
/// # Errors
/// That it does not come back whole.
pub(crate) fn prove(engine: Engine, options: &Options, at: &At) -> Result<Loaded, Error> {
    process::runtime()?.block_on(async {
        let path = options.run.join(TAKEN);
        let name = fs::read_to_string(&path)
            .map_err(|e| Error::io(format!("reading {}", path.display()), e))?;
        let identity = options.state()?.identity;
        let destination = at.open()?;
        let manifest = destination.manifest(&identity, &name).await?;
        println!("trackbed: restores {name} to prove it");
        let draft = marker::draft(&engine.folder(options))?;
        let proven = engine.load(options, &draft, &destination, &manifest, Use::Proof);
        let proven = proven.await;
        // The room is its pod's, which may be tried again.
        let _left = fs::remove_dir_all(&draft);
        proven?;
        Ok(loaded(&manifest, &destination.parts(&manifest).await?))
    })
}

fn loaded(manifest: &Manifest, parts: &[Manifest]) -> Loaded {
    let counts = || [manifest].into_iter().chain(parts).map(|it| &it.counts);
    Loaded {
        name: manifest.name.clone(),
        taken_at: manifest.taken_at,
        tables: counts().map(|it| it.len()).sum(),
        rows: counts().flat_map(|it| it.values()).sum(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    pub(crate) fn manifest(name: &str) -> Manifest {
        Manifest {
            format: trackbed_backup::FORMAT,
            name: name.to_owned(),
            engine: "postgres".to_owned(),
            version: "17".to_owned(),
            identity: "ours".to_owned(),
            database: Some("app".to_owned()),
            taken_at: "2026-03-01T02:00:00Z".parse().expect("a time"),
            content: "pg_dump custom".to_owned(),
            encryption: None,
            bytes: 10,
            stored_bytes: 5,
            sha256: String::new(),
            counts: BTreeMap::from([("public.a".to_owned(), 3), ("public.b".to_owned(), 4)]),
            extensions: Vec::new(),
            parts: Vec::new(),
        }
    }

    #[test]
    fn names_tell_when_and_are_names() {
        let now = "2026-03-01T02:00:05.5Z".parse().expect("a time");
        let name = name(now, &end());
        assert!(name.starts_with("20260301-020005-"), "{name}");
        assert_eq!(name.len(), 20, "{name}");
        trackbed_backup::check_name(&name).expect("a name");
    }

    #[test]
    fn what_is_told_fits_into_a_termination_message() {
        let names: Vec<String> = (0..1000)
            .map(|it| format!("20260301-{it:06}-abcd"))
            .collect();
        let backups: Vec<Manifest> = names.iter().map(|it| manifest(it)).collect();
        let told = told(&backups, &names[..10], Some("x".repeat(600)));
        assert_eq!(told.count, 990);
        assert_eq!(told.newest[0].name, names[999]);
        let text = serde_json::to_string(&told).expect("JSON");
        assert!(text.len() < 2048, "{text}");
        assert!(
            text.contains(r#""takenAt":"2026-03-01T02:00:00Z","storedBytes":5"#),
            "{text}"
        );
        let loaded = loaded(&backups[0], &backups[1..2]);
        assert_eq!((loaded.tables, loaded.rows), (4, 14));
    }
}
