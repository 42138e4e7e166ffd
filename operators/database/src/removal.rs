//! Every write of a deletion.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    runtime::events::EventType,
};
use serde_json::json;
use trackbed_api::{Database, labels, names};
use trackbed_kit::{
    Context, Error, Kind,
    apply::{Child, delete, describe},
    events, finalizer, meta, read,
};

use crate::{
    FINALIZER,
    barman_cloud::ObjectStore,
    cloudnative_pg::{Cluster, HIBERNATION},
    plan::deletion::Data,
};

/// Lets the Database go, with its data or without. What it owns goes by itself.
pub(crate) async fn remove(
    context: &Context,
    api: &Api<Database>,
    object: &Database,
    data: Data,
) -> Result<(), Error> {
    if !object.finalizers().iter().any(|it| it == FINALIZER) {
        return Ok(());
    }
    let name = object.name_any();
    let several = object.spec.is_replicated() && context.config.served.cloudnative_pg;
    if several && matches!(data, Data::Kept | Data::Unconfirmed) {
        sleep(context, object).await?;
    }
    match data {
        Data::Kept | Data::WithNamespace => {}
        Data::GivenUp => give_up(context, object).await?,
        Data::Unconfirmed => {
            let what = match (several, object.spec.has_sentinels()) {
                (true, _) => format!("Cluster {name}"),
                (_, true) => format!(
                    "the claims of {name} ({}, …)",
                    names::server_claim(&name, 0)
                ),
                (false, false) => format!("claim {}", names::data_claim(&name)),
            };
            let note = format!(
                "{what} and Secret {} are kept: the deletion of data was not confirmed by the annotation {}={name}. Create the Database again to take them up, or delete them yourself",
                names::credentials(&name),
                labels::CONFIRM_DELETION,
            );
            events::publish(context, object, EventType::Warning, "DataKept", &note).await;
        }
    }
    finalizer::release(api, object, FINALIZER).await
}

/// Deletes all that would stay.
async fn give_up(context: &Context, object: &Database) -> Result<(), Error> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let client = || context.client.clone();
    if object.spec.is_replicated() && context.config.served.cloudnative_pg {
        let clusters: Api<Cluster> = Api::namespaced(client(), &namespace);
        purge(context, object, &clusters, &name).await?;
    }
    if context.config.served.archives() {
        let stores: Api<ObjectStore> = Api::namespaced(client(), &namespace);
        purge(context, object, &stores, &names::archive(&name)).await?;
    }
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client(), &namespace);
    if object.spec.has_sentinels() {
        // Those of servers that there were once, too.
        let theirs = ListParams::default().labels(&format!("{}={name}", labels::DATABASE));
        let found = claims.list(&theirs).await;
        let found = found.map_err(|it| Error::api("list persistentvolumeclaims", it))?;
        let prefix = format!("data-{name}-");
        let found = found.items.into_iter().map(|it| it.name_any());
        for claim in found.filter(|it| it.starts_with(&prefix)) {
            purge(context, object, &claims, &claim).await?;
        }
    }
    purge(context, object, &claims, &names::data_claim(&name)).await?;
    let secrets: Api<Secret> = Api::namespaced(client(), &namespace);
    for secret in [
        names::database_certificate(&name),
        names::standby(&name),
        names::credentials(&name),
    ] {
        purge(context, object, &secrets, &secret).await?;
    }
    Ok(())
}

/// Ends the pods of servers whose data stay.
async fn sleep(context: &Context, object: &Database) -> Result<(), Error> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let api: Api<Cluster> = Api::namespaced(context.client.clone(), &namespace);
    let live = read::get(&api, &name).await?;
    let Some(live) = live.filter(|live| is_of(live, object)) else {
        return Ok(());
    };
    let body = json!({"metadata": {"annotations": {HIBERNATION: "on"}}});
    let parameters = PatchParams::apply(&labels::field_manager(Database::CONTROLLER));
    api.patch(&name, &parameters, &Patch::Merge(&body))
        .await
        .map_err(|source| Error::api(format!("patch {}", describe(&live)), source))?;
    context.metrics.write(Database::CONTROLLER, "patch");
    Ok(())
}

/// Whether something that stays is this Database's.
fn is_of<K: Child>(live: &K, object: &Database) -> bool {
    meta::is_managed(live)
        && meta::label(live, labels::DATABASE) == Some(object.name_any().as_str())
}

/// Deletes what is this Database's, by uid.
async fn purge<K: Child>(
    context: &Context,
    object: &Database,
    api: &Api<K>,
    name: &str,
) -> Result<(), Error> {
    match read::get(api, name).await? {
        Some(live) if is_of(&live, object) => {
            delete(context, Database::CONTROLLER, api, &live).await
        }
        _ => Ok(()),
    }
}
