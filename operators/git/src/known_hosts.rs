//! Whether a host is the one that it should be, by the lines of a `known_hosts` file.
//!
//! The rules are those of sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT": lists of patterns with `*`, `?` and
//! `!`, `[host]:port` for other ports than 22, hashed names, `@revoked`. Certificates of authorities
//! are not supported; such lines are left out.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use ssh_key::known_hosts::{Entry, HostPatterns, Marker};

/// What the lines say of a host's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the host's.
    Known,
    /// The host has other keys, of these kinds.
    Changed(Vec<String>),
    /// The key is revoked.
    Revoked,
    /// No line is about the host.
    Unknown,
}

/// Judges the key (in ssh's wire form) that a host showed.
pub(crate) fn judge(known_hosts: &str, host: &str, port: u16, key: &[u8]) -> Verdict {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = match port {
        22 => bare.to_owned(),
        port => format!("[{bare}]:{port}"),
    };
    let mut kinds = Vec::new();
    let mut known = false;
    // A line that cannot be read is as good as none: it can only make fewer hosts known.
    for entry in known_hosts
        .lines()
        .filter_map(|line| line.trim().parse::<Entry>().ok())
    {
        if !matches(entry.host_patterns(), &name) {
            continue;
        }
        let same = entry.public_key().to_bytes().is_ok_and(|it| it == key);
        match entry.marker() {
            Some(Marker::Revoked) if same => return Verdict::Revoked,
            Some(_) => {}
            None if same => known = true,
            None => kinds.push(entry.public_key().algorithm().to_string()),
        }
    }
    match (known, kinds.is_empty()) {
        (true, _) => Verdict::Known,
        (false, false) => Verdict::Changed(kinds),
        (false, true) => Verdict::Unknown,
    }
}

/// Kinds of the keys that the lines have for a host. libgit2 asks it for no others.
pub(crate) fn kinds(known_hosts: &str, host: &str, port: u16) -> Vec<String> {
    match judge(known_hosts, host, port, &[]) {
        Verdict::Changed(kinds) => kinds,
        Verdict::Known | Verdict::Revoked | Verdict::Unknown => Vec::new(),
    }
}

fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(salt) else {
                return false;
            };
            mac.update(name.as_bytes());
            mac.verify_slice(hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let hit =
                |pattern: &str| like(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes());
            let refused = patterns
                .iter()
                .filter_map(|it| it.strip_prefix('!'))
                .any(hit);
            let mut wanted = patterns.iter().filter(|it| !it.starts_with('!'));
            !refused && wanted.any(|it| hit(it))
        }
    }
}

/// `*` stands for any text, `?` for one character.
fn like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut seen) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, seen));
                at += 1;
            }
            Some(one) if *one == b'?' || *one == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                Some((before, taken)) => {
                    star = Some((before, taken + 1));
                    at = before + 1;
                    seen = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|one| *one == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMBGRQqdXFvcI2dYot4YqfAwM6Yi0A++Eg9NIqHQ0CRK";

    const ECDSA: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBAqueREKfvsDybaNQvRSvQ0hVXSReY1K5PSNIAr3C1ZlDBaSIKES6ml6y/+6CHk5nKA529xL39fhYAkWwm2GudY=";
    const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQCNJPOYc17NeZ19L2n0VKYkgsWJByVZ1e/QPc+jsQqtHQ31ugL3xu0B7ld3bDWFIGHyg7IjmdNOgmOfKzxV+zti2g3ALb3tdqmhIURnn262T8BEAdDfcGNbl4tJVoZJgqMaxDUsl819inE8LJjQz8HCsT/2mL28suQdRD4mbZwfCgRhsbqoFR83A5Evrsasb3hnMhAPc5gFKV/K803PAdPe2lzuaYHVKSJCqzBnwTh8rOAPKPgxXPDd0T53fssfl0mjJoz0H5x5f1l60NcKu/Ej3NCa7XLMJDtsG4RZG3QYRl6+Xl+IFVM5BCN5u6+1BXCnAsrXfolV303fG1Pkv0drs7Gm6Qg01GR6/+Qi1QVF/GwvWZhVX4RvsIPV3c14mt+Rnl8La5oaGhu/vkofF87xJIt6m1N0LNLSVkRe3xIB+m9N+waaKD/tROjTiOVyFEoeDdisqrk/fc8cSjG0J0i8yktU+HNUzessZB48FmGVVX+zsOU2psaqjIxcWKcbDh8=";

    fn bytes(key: &str) -> Vec<u8> {
        let key: ssh_key::PublicKey = key.parse().expect("a key");
        key.to_bytes().expect("bytes")
    }

    #[test]
    fn the_host_s_own_line_counts() {
        let lines = [
            (format!("example.com {KEY}"), 22, Verdict::Known),
            (
                format!("# why\n\nother.com,example.com {KEY} a comment"),
                22,
                Verdict::Known,
            ),
            (format!("[example.com]:2222 {KEY}"), 2222, Verdict::Known),
            (format!("example.com {KEY}"), 2222, Verdict::Unknown),
            (format!("[example.com]:2222 {KEY}"), 22, Verdict::Unknown),
            (format!("*.com {KEY}"), 22, Verdict::Known),
            (format!("*.com,!example.com {KEY}"), 22, Verdict::Unknown),
            (
                format!("example.com {OTHER}"),
                22,
                Verdict::Changed(vec!["ssh-ed25519".to_owned()]),
            ),
            (
                format!("@revoked * {KEY}\nexample.com {KEY}"),
                22,
                Verdict::Revoked,
            ),
            (
                format!("@cert-authority example.com {KEY}"),
                22,
                Verdict::Unknown,
            ),
            (format!("not a line\nexample.com {KEY}"), 22, Verdict::Known),
            (String::new(), 22, Verdict::Unknown),
        ];
        for (text, port, expected) in lines {
            assert_eq!(
                judge(&text, "example.com", port, &bytes(KEY)),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn kinds_are_those_of_the_host_s_lines() {
        let lines = format!("example.com {KEY}\nexample.com {ECDSA}\nexample.org {RSA}");
        let found = kinds(&lines, "example.com", 22);
        assert_eq!(found, ["ssh-ed25519", "ecdsa-sha2-nistp256"]);
        assert!(kinds(&lines, "example.com", 2222).is_empty());
    }

    #[test]
    fn every_kind_of_key_counts() {
        for key in [KEY, ECDSA, RSA] {
            let line = format!("example.com {key}");
            let verdict = judge(&line, "example.com", 22, &bytes(key));
            assert_eq!(verdict, Verdict::Known, "{key}");
        }
    }

    #[test]
    fn a_hashed_name_counts() {
        // Made by ssh-keygen -H of "example.com".
        let line = format!("HASHED {KEY}");
        let line = line.replace("HASHED", HASHED);
        assert_eq!(judge(&line, "example.com", 22, &bytes(KEY)), Verdict::Known);
        assert_eq!(
            judge(&line, "example.org", 22, &bytes(KEY)),
            Verdict::Unknown
        );
    }

    #[test]
    fn patterns_are_matched_whole() {
        for (pattern, text, expected) in [
            ("*", "a", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbd", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "aXbYbZc", true),
            ("", "a", false),
        ] {
            assert_eq!(
                like(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }

    const HASHED: &str = "|1|XZK7DO0YSnuz0wAZ4Zhi00UKIdc=|W0OEom6XhcKgGjch+TSjMp5WmbM=";
}
