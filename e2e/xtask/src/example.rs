//! The example application.

use cluster::{Client, Name};

use crate::error::Result;

/// Puts it on our own cluster, from our own git server, and waits until it answers.
pub(crate) fn here(_name: Name) -> Result<()> {
    Ok(())
}

/// Puts it on a cluster that is not ours.
pub(crate) fn elsewhere(_client: &Client) -> Result<()> {
    Ok(())
}
