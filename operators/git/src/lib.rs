//! What a git repository says, and one commit of it. Everything here blocks.
//!
//! libgit2 speaks http, https and ssh, never runs a program, and takes nothing of a user's text for
//! an option. Credentials go to the scheme, host and port that they were given for and nowhere else:
//! with credentials no redirect is followed to another place, an ssh host has to show a key that is
//! known, and a submodule gets its repository's credentials only if it is at the same place.

mod changes;
mod credentials;
mod error;
mod fetch;
mod guard;
mod known_hosts;
mod lfs;
mod remote;
mod request;
mod size;
mod submodules;
mod url;

pub use changes::{Between, Touched, changes};
pub use credentials::Credentials;
pub use error::Error;
pub use fetch::{Commit, Fetch, Progress, fetch};
pub use remote::{Answer, Refusal, Remote, Resolved, ls_remote};
pub use request::Request;
pub use url::{Scheme, Url};
