//! Requests at a steady rate, begun by the clock, however slowly others are answered.

use std::{
    error::Error as StdError,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    runtime::Runtime,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::{Instant as Clock, sleep_until, timeout_at},
};

use super::tally::{Sample, Tally};
use crate::error::{Doing, Result};

/// Requests a second.
const RATE: u32 = 200;
/// Connections that are kept, for every other request. The rest open one each.
const KEPT: u32 = 20;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

type Http = Client<HttpConnector, Empty<Bytes>>;

/// Where to ask, and for what.
pub(super) struct Target {
    pub url: String,
    pub host: String,
    pub good: Good,
}

/// Good bodies, by their first line.
pub(super) enum Good {
    /// One of these.
    Lines(Vec<String>),
    /// One that begins like this.
    Begins(&'static str),
}

impl Good {
    /// How many kinds of them there are.
    pub(super) fn kinds(&self) -> usize {
        match self {
            Self::Lines(lines) => lines.len(),
            Self::Begins(_) => 1,
        }
    }

    /// Which of them a line is.
    fn find(&self, line: &str) -> Option<usize> {
        match self {
            Self::Lines(lines) => lines.iter().position(|it| it == line),
            Self::Begins(text) => line.starts_with(text).then_some(0),
        }
    }
}

/// Requests that are being sent.
pub(super) struct Load {
    runtime: Runtime,
    clock: JoinHandle<()>,
    samples: UnboundedReceiver<Sample>,
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Begins to ask.
    pub(super) fn begin(target: Target) -> Result<Self> {
        let runtime = Runtime::new().doing(|| "starting threads".to_owned())?;
        let (sender, samples) = unbounded_channel();
        let (answered, stop) = (Arc::default(), Arc::default());
        let clock = {
            let (answered, stop) = (Arc::clone(&answered), Arc::clone(&stop));
            runtime.spawn(send(Arc::new(target), sender, answered, stop))
        };
        Ok(Self {
            runtime,
            clock,
            samples,
            answered,
            stop,
        })
    }

    /// Waits until so many requests were answered, or failed, since the beginning.
    pub(super) fn reach(&self, count: usize) {
        while self.answered() < count && !self.clock.is_finished() {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many were answered, or failed, by now.
    pub(super) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends, waits for what is under way, and tells what came of it all.
    pub(super) fn end(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        self.runtime.block_on(async {
            while let Some(sample) = self.samples.recv().await {
                all.push(sample);
            }
        });
        Tally::of(all)
    }
}

/// Begins a request whenever one is due.
async fn send(
    target: Arc<Target>,
    samples: UnboundedSender<Sample>,
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) {
    let kept: Vec<_> = (0..KEPT).map(|_| client(true)).collect();
    let fresh = client(false);
    let begun = Instant::now();
    for number in 0_u32.. {
        let after = Duration::from_secs(1) * number / RATE;
        let due = begun + after;
        sleep_until(Clock::from_std(due)).await;
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let http = match number % 2 {
            0 => kept[(number / 2 % KEPT) as usize].clone(),
            _ => fresh.clone(),
        };
        let (target, samples) = (Arc::clone(&target), samples.clone());
        let answered = Arc::clone(&answered);
        tokio::spawn(async move {
            let late = due.elapsed();
            let answer = timeout_at(Clock::from_std(due + PATIENCE), ask(&http, &target)).await;
            let sample = Sample {
                due: after,
                late,
                took: due.elapsed(),
                outcome: answer.unwrap_or_else(|_| Err("no answer in time".to_owned())),
            };
            // Who listens waits until all have sent theirs.
            let _ = samples.send(sample);
            answered.fetch_add(1, Ordering::Relaxed);
        });
    }
}

/// Never asks twice: what fails is told.
fn client(keeps: bool) -> Http {
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(usize::from(keeps))
        .retry_canceled_requests(false)
        .build_http()
}

/// Which of the bodies the answer has.
async fn ask(http: &Http, target: &Target) -> std::result::Result<usize, String> {
    let request = Request::get(&target.url)
        .header(header::HOST, &target.host)
        .body(Empty::new())
        .map_err(|error| innermost(&error))?;
    let answer = http.request(request).await;
    let answer = answer.map_err(|error| innermost(&error))?;
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await;
    let body = body.map_err(|error| format!("status {status}, then {}", innermost(&error)))?;
    judge(status, &body.to_bytes(), &target.good)
}

/// Which of the good bodies an answer has. The first line is what counts.
fn judge(status: u16, body: &[u8], good: &Good) -> std::result::Result<usize, String> {
    if status != 200 {
        return Err(format!("status {status}"));
    }
    let text = String::from_utf8_lossy(body);
    let line = text.lines().next().unwrap_or_default();
    good.find(line).ok_or_else(|| "another body".to_owned())
}

/// The words of the error that all others come from: they name no addresses, and so can be counted.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_good_with_one_of_the_bodies() {
        let bodies = Good::Lines(vec!["Hello 1".to_owned(), "Hello 2".to_owned()]);
        assert_eq!(judge(200, b"Hello 1\ninstance 7\n", &bodies), Ok(0));
        assert_eq!(judge(200, b"Hello 2", &bodies), Ok(1));
        for body in ["Hello 12", "", "\nHello 1", "not Hello 1"] {
            let judged = judge(200, body.as_bytes(), &bodies);
            assert_eq!(judged, Err("another body".to_owned()), "{body}");
        }
        assert_eq!(
            judge(502, b"Hello 1", &bodies),
            Err("status 502".to_owned())
        );
        let begins = Good::Begins("{");
        assert_eq!(judge(200, b"{}", &begins), Ok(0));
        assert!(judge(200, b"null", &begins).is_err());
    }

    #[test]
    fn errors_are_told_by_their_cause() {
        #[derive(Debug, thiserror::Error)]
        #[error("asking 10.0.0.1:80")]
        struct Outer(#[source] std::io::Error);
        let refused = std::io::Error::other("refused");
        assert_eq!(innermost(&Outer(refused)), "refused");
    }
}
