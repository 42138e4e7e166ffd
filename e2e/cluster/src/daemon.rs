//! The one process on the host that owns a running cluster.
//!
//! It makes the namespaces, the link and the control groups, and serves the forwarded
//! port and the proxy. When it ends, however it ends, every process of the cluster ends
//! with it: each link of the chain asks the kernel to be killed when its parent dies, and
//! the last is the first process of the cluster's process namespace. What a killed daemon
//! leaves behind (empty control groups and folders) the next `up` or `down` removes.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    Error, Name, Network, Paths, Result,
    command::end_of_input,
    credentials::Credentials,
    error::Doing,
    host::{cgroup, forward, leftovers, link, mountpoints, proxy},
    network::PROXY_PORT,
    node,
    paths::write,
};

/// Time for the daemon to start everything, and to end everything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running daemon, so that it is never taken for another process with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its process.
    pub pid: u32,
    /// When that process started, in clock ticks after the machine did.
    pub start: u64,
    /// When it started the cluster.
    pub started: Timestamp,
    /// What the cluster was made from.
    pub fingerprint: String,
}

impl Identity {
    /// The daemon of cluster `name`, when it runs.
    pub fn find(name: Name) -> Option<Self> {
        let text = fs::read(Paths::of(name).run("daemon.json")).ok()?;
        let identity: Identity = serde_json::from_slice(&text).ok()?;
        (start_of(identity.pid) == Some(identity.start)).then_some(identity)
    }

    fn is_alive(&self) -> bool {
        start_of(self.pid) == Some(self.start)
    }

    fn signal(&self, signal: Signal) {
        if self.is_alive()
            && let Some(pid) = Pid::from_raw(self.pid.cast_signed())
        {
            // Gone in between is as good.
            let _ = kill_process(pid, signal);
        }
    }
}

/// When process `pid` started (field 22 of its `stat`, see proc_pid_stat(5)).
fn start_of(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // A zombie is only waiting to be buried.
    let (_, after_name) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = after_name.split(' ').collect();
    (fields.first() != Some(&"Z")).then_some(())?;
    fields.get(19)?.parse().ok()
}

/// How long a cluster lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Until it is stopped.
    Long,
    /// As long as the process that started it, however that ends.
    Owned,
}

/// Held while a daemon starts: until then nobody could find it to stop it.
static STARTING: Mutex<()> = Mutex::new(());

/// Starts the daemon of cluster `name`, unless it runs already and the cluster is made
/// from the same programs and files. Returns whether it was started.
///
/// # Errors
/// When the daemon ends before the cluster's parts were started.
pub fn start(name: Name, life: Life) -> Result<bool> {
    let _guard = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let paths = Paths::of(name);
    if let Some(running) = Identity::find(name) {
        if running.fingerprint == node::current_fingerprint(name, &paths)? {
            return Ok(false);
        }
        println!("  the cluster's programs changed: it is restarted, its data stays");
    }
    stop_now(name)?;
    paths.create()?;
    let log_path = paths.log("daemon");
    let log = fs::File::create(&log_path).doing(|| format!("creating {}", log_path.display()))?;
    let errors = log
        .try_clone()
        .doing(|| "opening the daemon's log".to_owned())?;
    let program = env::current_exe().doing(|| "finding this program".to_owned())?;
    // A session of its own: a closed terminal or Ctrl-C ends `up`, not the cluster.
    let mut daemon = Command::new("setsid")
        .arg(program)
        .args(["cluster-daemon", name.as_str()])
        .args((life == Life::Owned).then_some("--owned"))
        .stdin(match life {
            Life::Long => Stdio::null(),
            Life::Owned => Stdio::piped(),
        })
        .stdout(log)
        .stderr(errors)
        .current_dir("/")
        .spawn()
        .doing(|| "starting the daemon".to_owned())?;
    let deadline = Instant::now() + PATIENCE;
    while Identity::find(name).is_none() {
        let ended = daemon
            .try_wait()
            .doing(|| "waiting for the daemon".to_owned())?;
        if ended.is_some() || Instant::now() > deadline {
            let said = fs::read_to_string(&log_path).unwrap_or_default();
            let _ = daemon.kill();
            stop_now(name)?;
            return Err(Error::Refused(format!(
                "the cluster did not start: {}",
                said.trim()
            )));
        }
        thread::sleep(Duration::from_millis(50));
    }
    // Its end of the pipe is closed when this process is gone.
    if let Some(pipe) = daemon.stdin.take() {
        std::mem::forget(pipe);
    }
    Ok(true)
}

/// Ends cluster `name` and removes what it left on the host. Returns whether it ran.
///
/// # Errors
/// When something cannot be removed.
pub fn stop(name: Name) -> Result<bool> {
    let _guard = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let daemon = Identity::find(name);
    let ran = stop_now(name)?;
    // It is the child of whoever takes in orphans, and some bury them only now and then.
    let deadline = Instant::now() + Duration::from_secs(5);
    while let Some(daemon) = &daemon
        && Path::new("/proc").join(daemon.pid.to_string()).exists()
        && Instant::now() < deadline
    {
        thread::sleep(Duration::from_millis(50));
    }
    Ok(ran)
}

fn stop_now(name: Name) -> Result<bool> {
    let (network, paths) = (Network::of(name), Paths::of(name));
    let running = Identity::find(name);
    if let Some(daemon) = &running {
        daemon.signal(Signal::TERM);
        let deadline = Instant::now() + PATIENCE;
        while daemon.is_alive() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(50));
        }
        daemon.signal(Signal::KILL);
    }
    clean(name, &network, &paths)?;
    let _ = fs::remove_file(paths.run("daemon.json"));
    let _ = fs::remove_file(paths.run("running.json"));
    Ok(running.is_some())
}

/// Removes what is on the host; processes of a daemon that was killed may still be ending.
fn clean(name: Name, network: &Network, paths: &Paths) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let cleaned = link::remove(network)
            .and_then(|()| cgroup::remove(&cgroup::name(name)))
            .and_then(|()| detached(paths));
        match cleaned {
            Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(100)),
            other => {
                other?;
                return mountpoints::remove(paths);
            }
        }
    }
}

/// Whether the file systems of the cluster's own are written and closed.
fn detached(paths: &Paths) -> Result<()> {
    match leftovers::loops_of(&paths.root().display().to_string()).first() {
        Some(device) => Err(Error::Refused(format!("{device} is still there"))),
        None => Ok(()),
    }
}

/// Runs as the daemon: returns when it is told to end and everything has. With
/// [`Life::Owned`] the end of its standard input tells it.
///
/// # Errors
/// When something of the cluster cannot be made.
pub fn run(name: Name, life: Life) -> Result<()> {
    let (network, paths) = (Network::of(name), Paths::of(name));
    Credentials::prepare(&paths)?;
    node::pki::write_all(name, &network, &paths)?;
    let fingerprint = node::configure(name, &paths)?;
    mountpoints::create(&paths)?;
    cgroup::create(&cgroup::name(name))?;

    // From this thread, which lives as long as the process: the kernel kills the child
    // when the thread that started it ends.
    let mut inside = cgroup::within(&cgroup::name(name), || enter(name))?;
    let ended = own(name, life, &mut inside, fingerprint);
    drop(inside.stdin.take());
    let outcome = inside
        .wait()
        .doing(|| "waiting for the cluster to end".to_owned());
    clean(name, &network, &paths)?;
    ended.and(outcome.map(|_| ()))
}

/// The chain of processes that leads into the namespaces.
fn enter(name: Name) -> Result<Child> {
    let program = env::current_exe().doing(|| "finding this program".to_owned())?;
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "-n", "-m", "-p", "--fork"])
        .args(["--kill-child=KILL", "--mount-proc", "--propagation=private"])
        .arg(program)
        .args(["cluster-init", name.as_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .doing(|| "making the namespaces".to_owned())
}

fn own(name: Name, life: Life, inside: &mut Child, fingerprint: String) -> Result<()> {
    let (network, paths) = (Network::of(name), Paths::of(name));
    let (Some(mut input), Some(output)) = (inside.stdin.take(), inside.stdout.take()) else {
        return Err(Error::Refused("the cluster cannot be talked to".to_owned()));
    };
    let mut output = BufReader::new(output);
    let started = Timestamp::now();
    expect(&mut output, node::NAMESPACES_READY)?;
    link::create(&network, inside.id())?;
    writeln!(input, "linked").doing(|| "talking to the cluster".to_owned())?;
    expect(&mut output, node::STARTED)?;
    inside.stdin = Some(input);

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing(|| "starting the runtime".to_owned())?;
    runtime.block_on(async {
        let listen = async |address: SocketAddr| {
            TcpListener::bind(address)
                .await
                .doing(|| format!("listening at {address}"))
        };
        let front = listen(([127, 0, 0, 1], network.forward_port).into()).await?;
        let way_out = listen((network.host, PROXY_PORT).into()).await?;
        tokio::spawn(forward::serve(front, (network.node, 80).into()));
        tokio::spawn(proxy::serve(way_out));

        let catch = |kind| signal(kind).doing(|| "catching signals".to_owned());
        let mut terminate = catch(SignalKind::terminate())?;
        let mut interrupt = catch(SignalKind::interrupt())?;
        let mut child = catch(SignalKind::child())?;
        let pid = std::process::id();
        let identity = Identity {
            pid,
            start: start_of(pid).unwrap_or_default(),
            started,
            fingerprint,
        };
        let text = serde_json::to_vec_pretty(&identity).map_err(|source| Error::Json {
            path: paths.run("daemon.json"),
            source,
        })?;
        // It also says that the cluster's parts are on their way.
        write(&paths.run("daemon.json"), text)?;
        println!("cluster {name} runs");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = child.recv() => println!("the cluster ended by itself"),
            () = owner_gone(life) => println!("the process that wanted the cluster is gone"),
        }
        Ok(())
    })
}

async fn owner_gone(life: Life) {
    match life {
        Life::Long => std::future::pending().await,
        Life::Owned => end_of_input().await,
    }
}

fn expect(output: &mut impl BufRead, word: &str) -> Result<()> {
    let mut line = String::new();
    output
        .read_line(&mut line)
        .doing(|| "listening to the cluster".to_owned())?;
    if line.trim() == word {
        Ok(())
    } else {
        Err(Error::Refused(format!(
            "the cluster ended before it said `{word}`"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_start() {
        let me = std::process::id();
        assert!(start_of(me).is_some());
        let other = Identity {
            pid: me,
            start: 1,
            started: Timestamp::UNIX_EPOCH,
            fingerprint: String::new(),
        };
        assert!(!other.is_alive());
        assert_eq!(start_of(u32::MAX), None);
    }
}
