//! Who may say something.

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::{Format, Refusal, header};

/// Whether the sender knows the secret, over the raw bytes and in constant time.
pub(super) fn verify(
    format: Format,
    headers: &HeaderMap,
    body: &[u8],
    secret: &[u8],
) -> Result<(), Refusal> {
    if secret.is_empty() {
        return Err(Refusal::Unsigned);
    }
    if format == Format::GitLab {
        return token(headers, secret);
    }
    let (name, prefix) = match format {
        Format::GitHub => ("x-hub-signature-256", "sha256="),
        Format::Bitbucket => ("x-hub-signature", "sha256="),
        Format::Gitea if headers.contains_key("x-forgejo-signature") => ("x-forgejo-signature", ""),
        Format::Gitea => ("x-gitea-signature", ""),
        Format::Generic | Format::GitLab => ("x-trackbed-signature", "sha256="),
    };
    let given = header(headers, name).and_then(|text| bytes(text.strip_prefix(prefix)?));
    let given = given.ok_or(Refusal::Unsigned)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| Refusal::Unsigned)?;
    mac.update(body);
    // In constant time: https://docs.rs/digest/latest/digest/trait.Mac.html
    mac.verify_slice(&given).map_err(|_| Refusal::Unsigned)
}

/// GitLab sends the secret itself. Compared by digests under a key, in constant time and whatever
/// the lengths are.
fn token(headers: &HeaderMap, secret: &[u8]) -> Result<(), Refusal> {
    let given = headers.get("x-gitlab-token").ok_or(Refusal::Unsigned)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| Refusal::Unsigned)?;
    mac.update(&Sha256::digest(given.as_bytes()));
    let mut own = Hmac::<Sha256>::new_from_slice(secret).map_err(|_| Refusal::Unsigned)?;
    own.update(&Sha256::digest(secret));
    mac.verify(&own.finalize().into_bytes())
        .map_err(|_| Refusal::Unsigned)
}

/// Hexadecimal digits of either case.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    let pairs = (0..hex.len()).step_by(2);
    pairs
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect()
}
