//! Backups at a destination: a folder of a volume, or a bucket that speaks S3. Bytes in, bytes out;
//! what they mean, only their makers know.
//!
//! A backup is two objects, `{prefix}/{identity}/{name}/data.zst` and `manifest.json` beside it. The
//! manifest is written last and removed first: what has no manifest is no backup. It says how many
//! bytes the data have and what their checksum is, and nothing is read back without both being
//! compared.
//!
//! A server with several databases has a backup that others belong to: see [`Part`].
//!
//! The data are compressed by zstd. With a key they are encrypted after that, as the tool `age` does
//! it, so that `age -d -i key.txt data.zst | zstd -d` reads them where there is no Trackbed. The
//! manifest is never encrypted.

mod client;
mod destination;
mod error;
mod failure;
mod key;
mod list;
mod manifest;
mod pack;
mod parts;
mod read;
mod retention;
mod s3;
mod seal;
mod stored;
mod upload;
mod volume;
mod write;

pub use destination::{Destination, Place};
pub use error::Error;
pub use key::Key;
pub use list::{Survey, Unusable};
pub use manifest::{Encryption, FORMAT, FORMAT_ENCRYPTED, Manifest, check_identity, check_name};
pub use parts::{Part, part_identity};
pub use read::Reading;
pub use retention::{Keep, surplus};
pub use s3::S3;
pub use write::{Draft, Written};
