//! Clients come to any pod: its supervisor passes them on to the primary, byte by byte. They need to
//! know nothing of Sentinel.

use std::{
    convert::Infallible,
    io::Result,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle, set_tcp_keepintvl};
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional_with_sizes},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};

use crate::Error;

/// Most clients of a pod.
const MOST: usize = 4096;
/// What is held of each of them and each way, in bytes.
const BLOCK: usize = 4 << 10;
/// Longest wait for the primary to take a client.
const PATIENCE: Duration = Duration::from_secs(3);
/// After so long a client that says nothing is asked whether it is there.
const IDLE: Duration = Duration::from_secs(300);
/// Until it is asked again after no answer.
const AGAIN: Duration = Duration::from_secs(15);
/// Until the next try to take one, when the system has no place for it.
const PAUSE: Duration = Duration::from_millis(100);
/// What a server says that has no place.
const FULL: &[u8] = b"-ERR max number of clients reached\r\n";

/// Listens for clients.
///
/// # Errors
/// That it cannot.
pub(super) async fn listen(port: u16) -> std::result::Result<TcpListener, Error> {
    let listener = match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        // Where there is no IPv6.
        Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
        bound => bound,
    };
    listener.map_err(|error| Error::io("listening for clients", error))
}

/// Passes clients on, for ever. Those of a primary that is none any more are cut: they come again.
pub(super) async fn pass(
    listener: TcpListener,
    port: u16,
    primary: watch::Receiver<Option<String>>,
) -> Infallible {
    let places = Arc::new(Semaphore::new(MOST));
    loop {
        let Ok((mut client, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let primary = primary.clone();
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                tokio::spawn(async move {
                    // How a connection ends both ends see by themselves.
                    let _ended = one(client, port, primary).await;
                    drop(place);
                });
            }
            // A new socket always has room for a line.
            Err(_) => drop(client.write_all(FULL).await),
        }
    }
}

async fn one(
    mut client: TcpStream,
    port: u16,
    mut primary: watch::Receiver<Option<String>>,
) -> Result<()> {
    let Some(host) = primary.borrow_and_update().clone() else {
        return Ok(());
    };
    let connect = TcpStream::connect((host.as_str(), port));
    let mut server = timeout(PATIENCE, connect).await??;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        set_socket_keepalive(stream, true)?;
        set_tcp_keepidle(stream, IDLE)?;
        set_tcp_keepintvl(stream, AGAIN)?;
    }
    let another = primary.wait_for(|it| it.as_ref() != Some(&host));
    tokio::select! {
        copied = copy_bidirectional_with_sizes(&mut client, &mut server, BLOCK, BLOCK) => {
            copied.map(|_| ())
        }
        _ = another => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn clients_are_passed_on_until_another_is_the_primary() {
        let server = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = server.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = stream.split();
                    tokio::io::copy(&mut reader, &mut writer).await
                });
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tell, told) = watch::channel(None);
        tokio::spawn(pass(listener, port, told));
        let mut refused = TcpStream::connect(address).await.expect("a connection");
        assert_eq!(refused.read(&mut [0; 8]).await.expect("an end"), 0);

        tell.send_replace(Some("127.0.0.1".to_owned()));
        let mut client = TcpStream::connect(address).await.expect("a connection");
        client.write_all(b"PING").await.expect("it is passed on");
        let mut answer = [0; 4];
        client.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"PING");

        tell.send_replace(Some("localhost".to_owned()));
        assert_eq!(client.read(&mut answer).await.expect("an end"), 0);
    }
}
