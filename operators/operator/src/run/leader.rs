//! Leader election with a Lease.
//!
//! Who leads holds a deadline against its own clock: what was not renewed in time is lost, whatever
//! the API server or the network does, and the process ends before another one may take over.
//! Every write carries the `resourceVersion` that was read, so two processes that reach for the
//! Lease at once cannot both get it.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease as Object, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ObjectMeta, PostParams},
};
use trackbed_kit::error::not_found;

use crate::error::Error;

/// How long a Lease holds, how long its holder tries to renew it, and how often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    hold: Duration,
    renew: Duration,
    every: Duration,
}

impl Times {
    /// Those of Kubernetes' own controllers.
    pub(super) const DEFAULT: Times = Times {
        hold: Duration::from_secs(15),
        renew: Duration::from_secs(10),
        every: Duration::from_secs(2),
    };
}

/// What another process holds, and since when it looks like that from here. Clocks of other
/// machines are not believed: only that nothing changed for as long as the Lease holds.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    spec: LeaseSpec,
    since: Instant,
}

/// How an attempt to renew ended.
#[derive(Clone, Debug)]
enum Renewal {
    Done(Box<Object>),
    /// It is ours in another version than we thought.
    Conflict(Box<Object>),
    /// It is another's.
    Taken,
}

/// A Lease by name.
pub(super) struct Lease {
    api: Api<Object>,
    name: String,
    identity: String,
    times: Times,
}

impl Lease {
    pub(super) fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: &str,
        times: Times,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            times,
        }
    }

    /// Waits until the Lease is ours, and gives it as it was written.
    pub(super) async fn acquire(&self) -> Object {
        let mut seen = None;
        loop {
            match self.reach(&mut seen).await {
                Ok(Some(held)) => return held,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the Lease cannot be reached for"),
            }
            tokio::time::sleep(self.times.every).await;
        }
    }

    /// Renews until it is lost, and says how. Nobody else writes it in good times, so each renewal
    /// is onto the version of the one before, and nothing is read.
    pub(super) async fn hold(&self, mut held: Object) -> Error {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.times.every).await;
            let left = self.times.renew.saturating_sub(renewed.elapsed());
            let begun = Instant::now();
            match tokio::time::timeout(left, self.renew(&held)).await {
                Ok(Ok(Renewal::Done(written))) => (held, renewed) = (*written, begun),
                Ok(Ok(Renewal::Taken)) => return Error::LeaseTaken,
                // Not yet a loss: a write of ours may have arrived whose answer did not.
                Ok(Ok(Renewal::Conflict(found))) => held = *found,
                Ok(Err(error)) => tracing::warn!(%error, "the Lease was not renewed"),
                Err(_elapsed) => {}
            }
            if renewed.elapsed() >= self.times.renew {
                return Error::LeaseLost(self.times.renew.as_secs());
            }
        }
    }

    /// Gives it up, so that the next process need not wait.
    pub(super) async fn release(&self) {
        let released = async {
            let mut lease = self.api.get(&self.name).await?;
            if lease
                .spec
                .as_ref()
                .and_then(|it| it.holder_identity.as_ref())
                != Some(&self.identity)
            {
                return Ok(());
            }
            if let Some(spec) = &mut lease.spec {
                spec.holder_identity = None;
                spec.lease_duration_seconds = Some(1);
            }
            self.api
                .replace(&self.name, &PostParams::default(), &lease)
                .await
                .map(|_| ())
        };
        if let Err(error) = released.await {
            tracing::warn!(%error, "the Lease was not given up, it runs out by itself");
        }
    }

    async fn reach(&self, seen: &mut Option<Seen>) -> Result<Option<Object>, kube::Error> {
        let found = match self.api.get(&self.name).await {
            Ok(found) => found,
            Err(error) if not_found(&error) => return self.create().await,
            Err(error) => return Err(error),
        };
        let spec = found.spec.clone().unwrap_or_default();
        if seen.as_ref().is_none_or(|seen| seen.spec != spec) {
            *seen = Some(Seen {
                spec: spec.clone(),
                since: Instant::now(),
            });
        }
        let age = seen
            .as_ref()
            .map_or(Duration::ZERO, |seen| seen.since.elapsed());
        if free(&spec, &self.identity, age, self.times.hold) {
            return self.write(found, true).await;
        }
        Ok(None)
    }

    async fn renew(&self, held: &Object) -> Result<Renewal, kube::Error> {
        if let Some(written) = self.write(held.clone(), false).await? {
            return Ok(Renewal::Done(Box::new(written)));
        }
        let found = self.api.get(&self.name).await?;
        let holder = found
            .spec
            .as_ref()
            .and_then(|spec| spec.holder_identity.as_ref());
        Ok(match holder == Some(&self.identity) {
            true => Renewal::Conflict(Box::new(found)),
            false => Renewal::Taken,
        })
    }

    async fn create(&self) -> Result<Option<Object>, kube::Error> {
        let now = MicroTime(Timestamp::now());
        let lease = Object {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(trackbed_kit::meta::managed()),
                ..ObjectMeta::default()
            },
            spec: Some(self.spec(now.clone(), now, 0)),
        };
        match self.api.create(&PostParams::default(), &lease).await {
            Ok(written) => Ok(Some(written)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes onto the version that was read. `None`: somebody else was faster.
    async fn write(&self, mut lease: Object, anew: bool) -> Result<Option<Object>, kube::Error> {
        let now = MicroTime(Timestamp::now());
        let before = lease.spec.take().unwrap_or_default();
        let transitions = before.lease_transitions.unwrap_or(0);
        lease.spec = Some(if anew {
            self.spec(now.clone(), now, transitions.saturating_add(1))
        } else {
            self.spec(before.acquire_time.unwrap_or(now.clone()), now, transitions)
        });
        match self
            .api
            .replace(&lease.name_any(), &PostParams::default(), &lease)
            .await
        {
            Ok(written) => Ok(Some(written)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn spec(&self, acquired: MicroTime, renewed: MicroTime, transitions: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            acquire_time: Some(acquired),
            renew_time: Some(renewed),
            lease_duration_seconds: i32::try_from(self.times.hold.as_secs()).ok(),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

/// Whether a Lease that has looked the same for `age` may be taken.
fn free(spec: &LeaseSpec, identity: &str, age: Duration, hold: Duration) -> bool {
    match spec.holder_identity.as_deref() {
        None | Some("") => true,
        Some(holder) if holder == identity => true,
        Some(_) => {
            let theirs = spec
                .lease_duration_seconds
                .and_then(|it| u64::try_from(it).ok());
            age >= theirs.map_or(hold, Duration::from_secs)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(by: &str, seconds: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(by.to_owned()),
            lease_duration_seconds: Some(seconds),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_when_it_was_left_or_not_renewed() {
        let hold = Duration::from_secs(15);
        let free = |spec: &LeaseSpec, age| free(spec, "me", Duration::from_secs(age), hold);
        assert!(free(&LeaseSpec::default(), 0), "left");
        assert!(free(&held("", 1), 0), "left");
        assert!(free(&held("me", 15), 0), "our own, from before a restart");
        assert!(!free(&held("other", 15), 14), "renewed lately");
        assert!(free(&held("other", 15), 15), "not renewed");
        assert!(
            !free(&held("other", 60), 30),
            "holds as long as its holder said"
        );
    }

    #[test]
    fn renewal_ends_before_another_may_take_over() {
        let Times { hold, renew, every } = Times::DEFAULT;
        assert!(renew + every < hold);
    }
}
