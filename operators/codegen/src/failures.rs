//! The page of failures: every reason with its way out.

use std::fmt::Write;

use trackbed_api::reason::{Again, Area, Reason};

const INTRODUCTION: &str = include_str!("failures.md");

/// The whole page.
pub fn page() -> String {
    let mut text = INTRODUCTION.to_owned();
    for area in Area::ALL {
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "\n## {}\n\n| Reason | Again by itself | What it means and what to do |\n|---|---|---|\n",
            area.title()
        );
        for reason in Reason::ALL.iter().filter(|it| it.area() == *area) {
            let again = match reason.again() {
                Again::No => "no",
                Again::Yes => "yes",
                Again::AtIntervals => "at every interval",
            };
            let _ = writeln!(
                text,
                "| `{}` | {again} | {} |",
                reason.as_str(),
                reason.help()
            );
        }
    }
    text
}
