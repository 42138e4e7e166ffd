//! What was asked of the API server, from the audit log.

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
};

use serde_json::Value;

use crate::Cluster;

impl Cluster {
    /// Where the audit log ends now.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn audit_position(&self) -> u64 {
        let metadata = fs::metadata(&self.audit_log).expect("the audit log");
        metadata.len()
    }

    /// The requests from a position on that the log has: the operator's, and others that concern its
    /// objects.
    ///
    /// # Panics
    /// If the log cannot be read.
    #[track_caller]
    pub fn audited(&self, from: u64) -> Vec<Value> {
        let mut file = fs::File::open(&self.audit_log).expect("the audit log");
        file.seek(SeekFrom::Start(from)).expect("a position in it");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("lines");
        let parse = |line: &str| serde_json::from_str(line).ok();
        text.lines().filter_map(parse).collect()
    }
}
