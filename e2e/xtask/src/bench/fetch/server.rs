//! The git server of the cluster, on the loopback interface.

use std::{
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use cluster::tools::GIT_SERVER;

use crate::error::{Doing, Error, Result};

/// Longest wait until it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server, which ends with this.
pub(super) struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Serves the repositories in a folder.
    pub(super) fn start(root: &Path) -> Result<Self> {
        // A port that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .doing(|| "finding a free port".to_owned())?
            .to_string();
        let program = GIT_SERVER.path("git-server")?;
        let child = Command::new(&program)
            .args(["--listen", &address, "--root"])
            .arg(root)
            .stdout(Stdio::null())
            .spawn()
            .doing(|| format!("starting {}", program.display()))?;
        let server = Self { child, address };
        let begun = Instant::now();
        while TcpStream::connect(&server.address).is_err() {
            if begun.elapsed() > PATIENCE {
                return Err(Error::Failed("the git server does not listen".to_owned()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// URL of a repository.
    pub(super) fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already only if it failed, and then the fetch said so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
