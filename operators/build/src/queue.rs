//! Whose turn it is. No I/O and no clock.
//!
//! The next place goes to the Project that has the fewest builds under way, and among its builds to
//! the one that was there first. So the builds of one Project, however many, delay the first build
//! of another by one build at most.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;

/// Namespace and name of a Build.
pub type Key = (String, String);

/// A Build that is not at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which.
    pub key: Key,
    /// Its Project.
    pub project: String,
    /// When it was created, and its place in its Service's order.
    pub since: (Timestamp, i64),
    /// Whether it has a place.
    pub runs: bool,
}

/// How many builds may be under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Of all Projects.
    pub all: usize,
    /// Of each Project that is not named in `projects`.
    pub each: usize,
    /// Of Projects that say so themselves.
    pub projects: BTreeMap<String, usize>,
}

/// What a waiting Build is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It may start.
    Now,
    /// Its place in the queue, from 1; far behind only about, so that not everybody is told of
    /// every step.
    Waits(usize),
}

/// What every waiting Build is told.
pub fn turns(entries: &[Entry], limits: &Limits) -> BTreeMap<Key, Turn> {
    let mut lines: BTreeMap<&str, Line<'_>> = BTreeMap::new();
    for entry in entries {
        let line = lines.entry(&entry.project).or_default();
        if entry.runs {
            line.running += 1;
        } else {
            line.waiting.push(entry);
        }
    }
    let mut running: usize = lines.values().map(|line| line.running).sum();
    for (project, line) in &mut lines {
        line.limit = *limits.projects.get(*project).unwrap_or(&limits.each);
        line.waiting
            .sort_by(|one, other| (one.since, &one.key).cmp(&(other.since, &other.key)));
        line.queue = line.waiting.drain(..).collect();
    }
    let mut turns = BTreeMap::new();
    while running < limits.all
        && let Some(entry) = next(&mut lines, |line| line.running < line.limit)
    {
        running += 1;
        turns.insert(entry.key.clone(), Turn::Now);
    }
    // From here on every step is a build that ends: whose limit it is does not matter.
    let mut place = 0;
    while let Some(entry) = next(&mut lines, |_| true) {
        place += 1;
        turns.insert(entry.key.clone(), Turn::Waits(about(place)));
    }
    turns
}

/// The builds of a Project.
#[derive(Default)]
struct Line<'a> {
    running: usize,
    limit: usize,
    waiting: Vec<&'a Entry>,
    queue: VecDeque<&'a Entry>,
}

/// Takes the build that is next.
fn next<'a>(
    lines: &mut BTreeMap<&str, Line<'a>>,
    may: impl Fn(&Line<'_>) -> bool,
) -> Option<&'a Entry> {
    let line = lines
        .values_mut()
        .filter(|line| may(line))
        .filter_map(|line| Some(((line.running, line.queue.front()?.since), line)))
        .min_by_key(|(order, _)| *order)?
        .1;
    line.running += 1;
    line.queue.pop_front()
}

/// Up to ten as it is, then up to the next ten or hundred.
fn about(place: usize) -> usize {
    match place {
        0..=10 => place,
        11..=100 => place.next_multiple_of(10),
        _ => place.next_multiple_of(100),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};
    use std::fmt::Write;

    /// `project count running`, in the order of their creation.
    fn entries(of: &[(&str, usize, usize)]) -> Vec<Entry> {
        let mut second = 0;
        let mut entries = Vec::new();
        for (project, count, running) in of {
            for at in 0..*count {
                second += 1;
                entries.push(Entry {
                    key: ((*project).to_owned(), format!("{project}-{}", at + 1)),
                    project: (*project).to_owned(),
                    since: (Timestamp::from_second(second).expect("a time"), 0),
                    runs: at < *running,
                });
            }
        }
        entries
    }

    fn limits(all: usize, each: usize, projects: &[(&str, usize)]) -> Limits {
        let projects = projects.iter().map(|(name, n)| ((*name).to_owned(), *n));
        Limits {
            all,
            each,
            projects: projects.collect(),
        }
    }

    fn check(entries: &[Entry], limits: &Limits, expected: &Expect) {
        let mut turns: Vec<_> = turns(entries, limits).into_iter().collect();
        turns.sort_by_key(|((_, name), turn)| match turn {
            Turn::Now => (0, name.clone()),
            Turn::Waits(place) => (*place, name.clone()),
        });
        let mut text = String::new();
        for ((_, name), turn) in turns {
            writeln!(text, "{name} {turn:?}").expect("a String takes it");
        }
        expected.assert_eq(&text);
    }

    #[test]
    fn a_project_with_many_builds_delays_another_by_one() {
        let many = entries(&[("many", 6, 2), ("one", 1, 0)]);
        check(
            &many,
            &limits(2, 2, &[]),
            &expect![[r#"
                one-1 Waits(1)
                many-3 Waits(2)
                many-4 Waits(3)
                many-5 Waits(4)
                many-6 Waits(5)
            "#]],
        );
        check(
            &many,
            &limits(3, 3, &[]),
            &expect![[r#"
                one-1 Now
                many-3 Waits(1)
                many-4 Waits(2)
                many-5 Waits(3)
                many-6 Waits(4)
            "#]],
        );
    }

    #[test]
    fn projects_take_turns_and_keep_their_own_order() {
        check(
            &entries(&[("a", 4, 0), ("b", 3, 0)]),
            &limits(3, 3, &[]),
            &expect![[r#"
                a-1 Now
                a-2 Now
                b-1 Now
                b-2 Waits(1)
                a-3 Waits(2)
                b-3 Waits(3)
                a-4 Waits(4)
            "#]],
        );
    }

    #[test]
    fn a_quota_holds_while_others_go_on() {
        check(
            &entries(&[("a", 3, 1), ("b", 2, 0)]),
            &limits(10, 10, &[("a", 1)]),
            &expect![[r#"
                b-1 Now
                b-2 Now
                a-2 Waits(1)
                a-3 Waits(2)
            "#]],
        );
    }

    #[test]
    fn a_lowered_limit_starts_nothing_and_ends_nothing() {
        check(
            &entries(&[("a", 3, 2)]),
            &limits(1, 1, &[]),
            &expect![[r#"
                a-3 Waits(1)
            "#]],
        );
    }

    #[test]
    fn far_behind_places_are_told_about() {
        let told: Vec<usize> = [1, 10, 11, 20, 21, 100, 101, 1000]
            .into_iter()
            .map(about)
            .collect();
        assert_eq!(told, [1, 10, 20, 20, 30, 100, 200, 1000]);
    }
}
