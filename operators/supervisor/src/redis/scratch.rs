//! Loading a backup into a server that nobody else can reach: to prove it, or to begin with it.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;
use tokio::{fs::File, io::AsyncWriteExt, process::Child};
use trackbed_backup::{Destination, Manifest};

use super::{
    client::{Client, Entrance, aside, fields},
    dump, inside, program, socket, users,
};
use crate::{
    Engine, Error, Options,
    backup::{Use, suits},
    process, write_secret,
};

/// File that the server reads when it starts.
const FILE: &str = "backup.rdb";
/// Format of Redis' files until 7.2, which is the one that Valkey began with.
const COMMON: u32 = 11;
/// That of Redis 7.4, which Valkey reads since 9 if it is told to, but for what it does not know.
const LATER: u32 = 12;
/// What it does not know.
const UNKNOWN: &str = "Of Redis 7.4, Valkey reads no hashes whose fields have a time to live";
/// Until it is asked again whether it is ready.
const PAUSE: Duration = Duration::from_millis(200);

/// Loads a backup into a folder that is not there yet, and compares how many keys there are with how
/// many there were.
///
/// # Errors
/// What is wrong with the backup, or with the room for it. Then the folder is of no use.
pub(crate) async fn load(
    engine: Engine,
    options: &Options,
    folder: &Path,
    destination: &Destination,
    manifest: &Manifest,
    purpose: Use,
) -> Result<(), Error> {
    suits(manifest, engine, dump::CONTENT, &options.version)?;
    fs::create_dir_all(folder).map_err(|e| Error::io(format!("making {}", folder.display()), e))?;
    let file = folder.join(FILE);
    fetch(destination, manifest, &file).await?;
    let foreign = manifest.engine != engine.name();
    let lenient = foreign && lenient(manifest, &options.version, &file)?;
    let entrance = Entrance {
        socket: socket(options),
        login: users::admin(),
    };
    let mut settings = configuration(&entrance, folder);
    if lenient {
        settings += "rdb-version-check relaxed\n";
    }
    let server = start(engine, options, &settings)?;
    let work = fill(&entrance, manifest, purpose);
    let loaded = process::beside(server, Signal::TERM, work).await;
    loaded.map_err(|error| match error {
        Error::NoAnswer(why) if lenient => Error::NoAnswer(format!("{why}. {UNKNOWN}")),
        other => other,
    })?;
    fs::remove_file(&file).map_err(|e| Error::io(format!("removing {}", file.display()), e))
}

/// Brings the backup here. Only all of it, and nothing else, is ever read by a server.
async fn fetch(destination: &Destination, manifest: &Manifest, path: &Path) -> Result<(), Error> {
    let mut reading = destination.read(manifest).await?;
    let writing = |error| Error::io(format!("writing {}", path.display()), error);
    let mut file = File::create(path).await.map_err(writing)?;
    if let Err(error) = tokio::io::copy(&mut reading, &mut file).await {
        return Err(match error.downcast::<trackbed_backup::Error>() {
            Ok(spoilt) => spoilt.into(),
            Err(error) => writing(error),
        });
    }
    file.flush().await.map_err(writing)
}

/// Whether a Valkey has to be told to read what a Redis wrote.
///
/// # Errors
/// That it does not read it.
fn lenient(manifest: &Manifest, version: &str, path: &Path) -> Result<bool, Error> {
    let mut head = [0; 9];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.map_err(|e| Error::io(format!("reading {}", path.display()), e))?;
    match str::from_utf8(&head[5..]).map(str::parse::<u32>) {
        Ok(Ok(..=COMMON)) => Ok(false),
        Ok(Ok(LATER)) if version != "8" => Ok(true),
        _ => Err(Error::Unsuited {
            name: manifest.name.clone(),
            found: "redis 7.4".to_owned(),
            wanted: format!("valkey {version}"),
            instead: "Redis, or of Valkey 9",
        }),
    }
}

fn start(engine: Engine, options: &Options, settings: &str) -> Result<Child, Error> {
    let path = options.run.join("scratch.conf");
    write_secret(&path, settings)?;
    let mut command = Command::new(program(engine, options, "server"));
    command.arg(&path);
    tokio::process::Command::from(command)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Error::io("starting the server", error))
}

fn configuration(entrance: &Entrance, folder: &Path) -> String {
    format!(
        "port 0\n{}daemonize no\ndir \"{}\"\ndbfilename {FILE}\nappendonly no\nsave \"\"\n{}",
        inside(&entrance.socket),
        folder.display(),
        users::lines(&entrance.login, &users::Applications::default()),
    )
}

async fn fill(entrance: &Entrance, manifest: &Manifest, purpose: Use) -> Result<(), Error> {
    while ask(entrance, |client| client.say(&["PING"], "+PONG"))
        .await
        .is_err()
    {
        tokio::time::sleep(PAUSE).await;
    }
    let keys = ask(entrance, |client| client.ask(&["INFO", "keyspace"])).await?;
    compare(manifest, &counts(&keys))?;
    if purpose == Use::Keep {
        // From here on it writes what a server with these data would have written.
        let files = ["CONFIG", "SET", "appendonly", "yes"];
        ask(entrance, move |client| client.say(&files, "+OK")).await?;
        while !written(entrance).await? {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

async fn ask<T: Send + 'static>(
    entrance: &Entrance,
    what: impl FnOnce(&mut Client) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let entrance = entrance.clone();
    aside(move || what(&mut entrance.enter()?)).await
}

/// Whether all data are in the files.
async fn written(entrance: &Entrance) -> Result<bool, Error> {
    let text = ask(entrance, |client| client.ask(&["INFO", "persistence"])).await?;
    let said = |name: &str| fields(&text).find(|(key, _)| *key == name).map(|it| it.1);
    let rests = |name: &str| said(name) == Some("0");
    if !rests("aof_rewrite_in_progress") || !rests("aof_rewrite_scheduled") {
        return Ok(false);
    }
    match said("aof_last_bgrewrite_status") {
        Some("ok") => Ok(true),
        _ => Err(Error::NoAnswer(
            "the server could not write its data down: its words are in the log".to_owned(),
        )),
    }
}

/// The keys of all databases, by what `INFO keyspace` says.
fn counts(text: &str) -> BTreeMap<String, u64> {
    let (mut all, mut expiring) = (0, 0);
    for (_, values) in fields(text).filter(|(name, _)| name.starts_with("db")) {
        for (name, value) in values.split(',').filter_map(|it| it.split_once('=')) {
            let value: u64 = value.parse().unwrap_or_default();
            match name {
                "keys" => all += value,
                "expires" => expiring += value,
                _ => {}
            }
        }
    }
    let lasting = u64::saturating_sub(all, expiring);
    BTreeMap::from([
        (dump::LASTING.to_owned(), lasting),
        (dump::EXPIRING.to_owned(), expiring),
    ])
}

/// Whether all is there that should be. Of the keys that go by themselves some may have gone.
fn compare(manifest: &Manifest, found: &BTreeMap<String, u64>) -> Result<(), Error> {
    let had = |what: &str| manifest.counts.get(what).copied().unwrap_or_default();
    let has = |what: &str| found.get(what).copied().unwrap_or_default();
    let lasting = had(dump::LASTING) == has(dump::LASTING);
    let what = match (lasting, had(dump::EXPIRING) >= has(dump::EXPIRING)) {
        (true, true) => return Ok(()),
        (false, _) => dump::LASTING,
        (true, false) => dump::EXPIRING,
    };
    Err(Error::Differs {
        name: manifest.name.clone(),
        how: format!("it had {} {what} and has {}", had(what), has(what)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Login;

    const SAID: &str =
        "# Keyspace\r\ndb0:keys=5,expires=2,avg_ttl=1000\r\ndb3:keys=1,expires=0,avg_ttl=0\r\n";

    fn manifest(lasting: u64, expiring: u64) -> Manifest {
        let counts = [(dump::LASTING, lasting), (dump::EXPIRING, expiring)];
        let counts = counts.map(|(what, count)| (what.to_owned(), count));
        Manifest {
            format: trackbed_backup::FORMAT,
            name: "daily".to_owned(),
            engine: "redis".to_owned(),
            version: "7".to_owned(),
            identity: "ours".to_owned(),
            database: None,
            taken_at: jiff::Timestamp::UNIX_EPOCH,
            content: dump::CONTENT.to_owned(),
            encryption: None,
            bytes: 0,
            stored_bytes: 0,
            sha256: String::new(),
            counts: BTreeMap::from(counts),
            extensions: Vec::new(),
            parts: Vec::new(),
        }
    }

    #[test]
    fn keys_of_all_databases_are_compared() {
        let said = |lasting, expiring| {
            let compared = compare(&manifest(lasting, expiring), &counts(SAID));
            compared.map_err(|error| error.to_string())
        };
        assert_eq!(said(4, 2), Ok(()));
        assert_eq!(said(4, 3), Ok(()), "one of them went by itself");
        let fewer = said(5, 2).expect_err("one is missing");
        assert!(fewer.contains("it had 5 keys and has 4"), "{fewer}");
        let more = said(4, 1).expect_err("one too many");
        assert!(more.contains("1 keys that expire and has 2"), "{more}");
    }

    #[test]
    fn what_redis_wrote_is_read_as_far_as_valkey_knows_it() {
        let read = |head: &str, version: &str| {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join(FILE);
            fs::write(&path, head).expect("a file");
            let read = lenient(&manifest(1, 0), version, &path);
            read.map_err(|error| error.to_string())
        };
        assert_eq!(read("REDIS0010...", "8"), Ok(false));
        assert_eq!(read("REDIS0011...", "9"), Ok(false));
        assert_eq!(read("REDIS0012...", "9"), Ok(true));
        let refused = read("REDIS0012...", "8").expect_err("Valkey 8 does not");
        expect_test::expect!["the backup daily is of redis 7.4, which valkey 8 does not read: restore it into a Database of Redis, or of Valkey 9"]
            .assert_eq(&refused);
        assert!(read("REDIS0013...", "9").is_err());
        assert!(read("REDIS", "9").is_err(), "it is cut");
    }

    #[test]
    fn nobody_reaches_the_server_and_it_writes_nothing_by_itself() {
        let entrance = Entrance {
            socket: "/run/trackbed/server.sock".into(),
            login: Login {
                username: "trackbed".to_owned(),
                password: "secret".to_owned(),
            },
        };
        let text = configuration(&entrance, Path::new("/data/redis.new"));
        expect_test::expect![[r#"
            port 0
            unixsocket "/run/trackbed/server.sock"
            unixsocketperm 700
            daemonize no
            dir "/data/redis.new"
            dbfilename backup.rdb
            appendonly no
            save ""
            user default reset
            user "trackbed" reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* &* +@all
        "#]].assert_eq(&text);
    }
}
