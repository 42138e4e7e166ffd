//! What became of the runs of an application with `cron`.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use trackbed_api::{
    common::condition::LAST_RUN_SUCCEEDED,
    cron::{RunResult, RunStatus},
};
use trackbed_kit::{Fact, job};

use super::View;

/// The last run. What was seen of it stays when its Job is gone.
pub fn last(view: &View<'_>) -> Option<RunStatus> {
    view.object.spec.cron.as_ref()?;
    let newest = view.seen.runs.iter().max_by_key(|job| {
        let began = job.metadata.creation_timestamp.as_ref();
        (began.map(|it| it.0), job.name_any())
    });
    match newest {
        Some(job) => Some(status(job)),
        None => view.status.last_run.clone(),
    }
}

fn status(run: &Job) -> RunStatus {
    let end = job::ended(run);
    RunStatus {
        job: run.name_any(),
        result: match end.map(job::succeeded) {
            None => RunResult::Running,
            Some(true) => RunResult::Succeeded,
            Some(false) => RunResult::Failed,
        },
        start_time: run.status.as_ref().and_then(|it| it.start_time.clone()),
        completion_time: end.and_then(|it| it.last_transition_time.clone()),
    }
}

/// How the last run goes, or went.
pub fn fact(view: &View<'_>) -> Option<Fact> {
    let cron = view.object.spec.cron.as_ref()?;
    let Some(run) = &view.status.last_run else {
        let message = format!("it has not been time for a run yet ({})", cron.schedule);
        return Some(Fact::new(LAST_RUN_SUCCEEDED, None, "NoRun", message));
    };
    let job = &run.job;
    let (status, reason, message) = match run.result {
        RunResult::Running => (None, "Running", format!("Job {job} runs")),
        RunResult::Succeeded => (Some(true), "Succeeded", format!("Job {job} succeeded")),
        RunResult::Failed => (
            Some(false),
            "Failed",
            format!("Job {job} failed: 'kubectl logs job/{job}' has what it said"),
        ),
    };
    Some(Fact::new(LAST_RUN_SUCCEEDED, status, reason, message))
}
