//! What Kaniko's log, with the kubelet's times, says of where a build's time went.

use jiff::Timestamp;

/// Instructions that Kaniko says before it begins them.
const INSTRUCTIONS: [&str; 10] = [
    "ADD ", "ARG ", "CMD ", "COPY ", "ENV ", "EXPOSE ", "LABEL ", "RUN ", "USER ", "WORKDIR ",
];
const CACHED: &str = "Using caching version of cmd: ";
/// What follows the last instruction of a stage.
const STAGE: &str = "Deleting filesystem";

/// A log: when each line came, and what Kaniko said in it. What commands wrote has no message.
#[derive(Debug)]
pub(super) struct Log {
    lines: Vec<(Timestamp, Option<String>)>,
}

impl Log {
    /// Reads it; `None` if no line has a time. The kubelet says of a container in whole seconds when
    /// it ran, and of each of its lines in nanoseconds when it came.
    pub(super) fn read(text: &str) -> Option<Self> {
        let lines = text.lines().filter_map(|line| {
            let (time, line) = line.split_once(' ')?;
            Some((time.parse().ok()?, message(line)))
        });
        let lines: Vec<_> = lines.collect();
        (!lines.is_empty()).then_some(Self { lines })
    }

    /// From its first line to its last.
    pub(super) fn seconds(&self) -> f64 {
        match (self.lines.first(), self.lines.last()) {
            (Some(first), Some(last)) => last.0.duration_since(first.0).as_secs_f64(),
            _ => 0.0,
        }
    }

    /// The instructions whose outcome was in the cache.
    pub(super) fn cached(&self) -> Vec<&str> {
        let messages = self.lines.iter().filter_map(|it| it.1.as_deref());
        messages.filter_map(|it| it.strip_prefix(CACHED)).collect()
    }

    /// How long `instructions` took.
    pub(super) fn seconds_of(&self, instructions: &[&str]) -> f64 {
        let mut began: Option<Timestamp> = None;
        let mut seconds = 0.0;
        for (time, message) in &self.lines {
            let Some(message) = message else { continue };
            let next = INSTRUCTIONS.iter().any(|it| message.starts_with(it));
            if !next && !message.starts_with(STAGE) {
                continue;
            }
            if let Some(began) = began.take() {
                seconds += time.duration_since(began).as_secs_f64();
            }
            began = instructions.contains(&message.as_str()).then_some(*time);
        }
        let last = self.lines.last().map(|it| it.0);
        let rest = began
            .zip(last)
            .map(|(began, last)| last.duration_since(began));
        seconds + rest.map_or(0.0, |it| it.as_secs_f64())
    }
}

/// The message of a line of Kaniko's own, as it is written there, without its quotes.
fn message(line: &str) -> Option<String> {
    let (_, text) = line.strip_prefix("time=\"")?.split_once(" msg=")?;
    let inner = text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    Some(inner.unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[(&str, &str)]) -> Log {
        let lines = lines.iter().map(|(second, message)| {
            format!("2026-01-02T03:04:{second}Z time=\"x\" level=info msg=\"{message}\"\n")
        });
        Log::read(&lines.collect::<String>()).expect("it has times")
    }

    #[test]
    fn the_time_is_that_between_the_lines() {
        let text = "2026-01-02T03:04:05.5Z INFO a\n2026-01-02T03:04:06Z b\nhalf a line\n2026-01-02T03:04:07.75Z c\n";
        assert_eq!(Log::read(text).expect("it has times").seconds(), 2.25);
        assert!(Log::read("").is_none());
    }

    #[test]
    fn instructions_take_until_the_next_one() {
        let first = log(&[
            ("00", "Unpacking rootfs as cmd COPY a ./ requires it."),
            ("02", "COPY a ./"),
            ("03", "RUN npm ci \\\"x\\\""),
            ("04", "Initializing snapshotter ..."),
            ("08", "COPY . ."),
            ("10", "RUN npm run build"),
            ("15", "Deleting filesystem..."),
            ("16", "COPY b ./"),
            (
                "18",
                "Skipping push to container registry due to --no-push flag",
            ),
        ]);
        let second = log(&[
            ("00", "Using caching version of cmd: RUN npm ci \\\"x\\\""),
            ("01", "Using caching version of cmd: COPY a ./"),
        ]);
        assert_eq!(first.seconds_of(&second.cached()), 6.0);
        assert_eq!(first.seconds_of(&["RUN npm run build", "COPY b ./"]), 7.0);
        assert_eq!(first.seconds_of(&[]), 0.0);
    }
}
