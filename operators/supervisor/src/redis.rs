//! Redis and Valkey, as in the official images: <https://hub.docker.com/_/redis> and
//! <https://hub.docker.com/r/valkey/valkey>. The second is what others made of the first: what they
//! do differently is in their names, and where an [`Engine`] is asked for.

mod client;
mod dump;
mod scratch;
mod users;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use client::{Client, aside, fields};
use rustix::process::Signal;

use crate::{
    Engine, Error, Options,
    login::{self, Login},
    marker::{self, Decision},
    mounted,
    observe::{Load, observe},
    process, write_secret,
};

pub(crate) use dump::take;
pub(crate) use scratch::load;

const PROGRAMS: &str = "/usr/local/bin";
/// Who asks for all data is told them at once, as there are no replicas to wait for, and without a
/// file on the volume.
const BACKUPS: &str = "repl-diskless-sync yes\nrepl-diskless-sync-delay 0\n";

fn port(options: &Options) -> u16 {
    if options.port == 0 {
        6379
    } else {
        options.port
    }
}

/// Where the data are.
pub(crate) fn folder(engine: Engine, options: &Options) -> PathBuf {
    options.data.join(engine.name())
}

/// A program: `server`, `check-rdb`.
pub(crate) fn program(engine: Engine, options: &Options, name: &str) -> PathBuf {
    options.program(PROGRAMS, &format!("{}-{name}", engine.name()))
}

pub(crate) fn run(engine: Engine, options: &Options) -> Result<u8, Error> {
    let folder = folder(engine, options);
    let state = options.state()?;
    let found = marker::look(&folder)?;
    match marker::decide(&found, &state, &options.version)? {
        Decision::Start => println!("trackbed: starts on the data that are there"),
        Decision::Initialise => {
            println!("trackbed: the volume is empty, makes a new database");
            initialise(options, &folder, &state.identity)?;
        }
    }
    let logins = options.logins()?;
    let admin = users::admin();
    let settings = options.run.join("server.conf");
    write_secret(&settings, &configuration(engine, options, &admin, &logins))?;
    let mut command = Command::new(program(engine, options, "server"));
    command.arg(&settings);
    let status = process::runtime()?.block_on(async {
        let child = tokio::process::Command::from(command)
            .spawn()
            .map_err(|error| Error::io("starting the server", error))?;
        let tell = |logins: Vec<Login>| {
            let (admin, port) = (admin.clone(), port(options));
            aside(move || introduce(port, &admin, &logins))
        };
        let (asked, port) = (admin.clone(), port(options));
        tokio::spawn(observe(engine, options.clone(), move || {
            let admin = asked.clone();
            aside(move || busy(port, &admin))
        }));
        tokio::select! {
            ended = process::guard(child, Signal::TERM) => ended,
            never = login::follow(options, logins.clone(), mounted::EVERY, tell) => match never {},
        }
    })?;
    Ok(process::code(status))
}

fn initialise(options: &Options, folder: &Path, identity: &str) -> Result<(), Error> {
    let draft = marker::draft(folder)?;
    fs::create_dir_all(&draft).map_err(|e| Error::io(format!("making {}", draft.display()), e))?;
    marker::publish(&draft, folder, &options.marker(identity))
}

/// What is only our choice, the user's settings, and what has to be as it is: the last word counts.
fn configuration(engine: Engine, options: &Options, admin: &Login, logins: &[Login]) -> String {
    let given = options.state.join(format!("{}.conf", engine.name()));
    let given = fs::read_to_string(given).unwrap_or_default();
    format!(
        "appendfsync everysec\n{BACKUPS}{given}\nbind * -::*\nprotected-mode yes\nport {}\ndaemonize no\ndir \"{}\"\nappendonly yes\n{}",
        port(options),
        folder(engine, options).display(),
        users::lines(admin, logins),
    )
}

/// Tells a server that runs of its users. Connections that are there stay.
fn introduce(port: u16, admin: &Login, logins: &[Login]) -> Result<(), Error> {
    let mut client = Client::enter(port, admin)?;
    for rules in users::all(logins) {
        let words = ["ACL", "SETUSER"].into_iter();
        let words: Vec<&str> = words.chain(rules.iter().map(String::as_str)).collect();
        client.say(&words, "+OK")?;
    }
    Ok(())
}

/// How busy the server is.
fn busy(port: u16, admin: &Login) -> Result<Load, Error> {
    let text = Client::enter(port, admin)?.ask(&["INFO", "clients"])?;
    let number = |name: &str| {
        let found = fields(&text).find(|(key, _)| *key == name)?;
        found.1.parse::<u64>().ok()
    };
    // Itself is one of them.
    let connections = number("connected_clients").map(|it| it.saturating_sub(1));
    let load = connections.zip(number("maxclients"));
    let load = load.map(|(connections, connections_max)| Load {
        connections,
        connections_max,
    });
    load.ok_or_else(|| Error::NoAnswer("the server does not say how busy it is".to_owned()))
}

/// Whether it lets a user in.
pub(crate) fn probe(options: &Options, login: &Login) -> Result<(), Error> {
    Client::enter(port(options), login)?.say(&["PING"], "+PONG")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(username: &str) -> Login {
        Login {
            username: username.to_owned(),
            password: "secret".to_owned(),
        }
    }

    #[test]
    fn who_wants_every_write_on_disk_gets_it() {
        for engine in [Engine::Redis, Engine::Valkey] {
            let state = tempfile::tempdir().expect("a folder");
            let given = state.path().join(format!("{}.conf", engine.name()));
            fs::write(given, "appendfsync always\nappendonly no\n").expect("a file");
            let options = Options {
                state: state.path().to_owned(),
                ..Options::test()
            };
            let text = configuration(engine, &options, &login("trackbed"), &[login("app")]);
            let last = |name: &str| text.lines().rfind(|line| line.starts_with(name));
            assert_eq!(last("appendfsync "), Some("appendfsync always"));
            assert_eq!(last("appendonly "), Some("appendonly yes"));
            let folder = format!("dir \"/data/{}\"", engine.name());
            assert_eq!(last("dir "), Some(folder.as_str()));
        }
    }
}
