//! What the protocol goes through: within the pod a socket, between pods the network, encrypted
//! where the server asks for it.

use std::{
    fs,
    io::{ErrorKind, Read, Result, Write},
    net::{TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::{Error, Options};

/// What an address begins with whose server encrypts.
const ENCRYPTED: &str = "rediss://";
/// Key of the credentials: the authority that the server's certificate is checked with.
const AUTHORITY: &str = "ca.crt";

/// A connection to a server.
pub(super) trait Stream: Read + Write {
    /// Waits at most so long for the server.
    ///
    /// # Errors
    /// What the system says.
    fn wait(&self, at_most: Duration) -> Result<()>;
}

impl Stream for UnixStream {
    fn wait(&self, at_most: Duration) -> Result<()> {
        self.set_read_timeout(Some(at_most))?;
        self.set_write_timeout(Some(at_most))
    }
}

impl Stream for TcpStream {
    fn wait(&self, at_most: Duration) -> Result<()> {
        self.set_read_timeout(Some(at_most))?;
        self.set_write_timeout(Some(at_most))
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn wait(&self, at_most: Duration) -> Result<()> {
        self.sock.wait(at_most)
    }
}

/// A server in the network.
#[derive(Clone, Debug)]
pub(super) struct Server {
    host: String,
    port: u16,
    /// How it encrypts, if it does, and whom it has to be of.
    tls: Option<Arc<ClientConfig>>,
    /// Name that its certificate has to have.
    name: String,
}

impl Server {
    /// The one that the credentials tell applications of.
    ///
    /// # Errors
    /// That they are missing, or their authority is none.
    pub(super) fn of(options: &Options, port: u16) -> std::result::Result<Self, Error> {
        let encrypts = options.credential("uri")?.starts_with(ENCRYPTED);
        let tls = match encrypts {
            true => Some(Arc::new(trust(&options.credentials.join(AUTHORITY))?)),
            false => None,
        };
        let host = options.credential("host")?;
        Ok(Self {
            name: host.clone(),
            host,
            port,
            tls,
        })
    }

    /// One of several servers, or its Sentinel. `tls`: the name in their certificates, and the
    /// authorities that they are of, in PEM, if they encrypt.
    ///
    /// # Errors
    /// That the authorities are none.
    pub(super) fn peer(
        host: &str,
        port: u16,
        tls: Option<(&str, &str)>,
    ) -> std::result::Result<Self, Error> {
        let (name, authorities) = tls.unzip();
        let config = |text: &str| config(roots(text.as_bytes())?);
        let tls = authorities.map(config).transpose();
        Ok(Self {
            host: host.to_owned(),
            port,
            tls: tls.map_err(Error::Certificate)?.map(Arc::new),
            name: name.unwrap_or(host).to_owned(),
        })
    }

    /// Connects, and checks whom it speaks to. No answer may take longer than that.
    ///
    /// # Errors
    /// That nobody answers, or somebody else does.
    pub(super) fn connect(&self, patience: Duration) -> Result<Box<dyn Stream>> {
        self.speak(
            TcpStream::connect((self.host.as_str(), self.port))?,
            patience,
        )
    }

    /// The same with one that answers at once, or not at all.
    ///
    /// # Errors
    /// That it does not, or somebody else does.
    pub(super) fn reach(&self, patience: Duration) -> Result<Box<dyn Stream>> {
        let mut addresses = (self.host.as_str(), self.port).to_socket_addrs()?;
        let address = addresses.next().ok_or(ErrorKind::NotFound)?;
        self.speak(TcpStream::connect_timeout(&address, patience)?, patience)
    }

    fn speak(&self, mut stream: TcpStream, patience: Duration) -> Result<Box<dyn Stream>> {
        stream.wait(patience)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(self.name.clone());
        let name = name.map_err(|error| std::io::Error::new(ErrorKind::InvalidInput, error))?;
        let connection = ClientConnection::new(Arc::clone(tls), name);
        let mut connection = connection.map_err(std::io::Error::other)?;
        // Before anything secret is said.
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Box::new(StreamOwned::new(connection, stream)))
    }
}

/// Whom a server has to be, to go by the authority in a file, or without it by those that everybody
/// trusts: the images of servers have no certificates of their own.
fn trust(authority: &Path) -> std::result::Result<ClientConfig, Error> {
    let wrong = |why: String| {
        Error::NoAnswer(format!(
            "{AUTHORITY} of the credentials is of no use: {why}"
        ))
    };
    let roots = match fs::read(authority) {
        Ok(text) => roots(&text).map_err(wrong)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut roots = RootCertStore::empty();
            let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
            roots.add_parsable_certificates(public.cloned());
            roots
        }
        Err(error) => {
            return Err(Error::io(format!("reading {}", authority.display()), error));
        }
    };
    config(roots).map_err(wrong)
}

/// Authorities in PEM. An error says what is wrong with them.
fn roots(text: &[u8]) -> std::result::Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    match roots.is_empty() {
        true => Err("it has no certificate in PEM".to_owned()),
        false => Ok(roots),
    }
}

fn config(roots: RootCertStore) -> std::result::Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Whether a certificate, in PEM, would be taken that is shown under this name to somebody who trusts
/// these authorities.
///
/// # Errors
/// Why not.
pub(super) fn check(shown: &str, authorities: &str, name: &str) -> std::result::Result<(), Error> {
    let check = || {
        let said = |error: &dyn ToString| error.to_string();
        let chain: std::result::Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(shown.as_bytes()).collect();
        let chain = chain.map_err(|it| said(&it))?;
        let (first, rest) = chain.split_first().ok_or("there is none in PEM")?;
        let roots = roots(authorities.as_bytes()).map_err(|it| format!("{AUTHORITY}: {it}"))?;
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().map_err(|it| said(&it))?;
        let name = ServerName::try_from(name).map_err(|it| said(&it))?;
        let taken = verifier.verify_server_cert(first, rest, &name, &[], UnixTime::now());
        taken.map(|_| ()).map_err(|it| said(&it))
    };
    check().map_err(Error::Certificate)
}

#[cfg(test)]
impl Server {
    /// One that does not encrypt.
    pub(super) fn clear(address: std::net::SocketAddr) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
            tls: None,
            name: address.ip().to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::TcpListener,
        sync::mpsc::{Receiver, channel},
    };

    use rcgen::{CertificateParams, CertifiedKey, Issuer, KeyPair};
    use rustls::{ServerConfig, ServerConnection, pki_types::PrivateKeyDer};

    use super::*;
    use crate::{login::Login, redis::client::Client};

    const PATIENCE: Duration = Duration::from_secs(3);

    /// An authority in PEM, and a certificate of it for a name with its key.
    fn certificate(name: &str) -> (String, CertifiedKey<KeyPair>) {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = params.self_signed(&key).expect("an authority").pem();
        let issuer = Issuer::new(params, key);
        let signing_key = KeyPair::generate().expect("a key");
        let names = CertificateParams::new([name.to_owned()]).expect("parameters");
        let cert = names.signed_by(&signing_key, &issuer).expect("one");
        (authority, CertifiedKey { cert, signing_key })
    }

    /// A server that encrypts, and what it hears of each client.
    fn serve(shown: &CertifiedKey<KeyPair>) -> (u16, Receiver<String>) {
        let key = PrivateKeyDer::try_from(shown.signing_key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("protocols")
            .with_no_client_auth()
            .with_single_cert(vec![shown.cert.der().clone()], key);
        let config = Arc::new(config.expect("a certificate"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (said, heard) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).expect("one");
                let mut stream = StreamOwned::new(connection, stream.expect("a client"));
                let mut text = [0; 512];
                let length = stream.read(&mut text).unwrap_or_default();
                let _gone = stream.write_all(b"+OK\r\n");
                let text = String::from_utf8_lossy(&text[..length]).into_owned();
                if said.send(text).is_err() {
                    break;
                }
            }
        });
        (port, heard)
    }

    /// The credentials of a Database, with an authority or without.
    fn told(scheme: &str, authority: Option<&str>) -> (tempfile::TempDir, Options) {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            fs::write(folder.path().join(name), text).expect("a file");
        };
        write("host", "localhost");
        write("uri", &format!("{scheme}://app:secret@localhost:6379/0"));
        if let Some(authority) = authority {
            write(AUTHORITY, authority);
        }
        let options = Options {
            credentials: folder.path().to_owned(),
            ..Options::test()
        };
        (folder, options)
    }

    fn enter(port: u16, scheme: &str, authority: Option<&str>) -> std::result::Result<(), String> {
        let (_folder, options) = told(scheme, authority);
        let login = Login {
            username: "app".to_owned(),
            password: "secret".to_owned(),
        };
        let server = Server::of(&options, port);
        let entered = server.and_then(|server| Client::connect(&server, &login));
        entered.map(|_| ()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_server_is_told_the_password_when_it_has_shown_who_it_is() {
        let (authority, shown) = certificate("localhost");
        let (port, heard) = serve(&shown);
        let hears = || heard.recv_timeout(PATIENCE).expect("a client");
        let refused = |authority: Option<&str>| {
            let refused = enter(port, "rediss", authority).expect_err("it is another");
            assert_eq!(hears(), "", "the password stays here");
            refused
        };
        assert_eq!(enter(port, "rediss", Some(&authority)), Ok(()));
        assert!(hears().contains("secret"));
        let (other, _) = certificate("localhost");
        let mut text = refused(Some(&other)) + "\n";
        text += &refused(None);
        expect_test::expect![[r#"
            asking the server: invalid peer certificate: BadSignature
            asking the server: invalid peer certificate: UnknownIssuer"#]]
        .assert_eq(&text);
    }

    #[test]
    fn a_certificate_is_for_the_host_that_applications_are_told() {
        let (authority, shown) = certificate("db");
        let (port, heard) = serve(&shown);
        let refused = enter(port, "rediss", Some(&authority)).expect_err("another name");
        expect_test::expect![[r#"asking the server: invalid peer certificate: certificate not valid for name "localhost"; certificate is only valid for DnsName("db")"#]].assert_eq(&refused);
        assert_eq!(heard.recv_timeout(PATIENCE).as_deref(), Ok(""));
    }

    #[test]
    fn who_is_to_encrypt_and_does_not_is_told_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let heard = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut text = [0; 2048];
            let length = stream.read(&mut text).expect("its greeting");
            stream
                .write_all(b"-ERR unknown command\r\n")
                .expect("words");
            text[..length].to_vec()
        });
        let (authority, _) = certificate("localhost");
        let refused = enter(port, "rediss", Some(&authority)).expect_err("it does not encrypt");
        assert!(refused.contains("corrupt"), "{refused}");
        let heard = heard.join().expect("an end");
        assert!(!heard.windows(6).any(|it| it == b"secret"));
    }

    #[test]
    fn an_authority_that_is_none_is_named() {
        let named = |authority: &str| enter(1, "rediss", Some(authority)).expect_err("it is none");
        let broken = "-----BEGIN CERTIFICATE-----\nQUNNRQ==\n-----END CERTIFICATE-----\n";
        let text = format!("{}\n{}", named("nothing"), named(broken));
        expect_test::expect![[r#"
            ca.crt of the credentials is of no use: it has no certificate in PEM
            ca.crt of the credentials is of no use: invalid peer certificate: BadEncoding"#]]
        .assert_eq(&text);
    }
}
