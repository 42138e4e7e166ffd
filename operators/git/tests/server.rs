//! Against git's own http server.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use trackbed_git::{
    Between, Credentials, Error, Fetch, Request, Touched, changes, fetch, ls_remote,
};

/// `git http-backend` behind a socket. Paths under `/private` want `ada:s3cret`.
struct Server {
    root: TempDir,
    port: u16,
}

impl Server {
    fn start() -> Self {
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
    fn repository(&self, name: &str, files: &[(&str, &str)]) -> String {
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

    fn request(&self, name: &str) -> Request {
        Request {
            url: format!("http://127.0.0.1:{}/{name}", self.port),
            credentials: None,
            deadline: Duration::from_secs(30),
        }
    }
}

fn login(password: &str) -> Credentials {
    Credentials::Basic {
        username: "ada".to_owned(),
        password: password.to_owned(),
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
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

fn fetch_into(
    server: &Server,
    name: &str,
    commit: &str,
    reference: Option<&str>,
) -> Result<(PathBuf, TempDir), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let what = Fetch {
        request: server.request(name),
        commit: commit.to_owned(),
        reference: reference.map(str::to_owned),
        path: None,
        max_bytes: 1 << 20,
    };
    fetch(&what, folder.path(), &mut |_| {})?;
    Ok((folder.path().to_owned(), folder))
}

#[test]
fn refs_and_head_and_tags_are_told() {
    let server = Server::start();
    let commit = server.repository("shop.git", &[("a.txt", "a")]);
    let remote = ls_remote(&server.request("shop.git")).expect("refs");
    assert_eq!(remote.resolve(None).expect("HEAD").commit, commit);
    assert_eq!(
        remote.resolve(None).expect("HEAD").reference,
        "refs/heads/main"
    );
    let tag = remote.resolve(Some("refs/tags/v1")).expect("a tag");
    assert_eq!(tag.commit, commit, "an annotated tag names its commit");
}

#[test]
fn what_does_not_exist_is_named() {
    let server = Server::start();
    let error = ls_remote(&server.request("nowhere.git")).expect_err("nothing there");
    assert_eq!(error.reason(), "RepositoryNotFound", "{error}");
}

#[test]
fn credentials_are_needed_used_and_refused() {
    let server = Server::start();
    server.repository("private", &[("a.txt", "a")]);
    let mut request = server.request("private");
    let error = ls_remote(&request).expect_err("no credentials");
    assert!(matches!(error, Error::CredentialsNeeded { .. }), "{error}");
    request.credentials = Some(login("wrong"));
    let error = ls_remote(&request).expect_err("wrong credentials");
    assert!(matches!(error, Error::CredentialsRefused(_)), "{error}");
    assert!(!error.to_string().contains("wrong"), "{error}");
    request.credentials = Some(login("s3cret"));
    assert!(ls_remote(&request).is_ok());
}

#[test]
fn a_host_that_is_not_there_is_unreachable() {
    let request = Request {
        url: "http://127.0.0.1:9/shop.git".to_owned(),
        credentials: None,
        deadline: Duration::from_secs(30),
    };
    let error = ls_remote(&request).expect_err("nobody listens");
    assert_eq!(error.reason(), "HostUnreachable", "{error}");
}

#[test]
fn a_redirect_is_not_followed_with_credentials() {
    let server = Server::start();
    let mut request = server.request("elsewhere");
    request.credentials = Some(login("s3cret"));
    let error = ls_remote(&request).expect_err("another host");
    assert_eq!(error.reason(), "RedirectRefused", "{error}");
}

#[test]
fn a_redirect_to_another_port_is_not_followed_with_credentials() {
    let listen = || TcpListener::bind("127.0.0.1:0").expect("a port");
    let (first, second) = (listen(), listen());
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    let (own, other) = (port(&first), port(&second));
    let asks = "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"";
    let sends = format!("302 Found\r\nLocation: http://127.0.0.1:{other}/a");
    // It redirects at once, and then after it was given the credentials.
    for answers in [vec![sends.as_str()], vec![asks, &sends]] {
        let first = first.try_clone().expect("a listener");
        let answers: Vec<String> = answers.into_iter().map(str::to_owned).collect();
        let served = thread::spawn(move || {
            for status in answers {
                let (stream, _) = first.accept().expect("a request");
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                while reader.read_line(&mut line).expect("a line") > 2 {}
                let end = "Content-Length: 0\r\nConnection: close\r\n\r\n";
                write!(reader.get_mut(), "HTTP/1.1 {status}\r\n{end}").expect("an answer");
            }
        });
        let request = Request {
            url: format!("http://127.0.0.1:{own}/a"),
            credentials: Some(login("s3cret")),
            deadline: Duration::from_secs(30),
        };
        let error = ls_remote(&request).expect_err("another port");
        assert_eq!(error.reason(), "RedirectRefused", "{error}");
        served.join().expect("it was asked");
    }
    second.set_nonblocking(true).expect("a listener");
    assert!(second.accept().is_err(), "nobody was there");
}

#[test]
fn a_redirect_within_the_host_is_followed_with_credentials() {
    let server = Server::start();
    server.repository("private", &[("a.txt", "a")]);
    let mut request = server.request("moved/private");
    request.credentials = Some(login("s3cret"));
    let remote = ls_remote(&request).expect("refs");
    assert_eq!(remote.head.as_deref(), Some("refs/heads/main"));
}

#[test]
fn a_commit_is_written_without_git() {
    let server = Server::start();
    let commit = server.repository("shop.git", &[("a.txt", "first")]);
    for reference in [None, Some("refs/heads/main")] {
        let (folder, _keep) = fetch_into(&server, "shop.git", &commit, reference).expect("files");
        assert_eq!(
            fs::read_to_string(folder.join("a.txt")).expect("a file"),
            "first"
        );
        assert!(!folder.join(".git").exists());
    }
}

#[test]
fn an_older_commit_is_found_in_the_history() {
    let server = Server::start();
    let first = server.repository("shop.git", &[("a.txt", "first")]);
    let work = tempfile::tempdir().expect("a folder");
    let bare = server.root.path().join("shop.git").display().to_string();
    git(work.path(), &["clone", "--quiet", &bare, "."]);
    fs::write(work.path().join("a.txt"), "second").expect("a file");
    let author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
    git(
        work.path(),
        &[&author[..], &["commit", "--quiet", "-am", "Second"]].concat(),
    );
    git(work.path(), &["push", "--quiet", "origin", "main"]);
    // Nothing leads to it but the history of the branch.
    git(
        work.path(),
        &["push", "--quiet", "--delete", "origin", "v1"],
    );
    let (folder, _keep) =
        fetch_into(&server, "shop.git", &first, Some("refs/heads/main")).expect("files");
    assert_eq!(
        fs::read_to_string(folder.join("a.txt")).expect("a file"),
        "first"
    );
}

#[test]
fn a_commit_that_is_not_there_is_named() {
    let server = Server::start();
    server.repository("shop.git", &[("a.txt", "a")]);
    let bare = server.root.path().join("shop.git");
    // Some hand out refs only, others whatever is asked for by its name, as forges do.
    for any in ["false", "true"] {
        git(&bare, &["config", "uploadpack.allowAnySHA1InWant", any]);
        let missing = "0123456789".repeat(4);
        let error = fetch_into(&server, "shop.git", &missing, None).expect_err("no commit");
        assert_eq!(error.reason(), "CommitNotFound", "{error}");
    }
}

#[test]
fn too_much_is_stopped() {
    let server = Server::start();
    let mut noise = String::new();
    let mut state = 1_u64;
    while noise.len() < 3 << 20 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        noise += &format!("{state:x}");
    }
    let commit = server.repository("large.git", &[("noise", &noise)]);
    let error =
        fetch_into(&server, "large.git", &commit, Some("refs/heads/main")).expect_err("too much");
    assert_eq!(error.reason(), "RepositoryTooLarge", "{error}");
}

#[test]
fn other_schemes_are_refused() {
    for url in ["file:///etc", "--upload-pack=x", "http://ada:pw@host/r"] {
        let request = Request {
            url: url.to_owned(),
            credentials: None,
            deadline: Duration::from_secs(5),
        };
        let error = ls_remote(&request).expect_err("refused");
        assert_eq!(error.reason(), "InvalidUrl", "{url}");
        assert!(!error.to_string().contains("pw"), "{error}");
    }
}

#[test]
fn ssh_wants_a_key_and_https_none() {
    let request = |url: &str, credentials| Request {
        url: url.to_owned(),
        credentials,
        deadline: Duration::from_secs(5),
    };
    let key = Credentials::Ssh {
        private_key: "key".to_owned(),
        passphrase: None,
        known_hosts: String::new(),
    };
    for (url, credentials, reason) in [
        ("ssh://git@127.0.0.1:9/r", None, "AuthenticationFailed"),
        ("git@127.0.0.1:r", Some(login("x")), "SecretInvalid"),
        ("https://127.0.0.1:9/r", Some(key), "SecretInvalid"),
    ] {
        let error = ls_remote(&request(url, credentials)).expect_err("refused");
        assert_eq!(error.reason(), reason, "{error}");
    }
}

/// Adds a commit that has `lib` at a commit of another repository.
fn add_submodule(server: &Server, name: &str, url: &str, commit: &str) -> String {
    let work = tempfile::tempdir().expect("a folder");
    let bare = server.root.path().join(name).display().to_string();
    git(work.path(), &["clone", "--quiet", &bare, "."]);
    let modules = format!("[submodule \"lib\"]\n\tpath = lib\n\turl = {url}\n");
    fs::write(work.path().join(".gitmodules"), modules).expect("a file");
    git(work.path(), &["add", ".gitmodules"]);
    let link = format!("160000,{commit},lib");
    git(
        work.path(),
        &["update-index", "--add", "--cacheinfo", &link],
    );
    let author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
    git(
        work.path(),
        &[&author[..], &["commit", "--quiet", "-m", "With a library"]].concat(),
    );
    git(work.path(), &["push", "--quiet", "origin", "main"]);
    git(work.path(), &["rev-parse", "HEAD"]).trim().to_owned()
}

fn fetch_as(
    server: &Server,
    name: &str,
    commit: &str,
    credentials: Option<Credentials>,
) -> Result<TempDir, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut request = server.request(name);
    request.credentials = credentials;
    let what = Fetch {
        request,
        commit: commit.to_owned(),
        reference: Some("refs/heads/main".to_owned()),
        path: None,
        max_bytes: 1 << 20,
    };
    fetch(&what, folder.path(), &mut |_| {})?;
    Ok(folder)
}

#[test]
fn a_submodule_beside_gets_the_same_credentials() {
    let server = Server::start();
    let lib = server.repository("private-lib", &[("lib.txt", "a library")]);
    server.repository("private-shop", &[("a.txt", "a")]);
    let commit = add_submodule(&server, "private-shop", "../private-lib", &lib);
    let folder = fetch_as(&server, "private-shop", &commit, Some(login("s3cret"))).expect("files");
    let text = fs::read_to_string(folder.path().join("lib/lib.txt")).expect("a file");
    assert_eq!(text, "a library");
}

#[test]
fn a_submodule_elsewhere_gets_none() {
    let server = Server::start();
    let other = Server::start();
    let lib = other.repository("private-lib", &[("lib.txt", "a library")]);
    server.repository("private-shop", &[("a.txt", "a")]);
    let url = other.request("private-lib").url;
    let commit = add_submodule(&server, "private-shop", &url, &lib);
    let error =
        fetch_as(&server, "private-shop", &commit, Some(login("s3cret"))).expect_err("no password");
    assert_eq!(error.reason(), "AuthenticationFailed", "{error}");
    assert!(error.to_string().starts_with("submodule lib: "), "{error}");
}

#[test]
fn a_gitmodules_that_is_none_is_named() {
    let server = Server::start();
    let lib = server.repository("lib.git", &[("lib.txt", "a library")]);
    server.repository("shop.git", &[("a.txt", "a")]);
    let commit = add_submodule(&server, "shop.git", "../lib.git\n[submodule", &lib);
    let error = fetch_as(&server, "shop.git", &commit, None).expect_err("refused");
    assert_eq!(error.reason(), "SubmoduleInvalid", "{error}");
    assert!(error.to_string().contains(".gitmodules"), "{error}");
}

#[test]
fn a_submodule_that_is_a_local_path_is_refused() {
    let server = Server::start();
    let lib = server.repository("lib.git", &[("lib.txt", "a library")]);
    for url in ["/etc", "file:///etc", "--upload-pack=id", "ext::sh -c id"] {
        let name = format!("shop-{}.git", url.len());
        server.repository(&name, &[("a.txt", "a")]);
        let commit = add_submodule(&server, &name, url, &lib);
        let error = fetch_as(&server, &name, &commit, None).expect_err("refused");
        assert_eq!(error.reason(), "InvalidUrl", "{url}: {error}");
    }
}

#[test]
fn files_of_lfs_are_named() {
    let server = Server::start();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n";
    let files = [
        (
            ".gitattributes",
            "*.png filter=lfs diff=lfs merge=lfs -text\n",
        ),
        ("logo.png", pointer),
    ];
    let commit = server.repository("shop.git", &files);
    let error = fetch_as(&server, "shop.git", &commit, None).expect_err("a pointer");
    assert_eq!(error.reason(), "LfsNotSupported");
    assert!(error.to_string().contains("logo.png"), "{error}");
    let commit = server.repository("other.git", &[files[0], ("logo.png", "a real one")]);
    assert!(fetch_as(&server, "other.git", &commit, None).is_ok());
}

#[test]
fn what_came_between_two_commits_is_compared() {
    let server = Server::start();
    let first = server.repository("mono.git", &[("web.js", "1"), ("api.go", "1")]);
    let bare = server.root.path().join("mono.git").display().to_string();
    let work = tempfile::tempdir().expect("a folder");
    git(work.path(), &["clone", "--quiet", &bare, "."]);
    let author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
    let commit = |file: &str, content: &str| {
        fs::write(work.path().join(file), content).expect("a file");
        git(work.path(), &["add", "--all"]);
        git(
            work.path(),
            &[&author[..], &["commit", "--quiet", "-m", "Next"]].concat(),
        );
        git(work.path(), &["push", "--quiet", "origin", "main"]);
        git(work.path(), &["rev-parse", "HEAD"]).trim().to_owned()
    };
    let second = commit("web.js", "2");
    let third = commit("api.go", "2");
    let between = |from: &str, to: &str, patterns: &[&str]| {
        let between = Between {
            request: server.request("mono.git"),
            from: from.to_owned(),
            to: to.to_owned(),
            reference: Some("refs/heads/main".to_owned()),
            patterns: patterns.iter().map(|it| (*it).to_owned()).collect(),
            max_bytes: 1 << 20,
        };
        changes(&between)
    };
    let yes = |path: &str| Touched::Yes(path.to_owned());
    // The last commit alone touches the other one.
    let found = between(&first, &third, &["*.js"]).expect("an answer");
    assert_eq!(found, yes("web.js"));
    let found = between(&second, &third, &["*.js"]).expect("an answer");
    assert_eq!(found, Touched::No);
    let found = between(&second, &third, &["!*.js"]).expect("an answer");
    assert_eq!(found, yes("api.go"));
    let gone = "0123456789abcdef0123456789abcdef01234567";
    let found = between(gone, &third, &["*.js"]).expect("an answer");
    assert_eq!(found, Touched::Unknown);
    let error = between(&first, gone, &["*.js"]).expect_err("there is none");
    assert!(matches!(error, Error::CommitNotFound { .. }), "{error}");
    let error = between(&first, &third, &["a{"]).expect_err("it is none");
    assert_eq!(error.reason(), "InvalidBuildPlan", "{error}");
}
