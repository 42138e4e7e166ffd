//! Whether the number of pods follows the load.

use trackbed_api::common::condition::SCALING_ACTIVE;
use trackbed_kit::Fact;

use super::View;

/// What the autoscaler says of itself. `None` for a fixed number of pods.
pub fn fact(view: &View<'_>) -> Option<Fact> {
    let spec = &view.object.spec;
    let max = spec.scale.max?;
    if spec.suspend || spec.cron.is_some() {
        return None;
    }
    let status = view
        .seen
        .scaler
        .as_deref()
        .and_then(|it| it.status.as_ref());
    let conditions = status.and_then(|it| it.conditions.as_ref());
    let active = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "ScalingActive");
    Some(match active {
        Some(active) if active.status == "True" => Fact::new(
            SCALING_ACTIVE,
            Some(true),
            "ScalingActive",
            format!(
                "between {} and {max} pods, as the load asks for",
                spec.scale.min()
            ),
        ),
        Some(active) => Fact::new(
            SCALING_ACTIVE,
            Some(false),
            active.reason.as_deref().unwrap_or("Unknown"),
            active.message.as_deref().unwrap_or_default(),
        ),
        None => Fact::new(
            SCALING_ACTIVE,
            None,
            "Unknown",
            "the autoscaler has not looked at the load yet",
        ),
    })
}
