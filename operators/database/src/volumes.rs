//! How full volumes are, asked of the supervisors beside the reconciles, which a change wakes.
//!
//! Nothing of it is stored: after a restart all are asked at once.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{Stream, channel::mpsc};
use kube::runtime::reflector::ObjectRef;
use tokio::{sync::Semaphore, task::AbortHandle};
use trackbed_api::Database;
use trackbed_http::{Network, begin, client};

use crate::plan::{server::METRICS, storage::Report};

/// Until a volume is asked for again.
const EVERY: Duration = Duration::from_secs(60);
/// The same of one of several servers, whose primary changes, or of one with further databases.
const SOONER: Duration = Duration::from_secs(10);
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const LONGEST: usize = 64 << 10;
/// So many are asked at once.
const AT_ONCE: usize = 16;

#[derive(Default)]
struct Entry {
    /// Where the supervisor is.
    address: Option<IpAddr>,
    /// Who asks it.
    task: Option<AbortOnDrop>,
    /// What it said last, or before it stopped answering.
    report: Option<Report>,
}

/// What is known of a Database.
#[derive(Default)]
struct Known {
    /// Capacity of its volume, as it was told last.
    capacity: Option<String>,
    /// Its servers, by pod.
    pods: HashMap<String, Entry>,
}

impl Entry {
    /// Of another pod, nobody knows yet whether it is the primary. One among several that is away is
    /// not asked about its volume.
    fn forget(&mut self) {
        self.report = self.report.take().filter(|it| it.primary.is_none());
    }
}

/// A task that ends with whoever holds this.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What supervisors said of their volumes.
pub struct Volumes {
    http: Option<reqwest::Client>,
    known: Mutex<HashMap<ObjectRef<Database>, Known>>,
    places: Semaphore,
    wake: mpsc::UnboundedSender<ObjectRef<Database>>,
}

impl Volumes {
    /// Nobody asked yet, and the stream of Databases whose volume is fuller or emptier than before.
    pub fn new() -> (
        Arc<Self>,
        impl Stream<Item = ObjectRef<Database>> + Send + 'static,
    ) {
        let (wake, changed) = mpsc::unbounded();
        // In the cluster there is no proxy, and no certificate to trust.
        let http = client(&Network::default())
            .inspect_err(|error| tracing::warn!(%error, "volumes cannot be asked for"))
            .ok();
        let volumes = Arc::new(Self {
            http,
            known: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
            wake,
        });
        (volumes, changed)
    }

    /// What was said last, by pod. From now on the supervisors at these addresses are asked again and
    /// again; without an address nobody is, nor are those of other pods of before, which count no more.
    /// While there is no pod, what was said holds.
    pub(crate) fn look(
        self: &Arc<Self>,
        who: &ObjectRef<Database>,
        pods: Vec<(String, Option<IpAddr>)>,
    ) -> Vec<(String, Report)> {
        let mut known = self.lock();
        let entries = &mut known.entry(who.clone()).or_default().pods;
        let listed = |name: &String| pods.iter().any(|(pod, _)| pod == name);
        entries.retain(|name, _| pods.is_empty() || listed(name));
        if pods.is_empty() {
            for entry in entries.values_mut() {
                (entry.address, entry.task) = (None, None);
                entry.forget();
            }
        }
        for (name, address) in pods {
            let entry = entries.entry(name.clone()).or_default();
            if entry.address != address {
                entry.address = address;
                entry.forget();
                entry.task = address.map(|address| {
                    let task = tokio::spawn(self.clone().follow(who.clone(), name, address));
                    AbortOnDrop(task.abort_handle())
                });
            }
        }
        let said = entries.iter().filter_map(|(name, entry)| {
            let report = entry.report.clone()?;
            Some((name.clone(), report))
        });
        said.collect()
    }

    /// Its status says this capacity now, and how much of that is taken.
    pub(crate) fn told(&self, who: &ObjectRef<Database>, capacity: Option<&str>) {
        if let Some(known) = self.lock().get_mut(who) {
            known.capacity = capacity.map(str::to_owned);
        }
    }

    /// The Database is gone.
    pub(crate) fn forget(&self, who: &ObjectRef<Database>) {
        self.lock().remove(who);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef<Database>, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks again and again.
    async fn follow(self: Arc<Self>, who: ObjectRef<Database>, pod: String, address: IpAddr) {
        let mut pause = PATIENCE;
        loop {
            let answer = {
                // Nobody closes it.
                let _place = self.places.acquire().await;
                self.ask(address).await
            };
            match self.note(&who, &pod, answer.as_ref()) {
                // A closed channel is a controller that has stopped.
                Some(true) => drop(self.wake.unbounded_send(who.clone())),
                Some(false) => {}
                None => return,
            }
            let next = match &answer {
                // Somebody waits for what becomes of a list, too.
                Some(it) if it.primary.is_some() || it.databases.is_some() => SOONER,
                Some(_) => EVERY,
                None => pause,
            };
            tokio::time::sleep(next).await;
            // A supervisor that has just begun, or that the network does not know yet, soon answers; an
            // older one never does.
            pause = match answer {
                Some(_) => PATIENCE,
                None => EVERY.min(pause * 2),
            };
        }
    }

    /// Whether an answer changes what is told. `None`: nobody asks for it any more.
    fn note(&self, who: &ObjectRef<Database>, pod: &str, answer: Option<&Report>) -> Option<bool> {
        let mut known = self.lock();
        let known = known.get_mut(who)?;
        let entry = known.pods.get_mut(pod)?;
        let differs = |answer: &&Report| {
            let before = entry.report.as_ref();
            before.is_none_or(|it| answer.differs(it, known.capacity.as_deref()))
        };
        let answer = answer.filter(differs);
        if answer.is_some() {
            entry.report = answer.cloned();
        }
        Some(answer.is_some())
    }

    async fn ask(&self, address: IpAddr) -> Option<Report> {
        let url = match address {
            IpAddr::V4(it) => format!("http://{it}:{METRICS}/metrics"),
            IpAddr::V6(it) => format!("http://[{it}]:{METRICS}/metrics"),
        };
        let answer = async {
            let answer = self.http.as_ref()?.get(url).send().await.ok()?;
            Some(begin(answer, LONGEST).await)
        };
        let text = tokio::time::timeout(PATIENCE, answer).await.ok()??;
        Report::read(&String::from_utf8_lossy(&text))
    }
}
