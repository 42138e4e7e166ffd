//! Build arguments for any Dockerfile.
//!
//! A build argument reaches the `RUN` lines of a stage only if the stage declares it. People do not
//! declare the proxy and the certificates of the cluster that they build on, so it is done for them.
//!
//! The rules of lines follow BuildKit's parser, which Kaniko uses too:
//! <https://github.com/moby/buildkit/blob/v0.23.2/frontend/dockerfile/parser/parser.go>.

use std::collections::BTreeSet;

/// Inserts `ARG NAME` after every FROM instruction, for the names that the stage does not declare
/// itself. Everything else stays as it is, byte for byte. Names that are no identifiers are left
/// out.
pub fn declare(dockerfile: &str, names: &[&str]) -> String {
    let mut stages: Vec<Stage> = Vec::new();
    for instruction in instructions(dockerfile) {
        match instruction.name.as_str() {
            // Nothing can stand after an instruction that the end of the file cuts off.
            "from" if instruction.cut => {}
            "from" => stages.push(Stage {
                end: instruction.end,
                declared: BTreeSet::new(),
            }),
            "arg" => {
                if let Some(stage) = stages.last_mut() {
                    let words = instruction.rest.split_whitespace();
                    let names = words.filter_map(|word| word.split('=').next());
                    stage.declared.extend(names.map(str::to_owned));
                }
            }
            _ => {}
        }
    }
    let mut text = String::with_capacity(dockerfile.len());
    let mut done = 0;
    for stage in stages {
        let before = dockerfile.get(done..stage.end).unwrap_or_default();
        text += before;
        done = stage.end;
        let lines = stage.lines(names);
        let end = if before.ends_with("\r\n") {
            "\r\n"
        } else {
            "\n"
        };
        if before.ends_with('\n') {
            for line in lines {
                text += &format!("{line}{end}");
            }
        } else {
            // The last line of a file need not end.
            for line in lines {
                text += &format!("{end}{line}");
            }
        }
    }
    text + dockerfile.get(done..).unwrap_or_default()
}

/// A stage: where its FROM ends, and what it declares.
struct Stage {
    end: usize,
    declared: BTreeSet<String>,
}

impl Stage {
    fn lines(&self, names: &[&str]) -> Vec<String> {
        let mut seen = self.declared.clone();
        names
            .iter()
            .filter(|name| is_identifier(name) && seen.insert((**name).to_owned()))
            .map(|name| format!("ARG {name}"))
            .collect()
    }
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// An instruction with its continuation lines and heredocs.
pub(crate) struct Instruction {
    /// In lower case.
    pub(crate) name: String,
    pub(crate) rest: String,
    /// First byte of its first line.
    pub(crate) begin: usize,
    /// Byte after its last line.
    end: usize,
    /// Whether the file ends where it was to be continued.
    cut: bool,
}

pub(crate) fn instructions(text: &str) -> Vec<Instruction> {
    let mut lines = Lines {
        escape: escape(text),
        rest: text.split_inclusive('\n'),
        at: 0,
        cut: false,
    };
    let mut found = Vec::new();
    loop {
        let begin = lines.at;
        let Some(logical) = lines.logical() else {
            break;
        };
        let trimmed = logical.trim();
        if trimmed.is_empty() {
            continue;
        }
        let (name, rest) = trimmed
            .split_once(|c: char| c.is_ascii_whitespace() || c == '\u{b}')
            .unwrap_or((trimmed, ""));
        for heredoc in heredocs(name, rest) {
            lines.skip(&heredoc);
        }
        found.push(Instruction {
            name: name.to_ascii_lowercase(),
            rest: rest.to_owned(),
            begin,
            end: lines.at,
            cut: lines.cut,
        });
    }
    found
}

/// The escape character, which a parser directive may change. Directives stand before everything
/// else: the first line that is none ends them.
fn escape(text: &str) -> char {
    for line in text.trim_start_matches('\u{feff}').lines() {
        let directive = line.trim_start().strip_prefix('#');
        let Some((key, value)) = directive.and_then(|it| it.split_once('=')) else {
            break;
        };
        match (key.trim().to_ascii_lowercase().as_str(), value.trim()) {
            ("escape", "`") => return '`',
            ("escape", _) => return '\\',
            ("syntax" | "check", value) if !value.is_empty() => {}
            _ => break,
        }
    }
    '\\'
}

/// Lines of a file, in order.
struct Lines<'a> {
    escape: char,
    rest: std::str::SplitInclusive<'a, char>,
    /// Byte after the last line taken.
    at: usize,
    /// Whether the last line was to be continued.
    cut: bool,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let line = self.rest.next()?;
        let first = self.at == 0;
        self.at += line.len();
        let line = line.trim_end_matches(['\r', '\n']);
        Some(if first {
            line.trim_start_matches('\u{feff}')
        } else {
            line
        })
    }

    /// A line with those that continue it. Comments and empty lines between them are dropped, as
    /// the parser does.
    fn logical(&mut self) -> Option<String> {
        let first = self.next()?.trim_start();
        if first.starts_with('#') {
            return Some(String::new());
        }
        let (part, mut more) = self.continues(first);
        let mut logical = part.to_owned();
        while more {
            let Some(line) = self.next() else {
                self.cut = true;
                break;
            };
            let start = line.trim_start();
            if start.is_empty() || start.starts_with('#') {
                continue;
            }
            let (part, continued) = self.continues(line);
            logical += part;
            more = continued;
        }
        Some(logical)
    }

    /// A line without its continuation character, and whether it had one. A doubled one is none.
    fn continues<'b>(&self, line: &'b str) -> (&'b str, bool) {
        let end = line.trim_end_matches([' ', '\t']);
        match end.strip_suffix(self.escape) {
            Some(part) if !part.ends_with(self.escape) => (part, true),
            _ => (line, false),
        }
    }

    /// Takes the lines of a heredoc.
    fn skip(&mut self, heredoc: &Heredoc) {
        while let Some(line) = self.next() {
            let line = if heredoc.tabs {
                line.trim_start_matches('\t')
            } else {
                line
            };
            if line == heredoc.end {
                break;
            }
        }
    }
}

/// A heredoc: the word that ends it, and whether tabs before that word are dropped.
struct Heredoc {
    end: String,
    tabs: bool,
}

/// The heredocs of an instruction, in order.
fn heredocs(name: &str, rest: &str) -> Vec<Heredoc> {
    let (name, rest) = if name.eq_ignore_ascii_case("onbuild") {
        rest.trim_start()
            .split_once(char::is_whitespace)
            .unwrap_or((rest, ""))
    } else {
        (name, rest)
    };
    let may = ["add", "copy", "run"]
        .iter()
        .any(|it| name.eq_ignore_ascii_case(it));
    if !may || !rest.contains("<<") || is_json(rest) {
        return Vec::new();
    }
    let words = words(rest).unwrap_or_default();
    words.iter().filter_map(|word| heredoc(word)).collect()
}

/// Whether the arguments after the flags are a JSON list, which holds no heredoc.
fn is_json(rest: &str) -> bool {
    let mut rest = rest.trim_start();
    while rest.starts_with("--") {
        rest = rest
            .split_once(char::is_whitespace)
            .map_or("", |(_, rest)| rest.trim_start());
    }
    rest.starts_with('[') && serde_json::from_str::<Vec<String>>(rest).is_ok()
}

/// `<<EOF`, `<<-'EOF'`, `3<<EOF`.
fn heredoc(word: &str) -> Option<Heredoc> {
    let word = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let after = word.strip_prefix("<<")?;
    let (tabs, end) = match after.strip_prefix('-') {
        Some(end) => (true, end),
        None => (false, after),
    };
    if end.is_empty() || end.contains('<') {
        return None;
    }
    let mut plain = String::new();
    let mut chars = end.chars();
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => plain.extend(chars.next()),
            _ => plain.push(c),
        }
    }
    Some(Heredoc { end: plain, tabs })
}

/// Words of a shell, with their quotes. None if a quote is not closed.
pub(crate) fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => {
                word.push(c);
                word.extend(chars.next());
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    quote.is_none().then_some(words)
}
