//! Whether a live object already says what a desired one asks for.
//!
//! The live object has more: defaults, status, what others own. So "equal" is the wrong question;
//! the right one is whether every field that we would send is there with our value.

use serde_json::Value;

/// Keys by which the elements of lists are told apart, in the order in which they are tried.
const LIST_KEYS: [&str; 8] = [
    "name",
    "containerPort",
    "port",
    "mountPath",
    "key",
    "type",
    "ip",
    "host",
];

/// Whether `live` holds everything that `desired` says.
pub fn covers(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => {
            desired.iter().all(|(key, wanted)| match live.get(key) {
                Some(found) => covers(found, wanted),
                None => empty(wanted),
            })
        }
        (Value::Array(live), Value::Array(desired)) => lists(live, desired),
        (Value::String(live), Value::String(desired)) => {
            live == desired || same_amount(live, desired)
        }
        _ => live == desired,
    }
}

fn lists(live: &[Value], desired: &[Value]) -> bool {
    if let Some(key) = LIST_KEYS
        .iter()
        .find(|key| !desired.is_empty() && desired.iter().all(|item| item.get(**key).is_some()))
    {
        return desired.iter().all(|wanted| {
            live.iter()
                .any(|found| found.get(*key) == wanted.get(*key) && covers(found, wanted))
        });
    }
    live.len() == desired.len()
        && live
            .iter()
            .zip(desired)
            .all(|(found, wanted)| covers(found, wanted))
}

/// The API server drops empty maps and lists, and nulls.
fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(empty),
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// The API server writes quantities in a form of its own: `0.5` becomes `500m`.
fn same_amount(live: &str, desired: &str) -> bool {
    use trackbed_api::scalar::Quantity;
    let starts_with_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    starts_with_digit(live)
        && starts_with_digit(desired)
        && match (
            Quantity::from(live).milli(),
            Quantity::from(desired).milli(),
        ) {
            (Some(live), Some(desired)) => live == desired,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_of_the_server_are_no_difference() {
        let desired = json!({"spec": {"containers": [{"name": "app", "image": "a", "resources": {"limits": {"cpu": "0.5"}}}], "volumes": []}});
        let live = json!({"spec": {"containers": [{"name": "sidecar"}, {"name": "app", "image": "a", "imagePullPolicy": "Always", "resources": {"limits": {"cpu": "500m"}}}]}, "status": {}});
        assert!(covers(&live, &desired));
    }

    #[test]
    fn a_changed_or_missing_field_is_a_difference() {
        let desired =
            json!({"spec": {"replicas": 2, "containers": [{"name": "app", "image": "b"}]}});
        for live in [
            json!({"spec": {"replicas": 3, "containers": [{"name": "app", "image": "b"}]}}),
            json!({"spec": {"replicas": 2, "containers": [{"name": "app", "image": "a"}]}}),
            json!({"spec": {"replicas": 2, "containers": []}}),
            json!({"spec": {"containers": [{"name": "app", "image": "b"}]}}),
        ] {
            assert!(!covers(&live, &desired), "{live}");
        }
    }

    #[test]
    fn lists_without_keys_are_compared_as_wholes() {
        assert!(covers(&json!(["a", "b"]), &json!(["a", "b"])));
        assert!(!covers(&json!(["a", "b", "c"]), &json!(["a", "b"])));
    }

    #[test]
    fn texts_that_only_look_like_amounts_differ() {
        assert!(!covers(&json!("17"), &json!("17.5")));
        assert!(covers(&json!("1Gi"), &json!("1024Mi")));
    }
}
