//! The versions that official images exist for, in one place.
//!
//! Ends of life are from <https://endoflife.date>. A version that has ended is taken when it is
//! asked for, with a warning.

/// A release line of a language.
pub(crate) struct Line {
    /// Its number, as far as lines go: `[22]` for Node, `[3, 13]` for Python.
    pub(crate) number: &'static [u32],
    /// Year and month of its last fixes, if they are past.
    pub(crate) ended: Option<&'static str>,
    /// Only taken by who asks for just this: it never had long support.
    pub(crate) short: bool,
}

/// What is known of a language.
pub(crate) struct Language {
    /// For sentences.
    pub(crate) name: &'static str,
    /// Where nothing asks for a version.
    pub(crate) default: &'static str,
    /// Newest first.
    pub(crate) lines: &'static [Line],
    /// Whether images are tagged with full versions too.
    pub(crate) patches: bool,
}

const fn line(number: &'static [u32]) -> Line {
    Line {
        number,
        ended: None,
        short: false,
    }
}

const fn ended(number: &'static [u32], when: &'static str) -> Line {
    Line {
        number,
        ended: Some(when),
        short: false,
    }
}

const fn short(number: &'static [u32], when: &'static str) -> Line {
    Line {
        number,
        ended: Some(when),
        short: true,
    }
}

/// 22 ends in April 2027, 24 in April 2028.
pub(crate) const NODE: Language = Language {
    name: "Node",
    default: "22",
    lines: &[
        short(&[25], "June 2026"),
        line(&[24]),
        short(&[23], "June 2025"),
        line(&[22]),
        short(&[21], "June 2024"),
        ended(&[20], "April 2026"),
        ended(&[18], "April 2025"),
        ended(&[16], "September 2023"),
    ],
    patches: true,
};

/// 3.11 ends in October 2027, each next one a year later.
pub(crate) const PYTHON: Language = Language {
    name: "Python",
    default: "3.13",
    lines: &[
        line(&[3, 14]),
        line(&[3, 13]),
        line(&[3, 12]),
        line(&[3, 11]),
        ended(&[3, 10], "October 2026"),
        ended(&[3, 9], "October 2025"),
        ended(&[3, 8], "October 2024"),
    ],
    patches: true,
};

/// A line ends when the second one after it is out. A new toolchain builds old modules.
pub(crate) const GO: Language = Language {
    name: "Go",
    default: "1.26",
    lines: &[
        line(&[1, 26]),
        line(&[1, 25]),
        ended(&[1, 24], "February 2026"),
        ended(&[1, 23], "August 2025"),
        ended(&[1, 22], "February 2025"),
        ended(&[1, 21], "August 2024"),
        ended(&[1, 20], "February 2024"),
    ],
    patches: true,
};

/// Only the newest is mended, and it builds what older ones did: `1` is always the newest.
pub(crate) const RUST: Language = Language {
    name: "Rust",
    default: "1",
    lines: &[line(&[1])],
    patches: true,
};

/// 8 ends in 2030, 11 and 17 in 2027, 21 in 2029, 25 in 2031 (Temurin).
pub(crate) const JAVA: Language = Language {
    name: "Java",
    default: "21",
    lines: &[
        line(&[25]),
        line(&[21]),
        line(&[17]),
        line(&[11]),
        line(&[8]),
    ],
    patches: false,
};

/// 3.3 ends in March 2027, each next one a year later.
pub(crate) const RUBY: Language = Language {
    name: "Ruby",
    default: "3.4",
    lines: &[
        line(&[3, 4]),
        line(&[3, 3]),
        ended(&[3, 2], "March 2026"),
        ended(&[3, 1], "March 2025"),
    ],
    patches: true,
};

/// 8.2 ends in December 2026, each next one a year later.
pub(crate) const PHP: Language = Language {
    name: "PHP",
    default: "8.4",
    lines: &[
        line(&[8, 5]),
        line(&[8, 4]),
        line(&[8, 3]),
        line(&[8, 2]),
        ended(&[8, 1], "December 2025"),
        ended(&[8, 0], "November 2023"),
    ],
    patches: true,
};

/// Managers of Node where nothing pins them.
pub(crate) const PNPM: &str = "10";
/// Yarn classic: its last version.
pub(crate) const YARN_CLASSIC: &str = "1.22.22";
/// Yarn berry.
pub(crate) const YARN_BERRY: &str = "4";
/// Bun.
pub(crate) const BUN: &str = "1";
/// uv: versions below 1.0 may break, so it is a line.
pub(crate) const UV: &str = "uv>=0.8,<1";
/// Poetry.
pub(crate) const POETRY: &str = "poetry>=2.1,<3";
/// Pipenv, whose versions are years.
pub(crate) const PIPENV: &str = "pipenv>=2025,<2027";

/// Servers of Python, where the project names none.
pub(crate) const GUNICORN: &str = "gunicorn>=23,<26";
pub(crate) const UVICORN: &str = "uvicorn>=0.34,<1";

/// Serves static files as uid 101 on a port of the environment; a twelfth of the image on Debian.
pub(crate) const NGINX: &str = "docker.io/nginxinc/nginx-unprivileged:stable-alpine-slim";
/// Runs programs that need nothing.
pub(crate) const DISTROLESS_STATIC: &str = "gcr.io/distroless/static-debian12:nonroot";
/// Runs programs that need the C library.
pub(crate) const DISTROLESS_CC: &str = "gcr.io/distroless/cc-debian12:nonroot";
/// Runs programs that need a shell or packages.
pub(crate) const DEBIAN: &str = "docker.io/library/debian:bookworm-slim";
