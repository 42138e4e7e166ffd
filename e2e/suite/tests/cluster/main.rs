//! Tests that do not mind each other: each has a Project of its own, and they run side by side.

mod bad_input;
mod build_isolation;
mod data;
mod defaults;
mod invalid_manifests;
mod languages;
mod main_job;
