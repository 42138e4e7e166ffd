//! What is in the base images runs as it does in the official ones.
#![cfg(feature = "base-images")]

use images::{
    oci::{Layout, Settings},
    sandbox::Sandbox,
};
use tempfile::TempDir;

/// An image on disk, unpacked.
struct Unpacked {
    root: TempDir,
    settings: Settings,
}

impl Unpacked {
    fn of(name: &str) -> Self {
        let image = images::base::ensure(&[name]).unwrap().remove(0);
        let layout = Layout::open(image.layout).unwrap();
        let root = tempfile::tempdir().unwrap();
        layout.unpack(root.path()).unwrap();
        for folder in ["proc", "dev"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        Unpacked {
            root,
            settings: layout.config().unwrap().config,
        }
    }

    fn sandbox(&self) -> Sandbox {
        Sandbox::of_image(self.root.path(), &self.settings)
    }

    #[track_caller]
    fn prints(&self, script: &str, expected: &str) {
        let printed = self.sandbox().script(script).unwrap();
        assert!(
            printed.contains(expected),
            "`{script}` printed, instead of `{expected}`:\n{printed}"
        );
    }

    /// The entry point and arguments as one line of a shell.
    fn start(&self) -> String {
        [self.settings.entrypoint.clone(), self.settings.cmd.clone()]
            .concat()
            .join(" ")
    }
}

#[test]
fn debian() {
    let image = Unpacked::of("debian-12-slim");
    image.prints("cat /etc/debian_version", "12.");
    image.prints("dpkg --audit && apt-get --version", "apt 2.6");
    image.prints(
        "! command -v perldoc && perl -e 'print \"base\\n\"'",
        "base",
    );
    image.prints("readlink /bin", "usr/bin");
    image.prints("apt-config dump DPkg::Post-Invoke", "archives/*.deb");
    image.prints(
        "test ! -e /etc/machine-id && ls /usr/share/man | wc -l",
        "0",
    );
}

#[test]
fn busybox() {
    let image = Unpacked::of("busybox-1.36");
    image.prints("echo fine | sed s/f/F/", "Fine");
    // Names are looked up by the C library, as programs in Pods do.
    image.prints("echo '10.1.2.3 there' >> /etc/hosts; nslookup localhost 127.0.0.1 2>&1; ping -c1 -w1 there 2>&1; id -un", "root");
    image.prints(
        "mkdir -p /www; echo page > /www/index.html; httpd -p 127.0.0.1:8080 -h /www && wget -qO- http://127.0.0.1:8080/",
        "page",
    );
}

fn node(name: &str, version: &str) {
    let image = Unpacked::of(name);
    image.prints("node -v", version);
    image.prints("npm -v && npx -v && yarn -v", "1.22.22");
    image.prints("id -u node; stat -c %U /home/node", "1000\nnode");
    let line = format!("{} -e 'console.log(1 + 1)'", image.settings.entrypoint[0]);
    image.prints(&line, "2");
    image.prints(
        "mkdir /tmp/a && cd /tmp/a && echo '{\"name\":\"a\",\"version\":\"1.0.0\",\"scripts\":{\"t\":\"node -p 40+2\"}}' > package.json && npm install --offline && npm run --silent t",
        "42",
    );
}

#[test]
fn node_20() {
    node("node-20-slim", "v20.");
}

#[test]
fn node_22() {
    node("node-22-slim", "v22.");
}

#[test]
fn node_24() {
    node("node-24-slim", "v24.");
}

#[test]
fn golang() {
    let image = Unpacked::of("golang-1.26-bookworm");
    image.prints(
        "go version; go env GOPATH GOROOT GOTOOLCHAIN; pwd",
        "/go\n/usr/local/go\nlocal\n/go",
    );
    image.prints(
        r#"mkdir /tmp/a && cd /tmp/a && go mod init a 2>/dev/null
        printf 'package main\nimport ("fmt"; "net/http")\nfunc main() { fmt.Println("built", http.StatusOK) }\n' > a.go
        CGO_ENABLED=0 go build -o a . && ./a"#,
        "built 200",
    );
    image.prints(
        r#"mkdir /tmp/c && cd /tmp/c && go mod init c 2>/dev/null
        printf 'package main\n// int two() { return 2; }\nimport "C"\nfunc main() { println(C.two()) }\n' > c.go
        go build -o c . && ./c 2>&1; git --version"#,
        "2\ngit version",
    );
}

#[test]
fn python() {
    let image = Unpacked::of("python-3.11-slim");
    image.prints("python --version; command -v python3", "Python 3.11");
    image.prints(
        "python -c 'import ssl, sqlite3, ctypes, bz2, lzma, zlib, readline, curses, uuid, zoneinfo; print(sqlite3.connect(\":memory:\").execute(\"select 6 * 7\").fetchone(), ssl.OPENSSL_VERSION)'",
        "(42,) OpenSSL 3",
    );
    image.prints(
        "python -c 'import sysconfig, site; print(sysconfig.get_path(\"purelib\"), site.getsitepackages(), sysconfig.get_path(\"scripts\"))'",
        "/usr/local/lib/python3.11/site-packages ['/usr/local/lib/python3.11/site-packages'] /usr/local/bin",
    );
    image.prints(
        "pip --version",
        "from /usr/local/lib/python3.11/site-packages/pip",
    );
    image.prints(
        "python -m venv /tmp/v && /tmp/v/bin/python -m pip --version",
        "from /tmp/v/lib/python3.11/site-packages/pip",
    );
    image.prints(
        r#"mkdir -p /tmp/a/thing && cd /tmp/a && echo 'print("thing")' > thing/__main__.py && touch thing/__init__.py
        printf 'from setuptools import setup\nsetup(name="thing", version="1", packages=["thing"])\n' > setup.py
        pip install --quiet --no-index --no-build-isolation . 2>/dev/null && cd / && python -m thing && pip list"#,
        "thing\n",
    );
}

fn postgres(name: &str, version: &str) {
    let image = Unpacked::of(name);
    image.prints(
        "postgres --version; psql --version; pg_dump --version",
        &format!("psql (PostgreSQL) {version}."),
    );
    image.prints(
        "id -u postgres; id -g postgres; stat -c '%U %a' $PGDATA; echo $PGDATA",
        "999\n999\npostgres 1777\n/var/lib/postgresql/data",
    );
    // As an ordinary user in a folder of its own, with nothing of the image's entry point.
    let folder = format!("/usr/lib/postgresql/{version}/bin");
    let printed = image
        .sandbox()
        .user("postgres")
        .env("PGDATA", "/tmp/data")
        .script(&format!(
            "{folder}/initdb -U postgres --auth=trust --data-checksums > /tmp/log && {folder}/pg_ctl -w start -o '-c listen_addresses= -c ssl=off' >> /tmp/log &&
             createdb app -U postgres && psql -U postgres app -c 'create extension pgcrypto; create table t (n int); insert into t values (42)' &&
             psql -U postgres app -Atc \"select n, gen_random_uuid() is not null, to_tsvector('english', 'runs'), 'a' < 'B' collate \\\"en-x-icu\\\" from t\" &&
             pg_dump -U postgres app | grep -c COPY && pg_basebackup -U postgres -c fast -D /tmp/copy && pg_controldata /tmp/copy | grep 'checksum version' &&
             {folder}/pg_ctl -w stop"
        ))
        .unwrap();
    assert!(printed.contains("42|t|'run':1|t"), "{printed}");
    assert!(printed.contains("server stopped"), "{printed}");
    // As the image itself starts.
    let printed = image
        .sandbox()
        .env("POSTGRES_PASSWORD", "of the day")
        .env("POSTGRES_DB", "app")
        .script(&format!(
            "{} > /tmp/server.log 2>&1 & server=$!
             until pg_isready -q -h 127.0.0.1 -d app; do kill -0 $server || {{ cat /tmp/server.log; exit 1; }}; done
             export PGPASSWORD=\"$POSTGRES_PASSWORD\"
             psql -h 127.0.0.1 -U postgres app -Atc 'select current_database(), current_setting($$data_directory$$)'
             kill -INT $server; wait $server; tail -1 /tmp/server.log",
            image.start()
        ))
        .unwrap();
    assert!(
        printed.contains("app|/var/lib/postgresql/data"),
        "{printed}"
    );
    assert!(
        printed.contains("database system is shut down"),
        "{printed}"
    );
}

#[test]
fn postgres_18() {
    postgres("postgres-18", "18");
}

#[test]
fn postgres_17() {
    postgres("postgres-17", "17");
}

#[test]
fn postgres_16() {
    postgres("postgres-16", "16");
}

#[test]
fn postgres_15() {
    postgres("postgres-15", "15");
}

#[test]
fn redis() {
    let image = Unpacked::of("redis-7");
    image.prints("redis-server --version; id -u redis; pwd", "v=7.");
    serves_redis(&image, "redis");
}

#[test]
fn valkey() {
    for version in ["8", "9"] {
        let image = Unpacked::of(&format!("valkey-{version}"));
        image.prints("valkey-server --version; pwd", &format!("v={version}."));
        image.prints("id -u valkey; id -g valkey", "999\n999\n");
        serves_redis(&image, "valkey");
        image.prints("valkey-check-rdb /data/dump.rdb", "1 keys read");
    }
}

/// As the image itself starts.
fn serves_redis(image: &Unpacked, user: &str) {
    let script = format!(
        "{} > /tmp/server.log 2>&1 & server=$!
         until redis-cli ping > /dev/null 2>&1; do kill -0 $server || {{ cat /tmp/server.log; exit 1; }}; done
         redis-cli incr n; redis-cli eval 'return cjson.encode({{1}})' 0; redis-cli config get dir; stat -c %U /proc/$server
         redis-cli shutdown save; wait $server; ls -l /data",
        image.start()
    );
    let printed = image.sandbox().script(&script).unwrap();
    let expected = format!("1\n[1]\ndir\n/data\n{user}\n");
    assert!(printed.contains(&expected), "{printed}");
    assert!(printed.contains("dump.rdb"), "{printed}");
}

#[test]
fn distroless() {
    let image = Unpacked::of("distroless-static-debian12-nonroot");
    assert_eq!(image.settings.user, "65532");
    let golang = Unpacked::of("golang-1.26-bookworm");
    golang
        .sandbox()
        .script(
            r#"mkdir /tmp/a && cd /tmp/a && go mod init a 2>/dev/null
            cat > a.go <<'CODE'
package main

import ("crypto/x509"; "fmt"; "os"; "os/user"; "time")

func main() {
	pool, err := x509.SystemCertPool()
	place, missing := time.LoadLocation("Europe/Zurich")
	who, unknown := user.Current()
	fmt.Println(err, pool.Equal(x509.NewCertPool()), place, missing, who.Username, unknown, os.Getuid())
}
CODE
            CGO_ENABLED=0 go build -tags osusergo -o /tmp/program ."#,
        )
        .unwrap();
    std::fs::copy(
        golang.root.path().join("tmp/program"),
        image.root.path().join("bin/program"),
    )
    .unwrap();
    let printed = image
        .sandbox()
        .user("65532:65532")
        .run(["/bin/program"])
        .unwrap();
    assert_eq!(
        printed,
        "<nil> false Europe/Zurich <nil> nonroot <nil> 65532\n"
    );
}

#[test]
fn nginx() {
    let image = Unpacked::of("nginx-unprivileged");
    let script = format!(
        "mkdir -p /etc/nginx/templates; export PORT=8099 NGINX_NAME=there
         printf 'server {{ listen ${{PORT}}; location / {{ return 200 \"${{NGINX_NAME}} $uri\"; }} }}' > /etc/nginx/templates/default.conf.template
         chmod -R a+rwX /tmp; su -s /bin/sh nginx -c '{} > /tmp/server.log 2>&1 & echo $! > /tmp/pid'
         until wget -q -O - http://127.0.0.1:8099/a; do kill -0 $(cat /tmp/pid) || {{ cat /tmp/server.log; exit 1; }}; done
         echo; stat -c %U /proc/$(cat /tmp/pid); kill -QUIT $(cat /tmp/pid); cat /tmp/server.log",
        image.start().replace("daemon off;", "\"daemon off;\"")
    );
    let printed = image.sandbox().user("root").script(&script).unwrap();
    assert!(printed.contains("there /a"), "{printed}");
    assert!(printed.contains("\nnginx\n"), "{printed}");
}

#[test]
fn rust() {
    let image = Unpacked::of("rust-1.95-slim-bookworm");
    image.prints("rustc --version && cargo --version", "cargo 1.95.0");
    image.prints(
        r#"mkdir /tmp/a && cd /tmp/a && cargo init --quiet --name a --vcs none && RUSTUP_TOOLCHAIN=$RUST_VERSION cargo run --quiet --offline"#,
        "Hello, world!",
    );
}

#[test]
fn distroless_cc() {
    let image = Unpacked::of("distroless-cc-debian12-nonroot");
    for file in [
        "lib64/ld-linux-x86-64.so.2",
        "lib/x86_64-linux-gnu/libc.so.6",
        "lib/x86_64-linux-gnu/libgcc_s.so.1",
        "usr/lib/x86_64-linux-gnu/libstdc++.so.6",
        "usr/lib/x86_64-linux-gnu/libssl.so.3",
        "etc/ssl/certs/ca-certificates.crt",
    ] {
        let path = image.root.path().join(file);
        assert!(path.symlink_metadata().is_ok(), "{file}");
    }
    assert_eq!(image.settings.user, "65532");
}
