//! Placeholder, replaced by the first change of this crate.
