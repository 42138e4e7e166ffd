//! An application of a Database as small as can be: the engine's own client, given the binding
//! Secret when it starts, like every pod.

use crate::{Cluster, eventually};

/// A pod with a client.
#[derive(Clone, Debug)]
pub struct Client {
    cluster: Cluster,
    namespace: String,
    pod: String,
    script: &'static str,
}

impl Cluster {
    /// Starts a client of the Database, in a pod of that name.
    #[track_caller]
    pub fn client(&self, namespace: &str, database: &str, pod: &str) -> Client {
        let spec = &self.get("database", namespace, database)["spec"];
        let text = |field: &str| spec[field].as_str().unwrap_or_default().to_lowercase();
        let (engine, version) = (text("engine"), text("version"));
        let image = format!("{}:5000/library/{engine}:{version}", self.node);
        self.apply(&format!(
            r#"
apiVersion: v1
kind: Pod
metadata: {{name: {pod}, namespace: {namespace}}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 1
  containers:
    - name: client
      image: {image}
      command: [sleep, "86400"]
      envFrom: [{{secretRef: {{name: {database}-credentials}}}}]
"#
        ));
        self.wait("pod", namespace, pod, "condition=Ready", 120);
        let (script, hello) = match engine.as_str() {
            "postgres" => (
                r#"exec psql "$uri" --no-psqlrc -v ON_ERROR_STOP=1 -Atqc "$1""#,
                "select 1",
            ),
            _ => (
                r#"exec redis-cli -u "$uri" --no-auth-warning -e $1"#,
                "ping",
            ),
        };
        let client = Client {
            cluster: self.clone(),
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            script,
        };
        // Until the network knows the new pod, it lets it through to nobody.
        eventually(60, || client.ask(hello));
        client
    }
}

impl Client {
    /// What the server answers to a statement or command.
    ///
    /// # Errors
    /// What the client says of its failure.
    pub fn ask(&self, words: &str) -> Result<String, String> {
        let exec = ["exec", "-n", &self.namespace, &self.pod, "--"];
        let run = ["sh", "-c", self.script, "client", words];
        let output = self.cluster.kubectl(&[exec, run].concat(), "");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        // redis-cli ends well although it was not let in.
        let refused = text(&output.stderr).contains("AUTH failed");
        match output.status.success() && !refused {
            true => Ok(text(&output.stdout)),
            false => Err(text(&[output.stdout, output.stderr].concat())),
        }
    }
}
