//! Versions: what files ask for, and the image's tag that meets it.

use crate::{Error, known::Language};

/// A version: major, minor, patch.
type Version = [u32; 3];
/// Greater than every number of a version.
const END: u32 = u32::MAX;

/// What something asks for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// As it stands there.
    pub(crate) text: String,
    /// The file or setting.
    pub(crate) from: String,
}

impl Asked {
    pub(crate) fn new(text: &str, from: &str) -> Self {
        Self {
            text: text.trim().to_owned(),
            from: from.to_owned(),
        }
    }
}

/// What was chosen.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    /// Part of an image's tag.
    pub(crate) tag: String,
    /// Who asked.
    pub(crate) from: Option<String>,
    /// What to know about it.
    pub(crate) warning: Option<String>,
}

/// How `~1.2` is meant: up to 1.3 in npm, up to 2.0 in Composer, RubyGems and PEP 440.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tilde {
    Minor,
    Next,
}

/// Chooses the newest known version that meets what is asked for.
pub(crate) fn choose(
    language: &Language,
    asked: Option<Asked>,
    tilde: Tilde,
) -> Result<Chosen, Error> {
    let Some(asked) = asked else {
        return Ok(Chosen {
            tag: language.default.to_owned(),
            from: None,
            warning: None,
        });
    };
    let shown: String = asked.text.chars().take(60).collect();
    let known = || -> String {
        let mut lines: Vec<String> = language
            .lines
            .iter()
            .filter(|line| !line.short)
            .map(|line| dotted(line.number))
            .collect();
        lines.reverse();
        lines.join(", ")
    };
    let Some(range) = Range::parse(&asked.text, tilde) else {
        return Err(Error::Unusable(format!(
            "{}: {} version {shown:?} cannot be understood: write one like {}",
            asked.from, language.name, language.default
        )));
    };
    let Some(tag) = tag(language, &range) else {
        return Err(Error::Unusable(format!(
            "{}: {} {shown} is not available: known are {}",
            asked.from,
            language.name,
            known()
        )));
    };
    let number = parts(&tag).unwrap_or_default();
    let ended = language
        .lines
        .iter()
        .find(|line| number.starts_with(line.number))
        .and_then(|line| line.ended);
    Ok(Chosen {
        warning: ended.map(|when| {
            format!(
                "{} {tag} has had no security fixes since {when}",
                language.name
            )
        }),
        tag,
        from: Some(asked.from),
    })
}

fn tag(language: &Language, range: &Range) -> Option<String> {
    for short in [false, true] {
        let found = language
            .lines
            .iter()
            .find(|line| line.short == short && range.has(fill(line.number, END)));
        if let Some(line) = found {
            return Some(dotted(line.number));
        }
    }
    // No line's newest version will do: a more exact tag of a known line, or of a newer one if it
    // is just that one that is asked for.
    let newest = language.lines.first().map(|line| line.number)?;
    let depth = newest.len();
    for low in range.lows() {
        let line = low.get(..depth)?;
        let known = language.lines.iter().any(|it| it.number == line);
        let newer = range.exact().is_some() && line > newest;
        if !known && !newer {
            continue;
        }
        if !language.patches {
            return Some(dotted(line));
        }
        if let Some(exact) = range.exact() {
            return Some(dotted(exact));
        }
        if range.has([low[0], low[1], END]) {
            return Some(dotted(&low[..2]));
        }
        if range.has(low) {
            return Some(dotted(&low));
        }
    }
    None
}

fn fill(number: &[u32], with: u32) -> Version {
    let mut version = [with; 3];
    for (to, from) in version.iter_mut().zip(number) {
        *to = *from;
    }
    version
}

fn dotted(number: &[u32]) -> String {
    let parts: Vec<String> = number.iter().map(u32::to_string).collect();
    parts.join(".")
}

/// The numbers of `1.2.3`; none if it is anything else.
pub(crate) fn parts(text: &str) -> Option<Vec<u32>> {
    let parts: Vec<u32> = text
        .split('.')
        .map(|part| {
            let digits = part.len() <= 6 && part.bytes().all(|b| b.is_ascii_digit());
            (digits && !part.is_empty()).then(|| part.parse().ok())?
        })
        .collect::<Option<_>>()?;
    (1..=3).contains(&parts.len()).then_some(parts)
}

/// Whether a chosen tag is within another range of npm's.
pub(crate) fn meets(tag: &str, range: &str) -> bool {
    let number = parts(tag).unwrap_or_default();
    Range::parse(range, Tilde::Minor).is_none_or(|it| it.has(fill(&number, END)))
}

/// From `low` to before `high`; or all but that.
struct Interval {
    low: Version,
    high: Version,
    not: bool,
}

/// Any of some lists of intervals that all must hold.
struct Range {
    any: Vec<Vec<Interval>>,
    exact: Option<Vec<u32>>,
}

impl Range {
    /// Longest text of a range.
    const MAX: usize = 200;

    fn parse(text: &str, tilde: Tilde) -> Option<Self> {
        if text.len() > Self::MAX {
            return None;
        }
        let text = text.split('@').next()?.trim();
        let exact = parts(text.trim_start_matches(['=', 'v']).trim());
        let normal = text.replace("||", "|");
        let any = normal
            .split('|')
            .map(|clause| all_of(clause.trim(), tilde))
            .collect::<Option<Vec<_>>>()?;
        Some(Self { any, exact })
    }

    fn has(&self, version: Version) -> bool {
        self.any.iter().any(|all| {
            all.iter().all(|it| {
                let inside = it.low <= version && version < it.high;
                inside != it.not
            })
        })
    }

    /// The lower bounds, as candidates.
    fn lows(&self) -> impl Iterator<Item = Version> {
        let all = self.any.iter().flatten();
        all.filter(|it| !it.not).map(|it| it.low)
    }

    /// The version, if just one is asked for.
    fn exact(&self) -> Option<&[u32]> {
        self.exact.as_deref()
    }
}

/// Comparators that all must hold, divided by spaces or commas.
fn all_of(text: &str, tilde: Tilde) -> Option<Vec<Interval>> {
    if text.is_empty() {
        return None;
    }
    if let Some((low, high)) = text.split_once(" - ") {
        let low = comparator(">=", low.trim(), tilde)?;
        return Some(vec![low, comparator("<=", high.trim(), tilde)?]);
    }
    let mut all = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', ',', '\t']);
        if rest.is_empty() {
            return Some(all);
        }
        let operator_end = rest
            .find(|c: char| !"<>=!~^".contains(c))
            .unwrap_or(rest.len());
        let (operator, after) = rest.split_at(operator_end);
        let after = after.trim_start();
        let version_end = after.find([' ', ',', '\t']).unwrap_or(after.len());
        let (version, after) = after.split_at(version_end);
        all.push(comparator(operator, version, tilde)?);
        rest = after;
    }
}

fn comparator(operator: &str, version: &str, tilde: Tilde) -> Option<Interval> {
    let version = version.trim_start_matches('v');
    // A wildcard ends the version.
    let stars = |part: &str| matches!(part, "*" | "x" | "X");
    let whole: Vec<&str> = version.split('.').collect();
    let cut: Vec<&str> = whole.iter().copied().take_while(|it| !stars(it)).collect();
    if whole.len() > 4 || !whole.iter().skip(cut.len()).all(|it| stars(it)) {
        return None;
    }
    let number = if cut.is_empty() {
        Vec::new()
    } else {
        parts(&cut.join("."))?
    };
    let low = fill(&number, 0);
    let after = after(&number, number.len());
    let to = |low: Version, high: Version| Interval {
        low,
        high,
        not: false,
    };
    let top = [END, END, END];
    Some(match operator {
        "" | "=" | "==" | "===" => to(low, after),
        ">=" => to(low, top),
        ">" => to(after, top),
        "<" => to([0; 3], low),
        "<=" => to([0; 3], after),
        "^" => to(low, self::after(&number, 1)),
        "~" if tilde == Tilde::Minor => to(low, self::after(&number, number.len().min(2))),
        "~" | "~>" | "~=" => to(
            low,
            self::after(&number, number.len().saturating_sub(1).max(1)),
        ),
        "!=" => Interval {
            low,
            high: after,
            not: true,
        },
        _ => return None,
    })
}

/// The first version after those that begin with the first parts of a number.
fn after(number: &[u32], parts: usize) -> Version {
    let parts = parts.min(number.len());
    let Some(last) = parts.checked_sub(1) else {
        return [END, END, END];
    };
    let mut version = fill(number.get(..parts).unwrap_or_default(), 0);
    version[last] = version[last].saturating_add(1);
    version
}

/// The version of a tool in an asdf or mise file (`.tool-versions`).
pub(crate) fn tool_version<'a>(text: &'a str, names: &[&str]) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let name = words.next()?;
        names.contains(&name).then(|| words.next()).flatten()
    })
}

/// The first line of a file like `.python-version` that says something.
pub(crate) fn first_line(text: &str) -> Option<&str> {
    let lines = text.lines().map(str::trim);
    let mut said = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    said.next()
}

#[cfg(test)]
mod tests;
