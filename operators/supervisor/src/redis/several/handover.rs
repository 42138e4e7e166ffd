//! A primary that is to end has another one take over first, which has everything that it has.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{GROUP, SENTINEL, Servers, ask, standing};
use crate::{
    Error, Options,
    redis::client::{Entrance, aside},
};

/// Longest time that it may take. Applications that write wait as long.
const LIMIT: Duration = Duration::from_secs(25);
/// The same in milliseconds, for the server.
const PAUSE: &str = "30000";
/// Longest wait for the others to have everything.
const CATCHES_UP: Duration = Duration::from_secs(10);
/// Until it is looked again.
const EVERY: Duration = Duration::from_millis(100);

/// Has another one take over, if this one is the primary and there is another one. That nobody does
/// keeps no server from ending.
pub(super) async fn hand_over(options: &Options, entrance: &Entrance) {
    match timeout(LIMIT, attempt(options, entrance)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => eprintln!("trackbed: nobody takes over: {error}"),
        Err(_) => eprintln!("trackbed: nobody takes over in time"),
    }
}

async fn attempt(options: &Options, entrance: &Entrance) -> Result<(), Error> {
    let servers = Servers::read(options)?;
    let look = || {
        let entrance = entrance.clone();
        aside(move || standing(&mut entrance.enter()?))
    };
    let now = look().await?;
    if !now.is_primary || now.followers.is_empty() {
        return Ok(());
    }
    println!("trackbed: has another server take over");
    let pauses = entrance.clone();
    let pause = move || {
        pauses
            .enter()?
            .say(&["CLIENT", "PAUSE", PAUSE, "WRITE"], "+OK")
    };
    aside(pause).await?;
    let since = Instant::now();
    loop {
        let now = look().await?;
        if now.followers.is_empty() {
            return Ok(());
        }
        // Sentinel chooses, so all have to have everything.
        if now.followers.iter().all(|it| *it >= now.offset) {
            break;
        }
        if since.elapsed() > CATCHES_UP {
            let why = "the others do not catch up";
            return Err(Error::NoAnswer(why.to_owned()));
        }
        sleep(EVERY).await;
    }
    ask_for_another(&servers).await?;
    loop {
        let heard = ask::all(&servers).await;
        if heard.others.iter().all(Option::is_none) {
            // All of them end.
            return Ok(());
        }
        if heard.latest().is_some_and(|it| it.host != servers.own) {
            println!("trackbed: another server has taken over");
            return Ok(());
        }
        sleep(EVERY).await;
    }
}

/// Asks the others' Sentinels, one after another. Never the own one, which ends as well: if it did
/// before it has told the others, one server would have been made the primary, and they would go on
/// with this one when it is back. What that one takes until they see it would be lost.
async fn ask_for_another(servers: &Servers) -> Result<(), Error> {
    let mut failed = Error::NoAnswer("no other Sentinel answers".to_owned());
    for host in servers.others() {
        let (host, servers) = (host.clone(), servers.clone());
        let words = ["SENTINEL", "FAILOVER", GROUP];
        let asked = move || servers.enter(&host, SENTINEL)?.say(&words, "+OK");
        match aside(asked).await {
            Ok(()) => return Ok(()),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
