//! What becomes of tries to have certificates issued: a Certificate says that it waits, the
//! CertificateRequest says what for.

use std::time::Duration;

use kube::{Api, ResourceExt, api::ListParams};
use trackbed_api::Service;
use trackbed_kit::{
    Context, Error,
    cert_manager::{CertificateRequest, find},
    meta,
};

use crate::observe::Seen;

/// How long until the tries, which nobody watches, are looked at again.
const EVERY: Duration = Duration::from_secs(15);

/// Reads them while a certificate of the Service is not issued, or is being renewed.
///
/// # Errors
/// The API server's.
pub async fn look(context: &Context, object: &Service, seen: &mut Seen) -> Result<(), Error> {
    let mut certificates = seen.certificates.iter();
    let open = certificates.any(|certificate| {
        let status = certificate.status.as_ref();
        let conditions = status.map(|status| status.conditions.as_slice());
        let ready = conditions.and_then(|it| find(it, "Ready"));
        let issuing = conditions.and_then(|it| find(it, "Issuing"));
        issuing.is_some() || ready.is_none_or(|it| it.status != "True")
    });
    if !open {
        return Ok(());
    }
    seen.again = Some(seen.again.map_or(EVERY, |again| again.min(EVERY)));
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<CertificateRequest> = Api::namespaced(context.client.clone(), &namespace);
    let found = api.list(&ListParams::default()).await;
    let found =
        found.map_err(|source| Error::api("list CertificateRequests".to_owned(), source))?;
    let mut found = found.items;
    found.sort_by_key(|request| request.creation_timestamp().map(|time| time.0));
    seen.requests = found
        .iter()
        .filter_map(|request| {
            let owner = meta::controller(request)?;
            let said = find(&request.status.as_ref()?.conditions, "Ready")?;
            Some((owner.name.clone(), said.clone()))
        })
        .collect();
    Ok(())
}
