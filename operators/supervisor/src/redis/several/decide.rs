//! What a server does when its pod begins. Nothing here may lose data: whoever begins as the primary
//! has the others throw away theirs.

use super::{Servers, ask::Heard};

/// What is on the volume of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Volume {
    /// Data that were whole.
    Data,
    /// Nothing, or what was never whole.
    Empty,
}

/// What a server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It makes a new database and is its primary.
    Begin,
    /// It is the primary.
    Lead,
    /// It follows another one.
    Follow(String),
    /// It waits until Sentinels have made another one the primary: it was, and its data are gone.
    Yield,
    /// It waits until enough Sentinels answer, or one of them knows a primary.
    Wait,
    /// Nothing: all data are gone.
    Missing,
}

/// Decides. Enough have to answer to be sure that one of them knows of the last takeover, and the
/// own Sentinel always: what it knows survives on the volume.
pub(super) fn decide(servers: &Servers, volume: Volume, initialised: bool, heard: &Heard) -> Step {
    if heard.own.is_none() || heard.answers() < servers.majority() {
        return Step::Wait;
    }
    match (heard.latest(), volume) {
        (Some(primary), Volume::Data) if primary.host == servers.own => Step::Lead,
        (Some(primary), Volume::Empty) if primary.host == servers.own => Step::Yield,
        (Some(primary), _) => Step::Follow(primary.host.clone()),
        (None, _) if !servers.first => Step::Wait,
        (None, Volume::Data) => Step::Lead,
        (None, Volume::Empty) if initialised => Step::Missing,
        (None, Volume::Empty) => Step::Begin,
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::redis::several::ask::{Answer, Primary};

    #[test]
    fn only_who_has_data_leads_and_nothing_is_made_over_a_loss() {
        let knows = |ordinal: usize, epoch| -> Answer {
            let host = Servers::test().all[ordinal].clone();
            Some(Some(Primary { host, epoch }))
        };
        let heard = [
            ("no Sentinel", [None, None, None]),
            ("no majority", [knows(0, 1), None, None]),
            ("all but its own", [None, knows(0, 1), knows(0, 1)]),
            ("nobody knows", [Some(None), Some(None), None]),
            ("itself", [knows(0, 1), knows(0, 1), None]),
            ("itself, others", [Some(None), knows(0, 1), None]),
            ("another", [knows(1, 1), Some(None), None]),
            ("another since", [knows(0, 1), None, knows(2, 2)]),
            ("itself since", [knows(1, 1), knows(0, 2), None]),
        ];
        let mut table = String::new();
        for (what, [own, one, two]) in heard {
            let heard = Heard {
                own,
                others: vec![one, two],
            };
            for first in [true, false] {
                let servers = Servers {
                    first,
                    ..Servers::test()
                };
                let step = |volume, initialised| decide(&servers, volume, initialised, &heard);
                let steps = [
                    step(Volume::Data, true),
                    step(Volume::Data, false),
                    step(Volume::Empty, true),
                    step(Volume::Empty, false),
                ];
                let first = if first { "first" } else { "other" };
                writeln!(table, "{what}, {first}: {steps:?}").expect("text");
            }
        }
        expect_test::expect![[r#"
            no Sentinel, first: [Wait, Wait, Wait, Wait]
            no Sentinel, other: [Wait, Wait, Wait, Wait]
            no majority, first: [Wait, Wait, Wait, Wait]
            no majority, other: [Wait, Wait, Wait, Wait]
            all but its own, first: [Wait, Wait, Wait, Wait]
            all but its own, other: [Wait, Wait, Wait, Wait]
            nobody knows, first: [Lead, Lead, Missing, Begin]
            nobody knows, other: [Wait, Wait, Wait, Wait]
            itself, first: [Lead, Lead, Yield, Yield]
            itself, other: [Lead, Lead, Yield, Yield]
            itself, others, first: [Lead, Lead, Yield, Yield]
            itself, others, other: [Lead, Lead, Yield, Yield]
            another, first: [Follow("db-1.db-headless"), Follow("db-1.db-headless"), Follow("db-1.db-headless"), Follow("db-1.db-headless")]
            another, other: [Follow("db-1.db-headless"), Follow("db-1.db-headless"), Follow("db-1.db-headless"), Follow("db-1.db-headless")]
            another since, first: [Follow("db-2.db-headless"), Follow("db-2.db-headless"), Follow("db-2.db-headless"), Follow("db-2.db-headless")]
            another since, other: [Follow("db-2.db-headless"), Follow("db-2.db-headless"), Follow("db-2.db-headless"), Follow("db-2.db-headless")]
            itself since, first: [Lead, Lead, Yield, Yield]
            itself since, other: [Lead, Lead, Yield, Yield]
        "#]].assert_eq(&table);
    }
}
