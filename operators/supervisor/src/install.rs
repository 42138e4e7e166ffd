//! This program where other containers of a pod find it.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::error::Error;

/// Copies this program, whole or not at all.
///
/// # Errors
/// Of the disk.
pub fn install(to: &Path) -> Result<(), Error> {
    let own = std::env::current_exe().map_err(|e| Error::io("finding this program", e))?;
    let draft = to.with_extension("new");
    fs::copy(&own, &draft).map_err(|e| Error::io(format!("writing {}", draft.display()), e))?;
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o555))
        .and_then(|()| fs::rename(&draft, to))
        .map_err(|e| Error::io(format!("writing {}", to.display()), e))
}
