//! What is said, in the words of each forge.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Provider, Report, State, place::Repository};

/// Longest key of Bitbucket Cloud, which tells so when it refuses a longer one.
const KEY_MAX: usize = 40;

/// The body of a request.
pub(super) fn body(
    provider: Provider,
    report: &Report,
    repository: &Repository,
    commit: &str,
    target: Option<String>,
) -> Value {
    let state = state(provider, report.state);
    let description = cut(&report.description, description_max(provider));
    let target = target.filter(|it| it.len() <= target_max(provider));
    match provider {
        Provider::GitHub | Provider::Gitea => with_target(
            json!({"state": state, "context": report.context, "description": description}),
            target,
        ),
        Provider::GitLab => with_target(
            json!({"state": state, "name": report.context, "description": description}),
            target,
        ),
        Provider::Bitbucket | Provider::BitbucketServer => json!({
            "key": key(provider, &report.context),
            "name": report.context,
            "state": state,
            "description": description,
            // Mandatory. Without anything better it leads to the commit.
            "url": target.unwrap_or_else(|| repository.page(provider, commit)),
        }),
    }
}

fn state(provider: Provider, state: State) -> &'static str {
    match (provider, state) {
        (Provider::GitHub | Provider::Gitea, State::Pending) => "pending",
        // What is `pending` there has to go through `running` before it may succeed.
        (Provider::GitLab, State::Pending) => "running",
        (Provider::GitHub | Provider::Gitea | Provider::GitLab, State::Success) => "success",
        (Provider::GitHub | Provider::Gitea, State::Failure) => "failure",
        (Provider::GitLab, State::Failure) => "failed",
        (_, State::Pending) => "INPROGRESS",
        (_, State::Success) => "SUCCESSFUL",
        (_, State::Failure) => "FAILED",
    }
}

/// Longest description, in characters. GitHub and GitLab refuse longer ones. The others have no
/// limit that is documented, and show one line.
fn description_max(provider: Provider) -> usize {
    match provider {
        Provider::GitHub => 140,
        _ => 255,
    }
}

/// Longest URL. GitLab and Bitbucket Data Center refuse longer ones.
fn target_max(provider: Provider) -> usize {
    match provider {
        Provider::GitLab => 255,
        Provider::BitbucketServer => 450,
        _ => 2048,
    }
}

fn with_target(body: Value, target: Option<String>) -> Value {
    let mut fields: Map<String, Value> = body.as_object().cloned().unwrap_or_default();
    if let Some(target) = target {
        fields.insert("target_url".to_owned(), Value::String(target));
    }
    Value::Object(fields)
}

/// One line of at most so many characters.
fn cut(text: &str, max: usize) -> String {
    let line: String = text.trim().replace(char::is_control, " ");
    if line.chars().count() <= max {
        return line;
    }
    let begin: String = line.chars().take(max - 1).collect();
    format!("{}…", begin.trim_end())
}

/// What tells one context from others. A long one keeps its beginning, and differs from others with
/// the same beginning by its hash.
fn key(provider: Provider, context: &str) -> String {
    if provider == Provider::BitbucketServer || context.chars().count() <= KEY_MAX {
        return context.to_owned();
    }
    let mut end = String::from("-");
    for byte in Sha256::digest(context).iter().take(6) {
        let _ = write!(end, "{byte:02x}");
    }
    let begin: String = context.chars().take(KEY_MAX - end.len()).collect();
    begin + &end
}
