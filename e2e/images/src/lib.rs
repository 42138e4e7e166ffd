//! Makes the container images that the end-to-end cluster runs, as OCI layouts on disk.
//!
//! [`oci`] writes and reads layouts; everything else is what goes into them.

mod error;
pub mod oci;

pub use error::{Error, Result};
