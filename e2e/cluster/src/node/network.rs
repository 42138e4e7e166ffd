//! The network inside of the cluster's namespace.

use std::{fs, path::Path};

use crate::{
    Name, Network, Result,
    command::run,
    error::Doing,
    network::{LISTENER_PORTS, NODE_BRIDGE, PROXY_PORT},
};

/// Before the link to the host is there: what everything in the namespace needs.
pub(crate) fn prepare(network: &Network) -> Result<()> {
    run("ip", "link set lo up")?;
    run("ip", &format!("link add name {NODE_BRIDGE} type bridge"))?;
    run(
        "ip",
        &format!("addr add {}/24 dev {NODE_BRIDGE}", network.node),
    )?;
    run("ip", &format!("link set {NODE_BRIDGE} up"))?;
    // An address of a Service that no rule matches would have no route, and a program on
    // the node could not even ask for it.
    run(
        "ip",
        &format!("route add {} dev {NODE_BRIDGE}", network.service_range),
    )?;
    // Or Pods on one bridge would answer each other past a Service's rules.
    if !Path::new("/proc/sys/net/bridge").exists() {
        // Where it is no module, or may not be loaded, kube-proxy says what is missing.
        let _ = run("modprobe", "br_netfilter");
    }
    // All of these are the namespace's own.
    for (name, value) in [
        ("net/ipv4/ip_forward", "1"),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv4/conf/default/rp_filter", "0"),
        ("net/bridge/bridge-nf-call-iptables", "1"),
    ] {
        let file = Path::new("/proc/sys").join(name);
        // Not every kernel has the last; where it is missing it is always on, or a module
        // that is not loaded, and then kube-proxy says so.
        if file.exists() {
            fs::write(&file, value).doing(|| format!("writing {}", file.display()))?;
        }
    }
    Ok(())
}

/// When the link is there. There is no default route: the host's end is all that the
/// cluster reaches of the world, and of that only the proxy, and the listeners of tests.
pub(crate) fn connect(name: Name, network: &Network) -> Result<()> {
    let link = &network.inner_link;
    run("ip", &format!("addr add {}/30 dev {link}", network.inner))?;
    run("ip", &format!("link set {link} up"))?;
    // In the raw table, which neither kube-proxy nor kube-router touches.
    for chain in ["PREROUTING", "OUTPUT"] {
        let to = format!("-t raw -A {chain} -d {} -p tcp --syn", network.host);
        run("iptables", &format!("{to} --dport {PROXY_PORT} -j ACCEPT"))?;
        if name == Name::Test {
            let ports = format!("{}:{}", LISTENER_PORTS.start(), LISTENER_PORTS.end());
            run("iptables", &format!("{to} --dport {ports} -j ACCEPT"))?;
        }
        run("iptables", &format!("{to} -j DROP"))?;
    }
    Ok(())
}
