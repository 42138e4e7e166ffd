//! The certificates that git and builds trust.

use std::collections::BTreeSet;

use pem::{EncodeConfig, LineEnding, Pem};

/// Name of a certificate's block in PEM.
const TAG: &str = "CERTIFICATE";

/// The public roots (Mozilla's list) and `additional` ones, in PEM, each once. Programs that are
/// told of a file of certificates look nowhere else, so it has to hold all.
pub fn bundle(additional: &str) -> String {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS
        .iter()
        .map(|it| Pem::new(TAG, it.as_ref()));
    let added = pem::parse_many(additional);
    let own = added.iter().flatten().filter(|it| it.tag() == TAG).cloned();
    for certificate in public.chain(own) {
        if seen.insert(certificate.contents().to_vec()) {
            all.push(certificate);
        }
    }
    pem::encode_many_config(&all, EncodeConfig::new().set_line_ending(LineEnding::LF))
}

/// Each certificate of a bundle, in PEM, for libraries that take one at a time.
pub fn each(bundle: &str) -> Vec<Vec<u8>> {
    let found = pem::parse_many(bundle);
    let certificates = found.iter().flatten().filter(|it| it.tag() == TAG);
    certificates
        .map(|it| pem::encode(it).into_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_certificates_are_added_to_the_public_ones_once() {
        let public = bundle("");
        let count = |text: &str| text.matches("-----BEGIN CERTIFICATE-----").count();
        assert!(count(&public) > 100, "{}", count(&public));
        let own = "Acme\n-----BEGIN CERTIFICATE-----\nQUNNRQ==\n-----END CERTIFICATE-----\n";
        let both = bundle(&format!("{own}\n{own}{public}"));
        assert_eq!(count(&both), count(&public) + 1);
        assert!(both.contains("QUNNRQ=="));
        assert!(both.len() < 1 << 20, "a ConfigMap holds no more");
        assert_eq!(each(&both).len(), count(&both));
        let key = "-----BEGIN PRIVATE KEY-----\nQUNNRQ==\n-----END PRIVATE KEY-----\n";
        assert_eq!(bundle(key), public);
    }
}
