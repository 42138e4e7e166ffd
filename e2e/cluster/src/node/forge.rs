//! The forge of the test cluster: Gitea, with what it asks the world for turned off.

use std::{fs, path::PathBuf, process::Command};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use rcgen::KeyPair;

use super::{Part, config::File};
use crate::{
    Credentials, Error, Login, Network, Paths, Result,
    command::CommandExt,
    error::Doing,
    network::FORGE_PORTS,
    paths::{create_dir, write, write_secret},
    tools,
};

/// Its name in the cluster.
pub(crate) const HOST: &str = "forge.trackbed-git";
/// Its one user, who may do everything.
const USER: &str = "trackbed";
/// Where its configuration is, among what only this boot needs.
const CONFIG: &str = "forge.ini";
/// What it signs and encrypts with: where that is set, and its file.
const SECRETS: [(&str, &str, &str); 3] = [
    ("security", "SECRET_KEY_URI", "secret-key"),
    ("security", "INTERNAL_TOKEN_URI", "internal-token"),
    ("oauth2", "JWT_SECRET_URI", "jwt-secret"),
];

/// The program, and the folder of its pages and texts.
pub(crate) struct Program {
    pub(crate) binary: PathBuf,
    pub(crate) pages: PathBuf,
}

impl Program {
    pub(crate) fn find() -> Result<Self> {
        Ok(Program {
            binary: tools::FORGE.path("gitea")?,
            pages: tools::module_folder(&tools::FORGE, tools::FORGE_MODULE)?,
        })
    }

    /// The part that runs it.
    pub(crate) fn part(&self, paths: &Paths) -> Part {
        let part = Part::new("forge", &self.binary)
            .word("web")
            .flag("config", paths.run(CONFIG).display())
            // It would take more, and has nothing to remember.
            .variable("GOGC", "50");
        self.surroundings(paths)
            .into_iter()
            .fold(part, |part, (name, value)| part.variable(name, &value))
    }

    /// Variables of everything that it runs: without them it would look into root's own home.
    fn surroundings(&self, paths: &Paths) -> [(&'static str, String); 2] {
        let home = paths.data("forge").display().to_string();
        [("HOME", home.clone()), ("GITEA_WORK_DIR", home)]
    }

    fn run(&self, paths: &Paths, words: &[&str]) -> Result<String> {
        Command::new(&self.binary)
            .args(words)
            .arg("--config")
            .arg(paths.run(CONFIG))
            .envs(self.surroundings(paths))
            .current_dir(paths.data("forge"))
            .check()
    }

    /// Makes its database, its keys and its user, unless the cluster has been up before.
    pub(crate) fn prepare(&self, paths: &Paths) -> Result<()> {
        let mut credentials = Credentials::read(paths)?;
        if credentials.forge.is_some() {
            return Ok(());
        }
        let data = paths.data("forge");
        if data.exists() {
            // Of a first boot that ended too early: nobody knows its password.
            fs::remove_dir_all(&data).doing(|| format!("removing {}", data.display()))?;
        }
        create_dir(&data)?;
        for (_, _, file) in SECRETS {
            let secret = BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
            write_secret(&data.join(file), secret)?;
        }
        host_key(paths)?;
        self.run(paths, &["migrate"])?;
        credentials.forge = Some(Login {
            user: USER.to_owned(),
            password: self.user(paths)?,
        });
        credentials.write(paths)
    }

    /// Makes the user, and gives the password: it is told, for an argument would be seen by others.
    fn user(&self, paths: &Paths) -> Result<String> {
        let email = format!("--email={USER}@example.com");
        let name = format!("--username={USER}");
        let said = self.run(
            paths,
            &[
                "admin",
                "user",
                "create",
                "--admin",
                &name,
                &email,
                "--random-password",
                "--random-password-length=32",
                "--must-change-password=false",
            ],
        )?;
        password(&said).ok_or_else(|| {
            Error::Refused("the forge did not tell the password of its user".to_owned())
        })
    }
}

fn password(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("generated random password is '")?;
    let (password, _) = rest.split_once('\'')?;
    Some(password.to_owned())
}

/// Makes the key that it shows to ssh clients, and the line by which they know it.
fn host_key(paths: &Paths) -> Result<()> {
    let pair = KeyPair::generate()?;
    write_secret(&paths.forge_host_key(), pair.serialize_pem())?;
    write(
        &paths.forge_known_hosts(),
        known_hosts(pair.public_key_raw()),
    )
}

/// The line of a `known_hosts` file for a point on P-256 (RFC 5656, 3.1).
fn known_hosts(point: &[u8]) -> String {
    let mut key = Vec::new();
    for field in [b"ecdsa-sha2-nistp256".as_slice(), b"nistp256", point] {
        key.extend(u32::try_from(field.len()).unwrap_or(0).to_be_bytes());
        key.extend(field);
    }
    format!(
        "{HOST} ecdsa-sha2-nistp256 {}\n",
        BASE64_STANDARD.encode(key)
    )
}

/// Its configuration.
pub(crate) fn config(network: &Network, paths: &Paths, program: &Program) -> File {
    let data = paths.data("forge");
    let (https, ssh) = FORGE_PORTS;
    let mut text = format!(
        r#"APP_NAME = Forge
RUN_MODE = prod
WORK_PATH = {data}
; So does everything else of this cluster, in namespaces of its own.
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true

[server]
PROTOCOL = https
DOMAIN = {HOST}
ROOT_URL = https://{HOST}/
HTTP_ADDR = {node}
HTTP_PORT = {https}
CERT_FILE = {certificate}
KEY_FILE = {key}
STATIC_ROOT_PATH = {pages}
APP_DATA_PATH = {data}
START_SSH_SERVER = true
BUILTIN_SSH_SERVER_USER = git
SSH_DOMAIN = {HOST}
SSH_PORT = 22
SSH_LISTEN_HOST = {node}
SSH_LISTEN_PORT = {ssh}
SSH_SERVER_HOST_KEYS = {host_key}
SSH_ROOT_PATH = {data}/ssh
SSH_CREATE_AUTHORIZED_KEYS_FILE = false
LFS_START_SERVER = false
GRACEFUL_HAMMER_TIME = 1s

[database]
DB_TYPE = sqlite3
PATH = {data}/forge.db
SQLITE_JOURNAL_MODE = WAL

[repository]
ROOT = {data}/repositories
DISABLE_MIGRATIONS = true

[security]
INSTALL_LOCK = true
; The password is random.
PASSWORD_HASH_ALGO = pbkdf2$1$50
PASSWORD_COMPLEXITY = lower,upper,digit

[service]
DISABLE_REGISTRATION = true
ENABLE_PASSKEY_AUTHENTICATION = false

[webhook]
ALLOWED_HOST_LIST = *

[log]
LEVEL = Warn

[queue]
TYPE = channel

[indexer]
ISSUE_INDEXER_TYPE = db
"#,
        data = data.display(),
        node = network.node,
        certificate = paths.pki("forge.crt").display(),
        key = paths.pki("forge.key").display(),
        pages = program.pages.display(),
        host_key = paths.forge_host_key().display(),
    );
    // What would ask others, keep what nobody asked for, or work on its own account.
    for section in ["actions", "packages", "mirror", "federation", "oauth2"] {
        text += &format!("\n[{section}]\nENABLED = false\n");
    }
    text += "\n[openid]\nENABLE_OPENID_SIGNIN = false\nENABLE_OPENID_SIGNUP = false\n";
    for task in TASKS {
        text += &format!("\n[cron.{task}]\nENABLED = false\n");
    }
    for (section, setting, file) in SECRETS {
        let file = data.join(file);
        text += &format!("\n[{section}]\n{setting} = file:{}\n", file.display());
    }
    (paths.run(CONFIG), text)
}

/// Its regular tasks that are on unless they are turned off.
const TASKS: [&str; 7] = [
    "archive_cleanup",
    "check_repo_stats",
    "cleanup_hook_task_table",
    "deleted_branches_cleanup",
    "repo_health_check",
    "sync_external_users",
    "update_checker",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;

    #[test]
    fn the_password_is_read_from_what_is_said() {
        let said = "a line\ngenerated random password is 'Ab3'\nNew user\n";
        assert_eq!(password(said).as_deref(), Some("Ab3"));
        assert_eq!(password("no"), None);
    }

    #[test]
    fn a_host_key_is_known_by_a_line() {
        let line = known_hosts(&[4; 65]);
        let key = line.split(' ').nth(2).expect("a key").trim();
        let bytes = BASE64_STANDARD.decode(key).expect("base64");
        assert_eq!(bytes.len(), 4 + 19 + 4 + 8 + 4 + 65);
        assert!(line.starts_with("forge.trackbed-git ecdsa-sha2-nistp256 AAAA"));
    }

    #[test]
    fn everything_it_writes_is_in_its_folder() {
        let (network, paths) = (Network::of(Name::Test), Paths::of(Name::Test));
        let program = Program {
            binary: "/gitea".into(),
            pages: "/pages".into(),
        };
        let (_, text) = config(&network, &paths, &program);
        let root = paths.root().display().to_string();
        for line in text.lines().filter(|line| line.contains(" = /")) {
            assert!(line.contains(&root) || line.contains("/pages"), "{line}");
        }
        let variables = program.part(&paths).environment;
        let home = variables.iter().find(|(name, _)| name == "HOME");
        assert!(home.is_some_and(|(_, home)| home.starts_with(&root)));
    }
}
