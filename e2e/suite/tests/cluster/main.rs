//! Tests that do not mind each other: each has a Project of its own, and they run side by side.

mod again;
mod bad_input;
mod build_ends;
mod build_failures;
mod build_isolation;
mod build_refusals;
mod data;
mod defaults;
mod image_removal;
mod invalid_manifests;
mod isolation;
mod languages;
mod main_job;
mod origin;
mod registry;
mod releases;
mod source_failures;
mod sources;
mod webhooks;
