//! Running the Sentinel of a pod. What it knows is in a file on the volume, which it writes itself:
//! whom it voted for must survive it. It watches nothing before there is a primary, so that one that
//! knows somebody always knows it from a server that has data.

mod settings;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::Child,
    signal::unix::{self, SignalKind, signal},
    time::timeout,
};

use super::{
    SERVER, Servers,
    ask::{self, Primary},
    shown, standing,
};
use crate::{
    Engine, Error, Options, held, process,
    redis::{self, client::aside},
};

/// Folder of the volume.
const FOLDER: &str = "sentinel";
/// Its file there.
const FILE: &str = "sentinel.conf";
/// Until it is looked again whether it is to be told something.
const EVERY: Duration = Duration::from_secs(1);
/// After so many looks, it is looked whether it counts one that is gone.
const SELDOM: u32 = 15;
/// How long it stays for a server of its pod that ends: its takeover needs it.
const STAYS: Duration = Duration::from_secs(40);
/// How long it may take to end.
const STOP: Duration = Duration::from_secs(5);

/// Runs it to its end.
///
/// # Errors
/// Why it does not start.
pub(crate) fn watch(engine: Engine, options: &Options) -> Result<u8, Error> {
    let folder = options.data.join(FOLDER);
    fs::create_dir_all(&folder)
        .map_err(|e| Error::io(format!("making {}", folder.display()), e))?;
    let _held = held::hold(&folder)?;
    process::runtime()?.block_on(watches(engine, options, &folder))
}

/// Why a Sentinel is stopped.
enum Stop {
    /// It ended by itself.
    Ended(std::io::Result<ExitStatus>),
    /// The pod ends.
    Asked,
    /// There is something to be told that it only reads when it starts.
    Tell(Option<Primary>),
}

async fn watches(engine: Engine, options: &Options, folder: &Path) -> Result<u8, Error> {
    let caught = |error| Error::io("catching signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(caught)?;
    let path = folder.join(FILE);
    tokio::select! {
        () = shown::is_there(options) => {}
        _ = terminate.recv() => return Ok(0),
    }
    let mut learnt = None;
    let mut before: Option<Servers> = None;
    loop {
        let servers = Servers::read(options)?;
        if let Some(before) = &before {
            tell(before, &servers);
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let known = settings::Known::read(&text, &servers, learnt.take());
        let watches = known.is_some();
        save(
            &path,
            &settings::text(&servers, (folder, &options.run), known.as_ref()),
        )?;
        let mut child = start(engine, options, &path)?;
        let stop = tokio::select! {
            ended = child.wait() => Stop::Ended(ended),
            () = ends(&mut terminate) => Stop::Asked,
            primary = news(options, &servers, watches) => Stop::Tell(primary),
        };
        before = Some(servers);
        match stop {
            Stop::Ended(ended) => {
                let ended = ended.map_err(|e| Error::io("waiting for the Sentinel", e))?;
                return Ok(process::code(ended).max(1));
            }
            Stop::Asked => {
                end(&mut child).await;
                return Ok(0);
            }
            Stop::Tell(primary) => {
                end(&mut child).await;
                learnt = primary;
            }
        }
    }
}

fn start(engine: Engine, options: &Options, path: &PathBuf) -> Result<Child, Error> {
    let mut command = Command::new(redis::program(engine, options, "server"));
    command.arg(path).arg("--sentinel");
    tokio::process::Command::from(command)
        .spawn()
        .map_err(|error| Error::io("starting the Sentinel", error))
}

/// Waits until the pod ends, and then until its server has ended or is no primary any more.
async fn ends(terminate: &mut unix::Signal) {
    terminate.recv().await;
    let gone = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", SERVER))
            .await
            .is_ok()
        {
            tokio::time::sleep(EVERY).await;
        }
    };
    let _late = timeout(STAYS, gone).await;
}

/// Says with what else it starts: more may have changed until it had ended than it was stopped for.
fn tell(before: &Servers, servers: &Servers) {
    if servers.all != before.all {
        println!("trackbed: there are {} servers now", servers.all.len());
    }
    if servers.tls != before.tls {
        println!("trackbed: the certificate changed, the Sentinel starts anew");
    }
}

/// Waits for something that the Sentinel is to be told: another number of servers, another password
/// or certificate, which it only reads when it starts, or who is the primary, if it does not know.
async fn news(options: &Options, before: &Servers, watches: bool) -> Option<Primary> {
    let mut turn = 0_u32;
    loop {
        tokio::time::sleep(EVERY).await;
        turn = turn.wrapping_add(1);
        let Ok(servers) = Servers::read(options) else {
            continue;
        };
        if servers != *before {
            return None;
        }
        if watches {
            if turn.is_multiple_of(SELDOM) && ask::counts_another(&servers).await {
                println!("trackbed: a Sentinel that is gone does not count any more");
                return None;
            }
            continue;
        }
        let found = match ask::all(&servers).await.latest() {
            Some(found) => Some(found.clone()),
            None => first(&servers).await,
        };
        if let Some(found) = found {
            println!("trackbed: the primary is {}", found.host);
            return Some(found);
        }
    }
}

/// The own server, if it is the primary: it knows that it has data.
async fn first(servers: &Servers) -> Option<Primary> {
    let (host, servers) = (servers.own.clone(), servers.clone());
    let asked = aside(move || standing(&mut servers.enter("127.0.0.1", SERVER)?)).await;
    asked
        .ok()
        .filter(|it| it.is_primary)
        .map(|_| Primary { host, epoch: 0 })
}

async fn end(child: &mut Child) {
    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(pid) = pid {
        // It may have ended just now.
        let _gone = kill_process(pid, Signal::TERM);
    }
    if timeout(STOP, child.wait()).await.is_err() {
        let _gone = child.kill().await;
    }
}

/// Replaces its file, durably.
fn save(path: &Path, text: &str) -> Result<(), Error> {
    use std::os::unix::fs::OpenOptionsExt;
    let draft = path.with_extension("new");
    let save = || {
        let mut file = fs::OpenOptions::new();
        let file = file.write(true).create(true).truncate(true).mode(0o600);
        let mut file = file.open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        match path.parent() {
            Some(folder) => fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    save().map_err(|error| Error::io(format!("writing {}", path.display()), error))
}
