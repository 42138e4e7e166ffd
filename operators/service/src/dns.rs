//! Where the hosts of users lead by the DNS, asked beside the reconciles, which an answer wakes.
//!
//! It is told and decides nothing: a host may lead to a proxy in front of the platform.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{Stream, channel::mpsc};
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Semaphore;
use trackbed_api::{Service, expose::Resolves};

/// The DNS is asked for so many hosts at once.
const AT_ONCE: usize = 4;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Until a host is asked for again: while it does not lead here, and when it does.
const AGAIN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(900));

/// A host, and the generated one that it is to lead to.
type Question = (String, String);

#[derive(Clone, Copy, Default)]
struct Entry {
    answer: Option<Resolves>,
    /// `None`: it is being asked.
    until: Option<Instant>,
}

/// What the DNS said.
pub struct Names {
    entries: Mutex<HashMap<ObjectRef<Service>, HashMap<Question, Entry>>>,
    places: Semaphore,
    wake: mpsc::UnboundedSender<ObjectRef<Service>>,
}

impl Names {
    /// Nothing asked yet, and the stream of Services for which something was.
    pub fn new() -> (
        Arc<Self>,
        impl Stream<Item = ObjectRef<Service>> + Send + 'static,
    ) {
        let (wake, answered) = mpsc::unbounded();
        let names = Arc::new(Self {
            entries: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
            wake,
        });
        (names, answered)
    }

    /// What was said last of each of these hosts but the first, which is the generated one, and when
    /// to look again. What nobody knows, or not any more, is asked.
    pub(crate) fn look(
        self: &Arc<Self>,
        who: &ObjectRef<Service>,
        hosts: &[String],
    ) -> (HashMap<String, Resolves>, Option<Duration>) {
        let now = Instant::now();
        let mut all = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(who).unwrap_or_default();
        let (mut known, mut answers, mut again) = (HashMap::new(), HashMap::new(), None);
        let (generated, own) = match hosts.split_first() {
            Some((generated, own)) => (generated.as_str(), own),
            None => ("", hosts),
        };
        for host in own {
            let question = (host.clone(), generated.to_owned());
            let entry = before.get(&question);
            let asked = entry.is_some_and(|it| it.until.is_none_or(|until| until > now));
            let mut entry = entry.copied().unwrap_or_default();
            if !asked {
                entry.until = None;
                tokio::spawn(self.clone().ask(who.clone(), question.clone()));
            }
            if let Some(answer) = entry.answer {
                answers.insert(host.clone(), answer);
            }
            let left = entry
                .until
                .map(|until| until.saturating_duration_since(now));
            again = [again, left].into_iter().flatten().min();
            known.insert(question, entry);
        }
        if !known.is_empty() {
            all.insert(who.clone(), known);
        }
        (answers, again)
    }

    /// The Service is gone.
    pub(crate) fn forget(&self, who: &ObjectRef<Service>) {
        let mut all = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(who);
    }

    async fn ask(self: Arc<Self>, who: ObjectRef<Service>, question: Question) {
        let answer = {
            // Nobody closes it.
            let _place = self.places.acquire().await;
            let (host, generated) = &question;
            judge(&addresses(host).await, &addresses(generated).await)
        };
        let again = match answer {
            Some(Resolves::Here) => AGAIN.1,
            _ => AGAIN.0,
        };
        let mut all = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = all.get_mut(&who).and_then(|it| it.get_mut(&question));
        if let Some(entry) = entry {
            entry.answer = answer;
            entry.until = Some(Instant::now() + again);
            // A closed channel is a controller that has stopped.
            let _closed = self.wake.unbounded_send(who);
        }
    }
}

/// The addresses of a host; of `*.example.com`, those of any host that it stands for.
async fn addresses(host: &str) -> Vec<IpAddr> {
    let host = host.replacen('*', "any", 1);
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, 443))).await;
    match found {
        Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
        // Not there and no answer are the same to whoever wants to visit it.
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

/// Where a host leads. `None`: the platform's own is not in the DNS as the operator sees it, and
/// there is nothing to compare with.
fn judge(host: &[IpAddr], generated: &[IpAddr]) -> Option<Resolves> {
    match (host.is_empty(), generated.is_empty()) {
        (true, _) => Some(Resolves::No),
        (false, true) => None,
        (false, false) => Some(match host.iter().any(|it| generated.contains(it)) {
            true => Resolves::Here,
            false => Resolves::Elsewhere,
        }),
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[test]
    fn a_host_leads_where_its_addresses_do() {
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let (one, two) = ([address(1)], [address(1), address(2)]);
        assert_eq!(judge(&[], &one), Some(Resolves::No));
        assert_eq!(judge(&[], &[]), Some(Resolves::No));
        assert_eq!(judge(&one, &[]), None);
        assert_eq!(judge(&one, &two), Some(Resolves::Here));
        assert_eq!(judge(&two, &one), Some(Resolves::Here));
        assert_eq!(judge(&one, &[address(3)]), Some(Resolves::Elsewhere));
    }

    #[tokio::test]
    async fn an_answer_wakes_its_service_and_is_kept() {
        let (names, mut answered) = Names::new();
        let who = ObjectRef::new("web").within("shop-production");
        // Of the file of hosts of every machine.
        let hosts = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let look = || names.look(&who, &hosts);
        assert_eq!(look(), (HashMap::new(), None));
        assert_eq!(answered.next().await, Some(who.clone()));
        let (answers, again) = look();
        assert_eq!(
            answers,
            HashMap::from([("localhost".to_owned(), Resolves::Here)])
        );
        assert!(again.is_some_and(|again| again <= AGAIN.1));
        names.forget(&who);
        assert_eq!(look(), (HashMap::new(), None));
    }
}
