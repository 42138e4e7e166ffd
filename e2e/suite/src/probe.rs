//! Asks a host again and again while something else happens.

use std::{
    sync::mpsc::{RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{Answer, Cluster};

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(100);

/// Requests that go on until the probe ends.
#[derive(Debug)]
pub struct Probe {
    stop: Sender<()>,
    thread: JoinHandle<(usize, Vec<Answer>)>,
}

impl Cluster {
    /// Begins to ask.
    pub fn probe(&self, host: &str, path: &str) -> Probe {
        let (stop, stopped) = channel();
        let (cluster, host, path) = (self.clone(), host.to_owned(), path.to_owned());
        let thread = thread::spawn(move || {
            let (mut good, mut bad) = (0, Vec::new());
            while stopped.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                match cluster.request(&host, &path) {
                    answer if answer.status == 200 => good += 1,
                    answer => bad.push(answer),
                }
            }
            (good, bad)
        });
        Probe { stop, thread }
    }
}

impl Probe {
    /// Ends it, and counts.
    ///
    /// # Panics
    /// If a request failed, or too few were made to say anything.
    #[track_caller]
    pub fn end(self) -> usize {
        // One that ended by itself has panicked, which the next line tells.
        let _ended = self.stop.send(());
        let (good, bad) = self.thread.join().expect("the probe asks to its end");
        assert!(
            bad.is_empty(),
            "{good} were answered, these were not: {bad:?}"
        );
        assert!(good >= 20, "only {good} requests");
        good
    }
}
