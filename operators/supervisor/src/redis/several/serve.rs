//! Running one of several servers.

use std::{
    path::Path,
    pin::Pin,
    process::{Command, ExitStatus},
};

use rustix::process::Signal;
use tokio::sync::watch;

use super::{
    SERVER, Servers,
    begin::{Begun, FILES, begin},
    follow::{self, MAY, MAY_NOT, Own},
    handover, pass, shown,
};
use crate::{
    Engine, Error, Options, held,
    mounted::{self, EVERY},
    observe::{Group, Load, databases, observe},
    process, redis,
    redis::{
        client::{Entrance, aside},
        users::{self, Applications},
    },
    write_secret,
};

/// Something that asks the server.
type Loading = Pin<Box<dyn Future<Output = Result<Load, Error>> + Send>>;

/// Runs it to its end.
///
/// # Errors
/// Why it does not start.
pub(in crate::redis) fn run(engine: Engine, options: &Options) -> Result<u8, Error> {
    let _held = held::hold(&options.data)?;
    process::runtime()?.block_on(async {
        match begin(engine, options).await? {
            Some(begun) => Ok(process::code(serve(engine, options, begun).await?)),
            None => Ok(0),
        }
    })
}

async fn serve(engine: Engine, options: &Options, begun: Begun) -> Result<ExitStatus, Error> {
    let applications = Applications::read(options)?;
    let papers = shown::show(options)?;
    let servers = Servers::read(options)?;
    let admin = users::admin();
    let settings = options.run.join("server.conf");
    let outside = lines(&servers, &begun, &options.run);
    let at = (begun.folder.as_path(), outside.as_str());
    write_secret(
        &settings,
        &redis::configuration(engine, options, at, &admin, &applications),
    )?;
    let entrance = Entrance {
        socket: redis::socket(options),
        login: admin,
    };
    let clients = pass::listen(redis::port(options)).await?;
    let child = start(engine, options, &settings)?;
    let (none, load) = (databases::Known::default(), load(options, &entrance));
    tokio::spawn(observe(engine, options.clone(), none, load));
    let own = Own {
        entrance: entrance.clone(),
        begun,
        marker: options.marker(&options.state()?.identity),
        options: options.clone(),
    };
    let tell = |applications: Applications| {
        let entrance = entrance.clone();
        aside(move || introduce(&entrance, &applications))
    };
    let users = || Applications::read(options).ok();
    let (tells, told) = watch::channel(None);
    let ends = || handover::hand_over(options, &entrance);
    tokio::select! {
        ended = process::guard_after(child, Signal::TERM, ends) => ended,
        never = mounted::follow("who may do what", EVERY, Some(applications), users, tell) => match never {},
        never = follow::primary(options, tells) => match never {},
        never = own.follow() => match never {},
        never = shown::follow(options, &entrance, papers) => match never {},
        never = pass::pass(clients, SERVER, told) => match never {},
    }
}

fn start(
    engine: Engine,
    options: &Options,
    settings: &Path,
) -> Result<tokio::process::Child, Error> {
    let mut command = Command::new(redis::program(engine, options, "server"));
    command.arg(settings);
    tokio::process::Command::from(command)
        .spawn()
        .map_err(|error| Error::io("starting the server", error))
}

/// How busy the server is, and whether it is the primary.
fn load(options: &Options, entrance: &Entrance) -> impl Fn() -> Loading + Send + 'static {
    let (options, entrance) = (options.clone(), entrance.clone());
    move || {
        let (options, entrance) = (options.clone(), entrance.clone());
        Box::pin(aside(move || {
            let load = redis::busy(&entrance)?;
            let primary = super::standing(&mut entrance.enter()?)?.is_primary;
            let servers = Servers::read(&options)?;
            let group = Group {
                primary,
                replicas: servers.all.len() as u64,
            };
            Ok(Load {
                group: Some(group),
                ..load
            })
        }))
    }
}

/// Tells a server that runs of its users, and of the password by which it enters another one.
fn introduce(entrance: &Entrance, applications: &Applications) -> Result<(), Error> {
    redis::introduce(entrance, applications)?;
    let Some(password) = &applications.peers else {
        return Ok(());
    };
    let words = ["CONFIG", "SET", "masterauth", password];
    entrance.enter()?.say(&words, "+OK")
}

/// The lines of a configuration that say where it listens for other pods, whom it follows, and that it
/// takes no writes alone: others may have another primary by then.
///
/// One that was the primary, and begins anew with an empty volume, is asked by clients of other pods
/// until these know better. As long as it has not the primary's data it answers them by an error, and
/// not that there is nothing.
fn lines(servers: &Servers, begun: &Begun, run: &Path) -> String {
    let priority = match begun.follows {
        None => MAY,
        Some(_) => MAY_NOT,
    };
    let mut text = format!(
        "{}appenddirname {FILES}\nreplica-announce-ip {}\nreplica-announce-port {SERVER}\nmasteruser {}\nmasterauth {}\nreplica-priority {priority}\nreplica-read-only yes\nreplica-serve-stale-data no\nrepl-diskless-load disabled\nmin-replicas-to-write 1\nmin-replicas-max-lag 10\n",
        shown::listens(SERVER, servers.tls.as_ref(), run),
        servers.own,
        users::REPLICATION,
        users::quoted(&servers.password),
    );
    if let Some(primary) = &begun.follows {
        text += &format!("replicaof {primary} {SERVER}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_knows_whom_it_follows() {
        let begun = |follows: Option<&str>| Begun {
            folder: "/data/redis".into(),
            whole: None,
            follows: follows.map(str::to_owned),
        };
        let text = |begun: &Begun| lines(&Servers::test(), begun, Path::new("/run"));
        expect_test::expect![[r#"
            port 6380
            appenddirname appendonlydir
            replica-announce-ip db-0.db-headless
            replica-announce-port 6380
            masteruser trackbed-replica
            masterauth "secret"
            replica-priority 100
            replica-read-only yes
            replica-serve-stale-data no
            repl-diskless-load disabled
            min-replicas-to-write 1
            min-replicas-max-lag 10
        "#]]
        .assert_eq(&text(&begun(None)));
        expect_test::expect![[r#"
            port 6380
            appenddirname appendonlydir
            replica-announce-ip db-0.db-headless
            replica-announce-port 6380
            masteruser trackbed-replica
            masterauth "secret"
            replica-priority 0
            replica-read-only yes
            replica-serve-stale-data no
            repl-diskless-load disabled
            min-replicas-to-write 1
            min-replicas-max-lag 10
            replicaof db-2 6380
        "#]]
        .assert_eq(&text(&begun(Some("db-2"))));
    }
}
