//! An application of a Database as small as can be: the engine's own client, given the binding
//! Secret when it starts, like every pod.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

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
        self.client_by(namespace, database, &format!("{database}-credentials"), pod)
    }

    /// The same of one of its databases.
    #[track_caller]
    pub fn client_of(&self, namespace: &str, database: &str, inner: &str, pod: &str) -> Client {
        let secret = match inner {
            "app" => format!("{database}-credentials"),
            _ => format!("{database}.{inner}-credentials"),
        };
        self.client_by(namespace, database, &secret, pod)
    }

    #[track_caller]
    fn client_by(&self, namespace: &str, database: &str, secret: &str, pod: &str) -> Client {
        let spec = &self.get("database", namespace, database)["spec"];
        let text = |field: &str| spec[field].as_str().unwrap_or_default().to_lowercase();
        let (engine, version) = (text("engine"), text("version"));
        let folder = match engine.as_str() {
            "valkey" => "valkey",
            _ => "library",
        };
        let image = format!("{}:5000/{folder}/{engine}:{version}", self.node);
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
      # Without it, a namespace's default, which is a twentieth of the node.
      resources: {{requests: {{cpu: 5m}}}}
      envFrom: [{{secretRef: {{name: {secret}}}}}]
      volumeMounts: [{{name: binding, mountPath: /binding}}]
  volumes: [{{name: binding, secret: {{secretName: {secret}}}}}]
"#
        ));
        self.wait("pod", namespace, pod, "condition=Ready", 120);
        let (script, hello) = match engine.as_str() {
            "postgres" => (
                r#"exec psql "$uri" --no-psqlrc -v ON_ERROR_STOP=1 -Atqc "$1""#,
                "select 1",
            ),
            // Of the authority it is told by a file alone, which not every build of it knows.
            _ => (
                r#"case $uri in rediss:*) tls="--cacert /binding/ca.crt";; esac; exec redis-cli -u "$uri" $tls --no-auth-warning -e $1"#,
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

/// What a client wrote and the server acknowledged: the numbers from 1 on, in order.
#[derive(Debug)]
pub struct Writes {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
    last: u64,
}

impl Client {
    /// Has a script of the client's shell write numbers and print each one that is acknowledged.
    ///
    /// # Panics
    /// If kubectl cannot be started.
    #[track_caller]
    pub fn write(&self, script: &str) -> Writes {
        let exec = ["exec", "-n", &self.namespace, &self.pod, "--"];
        let mut child = Command::new(&self.cluster.kubectl)
            .env("KUBECONFIG", &self.cluster.kubeconfig)
            .args(exec)
            .args(["sh", "-c", script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("kubectl starts");
        let output = child.stdout.take().expect("a pipe");
        Writes {
            child,
            lines: BufReader::new(output).lines(),
            last: 0,
        }
    }

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

impl Writes {
    /// Waits until so many more are acknowledged.
    ///
    /// # Panics
    /// If the writing ends before.
    #[track_caller]
    pub fn acknowledged(&mut self, more: u64) {
        let enough = self.last + more;
        while self.last < enough {
            assert!(self.next(), "the writing ended after {}", self.last);
        }
    }

    /// Waits until the writing ends, by itself or for want of a server, and gives the last number
    /// that was acknowledged.
    ///
    /// # Panics
    /// If kubectl cannot be waited for.
    #[track_caller]
    pub fn end(mut self) -> u64 {
        while self.next() {}
        self.child.wait().expect("kubectl ends");
        self.last
    }

    /// Reads the next acknowledgement.
    fn next(&mut self) -> bool {
        let line = self.lines.next().and_then(Result::ok);
        let number = line.and_then(|line| line.trim().parse().ok());
        let Some(number) = number else {
            return false;
        };
        assert_eq!(number, self.last + 1, "acknowledged in order");
        self.last = number;
        true
    }
}
