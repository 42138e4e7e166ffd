//! What registries answer, and which of it may pass.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use oci_distribution::errors::{OciDistributionError, OciEnvelope, OciErrorCode};

use super::Refusal;

/// Tries again what may pass: here, for another attempt of the Build would make the image once more.
pub(super) async fn retry<T, F: Future<Output = Result<T, OciDistributionError>>>(
    patience: Duration,
    attempt: impl FnMut() -> F,
) -> Result<T, OciDistributionError> {
    attempt
        .retry(
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_secs(1))
                .with_max_delay(Duration::from_secs(20))
                .with_jitter()
                .with_total_delay(Some(patience))
                .without_max_times(),
        )
        .when(|error| reason(error) == "RegistryUnavailable")
        .notify(|error, delay| println!("{}; tries again in {delay:.0?}", words(error)))
        .await
}

/// How registries say that there is no room: Harbor, GitLab, ECR, and what stands under them.
const FULL: [&str; 5] = [
    "quota",
    "exceed the configured upper limit",
    "limitexceeded",
    "no space left on device",
    "insufficient storage",
];

/// The class of a registry's error.
fn reason(error: &OciDistributionError) -> &'static str {
    use OciDistributionError as E;
    let words = error.to_string().to_lowercase();
    if FULL.iter().any(|full| words.contains(full)) {
        return "RegistryQuotaExceeded";
    }
    match error {
        E::RegistryError { envelope, .. } if busy(envelope) => "RegistryUnavailable",
        E::ServerError {
            code: 413 | 507, ..
        } => "RegistryQuotaExceeded",
        E::AuthenticationFailure(_) | E::UnauthorizedError { .. } => "RegistryUnauthorized",
        E::RegistryError { envelope, .. } => {
            let denied = envelope
                .errors
                .iter()
                .any(|it| matches!(it.code, OciErrorCode::Denied | OciErrorCode::Unauthorized));
            if denied {
                "RegistryUnauthorized"
            } else {
                "PushRejected"
            }
        }
        E::ServerError {
            code: 401 | 403, ..
        } => "RegistryUnauthorized",
        E::ServerError {
            code: 429 | 500.., ..
        } => "RegistryUnavailable",
        E::ServerError { .. } => "PushRejected",
        E::IoError(_) => "BuildJobFailed",
        E::RequestError(_) | E::SpecViolationError(_) | E::RegistryNoLocationError => {
            "RegistryUnavailable"
        }
        _ => "PushRejected",
    }
}

fn busy(envelope: &OciEnvelope) -> bool {
    let mut errors = envelope.errors.iter();
    errors.any(|it| it.code == OciErrorCode::Toomanyrequests)
}

/// What the registry, or the network, said: without JSON, and with the causes.
fn words(error: &OciDistributionError) -> String {
    use OciDistributionError as E;
    let code = |code: &OciErrorCode| match serde_json::to_value(code) {
        Ok(serde_json::Value::String(code)) => code,
        _ => "unknown".to_owned(),
    };
    let said = |envelope: &OciEnvelope| {
        let errors = envelope.errors.iter();
        let each = errors.map(|it| match it.message.trim() {
            "" => code(&it.code),
            message => format!("{message} ({})", code(&it.code)),
        });
        each.collect::<Vec<_>>().join(", ")
    };
    match error {
        E::ServerError { code, message, .. } => match serde_json::from_str(message) {
            Ok(envelope) => format!("{}, HTTP status {code}", said(&envelope)),
            Err(_) if message.trim().is_empty() => format!("HTTP status {code}"),
            Err(_) => format!("HTTP status {code}: {}", message.trim()),
        },
        E::RegistryError { envelope, .. } => said(envelope),
        other => {
            let mut words = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(below) = cause {
                let text = below.to_string();
                if !words.contains(&text) {
                    words = format!("{words}: {text}");
                }
                cause = below.source();
            }
            words
        }
    }
}

/// A registry's answer as the end of a push.
pub(super) fn refusal(registry: &str, error: &OciDistributionError) -> Refusal {
    let reason = reason(error);
    let words = words(error);
    let sentence = match reason {
        "RegistryUnauthorized" => format!(
            "registry {registry} refused the push: check the credentials in the Secret that the operator's settings, or the Project's registry.secretRef, name"
        ),
        "RegistryUnavailable" => {
            format!("registry {registry} does not answer, or has trouble of its own: {words}")
        }
        "RegistryQuotaExceeded" => format!(
            "registry {registry} has no room for the image: delete images there, or ask for a higher quota ({words})"
        ),
        "BuildJobFailed" => format!("the image cannot be read: {words}"),
        _ => format!("registry {registry} refused the image: {words}"),
    };
    (reason, sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_reason() {
        let server = |code: u16, message: &str| OciDistributionError::ServerError {
            code,
            url: "https://registry.example.com/v2/".to_owned(),
            message: message.to_owned(),
        };
        let registry = |code: &str, message: &str| OciDistributionError::RegistryError {
            envelope: serde_json::from_value(serde_json::json!({
                "errors": [{"code": code, "message": message, "detail": null}]
            }))
            .expect("an envelope"),
            url: "https://registry.example.com/v2/".to_owned(),
        };
        let cases = [
            (server(401, ""), "RegistryUnauthorized"),
            (server(403, ""), "RegistryUnauthorized"),
            (server(404, ""), "PushRejected"),
            (server(413, ""), "RegistryQuotaExceeded"),
            (server(429, ""), "RegistryUnavailable"),
            (server(500, ""), "RegistryUnavailable"),
            (server(503, ""), "RegistryUnavailable"),
            (
                server(500, "write: no space left on device"),
                "RegistryQuotaExceeded",
            ),
            (server(507, ""), "RegistryQuotaExceeded"),
            (registry("DENIED", "no"), "RegistryUnauthorized"),
            (
                registry(
                    "DENIED",
                    "adding 5 MiB will exceed the configured upper limit",
                ),
                "RegistryQuotaExceeded",
            ),
            (registry("TOOMANYREQUESTS", "slow"), "RegistryUnavailable"),
            (registry("MANIFEST_INVALID", "x"), "PushRejected"),
        ];
        for (error, expected) in cases {
            assert_eq!(reason(&error), expected, "{error}");
            let sentence = refusal("registry.example.com", &error).1;
            assert!(sentence.contains("registry.example.com"), "{sentence}");
        }
        let json = r#"{"errors": [{"code": "PRECONDITION", "message": "the tag is immutable"}]}"#;
        let error = server(412, json);
        assert_eq!(reason(&error), "PushRejected");
        assert_eq!(
            words(&error),
            "the tag is immutable (PRECONDITION), HTTP status 412"
        );
        assert_eq!(words(&server(502, "")), "HTTP status 502");
    }
}
