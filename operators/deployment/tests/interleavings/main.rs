//! Releases of one Service under everything that may happen to them, in any order: commits that
//! are built out of order, edits, pins, suspensions, pods that come up, crash or cannot be pulled,
//! reads that are behind, writes that are refused, and an operator that is killed between any two
//! of its writes. The cluster is in `world`, the operator in
//! `operator`; the decisions are those of the controller itself.

mod operator;
mod pods;
mod world;

use pods::{Exit, Nature};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{RngSeed, TestRunner},
};
use trackbed_api::deployment::DeploymentPhase::{Active, Failed, PreDeploy, Progressing};
use world::World;

/// Something that happens.
#[derive(Clone, Debug)]
enum Event {
    /// A commit was built, as the one with this place in the order of commits.
    Built(i64, Nature, Option<Exit>),
    /// The newest commit gets another configuration.
    Edited(Nature, Option<Exit>),
    /// A person pins a release, by its place in the list.
    Pinned(usize),
    Unpinned,
    Suspended(bool),
    AutoRollback(bool),
    /// The operator's next step for a release, by its place in the list.
    Step(usize),
    /// The operator gets through with a release, knowing everything.
    Reconciled(usize),
    /// Nothing happens for a long time.
    Rest,
    /// The operator's watches tell it of all releases by now.
    ReleasesWatched,
    /// The operator's watches tell it of the workload by now.
    WorkloadWatched,
    /// The operator's watches tell it of the commands' Jobs by now.
    JobsWatched,
    /// Commands that run come to their end.
    CommandsEnd,
    /// The kubelet brings the pods to where they get by themselves.
    Kubelet,
    /// Pods are lost, and will be back.
    PodsLost,
    /// Seconds go by.
    Clock(i64),
    /// The operator is killed: what it was about to write is never written.
    Killed,
}

fn nature() -> impl Strategy<Value = Nature> {
    prop_oneof![
        4 => Just(Nature::Good),
        1 => Just(Nature::Crashes),
        1 => Just(Nature::Silent),
        1 => (1..3).prop_map(Nature::PulledAtTry),
    ]
}

fn exit() -> impl Strategy<Value = Option<Exit>> {
    prop_oneof![
        3 => Just(None),
        2 => Just(Some(Exit::Success)),
        1 => Just(Some(Exit::Failure)),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1_i64..8, nature(), exit()).prop_map(|(it, nature, exit)| Event::Built(it, nature, exit)),
        1 => (nature(), exit()).prop_map(|(nature, exit)| Event::Edited(nature, exit)),
        1 => (0_usize..6).prop_map(Event::Pinned),
        1 => Just(Event::Unpinned),
        1 => any::<bool>().prop_map(Event::Suspended),
        1 => any::<bool>().prop_map(Event::AutoRollback),
        24 => (0_usize..6).prop_map(Event::Step),
        8 => (0_usize..6).prop_map(Event::Reconciled),
        2 => Just(Event::Rest),
        6 => Just(Event::ReleasesWatched),
        6 => Just(Event::WorkloadWatched),
        6 => Just(Event::JobsWatched),
        6 => Just(Event::Kubelet),
        6 => Just(Event::CommandsEnd),
        1 => Just(Event::PodsLost),
        2 => prop_oneof![Just(1), Just(30), Just(301), Just(700)].prop_map(Event::Clock),
        1 => Just(Event::Killed),
    ]
}

fn happen(world: &mut World, event: Event) {
    match event {
        Event::Built(sequence, nature, exit) => world.release((sequence, 1), nature, exit),
        Event::Edited(nature, exit) => world.edit(nature, exit),
        Event::Pinned(index) => world.pin(index),
        Event::Unpinned => world.set(|service| service.pin = None),
        Event::Suspended(it) => world.set(|service| service.suspend = it),
        Event::AutoRollback(it) => world.set(|service| service.rollout.auto_rollback = it),
        Event::Step(index) => world.step(index),
        Event::Reconciled(index) => world.reconcile(index),
        Event::Rest => world.settle(),
        Event::ReleasesWatched => world.watch_releases(),
        Event::WorkloadWatched => world.watch_workload(),
        Event::JobsWatched => world.watch_jobs(),
        Event::CommandsEnd => world.jobs_end(),
        Event::Kubelet => world.kubelet(),
        Event::PodsLost => world.lose_pods(),
        Event::Clock(seconds) => world.tick(seconds),
        Event::Killed => world.kill(),
    }
}

/// What must hold when nothing happens any more.
fn at_rest(world: &World) {
    let releases = world.releases();
    let Some(newest) = releases.iter().max_by_key(|it| it.order) else {
        return;
    };
    let pinned = world.pinned();
    let pinned = releases.iter().find(|it| Some(it.name.as_str()) == pinned);
    let Some(serving) = world.serving() else {
        assert!(
            !pinned.unwrap_or(newest).may_be_applied() && !releases.iter().any(|it| it.good),
            "some release is applied"
        );
        return;
    };
    let serving = releases
        .iter()
        .find(|it| it.name == serving)
        .expect("one of them");
    let active: Vec<_> = releases.iter().filter(|it| it.phase == Active).collect();
    let moving = releases
        .iter()
        .find(|it| matches!(it.phase, PreDeploy | Progressing));
    assert!(moving.is_none(), "{moving:?} never ends");
    if let Some(pin) = pinned {
        let serves = serving.name == pin.name;
        assert_eq!(serves, pin.may_be_applied(), "the pinned one serves");
        if !serves {
            // Nobody else may take the place that a person gave to it. What runs goes on.
            return;
        }
    } else if newest.comes_up() {
        assert_eq!(serving.name, newest.name, "the newest serves");
    } else if world.rolls_back() && releases.iter().any(|it| it.good) {
        // Which of the good ones depends on what was pinned and what failed when.
        assert!(
            serving.good,
            "{} serves, which never was good",
            serving.name
        );
        assert_eq!(serving.phase, Active, "what is gone back to serves");
    }
    if serving.comes_up() {
        assert!(world.available(), "{} is not available", serving.name);
        assert_eq!(serving.phase, Active, "{} serves", serving.name);
        assert_eq!(active.len(), 1, "{active:?} are active");
    } else {
        assert!(matches!(serving.phase, Failed | Active), "{serving:?}");
        // The pods of the one before serve on: no pod of this one takes their place.
        assert!(active.len() <= 1, "{active:?} are active");
    }
}

/// What happens, and that it comes to rest after it.
fn histories(seed: u64) {
    // Always the same ones: a failure is about what was changed.
    let config = ProptestConfig {
        cases: 5_000,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let outcome = TestRunner::new(config).run(&vec(event(), 10..80), |events| {
        let mut world = World::new();
        for event in events {
            happen(&mut world, event);
        }
        world.set(|service| service.suspend = false);
        world.settle();
        at_rest(&world);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

// Two halves, for two cores.

#[test]
fn releases_come_to_rest_where_they_should() {
    histories(1);
}

#[test]
fn other_releases_come_to_rest_where_they_should() {
    histories(2);
}
