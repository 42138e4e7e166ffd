//! Every write of a reconcile but status.

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use trackbed_api::{Deployment, labels, reason::Reason};
use trackbed_kit::{
    Context, Error, Kind,
    apply::{Child, Fence, apply as send, delete},
    meta,
};

use crate::{observe::Seen, plan::Children};

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
        ingress,
        budget,
        prune,
    } = children;
    let to = To {
        context,
        namespace: object.namespace().unwrap_or_default(),
        service: &object.spec.service,
        prune,
    };
    to.put(&workload, seen.workload.as_deref()).await?;
    to.put(&service, seen.address.as_deref()).await?;
    to.optional(ingress.as_ref(), seen.ingress.as_deref())
        .await?;
    to.optional(budget.as_ref(), seen.budget.as_deref()).await
}

struct To<'a> {
    context: &'a Context,
    namespace: String,
    service: &'a str,
    prune: bool,
}

impl To<'_> {
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
                let found = api
                    .get_opt(&name)
                    .await
                    .map_err(|source| Error::api(format!("get {} {name}", K::kind(&())), source))?;
                if let Some(found) = found {
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
