//! The file of a Sentinel: what it knows, which it wrote itself, and what it is told at each start.

use std::{collections::BTreeSet, fmt::Write, path::Path};

use super::super::{GROUP, SENTINEL, SERVER, Servers, ask::Primary, shown};
use crate::redis::users;

/// After so long without an answer a server counts as away, in milliseconds.
const AWAY: u32 = 5000;
/// Longest part of a takeover, in milliseconds; the next one is not tried before twice that.
const TAKEOVER: u32 = 10_000;

/// What a Sentinel that watches servers knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    primary: String,
    /// Its own lines about itself, other Sentinels, and what was voted.
    lines: Vec<String>,
}

impl Known {
    /// From its file, or by what somebody else knows. `None`: nobody knows anything.
    pub(super) fn read(text: &str, servers: &Servers, learnt: Option<Primary>) -> Option<Self> {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let all: Vec<_> = text.lines().map(|line| (line, words(line))).collect();
        let watched = all.iter().find_map(|(_, words)| match &words[..] {
            [first, what, group, host, ..]
                if first == "sentinel" && what == "monitor" && group == GROUP =>
            {
                Some(host.clone())
            }
            _ => None,
        });
        let Some(primary) = watched else {
            let Primary { host, epoch } = learnt?;
            let lines = vec![
                format!("sentinel current-epoch {epoch}"),
                format!("sentinel config-epoch {GROUP} {epoch}"),
            ];
            return Some(Self {
                primary: host,
                lines,
            });
        };
        let keeps = |words: &[String]| match words {
            [first, what, rest @ ..] if first == "sentinel" => match what.as_str() {
                "myid" | "current-epoch" => true,
                "config-epoch" | "leader-epoch" => rest.first().is_some_and(|it| it == GROUP),
                "known-sentinel" => rest.get(1).is_some_and(|it| servers.all.contains(it)),
                _ => false,
            },
            _ => false,
        };
        let lines = all.iter().filter(|(_, words)| keeps(words));
        Some(Self {
            primary,
            lines: lines.map(|(line, _)| (*line).to_owned()).collect(),
        })
    }
}

/// The whole file. All servers are in it, so that Sentinels find each other without the primary.
pub(super) fn text(
    servers: &Servers,
    (folder, run): (&Path, &Path),
    known: Option<&Known>,
) -> String {
    let (login, own) = (servers.watcher(), &servers.own);
    let password = users::quoted(&login.password);
    let user = users::SENTINEL;
    let mut text = format!(
        "{}protected-mode no\ndaemonize no\ndir \"{}\"\n{}sentinel sentinel-user {user}\nsentinel sentinel-pass {password}\nsentinel resolve-hostnames yes\nsentinel announce-hostnames yes\nsentinel announce-ip {own}\nsentinel announce-port {SENTINEL}\nsentinel deny-scripts-reconfig yes\n",
        shown::listens(SENTINEL, servers.tls.as_ref(), run),
        folder.display(),
        users::sentinel(&login),
    );
    let Some(known) = known else {
        return text;
    };
    let quorum = servers.majority();
    // Writing to a text does not fail.
    let _whole = write!(
        text,
        "sentinel monitor {GROUP} {} {SERVER} {quorum}\nsentinel auth-user {GROUP} {user}\nsentinel auth-pass {GROUP} {password}\nsentinel down-after-milliseconds {GROUP} {AWAY}\nsentinel failover-timeout {GROUP} {TAKEOVER}\nsentinel parallel-syncs {GROUP} 1\n",
        known.primary,
    );
    for line in &known.lines {
        text += &format!("{line}\n");
    }
    let others: BTreeSet<_> = servers
        .all
        .iter()
        .filter(|it| **it != known.primary)
        .collect();
    for host in others {
        text += &format!("sentinel known-replica {GROUP} {host} {SERVER}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_knows_stays_and_what_it_is_told_is_new() {
        let servers = Servers::test();
        let folder = (Path::new("/data/sentinel"), Path::new("/run"));
        let nothing = text(&servers, folder, Known::read("", &servers, None).as_ref());
        expect_test::expect![[r#"
            port 26379
            protected-mode no
            daemonize no
            dir "/data/sentinel"
            user default off
            user trackbed-sentinel reset on #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b allchannels +@all
            sentinel sentinel-user trackbed-sentinel
            sentinel sentinel-pass "secret"
            sentinel resolve-hostnames yes
            sentinel announce-hostnames yes
            sentinel announce-ip db-0.db-headless
            sentinel announce-port 26379
            sentinel deny-scripts-reconfig yes
        "#]].assert_eq(&nothing);
        let learnt = Primary {
            host: servers.all[1].clone(),
            epoch: 4,
        };
        let known = Known::read(&nothing, &servers, Some(learnt));
        let rest = |text: &str| {
            let lines = text
                .lines()
                .skip_while(|it| !it.starts_with("sentinel monitor"));
            lines.map(|line| format!("{line}\n")).collect::<String>()
        };
        let begun = text(&servers, folder, known.as_ref());
        expect_test::expect![[r#"
            sentinel monitor trackbed db-1.db-headless 6380 2
            sentinel auth-user trackbed trackbed-sentinel
            sentinel auth-pass trackbed "secret"
            sentinel down-after-milliseconds trackbed 5000
            sentinel failover-timeout trackbed 10000
            sentinel parallel-syncs trackbed 1
            sentinel current-epoch 4
            sentinel config-epoch trackbed 4
            sentinel known-replica trackbed db-0.db-headless 6380
            sentinel known-replica trackbed db-2.db-headless 6380
        "#]]
        .assert_eq(&rest(&begun));
        let wrote = "sentinel monitor trackbed db-2.db-headless 6380 3\nsentinel config-epoch trackbed 7\nsentinel leader-epoch trackbed 8\nsentinel known-replica trackbed db-4.db-headless 6380\nsentinel known-sentinel trackbed db-1.db-headless 26379 abc\nsentinel known-sentinel trackbed db-4.db-headless 26379 def\nsentinel current-epoch 8\nsentinel myid 0123\nsentinel auth-pass trackbed \"other\"\nuser default on nopass\n";
        let learnt = Primary {
            host: servers.all[1].clone(),
            epoch: 9,
        };
        let known = Known::read(wrote, &servers, Some(learnt));
        let after = text(&servers, folder, known.as_ref());
        expect_test::expect![[r#"
            sentinel monitor trackbed db-2.db-headless 6380 2
            sentinel auth-user trackbed trackbed-sentinel
            sentinel auth-pass trackbed "secret"
            sentinel down-after-milliseconds trackbed 5000
            sentinel failover-timeout trackbed 10000
            sentinel parallel-syncs trackbed 1
            sentinel config-epoch trackbed 7
            sentinel leader-epoch trackbed 8
            sentinel known-sentinel trackbed db-1.db-headless 26379 abc
            sentinel current-epoch 8
            sentinel myid 0123
            sentinel known-replica trackbed db-0.db-headless 6380
            sentinel known-replica trackbed db-1.db-headless 6380
        "#]]
        .assert_eq(&rest(&after));
    }
}
