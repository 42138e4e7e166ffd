//! What forges say of pushes, and what they are told of commits. No Kubernetes here, and no state.
//!
//! A delivery is verified over its raw bytes before anything of it is read, and what cannot be
//! verified costs no more than its head.

pub mod delivery;
pub mod receiver;
pub mod server;
pub mod status;
