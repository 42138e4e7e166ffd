//! What changes while a server runs: who is the primary, and whether this one could take over.

use std::{convert::Infallible, fs, time::Duration};

use tokio::sync::watch;

use super::{
    SERVER, Servers, Standing,
    ask::{self, Primary},
    begin::Begun,
    primary_file, standing,
};
use crate::{
    Error, Marker, Options, marker,
    redis::client::{Entrance, aside},
};

/// Until Sentinels and the server are asked again.
const EVERY: Duration = Duration::from_millis(500);
/// File in memory by which a person has a server count as whole that is not.
const PROMOTE: &str = "promote";
/// What Sentinels think of a server that may take over, and of one that may not:
/// <https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#replicas-priority>.
pub(super) const MAY: &str = "100";
pub(super) const MAY_NOT: &str = "0";

/// Asks who is the primary, and tells of each change, for ever.
pub(super) async fn primary(options: &Options, tell: watch::Sender<Option<String>>) -> Infallible {
    let mut known: Option<Primary> = None;
    loop {
        let found = latest(options).await;
        let newer = found.filter(|it| is_news(known.as_ref(), it));
        if let Some(found) = newer {
            match write(options, &found.host) {
                Ok(()) => {
                    println!("trackbed: the primary is {}", found.host);
                    tell.send_replace(Some(found.host.clone()));
                    known = Some(found);
                }
                Err(error) => eprintln!("trackbed: {error}"),
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn is_news(known: Option<&Primary>, found: &Primary) -> bool {
    known.is_none_or(|known| found.epoch >= known.epoch && found != known)
}

/// By the own Sentinel, or if that is silent by most of all.
async fn latest(options: &Options) -> Option<Primary> {
    let servers = Servers::read(options).ok()?;
    if let Ok(Some(found)) = ask::own(servers.clone()).await {
        return Some(found);
    }
    let heard = ask::all(&servers).await;
    let enough = heard.answers() >= servers.majority();
    heard.latest().filter(|_| enough).cloned()
}

fn write(options: &Options, primary: &str) -> Result<(), Error> {
    let path = primary_file(options);
    let draft = path.with_extension("new");
    let written = fs::write(&draft, primary).and_then(|()| fs::rename(&draft, &path));
    written.map_err(|e| Error::io(format!("writing {}", path.display()), e))
}

/// The own server, as its supervisor sees it.
pub(super) struct Own {
    pub(super) entrance: Entrance,
    pub(super) begun: Begun,
    /// What whole data say of themselves.
    pub(super) marker: Marker,
    pub(super) options: Options,
}

impl Own {
    /// Lets the server take over once it has all data, and not before, for ever. What it had when it
    /// began may be days old.
    pub(super) async fn follow(mut self) -> Infallible {
        let leads = self.begun.follows.is_none();
        let mut whole = Whole::new(leads);
        let mut told = leads;
        loop {
            tokio::time::sleep(EVERY).await;
            let asked = self.entrance.clone();
            let Ok(seen) = aside(move || standing(&mut asked.enter()?)).await else {
                continue;
            };
            let away = !seen.is_primary && !seen.linked;
            let primary = match away {
                true => leading(&self.options).await,
                false => None,
            };
            whole.see(&seen, primary.as_ref());
            let all = self.publish(whole.is) && !whole.behind;
            let may = all || self.options.run.join(PROMOTE).exists();
            if may == told {
                continue;
            }
            match self.tell(may).await {
                Ok(()) => told = may,
                Err(error) => eprintln!("trackbed: {error}"),
            }
        }
    }

    /// Makes what was taken from the primary the server's data, once it is whole. The server works in
    /// that folder, whatever its name is.
    fn publish(&mut self, whole: bool) -> bool {
        let Some(folder) = self.begun.whole.clone().filter(|_| whole) else {
            return whole;
        };
        match marker::publish(&self.begun.folder, &folder, &self.marker) {
            Ok(()) => {
                println!("trackbed: all data are there");
                self.begun.whole = None;
                true
            }
            Err(error) => {
                eprintln!("trackbed: {error}");
                false
            }
        }
    }

    async fn tell(&self, may: bool) -> Result<(), Error> {
        let entrance = self.entrance.clone();
        let (priority, what) = match may {
            true => (MAY, "can take over"),
            false => (MAY_NOT, "cannot take over until it has all data"),
        };
        let words = ["CONFIG", "SET", "replica-priority", priority];
        aside(move || entrance.enter()?.say(&words, "+OK")).await?;
        println!("trackbed: {what}");
        Ok(())
    }
}

/// How the primary stands that this server lost. `None`: it does not answer.
async fn leading(options: &Options) -> Option<Standing> {
    let servers = Servers::read(options).ok()?;
    let primary = fs::read_to_string(primary_file(options)).ok()?;
    if primary == servers.own {
        return None;
    }
    let asked = aside(move || standing(&mut servers.enter(&primary, SERVER)?)).await;
    asked.ok()
}

/// Whether a server has all data of the primary that it follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Whole {
    is: bool,
    /// Whether it was the primary itself.
    led: bool,
    /// Whether the primary went on without it, and with another. A primary that started anew counts
    /// from the beginning, so Sentinels would take the one that stayed behind for the further one.
    behind: bool,
}

impl Whole {
    /// Of one that begins as the primary, or not.
    fn new(leads: bool) -> Self {
        Self {
            is: leads,
            led: leads,
            behind: false,
        }
    }

    /// Looks at it, and at the primary that it lost, if that answers.
    fn see(&mut self, now: &Standing, primary: Option<&Standing>) {
        self.behind = match (now.is_primary || now.linked, primary) {
            (true, _) => false,
            (false, Some(primary)) if primary.is_primary => !primary.followers.is_empty(),
            // What it has not, whoever leads now may have.
            (false, _) => self.behind,
        };
        self.is = match (now.is_primary, now.linked) {
            (true, _) => self.is || self.led,
            (false, true) => self.is || now.written,
            // Another one took over from it, and may have what it has not.
            (false, false) => self.is && !self.led,
        };
        self.led = now.is_primary;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_primary_counts() {
        let primary = |host: &str, epoch| Primary {
            host: host.to_owned(),
            epoch,
        };
        let known = primary("db-0", 2);
        assert!(is_news(None, &known));
        assert!(!is_news(Some(&known), &known));
        assert!(is_news(Some(&known), &primary("db-1", 3)));
        assert!(!is_news(Some(&known), &primary("db-1", 1)));
    }

    #[test]
    fn who_has_not_all_data_cannot_take_over() {
        let primary = Standing {
            is_primary: true,
            ..Standing::default()
        };
        let away = Standing::default();
        let linked = Standing {
            linked: true,
            ..Standing::default()
        };
        let written = Standing {
            written: true,
            ..linked.clone()
        };
        let whole = |leads: bool, seen: &[&Standing]| {
            let mut whole = Whole::new(leads);
            seen.iter().for_each(|it| whole.see(it, None));
            whole.is
        };
        assert!(!whole(false, &[&away, &linked]));
        assert!(whole(false, &[&away, &linked, &written]));
        assert!(
            whole(false, &[&written, &away, &linked]),
            "its primary failed"
        );
        assert!(whole(false, &[&written, &away, &primary]), "it took over");
        assert!(whole(true, &[&primary, &linked, &written]));
        assert!(!whole(true, &[&primary, &away]), "another took over");
        assert!(!whole(true, &[&primary, &away, &linked]));
        assert!(!whole(false, &[&primary]), "somebody made it one by hand");
    }

    #[test]
    fn whom_the_primary_went_on_without_cannot_take_over() {
        let away = Standing::default();
        let linked = Standing {
            linked: true,
            written: true,
            ..Standing::default()
        };
        let leads = |followers: &[u64]| Standing {
            is_primary: true,
            followers: followers.to_vec(),
            ..Standing::default()
        };
        let mut whole = Whole::new(false);
        let mut look = |now: &Standing, primary: Option<&Standing>| {
            whole.see(now, primary);
            (whole.is, whole.behind)
        };
        assert_eq!(look(&linked, None), (true, false));
        assert_eq!(look(&away, None), (true, false), "nobody leads");
        assert_eq!(look(&away, Some(&leads(&[]))), (true, false), "alone");
        assert_eq!(look(&away, Some(&leads(&[7]))), (true, true));
        assert_eq!(look(&away, None), (true, true), "it ended, then");
        assert_eq!(look(&away, Some(&linked)), (true, true), "another leads");
        assert_eq!(look(&linked, None), (true, false), "it has caught up");
    }
}
