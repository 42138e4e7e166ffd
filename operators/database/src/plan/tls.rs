//! The server's certificate: somebody's, or of an authority of the Database's own.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::ResourceExt;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use trackbed_api::{Database, names, reason::Reason, tls::TlsMode};
use trackbed_kit::{Health, meta};

use super::{
    Place,
    secret::{self, value},
    server,
};
use crate::observe::{Keys, Seen};

/// What clients check the server's certificate with.
pub const AUTHORITY: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// Key of the Database's own authority. Its pods do not see it.
const AUTHORITY_KEY: &str = "ca.key";
/// What the server's pod is given of the Secret.
pub const FILES: [&str; 2] = [CERTIFICATE, KEY];
/// The same where servers check each other.
const AMONG: [&str; 3] = [CERTIFICATE, KEY, AUTHORITY];
/// Where it finds them.
pub const FOLDER: &str = "/etc/trackbed/tls";
/// Annotation: when the certificate is to be renewed.
const RENEW: &str = "trackbed.dev/renew";
/// How long a certificate is valid, and how long it is used.
const VALID: SignedDuration = SignedDuration::from_hours(90 * 24);
const USED: SignedDuration = SignedDuration::from_hours(60 * 24);
/// How long the authority is: longer than any client keeps its certificate.
const AUTHORITY_VALID: SignedDuration = SignedDuration::from_hours(20 * 365 * 24);
/// Clocks differ.
const SLACK: SignedDuration = SignedDuration::from_hours(1);

/// How connections to a server are encrypted.
#[derive(Clone, Debug)]
pub struct Transport {
    /// Whether they have to be.
    pub mode: TlsMode,
    /// The Secret with certificate and key.
    pub secret: String,
    /// What clients check the certificate with, in PEM, if it is known.
    pub authority: Option<String>,
    /// The Secret to write, where it is the Database's own.
    pub own: Option<Secret>,
}

/// Name of the Secret with a Database's certificate, if it is to have one.
pub fn secret(object: &Database) -> Option<String> {
    let reference = object.spec.tls.as_ref()?.secret_ref.as_ref();
    let own = || names::database_certificate(&object.name_any());
    Some(reference.map_or_else(own, |it| it.name.to_string()))
}

/// What a server's pod is given of the Secret.
pub(super) fn files(place: &Place<'_>) -> &'static [&'static str] {
    match place.object.spec.has_sentinels() {
        true => &AMONG,
        false => &FILES,
    }
}

/// How they are. `None`: not at all.
///
/// # Errors
/// What there is to wait for.
pub fn of(place: &Place<'_>, seen: &Seen, now: Timestamp) -> Result<Option<Transport>, Health> {
    let Some(tls) = &place.object.spec.tls else {
        return Ok(None);
    };
    if let Some(reference) = &tls.secret_ref {
        let name = reference.name.to_string();
        let wants = |what: String| Health::Waiting(Reason::SecretInvalid, what);
        let Some(secret) = &seen.certificate else {
            return Err(wants(format!(
                "tls.secretRef: there is no Secret {name} in this namespace"
            )));
        };
        for (key, block) in [(CERTIFICATE, "CERTIFICATE-----"), (KEY, "PRIVATE KEY-----")] {
            if !value(secret, key).is_some_and(|it| it.contains(block)) {
                return Err(wants(format!(
                    "tls.secretRef: the Secret {name} has no {key} in PEM"
                )));
            }
        }
        // Of authorities that everybody trusts, cert-manager may leave it empty.
        let authority = value(secret, AUTHORITY).filter(|it| !it.trim().is_empty());
        if authority.is_none() && place.object.spec.has_sentinels() {
            return Err(wants(format!(
                "tls.secretRef: the Secret {name} has no {AUTHORITY}, by which several servers check each other"
            )));
        }
        return Ok(Some(Transport {
            mode: tls.mode,
            authority,
            secret: name,
            own: None,
        }));
    }
    let own = own(place, seen, now).map_err(|error| {
        let why = format!("no certificate could be made: {error}");
        Health::Waiting(Reason::DatabaseNotReady, why)
    })?;
    Ok(Some(Transport {
        mode: tls.mode,
        secret: names::database_certificate(&place.name),
        authority: value(&own, AUTHORITY),
        own: Some(own),
    }))
}

/// How they are while the certificate that is asked for is waited for: as the server was started, and
/// its clients were told.
pub fn standing(seen: &Seen) -> Option<Transport> {
    let set = seen.set.as_deref().and_then(|it| it.spec.as_ref());
    let single = set.and_then(|it| server::certificate(it.template.spec.as_ref()));
    let several = || {
        let certificates = seen.cluster.as_deref()?.spec.certificates.as_ref()?;
        Some(certificates.server_tls_secret.as_str())
    };
    let secret = single.or_else(several)?.to_owned();
    let told = seen.secret.as_ref();
    Some(Transport {
        mode: told.map(secret::mode).unwrap_or_default(),
        secret,
        authority: told.and_then(|it| value(it, AUTHORITY)),
        own: None,
    })
}

/// The Database's own: as it is as long as it is valid, then another one of the same authority.
fn own(place: &Place<'_>, seen: &Seen, now: Timestamp) -> Result<Secret, rcgen::Error> {
    let live = seen.certificate.as_ref();
    let live =
        live.and_then(|it| Some((it.data.clone()?, meta::annotation(it, RENEW)?.to_owned())));
    let name = names::database_certificate(&place.name);
    let mut metadata = match place.object.spec.is_replicated() {
        false => place.owned(&name),
        // Servers that stay without pods are not put to sleep without it.
        true => place.retained(&name),
    };
    let due = |at: &str| at.parse::<Timestamp>().map_or(true, |at| at <= now);
    let complete = [AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY];
    let (data, renew) = match live {
        Some((data, renew))
            if !due(&renew) && complete.iter().all(|key| data.contains_key(*key)) =>
        {
            (data, renew)
        }
        live => {
            let known = live.and_then(|(data, _)| {
                let text = |key| String::from_utf8(data.get(key)?.0.clone()).ok();
                Some((
                    text(AUTHORITY)?,
                    KeyPair::from_pem(&text(AUTHORITY_KEY)?).ok()?,
                ))
            });
            (
                issue(place, known, &seen.fresh.keys, now)?,
                (now + USED).to_string(),
            )
        }
    };
    meta::insert(&mut metadata.annotations, RENEW, renew);
    Ok(Secret {
        metadata,
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(data),
        ..Secret::default()
    })
}

type Data = std::collections::BTreeMap<String, ByteString>;

/// A certificate, of the authority that is known, or else of a new one.
fn issue(
    place: &Place<'_>,
    known: Option<(String, KeyPair)>,
    fresh: &Keys,
    now: Timestamp,
) -> Result<Data, rcgen::Error> {
    let mut authority = params(Vec::new(), &place.host(), now, AUTHORITY_VALID)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let (root, root_key) = match known {
        Some(known) => known,
        None => {
            let key = KeyPair::from_pem(&fresh.authority)?;
            (authority.self_signed(&key)?.pem(), key)
        }
    };
    let root_key_text = root_key.serialize_pem();
    let mut server = params(hosts(place), &place.name, now, VALID)?;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    let key = KeyPair::from_pem(&fresh.server)?;
    let certificate = server.signed_by(&key, &Issuer::new(authority, root_key))?;
    let data = [
        (AUTHORITY, root),
        (AUTHORITY_KEY, root_key_text),
        (CERTIFICATE, certificate.pem()),
        (KEY, key.serialize_pem()),
    ];
    let data = data.into_iter();
    Ok(data
        .map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes())))
        .collect())
}

/// The names that clients may know the server by. Several have addresses of their own for the one
/// that takes writes, for the others, and for all.
fn hosts(place: &Place<'_>) -> Vec<String> {
    let Place {
        name, namespace, ..
    } = place;
    let ends: &[&str] = match place.object.spec.is_replicated() {
        true => &["", "-rw", "-ro", "-r"],
        false => &[""],
    };
    let domain = &place.config.cluster_domain;
    let of = |end: &&str| {
        let name = format!("{name}{end}");
        let within = format!("{name}.{namespace}");
        let service = format!("{within}.svc");
        let full = format!("{service}.{domain}");
        [name, within, service, full]
    };
    let hosts = ends.iter().flat_map(of);
    hosts.chain(["localhost".to_owned()]).collect()
}

/// What a certificate for these names says, from now on and for so long.
fn params(
    names: Vec<String>,
    subject: &str,
    now: Timestamp,
    valid: SignedDuration,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    // A common name has at most 64 characters (RFC 5280, appendix A).
    let subject: String = subject.chars().take(64).collect();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    let at = |time: Timestamp| {
        let seconds = u64::try_from(time.as_second()).unwrap_or_default();
        rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds)
    };
    params.not_before = at(now - SLACK);
    params.not_after = at(now + valid);
    Ok(params)
}
