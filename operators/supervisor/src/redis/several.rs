//! Several servers of Redis or Valkey: one is the primary, the others follow it, and Sentinels, one
//! beside each of them, decide by majority who takes over:
//! <https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/>.
//!
//! Redis does not ask whether a primary has the data that its replicas have: they throw away theirs
//! and take its own. So a server is only ever the primary with data that were whole: one whose volume
//! is empty follows others, and cannot take over before it has everything.

mod ask;
mod begin;
mod decide;
mod follow;
mod handover;
mod pass;
mod sentinel;
mod serve;
mod shown;

use std::{fs, path::PathBuf};

use super::{client::Client, client::fields, connection::Server, socket, users};
use crate::{Error, Options, login::Login, mounted::snapshot};

use shown::Tls;

pub(crate) use sentinel::watch;
pub(super) use serve::run;

/// Where a server listens for the other pods. Where clients are told to go, the supervisor does.
const SERVER: u16 = 6380;
/// Where a Sentinel listens.
const SENTINEL: u16 = 26379;
/// So much is kept for a server that was away for a moment, as when another one took over.
pub(super) const CATCHES_UP: &str = "repl-backlog-size 16mb\n";
/// What Sentinels call the servers that they watch.
const GROUP: &str = "trackbed";
/// File of the state: how many servers there are to be.
const SERVERS: &str = "servers";
/// File in memory: who is the primary.
const PRIMARY: &str = "primary";

/// The servers that hold the same data.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Servers {
    /// This one's name in the network.
    own: String,
    /// Those of all, this one's among them but while it is too many.
    all: Vec<String>,
    /// Whether this one begins when there are no data yet.
    first: bool,
    /// The password by which they enter each other.
    password: String,
    /// How they encrypt, if they do.
    tls: Option<Tls>,
}

impl Servers {
    /// As the files say it.
    ///
    /// # Errors
    /// That they cannot be read.
    fn read(options: &Options) -> Result<Self, Error> {
        let path = snapshot(&options.state).join(SERVERS);
        let text = fs::read_to_string(&path);
        let text = text.map_err(|e| Error::io(format!("reading {}", path.display()), e))?;
        let wrong = || Error::NoAnswer("the number of the servers is wrong".to_owned());
        let count: usize = text.trim().parse().map_err(|_| wrong())?;
        let (name, ordinal) = name(options)?;
        let host = |ordinal: &str| format!("{name}-{ordinal}.{}", options.domain);
        Ok(Self {
            own: host(ordinal),
            all: (0..count).map(|it| host(&it.to_string())).collect(),
            first: ordinal == "0",
            password: options.peers()?,
            tls: Tls::read(options)?,
        })
    }

    /// How many have to agree.
    fn majority(&self) -> usize {
        self.all.len() / 2 + 1
    }

    /// The others.
    fn others(&self) -> impl Iterator<Item = &String> {
        self.all.iter().filter(|it| **it != self.own)
    }

    /// As whom Sentinels, and who asks them, come in.
    fn watcher(&self) -> Login {
        Login {
            username: users::SENTINEL.to_owned(),
            password: self.password.clone(),
        }
    }

    /// Enters one of them, or its Sentinel, as Sentinels do.
    ///
    /// # Errors
    /// That it does not answer at once, is not one of them, or does not let them in.
    fn enter(&self, host: &str, port: u16) -> Result<Client, Error> {
        let tls = self.tls.as_ref();
        let tls = tls.map(|it| (it.name.as_str(), it.trusted.as_str()));
        Client::reach(&Server::peer(host, port, tls)?, &self.watcher())
    }
}

/// The Database's name and the server's number in the name of a pod.
fn name(options: &Options) -> Result<(&str, &str), Error> {
    let pod = options.pod.as_deref().unwrap_or_default();
    let wrong = || Error::NoAnswer("the name of the servers is wrong".to_owned());
    pod.rsplit_once('-').ok_or_else(wrong)
}

/// The name by which clients know all of them: the domain is that of their own names.
fn address(options: &Options) -> Result<String, Error> {
    let (name, _) = name(options)?;
    Ok(match options.domain.split_once('.') {
        Some((_, rest)) => format!("{name}.{rest}"),
        None => name.to_owned(),
    })
}

fn primary_file(options: &Options) -> PathBuf {
    options.run.join(PRIMARY)
}

/// How a server says that it stands to the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Standing {
    /// Whether it takes writes.
    is_primary: bool,
    /// Whether it follows another one right now.
    linked: bool,
    /// Whether it may take over.
    may: bool,
    /// Whether all that it has is in its files.
    written: bool,
    /// How far its data are.
    offset: u64,
    /// How far those are that follow it.
    followers: Vec<u64>,
}

impl Standing {
    /// By what `INFO` says of replication and persistence.
    fn read(text: &str) -> Self {
        let said = |name: &str| fields(text).find(|(key, _)| *key == name).map(|it| it.1);
        let is = |name: &str, value: &str| said(name) == Some(value);
        let online = |value: &str| {
            let part = |name: &str| value.split(',').find_map(|it| it.strip_prefix(name));
            (part("state=") == Some("online")).then(|| part("offset=")?.parse().ok())?
        };
        let follower = |(name, value): (&str, &str)| {
            let number = name
                .strip_prefix("slave")
                .or(name.strip_prefix("replica"))?;
            number.parse::<u16>().ok()?;
            online(value)
        };
        Self {
            is_primary: is("role", "master") || is("role", "primary"),
            linked: is("master_link_status", "up") && is("master_sync_in_progress", "0"),
            may: said("slave_priority")
                .or(said("replica_priority"))
                .is_some_and(|it| it != "0"),
            written: is("loading", "0")
                && is("aof_enabled", "1")
                && is("aof_rewrite_in_progress", "0")
                && is("aof_rewrite_scheduled", "0")
                && is("aof_last_bgrewrite_status", "ok")
                && is("aof_last_write_status", "ok"),
            offset: said("master_repl_offset").map_or(0, |it| it.parse().unwrap_or_default()),
            followers: fields(text).filter_map(follower).collect(),
        }
    }
}

/// Asks a server how it stands.
fn standing(client: &mut Client) -> Result<Standing, Error> {
    let mut text = client.ask(&["INFO", "replication"])?;
    text += &client.ask(&["INFO", "persistence"])?;
    Ok(Standing::read(&text))
}

/// Whether clients that come to this pod reach the primary, and its own server is of use: the primary,
/// or one that could take over.
///
/// # Errors
/// What there is to wait for.
pub(super) fn probe(options: &Options) -> Result<(), Error> {
    let waits = |what: &str| Err(Error::NoAnswer(what.to_owned()));
    let servers = Servers::read(options)?;
    let Ok(primary) = fs::read_to_string(primary_file(options)) else {
        return waits("nobody knows who is the primary");
    };
    let mut client = Client::enter(&socket(options), &servers.watcher())?;
    match standing(&mut client)? {
        it if it.is_primary && primary == servers.own => Ok(()),
        it if !it.is_primary && it.linked && it.may => Ok(()),
        it if it.is_primary => waits("another server is the primary"),
        _ => waits("the server does not have all data of the primary"),
    }
}

#[cfg(test)]
impl Servers {
    /// Three of them, the first one's view.
    fn test() -> Self {
        let host = |it| format!("db-{it}.db-headless");
        Self {
            own: host(0),
            all: (0..3).map(host).collect(),
            first: true,
            password: "secret".to_owned(),
            tls: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_told_by_their_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let read = |pod: &str, number: &str| {
            fs::write(folder.path().join(SERVERS), number).expect("a file");
            fs::write(folder.path().join("peers"), "secret").expect("a file");
            Servers::read(&Options {
                state: folder.path().to_owned(),
                standby: folder.path().to_owned(),
                pod: Some(pod.to_owned()),
                domain: "db-headless".to_owned(),
                tls: folder.path().join("tls"),
                ..Options::test()
            })
        };
        assert_eq!(read("db-0", "3\n").expect("servers"), Servers::test());
        let fourth = read("db-3", "3").expect("servers");
        assert_eq!((fourth.first, fourth.others().count()), (false, 3));
        let majorities = ["3", "4", "5"].map(|it| read("db-0", it).expect("servers").majority());
        assert_eq!(majorities, [2, 3, 3]);
        read("db", "3").expect_err("no number of its own");
        read("db-0", "").expect_err("no number");
    }

    #[test]
    fn a_server_is_whole_when_all_is_in_its_files() {
        let files = "loading:0\r\naof_enabled:1\r\naof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0\r\naof_last_bgrewrite_status:ok\r\naof_last_write_status:ok\r\n";
        let primary = "role:master\r\nconnected_slaves:2\r\nslave0:ip=db-1.db-headless,port=6380,state=online,offset=196,lag=0\r\nslave1:ip=db-2.db-headless,port=6380,state=wait_bgsave,offset=0,lag=0\r\nslave_expires_tracked_keys:0\r\nmaster_repl_offset:210\r\n";
        let expected = Standing {
            is_primary: true,
            linked: false,
            may: false,
            written: true,
            offset: 210,
            followers: vec![196],
        };
        assert_eq!(Standing::read(&format!("{primary}{files}")), expected);
        let replica = "role:slave\r\nmaster_link_status:up\r\nmaster_sync_in_progress:0\r\nslave_priority:0\r\nmaster_repl_offset:5\r\n";
        let seen = |text: &str| {
            let it = Standing::read(text);
            (it.is_primary, it.linked, it.written)
        };
        assert_eq!(seen(&format!("{replica}{files}")), (false, true, true));
        let writes = files.replace("in_progress:0", "in_progress:1");
        assert_eq!(seen(&format!("{replica}{writes}")), (false, true, false));
        let away = replica.replace("status:up", "status:down");
        assert_eq!(seen(&away), (false, false, false));
        assert!(!Standing::read(replica).may);
        assert!(Standing::read(&replica.replace("priority:0", "priority:100")).may);
    }
}
