//! An application of the examples, with other words in it, on the cluster's git server.

use std::{fs, path::Path};

use cluster::{Name, Publish};

use crate::{
    error::{Doing, Error, Result},
    repository,
};

/// Puts `folder` of this repository on the git server as `name`, with words replaced.
pub(super) fn publish(
    cluster: Name,
    folder: &str,
    name: &str,
    words: &[(&str, &str)],
) -> Result<()> {
    let copied = tempfile::tempdir().doing(|| "making a folder".to_owned())?;
    let mut replaced = 0;
    copy(&repository(folder), copied.path(), words, &mut replaced)?;
    if replaced == 0 && !words.is_empty() {
        return Err(Error::Failed(format!("no file of {folder} has {words:?}")));
    }
    let what = Publish {
        folder: copied.path().to_owned(),
        name: name.to_owned(),
        branch: "main".to_owned(),
        private: false,
        always: true,
    };
    cluster::publish(cluster, &what)?;
    Ok(())
}

/// Copies a folder of texts, and counts those that are other than they were.
fn copy(from: &Path, to: &Path, words: &[(&str, &str)], replaced: &mut usize) -> Result<()> {
    let doing = || format!("copying {} to {}", from.display(), to.display());
    fs::create_dir_all(to).doing(doing)?;
    for file in fs::read_dir(from).doing(doing)? {
        let path = file.doing(doing)?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy(&path, &target, words, replaced)?;
            continue;
        }
        let text = fs::read_to_string(&path).doing(doing)?;
        let mut changed = text.clone();
        for (from, to) in words {
            changed = changed.replace(from, to);
        }
        *replaced += usize::from(changed != text);
        fs::write(target, changed).doing(doing)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_replaced_in_a_copy() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("deep")).expect("a folder");
        fs::write(from.join("deep/a"), "Hello from a").expect("a file");
        fs::write(from.join("b"), "else").expect("a file");
        let mut replaced = 0;
        copy(&from, &to, &[("Hello", "Bye")], &mut replaced).expect("a copy");
        assert_eq!(replaced, 1);
        let text = |path: &str| fs::read_to_string(to.join(path)).expect("a file");
        assert_eq!(
            (text("deep/a").as_str(), text("b").as_str()),
            ("Bye from a", "else")
        );
    }
}
