//! Postgres, as in the official image: <https://hub.docker.com/_/postgres>.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    Error, Options,
    marker::{self, Decision, Marker},
    process, write_secret,
};

/// Folder of the data on the volume: a volume's own root may hold `lost+found`.
const FOLDER: &str = "pgdata";
/// The super-user: only through the socket, which is in the pod's memory.
const ADMIN: &str = "postgres";

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
    write_password_file(options)?;
    let status = process::runtime()?.block_on(async {
        let child = tokio::process::Command::from(server(options, &folder))
            .spawn()
            .map_err(|error| Error::io("starting postgres", error))?;
        let guarded = process::guard(child, Signal::INT);
        tokio::pin!(guarded);
        // Settings need the server; a server that ends before them needs no settings.
        tokio::select! {
            ended = &mut guarded => return ended,
            done = configure(options) => done?,
        }
        println!("trackbed: role and database are there");
        guarded.await
    })?;
    Ok(process::code(status))
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
    let settings = options.state.join("postgresql.conf");
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

/// Waits for the server and gives the role its password and its database.
async fn configure(options: &Options) -> Result<(), Error> {
    let sql = statements(options)?;
    loop {
        let mut ask = psql(options);
        ask.args([
            "--username",
            ADMIN,
            "--dbname",
            "postgres",
            "--command",
            "select 1",
        ])
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
    let mut child = psql(options)
        .args(["--username", ADMIN, "--dbname", "postgres", "--file", "-"])
        .arg("--host")
        .arg(&options.run)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Error::io("starting psql", error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(sql.as_bytes())
            .map_err(|error| Error::io("talking to psql", error))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|error| Error::io("waiting for psql", error))?;
    if output.status.success() {
        return Ok(());
    }
    // psql repeats the line that failed, which may hold the password.
    Err(Error::NoAnswer(
        "the role and its database could not be set up".to_owned(),
    ))
}

/// SQL that may run again and again. It goes to psql by standard input.
fn statements(options: &Options) -> Result<String, Error> {
    let user = options.credential("username")?;
    let database = options.credential("database")?;
    let password = options.credential("password")?;
    let (role, base) = (identifier(&user), identifier(&database));
    let (role_text, base_text) = (literal(&user), literal(&database));
    Ok(format!(
        r"set log_statement = 'none';
set log_min_error_statement = 'panic';
select 'create role {}' where not exists (select from pg_roles where rolname = {role_text}) \gexec
alter role {role} with login nosuperuser nocreatedb nocreaterole password {};
select 'create database {} owner {}' where not exists (select from pg_database where datname = {base_text}) \gexec
alter database {base} owner to {role};
",
        role.replace('\'', "''"),
        literal(&password),
        base.replace('\'', "''"),
        role.replace('\'', "''"),
    ))
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
fn write_password_file(options: &Options) -> Result<(), Error> {
    let password = options.credential("password")?;
    let escaped = password.replace('\\', "\\\\").replace(':', "\\:");
    write_secret(&password_file(options), &format!("*:*:*:*:{escaped}\n"))
}

fn password_file(options: &Options) -> PathBuf {
    options.run.join("pgpass")
}

/// Whether it lets the application in.
pub(crate) fn probe(options: &Options) -> Result<(), Error> {
    let mut command = psql(options);
    command
        .env("PGPASSFILE", password_file(options))
        .env("PGCONNECT_TIMEOUT", "3")
        .args(["--host", "127.0.0.1", "--command", "select 1"])
        .args(["--username", &options.credential("username")?])
        .args(["--dbname", &options.credential("database")?]);
    process::check(&mut command).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_credentials_stay_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = [
            ("username", "a\"; drop role x; --"),
            ("password", "p'; drop table \\x"),
            ("database", "d'b"),
        ];
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file");
        }
        let options = Options {
            data: "/data".into(),
            credentials: folder.path().to_owned(),
            state: "/state".into(),
            run: "/run".into(),
            programs: None,
            version: "17".to_owned(),
            port: 0,
        };
        expect_test::expect![[r#"
            set log_statement = 'none';
            set log_min_error_statement = 'panic';
            select 'create role "a""; drop role x; --"' where not exists (select from pg_roles where rolname = E'a"; drop role x; --') \gexec
            alter role "a""; drop role x; --" with login nosuperuser nocreatedb nocreaterole password E'p''; drop table \\x';
            select 'create database "d''b" owner "a""; drop role x; --"' where not exists (select from pg_database where datname = E'd''b') \gexec
            alter database "d'b" owner to "a""; drop role x; --";
        "#]]
        .assert_eq(&statements(&options).expect("SQL"));
        fs::write(folder.path().join("password"), "two\nlines").expect("a file");
        assert!(statements(&options).is_err());
    }
}
