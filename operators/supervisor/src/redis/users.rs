//! Who may do what, by the rules of
//! <https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/>. Passwords stand
//! there as their hashes.

use std::{fs, io::ErrorKind};

use sha2::{Digest, Sha256};

use crate::{Error, Options, login::Login, mounted::snapshot};

/// File of the state: what applications may not do, a rule in each line.
const DENIED: &str = "denied";

/// The user that changes the others. Its password is made at each start, and only the supervisor and
/// the server know it.
const ADMIN: &str = "trackbed";
/// The user that takes backups. It may read everything at once as a replica does, and no more; its
/// passwords are those of the applications' users, who may read everything as well.
pub(super) const BACKUP: &str = "trackbed-backup";
/// The user that a replica enters its primary as, where there are several servers.
pub(super) const REPLICATION: &str = "trackbed-replica";
/// The user that Sentinels enter servers and each other as.
pub(super) const SENTINEL: &str = "trackbed-sentinel";
/// The user that is there without being asked for.
const DEFAULT: &str = "default";
/// What applications may: all but to run the server.
const APPLICATION: &[&str] = &["~*", "&*", "+@all", "-@admin", "+config|get"];
/// What a replica does: <https://redis.io/docs/latest/operate/oss_and_stack/management/replication/>.
const REPLICA: &[&str] = &["+ping", "+replconf", "+psync", "+sync"];
/// What a Sentinel does: <https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#redis-access-control-list-authentication>.
const WATCHES: &[&str] = &[
    "allchannels",
    "+multi",
    "+slaveof",
    "+ping",
    "+exec",
    "+subscribe",
    "+config|rewrite",
    "+role",
    "+publish",
    "+info",
    "+client|setname",
    "+client|kill",
    "+script|kill",
];

/// Whom the server lets in, and what they may not do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Applications {
    pub(super) logins: Vec<Login>,
    /// Commands, and categories of them.
    pub(super) denied: Vec<String>,
    /// Password by which servers and Sentinels enter each other, where there are several.
    pub(super) peers: Option<String>,
}

impl Applications {
    /// As the files say it.
    ///
    /// # Errors
    /// That they cannot be read: nobody is allowed what is denied for that.
    pub(super) fn read(options: &Options) -> Result<Self, Error> {
        let path = snapshot(&options.state).join(DENIED);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.map_err(|e| Error::io(format!("reading {}", path.display()), e))?,
        };
        // Each is a word of the server's configuration.
        let is_rule = |line: &&str| {
            let mut bytes = line.bytes();
            !line.is_empty() && bytes.all(|it| matches!(it, b'a'..=b'z' | b'_' | b'@' | b'|'))
        };
        Ok(Self {
            logins: options.logins()?,
            denied: text.lines().filter(is_rule).map(str::to_owned).collect(),
            peers: match options.pod {
                Some(_) => Some(options.peers()?),
                None => None,
            },
        })
    }
}

/// The administrator of one start.
pub(super) fn admin() -> Login {
    Login::made(ADMIN)
}

/// The lines of a configuration that make the users.
pub(super) fn lines(admin: &Login, applications: &Applications) -> String {
    let everything = rules(ADMIN, &[admin], &["~*", "&*", "+@all"]);
    let mut text = String::new();
    let mut names = applications.logins.iter().map(|it| &it.username);
    if !names.any(|name| name == DEFAULT) {
        text += &format!("user {DEFAULT} reset\n");
    }
    for rules in [everything].into_iter().chain(all(applications)) {
        text += &format!("user {} {}\n", quoted(&rules[0]), rules[1..].join(" "));
    }
    text
}

/// The rules of the users that the credentials decide about, each with its name first.
pub(super) fn all(applications: &Applications) -> Vec<Vec<String>> {
    let Applications { logins, denied, .. } = applications;
    let application = |login: &Login| {
        let mut rules = rules(&login.username, &[login], APPLICATION);
        rules.extend(denied.iter().map(|rule| format!("-{rule}")));
        rules
    };
    let mut all: Vec<_> = logins.iter().map(application).collect();
    // A user without passwords would be one whom nobody could enter as.
    if !logins.is_empty() {
        let every: Vec<&Login> = logins.iter().collect();
        all.push(rules(BACKUP, &every, REPLICA));
    }
    for (name, may) in [(REPLICATION, REPLICA), (SENTINEL, WATCHES)] {
        let login = peer(name, applications.peers.as_deref());
        all.extend(login.map(|login| rules(name, &[&login], may)));
    }
    all
}

/// A user of servers and Sentinels.
pub(super) fn peer(username: &str, password: Option<&str>) -> Option<Login> {
    Some(Login {
        username: username.to_owned(),
        password: password?.to_owned(),
    })
}

/// The line of a Sentinel's configuration that lets the others and the supervisors in, and nobody
/// else.
pub(super) fn sentinel(login: &Login) -> String {
    let rules = rules(SENTINEL, &[login], &["allchannels", "+@all"]);
    format!("user {DEFAULT} off\nuser {}\n", rules.join(" "))
}

fn rules(username: &str, passwords: &[&Login], may: &[&str]) -> Vec<String> {
    let mut rules = vec![username.to_owned(), "reset".to_owned(), "on".to_owned()];
    rules.extend(passwords.iter().map(|login| hash(&login.password)));
    rules.extend(may.iter().map(|rule| (*rule).to_owned()));
    rules
}

fn hash(password: &str) -> String {
    let hash = Sha256::digest(password.as_bytes());
    let digits = hash.iter().map(|byte| format!("{byte:02x}"));
    format!("#{}", digits.collect::<String>())
}

/// One word of a configuration, whatever is in it. Redis refuses a user with a space in its name.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
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

    fn applications(logins: &[Login], denied: &[&str]) -> Applications {
        Applications {
            logins: logins.to_vec(),
            denied: denied.iter().map(|it| (*it).to_owned()).collect(),
            peers: None,
        }
    }

    #[test]
    fn what_is_denied_is_denied_to_applications_alone() {
        let denied = ["flushall", "@scripting"];
        for rules in all(&applications(&[login("app"), login("app_2")], &denied)) {
            let last = &rules[rules.len() - 2..];
            let applies = last == ["-flushall", "-@scripting"];
            assert_eq!(applies, rules[0] != BACKUP, "{rules:?}");
        }
    }

    #[test]
    fn only_rules_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options {
            credentials: folder.path().to_owned(),
            standby: folder.path().to_owned(),
            state: folder.path().to_owned(),
            ..Options::test()
        };
        for name in ["username", "password"] {
            fs::write(folder.path().join(name), "word").expect("a file");
        }
        let denied = || Applications::read(&options).expect("it is read").denied;
        assert!(denied().is_empty());
        fs::write(folder.path().join(DENIED), "keys\n+@all ~*\n\n@dangerous\n").expect("a file");
        assert_eq!(denied(), ["keys", "@dangerous"]);
        fs::write(folder.path().join(DENIED), [0xff]).expect("a file");
        Applications::read(&options).expect_err("it is no text");
    }

    #[test]
    fn nobody_enters_without_a_name() {
        let users = |logins: &[Login]| lines(&login(ADMIN), &applications(logins, &[]));
        expect_test::expect![[r#"
            user default reset
            user "trackbed" reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* &* +@all
            user "app" reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* &* +@all -@admin +config|get
            user "app_2" reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* &* +@all -@admin +config|get
            user "trackbed-backup" reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b +ping +replconf +psync +sync
        "#]].assert_eq(&users(&[login("app"), login("app_2")]));
        expect_test::expect![[r#"
            user "trackbed" reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* &* +@all
            user "default" reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* &* +@all -@admin +config|get
            user "trackbed-backup" reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b +ping +replconf +psync +sync
        "#]].assert_eq(&users(&[login("default")]));
    }

    #[test]
    fn the_password_of_each_application_takes_backups() {
        let other = Login {
            password: "other".to_owned(),
            ..login("app_2")
        };
        let all = all(&applications(&[login("app"), other.clone()], &[]));
        let backup = all.last().expect("a user");
        assert_eq!(backup[0], BACKUP);
        assert!(backup.contains(&hash("secret")) && backup.contains(&hash(&other.password)));
        assert!(!backup.iter().any(|rule| rule == "+@all"), "{backup:?}");
    }
}
