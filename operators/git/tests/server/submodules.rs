//! Submodules, and what else a repository has elsewhere.

use std::fs;

use tempfile::TempDir;
use trackbed_git::{Credentials, Error, Fetch, fetch};

use super::host::{Server, git, login};

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
