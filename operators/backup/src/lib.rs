//! Backups at a destination: a folder of a volume, or a bucket that speaks S3. Bytes in, bytes out;
//! what they mean, only their makers know.
//!
//! A backup is two objects, `{prefix}/{identity}/{name}/data.zst` and `manifest.json` beside it. The
//! manifest is written last and removed first: what has no manifest is no backup. It says how many
//! bytes the data have and what their checksum is, and nothing is read back without both being
//! compared.

mod client;
mod destination;
mod error;
mod failure;
mod list;
mod manifest;
mod pack;
mod read;
mod retention;
mod s3;
mod stored;
mod upload;
mod volume;
mod write;

pub use destination::{Destination, Place};
pub use error::Error;
pub use list::{Survey, Unusable};
pub use manifest::{FORMAT, Manifest, check_identity, check_name};
pub use read::Reading;
pub use retention::{Keep, surplus};
pub use s3::S3;
pub use write::{Draft, Written};
