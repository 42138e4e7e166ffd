//! Metrics of the controllers. Labels never carry names of objects: their number must not grow
//! with the number of tenants.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    controller: String,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Write {
    controller: String,
    verb: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Transition {
    controller: String,
    reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Image {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByController {
    controller: String,
}

/// Counters and histograms that all controllers share.
#[derive(Clone)]
pub struct Metrics {
    reconciles: Family<Outcome, Counter>,
    writes: Family<Write, Counter>,
    transitions: Family<Transition, Counter>,
    images: Family<Image, Counter>,
    seconds: Family<ByController, Histogram, fn() -> Histogram>,
}

fn histogram() -> Histogram {
    Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0])
}

impl Metrics {
    /// Registers everything under the prefix `trackbed`.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            writes: Family::default(),
            transitions: Family::default(),
            images: Family::default(),
            seconds: Family::new_with_constructor(histogram),
        };
        let registry = registry.sub_registry_with_prefix("trackbed");
        registry.register(
            "reconciles",
            "Reconciles by result",
            metrics.reconciles.clone(),
        );
        registry.register(
            "writes",
            "Writes to the API server by verb",
            metrics.writes.clone(),
        );
        registry.register(
            "transitions",
            "Changes of the Ready condition by reason",
            metrics.transitions.clone(),
        );
        registry.register(
            "images_of_deleted_builds",
            "Images of deleted Builds by what became of them",
            metrics.images.clone(),
        );
        registry.register(
            "reconcile_seconds",
            "Duration of reconciles",
            metrics.seconds.clone(),
        );
        metrics
    }

    /// A reconcile ended.
    pub fn reconciled(&self, controller: &str, result: &'static str, seconds: f64) {
        self.reconciles
            .get_or_create(&Outcome {
                controller: controller.to_owned(),
                result,
            })
            .inc();
        self.seconds
            .get_or_create(&ByController {
                controller: controller.to_owned(),
            })
            .observe(seconds);
    }

    /// A write was sent.
    pub fn write(&self, controller: &str, verb: &'static str) {
        self.writes
            .get_or_create(&Write {
                controller: controller.to_owned(),
                verb,
            })
            .inc();
    }

    /// An object's health changed.
    pub fn transition(&self, controller: &str, reason: &str) {
        self.transitions
            .get_or_create(&Transition {
                controller: controller.to_owned(),
                reason: reason.to_owned(),
            })
            .inc();
    }

    /// A Build went, and something became of its image.
    pub fn image(&self, result: &'static str) {
        self.images.get_or_create(&Image { result }).inc();
    }
}
