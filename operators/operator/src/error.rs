//! What may end the operator.

use std::{net::SocketAddr, path::PathBuf};

/// Why a command of the operator ends with an error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The settings are wrong.
    #[error("{}: {message}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        message: String,
    },
    /// There is no API server to talk to.
    #[error("no connection to an API server: {0}")]
    Client(#[source] kube::Error),
    /// The port is taken.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The Lease was not renewed in time.
    #[error("the Lease was not renewed for {0} s: another process may lead now")]
    LeaseLost(u64),
    /// Another process holds the Lease.
    #[error("another process holds the Lease")]
    LeaseTaken,
}
