//! A connection in Redis' own protocol:
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use crate::{Error, login::Login};

/// Longest text that is read of the server, in bytes.
const LONGEST: usize = 64 << 10;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A connection of one user.
pub(super) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Enters the server of this pod.
    ///
    /// # Errors
    /// That it does not answer, or does not let the user in.
    pub(super) fn enter(port: u16, login: &Login) -> Result<Self, Error> {
        Self::connect(("127.0.0.1", port), login)
    }

    /// Enters a server.
    ///
    /// # Errors
    /// That it does not answer, or does not let the user in.
    pub(super) fn connect(server: impl ToSocketAddrs, login: &Login) -> Result<Self, Error> {
        let connect = || {
            let stream = TcpStream::connect(server)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            std::io::Result::Ok(BufReader::new(stream))
        };
        let reader = connect().map_err(|error| Error::io("asking redis", error))?;
        let mut client = Self { reader };
        client.say(&["AUTH", &login.username, &login.password], "+OK")?;
        Ok(client)
    }

    /// Sends a command whose answer is one line.
    ///
    /// # Errors
    /// That the answer is another.
    pub(super) fn say(&mut self, words: &[&str], expected: &str) -> Result<(), Error> {
        match self.line(words)? {
            answer if answer == expected => Ok(()),
            answer => Err(Error::NoAnswer(format!("redis says {answer}"))),
        }
    }

    /// Sends a command whose answer is a text.
    ///
    /// # Errors
    /// That the answer is none, or too long.
    pub(super) fn ask(&mut self, words: &[&str]) -> Result<String, Error> {
        let line = self.line(words)?;
        let length = line.strip_prefix('$').and_then(|it| it.parse().ok());
        let length: usize = length
            .filter(|it| *it <= LONGEST)
            .ok_or_else(|| Error::NoAnswer(format!("redis says {line}")))?;
        let mut text = vec![0; length];
        let read = self.reader.read_exact(&mut text);
        read.map_err(|error| Error::io("asking redis", error))?;
        // The end of its line, so that the next answer begins where it begins.
        let ended = self.reader.read_exact(&mut [0; 2]);
        ended.map_err(|error| Error::io("asking redis", error))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn line(&mut self, words: &[&str]) -> Result<String, Error> {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text += &format!("${}\r\n{word}\r\n", word.len());
        }
        let mut line = String::new();
        let mut ask = || {
            self.reader.get_mut().write_all(text.as_bytes())?;
            self.reader.read_line(&mut line)
        };
        ask().map_err(|error| Error::io("asking redis", error))?;
        Ok(line.trim().to_owned())
    }
}

/// Does something that waits for the server without keeping others waiting.
///
/// # Errors
/// What it says itself.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::NoAnswer(error.to_string())))
}

/// The values of `INFO`: <https://redis.io/docs/latest/commands/info/>.
pub(super) fn fields(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name, value.trim()))
}
