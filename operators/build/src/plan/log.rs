//! What Kaniko's log says of the Dockerfile's instructions.
//!
//! Kaniko writes logrus' text form between the lines of the commands that it runs, and an
//! instruction's own line before it begins:
//! <https://github.com/chainguard-dev/kaniko/blob/v1.25.3/pkg/executor/build.go>.

use trackbed_kit::conditions::clip;

/// Longest part of an instruction or line that is told.
const LINE: usize = 300;
/// Instructions that do something: those with which a line of the log begins.
const INSTRUCTIONS: [&str; 17] = [
    "ADD ",
    "ARG ",
    "CMD ",
    "COPY ",
    "ENTRYPOINT ",
    "ENV ",
    "EXPOSE ",
    "HEALTHCHECK ",
    "LABEL ",
    "MAINTAINER ",
    "ONBUILD ",
    "RUN ",
    "SHELL ",
    "STOPSIGNAL ",
    "USER ",
    "VOLUME ",
    "WORKDIR ",
];

/// The instruction that began last, on one line.
pub(super) fn instruction(log: &str) -> Option<String> {
    log.lines().rev().find_map(|line| {
        let message = message(line)?;
        let begins = INSTRUCTIONS.iter().any(|word| message.starts_with(word));
        // Tells nothing: it is declared for every build.
        (begins && !message.starts_with("ARG ")).then(|| clip(&printable(&message), LINE))
    })
}

/// What the commands of an instruction wrote last, without Kaniko's own lines.
pub(super) fn output(log: &str) -> Option<String> {
    let line = log.lines().map(str::trim).rfind(|line| {
        !line.is_empty() && message(line).is_none() && !line.starts_with("error building ")
    })?;
    let line = printable(line);
    (!line.is_empty()).then(|| clip(&line, LINE))
}

/// The last line that says something.
pub(super) fn last(log: &str) -> String {
    let line = log.lines().map(str::trim).rfind(|line| !line.is_empty());
    clip(&printable(line.unwrap_or_default()), LINE)
}

/// The exit code of the command that failed: Kaniko's own is always 1.
pub(super) fn exit_status(log: &str) -> Option<i32> {
    let last = last(log);
    last.rsplit_once("exit status ")?.1.trim().parse().ok()
}

/// The message of a line of Kaniko's own.
fn message(line: &str) -> Option<String> {
    let rest = line.trim().strip_prefix("time=\"")?;
    let (_, text) = rest.split_once(" msg=")?;
    // A message that is one word has no quotes. Quotes are Go's, which JSON reads but for rare
    // escapes.
    match text.strip_prefix('"') {
        None => Some(text.to_owned()),
        Some(inner) => Some(serde_json::from_str(text).unwrap_or_else(|_| inner.to_owned())),
    }
}

fn printable(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"time="2026-11-23T15:59:17Z" level=info msg="COPY requirements.txt ./"
time="2026-11-23T15:59:17Z" level=info msg="RUN [\"/bin/sh\",\"-c\",\"npm \\\"ci\\\"\"]"
time="2026-11-23T15:59:17Z" level=info msg="Cmd: /bin/sh"
time="2026-11-23T15:59:17Z" level=info msg="ARG PIP_CERT"
npm error code E404
npm error 404 Not Found: left-pad@99
error building image: error building stage: failed to execute command: waiting for process to exit: exit status 217
"#;

    #[test]
    fn a_log_tells_what_failed() {
        assert_eq!(
            instruction(LOG).as_deref(),
            Some(r#"RUN ["/bin/sh","-c","npm \"ci\""]"#)
        );
        assert_eq!(
            output(LOG).as_deref(),
            Some("npm error 404 Not Found: left-pad@99")
        );
        assert_eq!(exit_status(LOG), Some(217));
        assert!(last(LOG).starts_with("error building image"));
    }

    #[test]
    fn what_a_command_writes_is_no_instruction() {
        let log = "RUN in circles\ntime=\"x\" level=info msg=Pulling\n\u{1b}[31mRUN\u{7}";
        assert_eq!(instruction(log), None);
        assert_eq!(output(log).as_deref(), Some("[31mRUN"));
        assert_eq!(instruction(""), None);
        assert_eq!(output(" \n"), None);
        assert_eq!(exit_status("exit status many"), None);
        assert_eq!(last(""), "");
    }
}
