//! Requests through the ingress controller.

use std::time::Duration;

use backon::{BlockingRetryable, ConstantBuilder};
use serde_json::Value;

use crate::Cluster;

/// How many times as long as on an idle machine a test waits before it gives up. What comes is not
/// waited for any longer.
pub(crate) const PATIENCE: usize = 3;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status; 0 if there was no answer at all.
    pub status: u16,
    /// The body, or the error.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Cluster {
    /// One request to a public host.
    pub fn request(&self, host: &str, path: &str) -> Answer {
        let request = agent().get(format!("http://{}{path}", self.node));
        answer(request.header("host", host).call())
    }

    /// A POST to a public host.
    pub fn post(&self, host: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let agent = agent();
        let request = agent
            .post(format!("http://{}{path}", self.node))
            .header("host", host);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        answer(request.send(body))
    }

    /// Requests until the answer is what is waited for.
    ///
    /// # Panics
    /// If it does not come in `seconds`; says what came instead.
    #[track_caller]
    pub fn answers(
        &self,
        host: &str,
        path: &str,
        seconds: usize,
        good: impl Fn(&Answer) -> bool,
    ) -> Answer {
        let attempt = || {
            let answer = self.request(host, path);
            if good(&answer) {
                Ok(answer)
            } else {
                Err(answer)
            }
        };
        let every = ConstantBuilder::default()
            .with_delay(Duration::from_millis(500))
            .with_max_times(seconds * 2 * PATIENCE);
        match attempt.retry(every).call() {
            Ok(answer) => answer,
            Err(answer) => panic!("http://{host}{path} answered {answer:?}"),
        }
    }
}

pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        // What is sent elsewhere is told, not followed: no test's host is in this machine's DNS.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(Duration::from_secs(10)))
        .proxy(None)
        .build()
        .into()
}

fn answer(outcome: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let read = outcome.and_then(|mut response| {
        Ok(Answer {
            status: response.status().as_u16(),
            body: response.body_mut().read_to_string()?,
        })
    });
    read.unwrap_or_else(|error| Answer {
        status: 0,
        body: error.to_string(),
    })
}

/// Tries until it holds.
///
/// # Panics
/// If it does not in `seconds`; says what stood there instead.
#[track_caller]
pub fn eventually<T>(seconds: usize, attempt: impl FnMut() -> Result<T, String>) -> T {
    match within(seconds, attempt) {
        Ok(value) => value,
        Err(found) => panic!("not within {seconds} s: {found}"),
    }
}

/// The same, with the last thing found as the error.
pub(crate) fn within<T>(
    seconds: usize,
    attempt: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let every = ConstantBuilder::default()
        .with_delay(Duration::from_millis(500))
        .with_max_times(seconds * 2 * PATIENCE);
    attempt.retry(every).call()
}
