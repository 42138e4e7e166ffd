//! Requests at a steady rate, however fast they are answered.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Requests a second, all senders together.
const RATE: u32 = 200;
/// Senders. Each waits for its answers, so there have to be more than are slow at a time.
const SENDERS: u32 = 40;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of a number of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Times from the moment a request was due until its answer was read, in milliseconds.
    pub millis: Vec<u128>,
    /// What went wrong, and how often.
    pub failures: BTreeMap<String, usize>,
}

impl Tally {
    /// How many failed.
    pub(super) fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    /// The time within which so many of a hundred were answered.
    pub(super) fn percentile(&self, percent: usize) -> u128 {
        let mut sorted = self.millis.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(at).copied().unwrap_or_default()
    }

    fn add(&mut self, other: Self) {
        self.millis.extend(other.millis);
        for (what, count) in other.failures {
            *self.failures.entry(what).or_default() += count;
        }
    }
}

/// Requests that are being sent.
pub(super) struct Load {
    senders: Vec<JoinHandle<Tally>>,
    sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Load {
    /// Begins to ask `url` for `host`. An answer is good if its body has `words`.
    pub(super) fn begin(url: &str, host: &str, words: &'static str) -> Self {
        let sent = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let begun = Instant::now();
        let senders = (0..SENDERS).map(|at| {
            let (url, host) = (url.to_owned(), host.to_owned());
            let (sent, stop) = (Arc::clone(&sent), Arc::clone(&stop));
            thread::spawn(move || {
                // Every other one opens a connection for each request.
                let agent = agent(at % 2 == 0);
                let mut tally = Tally::default();
                let mut due = begun + Duration::from_secs(1) * at / RATE;
                while !stop.load(Ordering::Relaxed) {
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    if let Err(what) = ask(&agent, &url, &host, words) {
                        *tally.failures.entry(what).or_default() += 1;
                    }
                    tally.millis.push(due.elapsed().as_millis());
                    sent.fetch_add(1, Ordering::Relaxed);
                    due += Duration::from_secs(1) * SENDERS / RATE;
                }
                tally
            })
        });
        Self {
            senders: senders.collect(),
            sent,
            stop,
        }
    }

    /// Waits until so many requests were answered since the beginning.
    pub(super) fn reach(&self, count: usize) {
        while self.sent() < count {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many were answered by now.
    pub(super) fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends, and tells what came of it all.
    pub(super) fn end(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for sender in self.senders {
            match sender.join() {
                Ok(tally) => all.add(tally),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    }
}

fn agent(keeps: bool) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        .max_idle_connections(if keeps { 1 } else { 0 })
        .proxy(None)
        .build()
        .into()
}

fn ask(agent: &ureq::Agent, url: &str, host: &str, words: &str) -> Result<(), String> {
    let mut answer = agent
        .get(url)
        .header("host", host)
        .call()
        .map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().read_to_string();
    let body = body.map_err(|error| format!("status {status}, then {error}"))?;
    match (status, body.contains(words)) {
        (200, true) => Ok(()),
        (200, false) => Err("another body".to_owned()),
        (status, _) => Err(format!("status {status}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tallies_add_up() {
        let one = |millis: &[u128], failure: &str| Tally {
            millis: millis.to_vec(),
            failures: BTreeMap::from([(failure.to_owned(), 1)]),
        };
        let mut all = one(&[5, 1], "status 502");
        all.add(one(&[9], "status 502"));
        all.add(one(&[2], "another body"));
        assert_eq!(all.failed(), 3);
        assert_eq!(all.failures["status 502"], 2);
        let at = [1, 50, 75, 99, 100].map(|percent| all.percentile(percent));
        assert_eq!(at, [1, 2, 5, 9, 9]);
        assert_eq!(Tally::default().percentile(99), 0);
    }
}
