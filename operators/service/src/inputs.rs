//! Whether the Secrets and ConfigMaps of a Service say something else than what its newest release
//! runs with.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use kube::{ResourceExt, runtime::reflector::ObjectRef};
use trackbed_api::{Deployment, Service, labels, names};
use trackbed_kit::{Context, Error, contents::Contents, meta};

use crate::observe::Seen;

/// How long until Secrets and ConfigMaps, which nobody watches, are looked at again.
const EVERY: Duration = Duration::from_secs(60);

/// What was found out last: a Service is reconciled far more often than that. Lost with the process,
/// which only makes the next look early.
#[derive(Default)]
pub struct Inputs(Mutex<HashMap<ObjectRef<Service>, Looked>>);

#[derive(Clone)]
struct Looked {
    at: Instant,
    of: Subject,
    rotated: Vec<String>,
}

/// What was looked at: a changed Service, or one that somebody asks to look at, is not waited for.
#[derive(Clone, PartialEq, Eq)]
struct Subject {
    /// Its uid: a Service that is made again has releases of the same names.
    release: Option<String>,
    generation: Option<i64>,
    asked: Option<String>,
}

impl Inputs {
    /// Notes which variables of the newest release have another content by now, if that can be
    /// told: a release that did not begin has no copy yet and will take what it finds, and what is
    /// gone is missed when the next one begins.
    ///
    /// # Errors
    /// The API server's.
    pub async fn look(
        &self,
        context: &Context,
        object: &Service,
        seen: &mut Seen,
    ) -> Result<(), Error> {
        if object.spec.suspend || seen.place.is_none() {
            return Ok(());
        }
        let releases = seen.releases.iter();
        let newest = releases.max_by_key(|release| release.spec.order()).cloned();
        let copies = |release: &Deployment| {
            let env = &release.spec.run.env;
            env.iter().any(|variable| variable.copied().is_some())
        };
        let Some(newest) = newest.filter(|release| copies(release)) else {
            return Ok(());
        };
        let of = Subject {
            release: newest.uid(),
            generation: object.metadata.generation,
            asked: meta::annotation(object, labels::RECONCILE_AT).map(str::to_owned),
        };
        let who = ObjectRef::from_obj(object);
        let looked = match self.known(&who, &of) {
            Some(looked) => looked,
            None => {
                let rotated = rotated(context, &newest).await?;
                let at = Instant::now();
                let looked = Looked { at, of, rotated };
                self.lock().insert(who, looked.clone());
                looked
            }
        };
        let next = EVERY.saturating_sub(looked.at.elapsed());
        let next = next.max(Duration::from_secs(1));
        seen.again = Some(seen.again.map_or(next, |again| again.min(next)));
        seen.rotated = looked.rotated;
        Ok(())
    }

    /// Forgets a Service that is gone.
    pub fn forget(&self, who: &ObjectRef<Service>) {
        self.lock().remove(who);
    }

    fn known(&self, who: &ObjectRef<Service>, of: &Subject) -> Option<Looked> {
        let known = self.lock().get(who).cloned()?;
        (known.of == *of && known.at.elapsed() < EVERY).then_some(known)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectRef<Service>, Looked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn rotated(context: &Context, newest: &Deployment) -> Result<Vec<String>, Error> {
    let namespace = newest.namespace().unwrap_or_default();
    let mut contents = Contents::new(&context.client, &namespace);
    let copy = names::environment(&newest.name_any());
    let Some(kept) = contents.secret(&copy).await?.cloned() else {
        return Ok(Vec::new());
    };
    let now = contents.copied(&newest.spec.run.env).await?;
    let changed = kept.differences(&now).filter(|name| now.has(name));
    Ok(changed.map(str::to_owned).collect())
}
