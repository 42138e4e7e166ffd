//! What was seen, in the terms in which decisions are made.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use trackbed_api::{
    Deployment, DeploymentStatus,
    build::Failure,
    common::condition::READY,
    deployment::DeploymentPhase::{self, Active, Failed, PreDeploy, Progressing},
    labels,
    reason::Reason,
    service::Rollout,
};
use trackbed_kit::{conditions::find, meta};

use super::{
    environment,
    order::{Holder, Preparation, Progress, Release, View},
    predeploy::{self, Command},
    subject::replicas,
    verdict::{self, LogOf, Trouble, Verdict},
    workload::order_of,
};
use crate::observe::Seen;

/// First and longest wait before a failed release is tried again, in seconds.
const BACKOFF: (i64, i64) = (60, 600);

/// One release among the others, at one moment.
pub struct State<'a> {
    /// The release.
    pub object: &'a Deployment,
    /// Its stored status.
    pub before: DeploymentStatus,
    /// What was seen.
    pub seen: &'a Seen,
    /// Number of pods that there should be.
    pub replicas: i32,
    /// How its pods are.
    pub verdict: Verdict,
    /// How its command of `run.preDeploy` stands.
    pub command: Command,
    /// Whether the Service is to run anything, be it at certain times.
    pub running: bool,
    rollout: Rollout,
    me: Release,
    releases: Vec<Release>,
    holder: Option<Holder>,
    now: Timestamp,
}

impl<'a> State<'a> {
    /// Judges what was seen.
    pub fn new(object: &'a Deployment, seen: &'a Seen, now: Timestamp) -> Self {
        let service = seen.service.as_deref().map(|service| &service.spec);
        let replicas = replicas(object, seen.service.as_deref());
        let workload = seen.workload.as_deref();
        let me = release(object);
        let mut releases: Vec<Release> = seen
            .releases
            .iter()
            .map(|found| release(found))
            .filter(|found| found.name != me.name)
            .collect();
        releases.push(me.clone());
        let mut state = Self {
            verdict: verdict::verdict(
                &me.name,
                &object.spec.run,
                replicas,
                workload,
                seen.pods.iter().map(AsRef::as_ref),
            ),
            command: predeploy::command(
                object,
                seen.job_of(&me.name),
                seen.pre_deploy_pods.iter().map(AsRef::as_ref),
            ),
            before: object.status.clone().unwrap_or_default(),
            running: replicas > 0
                || service.is_some_and(|service| service.cron.is_some() && !service.suspend),
            rollout: service.map_or_else(Rollout::default, |service| service.rollout.clone()),
            holder: workload.map(|workload| Holder {
                release: verdict::release_of(workload).map(str::to_owned),
                order: order_of(workload),
                available: verdict::available(workload, replicas),
            }),
            object,
            seen,
            replicas,
            me,
            releases,
            now,
        };
        state.name_what_is_missing();
        state
    }

    /// kubelet names one missing object at a time, and in its own words.
    fn name_what_is_missing(&mut self) {
        let missing = &self.seen.missing;
        if let Some(trouble) = &mut self.verdict.trouble
            && trouble.config
            && !missing.is_empty()
        {
            trouble.reason = Reason::ReferenceMissing;
            trouble.message = environment::describe(missing);
        }
    }

    /// What the decision is made from.
    pub fn view(&self) -> View<'_> {
        let failing = self.overdue() || self.trouble().is_some_and(|trouble| trouble.fatal);
        View {
            me: &self.me,
            releases: &self.releases,
            pin: self.pin(),
            auto_rollback: self.rollout.auto_rollback,
            running: self.running,
            holder: self.holder.as_ref(),
            references: self.seen.missing.is_empty(),
            preparation: self.preparation(),
            crowded: self.crowd().is_some(),
            progress: if self.verdict.available {
                Progress::Healthy
            } else if self.me.phase == Progressing && failing {
                Progress::Failing
            } else {
                Progress::Waiting
            },
            retry: self.retry_at(&self.before).is_some_and(|at| at <= self.now),
            late: self.refusal().is_none() && self.half_over(),
        }
    }

    /// The Service's pin.
    pub fn pin(&self) -> Option<&str> {
        let service = self.seen.service.as_deref()?;
        service.spec.pin.as_ref().map(|pin| pin.as_str())
    }

    /// What is wrong with the release's pods, or with its command's before there are any.
    pub fn trouble(&self) -> Option<&Trouble> {
        match (&self.me.phase, &self.command) {
            (PreDeploy, Command::Failed(trouble) | Command::Runs(Some(trouble))) => Some(trouble),
            (PreDeploy, _) => None,
            _ => self.verdict.trouble.as_ref(),
        }
    }

    fn preparation(&self) -> Preparation {
        match &self.command {
            Command::Done => Preparation::Done,
            Command::Failed(_) => Preparation::Failed,
            Command::Runs(_) if self.me.phase == PreDeploy && self.overdue() => Preparation::Failed,
            Command::Due if self.refusal().is_some() && self.overdue() => Preparation::Failed,
            Command::Due | Command::Runs(_) | Command::Stale => Preparation::Open,
        }
    }

    /// The count for a command that begins: of a Job that is there, it is the next one.
    pub fn next_try(&self) -> Option<i32> {
        let job = self.seen.job_of(&self.me.name)?;
        let last = predeploy::attempt(job);
        match self.command {
            Command::Failed(_) | Command::Stale => Some(last.unwrap_or(0).saturating_add(1)),
            _ => last,
        }
    }

    /// Another release whose command runs, or is about to.
    pub fn crowd(&self) -> Option<&str> {
        let runs = self
            .seen
            .jobs
            .iter()
            .filter(|job| predeploy::runs(job))
            .filter_map(|job| meta::label(job.as_ref(), labels::RELEASE));
        let begins = self.releases.iter().filter(|it| it.phase == PreDeploy);
        runs.chain(begins.map(|it| it.name.as_str()))
            .find(|name| *name != self.me.name)
    }

    /// Whether something is missing that no watch tells of.
    pub fn unwatched(&self) -> bool {
        self.seen.missing.iter().any(|missing| !missing.watched)
    }

    /// When a rollout has taken too long.
    pub fn deadline(&self, status: &DeploymentStatus) -> Option<Timestamp> {
        let begun = status.start_time.as_ref()?.0;
        let command = self.object.spec.run.pre_deploy.as_ref();
        let Some(command) = command.filter(|_| status.phase == PreDeploy) else {
            return Some(later(begun, seconds(&self.rollout)));
        };
        // The Job came later, if the operator was away in between.
        let job = self.seen.job_of(&self.me.name);
        let start = job.and_then(|job| Some(job.metadata.creation_timestamp.as_ref()?.0));
        Some(later(start.unwrap_or(begun), predeploy::limit(command)))
    }

    /// When a failed release is tried again: it failed at its deadline, and waits twice as long
    /// after each try.
    pub fn retry_at(&self, status: &DeploymentStatus) -> Option<Timestamp> {
        let failure = status.failure.as_ref()?;
        if !failure.retryable || !self.running {
            return None;
        }
        let tries = status.attempts.unwrap_or(0).clamp(0, 10);
        let wait = (BACKOFF.0 << tries).min(BACKOFF.1);
        self.deadline(status).map(|deadline| later(deadline, wait))
    }

    /// Why the rollout fails.
    pub fn failure(&self) -> Failure {
        // The same application answers elsewhere: this pod's silence is no more than its start.
        let starts = |trouble: &&Trouble| self.verdict.ready > 0 && trouble.is_silence();
        let trouble = self.trouble().filter(|trouble| !starts(trouble));
        let (reason, message, exit_code) = match trouble {
            Some(trouble) => (trouble.reason, trouble.message.clone(), trouble.exit_code),
            None => match (self.refusal(), &self.object.spec.run.pre_deploy) {
                (Some((reason, message)), _) => (reason, message, None),
                (None, Some(command)) if self.me.phase == PreDeploy => {
                    let trouble = predeploy::late(command);
                    (trouble.reason, trouble.message, None)
                }
                (None, _) => (Reason::RolloutTimeout, self.late(), None),
            },
        };
        Failure {
            retryable: reason.retryable(),
            reason,
            message,
            step: (self.me.phase == PreDeploy).then(|| predeploy::STEP.to_owned()),
            exit_code,
        }
    }

    /// The log that belongs into status when the phase becomes `phase`.
    ///
    /// A node that is busy may not give it out just when it is asked, and the container is gone
    /// soon after a failure: so the first crash's is kept, and a failure without one asks again.
    pub fn log(&self, phase: DeploymentPhase) -> Option<&LogOf> {
        let trouble = self.trouble()?;
        let none_yet = self.before.log_tail.is_none();
        let wanted = match phase {
            Failed => none_yet || self.me.phase != Failed,
            Active | Progressing => none_yet && trouble.exit_code.is_some(),
            _ => false,
        };
        trouble.log.as_ref().filter(|_| wanted)
    }

    /// How many pods there are, for messages.
    pub fn count(&self) -> String {
        match self.replicas {
            1 => format!("{} of 1 pod is ready", self.verdict.ready),
            replicas => format!("{} of {replicas} pods are ready", self.verdict.ready),
        }
    }

    fn half_over(&self) -> bool {
        let start = self.before.start_time.as_ref();
        start.is_some_and(|start| later(start.0, seconds(&self.rollout) / 2) <= self.now)
    }

    fn overdue(&self) -> bool {
        self.deadline(&self.before)
            .is_some_and(|deadline| deadline <= self.now)
    }

    fn late(&self) -> String {
        format!(
            "the pods did not become available within {} ({}): see the pods' Events, or raise rollout.timeout",
            self.rollout.timeout,
            self.count()
        )
    }

    /// What the API server said when the release was to be applied, as the conditions keep it.
    fn refusal(&self) -> Option<(Reason, String)> {
        if self.view_carries() {
            return None;
        }
        let ready = find(&self.before.conditions, READY)?;
        let reason: Reason = ready.reason.parse().ok()?;
        Some((reason, ready.message.clone()))
    }

    fn view_carries(&self) -> bool {
        self.holder
            .as_ref()
            .is_some_and(|holder| holder.release.as_ref() == Some(&self.me.name))
    }
}

fn release(object: &Deployment) -> Release {
    let status = object.status.as_ref();
    Release {
        name: object.name_any(),
        order: object.spec.order(),
        phase: status.map_or_else(DeploymentPhase::default, |status| status.phase),
        good: status.is_some_and(|status| status.active_since.is_some()),
        unprepared: status
            .and_then(|status| status.failure.as_ref()?.step.as_deref())
            .is_some_and(|step| step == predeploy::STEP),
    }
}

fn seconds(rollout: &Rollout) -> i64 {
    i64::try_from(rollout.timeout.seconds()).unwrap_or(i64::MAX)
}

fn later(time: Timestamp, seconds: i64) -> Timestamp {
    time.saturating_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}
