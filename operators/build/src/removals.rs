//! Images that the registry is asked to remove, beside the reconciles: a registry that does not
//! answer must not keep them from builds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{Stream, channel::mpsc};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use tokio::sync::Semaphore;
use trackbed_api::Build;

use crate::registry::Answer;

/// Images that are removed at once.
const AT_ONCE: usize = 8;

/// Seconds after which nobody waits for an answer.
const FORGOTTEN: i64 = 3600;

/// A removal since when, and the answer if it is there.
type Entry = (Timestamp, Option<Answer>);

/// Removals that are under way, by the Build's uid. Lost with the process, which asks again then:
/// what is removed already is no error.
pub(crate) struct Removals {
    entries: Mutex<HashMap<String, Entry>>,
    places: Semaphore,
    wake: mpsc::UnboundedSender<ObjectRef<Build>>,
}

impl Removals {
    /// None yet, and the Builds that have an answer.
    pub(crate) fn new() -> (Arc<Self>, impl Stream<Item = ObjectRef<Build>> + Send) {
        let (wake, woken) = mpsc::unbounded();
        let removals = Self {
            entries: Mutex::default(),
            places: Semaphore::new(AT_ONCE),
            wake,
        };
        (Arc::new(removals), woken)
    }

    /// What the registry says of a Build's image. `Err`: it is asked, since then. The answer wakes
    /// the Build, and is given once.
    pub(crate) fn answer(
        self: &Arc<Self>,
        object: &Build,
        now: Timestamp,
        work: impl Future<Output = Answer> + Send + 'static,
    ) -> Result<Answer, Timestamp> {
        let uid = object.uid().unwrap_or_default();
        let mut entries = self.entries();
        // Of Builds that went by somebody's hand.
        entries.retain(|_, (since, _)| now.as_second() - since.as_second() < FORGOTTEN);
        match entries.remove(&uid) {
            Some((_, Some(answer))) => return Ok(answer),
            Some((since, None)) => {
                entries.insert(uid, (since, None));
                return Err(since);
            }
            None => {}
        }
        entries.insert(uid.clone(), (now, None));
        let (removals, who) = (self.clone(), ObjectRef::from_obj(object));
        tokio::spawn(async move {
            // The semaphore is never closed.
            let _place = removals.places.acquire().await;
            if !removals.entries().contains_key(&uid) {
                return;
            }
            let answer = work.await;
            if let Some(entry) = removals.entries().get_mut(&uid) {
                entry.1 = Some(answer);
            }
            // Nobody listens any more only when the controller has ended.
            let _ended = removals.wake.unbounded_send(who);
        });
        Err(now)
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn forget(&self, object: &Build) {
        self.entries().remove(&object.uid().unwrap_or_default());
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    fn build(name: &str) -> Build {
        let mut build = Build::new(name, trackbed_api::BuildSpec::default());
        build.metadata.uid = Some(format!("u-{name}"));
        build
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[tokio::test]
    async fn a_registry_is_asked_once_and_its_answer_is_given_once() {
        let (removals, mut woken) = Removals::new();
        let (web, api) = (build("web"), build("api"));
        let (tell, told) = tokio::sync::oneshot::channel();
        let asked = async { told.await.unwrap_or(Answer::Unauthorized) };
        assert_eq!(removals.answer(&web, at(1), asked), Err(at(1)));
        let never = || async { unreachable!("it is asked already") };
        assert_eq!(removals.answer(&web, at(2), never()), Err(at(1)));
        let asked = async { Answer::Absent };
        assert_eq!(removals.answer(&api, at(3), asked), Err(at(3)));
        tell.send(Answer::Removed).expect("it is waited for");
        let mut names = vec![];
        names.extend(woken.next().await.map(|it| it.name));
        names.extend(woken.next().await.map(|it| it.name));
        names.sort();
        assert_eq!(names, ["api", "web"]);
        assert_eq!(removals.answer(&web, at(4), never()), Ok(Answer::Removed));
        removals.forget(&api);
        assert!(removals.entries().is_empty());
    }
}
