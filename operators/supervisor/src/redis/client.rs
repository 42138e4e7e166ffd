//! A connection in Redis' own protocol:
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use std::{
    io::{BufRead, BufReader, Error as Io, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::connection::{Server, Stream};
use crate::{Error, login::Login};

/// Longest text that is read of the server, in bytes.
const LONGEST: usize = 64 << 10;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// The same of other pods that should be there at once: their Sentinels.
const SOON: Duration = Duration::from_secs(1);
/// Most texts in a list.
const MOST: usize = 4096;
/// Longest wait for more of all data. Before they begin, and in a long script, nothing comes.
const SILENCE: Duration = Duration::from_secs(600);
/// Bytes that are read at once.
const BLOCK: usize = 64 << 10;

/// How the supervisor enters the server of its own pod.
#[derive(Clone, Debug)]
pub(super) struct Entrance {
    /// Where that listens.
    pub(super) socket: PathBuf,
    /// As whom.
    pub(super) login: Login,
}

impl Entrance {
    /// # Errors
    /// That the server does not answer, or does not let the user in.
    pub(super) fn enter(&self) -> Result<Client, Error> {
        Client::enter(&self.socket, &self.login)
    }
}

/// A connection of one user.
pub(super) struct Client {
    reader: BufReader<Box<dyn Stream>>,
}

impl Client {
    /// Enters the server of this pod, by its socket.
    ///
    /// # Errors
    /// That it does not answer, or does not let the user in.
    pub(super) fn enter(socket: &Path, login: &Login) -> Result<Self, Error> {
        let connect = || {
            let stream = UnixStream::connect(socket)?;
            stream.wait(PATIENCE)?;
            Ok(stream)
        };
        Self::over(Box::new(connect().map_err(asking)?), login)
    }

    /// Enters a server of another pod.
    ///
    /// # Errors
    /// That it does not answer, is not who it is to be, or does not let the user in.
    pub(super) fn connect(server: &Server, login: &Login) -> Result<Self, Error> {
        Self::over(server.connect(PATIENCE).map_err(asking)?, login)
    }

    /// Enters a server or Sentinel of another pod that answers at once, or not at all.
    ///
    /// # Errors
    /// That it does not, is not who it is to be, or does not let the user in.
    pub(super) fn reach(server: &Server, login: &Login) -> Result<Self, Error> {
        Self::over(server.reach(SOON).map_err(asking)?, login)
    }

    fn over(stream: Box<dyn Stream>, login: &Login) -> Result<Self, Error> {
        let reader = BufReader::with_capacity(BLOCK, stream);
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
            answer => Err(Error::NoAnswer(format!("the server says {answer}"))),
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
            .ok_or_else(|| Error::NoAnswer(format!("the server says {line}")))?;
        let mut text = vec![0; length];
        self.reader.read_exact(&mut text).map_err(asking)?;
        // The end of its line, so that the next answer begins where it begins.
        self.reader.read_exact(&mut [0; 2]).map_err(asking)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Sends a command whose answer is a list of texts, or of lists of them, which are told as one.
    ///
    /// # Errors
    /// That the answer is none, or too long.
    pub(super) fn list(&mut self, words: &[&str]) -> Result<Vec<String>, Error> {
        let first = self.line(words)?;
        let wrong = |line: &str| Error::NoAnswer(format!("the server says {line}"));
        let (mut texts, mut left, mut next) = (Vec::new(), 1_usize, Some(first));
        while left > 0 {
            let line = match next.take() {
                Some(line) => line,
                None => self.next().map_err(asking)?,
            };
            left -= 1;
            let length = || line.get(1..).and_then(|it| it.parse::<usize>().ok());
            match (line.as_bytes().first(), length()) {
                (Some(b'*'), Some(length)) => left = left.saturating_add(length),
                (Some(b'$'), Some(length)) if length <= LONGEST => {
                    let mut text = vec![0; length + 2];
                    self.reader.read_exact(&mut text).map_err(asking)?;
                    text.truncate(length);
                    texts.push(String::from_utf8_lossy(&text).into_owned());
                }
                (Some(b':' | b'+'), _) => texts.push(line[1..].to_owned()),
                _ => return Err(wrong(&line)),
            }
            if left > MOST || texts.len() > MOST {
                return Err(wrong("more than anybody asked for"));
            }
        }
        Ok(texts)
    }

    /// Has the server tell all its data as it tells a replica, and writes them down. `version`: of
    /// Valkey, the latest whose files are wanted; without it they are those of Redis 7.2, which not
    /// all data fit into.
    ///
    /// # Errors
    /// That it does not, or ends before all is told.
    pub(super) fn dump(mut self, version: Option<&str>, to: &mut impl Write) -> Result<(), Error> {
        self.say(&["REPLCONF", "capa", "eof"], "+OK")?;
        self.say(&["REPLCONF", "rdb-only", "1"], "+OK")?;
        if let Some(version) = version {
            self.say(&["REPLCONF", "version", version], "+OK")?;
        }
        self.reader.get_ref().wait(SILENCE).map_err(asking)?;
        let mut head = self.line(&["SYNC"])?;
        // Signs of life while it gets ready.
        while head.is_empty() {
            head = self.next().map_err(asking)?;
        }
        let told = match (head.strip_prefix("$EOF:"), head.strip_prefix('$')) {
            (Some(mark), _) => until(&mut self.reader, mark.as_bytes(), to),
            (None, Some(length)) => exactly(&mut self.reader, length, to),
            (None, None) => return Err(Error::NoAnswer(format!("the server says {head}"))),
        };
        told.map_err(|error| Error::io("copying all data", error))
    }

    fn line(&mut self, words: &[&str]) -> Result<String, Error> {
        let mut text = format!("*{}\r\n", words.len());
        for word in words {
            text += &format!("${}\r\n{word}\r\n", word.len());
        }
        let sent = self.reader.get_mut().write_all(text.as_bytes());
        sent.and_then(|()| self.next()).map_err(asking)
    }

    fn next(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim().to_owned()),
        }
    }
}

fn asking(error: Io) -> Error {
    Error::io("asking the server", error)
}

/// Copies what comes before the mark, which ends it.
fn until(from: &mut impl BufRead, mark: &[u8], to: &mut impl Write) -> std::io::Result<()> {
    // The last bytes may be the mark, or the beginning of it.
    let mut held = Vec::new();
    while !held.ends_with(mark) {
        let block = from.fill_buf()?;
        let length = block.len();
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        held.extend_from_slice(block);
        from.consume(length);
        let surplus = held.len().saturating_sub(mark.len());
        to.write_all(&held[..surplus])?;
        held.drain(..surplus);
    }
    Ok(())
}

/// Copies so many bytes.
fn exactly(from: &mut impl Read, length: &str, to: &mut impl Write) -> std::io::Result<()> {
    let length: u64 = length.parse().map_err(|_| ErrorKind::InvalidData)?;
    match std::io::copy(&mut from.take(length), to)? {
        copied if copied == length => Ok(()),
        _ => Err(ErrorKind::UnexpectedEof.into()),
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

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::unix::net::UnixListener};

    use super::*;

    /// A server that answers each command with the next text.
    fn server(answers: &'static [&'static str]) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            for answer in answers {
                let _asked = stream.read(&mut [0; 512]).expect("a command");
                stream.write_all(answer.as_bytes()).expect("an answer");
            }
        });
        Client::connect(&Server::clear(address), &login()).expect("it is let in")
    }

    fn login() -> Login {
        Login {
            username: "app".to_owned(),
            password: "secret".to_owned(),
        }
    }

    fn told(version: Option<&str>, answers: &'static [&'static str]) -> Result<String, String> {
        let mut text = Vec::new();
        let told = server(answers).dump(version, &mut text);
        told.map_err(|error| error.to_string())?;
        Ok(String::from_utf8(text).expect("a text"))
    }

    const OK: &str = "+OK\r\n";

    #[test]
    fn the_server_of_the_pod_is_entered_by_its_socket() {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("server.sock");
        let absent = Client::enter(&socket, &login()).map(|_| ());
        assert!(absent.is_err(), "nobody is there");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let answers = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut asked = [0; 512];
            let length = stream.read(&mut asked).expect("a command");
            stream.write_all(OK.as_bytes()).expect("an answer");
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        Client::enter(&socket, &login()).expect("it is let in");
        let asked = answers.join().expect("an end");
        assert_eq!(asked, "*3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$6\r\nsecret\r\n");
    }

    #[test]
    fn all_data_end_with_the_mark_or_the_length() {
        let marked = &[OK, OK, OK, "\n\n$EOF:mark\r\nall ma datamark"];
        assert_eq!(told(None, marked).as_deref(), Ok("all ma data"));
        let counted = &[OK, OK, OK, OK, "$8\r\nall data"];
        assert_eq!(told(Some("9.1.2"), counted).as_deref(), Ok("all data"));
    }

    #[test]
    fn what_ends_early_is_not_all() {
        for last in ["$EOF:mark\r\nall mar", "$9\r\nall", "\n", "-NOPERM\r\n"] {
            let answers = vec![OK, OK, OK, last].leak();
            let said = told(None, answers).expect_err("it is not all");
            assert!(!said.is_empty());
        }
    }

    #[test]
    fn the_mark_is_found_wherever_it_is_cut() {
        for size in 1..12 {
            let mut reader = BufReader::with_capacity(size, &b"abc mark"[..]);
            let mut text = Vec::new();
            until(&mut reader, b"mark", &mut text).expect("all of it");
            assert_eq!(text, b"abc ");
        }
    }
}
