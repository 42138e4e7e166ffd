//! Source trees and the Dockerfiles they get.

use expect_test::{Expect, expect};
use trackbed_detect::{Settings, Tree, detect};

fn tree(files: &[(&str, &str)]) -> Tree {
    Tree {
        files: files.iter().map(|(path, _)| (*path).to_owned()).collect(),
        content: files
            .iter()
            .filter(|(path, _)| Tree::wanted(path))
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect(),
    }
}

fn check(files: &[(&str, &str)], build_command: Option<&str>, expected: &Expect) {
    let settings = Settings {
        build_command: build_command.map(str::to_owned),
    };
    let text = match detect(&tree(files), &settings) {
        Ok(plan) => format!(
            "{} {} {}\n{}",
            plan.language,
            plan.version,
            plan.framework.as_deref().unwrap_or("-"),
            plan.dockerfile
        ),
        Err(error) => format!("{}: {error}\n", error.reason()),
    };
    expected.assert_eq(&text);
}

#[test]
fn node_with_a_lockfile_and_a_start_script() {
    let package = r#"{"scripts": {"start": "node server.js"}, "dependencies": {"express": "4"}}"#;
    check(
        &[
            ("package.json", package),
            ("package-lock.json", ""),
            ("server.js", ""),
        ],
        None,
        &expect![[r#"
            node 22 express
            FROM node:22-slim AS build
            ARG HTTP_PROXY
            ARG HTTPS_PROXY
            ARG NO_PROXY
            ARG TRACKBED_CA_FILE
            WORKDIR /app
            COPY package.json package-lock.json ./
            RUN ["/bin/sh","-c","if [ -n \"$TRACKBED_CA_FILE\" ]; then export NODE_EXTRA_CA_CERTS=\"$TRACKBED_CA_FILE\" SSL_CERT_FILE=\"$TRACKBED_CA_FILE\" PIP_CERT=\"$TRACKBED_CA_FILE\" REQUESTS_CA_BUNDLE=\"$TRACKBED_CA_FILE\" GIT_SSL_CAINFO=\"$TRACKBED_CA_FILE\"; fi; npm ci --omit=dev --no-audit --no-fund --no-update-notifier"]
            COPY . .

            FROM node:22-slim
            ENV NODE_ENV=production
            WORKDIR /app
            COPY --from=build --chown=1000:1000 /app /app
            USER 1000:1000
            CMD ["node","server.js"]
        "#]],
    );
}

#[test]
fn node_with_a_build_and_a_version() {
    let package = r#"{"scripts": {"start": "next start -p $PORT", "build": "next build"}, "engines": {"node": "^20.1"}, "dependencies": {"next": "15"}}"#;
    check(
        &[("package.json", package)],
        None,
        &expect![[r#"
        node 20 next
        FROM node:20-slim AS build
        ARG HTTP_PROXY
        ARG HTTPS_PROXY
        ARG NO_PROXY
        ARG TRACKBED_CA_FILE
        WORKDIR /app
        COPY package.json ./
        RUN ["/bin/sh","-c","if [ -n \"$TRACKBED_CA_FILE\" ]; then export NODE_EXTRA_CA_CERTS=\"$TRACKBED_CA_FILE\" SSL_CERT_FILE=\"$TRACKBED_CA_FILE\" PIP_CERT=\"$TRACKBED_CA_FILE\" REQUESTS_CA_BUNDLE=\"$TRACKBED_CA_FILE\" GIT_SSL_CAINFO=\"$TRACKBED_CA_FILE\"; fi; npm install --no-audit --no-fund --no-update-notifier"]
        COPY . .
        RUN ["/bin/sh","-c","if [ -n \"$TRACKBED_CA_FILE\" ]; then export NODE_EXTRA_CA_CERTS=\"$TRACKBED_CA_FILE\" SSL_CERT_FILE=\"$TRACKBED_CA_FILE\" PIP_CERT=\"$TRACKBED_CA_FILE\" REQUESTS_CA_BUNDLE=\"$TRACKBED_CA_FILE\" GIT_SSL_CAINFO=\"$TRACKBED_CA_FILE\"; fi; npm run build"]
        RUN npm prune --omit=dev --no-audit --no-fund --no-update-notifier --offline

        FROM node:20-slim
        ENV NODE_ENV=production
        WORKDIR /app
        COPY --from=build --chown=1000:1000 /app /app
        USER 1000:1000
        CMD ["npm","start"]
    "#]],
    );
}

#[test]
fn a_command_of_a_user_cannot_end_its_line() {
    let package = r#"{"main": "index.js"}"#;
    check(
        &[("package.json", package), ("index.js", "")],
        Some("echo \"hi\" \\"),
        &expect![[r#"
            node 22 -
            FROM node:22-slim AS build
            ARG HTTP_PROXY
            ARG HTTPS_PROXY
            ARG NO_PROXY
            ARG TRACKBED_CA_FILE
            WORKDIR /app
            COPY package.json ./
            RUN ["/bin/sh","-c","if [ -n \"$TRACKBED_CA_FILE\" ]; then export NODE_EXTRA_CA_CERTS=\"$TRACKBED_CA_FILE\" SSL_CERT_FILE=\"$TRACKBED_CA_FILE\" PIP_CERT=\"$TRACKBED_CA_FILE\" REQUESTS_CA_BUNDLE=\"$TRACKBED_CA_FILE\" GIT_SSL_CAINFO=\"$TRACKBED_CA_FILE\"; fi; npm install --no-audit --no-fund --no-update-notifier"]
            COPY . .
            RUN ["/bin/sh","-c","if [ -n \"$TRACKBED_CA_FILE\" ]; then export NODE_EXTRA_CA_CERTS=\"$TRACKBED_CA_FILE\" SSL_CERT_FILE=\"$TRACKBED_CA_FILE\" PIP_CERT=\"$TRACKBED_CA_FILE\" REQUESTS_CA_BUNDLE=\"$TRACKBED_CA_FILE\" GIT_SSL_CAINFO=\"$TRACKBED_CA_FILE\"; fi; echo \"hi\" \\"]
            RUN npm prune --omit=dev --no-audit --no-fund --no-update-notifier --offline

            FROM node:22-slim
            ENV NODE_ENV=production
            WORKDIR /app
            COPY --from=build --chown=1000:1000 /app /app
            USER 1000:1000
            CMD ["node","index.js"]
        "#]],
    );
}

#[test]
fn node_that_does_not_say_how_to_start() {
    check(
        &[("package.json", "{}")],
        None,
        &expect![[r#"
        InvalidBuildPlan: package.json does not say how to start: add a script "start", a Procfile with a line 'web: …', or a server.js
    "#]],
    );
    check(
        &[("package.json", "{")],
        None,
        &expect![[r#"
        InvalidBuildPlan: package.json is no JSON: EOF while parsing an object at line 1 column 1
    "#]],
    );
    check(
        &[("package.json", "{}"), ("yarn.lock", "")],
        None,
        &expect![[r#"
            InvalidBuildPlan: yarn.lock is of yarn, which is not supported yet: add a package-lock.json or a Dockerfile
        "#]],
    );
}

#[test]
fn python_with_requirements_and_a_procfile() {
    check(
        &[
            ("requirements.txt", "flask==3.0\ngunicorn\n"),
            ("Procfile", "web: gunicorn app:app --bind 0.0.0.0:$PORT\n"),
            (".python-version", "3.12.4\n"),
            ("app.py", ""),
        ],
        None,
        &expect![[r#"
            python 3.12 flask
            FROM python:3.12-slim AS build
            ARG HTTP_PROXY
            ARG HTTPS_PROXY
            ARG NO_PROXY
            ARG TRACKBED_CA_FILE
            ENV PATH=/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
            WORKDIR /app
            RUN python -m venv /venv
            COPY requirements.txt ./
            RUN ["/bin/sh","-c","if [ -n \"$TRACKBED_CA_FILE\" ]; then export NODE_EXTRA_CA_CERTS=\"$TRACKBED_CA_FILE\" SSL_CERT_FILE=\"$TRACKBED_CA_FILE\" PIP_CERT=\"$TRACKBED_CA_FILE\" REQUESTS_CA_BUNDLE=\"$TRACKBED_CA_FILE\" GIT_SSL_CAINFO=\"$TRACKBED_CA_FILE\"; fi; pip install -r requirements.txt"]
            COPY . .

            FROM python:3.12-slim
            ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
            WORKDIR /app
            COPY --from=build /venv /venv
            COPY --from=build --chown=1000:1000 /app /app
            USER 1000:1000
            CMD ["/bin/sh","-c","exec gunicorn app:app --bind 0.0.0.0:$PORT"]
        "#]],
    );
}

#[test]
fn python_without_dependencies() {
    check(
        &[("main.py", "")],
        None,
        &expect![[r#"
        python 3.11 -
        FROM python:3.11-slim AS build
        ARG HTTP_PROXY
        ARG HTTPS_PROXY
        ARG NO_PROXY
        ARG TRACKBED_CA_FILE
        ENV PATH=/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
        WORKDIR /app
        RUN python -m venv /venv
        COPY . .

        FROM python:3.11-slim
        ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
        WORKDIR /app
        COPY --from=build /venv /venv
        COPY --from=build --chown=1000:1000 /app /app
        USER 1000:1000
        CMD ["python","main.py"]
    "#]],
    );
}

#[test]
fn go_at_the_root_and_under_cmd() {
    check(
        &[
            ("go.mod", "module example.com/a\n\ngo 1.22\n"),
            ("go.sum", ""),
            ("main.go", ""),
        ],
        None,
        &expect![[r#"
            go 1.26 -
            FROM golang:1.26-bookworm AS build
            ARG HTTP_PROXY
            ARG HTTPS_PROXY
            ARG NO_PROXY
            ARG TRACKBED_CA_FILE
            WORKDIR /src
            COPY go.mod go.sum ./
            RUN ["/bin/sh","-c","if [ -n \"$TRACKBED_CA_FILE\" ]; then export NODE_EXTRA_CA_CERTS=\"$TRACKBED_CA_FILE\" SSL_CERT_FILE=\"$TRACKBED_CA_FILE\" PIP_CERT=\"$TRACKBED_CA_FILE\" REQUESTS_CA_BUNDLE=\"$TRACKBED_CA_FILE\" GIT_SSL_CAINFO=\"$TRACKBED_CA_FILE\"; fi; go mod download"]
            COPY . .
            RUN ["/bin/sh","-c","if [ -n \"$TRACKBED_CA_FILE\" ]; then export NODE_EXTRA_CA_CERTS=\"$TRACKBED_CA_FILE\" SSL_CERT_FILE=\"$TRACKBED_CA_FILE\" PIP_CERT=\"$TRACKBED_CA_FILE\" REQUESTS_CA_BUNDLE=\"$TRACKBED_CA_FILE\" GIT_SSL_CAINFO=\"$TRACKBED_CA_FILE\"; fi; CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/app ."]

            FROM gcr.io/distroless/static-debian12:nonroot
            COPY --from=build /out/app /app
            USER 65532:65532
            CMD ["/app"]
        "#]],
    );
    check(
        &[
            ("go.mod", "module a\n"),
            ("cmd/api/main.go", ""),
            ("cmd/job/main.go", ""),
        ],
        None,
        &expect![[r#"
            InvalidBuildPlan: cmd/ has several programs (api, job): say which with build.command, like 'go build -o /out/app ./cmd/NAME'
        "#]],
    );
}

#[test]
fn nothing_that_is_known() {
    check(
        &[("letter.txt", ""), ("docs/a.md", ""), ("docs/b.md", "")],
        None,
        &expect![[r#"
            NoLanguageDetected: there is no Dockerfile, and no language is recognised. Found: docs/, letter.txt. Recognised are Node (package.json), Python (requirements.txt, pyproject.toml, main.py or app.py) and Go (go.mod)
        "#]],
    );
    check(
        &[],
        None,
        &expect![[r#"
        NoLanguageDetected: there is no Dockerfile, and no language is recognised. Found: nothing. Recognised are Node (package.json), Python (requirements.txt, pyproject.toml, main.py or app.py) and Go (go.mod)
    "#]],
    );
}
