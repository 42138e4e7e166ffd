//! Process 1 of database pods.
//!
//! It runs in the official images of Postgres, Redis and Valkey, copied there by an init container, and
//! guards the data: a volume is only initialised when nothing says that there were data, and a
//! server only starts on data that carry its Database's identity. Passwords come from mounted files
//! and go to the servers by files and standard input, never as arguments or variables.

pub mod backup;
mod error;
mod held;
mod install;
mod login;
mod marker;
mod mounted;
pub mod observe;
mod postgres;
mod probe;
mod process;
mod redis;
mod storage;
pub mod version;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use backup::{Asked, At, Retain, Use};
pub use error::Error;
pub use install::install;
pub use marker::{Decision, Found, Marker, State, decide};

/// Commands that run inside a database's pod. `--version` is the server's there, not the program's.
#[derive(Clone, Debug, Subcommand)]
pub enum Cli {
    /// Copy this program to a volume that the server's container sees
    Install {
        /// Where to
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Guard and run Postgres
    #[command(disable_version_flag = true)]
    Postgres(Options),
    /// Guard and run Redis
    #[command(disable_version_flag = true)]
    Redis(Options),
    /// Guard and run Valkey
    #[command(disable_version_flag = true)]
    Valkey(Options),
    /// Run the Sentinel of one of several servers of Redis or Valkey
    #[command(disable_version_flag = true)]
    Sentinel {
        /// Which server
        #[arg(value_enum)]
        engine: Engine,
        /// Where things are
        #[command(flatten)]
        options: Options,
    },
    /// Take a backup, and remove those that are too many
    #[command(disable_version_flag = true)]
    Backup {
        /// Of which server
        #[arg(value_enum)]
        engine: Engine,
        /// Where backups are
        #[command(flatten)]
        at: At,
        /// How many stay
        #[command(flatten)]
        retain: Retain,
        /// Where things are
        #[command(flatten)]
        options: Options,
    },
    /// Restore the backup that was just taken into a server of its own, to prove it
    #[command(disable_version_flag = true)]
    Prove {
        /// Which server
        #[arg(value_enum)]
        engine: Engine,
        /// Where backups are
        #[command(flatten)]
        at: At,
        /// Where things are
        #[command(flatten)]
        options: Options,
    },
    /// Restore a backup into an empty volume, or into the empty database of a server that runs
    #[command(disable_version_flag = true)]
    Restore {
        /// For which server
        #[arg(value_enum)]
        engine: Engine,
        /// Where backups are
        #[command(flatten)]
        at: At,
        /// Which backup
        #[command(flatten)]
        asked: Asked,
        /// Name of a Postgres server in the network whose database it is for, as the user of the
        /// credentials. Nothing is done with the volume then
        #[arg(long, value_name = "HOST")]
        into: Option<String>,
        /// Where things are
        #[command(flatten)]
        options: Options,
    },
    /// Run the SQL that a database begins with in the empty one of a server that runs
    #[command(disable_version_flag = true)]
    Begin {
        /// Name of the Postgres server in the network, which is asked as the user of the credentials
        #[arg(long, value_name = "HOST")]
        into: String,
        /// Where things are
        #[command(flatten)]
        options: Options,
    },
    /// Make the databases of a list, and their owners, in a server that runs
    #[command(disable_version_flag = true)]
    Databases {
        /// Name of the Postgres server in the network, which is asked as its super-user
        #[arg(long, value_name = "HOST")]
        into: String,
        /// Checksum of the file with the list: no other one is taken
        #[arg(long, value_name = "SHA256")]
        list: String,
        /// Where things are
        #[command(flatten)]
        options: Options,
    },
    /// Say which version of the server this image has
    #[command(disable_version_flag = true)]
    Look {
        /// Which server
        #[arg(value_enum)]
        engine: Engine,
        /// Where things are
        #[command(flatten)]
        options: Options,
    },
    /// Ask a server on this machine whether it answers with the credentials
    #[command(disable_version_flag = true)]
    Probe {
        /// Which server
        #[arg(value_enum)]
        engine: Engine,
        /// Where things are
        #[command(flatten)]
        options: Options,
    },
}

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// PostgreSQL
    Postgres,
    /// Redis
    Redis,
    /// Valkey
    Valkey,
}

impl Engine {
    /// As manifests have it. The names of Redis' and Valkey's programs and files begin with it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Valkey => "valkey",
        }
    }
}

/// Where things are in the pod.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The volume
    #[arg(long, default_value = "/data", value_name = "DIR")]
    pub data: PathBuf,
    /// The files username, password and database
    #[arg(long, default_value = "/etc/trackbed/credentials", value_name = "DIR")]
    pub credentials: PathBuf,
    /// The files username and password of the user in reserve, if there is one
    #[arg(long, default_value = "/etc/trackbed/standby", value_name = "DIR")]
    pub standby: PathBuf,
    /// The files username and password of the super-user of a server in the network, while that lets
    /// it in
    #[arg(long, default_value = "/etc/trackbed/superuser", value_name = "DIR")]
    pub superuser: PathBuf,
    /// The files identity and initialised, perhaps backups.json, and the server's settings
    #[arg(long, default_value = "/etc/trackbed/state", value_name = "DIR")]
    pub state: PathBuf,
    /// The files tls.crt and tls.key, if clients may encrypt
    #[arg(long, default_value = "/etc/trackbed/tls", value_name = "DIR")]
    pub tls: PathBuf,
    /// SQL that a new database begins with
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,
    /// A folder in memory for sockets and files with passwords
    #[arg(long, default_value = "/run/trackbed", value_name = "DIR")]
    pub run: PathBuf,
    /// Folder of the server's programs. Default: as the official image has them
    #[arg(long, value_name = "DIR")]
    pub programs: Option<PathBuf>,
    /// Major version
    #[arg(long, default_value = "")]
    pub version: String,
    /// Port to listen on
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Name of this pod, if its server is one of several of Redis or Valkey
    #[arg(long, env = "TRACKBED_POD", value_name = "NAME")]
    pub pod: Option<String>,
    /// What the names of their pods end with in the network
    #[arg(long, default_value = "", value_name = "DOMAIN")]
    pub domain: String,
}

/// What the controller reads from the container's termination message.
#[derive(Serialize)]
struct Refusal {
    reason: &'static str,
    message: String,
}

/// Exit code of a command that would end like this again: no Job needs to try.
pub const LASTING: u8 = 3;

/// Where the kubelet reads a container's last words.
const TERMINATION: &str = "/dev/termination-log";

/// Runs a command.
pub fn run(command: Cli) -> ExitCode {
    let result = match &command {
        Cli::Install { to } => install(to).map(|()| 0),
        Cli::Postgres(options) => guarded(options, postgres::run),
        Cli::Redis(options) => guarded(options, |it| redis::run(Engine::Redis, it)),
        Cli::Valkey(options) => guarded(options, |it| redis::run(Engine::Valkey, it)),
        Cli::Sentinel { engine, options } => {
            guarded(options, |it| redis::several::watch(*engine, it))
        }
        Cli::Backup {
            engine,
            at,
            retain,
            options,
        } => backup::take(*engine, options, at, *retain).map(|it| tell(&it)),
        Cli::Prove {
            engine,
            at,
            options,
        } => backup::prove(*engine, options, at).map(|it| tell(&it)),
        Cli::Restore {
            engine,
            at,
            asked,
            into,
            options,
        } => restore(*engine, into.as_deref(), options, at, asked),
        Cli::Begin { into, options } => postgres::begin_at(options, into).map(|()| 0),
        Cli::Databases {
            into,
            list,
            options,
        } => postgres::databases_at(options, into, list).map(|it| tell(&it.shortened())),
        Cli::Look { engine, options } => version::look(*engine, options).map(|it| tell(&it)),
        Cli::Probe { engine, options } => probe::run(*engine, options).map(|()| 0),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("trackbed: {error}");
            if !matches!(command, Cli::Probe { .. }) {
                report(&error);
            }
            match error.is_lasting() {
                true => ExitCode::from(LASTING),
                false => ExitCode::FAILURE,
            }
        }
    }
}

/// Restores a backup, into a server or into the volume, which is looked at when that fails.
fn restore(
    engine: Engine,
    into: Option<&str>,
    options: &Options,
    at: &At,
    asked: &Asked,
) -> Result<u8, Error> {
    match into {
        Some(host) => backup::refill(engine, host, options, at, asked).map(|it| tell(&it)),
        None => {
            let restored = backup::restore(engine, options, at, asked).map(|it| tell(&it));
            storage::explain(restored, storage::Room::of(&options.data))
        }
    }
}

/// Runs a server, and looks at its volume when it ends.
fn guarded(options: &Options, run: impl Fn(&Options) -> Result<u8, Error>) -> Result<u8, Error> {
    storage::explain(run(options), storage::Room::of(&options.data))
}

fn report(error: &Error) {
    tell(&Refusal {
        reason: error.reason(),
        message: error.to_string(),
    });
}

/// Says something to the controller.
fn tell(what: &impl Serialize) -> u8 {
    let text = serde_json::to_vec(what).unwrap_or_default();
    // Outside of a pod there is nobody to tell.
    if Path::new(TERMINATION).exists() {
        let _unheard = fs::write(TERMINATION, text);
    }
    0
}

impl Options {
    /// What the controller says of the data.
    pub(crate) fn state(&self) -> Result<State, Error> {
        let read = |name: &str| {
            let path = self.state.join(name);
            fs::read_to_string(&path)
                .map_err(|e| Error::io(format!("reading {}", path.display()), e))
        };
        Ok(State {
            identity: read("identity")?.trim().to_owned(),
            initialised: read("initialised")?.trim() == "true",
        })
    }

    /// What data say that are made here.
    pub(crate) fn marker(&self, identity: &str) -> Marker {
        Marker {
            identity: identity.to_owned(),
            version: self.version.clone(),
        }
    }

    /// A program of the server.
    pub(crate) fn program(&self, default: &str, name: &str) -> PathBuf {
        match &self.programs {
            Some(folder) => folder.join(name),
            None => Path::new(default).join(name),
        }
    }
}

#[cfg(test)]
impl Options {
    pub(crate) fn test() -> Self {
        Self {
            data: "/data".into(),
            credentials: "/credentials".into(),
            standby: "/standby".into(),
            superuser: "/superuser".into(),
            tls: "/tls".into(),
            init: None,
            state: "/state".into(),
            run: "/run".into(),
            programs: None,
            version: "17".to_owned(),
            port: 0,
            pod: None,
            domain: String::new(),
        }
    }
}

/// Writes a file that only its owner reads.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let doing = || format!("writing {}", path.display());
    let _absent = fs::remove_file(path);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| Error::io(doing(), e))?;
    file.write_all(text.as_bytes())
        .map_err(|e| Error::io(doing(), e))
}
