//! What servers and Sentinels that encrypt show each other, and whom they trust. All of a Database
//! have one certificate, of which they do not ask whose pod it is: Redis 7, Valkey and their Sentinels
//! check by whom it was signed and no name. Supervisors check the name, too.
//!
//! When a certificate is of another authority, pods learn of it one after another, and those that
//! know would turn away those that do not: a primary that is well would be taken for away. So the
//! other authority is trusted first, and what it signed is shown when all know of it.

use std::{
    cell::RefCell,
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::address;
use crate::{
    Error, Options,
    mounted::{self, EVERY, snapshot},
    redis::{
        self,
        client::{Entrance, aside},
        connection, encrypted,
    },
    write_secret,
};

/// Files in memory, for the pod's server and its Sentinel: the certificate with its key, and those
/// whom others are to be of.
const SHOWN: &str = "shown.pem";
const TRUSTED: &str = "trusted.pem";
/// By then all pods have what is in a Secret: their kubelets look within two minutes.
const SPREAD: Duration = Duration::from_secs(180);
/// By then all have shown it for a while, and nobody shows what was before.
const SETTLED: Duration = Duration::from_secs(540);
/// Until it is looked again whether the files are there.
const PAUSE: Duration = Duration::from_millis(200);

/// What is shown, and who is trusted, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Papers {
    /// A certificate and its key.
    shown: String,
    /// Authorities.
    trusted: String,
}

impl Papers {
    /// What is mounted, of one moment.
    fn read(options: &Options) -> Result<Self, Error> {
        let folder = snapshot(&options.tls);
        let read = |name: &str| text(&folder.join(name));
        Ok(Self {
            shown: format!("{}\n{}", read("tls.crt")?, read("tls.key")?),
            trusted: read("ca.crt")?,
        })
    }

    /// Whether others take it: who shows what nobody takes would wait for them, and not say why.
    fn check(&self, name: &str) -> Result<(), Error> {
        connection::check(&self.shown, &self.trusted, name)
    }

    /// Each file is replaced at once. The server is told when both are there.
    fn write(&self, options: &Options) -> Result<(), Error> {
        let [shown, trusted] = files(&options.run);
        replace(&trusted, &self.trusted)?;
        replace(&shown, &self.shown)
    }
}

fn text(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|e| Error::io(format!("reading {}", path.display()), e))
}

fn replace(path: &Path, text: &str) -> Result<(), Error> {
    let draft = path.with_extension("new");
    write_secret(&draft, text)?;
    fs::rename(&draft, path).map_err(|e| Error::io(format!("writing {}", path.display()), e))
}

fn files(run: &Path) -> [PathBuf; 2] {
    [SHOWN, TRUSTED].map(|name| run.join(name))
}

/// How several servers encrypt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tls {
    /// The name that is in the certificate.
    pub(super) name: String,
    /// Hash of what is shown.
    shown: String,
    /// Authorities, in PEM.
    pub(super) trusted: String,
}

impl Tls {
    /// As the files say it. `None`: they do not encrypt.
    ///
    /// # Errors
    /// That the files are not there yet.
    pub(super) fn read(options: &Options) -> Result<Option<Self>, Error> {
        if !options.encrypts() {
            return Ok(None);
        }
        let [shown, trusted] = files(&options.run);
        Ok(Some(Self {
            name: address(options)?,
            shown: format!("{:x?}", Sha256::digest(text(&shown)?)),
            trusted: text(&trusted)?,
        }))
    }
}

/// The lines of a configuration that say where a server or Sentinel listens for the others, and that
/// it speaks to them in the same way. They show each other no more than clients do: who comes in is
/// told by its password.
pub(super) fn listens(port: u16, tls: Option<&Tls>, run: &Path) -> String {
    if tls.is_none() {
        return format!("port {port}\n");
    }
    let [shown, trusted] = files(run);
    format!(
        "{}tls-ca-cert-file \"{}\"\ntls-replication yes\n",
        encrypted(port, [&shown, &shown]),
        trusted.display(),
    )
}

/// Shows at once what is mounted, as long as no server of this pod runs. `None`: nothing is shown.
///
/// # Errors
/// That it is of no use.
pub(super) fn show(options: &Options) -> Result<Option<Papers>, Error> {
    if !options.encrypts() {
        return Ok(None);
    }
    let papers = Papers::read(options)?;
    papers.check(&address(options)?)?;
    papers.write(options)?;
    Ok(Some(papers))
}

/// Waits until there is something to show, if there is to be.
pub(super) async fn is_there(options: &Options) {
    while Tls::read(options).is_err() {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Follows what is mounted, for ever. The Sentinel follows the files.
pub(super) async fn follow(
    options: &Options,
    entrance: &Entrance,
    begun: Option<Papers>,
) -> Infallible {
    let Some(begun) = begun else {
        return std::future::pending().await;
    };
    let held = RefCell::new(Held::new(begun.clone()));
    let look = || {
        let (mounted, now) = (Papers::read(options).ok()?, Instant::now());
        let mut held = held.borrow_mut();
        held.see(mounted, now);
        Some(held.papers(now))
    };
    let tell = |papers: Papers| {
        let (options, entrance) = (options.clone(), entrance.clone());
        aside(move || {
            papers.check(&address(&options)?)?;
            papers.write(&options)?;
            let [shown, trusted] = files(&options.run);
            let files = [
                ("tls-cert-file", &*shown),
                ("tls-key-file", &shown),
                ("tls-ca-cert-file", &trusted),
            ];
            redis::show(&entrance, &files)
        })
    };
    mounted::follow("certificate", EVERY, Some(begun), look, tell).await
}

/// What was mounted, and what is.
struct Held {
    before: Papers,
    now: Papers,
    /// Since when there is another authority.
    since: Instant,
}

impl Held {
    fn new(papers: Papers) -> Self {
        Self {
            before: papers.clone(),
            now: papers,
            since: Instant::now(),
        }
    }

    fn see(&mut self, mounted: Papers, at: Instant) {
        if mounted.trusted != self.now.trusted {
            self.before = self.showing(at).clone();
            self.since = at;
        }
        self.now = mounted;
    }

    fn showing(&self, at: Instant) -> &Papers {
        match self.is_known(at) {
            true => &self.now,
            false => &self.before,
        }
    }

    /// Whether others trust who signed what is mounted.
    fn is_known(&self, at: Instant) -> bool {
        self.before.trusted == self.now.trusted || at - self.since >= SPREAD
    }

    fn papers(&self, at: Instant) -> Papers {
        let settled = self.before.trusted == self.now.trusted || at - self.since >= SETTLED;
        let (now, before) = (&self.now.trusted, &self.before.trusted);
        Papers {
            shown: self.showing(at).shown.clone(),
            trusted: match settled {
                true => now.clone(),
                false => format!("{now}\n{before}"),
            },
        }
    }
}

#[cfg(test)]
impl Tls {
    pub(super) fn test() -> Self {
        Self {
            name: "db".to_owned(),
            shown: "hash".to_owned(),
            trusted: "authority".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use rcgen::{CertificateParams, Issuer, KeyPair};

    use super::*;

    fn papers(shown: &str, trusted: &str) -> Papers {
        Papers {
            shown: shown.to_owned(),
            trusted: trusted.to_owned(),
        }
    }

    #[test]
    fn another_authority_is_trusted_before_it_is_shown() {
        let start = Instant::now();
        let mut held = Held::new(papers("a", "A"));
        let mut text = String::new();
        for (after, mounted) in [
            (0, papers("a", "A")),
            (60, papers("a2", "A")),
            (100, papers("b", "B")),
            (200, papers("b", "B")),
            (280, papers("b", "B")),
            (300, papers("b2", "B")),
            (640, papers("b2", "B")),
            (700, papers("c", "C")),
            (710, papers("d", "D")),
            (900, papers("d", "D")),
        ] {
            let at = start + Duration::from_secs(after);
            held.see(mounted, at);
            let Papers { shown, trusted } = held.papers(at);
            let trusted = trusted.replace('\n', " ");
            writeln!(text, "{after}: shows {shown}, trusts {trusted}").expect("text");
        }
        expect_test::expect![[r#"
            0: shows a, trusts A
            60: shows a2, trusts A
            100: shows a2, trusts B A
            200: shows a2, trusts B A
            280: shows b, trusts B A
            300: shows b2, trusts B A
            640: shows b2, trusts B
            700: shows b2, trusts C B
            710: shows b2, trusts D B
            900: shows d, trusts D B
        "#]]
        .assert_eq(&text);
    }

    /// A pod's files: a certificate for a name, and its authority.
    fn mount(folder: &Path, name: &str) -> Options {
        let options = Options {
            tls: folder.join("tls"),
            run: folder.join("run"),
            pod: Some("db-1".to_owned()),
            domain: "db-headless.shop.svc.cluster.local".to_owned(),
            ..Options::test()
        };
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = params.self_signed(&key).expect("an authority").pem();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().expect("a key");
        let names = CertificateParams::new([name.to_owned()]).expect("parameters");
        let certificate = names.signed_by(&key, &issuer).expect("a certificate");
        fs::create_dir_all(&options.tls).expect("a folder");
        fs::create_dir_all(&options.run).expect("a folder");
        for (name, text) in [
            ("tls.crt", certificate.pem()),
            ("tls.key", key.serialize_pem()),
            ("ca.crt", authority),
        ] {
            fs::write(options.tls.join(name), text).expect("a file");
        }
        options
    }

    #[test]
    fn the_pod_shows_what_is_mounted_once_it_is_of_use() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = mount(folder.path(), "db.shop.svc.cluster.local");
        assert!(Tls::read(&options).is_err(), "nothing is shown yet");
        assert!(show(&options).expect("it is of use").is_some());
        let tls = Tls::read(&options).expect("files").expect("it encrypts");
        assert_eq!(tls.name, "db.shop.svc.cluster.local");
        let again = Tls::read(&options).expect("files");
        assert_eq!(again.as_ref(), Some(&tls), "nothing changed");
        let [shown, _] = files(&options.run);
        let text = text(&shown).expect("a file");
        assert!(text.contains("CERTIFICATE---") && text.contains("PRIVATE KEY---"));

        let options = mount(folder.path(), "db");
        let refused = show(&options).map(|_| ()).expect_err("another name");
        assert_eq!(refused.reason(), "SecretInvalid");
        expect_test::expect![[r#"the certificate is of no use between servers: invalid peer certificate: certificate not valid for name "db.shop.svc.cluster.local"; certificate is only valid for DnsName("db"). It has to be signed by ca.crt of its Secret, for the address of the Database"#]].assert_eq(&refused.to_string());
        let now = Tls::read(&options).expect("files").expect("it encrypts");
        assert_eq!(now, tls, "what was shown before stays");

        let clear = Options {
            tls: folder.path().join("none"),
            ..options
        };
        assert!(show(&clear).expect("nothing to show").is_none());
        assert_eq!(Tls::read(&clear).expect("nothing to read"), None);
    }

    #[test]
    fn who_encrypts_has_no_other_port() {
        let text = listens(6380, None, Path::new("/run/trackbed"));
        let tls = Tls::test();
        let text = text + &listens(6380, Some(&tls), Path::new("/run/trackbed"));
        expect_test::expect![[r#"
            port 6380
            port 0
            tls-port 6380
            tls-auth-clients no
            tls-cert-file "/run/trackbed/shown.pem"
            tls-key-file "/run/trackbed/shown.pem"
            tls-protocols "TLSv1.2 TLSv1.3"
            tls-ca-cert-file "/run/trackbed/trusted.pem"
            tls-replication yes
        "#]]
        .assert_eq(&text);
    }
}
