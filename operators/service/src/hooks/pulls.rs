//! What a Service is told of a pull request. No I/O and no clock.

use std::collections::BTreeMap;

use jiff::Timestamp;
use trackbed_api::{names::shorten, preview::PullRequest, project::ENVIRONMENT_MAX};
use trackbed_forge::delivery;

/// The name of a preview where several repositories have some: the repository's, and the number.
pub(super) fn name(repository: &str, number: u64) -> String {
    let number = format!("-{number}");
    let last = repository.rsplit('/').next().unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let last: String = last.chars().map(plain).collect();
    let last = last.trim_matches('-').to_ascii_lowercase();
    let first = last.chars().next();
    let last = match first.is_some_and(|c| c.is_ascii_alphabetic()) {
        true => last,
        // Names begin with a letter.
        false => format!("pr-{last}").trim_end_matches('-').to_owned(),
    };
    // Numbers of pull requests leave room for a hash.
    format!(
        "{}{number}",
        shorten(&last, ENVIRONMENT_MAX - number.len().min(10))
    )
}

/// What is new about a pull request, if anything is: the name of its preview, and what to write under
/// it, or that it goes.
pub(super) fn news(
    requests: &BTreeMap<String, PullRequest>,
    name: String,
    told: &delivery::PullRequest,
    now: Timestamp,
) -> (String, Option<Option<String>>) {
    // It keeps the name that it was given first.
    let mut requests = requests.iter();
    let before = requests.find(|(_, it)| it.number == told.number);
    let name = before.map_or(name, |(name, _)| name.clone());
    let before = before.map(|(_, it)| it);
    let changed = told.changed.unwrap_or(now).min(now);
    let stale = before.is_some_and(|it| changed < it.changed);
    let same = before.is_some_and(|it| {
        it.branch.as_str() == told.branch && it.commit == told.commit && it.commit.is_some()
    });
    let value = match (told.open, before) {
        (_, Some(_)) if stale => None,
        (true, Some(_)) if same => None,
        (false, None) => None,
        (false, Some(_)) => Some(None),
        (true, before) => {
            let request = PullRequest {
                number: told.number,
                branch: told.branch.as_str().into(),
                commit: told.commit.clone(),
                opened: before.map_or(changed, |it| it.opened),
                changed,
            };
            // A struct of text and numbers can always be written.
            serde_json::to_string(&request).ok().map(Some)
        }
    };
    (name, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const FIRST: &str = "a000000000000000000000000000000000000001";
    const SECOND: &str = "b000000000000000000000000000000000000002";

    fn told(number: u64, open: bool, commit: &str, changed: Option<&str>) -> delivery::PullRequest {
        delivery::PullRequest {
            number,
            open,
            branch: "feature/cart".to_owned(),
            commit: Some(commit.to_owned()),
            changed: changed.map(|it| it.parse().expect("a time")),
            ..delivery::PullRequest::default()
        }
    }

    fn check(before: &[(&str, &str)], told: &delivery::PullRequest, expected: &Expect) {
        let before = before.iter().map(|(name, value)| {
            let request = serde_json::from_str(value).expect("a pull request");
            ((*name).to_owned(), request)
        });
        let now = "2026-05-01T12:00:00Z".parse().expect("a time");
        let (name, value) = news(&before.collect(), "pr-7".to_owned(), told, now);
        let text = match value {
            None => "nothing new".to_owned(),
            Some(None) => "it goes".to_owned(),
            Some(Some(value)) => value,
        };
        expected.assert_eq(&format!("{name}: {text}\n"));
    }

    fn open() -> String {
        format!(
            r#"{{"number":7,"branch":"feature/cart","commit":"{FIRST}","opened":"2026-04-30T10:00:00Z","changed":"2026-04-30T11:00:00Z"}}"#
        )
    }

    #[test]
    fn a_pull_request_is_told_of_once_per_commit() {
        let early = Some("2026-04-30T11:30:00Z");
        check(
            &[],
            &told(7, true, FIRST, early),
            &expect![[r#"
            pr-7: {"number":7,"branch":"feature/cart","commit":"a000000000000000000000000000000000000001","opened":"2026-04-30T11:30:00Z","changed":"2026-04-30T11:30:00Z"}
        "#]],
        );
        check(
            &[],
            &told(7, true, FIRST, None),
            &expect![[r#"
            pr-7: {"number":7,"branch":"feature/cart","commit":"a000000000000000000000000000000000000001","opened":"2026-05-01T12:00:00Z","changed":"2026-05-01T12:00:00Z"}
        "#]],
        );
        // A forge whose clock is ahead would keep its previews for longer.
        check(
            &[],
            &told(7, true, FIRST, Some("2027-01-01T00:00:00Z")),
            &expect![[r#"
                pr-7: {"number":7,"branch":"feature/cart","commit":"a000000000000000000000000000000000000001","opened":"2026-05-01T12:00:00Z","changed":"2026-05-01T12:00:00Z"}
            "#]],
        );
        let known = open();
        let known = [("cart", known.as_str())];
        check(
            &known,
            &told(7, true, FIRST, early),
            &expect![[r#"
            cart: nothing new
        "#]],
        );
        check(
            &known,
            &told(7, true, SECOND, early),
            &expect![[r#"
            cart: {"number":7,"branch":"feature/cart","commit":"b000000000000000000000000000000000000002","opened":"2026-04-30T10:00:00Z","changed":"2026-04-30T11:30:00Z"}
        "#]],
        );
    }

    #[test]
    fn a_closed_one_goes_and_what_was_before_changes_nothing() {
        let known = open();
        let known = [("cart", known.as_str())];
        let late = Some("2026-04-30T12:00:00Z");
        let before = Some("2026-04-30T10:30:00Z");
        check(
            &known,
            &told(7, false, FIRST, late),
            &expect![[r#"
            cart: it goes
        "#]],
        );
        check(
            &known,
            &told(7, false, FIRST, before),
            &expect![[r#"
            cart: nothing new
        "#]],
        );
        check(
            &known,
            &told(7, true, SECOND, before),
            &expect![[r#"
            cart: nothing new
        "#]],
        );
        check(
            &known,
            &told(8, false, FIRST, late),
            &expect![[r#"
            pr-7: nothing new
        "#]],
        );
        check(
            &known,
            &told(8, true, FIRST, late),
            &expect![[r#"
            pr-7: {"number":8,"branch":"feature/cart","commit":"a000000000000000000000000000000000000001","opened":"2026-04-30T12:00:00Z","changed":"2026-04-30T12:00:00Z"}
        "#]],
        );
    }

    #[test]
    fn names_are_of_the_repository_where_there_are_several() {
        let names: Vec<_> = [
            ("acme/shop", 7),
            ("acme/2048", 7),
            ("acme/Shop.Front_End", 12),
            ("acme/a-very-long-name-of-a-repository", 12345),
            ("acme/--", 1),
            ("", 1),
        ]
        .iter()
        .map(|(repository, number)| name(repository, *number))
        .collect();
        assert!(
            names.iter().all(|it| it.len() <= ENVIRONMENT_MAX),
            "{names:?}"
        );
        expect![[r#"
            shop-7
            pr-2048-7
            shop-front-end-12
            a-ver-ee032fb9-12345
            pr-1
            pr-1
        "#]]
        .assert_eq(&(names.join("\n") + "\n"));
    }
}
