//! What applications may not do with a Redis or Valkey.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Commands that can be denied, by name or by category
/// (<https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/#command-categories>):
/// those that every version of Redis and Valkey here knows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum DeniedCommand {
    /// Removes all keys.
    FlushAll,
    /// Removes all keys of the database.
    FlushDb,
    /// Tells how the server is. Some clients ask when they connect.
    Info,
    /// Looks at all keys at once, while everybody waits.
    Keys,
    /// Moves keys to another server.
    Migrate,
    /// Makes keys of bytes that the client gives.
    Restore,
    /// Sorts, by keys that are made up of others' values.
    Sort,
    /// Exchanges databases.
    SwapDb,
    /// All of these, and what applications may not do anyway.
    #[serde(rename = "@dangerous")]
    Dangerous,
    /// Lua: EVAL, FCALL and the like.
    #[serde(rename = "@scripting")]
    Scripting,
    /// What may wait for others: BLPOP, WAIT and the like.
    #[serde(rename = "@blocking")]
    Blocking,
    /// SUBSCRIBE, PUBLISH and the like.
    #[serde(rename = "@pubsub")]
    PubSub,
}

impl DeniedCommand {
    /// As rules of access name it, without what says that it is denied.
    pub fn rules(self) -> &'static [&'static str] {
        match self {
            Self::FlushAll => &["flushall"],
            Self::FlushDb => &["flushdb"],
            Self::Info => &["info"],
            Self::Keys => &["keys"],
            Self::Migrate => &["migrate"],
            Self::Restore => &["restore"],
            Self::Sort => &["sort", "sort_ro"],
            Self::SwapDb => &["swapdb"],
            Self::Dangerous => &["@dangerous"],
            Self::Scripting => &["@scripting"],
            Self::Blocking => &["@blocking"],
            Self::PubSub => &["@pubsub"],
        }
    }
}
