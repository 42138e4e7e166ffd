//! Requests by https to public hosts, which the DNS of this machine does not know.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::{Answer, Cluster};

/// An answer that came by https, from a host whose certificate is of the cluster's authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secure {
    /// What came.
    pub answer: Answer,
    /// The host's certificate.
    pub certificate: Vec<u8>,
}

impl Cluster {
    /// One request by https. Only a certificate for that host, which the cluster's own authority
    /// has signed, is accepted.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub fn https(&self, host: &str, path: &str) -> Result<Secure, String> {
        let config = Arc::new(self.trusting()?);
        let name = ServerName::try_from(host.to_owned()).map_err(|e| e.to_string())?;
        let client = ClientConnection::new(config, name).map_err(|e| e.to_string())?;
        let address: IpAddr = self.node.parse().map_err(|_| "no address".to_owned())?;
        let tcp = TcpStream::connect_timeout(&(address, 443).into(), Duration::from_secs(10));
        let tcp = tcp.map_err(|e| e.to_string())?;
        let limit = Some(Duration::from_secs(10));
        tcp.set_read_timeout(limit).map_err(|e| e.to_string())?;
        let mut stream = StreamOwned::new(client, tcp);
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        .map_err(|e| e.to_string())?;
        let mut text = Vec::new();
        match stream.read_to_end(&mut text) {
            // Servers that close without a word of TLS have answered all the same.
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => {
                return Err(error.to_string());
            }
            _ => {}
        }
        let certificates = stream.conn.peer_certificates().unwrap_or_default();
        let certificate = certificates.first().ok_or("no certificate")?;
        Ok(Secure {
            answer: parse(&String::from_utf8_lossy(&text))?,
            certificate: certificate.to_vec(),
        })
    }

    fn trusting(&self) -> Result<ClientConfig, String> {
        let secret = self.get("secret", "cert-manager", "cluster-ca");
        let certificate = secret["data"]["tls.crt"].as_str().unwrap_or_default();
        let pem = BASE64_STANDARD.decode(certificate);
        let pem = pem.map_err(|e| e.to_string())?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|e| format!("{e:?}"))?;
            roots.add(certificate).map_err(|e| e.to_string())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(config)
    }
}

fn parse(text: &str) -> Result<Answer, String> {
    let (head, body) = text.split_once("\r\n\r\n").ok_or("half an answer")?;
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
    Ok(Answer {
        status: status.ok_or_else(|| format!("no status: {head}"))?,
        body: body.to_owned(),
    })
}
