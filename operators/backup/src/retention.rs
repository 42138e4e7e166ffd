//! Which backups are kept.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};

use crate::Manifest;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// This many of the newest.
    pub count: u32,
    /// None that is older than this, unless it is the newest.
    pub for_: Option<SignedDuration>,
}

/// The names of the backups to remove, oldest first. The newest one is never among them, whatever
/// its age and whatever is asked for: with it the last backup could go while new ones fail.
pub fn surplus(manifests: &[Manifest], keep: Keep, now: Timestamp) -> Vec<String> {
    let mut newest_first: Vec<&Manifest> = manifests.iter().collect();
    newest_first.sort_by_key(|it| Reverse((it.taken_at, &it.name)));
    let count = usize::try_from(keep.count).unwrap_or(usize::MAX);
    let is_old = |it: &Manifest| {
        keep.for_
            .is_some_and(|longest| now.duration_since(it.taken_at) > longest)
    };
    let mut names: Vec<String> = newest_first
        .into_iter()
        .enumerate()
        .skip(1)
        .filter(|(place, it)| *place >= count || is_old(it))
        .map(|(_, it)| it.name.clone())
        .collect();
    names.reverse();
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * 86_400).expect("a time")
    }

    fn backup(day: i64) -> Manifest {
        Manifest {
            format: 1,
            name: format!("d{day}"),
            engine: "redis".to_owned(),
            version: "8".to_owned(),
            identity: "ours".to_owned(),
            database: None,
            taken_at: at(day),
            content: "rdb".to_owned(),
            encryption: None,
            bytes: 1,
            stored_bytes: 1,
            sha256: "0".repeat(64),
            counts: BTreeMap::new(),
            extensions: Vec::new(),
            parts: Vec::new(),
        }
    }

    #[test]
    fn what_is_too_many_or_too_old_goes_and_the_newest_stays() {
        // Days that backups are of, how many and for how many days they are kept, what goes on day 10.
        type Case = (&'static [i64], u32, Option<i64>, &'static [&'static str]);
        let cases: &[Case] = &[
            (&[], 3, Some(1), &[]),
            (&[1], 0, None, &[]),
            (&[1], 3, Some(2), &[]),
            (&[1, 2, 3], 3, None, &[]),
            (&[1, 2, 3], 2, None, &["d1"]),
            (&[3, 1, 2], 1, None, &["d1", "d2"]),
            (&[3, 1, 2], 0, None, &["d1", "d2"]),
            (&[2, 1], u32::MAX, None, &[]),
            // By age: exactly as old as allowed stays.
            (&[7, 8, 9], 9, Some(2), &["d7"]),
            (&[1, 2, 3], 9, Some(2), &["d1", "d2"]),
            // Both rules, each takes what the other leaves.
            (&[6, 7, 8, 9], 3, Some(2), &["d6", "d7"]),
            (&[8, 9, 10], 1, Some(30), &["d8", "d9"]),
            // A clock that was ahead: the backup is not old, and is the newest.
            (&[9, 50], 9, Some(2), &[]),
            (&[9, 50], 1, Some(0), &["d9"]),
            (&[1, 2], 9, Some(-5), &["d1"]),
        ];
        for (days, count, longest, gone) in cases {
            let backups: Vec<Manifest> = days.iter().copied().map(backup).collect();
            let keep = Keep {
                count: *count,
                for_: longest.map(|days| SignedDuration::from_hours(days * 24)),
            };
            assert_eq!(surplus(&backups, keep, at(10)), *gone, "{days:?} {keep:?}");
        }
    }

    #[test]
    fn of_backups_of_one_time_the_same_one_stays_in_any_order() {
        let mut twin = backup(1);
        twin.name = "e1".to_owned();
        let keep = Keep {
            count: 1,
            for_: None,
        };
        for backups in [[backup(1), twin.clone()], [twin, backup(1)]] {
            assert_eq!(surplus(&backups, keep, at(10)), ["d1"]);
        }
    }
}
