//! OCI image layouts: a folder with `oci-layout`, `index.json` and `blobs/sha256`.
//!
//! An [`ImageBuilder`] writes one, a [`Layout`] reads one. The same content always gives
//! the same digest: entries are sorted, and no file has a time.

mod builder;
mod digest;
mod layer;
mod layout;
mod spec;
mod tree;

pub use builder::ImageBuilder;
pub use digest::Digest;
pub use layout::Layout;
pub use spec::{Descriptor, History, ImageConfig, Index, Manifest, Platform, RootFs, Settings};
