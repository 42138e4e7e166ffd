//! What the cluster needs outside of its own namespaces: one link with routes, control
//! groups, two small servers and a few mount points. All of it goes with the cluster.

pub(crate) mod cgroup;
pub(crate) mod forward;
pub(crate) mod leftovers;
pub(crate) mod link;
pub(crate) mod mountpoints;
pub(crate) mod proxy;
