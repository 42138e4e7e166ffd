//! Commands: which need a shell, and how the shell gives way.

/// What a container starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// One program with its arguments: signals reach it.
    Exec(Vec<String>),
    /// A line for the shell.
    Shell(String),
}

impl Start {
    /// The words of a program.
    pub(crate) fn exec(words: &[&str]) -> Self {
        Self::Exec(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// A command line: without a shell where it needs none.
    pub(crate) fn of(command: &str) -> Self {
        match plain_words(command) {
            Some(words) => Self::exec(&words),
            None => Self::Shell(with_exec(command)),
        }
    }

    /// As a line for people.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Exec(words) => words.join(" "),
            Self::Shell(line) => line.strip_prefix("exec ").unwrap_or(line).to_owned(),
        }
    }

    /// The arguments of CMD.
    pub(crate) fn words(&self) -> Vec<String> {
        match self {
            Self::Exec(words) => words.clone(),
            Self::Shell(line) => ["/bin/sh", "-c", line].map(str::to_owned).to_vec(),
        }
    }
}

/// The words of a command that needs no shell, if it is one.
pub(crate) fn plain_words(command: &str) -> Option<Vec<&str>> {
    let special = |c: char| !(c.is_ascii_alphanumeric() || "-_./:=@,+% \t".contains(c));
    let words: Vec<&str> = command.split_whitespace().collect();
    let first = words.first()?;
    let builtin = [
        "cd", "export", "exec", ".", "source", "set", "ulimit", "eval",
    ];
    (!command.contains(special) && !first.contains('=') && !builtin.contains(first))
        .then_some(words)
}

/// Makes the shell give way to the last program of a line (`exec`), so that signals reach it.
/// A line that is more than programs joined by `&&` stays as it is.
fn with_exec(command: &str) -> String {
    let command = command.trim();
    let (before, last) = match command.rsplit_once("&&") {
        Some((before, last)) => (Some(before.trim()), last.trim()),
        None => (None, command),
    };
    let compound = |c: char| ";|&()<>`\n{}!#".contains(c);
    // Braces and parentheses of variables, like ${PORT:-8080}, are no compound commands.
    let bare = without_variables(last);
    let quotes = |c: char| matches!(c, '\'' | '"' | '\\');
    let torn =
        before.is_some_and(|it| it.contains(quotes) || it.contains("||") || it.contains('|'));
    if torn || bare.contains(compound) {
        return command.to_owned();
    }
    let mut words = last.split_whitespace().peekable();
    let mut assignments = Vec::new();
    while let Some(word) = words.peek() {
        let name = word.split_once('=').map(|(name, _)| name);
        let is_name = |name: &str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if !name.is_some_and(is_name) || word.contains(quotes) {
            break;
        }
        assignments.push(*word);
        words.next();
    }
    let Some(first) = words.peek() else {
        return command.to_owned();
    };
    if matches!(
        *first,
        "exec" | "cd" | "export" | "if" | "for" | "while" | "case" | "until" | "." | "set"
    ) || first.contains('=')
    {
        return command.to_owned();
    }
    // What follows the assignments is taken as it stands: the spaces may be quoted.
    let skip = assignments.last().map_or(0, |word| {
        let at = word.as_ptr() as usize - last.as_ptr() as usize;
        at + word.len()
    });
    let rest = last.get(skip..).unwrap_or(last).trim_start();
    let mut line = String::new();
    if let Some(before) = before {
        line += &format!("{before} && ");
    }
    for word in assignments {
        line += &format!("{word} ");
    }
    line + "exec " + rest
}

/// A text without its `${…}`.
fn without_variables(text: &str) -> String {
    let mut bare = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        bare += before;
        match after.split_once('}') {
            Some((inside, after)) if !inside.contains(['`', '(']) => rest = after,
            _ => {
                bare += "{";
                rest = after;
            }
        }
    }
    bare + rest
}

/// Whether a command can stand in a RUN line as it is: it begins no flag, JSON, heredoc or other
/// line.
pub(crate) fn stands_in_a_line(command: &str) -> bool {
    let printable = |c: char| (c.is_ascii_graphic() && c != '\\') || c == ' ';
    let command = command.trim();
    command.chars().all(printable)
        && !command.starts_with(['-', '[', '#'])
        && !command.contains("<<")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_gives_way() {
        for (command, words) in [
            ("node server.js", "node server.js"),
            (
                "gunicorn --bind 0.0.0.0:$PORT app:app",
                "sh: exec gunicorn --bind 0.0.0.0:$PORT app:app",
            ),
            (
                "NODE_ENV=production node x.js",
                "sh: NODE_ENV=production exec node x.js",
            ),
            (
                "npm run migrate && node x.js",
                "sh: npm run migrate && exec node x.js",
            ),
            (
                "echo 'a && b' && node x.js",
                "sh: echo 'a && b' && node x.js",
            ),
            ("serve -p ${PORT:-80}", "sh: exec serve -p ${PORT:-80}"),
            ("a | b", "sh: a | b"),
            ("a; b", "sh: a; b"),
            ("cd app && ./run", "sh: cd app && exec ./run"),
            ("cd app", "sh: cd app"),
            ("exec node x", "sh: exec node x"),
            ("X='a b' node x", "sh: X='a b' node x"),
            ("echo $(a && b)", "sh: echo $(a && b)"),
        ] {
            let found = match Start::of(command) {
                Start::Exec(words) => words.join(" "),
                Start::Shell(line) => format!("sh: {line}"),
            };
            assert_eq!(found, words, "{command}");
        }
    }
}
