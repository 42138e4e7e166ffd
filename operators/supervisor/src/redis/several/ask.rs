//! Asking Sentinels who is the primary.

use std::cmp::Reverse;

use super::{GROUP, SENTINEL, Servers};
use crate::{Error, redis::client::aside};

/// A primary, as Sentinels know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Primary {
    /// Its name in the network.
    pub(super) host: String,
    /// Its number: each takeover has a higher one, so of two the higher is the primary.
    pub(super) epoch: u64,
}

/// What a Sentinel says. `None`: nothing.
pub(super) type Answer = Option<Option<Primary>>;

/// What Sentinels say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// The one of the own pod.
    pub(super) own: Answer,
    /// Those of the others.
    pub(super) others: Vec<Answer>,
}

impl Heard {
    /// How many answered.
    pub(super) fn answers(&self) -> usize {
        let all = self.others.iter().chain([&self.own]);
        all.filter(|it| it.is_some()).count()
    }

    /// The latest primary that one of them knows.
    pub(super) fn latest(&self) -> Option<&Primary> {
        let all = [&self.own].into_iter().chain(&self.others);
        let known = all.filter_map(|it| it.as_ref()?.as_ref());
        known.min_by_key(|it| Reverse(it.epoch))
    }
}

/// Asks all of them at once.
pub(super) async fn all(servers: &Servers) -> Heard {
    let ask = |host: &String| {
        let (host, servers) = (host.clone(), servers.clone());
        tokio::spawn(aside(move || one(&host, &servers)))
    };
    // By its name too: what is true of the others is true of it.
    let own = tokio::spawn(own(servers.clone()));
    let others: Vec<_> = servers.others().map(ask).collect();
    let mut heard = Heard {
        own: own.await.ok().and_then(Result::ok),
        ..Heard::default()
    };
    for other in others {
        heard.others.push(other.await.ok().and_then(Result::ok));
    }
    heard
}

/// Asks the one of the own pod.
pub(super) async fn own(servers: Servers) -> Result<Option<Primary>, Error> {
    aside(move || one("127.0.0.1", &servers)).await
}

/// Whether the own Sentinel counts one among those that are to agree which is none any more, as there
/// are fewer servers now, and does not answer either.
pub(super) async fn counts_another(servers: &Servers) -> bool {
    let servers = servers.clone();
    let look = move || {
        let mut client = servers.enter("127.0.0.1", SENTINEL)?;
        let said = client.list(&["SENTINEL", "SENTINELS", GROUP])?;
        let mut others = strangers(&said, &servers);
        Ok(others.any(|host| one(host, &servers).is_err()))
    };
    aside(look).await.unwrap_or_default()
}

fn strangers<'a>(said: &'a [String], servers: &'a Servers) -> impl Iterator<Item = &'a String> {
    let hosts = said.chunks_exact(2).filter(|it| it[0] == "ip");
    hosts
        .map(|it| &it[1])
        .filter(|it| !servers.all.contains(it))
}

fn one(host: &str, servers: &Servers) -> Result<Option<Primary>, Error> {
    let mut client = servers.enter(host, SENTINEL)?;
    let said = client.list(&["SENTINEL", "MASTERS"])?;
    // Of one that it does not know it would say an error, in other words in each version.
    if said.is_empty() {
        return Ok(None);
    }
    // While others are told of a new primary, the list still has the one before, and the new one's
    // epoch already. Asked in this order, none is told with a later epoch than its own.
    let at = client.list(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", GROUP])?;
    read(&said, &at).map(Some)
}

/// Reads the names and values of the servers that a Sentinel watches, and the address of the primary.
fn read(said: &[String], at: &[String]) -> Result<Primary, Error> {
    let epoch = said.chunks_exact(2).find(|it| it[0] == "config-epoch");
    let primary = || {
        Some(Primary {
            host: at.first().filter(|it| !it.is_empty())?.clone(),
            epoch: epoch?[1].parse().ok()?,
        })
    };
    let wrong = || Error::NoAnswer("the Sentinel does not say who is the primary".to_owned());
    primary().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn primary(host: &str, epoch: u64) -> Answer {
        let host = host.to_owned();
        Some(Some(Primary { host, epoch }))
    }

    #[test]
    fn the_latest_primary_counts() {
        let heard = Heard {
            own: primary("db-0", 3),
            others: vec![None, Some(None), primary("db-1", 4), primary("db-2", 2)],
        };
        assert_eq!(heard.answers(), 4);
        assert_eq!(heard.latest().map(|it| it.host.as_str()), Some("db-1"));
        assert_eq!(Heard::default().latest(), None);
    }

    #[test]
    fn who_is_no_server_any_more_is_a_stranger() {
        let servers = Servers::test();
        let said = [
            "name",
            "a",
            "ip",
            &servers.all[1],
            "name",
            "b",
            "ip",
            "db-3",
        ];
        let said = said.map(str::to_owned);
        assert_eq!(strangers(&said, &servers).collect::<Vec<_>>(), ["db-3"]);
    }

    #[test]
    fn a_sentinel_says_whom_it_watches() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let said = words("name trackbed ip db-1 port 6380 flags master config-epoch 7");
        let at = words("db-2 6380");
        let expected = Primary {
            host: "db-2".to_owned(),
            epoch: 7,
        };
        assert_eq!(read(&said, &at).expect("it says so"), expected);
        read(&said, &[]).expect_err("it says no address");
        read(&words("name trackbed ip db-1"), &at).expect_err("it says no epoch");
    }
}
