//! What Kaniko's log says of the Dockerfile's instructions.
//!
//! Kaniko writes logrus' text form between the lines of the commands that it runs, and an
//! instruction's own line before it begins:
//! <https://github.com/chainguard-dev/kaniko/blob/v1.25.3/pkg/executor/build.go>.

use trackbed_kit::conditions::clip;

/// Longest part of an instruction or line that is told.
const LINE: usize = 300;
/// Exit code of what SIGKILL ended, as shells count.
const KILLED: i32 = 137;
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

/// The base image that was pulled last, and the log from there.
pub(super) fn pull(log: &str) -> Option<(String, &str)> {
    const BEGINS: &str = "Retrieving image manifest ";
    let at = log.rfind(BEGINS)?;
    let line = log[..at].rfind('\n').map_or(0, |end| end + 1);
    let message = message(log[line..].lines().next()?)?;
    let image = clip(&printable(message.strip_prefix(BEGINS)?), LINE);
    Some((image, &log[line..]))
}

/// What a line of a failed pull says at its core, without how often that was tried.
pub(super) fn cause(line: &str) -> String {
    let message = message(line).unwrap_or_else(|| line.to_owned());
    let mut core = message.as_str();
    for before in ["last error: ", " due to "] {
        core = core.rsplit_once(before).map_or(core, |(_, rest)| rest);
    }
    let core = core.split(". Will try with").next().unwrap_or(core);
    let core = core.strip_prefix("error building image: ").unwrap_or(core);
    clip(&printable(core), LINE)
}

/// The exit code of the command that failed: Kaniko's own is always 1.
pub(super) fn exit_status(log: &str) -> Option<i32> {
    let last = last(log);
    if last.ends_with("signal: killed") {
        return Some(KILLED);
    }
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
        assert_eq!(exit_status("process to exit: signal: killed"), Some(137));
        assert!(last(LOG).starts_with("error building image"));
    }

    #[test]
    fn a_pull_is_told_with_its_image() {
        let log = r#"time="x" level=info msg="Retrieving image manifest alpine:3"
time="x" level=info msg="Retrieving image manifest busybox:none"
time="x" level=warning msg="Failed to retrieve image busybox:none from remapped registry mirror:5000: unable to complete operation after 3 attempts, last error: GET http://mirror:5000/v2/library/busybox/manifests/none: MANIFEST_UNKNOWN: manifest unknown. Will try with the next registry, or fallback to the original registry."
error building image: unable to complete operation after 3 attempts, last error: Get "https://index.docker.io/v2/": Bad Gateway
"#;
        let (image, own) = pull(log).expect("a pull");
        assert_eq!(image, "busybox:none");
        let mut lines = own.lines().skip(1);
        assert_eq!(
            lines.next().map(cause).as_deref(),
            Some(
                "GET http://mirror:5000/v2/library/busybox/manifests/none: MANIFEST_UNKNOWN: manifest unknown"
            )
        );
        assert_eq!(
            lines.next().map(cause).as_deref(),
            Some("Get \"https://index.docker.io/v2/\": Bad Gateway")
        );
        assert_eq!(pull("FROM busybox"), None);
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
