//! Files that are mounted into the pod: kubelet keeps them up to date, and the server follows them.

use std::{
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Error, Options};

/// How often they are looked at.
pub(crate) const EVERY: Duration = Duration::from_secs(3);
/// A server's certificate and its key, in PEM.
pub(crate) type Pair = [Vec<u8>; 2];

/// Their files.
const PAIR: [&str; 2] = ["tls.crt", "tls.key"];

impl Options {
    /// Where the server's certificate and its key are.
    pub(crate) fn certificate_files(&self) -> [PathBuf; 2] {
        PAIR.map(|name| self.tls.join(name))
    }

    /// Whether clients encrypt. The links to these files stay while what they lead to is replaced.
    pub(crate) fn encrypts(&self) -> bool {
        let [certificate, _] = self.certificate_files();
        fs::symlink_metadata(certificate).is_ok()
    }

    /// What is in these files, if clients may encrypt. A pod has them from its first moment to its
    /// last, or never.
    pub(crate) fn certificate(&self) -> Option<Pair> {
        let folder = snapshot(&self.tls);
        let [certificate, key] = PAIR.map(|name| fs::read(folder.join(name)).ok());
        Some([certificate?, key?])
    }
}

/// The files of one moment: kubelet replaces all of a Secret's files by one link.
pub(crate) fn snapshot(folder: &Path) -> PathBuf {
    fs::canonicalize(folder.join("..data")).unwrap_or_else(|_| folder.to_owned())
}

/// Looks at files `every` so often and tells the server of each change until it has heard, for ever.
/// Of files that are being replaced `look` finds nothing: they are read the next time. `what` they
/// are is for the log.
pub(crate) async fn follow<T, F>(
    what: &str,
    every: Duration,
    mut known: Option<T>,
    look: impl Fn() -> Option<T>,
    tell: impl Fn(T) -> F,
) -> Infallible
where
    T: Clone + PartialEq,
    F: Future<Output = Result<(), Error>>,
{
    let mut said = String::new();
    loop {
        tokio::time::sleep(every).await;
        let found = look();
        let Some(news) = found.clone().filter(|_| found != known) else {
            continue;
        };
        match tell(news).await {
            Ok(()) => {
                println!("trackbed: {what} changed, and the server knows");
                known = found;
                said.clear();
            }
            // What is wrong with files may stay so until somebody corrects them.
            Err(error) => {
                let why = error.to_string();
                if why != said {
                    eprintln!("trackbed: {what} changed, and the server is not told: {why}");
                    said = why;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn write(folder: &Path, moment: &str) {
        fs::create_dir_all(folder).expect("a folder");
        for name in PAIR {
            fs::write(folder.join(name), format!("{name} {moment}")).expect("a file");
        }
    }

    fn options(folder: &Path) -> Options {
        Options {
            tls: folder.to_owned(),
            ..Options::test()
        }
    }

    #[test]
    fn a_certificate_and_its_key_are_of_one_moment() {
        let folder = tempfile::tempdir().expect("a folder");
        let options = options(folder.path());
        assert_eq!(options.certificate(), None);
        write(folder.path(), "before");
        fs::remove_file(folder.path().join("tls.key")).expect("it is removed");
        assert_eq!(options.certificate(), None, "a key is missing");
        write(&folder.path().join("..now"), "now");
        std::os::unix::fs::symlink("..now", folder.path().join("..data")).expect("a link");
        let read = options.certificate().expect("both");
        assert_eq!(read, ["tls.crt now", "tls.key now"].map(Vec::from));
    }

    #[tokio::test]
    async fn a_change_is_told_once_when_it_was_heard() {
        let heard = RefCell::new(Vec::new());
        // Nothing is there for a moment, and the second answer is a refusal.
        let seen = RefCell::new(vec![Some(1), None, Some(2), Some(2), Some(2)].into_iter());
        let look = || seen.borrow_mut().next().unwrap_or(Some(3));
        let tell = |news: i32| {
            heard.borrow_mut().push(news);
            let refused = heard.borrow().len() == 1;
            async move {
                match refused {
                    true => Err(Error::NoAnswer("busy".to_owned())),
                    false => Ok(()),
                }
            }
        };
        let told = async {
            while heard.borrow().last() != Some(&3) {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            never = follow("something", Duration::ZERO, Some(1), look, tell) => match never {},
            () = told => {}
        }
        assert_eq!(*heard.borrow(), [2, 2, 3]);
    }
}
