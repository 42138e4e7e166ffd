//! Postgres, as in the official image: <https://hub.docker.com/_/postgres>.

mod begin;
mod dump;
mod further;
mod owners;
mod peer;
mod psql;
mod refill;
mod scratch;
mod sql;

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use further::Listed;
use peer::Peer;
use rustix::process::{Pid, Signal, kill_process};
use trackbed_backup::{Destination, Manifest};

use crate::{
    Engine, Error, Options, Use, held,
    login::Login,
    marker::{self, Decision},
    mounted::{self, Pair},
    observe::{Load, databases, observe},
    process, write_secret,
};

/// Folder of the data on the volume: a volume's own root may hold `lost+found`.
const FOLDER: &str = "pgdata";
/// File of the server's settings.
const SETTINGS: &str = "postgresql.conf";
/// The super-user: only through the socket, which is in the pod's memory.
const ADMIN: &str = "postgres";

/// Clients, and most of them that may be.
const LOAD: &str = "select count(*), current_setting('max_connections') from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()";

/// Runs the SQL that a database begins with in the empty one of a server that is somebody else's.
///
/// # Errors
/// That it is not there, or what the server says to it. Then nothing of it stays.
pub(crate) fn begin_at(options: &Options, host: &str) -> Result<(), Error> {
    process::runtime()?.block_on(begin::at(options, host))
}

/// Has a server that is somebody else's make the databases of a list, and their owners.
///
/// # Errors
/// That the list is not the one that is meant, or what the server says.
pub(crate) fn databases_at(
    options: &Options,
    host: &str,
    list: &str,
) -> Result<databases::Told, Error> {
    process::runtime()?.block_on(further::at(options, host, list))
}

/// A program, where the official image has those of a major version.
pub(crate) fn program(options: &Options, name: &str) -> PathBuf {
    let folder = format!("/usr/lib/postgresql/{}/bin", options.version);
    options.program(&folder, name)
}

pub(crate) use dump::take;
pub(crate) use refill::refill;

/// Where the data are.
pub(crate) fn folder(options: &Options) -> PathBuf {
    options.data.join(FOLDER)
}

/// Makes a folder of a backup's data, and compares how many rows there are with how many there were.
///
/// # Errors
/// What is wrong with the backup, or with the room for it. Then the folder is of no use.
pub(crate) async fn load(
    options: &Options,
    folder: &Path,
    destination: &Destination,
    manifest: &Manifest,
    purpose: Use,
) -> Result<(), Error> {
    make(options, folder)?;
    scratch::load(options, folder, destination, manifest, purpose).await
}

pub(crate) fn run(options: &Options) -> Result<u8, Error> {
    let folder = folder(options);
    let state = options.state()?;
    let _held = held::hold(&options.data)?;
    let found = marker::look(&folder)?;
    match marker::decide(&found, &state, &options.version)? {
        Decision::Start => {
            println!("trackbed: starts on the data that are there");
            forget_process(options, &folder)?;
        }
        Decision::Initialise => {
            println!("trackbed: the volume is empty, makes a new database");
            initialise(options, &folder, &state.identity)?;
        }
    }
    let users = Users::read(options)?;
    let known = readable(options);
    let status = process::runtime()?.block_on(async {
        let child = tokio::process::Command::from(server(options, &folder))
            .spawn()
            .map_err(|error| Error::io("starting postgres", error))?;
        let id = child.id();
        let guarded = process::guard(child, Signal::INT);
        tokio::pin!(guarded);
        let (asked, told) = (options.clone(), databases::Known::default());
        let shown = told.clone();
        tokio::spawn(observe(
            Engine::Postgres,
            options.clone(),
            shown,
            move || busy(asked.clone()),
        ));
        // Settings need the server; a server that ends before them needs no settings.
        let heard = tokio::select! {
            ended = &mut guarded => return ended,
            done = configure(options, &folder, &users, &told) => done?,
        };
        println!("trackbed: roles and database are there");
        let told = &told;
        let tell = |users: Users| async move { introduce(options, &users, told).await };
        let mounted = || Users::read(options).ok();
        let users = Some(users).filter(|_| heard);
        let (files, every) = ("settings or certificate", mounted::EVERY);
        let (look, reload) = (|| readable(options), |_| async { reload(id) });
        tokio::select! {
            ended = guarded => ended,
            never = mounted::follow(files, every, known, look, reload) => match never {},
            never = mounted::follow("the credentials", every, users, mounted, tell) => match never {},
        }
    })?;
    Ok(process::code(status))
}

/// How busy the server is.
async fn busy(options: Options) -> Result<Load, Error> {
    let mut ask = psql::admin(&options);
    ask.args(["--tuples-only", "--no-align"])
        .args(["--command", LOAD])
        .env("PGCONNECT_TIMEOUT", "3");
    let output = tokio::process::Command::from(ask)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .await
        .map_err(|error| Error::io("starting psql", error))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers = text.trim().split_once('|');
    let load = numbers.and_then(|(connections, most)| {
        Some(Load {
            connections: connections.parse().ok()?,
            connections_max: most.parse().ok()?,
            group: None,
        })
    });
    load.ok_or_else(|| Error::NoAnswer("the server does not say how busy it is".to_owned()))
}

/// What the server reads again when it is told to, as the files have it: its settings, and the
/// certificate that it shows.
fn readable(options: &Options) -> Option<(Vec<u8>, Option<Pair>)> {
    let settings = fs::read(options.state.join(SETTINGS)).ok()?;
    Some((settings, options.certificate()))
}

/// Has the server read its settings and certificate again. What it would have to be started for, it
/// is started for: the controller sees to that.
fn reload(server: Option<u32>) -> Result<(), Error> {
    if let Some(server) = server.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
        // One that has just ended reads them when it starts.
        let _gone = kill_process(server, Signal::HUP);
    }
    Ok(())
}

/// Removes what a server that was killed left: the number of its process, beside its data and beside
/// its socket, which outlives a container. Another process may have it by now, a probe for one, and
/// Postgres would take that for a server and not start. That there is none the volume's lock has
/// shown.
fn forget_process(options: &Options, folder: &Path) -> Result<(), Error> {
    let lock = format!(".s.PGSQL.{}.lock", port(options));
    for path in [folder.join("postmaster.pid"), options.run.join(lock)] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::io(format!("removing {}", path.display()), error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn initialise(options: &Options, folder: &Path, identity: &str) -> Result<(), Error> {
    let draft = marker::draft(folder)?;
    make(options, &draft)?;
    if options.init.is_some() {
        begin::ask(&draft)?;
    }
    marker::publish(&draft, folder, &options.marker(identity))
}

/// Makes the files of a server without data.
fn make(options: &Options, folder: &Path) -> Result<(), Error> {
    let initdb = program(options, "initdb");
    process::check(
        Command::new(initdb)
            .arg("--pgdata")
            .arg(folder)
            .args(["--username", ADMIN])
            .args([
                "--encoding",
                "UTF8",
                "--locale",
                "C.UTF-8",
                "--data-checksums",
            ])
            .args(["--auth-local", "peer", "--auth-host", "scram-sha-256"]),
    )?;
    Ok(())
}

fn server(options: &Options, folder: &Path) -> Command {
    let mut command = Command::new(program(options, "postgres"));
    command.arg("-D").arg(folder);
    let settings = options.state.join(SETTINGS);
    if settings.exists() {
        command.arg(format!("--config-file={}", settings.display()));
    }
    let hba = options.state.join("pg_hba.conf");
    command
        .arg(format!("--hba-file={}", hba.display()))
        .arg("--listen-addresses=*")
        .arg(format!(
            "--unix-socket-directories={}",
            options.run.display()
        ))
        .arg(format!("--port={}", port(options)));
    command
}

fn port(options: &Options) -> u16 {
    if options.port == 0 {
        5432
    } else {
        options.port
    }
}

/// Waits for the server, tells it of its users and their databases, and what the application's begins
/// with. Says whether it has all of them: that one of the others cannot be made keeps nobody from the
/// application's.
async fn configure(
    options: &Options,
    folder: &Path,
    users: &Users,
    told: &databases::Known,
) -> Result<bool, Error> {
    answers(options).await;
    application_users(options, &users.logins).await?;
    let further = further_users(options, users, told).await;
    if let Err(error) = &further {
        eprintln!("trackbed: not all databases are there yet: {error}");
    }
    // From now on the kubelet is told that it serves.
    write_secret(&password_file(options), &sql::passwords(&users.logins))?;
    begin::run(options, folder, &users.logins).await?;
    Ok(further.is_ok())
}

/// Waits for the server. A recovery may take long; the kubelet's start-up probe says how long.
async fn answers(options: &Options) {
    loop {
        let mut ask = psql::admin(options);
        ask.args(["--command", "select 1"]);
        let asked = tokio::process::Command::from(ask)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if asked.is_ok_and(|status| status.success()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Whom the server lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Users {
    /// The application's.
    logins: Vec<Login>,
    /// Further databases and their owners, if it was ever told of any.
    further: Option<Listed>,
}

impl Users {
    fn read(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            logins: options.logins()?,
            further: Listed::read(options)?,
        })
    }
}

/// Tells the server of users and databases that are others than before.
async fn introduce(options: &Options, users: &Users, told: &databases::Known) -> Result<(), Error> {
    write_secret(&password_file(options), &sql::passwords(&users.logins))?;
    application_users(options, &users.logins).await?;
    further_users(options, users, told).await
}

/// Gives the application's roles their passwords and the database.
async fn application_users(options: &Options, logins: &[Login]) -> Result<(), Error> {
    let database = options.credential("database")?;
    let admin = Peer::admin(options);
    psql::submit(options, &admin, &sql::roles(&database, logins)).await?;
    let ownership = sql::ownership(&database, logins);
    psql::submit(options, &admin.at(&database), &ownership).await
}

async fn further_users(
    options: &Options,
    users: &Users,
    told: &databases::Known,
) -> Result<(), Error> {
    if let Some(listed) = &users.further {
        let admin = Peer::admin(options);
        told.set(Some(further::settle(options, &admin, listed).await?));
    }
    Ok(())
}

fn password_file(options: &Options) -> PathBuf {
    options.run.join("pgpass")
}

/// `psql` as a user, by a password, to the database of the applications.
fn application(options: &Options, login: &Login) -> Result<Command, Error> {
    let mut command = psql::command(options);
    command
        .env("PGPASSFILE", password_file(options))
        .env("PGDATABASE", options.credential("database")?)
        .args(["--host", "127.0.0.1", "--username", &login.username]);
    Ok(command)
}

/// Whether it lets a user in, to a database that has begun.
pub(crate) fn probe(options: &Options, login: &Login) -> Result<(), Error> {
    if begin::is_pending(&folder(options)) {
        let what = "the database has not begun with its SQL yet";
        return Err(Error::NoAnswer(what.to_owned()));
    }
    let mut command = application(options, login)?;
    command
        .env("PGCONNECT_TIMEOUT", "3")
        .args(["--command", "select 1"]);
    process::check(&mut command).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_was_killed_leaves_no_number() {
        let (folder, run) = (tempfile::tempdir(), tempfile::tempdir());
        let (folder, run) = (folder.expect("a folder"), run.expect("a folder"));
        let options = Options {
            run: run.path().to_owned(),
            ..Options::test()
        };
        let left = [
            folder.path().join("postmaster.pid"),
            run.path().join(format!(".s.PGSQL.{}.lock", port(&options))),
        ];
        for path in &left {
            fs::write(path, "8\n").expect("it is written");
        }
        let kept = folder.path().join("PG_VERSION");
        fs::write(&kept, "17\n").expect("it is written");
        forget_process(&options, folder.path()).expect("they go");
        assert!(left.iter().all(|path| !path.exists()) && kept.exists());
        forget_process(&options, folder.path()).expect("there is nothing to do");
    }
}
