//! Every write of a reconcile but status, and but those of a deletion.

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::StatefulSet,
        batch::v1::Job,
        core::v1::{PersistentVolumeClaim, Pod, Secret},
    },
};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    runtime::events::EventType,
};
use serde_json::json;
use trackbed_api::{Database, labels, reason::Reason};
use trackbed_kit::{
    Context, Error, Kind,
    apply::{Child, Fence, apply as send, delete, describe},
    claim, events, meta,
};

use crate::{
    observe::Seen,
    plan::{
        Children,
        archive::{Archives, Fate},
        backup::Backups,
        cluster::Growth,
        restart::Restart,
        restore::Act,
        update::Looks,
    },
};

/// Writes everything: what holds data first, the server last.
///
/// # Errors
/// The API server's refusals, and conflicts with somebody else's objects.
pub(crate) async fn apply(
    context: &Context,
    object: &Database,
    seen: &Seen,
    children: Children,
) -> Result<(), Error> {
    let Children {
        secret,
        standby,
        bindings,
        gone,
        certificate,
        claim,
        claims,
        budget,
        settings,
        service,
        headless,
        policy,
        restore,
        set,
        cluster,
        grown,
        archives,
        restart,
        backups,
        looks,
    } = children;
    let to = To {
        context,
        namespace: object.namespace().unwrap_or_default(),
    };
    // Before nobody remembers them.
    for secret in &gone {
        to.keep(None, Some(secret), Fence::None).await?;
    }
    // The reserve first: between the two, both hold what the applications use now, and the plan
    // sees that. Onto what was seen: a password that somebody restored at this moment is not
    // overwritten.
    to.put(&standby, seen.standby.as_ref(), Fence::Observed)
        .await?;
    to.put(&secret, seen.secret.as_ref(), Fence::Observed)
        .await?;
    for binding in &bindings {
        let named = |it: &&Secret| it.name_any() == binding.name_any();
        let live = seen.bindings.iter().find(named);
        to.put(binding, live, Fence::None).await?;
    }
    if let Some(certificate) = certificate {
        to.put(&certificate, seen.certificate.as_ref(), Fence::Observed)
            .await?;
    }
    let claimed = to.claim(claim.iter().chain(&claims), seen).await;
    to.put(&settings, seen.settings.as_ref(), Fence::None)
        .await?;
    for (service, live) in [(service, &seen.service), (headless, &seen.headless)] {
        if let Some(service) = service {
            to.put(&service, live.as_deref(), Fence::None).await?;
        }
    }
    to.put(&policy, seen.policy.as_deref(), Fence::None).await?;
    if let Some(budget) = budget {
        to.put(&budget, seen.budget.as_deref(), Fence::None).await?;
    }
    to.restore(&restore).await?;
    if let Some(set) = set {
        to.server(&set, seen.set.as_deref()).await?;
    }
    // Before what needs it.
    to.archive(&archives, seen).await?;
    to.settle(&cluster, seen.cluster.as_deref(), Fence::Observed)
        .await?;
    let grown = to.grow(&grown).await;
    let backed_up = to.back_up(&backups, seen).await;
    let looked = to.look(&looks, seen).await;
    if let Some(Restart { pod, why, .. }) = &restart {
        let pods: Api<Pod> = Api::namespaced(context.client.clone(), &to.namespace);
        delete(context, Database::CONTROLLER, &pods, pod.as_ref()).await?;
        let note = format!("the server is restarted {why}");
        events::publish(context, object, EventType::Normal, "Restarted", &note).await;
    }
    // A volume that cannot grow is no reason to stop its server, nor is a Job that a quota refuses to
    // keep it as it is.
    let there = seen.claim.is_some() || !seen.claims.is_empty();
    claimed.map_err(|error| claim::refused(error, there, "the server runs on"))?;
    grown.map_err(|error| claim::refused(error, true, "the servers run on"))?;
    if let Some(message) = &seen.cannot_grow {
        return Err(Error::refused(Reason::StorageCannotGrow, message));
    }
    backed_up.and(looked)
}

struct To<'a> {
    context: &'a Context,
    namespace: String,
}

impl To<'_> {
    /// Writes the volumes: all of them, whatever becomes of one.
    async fn claim(
        &self,
        claims: impl Iterator<Item = &PersistentVolumeClaim>,
        seen: &Seen,
    ) -> Result<(), Error> {
        let mut done = Ok(());
        for claim in claims {
            let named = |it: &&PersistentVolumeClaim| it.name_any() == claim.name_any();
            let mut all = seen.claim.iter().chain(&seen.claims).map(AsRef::as_ref);
            let put = self.put(claim, all.find(named), Fence::None).await;
            done = done.and(put);
        }
        done
    }

    /// Grows volumes that CloudNativePG made.
    async fn grow(&self, grown: &[Growth]) -> Result<(), Error> {
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(self.context.client.clone(), &self.namespace);
        let parameters = PatchParams::apply(&labels::field_manager(Database::CONTROLLER));
        for growth in grown {
            api.patch(&growth.claim, &parameters, &Patch::Merge(growth.patch()))
                .await
                .map_err(|it| Error::api(growth.what(), it))?;
            self.context.metrics.write(Database::CONTROLLER, "patch");
        }
        Ok(())
    }

    async fn restore(&self, act: &Act) -> Result<(), Error> {
        match act {
            Act::Nothing => Ok(()),
            Act::Make(job) => self.put(job.as_ref(), None, Fence::None).await,
            Act::Stop(job) => {
                let api: Api<Job> = Api::namespaced(self.context.client.clone(), &self.namespace);
                delete(self.context, Database::CONTROLLER, &api, job.as_ref()).await
            }
        }
    }

    async fn back_up(&self, backups: &Backups, seen: &Seen) -> Result<(), Error> {
        let live = &seen.backups;
        let grown = match &backups.claim {
            Some(claim) => self.put(claim, live.claim.as_deref(), Fence::None).await,
            None => Ok(()),
        };
        self.keep(
            backups.scheduled.as_ref(),
            live.scheduled.as_deref(),
            Fence::None,
        )
        .await?;
        if let Some(job) = &backups.requested {
            self.put(job, None, Fence::None).await?;
        }
        // Nor to take no more backups, as long as there is room.
        grown.map_err(|error| claim::refused(error, live.claim.is_some(), "the server runs on"))
    }

    async fn server(&self, set: &StatefulSet, live: Option<&StatefulSet>) -> Result<(), Error> {
        let strategy = |set: &StatefulSet| set.spec.as_ref()?.update_strategy.clone();
        // What belongs to another strategy is filled in by the API server, and refused beside this one:
        // nobody owns it, so an apply does not take it away.
        let other = live.filter(|it| strategy(it).and_then(|it| it.rolling_update).is_some());
        if let (Some(live), Some(strategy)) = (other, strategy(set)) {
            let api: Api<StatefulSet> =
                Api::namespaced(self.context.client.clone(), &self.namespace);
            let body = json!({"spec": {"updateStrategy": {
                "type": strategy.type_, "rollingUpdate": null,
            }}});
            let parameters = PatchParams::apply(&labels::field_manager(Database::CONTROLLER));
            api.patch(&live.name_any(), &parameters, &Patch::Merge(&body))
                .await
                .map_err(|source| Error::api(format!("patch {}", describe(live)), source))?;
            self.context.metrics.write(Database::CONTROLLER, "patch");
        }
        self.put(set, live, Fence::None).await
    }

    async fn look(&self, looks: &Looks, seen: &Seen) -> Result<(), Error> {
        self.keep(looks.scheduled.as_ref(), seen.looks.as_deref(), Fence::None)
            .await?;
        match &looks.requested {
            Some(job) => self.put(job, None, Fence::None).await,
            None => Ok(()),
        }
    }

    /// Writes an object, or without one deletes that of Trackbed's which is there.
    async fn keep<K>(
        &self,
        desired: Option<&K>,
        live: Option<&K>,
        fence: Fence,
    ) -> Result<(), Error>
    where
        K: Child + Resource<Scope = NamespaceResourceScope>,
    {
        match (desired, live) {
            (Some(desired), live) => self.put(desired, live, fence).await,
            (None, Some(live)) if meta::is_managed(live) => {
                let api: Api<K> = Api::namespaced(self.context.client.clone(), &self.namespace);
                delete(self.context, Database::CONTROLLER, &api, live).await
            }
            (None, _) => Ok(()),
        }
    }

    async fn archive(&self, archives: &Archives, seen: &Seen) -> Result<(), Error> {
        let Archives {
            store,
            origin,
            copies,
        } = archives;
        let live = &seen.archive;
        self.settle(store, live.store.as_deref(), Fence::None)
            .await?;
        self.settle(origin, live.origin.as_deref(), Fence::None)
            .await?;
        self.settle(copies, live.copies.as_deref(), Fence::None)
            .await
    }

    async fn settle<K>(&self, fate: &Fate<K>, live: Option<&K>, fence: Fence) -> Result<(), Error>
    where
        K: Child + Resource<Scope = NamespaceResourceScope>,
    {
        match fate {
            Fate::Is(desired) => self.keep(Some(desired.as_ref()), live, fence).await,
            Fate::Goes => self.keep(None, live, fence).await,
            Fate::Stays => Ok(()),
        }
    }

    async fn put<K>(&self, desired: &K, live: Option<&K>, fence: Fence) -> Result<(), Error>
    where
        K: Child + Resource<Scope = NamespaceResourceScope>,
    {
        let api: Api<K> = Api::namespaced(self.context.client.clone(), &self.namespace);
        send(
            self.context,
            Database::CONTROLLER,
            &api,
            desired,
            live,
            fence,
        )
        .await
        .map(|_| ())
    }
}
