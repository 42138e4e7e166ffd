//! How credentials change: one story after another of what a person writes and what time does, with
//! the two Secrets and the status after each step.

use std::{fmt::Write, sync::Arc};

use expect_test::{Expect, expect};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::core::v1::{Pod, Secret},
    apimachinery::pkg::apis::meta::v1::Time,
};
use trackbed_api::Database;
use trackbed_database::{
    observe::{Fresh, Seen},
    plan::plan,
};
use trackbed_kit::{Config, meta};

const BEGIN: &str = "2026-01-01T00:00:00Z";

/// A Database in the course of time.
struct Story {
    engine: &'static str,
    credentials: String,
    seen: Seen,
    now: Timestamp,
    steps: u32,
    said: String,
}

impl Story {
    fn begin(engine: &'static str) -> Self {
        let mut story = Self {
            engine,
            credentials: String::new(),
            seen: Seen {
                project: Some("shop".to_owned()),
                ..Seen::default()
            },
            now: BEGIN.parse().expect("a time"),
            steps: 0,
            said: String::new(),
        };
        story.step();
        story.seen.pod = pod(true, true);
        story
    }

    fn object(&self) -> Database {
        let text = format!(
            "metadata: {{name: db, namespace: shop-production}}\nspec: {{{}, credentials: {{{}}}}}\n",
            self.engine, self.credentials
        );
        serde_saphyr::from_str(&text).expect("a Database")
    }

    /// A look, and what it writes.
    fn step(&mut self) -> &mut Self {
        let (secret, standby) = self.look();
        self.seen.standby = Some(standby);
        self.seen.secret = Some(secret);
        self
    }

    fn look(&mut self) -> (Secret, Secret) {
        self.steps += 1;
        self.seen.fresh = Fresh {
            password: format!("fresh{}", self.steps),
            standby: format!("spare{}", self.steps),
            identity: "identity".to_owned(),
            ..Fresh::default()
        };
        let plan = plan(&self.object(), &self.seen, &Config::example(), self.now);
        let children = plan.children.expect("children");
        let status = plan.outcome.status.credentials.expect("credentials");
        let begin: Timestamp = BEGIN.parse().expect("a time");
        let minute = |time: Timestamp| time.duration_since(begin).as_mins();
        let mut line = format!(
            "{} min: tells {}, keeps {}",
            minute(self.now),
            login(&children.secret),
            login(&children.standby)
        );
        if meta::annotation(&children.standby, "trackbed.dev/retired") == Some("true") {
            line.push_str(" of before");
        }
        if let Some(rotate) = status.rotate {
            write!(line, ", done {rotate}").expect("text");
        }
        if let Some(until) = status.previous_until {
            write!(line, ", until {} min", minute(until.0)).expect("text");
        }
        if let Some(message) = status.message {
            write!(line, " ({message})").expect("text");
        }
        if let Some(again) = plan.outcome.requeue.filter(|it| it.as_secs() != 600) {
            write!(line, ", again in {} s", again.as_secs()).expect("text");
        }
        writeln!(self.said, "{line}").expect("text");
        (children.secret, children.standby)
    }

    fn writes(&mut self, credentials: &str) -> &mut Self {
        self.credentials = credentials.to_owned();
        self
    }

    fn after(&mut self, minutes: i64) -> &mut Self {
        self.now += SignedDuration::from_mins(minutes);
        self
    }

    fn ends(&self, expected: &Expect) {
        expected.assert_eq(&self.said);
    }
}

fn pod(ready: bool, knows_two: bool) -> Option<Arc<Pod>> {
    let status = if ready { "True" } else { "False" };
    let secret = if knows_two { "standby" } else { "credentials" };
    let text = format!(
        "metadata: {{name: db-0, creationTimestamp: '{BEGIN}'}}\nspec: {{containers: [], volumes: [{{name: it, secret: {{secretName: db-{secret}}}}}]}}\nstatus: {{conditions: [{{type: Ready, status: '{status}'}}]}}\n"
    );
    Some(Arc::new(serde_saphyr::from_str(&text).expect("a pod")))
}

fn login(secret: &Secret) -> String {
    let value = |key: &str| {
        let data = secret.data.as_ref().expect("data");
        String::from_utf8(data[key].0.clone()).expect("text")
    };
    format!("{}:{}", value("username"), value("password"))
}

const POSTGRES: &str = "engine: Postgres, version: '17'";

#[test]
fn the_reserve_is_told_and_what_was_told_ends_later() {
    let mut story = Story::begin(POSTGRES);
    story.writes("rotate: one, keep: 10m");
    story.after(2).step().after(1).step();
    story.after(9).step().after(1).step().after(5).step();
    story
        .writes("rotate: two, keep: 10m")
        .step()
        .after(30)
        .step();
    story.ends(&expect![[r#"
        0 min: tells app:fresh1, keeps app_2:spare1
        2 min: tells app:fresh1, keeps app_2:spare1 (the change waits until the server surely knows the new password), again in 60 s
        3 min: tells app_2:spare1, keeps app:fresh1 of before, done one, until 13 min
        12 min: tells app_2:spare1, keeps app:fresh1 of before, done one, until 13 min, again in 60 s
        13 min: tells app_2:spare1, keeps app:spare5, done one
        18 min: tells app_2:spare1, keeps app:spare5, done one
        18 min: tells app:spare5, keeps app_2:spare1 of before, done two, until 28 min
        48 min: tells app:spare5, keeps app_2:spare8, done two
    "#]]);
}

#[test]
fn a_second_change_waits_for_the_end_of_the_first() {
    let mut story = Story::begin("engine: Redis, version: '7'");
    story.after(5).writes("rotate: one").step();
    story.after(5).writes("rotate: two").step();
    story.after(55).step().after(3).step();
    story.ends(&expect![[r#"
        0 min: tells app:fresh1, keeps app_2:spare1
        5 min: tells app_2:spare1, keeps app:fresh1 of before, done one, until 65 min
        10 min: tells app_2:spare1, keeps app:fresh1 of before, done one, until 65 min (the change waits until the credentials before the present ones end at 2026-01-01T01:05:00Z)
        65 min: tells app_2:spare1, keeps app:spare4, done one (the change waits until the server surely knows the new password), again in 180 s
        68 min: tells app:spare4, keeps app_2:spare1 of before, done two, until 128 min
    "#]]);
}

#[test]
fn a_server_that_cannot_follow_is_waited_for() {
    let mut story = Story::begin(POSTGRES);
    story.after(5).writes("rotate: one");
    story.seen.pod = None;
    story.step();
    story.seen.pod = pod(false, true);
    story.step();
    story.seen.pod = pod(true, false);
    story.step();
    story.seen.pod = pod(true, true);
    story.step();
    story.ends(&expect![[r#"
        0 min: tells app:fresh1, keeps app_2:spare1
        5 min: tells app:fresh1, keeps app_2:spare1 (the change waits for the server to be ready)
        5 min: tells app:fresh1, keeps app_2:spare1 (the change waits for the server to be ready)
        5 min: tells app:fresh1, keeps app_2:spare1 (the server restarts once, because its supervisor knows one user only)
        5 min: tells app_2:spare1, keeps app:fresh1 of before, done one, until 65 min
    "#]]);
}

#[test]
fn a_change_that_was_interrupted_turns_nobody_away() {
    let mut story = Story::begin(POSTGRES);
    story.after(5).writes("rotate: one");
    // The operator ends between the two writes.
    let (_told, standby) = story.look();
    story.seen.standby = Some(standby);
    story.step().after(3).step();
    story.ends(&expect![[r#"
        0 min: tells app:fresh1, keeps app_2:spare1
        5 min: tells app_2:spare1, keeps app:fresh1 of before, done one, until 65 min
        5 min: tells app:fresh1, keeps app_2:spare3 (the change waits until the server surely knows the new password), again in 180 s
        8 min: tells app_2:spare3, keeps app:fresh1 of before, done one, until 68 min
    "#]]);
}

#[test]
fn lost_and_restored_secrets() {
    let mut story = Story::begin(POSTGRES);
    let backup = story.seen.secret.clone();
    story.after(5).writes("rotate: one").step();
    story.seen.standby = None;
    story.step();
    // It tells of the user that is in reserve: the one in reserve is the other then.
    story.seen.secret = backup;
    story.step();
    story.ends(&expect![[r#"
        0 min: tells app:fresh1, keeps app_2:spare1
        5 min: tells app_2:spare1, keeps app:fresh1 of before, done one, until 65 min
        5 min: tells app_2:spare1, keeps app:spare3, done one
        5 min: tells app:fresh1, keeps app_2:spare4 (the change waits until the server surely knows the new password), again in 180 s
    "#]]);
}

#[test]
fn a_pod_that_was_made_after_the_reserve_knows_it() {
    let mut story = Story::begin(POSTGRES);
    let mut pod = story.seen.pod.as_deref().cloned().expect("a pod");
    let made = story.now + SignedDuration::from_secs(1);
    pod.metadata.creation_timestamp = Some(Time(made));
    story.seen.pod = Some(Arc::new(pod));
    story.after(1).writes("rotate: one").step();
    story.ends(&expect![[r#"
        0 min: tells app:fresh1, keeps app_2:spare1
        1 min: tells app_2:spare1, keeps app:fresh1 of before, done one, until 61 min
    "#]]);
}

#[test]
fn to_take_the_text_out_changes_nothing() {
    let mut story = Story::begin(POSTGRES);
    story.after(5).writes("rotate: one").step();
    story.after(120).writes("").step().after(5).step();
    story.writes("rotate: one").step();
    story.ends(&expect![[r#"
        0 min: tells app:fresh1, keeps app_2:spare1
        5 min: tells app_2:spare1, keeps app:fresh1 of before, done one, until 65 min
        125 min: tells app_2:spare1, keeps app:spare3, done one
        130 min: tells app_2:spare1, keeps app:spare3, done one
        130 min: tells app_2:spare1, keeps app:spare3, done one
    "#]]);
}
