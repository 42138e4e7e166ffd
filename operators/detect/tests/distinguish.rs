//! Build arguments that tell layers apart.

use expect_test::{Expect, expect};
use trackbed_detect::{Copied, distinguish};

/// `a.txt` and `b.txt` are files, everything else is a folder.
fn check(dockerfile: &str, expected: &Expect) {
    let text = distinguish(dockerfile, |copied| match copied {
        Copied::Anything => Some("all".to_owned()),
        Copied::Paths(paths) => {
            let folders = paths.iter().filter(|path| !path.ends_with(".txt"));
            let names: Vec<&str> = folders.map(String::as_str).collect();
            (!names.is_empty()).then(|| names.join("+"))
        }
    });
    let ours = |line: &&str| !line.starts_with("ARG TRACKBED_PATHS=");
    let rest: String = text.split_inclusive('\n').filter(ours).collect();
    assert_eq!(rest, dockerfile, "everything else stays");
    expected.assert_eq(&text);
}

#[test]
fn folders_are_told_apart_and_files_are_not() {
    check(
        "FROM a\nCOPY a.txt b.txt ./\nRUN install\n# All of it.\ncopy --chown=1000:1000 . .\nADD [\"src\", \"a.txt\", \"/x y/\"]\nRUN build\n",
        &expect![[r#"
            FROM a
            COPY a.txt b.txt ./
            RUN install
            # All of it.
            ARG TRACKBED_PATHS=.
            copy --chown=1000:1000 . .
            ARG TRACKBED_PATHS=src
            ADD ["src", "a.txt", "/x y/"]
            RUN build
        "#]],
    );
}

#[test]
fn what_is_not_known_may_be_anything() {
    check(
        "FROM a AS b\nCOPY *.txt ./\nCOPY \\\n  # these\n  $WHAT /x\nFROM c\nCOPY --chown=1:1 --from=b /out/a.txt /a.txt\nADD https://example.com/a.tar /x\nCOPY 'with blank' /x\nCOPY",
        &expect![[r"
            FROM a AS b
            ARG TRACKBED_PATHS=all
            COPY *.txt ./
            ARG TRACKBED_PATHS=all
            COPY \
              # these
              $WHAT /x
            FROM c
            ARG TRACKBED_PATHS=all
            COPY --chown=1:1 --from=b /out/a.txt /a.txt
            ADD https://example.com/a.tar /x
            ARG TRACKBED_PATHS=all
            COPY 'with blank' /x
            COPY"]],
    );
}

#[test]
fn heredocs_are_left_alone() {
    check(
        "FROM a\nCOPY <<EOF /x\nCOPY src /y\nEOF\nCOPY src /y\nRUN <<EOF\nCOPY src /z\nEOF\nONBUILD COPY src /x\n",
        &expect![[r"
            FROM a
            COPY <<EOF /x
            COPY src /y
            EOF
            ARG TRACKBED_PATHS=src
            COPY src /y
            RUN <<EOF
            COPY src /z
            EOF
            ONBUILD COPY src /x
        "]],
    );
}
