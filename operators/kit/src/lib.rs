//! What every controller shares, so that a controller crate holds decisions and nothing else.
//!
//! A reconciler is `observe → plan → apply → finish`: every read from a [`cache`], a pure plan,
//! [`apply`] for each child, and [`finish`](status::finish), which writes status on every path.

pub mod apply;
pub mod cache;
pub mod cert_manager;
pub mod certificates;
pub mod claim;
pub mod conditions;
pub mod config;
pub mod contents;
pub mod context;
pub mod covers;
pub mod docker;
pub mod error;
pub mod events;
pub mod finalizer;
pub mod gateway;
pub mod harness;
pub mod hosts;
pub mod job;
pub mod meta;
pub mod metrics;
pub mod network;
pub mod place;
pub mod rbac;
pub mod read;
pub mod status;

pub use cache::{Cache, Caches};
pub use conditions::{Fact, Health};
pub use config::Config;
pub use context::Context;
pub use error::{Class, Error};
pub use harness::{Kind, StatusParts};
pub use place::{Place, place};
pub use status::{Plan, finish};
