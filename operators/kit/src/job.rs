//! What Jobs say of themselves.

use k8s_openapi::api::batch::v1::{Job, JobCondition};

/// The condition with which a Job ended, if it did: `Complete` or `Failed`.
pub fn ended(job: &Job) -> Option<&JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|it| it.status == "True" && matches!(it.type_.as_str(), "Complete" | "Failed"))
}

/// Whether it ended well.
pub fn succeeded(end: &JobCondition) -> bool {
    end.type_ == "Complete"
}
