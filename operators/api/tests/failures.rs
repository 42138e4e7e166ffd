//! The documentation of failures is whole.

use trackbed_api::reason::Reason;

#[test]
fn every_reason_has_a_way_out() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/failures.md");
    let text = std::fs::read_to_string(path).expect("docs/failures.md");
    let documented = |reason: &Reason| text.contains(&format!("| `{}` |", reason.as_str()));
    let missing: Vec<_> = Reason::ALL.iter().filter(|it| !documented(it)).collect();
    assert!(missing.is_empty(), "not in docs/failures.md: {missing:?}");
    let known: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let unknown: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| !known.contains(name))
        .collect();
    assert!(unknown.is_empty(), "no longer a reason: {unknown:?}");
}
