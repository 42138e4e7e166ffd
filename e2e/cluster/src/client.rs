use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use crate::{
    Error, Name, Paths, Result,
    command::{self, CommandExt},
    error::Doing,
    tools,
};

/// Who [`Client::apply`] is, for the API server.
const FIELD_MANAGER: &str = "trackbed-xtask";

/// `kubectl` and `helm` for one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    access: Access,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Access {
    /// One of ours, by its kubeconfig.
    Ours(PathBuf),
    /// Somebody's, by a context of their kubeconfig.
    Context(String),
}

impl Client {
    /// The client of our cluster `name`.
    pub fn of(name: Name) -> Self {
        Client {
            access: Access::Ours(Paths::of(name).kubeconfig()),
        }
    }

    /// The client of the cluster that the user's own kubeconfig calls `context`.
    pub fn context(context: &str) -> Self {
        Client {
            access: Access::Context(context.to_owned()),
        }
    }

    /// `kubectl` against this cluster.
    ///
    /// # Errors
    /// When there is no such cluster, or no kubectl.
    pub fn kubectl(&self) -> Result<Command> {
        let mut command = Command::new(self.program(&tools::KUBERNETES, "kubectl")?);
        match &self.access {
            Access::Ours(kubeconfig) => command.arg("--kubeconfig").arg(kubeconfig),
            Access::Context(context) => command.arg("--context").arg(context),
        };
        Ok(command)
    }

    /// `helm` against this cluster.
    ///
    /// # Errors
    /// When there is no such cluster, or no helm.
    pub fn helm(&self) -> Result<Command> {
        let mut command = Command::new(self.program(&tools::HELM, "helm")?);
        match &self.access {
            Access::Ours(kubeconfig) => command.arg("--kubeconfig").arg(kubeconfig),
            Access::Context(context) => command.arg("--kube-context").arg(context),
        };
        // Our cluster has no use for the user's repositories and plug-ins.
        if matches!(self.access, Access::Ours(_)) {
            for (variable, folder) in [
                ("HELM_CONFIG_HOME", "config"),
                ("HELM_CACHE_HOME", "cache"),
                ("HELM_DATA_HOME", "data"),
            ] {
                command.env(variable, crate::cache().join("helm").join(folder));
            }
        }
        Ok(command)
    }

    /// Applies documents, as YAML or JSON, on the server's side.
    ///
    /// # Errors
    /// When the API server refuses one of them; the others may have been applied.
    pub fn apply(&self, documents: &str) -> Result<()> {
        let mut command = self.kubectl()?;
        command
            .args(["apply", "--server-side", "--force-conflicts"])
            .args(["--field-manager", FIELD_MANAGER, "--filename", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .doing(|| format!("starting `{}`", command.line()))?;
        if let Some(mut input) = child.stdin.take() {
            // A kubectl that ended early says why on its standard error.
            let _ = input.write_all(documents.as_bytes());
        }
        let output = child
            .wait_with_output()
            .doing(|| "waiting for kubectl".to_owned())?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Command {
            command: command.line(),
            status: output.status,
            output: command::tail(&output),
        })
    }

    /// What `kubectl get … -o json` prints for the words of `what`.
    ///
    /// # Errors
    /// When kubectl fails, or prints something else.
    pub fn get(&self, what: &[&str]) -> Result<serde_json::Value> {
        let text = self
            .kubectl()?
            .arg("get")
            .args(what)
            .args(["--output", "json"])
            .check()?;
        serde_json::from_str(&text).map_err(|source| Error::Json {
            path: PathBuf::from(format!("kubectl get {}", what.join(" "))),
            source,
        })
    }

    /// Our own, pinned; for somebody's cluster rather what they have.
    fn program(&self, tool: &tools::Tool, binary: &str) -> Result<PathBuf> {
        match &self.access {
            Access::Ours(kubeconfig) => {
                if !kubeconfig.exists() {
                    return Err(Error::Refused(
                        "there is no cluster yet: start it with `cargo xtask up`".to_owned(),
                    ));
                }
                tool.path(binary)
            }
            Access::Context(_) => {
                if Command::new(binary).arg("help").check().is_ok() {
                    return Ok(PathBuf::from(binary));
                }
                tools::build(&[tool])?;
                tool.path(binary)
            }
        }
    }
}
