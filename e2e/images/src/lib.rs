//! Makes the container images that the end-to-end cluster runs, as OCI layouts on disk.
//!
//! [`oci`] writes and reads layouts, [`base`] makes the images that users build on and
//! databases run from, out of packages, and [`sandbox`] runs what is in them.

pub mod base;
mod cache;
mod command;
mod error;
pub mod oci;
pub mod sandbox;

pub use error::{Error, Result};
