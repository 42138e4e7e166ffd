//! Redis, as in the official image: <https://hub.docker.com/_/redis>.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    Error, Options,
    marker::{self, Decision, Marker},
    process, write_secret,
};

const FOLDER: &str = "redis";
const PROGRAMS: &str = "/usr/local/bin";
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
    let settings = options.run.join("redis.conf");
    write_secret(&settings, &configuration(options)?)?;
    let mut command = Command::new(options.program(PROGRAMS, "redis-server"));
    command.arg(&settings);
    let status = process::runtime()?.block_on(async {
        let child = tokio::process::Command::from(command)
            .spawn()
            .map_err(|error| Error::io("starting redis-server", error))?;
        process::guard(child, Signal::TERM).await
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

/// The user's settings first, so that ours win.
fn configuration(options: &Options) -> Result<String, Error> {
    let given = fs::read_to_string(options.state.join("redis.conf")).unwrap_or_default();
    let password = options.credential("password")?;
    let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(format!(
        "{given}\nbind * -::*\nprotected-mode yes\nport {}\ndaemonize no\ndir \"{}\"\nappendonly yes\nappendfsync everysec\nrequirepass \"{quoted}\"\n",
        port(options),
        options.data.join(FOLDER).display(),
    ))
}

/// Whether it lets the application in, in its own protocol:
/// <https://redis.io/docs/latest/develop/reference/protocol-spec/>.
pub(crate) fn probe(options: &Options) -> Result<(), Error> {
    let password = options.credential("password")?;
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port(options)))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut say = |words: &[&str]| {
            let mut text = format!("*{}\r\n", words.len());
            for word in words {
                text += &format!("${}\r\n{word}\r\n", word.len());
            }
            stream.write_all(text.as_bytes())?;
            let mut line = String::new();
            reader.read_line(&mut line)?;
            std::io::Result::Ok(line.trim().to_owned())
        };
        let entered = say(&["AUTH", &password])?;
        Ok((entered, say(&["PING"])?))
    };
    match ask().map_err(|error| Error::io("asking redis", error))? {
        (entered, answer) if entered == "+OK" && answer == "+PONG" => Ok(()),
        (entered, answer) => Err(Error::NoAnswer(format!("redis says {entered} {answer}"))),
    }
}
