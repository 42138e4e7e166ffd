//! Text of others (kubelet, scheduler, applications) on its way into status.

use trackbed_kit::conditions::{clip, tail};

/// Longest quotation in a message.
const QUOTE_MAX: usize = 600;
/// Longest log in status.
const LOG_MAX: usize = 2048;

/// One line of somebody else's text: no control characters, no credentials, not too long.
pub fn quote(text: &str) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
        .collect();
    clip(&redact(&words.join(" ")), QUOTE_MAX)
}

/// The last lines of a log, without escape sequences, control characters and credentials of URLs.
pub fn log_tail(text: &str) -> Option<String> {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\n' => clean.push('\n'),
            '\t' => clean.push(' '),
            '\u{1b}' => skip_escape(&mut rest),
            c if c.is_control() => {}
            c => clean.push(c),
        }
    }
    let clean = redact(clean.trim());
    let mut last = tail(&clean, LOG_MAX);
    if last.len() < clean.len()
        && let Some((_half, whole)) = last.split_once('\n')
    {
        last = whole;
    }
    (!last.is_empty()).then(|| last.to_owned())
}

/// Skips the rest of an ANSI escape sequence: `[` and parameters up to a letter, or one character.
fn skip_escape(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    if rest.next_if_eq(&'[').is_some() {
        while rest
            .next_if(|c| !c.is_ascii_alphabetic() && *c != '\n')
            .is_some()
        {}
    }
    let _last = rest.next_if(|c| *c != '\n');
}

/// Hides what stands between `://` and `@` in a URL.
fn redact(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<'))
            .unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                clean.push_str("***");
                &after[at..]
            }
            None => after,
        };
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_lose_what_terminals_and_thieves_like() {
        let log = "\u{1b}[31mError\u{1b}[0m: connect postgres://ada:s3cret@db:5432/shop\r\n\u{7}next\tline\u{1b}";
        assert_eq!(
            log_tail(log).as_deref(),
            Some("Error: connect postgres://***@db:5432/shop\nnext line")
        );
        assert_eq!(log_tail("\r\n \u{0}"), None);
    }

    #[test]
    fn only_the_last_whole_lines_are_kept() {
        let log: String = (0..1000).map(|line| format!("line {line} ä\n")).collect();
        let tail = log_tail(&log).expect("a tail");
        assert!(tail.len() <= LOG_MAX);
        assert!(
            tail.starts_with("line ") && tail.ends_with("line 999 ä"),
            "{tail}"
        );
        let one_line = "ä".repeat(5000);
        assert_eq!(log_tail(&one_line).map(|tail| tail.len()), Some(LOG_MAX));
    }

    #[test]
    fn quotations_are_one_line() {
        assert_eq!(
            quote("a\u{1b}[2J\n b  https://u:p@h/x@y c://d"),
            "a [2J b https://***@h/x@y c://d"
        );
        assert!(quote(&"x".repeat(5000)).len() <= QUOTE_MAX);
    }

    #[test]
    fn passwords_with_odd_characters_are_hidden_up_to_the_last_at() {
        assert_eq!(quote("redis://:p@ss@host:6379"), "redis://***@host:6379");
    }
}
