//! Manifests in JSON and TOML, with errors that name file and line.

use crate::Error;

/// Reads JSON.
pub(crate) fn json(file: &str, text: &str) -> Result<serde_json::Value, Error> {
    let text = text.trim_start_matches('\u{feff}');
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        let why = error.to_string();
        let why = why.split(" at line ").next().unwrap_or("it is cut off");
        invalid(file, Some(error.line()), &format!("no JSON: {why}"))
    })?;
    if !value.is_object() {
        return Err(invalid(file, None, "not an object"));
    }
    Ok(value)
}

/// Reads TOML.
pub(crate) fn toml(file: &str, text: &str) -> Result<toml::Table, Error> {
    text.trim_start_matches('\u{feff}')
        .parse::<toml::Table>()
        .map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(start).filter(|b| *b == b'\n').count() + 1;
            let why = error.message().lines().next().unwrap_or("it is cut off");
            invalid(file, Some(line), &format!("no TOML: {why}"))
        })
}

/// A manifest that cannot be used.
pub(crate) fn invalid(file: &str, line: Option<usize>, why: &str) -> Error {
    Error::Unusable(match line {
        Some(line) => format!("{file}, line {line}: {why}"),
        None => format!("{file}: {why}"),
    })
}

/// A value deep in a TOML table.
pub(crate) fn at<'a>(table: &'a toml::Table, path: &[&str]) -> Option<&'a toml::Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(table.get(*first)?, |it, key| it.get(key))
}

/// The text of the first XML element of a name, without a parser: only short values of well-known
/// elements are looked for, and what is no plain text is nothing.
pub(crate) fn xml<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let open = format!("<{name}>");
    let start = text.find(&open)? + open.len();
    let rest = text.get(start..)?;
    let value = rest.split('<').next()?.trim();
    (!value.is_empty() && value.len() <= 200).then_some(value)
}
