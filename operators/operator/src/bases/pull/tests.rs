use super::*;

fn all(name: &str, mirrors: &[&str], maps: &[&str]) -> Vec<String> {
    let words = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect();
    let options = Options {
        registry_mirror: words(mirrors),
        registry_map: words(maps),
        ..Options::default()
    };
    let places = places(name, &options).expect("an image");
    places.iter().map(Reference::whole).collect()
}

#[test]
fn registries_are_asked_in_the_order_of_kaniko() {
    assert_eq!(all("node:22", &[], &[]), ["docker.io/library/node:22"]);
    assert_eq!(
        all(
            "node",
            &["mirror:5000"],
            &["docker.io=a/of/docker;gcr.io=b", "index.docker.io=c"]
        ),
        [
            "a/of/docker/library/node:latest",
            "c/library/node:latest",
            "mirror:5000/library/node:latest",
            "docker.io/library/node:latest",
        ]
    );
    assert_eq!(
        all("gcr.io/distroless/static:nonroot", &["m"], &["gcr.io=b:1"]),
        [
            "b:1/distroless/static:nonroot",
            "gcr.io/distroless/static:nonroot"
        ]
    );
    assert!(places("A B", &Options::default()).is_err());
}

mod registry {
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex},
    };

    use axum::{
        Router,
        extract::Request,
        http::{Method, StatusCode, header::CONTENT_TYPE},
    };
    use serde_json::{Value, json};

    use super::*;

    /// A registry of a few answers, which remembers what it was asked.
    struct Registry {
        host: String,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Registry {
        async fn serve(answers: BTreeMap<String, (String, Vec<u8>)>) -> Self {
            let asked = Arc::new(Mutex::new(Vec::new()));
            let noted = asked.clone();
            let answer = move |request: Request| {
                let path = request.uri().path().to_owned();
                let line = format!("{} {path}", request.method());
                noted.lock().expect("no panic").push(line);
                let found = answers.get(&path).cloned();
                async move {
                    let (kind, data) = found.ok_or(StatusCode::NOT_FOUND)?;
                    let digest = digest(&data);
                    let body = match *request.method() {
                        Method::HEAD => Vec::new(),
                        _ => data,
                    };
                    let headers = [
                        (CONTENT_TYPE.as_str(), kind),
                        ("docker-content-digest", digest),
                    ];
                    Ok::<_, StatusCode>((headers, body))
                }
            };
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
            let listener = listener.expect("a port");
            let host = listener.local_addr().expect("an address").to_string();
            tokio::spawn(
                async move { axum::serve(listener, Router::new().fallback(answer)).await },
            );
            Self { host, asked }
        }

        async fn pull(&self, store: &Store, most: u64) -> Result<String, Error> {
            let options = Options {
                insecure_registry: vec![self.host.clone()],
                ..Options::default()
            };
            pull(&format!("{}/base:1", self.host), &options, store, most).await
        }

        /// Method and last part of what was asked since the last time.
        fn asked(&self) -> Vec<String> {
            let lines = std::mem::take(&mut *self.asked.lock().expect("no panic"));
            let short = |line: &String| {
                let (method, path) = line.split_once(' ')?;
                let mut parts = path.rsplit('/');
                let (last, kind) = (parts.next()?, parts.next()?);
                let last = if last.starts_with("sha256:") {
                    "digest"
                } else {
                    last
                };
                Some(format!("{method} {kind}/{last}"))
            };
            lines.iter().filter_map(short).collect()
        }
    }

    /// An index with an image of two layers, one compressed by gzip and one not at all, whose
    /// configuration says that `contents` is in them.
    fn index(contents: [&[u8]; 2]) -> BTreeMap<String, (String, Vec<u8>)> {
        let mut answers = BTreeMap::new();
        let mut put = |folder: &str, kind: &str, data: Vec<u8>| {
            let digest = digest(&data);
            let size = data.len();
            let path = format!("/v2/base/{folder}/{digest}");
            answers.insert(path, (kind.to_owned(), data));
            json!({"mediaType": kind, "digest": digest, "size": size})
        };
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut gzip, b"lower").expect("memory");
        let lower = gzip.finish().expect("memory");
        let oci = |it: &str| format!("application/vnd.oci.image.{it}");
        let gzip = put("blobs", &oci("layer.v1.tar+gzip"), lower);
        let plain = put("blobs", &oci("layer.v1.tar"), b"upper".to_vec());
        let digests = contents.map(digest);
        let config = json!({"rootfs": {"type": "layers", "diff_ids": digests}});
        let config = put("blobs", &oci("config.v1+json"), config.to_string().into());
        let json = |value: Value| value.to_string().into_bytes();
        let kind = oci("manifest.v1+json");
        let image = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [gzip, plain]});
        let mut image = put("manifests", &kind, json(image));
        image["platform"] = json!({"os": "linux", "architecture": own_architecture()});
        let mut other = image.clone();
        other["digest"] = digest(b"other").into();
        other["platform"]["architecture"] = "s390x".into();
        let kind = oci("index.v1+json");
        let index = json!({"schemaVersion": 2, "mediaType": kind, "manifests": [other, image]});
        let data = json(index);
        put("manifests", &kind, data.clone());
        answers.insert("/v2/base/manifests/1".to_owned(), (kind, data));
        answers.insert("/v2/".to_owned(), ("text/plain".to_owned(), Vec::new()));
        answers
    }

    fn own_architecture() -> &'static str {
        match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
    }

    #[tokio::test]
    async fn an_image_is_downloaded_once_and_its_tag_asked_for_each_time() {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::new(folder.path());
        let registry = Registry::serve(index([b"lower", b"upper"])).await;
        let digest = registry.pull(&store, 1000).await.expect("an image");
        let asked = registry.asked().join("\n");
        assert!(asked.contains("HEAD manifests/1"), "{asked}");
        assert_eq!(asked.matches("GET blobs/digest").count(), 3, "{asked}");
        store.list(std::slice::from_ref(&digest)).expect("a file");
        assert!(store.settle().expect("a disk"));
        assert_eq!(registry.pull(&store, 1000).await.expect("an image"), digest);
        let asked = registry.asked();
        let manifests = asked.iter().filter(|it| !it.ends_with("v2/"));
        assert_eq!(manifests.collect::<Vec<_>>(), ["HEAD manifests/1"]);
    }

    #[tokio::test]
    async fn what_is_too_large_or_not_what_it_says_is_not_kept() {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::new(folder.path());
        let kept = || {
            store.clear();
            std::fs::read_dir(folder.path()).expect("a folder").count()
        };
        let registry = Registry::serve(index([b"lower", b"upper"])).await;
        let error = registry.pull(&store, 9).await.expect_err("ten bytes");
        assert_eq!(
            (error.to_string().as_str(), kept()),
            ("it is larger than 9 B", 0)
        );
        let registry = Registry::serve(index([b"lower", b"other"])).await;
        let error = registry.pull(&store, 1000).await.expect_err("another");
        assert!(error.to_string().contains("its layers are not"), "{error}");
        assert_eq!(kept(), 0);
        let registry = Registry::serve(BTreeMap::new()).await;
        registry.pull(&store, 1000).await.expect_err("no image");
    }
}
