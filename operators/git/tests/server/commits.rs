//! Commits: fetched, and compared.

use std::{fs, path::PathBuf};

use tempfile::TempDir;
use trackbed_git::{Between, Error, Fetch, Touched, changes, fetch};

use super::host::{Server, git};

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
