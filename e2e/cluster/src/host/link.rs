//! The pair of interfaces between the host and the cluster, and the host's routes.

use std::path::Path;

use crate::{Network, Result, command::run};

/// Makes the link, with its other end in the network namespace of process `pid`.
pub(crate) fn create(network: &Network, pid: u32) -> Result<()> {
    let (host, inner) = (&network.host_link, &network.inner_link);
    run(
        "ip",
        &format!("link add {host} type veth peer name {inner} netns {pid}"),
    )?;
    run("ip", &format!("addr add {}/30 dev {host}", network.host))?;
    run("ip", &format!("link set {host} up"))?;
    for range in network.routed() {
        run(
            "ip",
            &format!("route add {range} via {} dev {host}", network.inner),
        )?;
    }
    Ok(())
}

/// Removes the link and with it the routes. It goes by itself, but a little later, when
/// the namespace of its other end ends.
pub(crate) fn remove(network: &Network) -> Result<()> {
    if exists(network)
        && let Err(error) = run("ip", &format!("link del {}", network.host_link))
        && exists(network)
    {
        return Err(error);
    }
    Ok(())
}

/// Whether the host has the link.
pub(crate) fn exists(network: &Network) -> bool {
    Path::new("/sys/class/net")
        .join(&network.host_link)
        .exists()
}
