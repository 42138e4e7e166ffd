//! Redis and Valkey, as in the official images: <https://hub.docker.com/_/redis> and
//! <https://hub.docker.com/r/valkey/valkey>. The second is what others made of the first: what they
//! do differently is in their names, and where an [`Engine`] is asked for.

mod client;
mod connection;
mod dump;
mod scratch;
pub(crate) mod several;
mod users;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use client::{Client, Entrance, aside, fields};
use rustix::process::Signal;
use users::Applications;

use crate::{
    Engine, Error, Options, held,
    login::Login,
    marker::{self, Decision},
    mounted::{self, Pair},
    observe::{Load, databases, observe},
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

/// Where the server listens for its own pod, whatever it does for others: only who runs it gets
/// there.
fn socket(options: &Options) -> PathBuf {
    options.run.join("server.sock")
}

/// The lines of a configuration that make the socket.
fn inside(socket: &Path) -> String {
    format!("unixsocket \"{}\"\nunixsocketperm 700\n", socket.display())
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
    if options.pod.is_some() {
        return several::run(engine, options);
    }
    let folder = folder(engine, options);
    let state = options.state()?;
    let _held = held::hold(&options.data)?;
    let found = marker::look(&folder)?;
    match marker::decide(&found, &state, &options.version)? {
        Decision::Start => println!("trackbed: starts on the data that are there"),
        Decision::Initialise => {
            println!("trackbed: the volume is empty, makes a new database");
            initialise(options, &folder, &state.identity)?;
        }
    }
    let applications = Applications::read(options)?;
    // Before the server reads it: what comes later is told it.
    let certificate = options.certificate();
    let admin = users::admin();
    let settings = options.run.join("server.conf");
    write_secret(
        &settings,
        &configuration(
            engine,
            options,
            (&folder, &outside(options)),
            &admin,
            &applications,
        ),
    )?;
    let mut command = Command::new(program(engine, options, "server"));
    command.arg(&settings);
    let entrance = Entrance {
        socket: socket(options),
        login: admin,
    };
    let serving = serve(
        engine,
        options,
        command,
        &entrance,
        applications,
        certificate,
    );
    Ok(process::code(process::runtime()?.block_on(serving)?))
}

/// Runs the server to its end, and tells it of users and certificates that are others than it was
/// started with.
async fn serve(
    engine: Engine,
    options: &Options,
    server: Command,
    entrance: &Entrance,
    applications: Applications,
    certificate: Option<Pair>,
) -> Result<ExitStatus, Error> {
    let child = tokio::process::Command::from(server)
        .spawn()
        .map_err(|error| Error::io("starting the server", error))?;
    let asked = entrance.clone();
    let none = databases::Known::default();
    tokio::spawn(observe(engine, options.clone(), none, move || {
        let entrance = asked.clone();
        aside(move || busy(&entrance))
    }));
    let tell = |applications: Applications| {
        let entrance = entrance.clone();
        aside(move || introduce(&entrance, &applications))
    };
    let show = |_| {
        let (entrance, [certificate, key]) = (entrance.clone(), options.certificate_files());
        aside(move || {
            let files = [("tls-cert-file", &*certificate), ("tls-key-file", &key)];
            show(&entrance, &files)
        })
    };
    let (users, every) = (|| Applications::read(options).ok(), mounted::EVERY);
    let (known, look) = (Some(applications), || options.certificate());
    tokio::select! {
        ended = process::guard(child, Signal::TERM) => ended,
        never = mounted::follow("who may do what", every, known, users, tell) => match never {},
        never = mounted::follow("certificate", every, certificate, look, show) => match never {},
    }
}

fn initialise(options: &Options, folder: &Path, identity: &str) -> Result<(), Error> {
    let draft = marker::draft(folder)?;
    fs::create_dir_all(&draft).map_err(|e| Error::io(format!("making {}", draft.display()), e))?;
    marker::publish(&draft, folder, &options.marker(identity))
}

/// What is only our choice, the user's settings, and what has to be as it is: the last word counts.
fn configuration(
    engine: Engine,
    options: &Options,
    (folder, listens): (&Path, &str),
    admin: &Login,
    applications: &Applications,
) -> String {
    let given = options.state.join(format!("{}.conf", engine.name()));
    let given = fs::read_to_string(given).unwrap_or_default();
    let more = options.pod.as_ref().map_or("", |_| several::CATCHES_UP);
    format!(
        "appendfsync everysec\n{BACKUPS}{more}{given}\nbind * -::*\nprotected-mode yes\n{listens}{}daemonize no\ndir \"{}\"\nappendonly yes\n{}",
        inside(&socket(options)),
        folder.display(),
        users::lines(admin, applications),
    )
}

/// The lines of a configuration that say where it listens for other pods. A port is encrypted for
/// everybody or for nobody. Which of them, a pod is told by the certificate that it has: its settings
/// may be those of the next pod already. Clients show no certificate, they have passwords:
/// <https://redis.io/docs/latest/operate/oss_and_stack/management/security/encryption/>.
fn outside(options: &Options) -> String {
    let port = port(options);
    if options.certificate().is_none() {
        return format!("port {port}\n");
    }
    let [certificate, key] = options.certificate_files();
    encrypted(port, [&certificate, &key])
}

/// The lines of a configuration by which everybody is encrypted.
fn encrypted(port: u16, [certificate, key]: [&Path; 2]) -> String {
    format!(
        "port 0\ntls-port {port}\ntls-auth-clients no\ntls-cert-file \"{}\"\ntls-key-file \"{}\"\ntls-protocols \"TLSv1.2 TLSv1.3\"\n",
        certificate.display(),
        key.display(),
    )
}

/// Tells a server that runs of its users. Connections that are there stay.
fn introduce(entrance: &Entrance, applications: &Applications) -> Result<(), Error> {
    let mut client = entrance.enter()?;
    for rules in users::all(applications) {
        let words = ["ACL", "SETUSER"].into_iter();
        let words: Vec<&str> = words.chain(rules.iter().map(String::as_str)).collect();
        client.say(&words, "+OK")?;
    }
    Ok(())
}

/// Has a server that runs read its certificate and key again: both at once, as one alone would not
/// suit the other. Connections that are there stay.
fn show(entrance: &Entrance, files: &[(&str, &Path)]) -> Result<(), Error> {
    let files = files
        .iter()
        .map(|(name, path)| (*name, path.to_string_lossy()));
    let files: Vec<_> = files.collect();
    let mut words = vec!["CONFIG", "SET"];
    words.extend(files.iter().flat_map(|(name, path)| [*name, &**path]));
    entrance.enter()?.say(&words, "+OK")
}

/// How busy the server is.
fn busy(entrance: &Entrance) -> Result<Load, Error> {
    let text = entrance.enter()?.ask(&["INFO", "clients"])?;
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
        group: None,
    });
    load.ok_or_else(|| Error::NoAnswer("the server does not say how busy it is".to_owned()))
}

/// Whether it lets a user in.
pub(crate) fn probe(options: &Options, login: &Login) -> Result<(), Error> {
    let mut client = Client::enter(&socket(options), login)?;
    // First what it lacks: without its primary it answers nothing else.
    if options.pod.is_some() {
        several::probe(options)?;
    }
    client.say(&["PING"], "+PONG")
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

    fn app() -> Applications {
        Applications {
            logins: vec![login("app")],
            ..Applications::default()
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
            let place = folder(engine, &options);
            let at = (place.as_path(), "");
            let text = configuration(engine, &options, at, &login("trackbed"), &app());
            let last = |name: &str| text.lines().rfind(|line| line.starts_with(name));
            assert_eq!(last("appendfsync "), Some("appendfsync always"));
            assert_eq!(last("appendonly "), Some("appendonly yes"));
            let folder = format!("dir \"/data/{}\"", engine.name());
            assert_eq!(last("dir "), Some(folder.as_str()));
        }
    }

    #[test]
    fn with_a_certificate_nobody_is_answered_in_the_clear() {
        let (tls, state) = (tempfile::tempdir(), tempfile::tempdir());
        let (tls, state) = (tls.expect("a folder"), state.expect("a folder"));
        let given = "port 6379\ntls-port 0\ntls-auth-clients yes\n";
        fs::write(state.path().join("redis.conf"), given).expect("a file");
        let options = Options {
            tls: tls.path().to_owned(),
            state: state.path().to_owned(),
            ..Options::test()
        };
        let listens = || {
            let at = (Path::new("/data/redis"), &*outside(&options));
            let text = configuration(Engine::Redis, &options, at, &login("trackbed"), &app());
            let names = ["port ", "tls-", "unixsocket"];
            let ours = text.lines().skip_while(|line| !line.starts_with("bind"));
            let lines = ours.filter(|line| names.iter().any(|name| line.starts_with(name)));
            let text: String = lines.map(|line| format!("{line}\n")).collect();
            text.replace(&tls.path().display().to_string(), "/tls")
        };
        let mut text = listens();
        for name in ["tls.crt", "tls.key"] {
            fs::write(tls.path().join(name), "one").expect("a file");
        }
        text += &listens();
        expect_test::expect![[r#"
            port 6379
            unixsocket "/run/server.sock"
            unixsocketperm 700
            port 0
            tls-port 6379
            tls-auth-clients no
            tls-cert-file "/tls/tls.crt"
            tls-key-file "/tls/tls.key"
            tls-protocols "TLSv1.2 TLSv1.3"
            unixsocket "/run/server.sock"
            unixsocketperm 700
        "#]]
        .assert_eq(&text);
    }
}
