//! Conditions by the rules of kstatus: `Reconciling` and `Stalled` are there only while true,
//! `Ready` always, and a condition's time moves only when its status does.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use trackbed_api::{
    common::condition::{READY, RECONCILING, STALLED},
    reason::{Reason, progress},
};

/// Longest message that the API server takes in a condition.
const MESSAGE_MAX: usize = 32 * 1024;

/// How an object is, in one value. The three kstatus conditions follow from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It does what its spec asks for.
    Ready(String),
    /// It is suspended on purpose, which is what its spec asks for.
    Suspended(String),
    /// Work is under way.
    Progressing(String),
    /// It waits for something that somebody else brings, and goes on by itself then.
    Waiting(Reason, String),
    /// Nothing more happens until something is changed (or a slow retry succeeds).
    Stalled(Reason, String),
    /// It has served its time; nothing is wrong and nothing is under way.
    Ended(Reason, String),
    /// It is being deleted.
    Terminating(String),
}

impl Health {
    /// Status (`True`, `False`), reason and message of the `Ready` condition.
    pub fn ready(&self) -> (&'static str, &'static str, &str) {
        match self {
            Self::Ready(message) => ("True", progress::READY, message),
            Self::Suspended(message) => ("True", progress::SUSPENDED, message),
            Self::Progressing(message) => ("False", progress::PROGRESSING, message),
            Self::Waiting(reason, message)
            | Self::Stalled(reason, message)
            | Self::Ended(reason, message) => ("False", reason.as_str(), message),
            Self::Terminating(message) => ("False", progress::TERMINATING, message),
        }
    }

    /// Whether it is a failure that somebody should look at.
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::Stalled(..) | Self::Waiting(..))
    }
}

/// A condition besides the three of kstatus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its type.
    pub kind: &'static str,
    /// `None` is `Unknown`.
    pub status: Option<bool>,
    /// CamelCase word.
    pub reason: String,
    /// A sentence.
    pub message: String,
}

impl Fact {
    /// A condition of that type.
    pub fn new(
        kind: &'static str,
        status: Option<bool>,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            status,
            reason: reason.into(),
            message: message.into(),
        }
    }
}

/// The conditions that say `health` and `facts`, keeping times of what did not change.
pub fn conditions(
    previous: &[Condition],
    generation: Option<i64>,
    health: &Health,
    facts: &[Fact],
    now: Timestamp,
) -> Vec<Condition> {
    let (status, reason, message) = health.ready();
    let mut wanted = vec![(READY, status, reason.to_owned(), message.to_owned())];
    match health {
        Health::Progressing(message) | Health::Terminating(message) => {
            wanted.push((RECONCILING, "True", reason.to_owned(), message.clone()));
        }
        Health::Waiting(reason, message) => wanted.push((
            RECONCILING,
            "True",
            reason.as_str().to_owned(),
            message.clone(),
        )),
        Health::Stalled(reason, message) => {
            wanted.push((STALLED, "True", reason.as_str().to_owned(), message.clone()))
        }
        Health::Ready(_) | Health::Suspended(_) | Health::Ended(..) => {}
    }
    wanted.extend(facts.iter().map(|fact| {
        let status = match fact.status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        };
        (fact.kind, status, fact.reason.clone(), fact.message.clone())
    }));
    wanted
        .into_iter()
        .map(|(kind, status, reason, message)| {
            let before = previous
                .iter()
                .find(|condition| condition.type_ == kind && condition.status == status);
            Condition {
                type_: kind.to_owned(),
                status: status.to_owned(),
                reason,
                message: clip(&message, MESSAGE_MAX),
                observed_generation: generation,
                last_transition_time: before.map_or_else(
                    || Time(now),
                    |condition| condition.last_transition_time.clone(),
                ),
            }
        })
        .collect()
}

/// A condition's status, if it is there.
pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    conditions
        .iter()
        .any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Finds a condition.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// The first `max` bytes of a text, cut between characters.
pub fn clip(text: &str, max: usize) -> String {
    match text
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= max)
        .last()
    {
        Some(end) => text[..end].to_owned(),
        None => String::new(),
    }
}

/// The last `max` bytes of a text, cut between characters.
pub fn tail(text: &str, max: usize) -> &str {
    let from = text.len().saturating_sub(max);
    let start = (from..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn times_move_with_the_status_only() {
        let first = conditions(&[], Some(1), &Health::Progressing("a".into()), &[], at(1));
        let second = conditions(
            &first,
            Some(2),
            &Health::Stalled(Reason::BuildFailed, "b".into()),
            &[],
            at(2),
        );
        assert_eq!(
            find(&second, READY).map(|c| c.last_transition_time.0),
            Some(at(1))
        );
        assert_eq!(
            find(&second, STALLED).map(|c| c.last_transition_time.0),
            Some(at(2))
        );
        assert!(
            find(&second, RECONCILING).is_none(),
            "not reconciling any more"
        );
    }

    #[test]
    fn the_same_again_is_equal() {
        let facts = [Fact::new("Available", None, "Progressing", "waits")];
        let first = conditions(&[], Some(1), &Health::Ready("ok".into()), &facts, at(1));
        assert_eq!(
            conditions(&first, Some(1), &Health::Ready("ok".into()), &facts, at(9)),
            first
        );
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(clip("häuser", 2), "h");
        assert_eq!(clip("häuser", 3), "hä");
        assert_eq!(tail("häuser", 5), "user");
        assert_eq!(tail("ab", 9), "ab");
    }
}
