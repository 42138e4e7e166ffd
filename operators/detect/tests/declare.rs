//! Build arguments in Dockerfiles of any form.

use expect_test::{Expect, expect};
use trackbed_detect::declare;

fn check(dockerfile: &str, expected: &Expect) {
    let text = declare(dockerfile, &["HTTPS_PROXY", "PIP_INDEX_URL"]);
    // Nothing but our lines is added.
    let ours = |line: &&str| !matches!(line.trim_end(), "ARG HTTPS_PROXY" | "ARG PIP_INDEX_URL");
    let rest: String = text.split_inclusive('\n').filter(ours).collect();
    let own: String = dockerfile.split_inclusive('\n').filter(ours).collect();
    assert_eq!(rest.trim_end(), own.trim_end());
    expected.assert_eq(&text.replace('\r', "\\r"));
}

#[test]
fn every_stage_declares_them() {
    check(
        "# syntax=docker/dockerfile:1\nARG V=1\nfrom --platform=linux/amd64 node:$V as build\nRUN x\n\nFROM \\\n  # why\n  debian\nRUN y\n",
        &expect![[r#"
            # syntax=docker/dockerfile:1
            ARG V=1
            from --platform=linux/amd64 node:$V as build
            ARG HTTPS_PROXY
            ARG PIP_INDEX_URL
            RUN x

            FROM \
              # why
              debian
            ARG HTTPS_PROXY
            ARG PIP_INDEX_URL
            RUN y
        "#]],
    );
}

#[test]
fn what_a_stage_declares_itself_is_left_alone() {
    check(
        "FROM a\narg PIP_INDEX_URL=https://x OTHER\nFROM b\nARG HTTPS_PROXY\nARG \\\n PIP_INDEX_URL\n",
        &expect![[r#"
            FROM a
            ARG HTTPS_PROXY
            arg PIP_INDEX_URL=https://x OTHER
            FROM b
            ARG HTTPS_PROXY
            ARG \
             PIP_INDEX_URL
        "#]],
    );
}

#[test]
fn heredocs_are_no_instructions() {
    check(
        "FROM a\nRUN <<EOF cat && <<-'B' cat\nFROM x\nEOF\nFROM y\n\t\tB\nCOPY <<\"E F\" /x\nFROM z\nE F\nRUN [\"echo\", \"<<EOF\"]\nFROM b\nRUN echo \"<<EOF\" $((1<<2)) <<<x\nFROM c\nONBUILD RUN <<EOF\nFROM d\nEOF\nFROM e\n",
        &expect![[r#"
            FROM a
            ARG HTTPS_PROXY
            ARG PIP_INDEX_URL
            RUN <<EOF cat && <<-'B' cat
            FROM x
            EOF
            FROM y
            		B
            COPY <<"E F" /x
            FROM z
            E F
            RUN ["echo", "<<EOF"]
            FROM b
            ARG HTTPS_PROXY
            ARG PIP_INDEX_URL
            RUN echo "<<EOF" $((1<<2)) <<<x
            FROM c
            ARG HTTPS_PROXY
            ARG PIP_INDEX_URL
            ONBUILD RUN <<EOF
            FROM d
            EOF
            FROM e
            ARG HTTPS_PROXY
            ARG PIP_INDEX_URL
        "#]],
    );
}

#[test]
fn line_ends_and_escapes_stay() {
    check(
        "\u{feff}# escape=`\r\nFROM a`\r\n  AS x\r\nRUN dir C:\\\r\nFROM b",
        &expect![[r#"
            ﻿# escape=`\r
            FROM a`\r
              AS x\r
            ARG HTTPS_PROXY\r
            ARG PIP_INDEX_URL\r
            RUN dir C:\\r
            FROM b
            ARG HTTPS_PROXY
            ARG PIP_INDEX_URL"#]],
    );
    // A directive after anything else is a comment.
    check(
        "\n# escape=`\nFROM a\nRUN x \\\nFROM b\n",
        &expect![[r#"

            # escape=`
            FROM a
            ARG HTTPS_PROXY
            ARG PIP_INDEX_URL
            RUN x \
            FROM b
        "#]],
    );
}

#[test]
fn only_identifiers_are_declared() {
    assert_eq!(
        declare("FROM a\n", &["A B", "", "X\nRUN y", "1A", "_ok", "_ok"]),
        "FROM a\nARG _ok\n"
    );
    assert_eq!(declare("", &["A"]), "");
    assert_eq!(declare("FROM a \\\n", &["A"]), "FROM a \\\n");
    assert_eq!(declare("RUN x\n", &["A"]), "RUN x\n");
}
