//! The API server without a kubectl for every request, where a test makes hundreds.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::Cluster;

/// `kubectl proxy`, which ends with this.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    address: String,
}

/// What happens to objects, in order.
#[derive(Debug)]
pub struct Watch(Receiver<Value>);

impl Cluster {
    /// Starts a proxy to the API server.
    ///
    /// # Panics
    /// If it does not start.
    #[track_caller]
    pub fn proxy(&self) -> Proxy {
        let mut child = Command::new(&self.kubectl)
            .env("KUBECONFIG", &self.kubeconfig)
            .args(["proxy", "--port=0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl starts");
        let mut said = String::new();
        let output = child.stdout.take().expect("stdout is piped");
        let read = BufReader::new(output).read_line(&mut said);
        // Starting to serve on 127.0.0.1:40001
        let address = said.trim().rsplit(' ').next().unwrap_or_default();
        assert!(
            read.is_ok() && address.contains(':'),
            "kubectl proxy: {said}"
        );
        Proxy {
            address: address.to_owned(),
            child,
        }
    }
}

impl Proxy {
    /// Changes an object by a merge patch.
    ///
    /// # Panics
    /// If the API server refuses it.
    #[track_caller]
    pub fn patch(&self, path: &str, patch: &Value) {
        let sent = agent(Some(Duration::from_secs(30)))
            .patch(format!("http://{}{path}", self.address))
            .header("content-type", "application/merge-patch+json")
            .send(patch.to_string());
        if let Err(error) = sent {
            panic!("PATCH {path}: {error}");
        }
    }

    /// Watches objects, of which only the metadata are told.
    ///
    /// # Panics
    /// If the API server refuses it.
    #[track_caller]
    pub fn watch(&self, path: &str, selector: &str) -> Watch {
        let answer = agent(None)
            .get(format!("http://{}{path}", self.address))
            .query("watch", "true")
            .query("labelSelector", selector)
            .header(
                "accept",
                "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            )
            .call()
            .unwrap_or_else(|error| panic!("watching {path}: {error}"));
        let (send, receive) = channel();
        let body = answer.into_body().into_reader();
        thread::spawn(move || forward(body, |event| send.send(event).is_ok()));
        Watch(receive)
    }
}

/// Hands on the events of a body, a line each, as long as somebody takes them.
fn forward(body: impl Read, mut take: impl FnMut(Value) -> bool) {
    for line in BufReader::new(body).lines().map_while(Result::ok) {
        let event = serde_json::from_str(&line).unwrap_or_default();
        if !take(event) {
            return;
        }
    }
}

impl Watch {
    /// The next event, if one comes in time.
    pub fn next(&self, seconds: u64) -> Option<Value> {
        self.0.recv_timeout(Duration::from_secs(seconds)).ok()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // One that has ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn agent(timeout: Option<Duration>) -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(timeout)
        .proxy(None)
        .build()
        .into()
}
