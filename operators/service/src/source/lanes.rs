//! Who is asked next: hosts that answer never wait for hosts that do not.
//!
//! A host is asked at most [`PER_HOST`] times at once. Hosts that answered last time, hosts that
//! nobody knows yet and hosts that failed last time have places of their own, and a host that fails
//! is left alone for longer each time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Looks at one host that run at once.
const PER_HOST: usize = 4;
/// Looks that run at once, at hosts that answered, new ones, and such that failed.
const PLACES: [usize; 3] = [16, 8, 4];
/// Pause after the first failure, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(600));
/// Hosts that are remembered. Beyond that, those that nobody asks are forgotten.
const REMEMBERED: usize = 4096;

/// Places to look from.
pub(super) struct Lanes {
    hosts: Mutex<HashMap<String, Host>>,
    places: [Arc<Semaphore>; 3],
}

#[derive(Clone)]
struct Host {
    places: Arc<Semaphore>,
    record: Record,
}

/// How a host did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Record {
    #[default]
    Unknown,
    Answers,
    /// Failures in a row, and until when it is left alone.
    Fails(u32, Instant),
}

/// A place, given back when it is dropped.
pub(super) struct Place {
    _host: Option<OwnedSemaphorePermit>,
    _lane: Option<OwnedSemaphorePermit>,
}

impl Record {
    fn lane(self) -> usize {
        match self {
            Self::Answers => 0,
            Self::Unknown => 1,
            Self::Fails(..) => 2,
        }
    }

    fn next(self, answered: bool, now: Instant) -> Self {
        if answered {
            return Self::Answers;
        }
        let failures = match self {
            Self::Fails(failures, _) => failures.saturating_add(1),
            _ => 1,
        };
        let pause = PAUSE
            .0
            .saturating_mul(1 << (failures - 1).min(16))
            .min(PAUSE.1);
        Self::Fails(failures, now + pause)
    }
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            hosts: Mutex::default(),
            places: PLACES.map(|count| Arc::new(Semaphore::new(count))),
        }
    }

    /// Waits for a place at a host.
    pub(super) async fn enter(&self, host: &str) -> Place {
        // Semaphores that nobody closes do not fail; without a permit a look is one too many.
        let own = self.host(host).places.acquire_owned().await.ok();
        // What became of the host meanwhile counts.
        let lane = self.host(host).record.lane();
        Place {
            _host: own,
            _lane: self.places[lane].clone().acquire_owned().await.ok(),
        }
    }

    /// How long a host is still left alone.
    pub(super) fn pause(&self, host: &str) -> Option<Duration> {
        match self.host(host).record {
            Record::Fails(_, until) => Some(until.saturating_duration_since(Instant::now())),
            _ => None,
        }
        .filter(|pause| !pause.is_zero())
    }

    /// Remembers whether a host answered, be it with a refusal.
    pub(super) fn said(&self, host: &str, answered: bool) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get_mut(host) {
            host.record = host.record.next(answered, Instant::now());
        }
    }

    fn host(&self, name: &str) -> Host {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= REMEMBERED && !hosts.contains_key(name) {
            hosts.retain(|_, host| Arc::strong_count(&host.places) > 1);
        }
        let host = hosts.entry(name.to_owned()).or_insert_with(|| Host {
            places: Arc::new(Semaphore::new(PER_HOST)),
            record: Record::default(),
        });
        host.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn a_host_that_fails_is_left_alone_for_longer_each_time() {
        let now = Instant::now();
        let mut record = Record::default();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            record = record.next(false, now);
            if let Record::Fails(_, until) = record {
                pauses.push((until - now).as_secs());
            }
        }
        assert_eq!(pauses, [30, 60, 120, 240, 480, 600, 600]);
        assert_eq!(record.next(true, now), Record::Answers);
    }

    #[tokio::test]
    async fn hosts_that_hang_hold_up_nobody_else() {
        let lanes = Lanes::new();
        lanes.host("good");
        lanes.said("good", true);
        // As many hanging looks as there are places for new hosts, and more that wait.
        let mut held = Vec::new();
        for number in 0..PLACES[1] {
            held.push(lanes.enter(&format!("bad-{number}")).await);
        }
        assert!(lanes.enter("bad-more").now_or_never().is_none());
        for number in 0..PLACES[2] {
            let host = format!("slow-{number}");
            lanes.host(&host);
            lanes.said(&host, false);
            held.push(lanes.enter(&host).await);
            assert!(lanes.pause(&host).is_some());
        }
        let mut good = Vec::new();
        for _ in 0..PER_HOST {
            let place = lanes.enter("good").now_or_never();
            good.push(place.expect("it does not wait for them"));
        }
        assert!(
            lanes.enter("good").now_or_never().is_none(),
            "not more than that at once"
        );
        drop(good);
        assert!(lanes.enter("good").now_or_never().is_some());
        drop(held);
        assert!(lanes.enter("bad-more").now_or_never().is_some());
    }
}
