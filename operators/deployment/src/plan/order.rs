//! Which release of a Service serves, and what each of them does about it.
//!
//! Every release decides for itself, from what is stored: the phases of all releases, the pin, and
//! whose release the workload runs. No release writes another's status. Two rules make that safe:
//! a release is applied only after its own stored phase says so (so that all others see it
//! coming), and only onto the version of the workload that the decision was made from.

use trackbed_api::deployment::DeploymentPhase::{
    self, Active, Failed, Pending, PreDeploy, Progressing, RolledBack, Superseded,
};

/// Place of a release in its Service's order: sequence, then revision.
pub type Order = (i64, i32);

/// What the others need to know of a release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// Name of the Deployment.
    pub name: String,
    /// Its place.
    pub order: Order,
    /// Its stored phase.
    pub phase: DeploymentPhase,
    /// It has served before.
    pub good: bool,
    /// Its command of `run.preDeploy` failed, so that it cannot be applied.
    pub unprepared: bool,
}

impl Release {
    /// Two releases of one order (written by hand) are told apart by name.
    fn rank(&self) -> (Order, &str) {
        (self.order, &self.name)
    }

    fn failed(&self) -> bool {
        matches!(self.phase, Failed | RolledBack)
    }
}

/// What the live workload runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// The release of its pod template.
    pub release: Option<String>,
    /// The order in its annotation.
    pub order: Option<Order>,
    /// All pods that it should have are available, and they are of that release.
    pub available: bool,
}

/// How the rollout of the deciding release goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Its pods are available.
    Healthy,
    /// Not yet.
    Waiting,
    /// It cannot become so, or took too long.
    Failing,
}

/// How far the command is that goes before a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preparation {
    /// There is none, or it succeeded: the release may be applied.
    Done,
    /// It has not ended, or not begun.
    Open,
    /// It failed, or took too long.
    Failed,
}

/// Everything that one release decides from.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The deciding release, one of `releases`.
    pub me: &'a Release,
    /// All releases of the Service.
    pub releases: &'a [Release],
    /// The Service's pin.
    pub pin: Option<&'a str>,
    /// Whether a failed release gives way to the last good one.
    pub auto_rollback: bool,
    /// Whether the Service wants any pods at all.
    pub running: bool,
    /// The live workload.
    pub holder: Option<&'a Holder>,
    /// Whether everything is there that the configuration refers to.
    pub references: bool,
    /// How far the command of `run.preDeploy` is.
    pub preparation: Preparation,
    /// Whether the command of another release runs, or may begin to. Two would change the same
    /// database at once.
    pub crowded: bool,
    /// How the rollout goes.
    pub progress: Progress,
    /// Whether a failure that may pass has waited long enough to be tried again.
    pub retry: bool,
    /// Whether a good part of the rollout's time went by before it was applied, and nobody refused
    /// it: the operator was away. Its pods are to have all of that time.
    pub late: bool,
}

/// A beginning of a rollout or of the command before it; its timeout counts from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// The first try.
    Anew,
    /// Another one after a failure that may pass.
    Again,
    /// The same try, which was not applied yet.
    Late,
}

/// What the release does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Its phase from now on.
    pub phase: DeploymentPhase,
    /// Whether it applies itself onto the workload.
    pub apply: bool,
    /// Whether it has its command run.
    pub prepare: bool,
    /// Whether a rollout, or the command before it, begins.
    pub begin: Option<Begin>,
}

/// The release that should serve: the pinned one; else the newest; else, if the newest failed, the
/// one that serves already, or the newest that once did. With nothing good to go back to, a failed
/// release stays: it may heal. One that cannot even be applied gives way to any that can.
pub fn target<'a>(
    releases: &'a [Release],
    pin: Option<&str>,
    auto_rollback: bool,
) -> Option<&'a Release> {
    if let Some(pinned) = pinned(releases, pin) {
        return Some(pinned);
    }
    let newest = newest(releases)?;
    if !newest.failed() || !(auto_rollback || newest.unprepared) {
        return Some(newest);
    }
    releases
        .iter()
        .filter(|release| release.good && !release.failed())
        .max_by_key(|release| (release.phase == Active, release.rank()))
        .or_else(|| {
            let others = releases.iter();
            let others = others.filter(|it| newest.unprepared && !it.unprepared);
            others.max_by_key(|release| release.rank())
        })
        .or(Some(newest))
}

fn newest(releases: &[Release]) -> Option<&Release> {
    releases.iter().max_by_key(|release| release.rank())
}

fn pinned<'a>(releases: &'a [Release], pin: Option<&str>) -> Option<&'a Release> {
    releases
        .iter()
        .find(|release| Some(release.name.as_str()) == pin)
}

impl View<'_> {
    /// The release that should serve.
    pub fn target(&self) -> &Release {
        target(self.releases, self.pin, self.auto_rollback).unwrap_or(self.me)
    }

    /// Whether this release should serve.
    pub fn is_target(&self) -> bool {
        self.target().name == self.me.name
    }

    /// Whether nothing later was released.
    pub fn is_newest(&self) -> bool {
        newest(self.releases).is_none_or(|newest| newest.name == self.me.name)
    }

    /// Whether the workload runs this release.
    pub fn carries(&self) -> bool {
        self.held_by(self.me)
    }

    /// Whether the next step would be to apply what is not applied yet: then its references have
    /// to be there.
    pub fn starts(&self) -> bool {
        self.running
            && self.is_target()
            && match self.me.phase {
                Pending | Superseded | RolledBack => true,
                Progressing => !self.carries(),
                Active | Failed | PreDeploy => false,
            }
    }

    /// The commit fence: whether this release may replace what the workload runs. A later release
    /// that is under way or serves gives way to a pin only.
    pub fn may_replace(&self) -> bool {
        let Some(holder) = self.holder else {
            return true;
        };
        if self.carries() || self.pin == Some(&self.me.name) {
            return true;
        }
        let found = self
            .releases
            .iter()
            .find(|release| Some(&release.name) == holder.release.as_ref());
        // One that is gone has nothing to defend.
        found.is_none_or(|found| {
            let later = found.order.max(holder.order.unwrap_or(found.order)) > self.me.order;
            !(later && matches!(found.phase, Pending | PreDeploy | Progressing | Active))
        })
    }

    fn held_by(&self, release: &Release) -> bool {
        self.holder
            .is_some_and(|holder| holder.release.as_ref() == Some(&release.name))
    }
}

/// What a release does next. It ends in the same decision when nothing else changes.
pub fn decide(view: &View<'_>) -> Decision {
    let decision = match (view.is_target(), view.running) {
        (true, true) => lead(view),
        (true, false) => sleep(view),
        (false, _) => follow(view),
    };
    Decision {
        apply: decision.apply && view.may_replace(),
        ..decision
    }
}

/// The release that should serve.
fn lead(view: &View<'_>) -> Decision {
    match view.me.phase {
        // What served once is not failed by what happens to its pods later.
        Active => applied(Active),
        Pending | Superseded | RolledBack if view.references => begin(view, Begin::Anew),
        Pending | Superseded | RolledBack => idle(Pending),
        PreDeploy => match view.preparation {
            Preparation::Done => begun(Begin::Anew),
            Preparation::Open => Decision {
                // Another one's may have begun before it was seen.
                prepare: !view.crowded,
                ..idle(PreDeploy)
            },
            Preparation::Failed => idle(Failed),
        },
        Progressing if !view.carries() && !view.references => idle(Pending),
        Progressing if !view.carries() && view.late => begun(Begin::Late),
        Progressing => match view.progress {
            Progress::Healthy => applied(Active),
            Progress::Waiting => applied(Progressing),
            Progress::Failing => idle(Failed),
        },
        Failed if view.progress == Progress::Healthy => applied(Active),
        Failed if view.retry => begin(view, Begin::Again),
        Failed if view.preparation != Preparation::Done => idle(Failed),
        // Nothing better is there: it stays applied and may heal.
        Failed => applied(Failed),
    }
}

/// Begins with the command that goes before, if there is one to run.
fn begin(view: &View<'_>, begin: Begin) -> Decision {
    match (view.preparation, view.crowded) {
        (Preparation::Done, _) => begun(begin),
        (_, false) => Decision {
            phase: PreDeploy,
            ..begun(begin)
        },
        (_, true) => idle(match view.me.phase {
            Failed | RolledBack if begin == Begin::Again => view.me.phase,
            _ => Pending,
        }),
    }
}

/// The release that should serve, of a Service that wants no pods. A rollout cannot be judged
/// without pods, so it begins anew when they are wanted again.
fn sleep(view: &View<'_>) -> Decision {
    let phase = match view.me.phase {
        Active => Active,
        Failed => Failed,
        Pending | PreDeploy | Progressing | Superseded | RolledBack => Pending,
    };
    Decision {
        apply: view.carries() || phase == Active,
        ..idle(phase)
    }
}

/// A release besides the one that should serve.
fn follow(view: &View<'_>) -> Decision {
    let me = view.me;
    let target = view.target();
    let retries =
        view.retry && view.running && view.is_newest() && pinned(view.releases, view.pin).is_none();
    match me.phase {
        Active if target.phase == Active || later_serves(view) => idle(Superseded),
        Active => Decision {
            // Looks after the workload until the next one takes it, and puts it back if it is
            // lost while the next one still waits for something.
            apply: view.carries()
                || (view.holder.is_none() && matches!(target.phase, Pending | PreDeploy)),
            ..idle(Active)
        },
        // Held back by a pin; it begins when the pin goes. A command that runs is let through.
        Pending | PreDeploy | Progressing if view.is_newest() => idle(Pending),
        Pending | PreDeploy | Progressing | Superseded => idle(Superseded),
        Failed | RolledBack if retries => begin(view, Begin::Again),
        Failed if target.rank() < me.rank() && target.phase == Active && serves(view, target) => {
            idle(RolledBack)
        }
        Failed => idle(Failed),
        RolledBack => idle(RolledBack),
    }
}

fn serves(view: &View<'_>, release: &Release) -> bool {
    view.held_by(release) && view.holder.is_some_and(|holder| holder.available)
}

fn later_serves(view: &View<'_>) -> bool {
    view.releases
        .iter()
        .any(|other| other.phase == Active && other.rank() > view.me.rank())
}

fn applied(phase: DeploymentPhase) -> Decision {
    Decision {
        apply: true,
        ..idle(phase)
    }
}

fn idle(phase: DeploymentPhase) -> Decision {
    Decision {
        phase,
        apply: false,
        prepare: false,
        begin: None,
    }
}

/// Says so first and is applied by the next reconcile, which the change of status brings.
fn begun(begin: Begin) -> Decision {
    Decision {
        begin: Some(begin),
        ..idle(Progressing)
    }
}
