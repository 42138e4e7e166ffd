//! A Build goes, and its image from the registry before it, where nothing else uses that.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt,
    runtime::{controller::Action, events::EventType},
};
use trackbed_api::{Build, environment::BuildEnvironment, names::IMAGE_FINALIZER};
use trackbed_kit::{
    Context, Error, apply,
    docker::{self, Login},
    events, finalizer, read,
};

use crate::{
    observe::Stores,
    plan::{
        fate::{self, End, Next},
        job,
    },
    registry::{self, Answer, Target},
    removals::Removals,
};

/// Looks at a Build that is deleted.
pub(crate) async fn reconcile(
    context: &Context,
    stores: &Stores,
    removals: &Arc<Removals>,
    object: &Build,
) -> Result<Action, Error> {
    let held = object.finalizers().iter().any(|it| it == IMAGE_FINALIZER);
    if !held {
        return Ok(Action::await_change());
    }
    let now = Timestamp::now();
    let removes = context.config.registry.remove_images;
    let image = fate::image(object).filter(|_| removes);
    let around = image.map(|it| stores.around(object, it, &context.config));
    let mut next = fate::next(object, &around.unwrap_or_default(), removes, now);
    if let (Next::Remove, Some(image)) = (&next, image) {
        let question = Question::new(context, stores, object, image);
        next = match removals.answer(object, now, question.ask()) {
            Ok(answer) => fate::after(object, answer, now),
            Err(since) => fate::asked(object, since, now),
        };
    } else {
        removals.forget(object);
    }
    match next {
        Next::Wait(pause) => Ok(Action::requeue(pause)),
        Next::Remove => Ok(Action::await_change()),
        Next::Release(end) => {
            release(context, object, end).await?;
            removals.forget(object);
            Ok(Action::await_change())
        }
    }
}

async fn release(context: &Context, object: &Build, end: Option<End>) -> Result<(), Error> {
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<Build> = Api::namespaced(context.client.clone(), &namespace);
    finalizer::release(&api, object, IMAGE_FINALIZER).await?;
    let (kind, reason, result, note) = match end {
        None => return Ok(()),
        Some(End::Removed(note)) => (EventType::Normal, "ImageRemoved", "removed", note),
        Some(End::Used(note)) => (EventType::Normal, "ImageKept", "used", note),
        Some(End::Left(note)) => (EventType::Warning, "ImageKept", "left", note),
    };
    tracing::info!(object = %apply::describe(object), note, "let the Build go");
    context.metrics.image(result);
    events::publish(context, object, kind, reason, &note).await;
    Ok(())
}

/// Everything that it takes to ask a registry, for a task of its own.
struct Question {
    client: Client,
    image: String,
    insecure: bool,
    environment: BuildEnvironment,
    /// Namespace and name of the Secret that has the credentials.
    secret: Option<(String, String)>,
}

impl Question {
    fn new(context: &Context, stores: &Stores, object: &Build, image: &str) -> Self {
        let config = &context.config;
        let project = stores.project(&object.namespace().unwrap_or_default());
        let project = project.as_deref();
        // That of which `push` has a copy: copies go when their namespace does, before the Build.
        let secret = job::push_secret(project, config);
        let place = |name: &str| (config.operator_namespace.clone(), name.to_owned());
        Self {
            client: context.client.clone(),
            image: image.to_owned(),
            // As for pushing.
            insecure: config.registry.insecure,
            environment: job::environment(project, config),
            secret: secret.map(place),
        }
    }

    async fn ask(self) -> Answer {
        let login = match self.login().await {
            Ok(login) => login,
            Err(answer) => return answer,
        };
        registry::remove(&Target {
            image: &self.image,
            insecure: self.insecure,
            login: login.as_ref(),
            environment: &self.environment,
        })
        .await
    }

    /// The credentials. Without any, the registry may well let everybody in.
    async fn login(&self) -> Result<Option<Login>, Answer> {
        let Some((namespace, name)) = &self.secret else {
            return Ok(None);
        };
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let found = read::get(&api, name).await;
        let found = found.map_err(|error| Answer::Unavailable(error.to_string()))?;
        let data = found.and_then(|it| it.data).unwrap_or_default();
        let Some(configuration) = data.get(".dockerconfigjson") else {
            return Ok(None);
        };
        let registry = self.image.split('/').next().unwrap_or_default();
        docker::login(&configuration.0, registry)
            .map_err(|error| Answer::Refused(format!("Secret {name} {error}")))
    }
}
