//! Redis, as in the official image: <https://hub.docker.com/_/redis>.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use rand::distr::{Alphanumeric, SampleString};
use rustix::process::Signal;
use sha2::{Digest, Sha256};

use crate::{
    Error, Options,
    login::{self, Login},
    marker::{self, Decision, Marker},
    observe::{Load, observe},
    process, write_secret,
};

const FOLDER: &str = "redis";
const PROGRAMS: &str = "/usr/local/bin";
/// The user that changes the others. Its password is made at each start, and only the supervisor and
/// the server know it.
const ADMIN: &str = "trackbed";
/// The user that is there without being asked for.
const DEFAULT: &str = "default";
/// What applications may: all but to run the server.
const APPLICATION: &[&str] = &["~*", "&*", "+@all", "-@admin", "+config|get"];
/// Longest text that is read of the server, in bytes.
const LONGEST: usize = 64 << 10;
/// Longest wait for an answer of the probe.
const PATIENCE: Duration = Duration::from_secs(3);

fn port(options: &Options) -> u16 {
    if options.port == 0 {
        6379
    } else {
        options.port
    }
}

pub(crate) fn run(options: &Options) -> Result<u8, Error> {
    let folder = options.data.join(FOLDER);
    let state = options.state()?;
    let found = marker::look(&folder)?;
    match marker::decide(&found, &state, &options.version)? {
        Decision::Start => println!("trackbed: starts on the data that are there"),
        Decision::Initialise => {
            println!("trackbed: the volume is empty, makes a new database");
            initialise(options, &state.identity)?;
        }
    }
    let logins = options.logins()?;
    let admin = Login {
        username: ADMIN.to_owned(),
        // Seeded by the operating system, and meant for secrets.
        password: Alphanumeric.sample_string(&mut rand::rng(), 32),
    };
    let settings = options.run.join("redis.conf");
    write_secret(&settings, &configuration(options, &admin, &logins))?;
    let mut command = Command::new(options.program(PROGRAMS, "redis-server"));
    command.arg(&settings);
    let status = process::runtime()?.block_on(async {
        let child = tokio::process::Command::from(command)
            .spawn()
            .map_err(|error| Error::io("starting redis-server", error))?;
        let tell = |logins: Vec<Login>| {
            let (admin, port) = (admin.clone(), port(options));
            let told = tokio::task::spawn_blocking(move || introduce(port, &admin, &logins));
            async {
                told.await
                    .unwrap_or_else(|error| Err(Error::NoAnswer(error.to_string())))
            }
        };
        let (asked, port) = (admin.clone(), port(options));
        tokio::spawn(observe(options.clone(), move || {
            let admin = asked.clone();
            let asked = tokio::task::spawn_blocking(move || load(port, &admin));
            async {
                asked
                    .await
                    .unwrap_or_else(|error| Err(Error::NoAnswer(error.to_string())))
            }
        }));
        tokio::select! {
            ended = process::guard(child, Signal::TERM) => ended,
            never = login::follow(options, logins.clone(), login::EVERY, tell) => match never {},
        }
    })?;
    Ok(process::code(status))
}

fn initialise(options: &Options, identity: &str) -> Result<(), Error> {
    let draft = options.data.join(format!("{FOLDER}.new"));
    fs::create_dir_all(&draft).map_err(|e| Error::io(format!("making {}", draft.display()), e))?;
    let marker = Marker {
        identity: identity.to_owned(),
        version: options.version.clone(),
    };
    marker::write(&draft, &marker)?;
    marker::publish(&draft, &options.data.join(FOLDER))
}

/// What is only our choice, the user's settings, and what has to be as it is: the last word counts.
fn configuration(options: &Options, admin: &Login, logins: &[Login]) -> String {
    let given = fs::read_to_string(options.state.join("redis.conf")).unwrap_or_default();
    let everything = ["~*", "&*", "+@all"];
    let users = [(admin, &everything[..])].into_iter();
    let users = users.chain(logins.iter().map(|login| (login, APPLICATION)));
    let nobody = match logins.iter().any(|login| login.username == DEFAULT) {
        true => String::new(),
        false => format!("user {DEFAULT} reset\n"),
    };
    let line = |(login, may): (&Login, &[&str])| {
        let rules = rules(login, may);
        format!("user {} {}\n", quoted(&rules[0]), rules[1..].join(" "))
    };
    let users: String = users.map(line).collect();
    format!(
        "appendfsync everysec\n{given}\nbind * -::*\nprotected-mode yes\nport {}\ndaemonize no\ndir \"{}\"\nappendonly yes\n{nobody}{users}",
        port(options),
        options.data.join(FOLDER).display(),
    )
}

/// One word of a configuration, whatever is in it. Redis refuses a user with a space in its name.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A user by the rules of <https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>,
/// the name first. The password stands there as its hash.
fn rules(login: &Login, may: &[&str]) -> Vec<String> {
    let hash: String = Sha256::digest(login.password.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let begin = [login.username.clone(), "reset".to_owned(), "on".to_owned()];
    let rest = may.iter().map(|rule| (*rule).to_owned());
    begin
        .into_iter()
        .chain([format!("#{hash}")])
        .chain(rest)
        .collect()
}

/// Tells a server that runs of its users. Connections that are there stay.
fn introduce(port: u16, admin: &Login, logins: &[Login]) -> Result<(), Error> {
    let mut client = Client::enter(port, admin)?;
    for login in logins {
        let rules = rules(login, APPLICATION);
        let words = ["ACL", "SETUSER"].into_iter();
        let words: Vec<&str> = words.chain(rules.iter().map(String::as_str)).collect();
        client.say(&words, "+OK")?;
    }
    Ok(())
}

/// How busy the server is: <https://redis.io/docs/latest/commands/info/>.
fn load(port: u16, admin: &Login) -> Result<Load, Error> {
    let text = Client::enter(port, admin)?.ask(&["INFO", "clients"])?;
    let number = |name: &str| {
        let mut fields = text.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(key, _)| *key == name)?;
        found.1.trim().parse::<u64>().ok()
    };
    // Itself is one of them.
    let connections = number("connected_clients").map(|it| it.saturating_sub(1));
    let load = connections.zip(number("maxclients"));
    let load = load.map(|(connections, connections_max)| Load {
        connections,
        connections_max,
    });
    load.ok_or_else(|| Error::NoAnswer("redis does not say how busy it is".to_owned()))
}

/// Whether it lets a user in.
pub(crate) fn probe(options: &Options, login: &Login) -> Result<(), Error> {
    Client::enter(port(options), login)?.say(&["PING"], "+PONG")
}

/// A connection in Redis' own protocol:
/// <https://redis.io/docs/latest/develop/reference/protocol-spec/>.
struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    fn enter(port: u16, login: &Login) -> Result<Self, Error> {
        let connect = || {
            let stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            std::io::Result::Ok(BufReader::new(stream))
        };
        let reader = connect().map_err(|error| Error::io("asking redis", error))?;
        let mut client = Self { reader };
        client.say(&["AUTH", &login.username, &login.password], "+OK")?;
        Ok(client)
    }

    /// Sends a command whose answer is one line.
    fn say(&mut self, words: &[&str], expected: &str) -> Result<(), Error> {
        match self.line(words)? {
            answer if answer == expected => Ok(()),
            answer => Err(Error::NoAnswer(format!("redis says {answer}"))),
        }
    }

    /// Sends a command whose answer is a text.
    fn ask(&mut self, words: &[&str]) -> Result<String, Error> {
        let line = self.line(words)?;
        let length = line.strip_prefix('$').and_then(|it| it.parse().ok());
        let length: usize = length
            .filter(|it| *it <= LONGEST)
            .ok_or_else(|| Error::NoAnswer(format!("redis says {line}")))?;
        let mut text = vec![0; length];
        let read = self.reader.read_exact(&mut text);
        read.map_err(|error| Error::io("asking redis", error))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn line(&mut self, words: &[&str]) -> Result<String, Error> {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text += &format!("${}\r\n{word}\r\n", word.len());
        }
        let mut line = String::new();
        let mut ask = || {
            self.reader.get_mut().write_all(text.as_bytes())?;
            self.reader.read_line(&mut line)
        };
        ask().map_err(|error| Error::io("asking redis", error))?;
        Ok(line.trim().to_owned())
    }
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
        let folder = tempfile::tempdir().expect("a folder");
        let given = folder.path().join("redis.conf");
        fs::write(given, "appendfsync always\nappendonly no\n").expect("a file");
        let options = Options {
            state: folder.path().to_owned(),
            ..Options::test()
        };
        let text = configuration(&options, &login("trackbed"), &[login("app")]);
        let last = |name: &str| text.lines().rfind(|line| line.starts_with(name));
        assert_eq!(last("appendfsync "), Some("appendfsync always"));
        assert_eq!(last("appendonly "), Some("appendonly yes"));
    }

    #[test]
    fn nobody_enters_without_a_name() {
        let users = |logins: &[Login]| {
            let text = configuration(&Options::test(), &login("trackbed"), logins);
            let (_, users) = text.split_once("appendonly yes\n").expect("users");
            users.to_owned()
        };
        expect_test::expect![[r#"
            user default reset
            user "trackbed" reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* &* +@all
            user "app" reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* &* +@all -@admin +config|get
            user "app_2" reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* &* +@all -@admin +config|get
        "#]].assert_eq(&users(&[login("app"), login("app_2")]));
        expect_test::expect![[r#"
            user "trackbed" reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* &* +@all
            user "default" reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* &* +@all -@admin +config|get
        "#]].assert_eq(&users(&[login("default")]));
    }
}
