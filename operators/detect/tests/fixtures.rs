//! Folders under `fixtures/` and what they get: `NAME/` is a repository, `NAME.settings` (where
//! there is one) what a person says, `NAME.txt` what comes of it.

mod common;

use common::{fixtures, outcome, place};
use expect_test::expect_file;

#[test]
fn every_fixture_gets_what_is_written_beside_it() {
    let names = fixtures();
    assert!(names.len() >= 45, "{} fixtures", names.len());
    for name in names {
        expect_file![place().join(format!("{name}.txt"))].assert_eq(&outcome(&name));
    }
}
