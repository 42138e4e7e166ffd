//! Repositories on the test cluster's forge, which is a real one: with access tokens, deploy keys,
//! webhooks and commit statuses. Its interface is described at
//! <https://docs.gitea.com/api/1.26/>.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{Answer, Credentials, eventually};

/// Its host in the cluster, for https and ssh.
pub const HOST: &str = "forge.trackbed-git";

/// The forge, as its one user.
#[derive(Clone, Debug)]
pub struct Forge {
    /// How it is reached from here.
    place: String,
    login: Credentials,
    /// The file of the authority that its certificate is from.
    authority: PathBuf,
    agent: Agent,
}

/// A repository of the user's, and a clone of it that the next commit is made in.
#[derive(Debug)]
pub struct Repository {
    forge: Forge,
    name: String,
    clone: TempDir,
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: the test cluster alone has a forge, 'cargo xtask e2e' starts it")
    })
}

impl Forge {
    /// The forge of this run, as soon as it answers.
    ///
    /// # Panics
    /// If the environment does not describe one, or it does not answer.
    #[track_caller]
    pub fn connect() -> Self {
        let login = variable("TRACKBED_E2E_FORGE_LOGIN");
        let (username, password) = login.split_once(':').expect("user:password");
        let authority = PathBuf::from(variable("TRACKBED_E2E_CA"));
        let forge = Self {
            place: variable("TRACKBED_E2E_FORGE"),
            login: Credentials {
                username: username.to_owned(),
                password: password.to_owned(),
            },
            agent: agent(&authority),
            authority,
        };
        eventually(60, || match forge.call("GET", "version", None) {
            Answer { status: 200, .. } => Ok(()),
            other => Err(format!("the forge does not answer: {other:?}")),
        });
        forge
    }

    /// The line of a `known_hosts` file by which ssh clients know it.
    ///
    /// # Panics
    /// If it cannot be read.
    pub fn known_hosts() -> String {
        let file = variable("TRACKBED_E2E_FORGE_KNOWN_HOSTS");
        fs::read_to_string(&file).unwrap_or_else(|e| panic!("{file}: {e}"))
    }

    /// Name of the user.
    pub fn user(&self) -> &str {
        &self.login.username
    }

    /// A new access token of the user's with certain rights, like `read:repository`.
    ///
    /// # Panics
    /// If the forge makes none.
    #[track_caller]
    pub fn token(&self, name: &str, rights: &[&str]) -> String {
        let tokens = format!("users/{}/tokens", self.user());
        // Of an earlier run on the same cluster.
        self.call("DELETE", &format!("{tokens}/{name}"), None);
        let token = self.done(
            "POST",
            &tokens,
            Some(&json!({"name": name, "scopes": rights})),
        );
        token["sha1"].as_str().expect("a token").to_owned()
    }

    /// A new, empty repository whose HEAD is `branch`.
    ///
    /// # Panics
    /// If the forge makes none.
    #[track_caller]
    pub fn repository(&self, name: &str, private: bool, branch: &str) -> Repository {
        let repository = Repository {
            forge: self.clone(),
            name: name.to_owned(),
            clone: tempfile::tempdir().expect("a folder"),
        };
        // Of an earlier run on the same cluster.
        self.call("DELETE", &repository.path(""), None);
        let body = json!({"name": name, "private": private, "default_branch": branch});
        self.done("POST", "user/repos", Some(&body));
        repository.git(&["init", "--quiet", "--initial-branch", branch]);
        repository
    }

    /// A private repository whose HEAD is `main`.
    #[track_caller]
    pub fn private(&self, name: &str) -> Repository {
        self.repository(name, true, "main")
    }

    /// One request to the interface, `path` being what comes after `/api/v1/`.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/api/v1/{path}", self.place))
            .header("authorization", self.authorization())
            .header("content-type", "application/json")
            .body(body.map(Value::to_string).unwrap_or_default())
            .expect("a request");
        let answer = self.agent.run(request).and_then(|mut response| {
            Ok(Answer {
                status: response.status().as_u16(),
                body: response.body_mut().read_to_string()?,
            })
        });
        answer.unwrap_or_else(|error| Answer {
            status: 0,
            body: error.to_string(),
        })
    }

    /// The same, for what must succeed.
    #[track_caller]
    fn done(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let answer = self.call(method, path, body);
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {answer:?}"
        );
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    fn authorization(&self) -> String {
        let Credentials { username, password } = &self.login;
        let pair = BASE64_STANDARD.encode(format!("{username}:{password}"));
        format!("Basic {pair}")
    }
}

fn agent(authority: &Path) -> Agent {
    let pem = fs::read(authority).unwrap_or_else(|e| panic!("{}: {e}", authority.display()));
    let certificate = Certificate::from_pem(&pem).expect("a certificate");
    let provider = rustls::crypto::ring::default_provider();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[certificate]))
        .unversioned_rustls_crypto_provider(Arc::new(provider))
        .build();
    Agent::config_builder()
        .http_status_as_error(false)
        .tls_config(tls)
        .proxy(None)
        .build()
        .into()
}

impl Repository {
    /// Its address for Services, over https.
    pub fn https(&self) -> String {
        format!("https://{HOST}/{}/{}.git", self.forge.user(), self.name)
    }

    /// Its address for Services, over ssh.
    pub fn ssh(&self) -> String {
        format!("ssh://git@{HOST}/{}/{}.git", self.forge.user(), self.name)
    }

    /// Has a file in the next commit.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, path: &str, content: &str) -> &Self {
        let path = self.clone.path().join(path);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
        self
    }

    /// Has a submodule in the next commit.
    ///
    /// # Panics
    /// If git fails.
    #[track_caller]
    pub fn submodule(&self, path: &str, url: &str, commit: &str) -> &Self {
        let modules = self.clone.path().join(".gitmodules");
        let before = fs::read_to_string(&modules).unwrap_or_default();
        let own = format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n");
        fs::write(modules, before + &own).expect("a file");
        // Without its folder it would be taken for a deleted one.
        fs::create_dir_all(self.clone.path().join(path)).expect("a folder");
        let link = format!("160000,{commit},{path}");
        self.git(&["update-index", "--add", "--cacheinfo", &link]);
        self
    }

    /// Pushes what was written as the next commit of a branch, and gives the commit.
    ///
    /// # Panics
    /// If git fails.
    #[track_caller]
    pub fn push(&self, branch: &str) -> String {
        self.push_as(branch, "A change")
    }

    /// The same with a message of the commit's own.
    ///
    /// # Panics
    /// If git fails.
    #[track_caller]
    pub fn push_as(&self, branch: &str, message: &str) -> String {
        self.git(&["add", "--all", "--force"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.send(&format!("HEAD:refs/heads/{branch}"));
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Pushes an annotated tag of the last commit, and gives the tag's own id.
    ///
    /// # Panics
    /// If git fails.
    #[track_caller]
    pub fn tag(&self, name: &str) -> String {
        self.git(&["tag", "--annotate", "--force", "-m", "A release", name]);
        self.send(&format!("+refs/tags/{name}"));
        let own = format!("refs/tags/{name}");
        self.git(&["rev-parse", &own]).trim().to_owned()
    }

    /// Takes another name; the old one redirects to it.
    #[track_caller]
    pub fn rename(&mut self, name: &str) {
        self.forge.call(
            "DELETE",
            &format!("repos/{}/{name}", self.forge.user()),
            None,
        );
        let body = json!({ "name": name });
        self.forge.done("PATCH", &self.path(""), Some(&body));
        name.clone_into(&mut self.name);
    }

    /// Lets the owner of a key read it over ssh.
    #[track_caller]
    pub fn allow(&self, key: &Key) {
        let body = json!({"title": "deploy", "key": key.public, "read_only": true});
        self.forge.done("POST", &self.path("/keys"), Some(&body));
    }

    /// Has pushes and pull requests told to a URL, signed with a secret. Gives the webhook's number.
    #[track_caller]
    pub fn webhook(&self, url: &str, secret: &str) -> i64 {
        let body = json!({
            "type": "gitea",
            "active": true,
            "events": ["push", "pull_request", "pull_request_sync"],
            "config": {"url": url, "content_type": "json", "secret": secret},
        });
        let hook = self.forge.done("POST", &self.path("/hooks"), Some(&body));
        hook["id"].as_i64().unwrap_or_default()
    }

    /// Asks to merge one branch into another, and gives the pull request's number.
    #[track_caller]
    pub fn pull_request(&self, branch: &str, into: &str) -> i64 {
        let body = json!({"head": branch, "base": into, "title": format!("Merge {branch}")});
        let made = self.forge.done("POST", &self.path("/pulls"), Some(&body));
        made["number"].as_i64().unwrap_or_default()
    }

    /// Closes a pull request without merging it.
    #[track_caller]
    pub fn close(&self, number: i64) {
        let path = self.path(&format!("/pulls/{number}"));
        self.forge
            .done("PATCH", &path, Some(&json!({"state": "closed"})));
    }

    /// Has the last push told once more.
    #[track_caller]
    pub fn tell_again(&self, webhook: i64) {
        let path = self.path(&format!("/hooks/{webhook}/tests"));
        self.forge.done("POST", &path, None);
    }

    /// The statuses of a commit, the newest first.
    #[track_caller]
    pub fn statuses(&self, commit: &str) -> Vec<Value> {
        let path = self.path(&format!("/commits/{commit}/statuses"));
        let list = self.forge.done("GET", &path, None);
        list.as_array().cloned().unwrap_or_default()
    }

    fn path(&self, rest: &str) -> String {
        format!("repos/{}/{}{rest}", self.forge.user(), self.name)
    }

    #[track_caller]
    fn send(&self, what: &str) {
        let remote = format!(
            "{}/{}/{}.git",
            self.forge.place,
            self.forge.user(),
            self.name
        );
        self.git(&["push", "--quiet", &remote, what]);
    }

    #[track_caller]
    fn git(&self, arguments: &[&str]) -> String {
        let authorization = format!("Authorization: {}", self.forge.authorization());
        let settings = [
            ("http.extraHeader", authorization.as_str()),
            ("http.proxy", ""),
            ("user.name", "Ada"),
            ("user.email", "ada@example.com"),
        ];
        let mut command = Command::new("git");
        command
            .current_dir(self.clone.path())
            .args(arguments)
            .env("GIT_SSL_CAINFO", &self.forge.authority)
            .env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (at, (name, value)) in settings.into_iter().enumerate() {
            command
                .env(format!("GIT_CONFIG_KEY_{at}"), name)
                .env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        let output = command.output().expect("git starts");
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// A pair of ssh keys.
#[derive(Clone, Debug)]
pub struct Key {
    /// The private half, as OpenSSH writes it.
    pub private: String,
    /// The public half, in a line.
    pub public: String,
}

impl Key {
    /// A new one, as people make them.
    #[track_caller]
    pub fn generate() -> Self {
        Self::of("ed25519")
    }

    /// A new one of a kind.
    ///
    /// # Panics
    /// If there is no ssh-keygen.
    #[track_caller]
    pub fn of(kind: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", "", "-C", "deploy", "-f"])
            .arg(&file)
            .output()
            .expect("ssh-keygen starts");
        assert!(made.status.success(), "ssh-keygen: {made:?}");
        let read = |file: &Path| fs::read_to_string(file).expect("a key");
        Self {
            private: read(&file),
            public: read(&file.with_extension("pub")),
        }
    }
}
