//! Postgres, as in the official image: <https://hub.docker.com/_/postgres>.

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncWriteExt;

use crate::{
    Error, Options,
    login::{self, Login},
    marker::{self, Decision, Marker},
    observe::{Load, observe},
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

/// Where the official image has the programs of a major version.
fn programs(options: &Options) -> String {
    format!("/usr/lib/postgresql/{}/bin", options.version)
}

pub(crate) fn run(options: &Options) -> Result<u8, Error> {
    let folder = options.data.join(FOLDER);
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
    let settings = settings(options);
    let status = process::runtime()?.block_on(async {
        let child = tokio::process::Command::from(server(options, &folder))
            .spawn()
            .map_err(|error| Error::io("starting postgres", error))?;
        let id = child.id();
        let guarded = process::guard(child, Signal::INT);
        tokio::pin!(guarded);
        let asked = options.clone();
        tokio::spawn(observe(options.clone(), move || load(asked.clone())));
        // Settings need the server; a server that ends before them needs no settings.
        tokio::select! {
            ended = &mut guarded => return ended,
            done = configure(options, &logins) => done?,
        }
        println!("trackbed: roles and database are there");
        let tell = |logins: Vec<Login>| async move { introduce(options, &logins).await };
        tokio::select! {
            ended = guarded => ended,
            never = reload(options, settings, id) => match never {},
            never = login::follow(options, logins, login::EVERY, tell) => match never {},
        }
    })?;
    Ok(process::code(status))
}

/// How busy the server is.
async fn load(options: Options) -> Result<Load, Error> {
    let mut ask = psql(&options);
    ask.args(["--username", ADMIN, "--tuples-only", "--no-align"])
        .args(["--command", LOAD])
        .env("PGDATABASE", "postgres")
        .env("PGCONNECT_TIMEOUT", "3")
        .arg("--host")
        .arg(&options.run);
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
        })
    });
    load.ok_or_else(|| Error::NoAnswer("the server does not say how busy it is".to_owned()))
}

/// The server's settings, as the file has them.
fn settings(options: &Options) -> Option<Vec<u8>> {
    fs::read(options.state.join(SETTINGS)).ok()
}

/// Has the server read its settings again whenever the file changes, for ever. What it would have to
/// be started for, it is started for: the controller sees to that.
async fn reload(options: &Options, mut known: Option<Vec<u8>>, server: Option<u32>) -> Infallible {
    let server = server.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    loop {
        tokio::time::sleep(login::EVERY).await;
        let found = settings(options);
        if let Some(server) = server
            && found.is_some()
            && found != known
        {
            println!("trackbed: the settings changed, the server reads them again");
            // One that has just ended reads them when it starts.
            let _gone = kill_process(server, Signal::HUP);
            known = found;
        }
    }
}

fn initialise(options: &Options, folder: &Path, identity: &str) -> Result<(), Error> {
    let draft = options.data.join(format!("{FOLDER}.new"));
    if draft.exists() {
        // Of an attempt that did not come to its end: nothing was ever written to it.
        fs::remove_dir_all(&draft)
            .map_err(|e| Error::io(format!("removing {}", draft.display()), e))?;
    }
    let initdb = options.program(&programs(options), "initdb");
    process::check(
        Command::new(initdb)
            .arg("--pgdata")
            .arg(&draft)
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
    let marker = Marker {
        identity: identity.to_owned(),
        version: options.version.clone(),
    };
    marker::write(&draft, &marker)?;
    marker::publish(&draft, folder)
}

fn server(options: &Options, folder: &Path) -> Command {
    let mut command = Command::new(options.program(&programs(options), "postgres"));
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

fn psql(options: &Options) -> Command {
    let mut command = Command::new(options.program(&programs(options), "psql"));
    command
        .args([
            "--no-psqlrc",
            "--quiet",
            "--no-password",
            "--set",
            "ON_ERROR_STOP=1",
        ])
        .arg("--port")
        .arg(port(options).to_string());
    command
}

/// Waits for the server and tells it of its users and their database.
async fn configure(options: &Options, logins: &[Login]) -> Result<(), Error> {
    loop {
        let mut ask = psql(options);
        ask.args(["--username", ADMIN, "--command", "select 1"])
            .env("PGDATABASE", "postgres")
            .arg("--host")
            .arg(&options.run);
        let asked = tokio::process::Command::from(ask)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if asked.is_ok_and(|status| status.success()) {
            break;
        }
        // A recovery may take long; the kubelet's start-up probe says how long.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    introduce(options, logins).await
}

/// Gives the roles their passwords and the database.
async fn introduce(options: &Options, logins: &[Login]) -> Result<(), Error> {
    let database = options.credential("database")?;
    write_secret(&password_file(options), &passwords(logins))?;
    submit(options, "postgres", &roles(&database, logins)).await?;
    submit(options, &database, &ownership(&database, logins)).await
}

/// Runs SQL as the super-user. It goes to psql by standard input.
async fn submit(options: &Options, database: &str, sql: &str) -> Result<(), Error> {
    let mut command = psql(options);
    command
        .args(["--username", ADMIN, "--file", "-"])
        // As a variable it is a name, whatever is in it; as an argument it may be a whole address.
        .env("PGDATABASE", database)
        .arg("--host")
        .arg(&options.run);
    let mut child = tokio::process::Command::from(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| Error::io("starting psql", error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(sql.as_bytes())
            .await
            .map_err(|error| Error::io("talking to psql", error))?;
    }
    let status = child
        .wait()
        .await
        .map_err(|error| Error::io("waiting for psql", error))?;
    match status.success() {
        true => Ok(()),
        // psql repeats the line that failed, which may hold a password.
        false => Err(Error::NoAnswer(
            "the roles and their database could not be set up".to_owned(),
        )),
    }
}

/// SQL that may run again and again. What the users make belongs to one role that is called like the
/// database, whoever of them makes it: that user itself, and the others act as it.
fn roles(database: &str, logins: &[Login]) -> String {
    let owner = identifier(database);
    let mut sql = format!(
        r"set log_statement = 'none';
set log_min_error_statement = 'panic';
{}select {} where not exists (select from pg_database where datname = {}) \gexec
alter database {owner} owner to {owner};
",
        missing_role(database),
        literal(&format!("create database {owner} owner {owner}")),
        literal(database),
    );
    for Login { username, password } in logins {
        let role = identifier(username);
        if username != database {
            sql += &missing_role(username);
        }
        sql += &format!(
            "alter role {role} with login nosuperuser nocreatedb nocreaterole password {};
",
            literal(password)
        );
        if username != database {
            sql += &format!(
                "grant {owner} to {role};
alter role {role} set role to {owner};
"
            );
        }
    }
    sql
}

fn missing_role(name: &str) -> String {
    format!(
        "select {} where not exists (select from pg_roles where rolname = {}) \\gexec\n",
        literal(&format!("create role {}", identifier(name))),
        literal(name),
    )
}

/// A session may have left the owner's role, by `discard all` for one: what it made then is the
/// owner's all the same.
fn ownership(database: &str, logins: &[Login]) -> String {
    let owner = identifier(database);
    let others = logins.iter().filter(|login| login.username != database);
    others
        .map(|login| {
            let role = identifier(&login.username);
            format!(
                "reassign owned by {role} to {owner};
"
            )
        })
        .collect()
}

fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// With `standard_conforming_strings`, which is on unless somebody turns it off, a backslash is one.
fn literal(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\'', "''");
    format!("E'{escaped}'")
}

/// libpq's own file for passwords: <https://www.postgresql.org/docs/current/libpq-pgpass.html>.
fn passwords(logins: &[Login]) -> String {
    let escape = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
    logins
        .iter()
        .map(|login| {
            format!(
                "*:*:*:{}:{}\n",
                escape(&login.username),
                escape(&login.password)
            )
        })
        .collect()
}

fn password_file(options: &Options) -> PathBuf {
    options.run.join("pgpass")
}

/// Whether it lets a user in.
pub(crate) fn probe(options: &Options, login: &Login) -> Result<(), Error> {
    let mut command = psql(options);
    command
        .env("PGPASSFILE", password_file(options))
        .env("PGCONNECT_TIMEOUT", "3")
        .env("PGDATABASE", options.credential("database")?)
        .args(["--host", "127.0.0.1", "--command", "select 1"])
        .args(["--username", &login.username]);
    process::check(&mut command).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(username: &str, password: &str) -> Login {
        Login {
            username: username.to_owned(),
            password: password.to_owned(),
        }
    }

    #[test]
    fn what_two_users_make_belongs_to_one() {
        let logins = [login("app_2", "two"), login("app", "one")];
        expect_test::expect![[r#"
            set log_statement = 'none';
            set log_min_error_statement = 'panic';
            select E'create role "app"' where not exists (select from pg_roles where rolname = E'app') \gexec
            select E'create database "app" owner "app"' where not exists (select from pg_database where datname = E'app') \gexec
            alter database "app" owner to "app";
            select E'create role "app_2"' where not exists (select from pg_roles where rolname = E'app_2') \gexec
            alter role "app_2" with login nosuperuser nocreatedb nocreaterole password E'two';
            grant "app" to "app_2";
            alter role "app_2" set role to "app";
            alter role "app" with login nosuperuser nocreatedb nocreaterole password E'one';
            reassign owned by "app_2" to "app";
        "#]]
            .assert_eq(&(roles("app", &logins) + &ownership("app", &logins)));
    }

    #[test]
    fn hostile_credentials_stay_text() {
        let logins = [login("a\"; drop role x; --", "p'; drop table \\x")];
        expect_test::expect![[r#"
            set log_statement = 'none';
            set log_min_error_statement = 'panic';
            select E'create role "d''b"' where not exists (select from pg_roles where rolname = E'd''b') \gexec
            select E'create database "d''b" owner "d''b"' where not exists (select from pg_database where datname = E'd''b') \gexec
            alter database "d'b" owner to "d'b";
            select E'create role "a""; drop role x; --"' where not exists (select from pg_roles where rolname = E'a"; drop role x; --') \gexec
            alter role "a""; drop role x; --" with login nosuperuser nocreatedb nocreaterole password E'p''; drop table \\x';
            grant "d'b" to "a""; drop role x; --";
            alter role "a""; drop role x; --" set role to "d'b";
            reassign owned by "a""; drop role x; --" to "d'b";
        "#]]
            .assert_eq(&(roles("d'b", &logins) + &ownership("d'b", &logins)));
        expect_test::expect![[r#"
            *:*:*:a\:b:c\\d\:e
        "#]]
        .assert_eq(&passwords(&[login("a:b", "c\\d:e")]));
    }
}
