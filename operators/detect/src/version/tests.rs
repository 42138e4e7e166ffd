//! Ranges of all ecosystems.

use super::*;
use crate::known::{JAVA, NODE, PHP, PYTHON, RUBY, RUST};

fn check(language: &Language, tilde: Tilde, table: &[(&str, &str)]) {
    for (text, expected) in table {
        let asked = Some(Asked::new(text, "x"));
        let found = match choose(language, asked, tilde) {
            Ok(chosen) => chosen.tag,
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{text}: {found}");
        if found.len() < 10 {
            assert_eq!(&found, expected, "{text}");
        }
    }
}

#[test]
fn ranges_of_npm() {
    check(
        &NODE,
        Tilde::Minor,
        &[
            ("22", "22"),
            ("v20.11.1", "20.11.1"),
            ("20.x", "20"),
            (">=18", "24"),
            (">= 18.17 < 21", "20"),
            ("^20.1", "20"),
            ("~20.3.1", "20.3"),
            ("^18 || ^20 || >=22", "24"),
            ("18 - 20", "20"),
            ("*", "24"),
            ("<20.5.0", "18"),
            ("21", "21"),
            ("27.1.0", "27.1.0"),
            ("27", "27"),
            (">=99", "not available"),
            ("7", "not available"),
            ("banana", "cannot be understood"),
            ("22\nUSER root", "cannot be understood"),
            ("", "cannot be understood"),
        ],
    );
}

#[test]
fn ranges_of_others() {
    check(
        &PYTHON,
        Tilde::Minor,
        &[
            (">=3.9", "3.14"),
            (">=3.9,<3.13", "3.12"),
            ("~=3.11", "3.14"),
            ("~=3.11.2", "3.11"),
            ("^3.10", "3.14"),
            ("==3.12.*", "3.12"),
            (">=3.8,!=3.14.*", "3.13"),
            ("3.12.4", "3.12.4"),
            ("3", "3.14"),
            ("2.7", "not available"),
        ],
    );
    check(
        &PHP,
        Tilde::Next,
        &[
            ("^8.2", "8.5"),
            ("~8.2.0", "8.2"),
            (">=8.1 <8.4", "8.3"),
            ("^8.1|^8.2", "8.5"),
            ("^7.4", "not available"),
        ],
    );
    check(
        &RUBY,
        Tilde::Next,
        &[("~> 3.3.0", "3.3"), ("~> 3.2", "3.4"), ("3.3.5", "3.3.5")],
    );
    check(
        &RUST,
        Tilde::Minor,
        &[("1.80", "1.80"), ("1.80.1", "1.80.1"), (">=1.99", "1")],
    );
    check(
        &JAVA,
        Tilde::Minor,
        &[
            ("17.0.2", "17"),
            ("11", "11"),
            ("26", "26"),
            ("12", "not available"),
        ],
    );
}
