//! Commits of other repositories inside a commit.

use std::{collections::BTreeMap, fs, path::Path};

use git2::{ObjectType, Repository, Tree, TreeWalkMode, TreeWalkResult};

use crate::{
    Error, Fetch, Request,
    fetch::{Pace, materialise},
    lfs::Refusal,
    url::Url,
};

/// Submodules inside of submodules, and submodules of one commit: more are a mistake, or an attack.
const DEEP: usize = 8;
const MANY: usize = 100;
/// A `.gitmodules` larger than this is none.
const FILE_MAX: usize = 1 << 20;

/// A submodule of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Submodule {
    /// Its folder.
    path: String,
    /// Its commit.
    commit: String,
    /// Where it is, as `.gitmodules` says. `None`: it does not.
    url: Option<String>,
}

/// The submodules of a commit.
pub(crate) fn of(repository: &Repository, tree: &Tree<'_>) -> Result<Vec<Submodule>, Refusal> {
    let mut links = Vec::new();
    tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        if entry.kind() == Some(ObjectType::Commit) {
            let name = entry.name().unwrap_or_default();
            links.push((format!("{folder}{name}"), entry.id().to_string()));
        }
        TreeWalkResult::Ok
    })?;
    if links.len() > MANY {
        return Err(Refusal::Own(Error::Submodules(format!(
            "the commit has {} submodules, and at most {MANY} are fetched",
            links.len()
        ))));
    }
    let urls = match tree.get_name(".gitmodules") {
        Some(entry) => {
            addresses(repository.find_blob(entry.id())?.content()).map_err(Refusal::Own)?
        }
        None => BTreeMap::new(),
    };
    let found = links.into_iter().map(|(path, commit)| Submodule {
        url: urls.get(&path).cloned(),
        path,
        commit,
    });
    Ok(found.collect())
}

/// URLs by folder, of the text of a `.gitmodules` (<https://git-scm.com/docs/gitmodules>).
fn addresses(text: &[u8]) -> Result<BTreeMap<String, String>, Error> {
    let broken = |why: &dyn std::fmt::Display| {
        Error::Submodules(format!("the commit's .gitmodules cannot be read: {why}"))
    };
    if text.len() > FILE_MAX {
        return Err(broken(&"it is too large"));
    }
    let file = gix_config::File::from_bytes_no_includes(
        text,
        gix_config::file::Metadata::default(),
        gix_config::file::init::Options::default(),
    )
    .map_err(|error| broken(&error))?;
    let mut urls = BTreeMap::new();
    for section in file.sections_by_name("submodule").into_iter().flatten() {
        let value = |key: &str| section.value(key).map(|value| value.to_string());
        if let (Some(path), Some(url)) = (value("path"), value("url")) {
            urls.insert(path, url);
        }
    }
    Ok(urls)
}

/// Fetches submodules into their folders, and gives these. Those at the same scheme, host and port
/// get the same credentials, others none.
pub(crate) fn fetch(
    found: &[Submodule],
    parent: &Fetch,
    url: &Url,
    into: &Path,
    pace: &Pace,
    depth: usize,
) -> Result<Vec<String>, Error> {
    if depth >= DEEP && !found.is_empty() {
        return Err(Error::Submodules(format!(
            "submodules are nested more than {DEEP} deep"
        )));
    }
    let mut fetched = Vec::new();
    for submodule in found {
        // git leaves it empty as well: such commits exist, by mistake.
        let Some(address) = &submodule.url else {
            continue;
        };
        let failed = |source: Error| Error::Submodule {
            path: submodule.path.clone(),
            source: Box::new(source),
        };
        let place = url.join(address).map_err(failed)?;
        let folder = folder(into, &submodule.path).map_err(failed)?;
        let credentials = parent.request.credentials.clone();
        let what = Fetch {
            request: Request {
                url: place.as_str().to_owned(),
                credentials: credentials.filter(|_| url.same_origin(&place)),
                deadline: parent.request.deadline,
            },
            commit: submodule.commit.clone(),
            reference: None,
            path: None,
            max_bytes: parent.max_bytes,
        };
        what.request.check().map_err(failed)?;
        let commit = materialise(&what, &place, &folder, pace, depth + 1).map_err(failed)?;
        fetched.push(submodule.path.clone());
        let nested = commit.submodules.iter();
        fetched.extend(nested.map(|path| format!("{}/{path}", submodule.path)));
    }
    Ok(fetched)
}

/// The submodule's folder, with no link anywhere on the way: a commit could hold one that leads out.
fn folder(root: &Path, path: &str) -> Result<std::path::PathBuf, Error> {
    let mut found = root.to_owned();
    for part in path.split('/') {
        if matches!(part, "" | "." | ".." | ".git") {
            return Err(Error::Submodules(format!(
                "{path} is no folder of the repository"
            )));
        }
        found.push(part);
        if fs::symlink_metadata(&found).is_ok_and(|it| !it.is_dir()) {
            return Err(Error::Submodules(format!(
                "{path} leads through something that is no folder"
            )));
        }
    }
    fs::create_dir_all(&found).map_err(|source| Error::Io {
        what: format!("creating {}", found.display()),
        source,
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_nothing_else_is() {
        let text = br#"
            [submodule "lib"]
                path = lib
                url = ../lib.git ; beside
                update = !touch /tmp/owned
            [include]
                path = /etc/passwd
            [submodule "other"]
                path = "vendor/with space"
                url = https://example.com/x
            [submodule "half"]
                path = half
        "#;
        let found = addresses(text).expect("addresses");
        let expected = [
            ("lib", "../lib.git"),
            ("vendor/with space", "https://example.com/x"),
        ];
        assert_eq!(
            found,
            expected
                .map(|(path, url)| (path.to_owned(), url.to_owned()))
                .into()
        );
        assert!(addresses(b"[submodule").is_err());
    }

    #[test]
    fn no_folder_leads_out() {
        let root = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink("/etc", root.path().join("link")).expect("a link");
        for path in [
            "../x",
            "a/../../x",
            "/etc",
            "link/x",
            "link",
            ".git/hooks",
            "",
        ] {
            assert!(folder(root.path(), path).is_err(), "{path}");
        }
        assert!(folder(root.path(), "a/b").expect("a folder").is_dir());
    }
}
