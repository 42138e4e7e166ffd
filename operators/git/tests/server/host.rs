//! A host of repositories.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use trackbed_git::{Credentials, Request};

/// `git http-backend` behind a socket. Paths under `/private` want `ada:s3cret`.
pub(crate) struct Server {
    pub(crate) root: TempDir,
    pub(crate) port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let folder = root.path().to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let folder = folder.clone();
                thread::spawn(move || answer(stream, &folder));
            }
        });
        Self { root, port }
    }

    /// A repository with one commit, and that commit.
    pub(crate) fn repository(&self, name: &str, files: &[(&str, &str)]) -> String {
        let bare = self.root.path().join(name);
        git(
            self.root.path(),
            &["init", "--quiet", "--bare", "--initial-branch=main", name],
        );
        let work = tempfile::tempdir().expect("a folder");
        git(work.path(), &["init", "--quiet", "--initial-branch=main"]);
        for (path, content) in files {
            fs::write(work.path().join(path), content).expect("a file");
        }
        git(work.path(), &["add", "--all"]);
        let author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
        git(
            work.path(),
            &[&author[..], &["commit", "--quiet", "-m", "First"]].concat(),
        );
        let tag = ["tag", "-a", "v1", "-m", "one"];
        git(work.path(), &[&author[..], &tag].concat());
        let target = bare.display().to_string();
        git(work.path(), &["push", "--quiet", &target, "main", "v1"]);
        git(work.path(), &["rev-parse", "HEAD"]).trim().to_owned()
    }

    pub(crate) fn request(&self, name: &str) -> Request {
        Request {
            url: format!("http://127.0.0.1:{}/{name}", self.port),
            credentials: None,
            deadline: Duration::from_secs(30),
        }
    }
}

pub(crate) fn login(password: &str) -> Credentials {
    Credentials::Basic {
        username: "ada".to_owned(),
        password: password.to_owned(),
    }
}

pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("git is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// One request by CGI (RFC 3875).
fn answer(mut stream: TcpStream, root: &Path) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim().split_once(": ") {
            Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let header = |name: &str| {
        headers
            .iter()
            .find(|(it, _)| it == name)
            .map(|(_, value)| value.clone())
    };
    // "ada:s3cret"
    let allowed = header("authorization").as_deref() == Some("Basic YWRhOnMzY3JldA==");
    if path.starts_with("/private") && !allowed {
        let refusal = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(refusal.as_bytes()).ok();
    }
    if let Some(to) = path.strip_prefix("/moved") {
        let on = format!(
            "HTTP/1.1 301 Moved\r\nLocation: {to}?{query}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        return stream.write_all(on.as_bytes()).ok();
    }
    if path.starts_with("/elsewhere") {
        let away = "HTTP/1.1 302 Found\r\nLocation: http://localhost:9/stolen\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(away.as_bytes()).ok();
    }
    let length: usize = header("content-length")
        .and_then(|it| it.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", &method)
        .env("CONTENT_TYPE", header("content-type").unwrap_or_default())
        .env("CONTENT_LENGTH", length.to_string())
        .env(
            "HTTP_CONTENT_ENCODING",
            header("content-encoding").unwrap_or_default(),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(&body).ok()?;
    let output = child.wait_with_output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let status = match text.strip_prefix("Status: ") {
        Some(rest) => rest.lines().next()?.trim().to_owned(),
        None => "200 OK".to_owned(),
    };
    let body = output.stdout.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
    let length = output.stdout.len() - body;
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&output.stdout).ok()
}
