//! Every write of a reconcile but status.

use k8s_openapi::{
    NamespaceResourceScope,
    api::{batch::v1::Job, core::v1::Secret},
};
use kube::{Api, Resource, ResourceExt, api::ListParams};
use trackbed_api::{Deployment, labels, reason::Reason};
use trackbed_kit::{
    Context, Error, Kind,
    apply::{Child, Fence, apply as send, delete},
    claim::refused,
    meta, read,
};

use crate::{
    observe::Seen,
    plan::{Children, predeploy, route},
};

/// Applies the children. The workload goes first: it is fenced by the version that the plan looked
/// at, so a plan that comes too late ends here, before anything else is touched.
///
/// # Errors
/// A conflict with somebody else's object, and the API server's refusals.
pub async fn apply(
    context: &Context,
    object: &Deployment,
    seen: &Seen,
    children: Children,
) -> Result<(), Error> {
    let Children {
        workload,
        service,
        claims,
        cron,
        scaler,
        ingress,
        routes,
        tcp,
        tcp_policy,
        budget,
        prune,
    } = children;
    let to = To::new(context, object, prune);
    to.put(&workload, seen.workload.as_deref()).await?;
    let mut claimed = Ok(());
    for claim in &claims {
        let live = seen.claim(&claim.name_any());
        let put = to.put(claim, live).await;
        let is_there = live.is_some();
        claimed = claimed.and(put.map_err(|it| refused(it, is_there, "the application runs on")));
    }
    to.optional(service.as_ref(), seen.address.as_deref())
        .await?;
    to.optional(cron.as_ref(), seen.cron.as_deref()).await?;
    to.optional(scaler.as_ref(), seen.scaler.as_deref()).await?;
    to.optional(ingress.as_ref(), seen.ingress.as_deref())
        .await?;
    let live = || seen.routes.iter().map(AsRef::as_ref);
    for route in &routes {
        let live = live().find(|live| live.name_any() == route.name_any());
        to.put(route, live).await?;
    }
    for old in route::old(&routes, live()) {
        to.optional(None, Some(old)).await?;
    }
    to.optional(tcp.as_ref(), seen.tcp.as_deref()).await?;
    to.optional(tcp_policy.as_ref(), seen.tcp_policy.as_deref())
        .await?;
    to.optional(budget.as_ref(), seen.budget.as_deref()).await?;
    // A volume that cannot grow is no reason to leave the rest as it is.
    claimed
}

/// Makes the release's copy of what its variables refer to.
///
/// # Errors
/// A conflict with somebody else's Secret, and the API server's refusals.
pub async fn copy(context: &Context, object: &Deployment, copy: &Secret) -> Result<(), Error> {
    let to = To::new(context, object, false);
    to.put(copy, None).await
}

/// Has the command run that goes before a release. A Job is only ever created: one that is there is
/// met again by its name. That of an earlier try goes first.
///
/// # Errors
/// A conflict with somebody else's Job, and the API server's refusals.
pub async fn prepare(
    context: &Context,
    object: &Deployment,
    seen: &Seen,
    job: Job,
) -> Result<(), Error> {
    let to = To::new(context, object, false);
    match seen.job_of(&object.name_any()) {
        Some(live) if predeploy::attempt(live) == predeploy::attempt(&job) => Ok(()),
        Some(live) if predeploy::runs(live) => Ok(()),
        Some(live) => delete(context, Deployment::CONTROLLER, &to.api(), live).await,
        None => {
            to.alone().await?;
            to.put(&job, None).await
        }
    }
}

struct To<'a> {
    context: &'a Context,
    namespace: String,
    service: &'a str,
    prune: bool,
}

impl<'a> To<'a> {
    fn new(context: &'a Context, object: &'a Deployment, prune: bool) -> Self {
        Self {
            context,
            namespace: object.namespace().unwrap_or_default(),
            service: &object.spec.service,
            prune,
        }
    }

    /// Asks whether no command of the Service runs: the cache of Jobs may be behind that of
    /// releases.
    async fn alone(&self) -> Result<(), Error> {
        let (service, role) = (self.service, labels::role::PRE_DEPLOY);
        let selector = format!("{}={service},{}={role}", labels::SERVICE, labels::ROLE);
        let jobs = self
            .api::<Job>()
            .list(&ListParams::default().labels(&selector))
            .await
            .map_err(|source| Error::api(format!("list Jobs of Service {service}"), source))?;
        match jobs.items.iter().find(|job| predeploy::runs(job)) {
            None => Ok(()),
            Some(job) => Err(Error::Transient(format!(
                "Job {} still runs",
                job.name_any()
            ))),
        }
    }

    async fn optional<K>(&self, desired: Option<&K>, live: Option<&K>) -> Result<(), Error>
    where
        K: Child + Resource<Scope = NamespaceResourceScope>,
    {
        match (desired, live) {
            (Some(desired), live) => self.put(desired, live).await,
            (None, Some(live)) if self.prune && self.is_ours(live) => {
                delete(self.context, Deployment::CONTROLLER, &self.api(), live).await
            }
            (None, _) => Ok(()),
        }
    }

    async fn put<K>(&self, desired: &K, live: Option<&K>) -> Result<(), Error>
    where
        K: Child + Resource<Scope = NamespaceResourceScope>,
    {
        let api = self.api::<K>();
        match live {
            Some(live) => self.check(live)?,
            // The cache has only what Trackbed wrote. Look before creating.
            None => {
                let name = desired.name_any();
                if let Some(found) = read::get(&api, &name).await? {
                    self.check(&found)?;
                    return Err(Error::Transient(format!(
                        "{} {name} exists and is not seen yet",
                        K::kind(&())
                    )));
                }
            }
        }
        send(
            self.context,
            Deployment::CONTROLLER,
            &api,
            desired,
            live,
            Fence::Observed,
        )
        .await?;
        Ok(())
    }

    /// Refuses what belongs to somebody else, or to another object of Trackbed's, like a Database
    /// of the same name.
    fn check<K: Child>(&self, live: &K) -> Result<(), Error> {
        let (kind, name) = (K::kind(&()).into_owned(), live.name_any());
        if !meta::is_managed(live) {
            return Err(Error::NameConflict { kind, name });
        }
        if !self.is_ours(live) {
            let owner = meta::controller(live).map_or_else(
                || "something else of Trackbed's".to_owned(),
                |owner| format!("{} {}", owner.kind, owner.name),
            );
            return Err(Error::refused(
                Reason::NameConflict,
                format!("{kind} {name} belongs to {owner}: rename it, or Service {name}"),
            ));
        }
        Ok(())
    }

    fn is_ours<K: Resource>(&self, live: &K) -> bool {
        meta::label(live, labels::SERVICE) == Some(self.service)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.context.client.clone(), &self.namespace)
    }
}
