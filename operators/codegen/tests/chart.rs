//! The chart's values and the operator's settings have the same names.

use std::fs;

use serde_json::{Value, json};
use trackbed_codegen::root;
use trackbed_kit::Config;

fn values() -> Value {
    let text = fs::read_to_string(root().join("charts/trackbed/values.yaml"));
    serde_saphyr::from_str(&text.expect("the chart is there")).expect("YAML")
}

/// Settings that the chart takes from the release, not from its values.
fn settings(values: &Value) -> Value {
    let mut settings = json!({
        "operatorNamespace": "trackbed-system",
        "serviceAccount": "trackbed",
    });
    for key in [
        "baseDomain",
        "urlScheme",
        "urlPort",
        "ingressClass",
        "ingressNamespace",
        "monitoringNamespace",
        "cloudnativePgNamespace",
        "clusterCidrs",
        "clusterDomain",
        "registry",
        "images",
        "build",
        "concurrency",
        "customDomains",
        "tls",
        "routing",
        "gateway",
    ] {
        settings[key] = values[key].clone();
    }
    settings["webhooks"] = json!({"url": values["webhooks"]["url"]});
    settings
}

#[test]
fn the_operator_reads_every_value_that_is_meant_for_it() {
    let read = serde_json::from_value::<Config>(settings(&values()));
    let config = read.expect("the operator knows every key");
    assert!(!config.images.kaniko.is_empty());
    assert!(!config.ingress_namespace.is_empty(), "nobody would get in");
}

#[test]
fn every_value_has_a_rule_and_a_sentence() {
    let text = fs::read_to_string(root().join("charts/trackbed/values.schema.json"));
    let schema: Value = serde_json::from_str(&text.expect("the schema is there")).expect("JSON");
    check("", &values(), &schema);
}

fn check(path: &str, value: &Value, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    assert_eq!(schema["additionalProperties"], false, "at '{path}'");
    for (key, value) in value.as_object().into_iter().flatten() {
        let rule = properties.get(key);
        let rule = rule.unwrap_or_else(|| panic!("'{path}.{key}' has no rule"));
        let sentence = rule["description"].as_str().unwrap_or_default();
        assert!(sentence.ends_with('.'), "'{path}.{key}': {sentence:?}");
        check(&format!("{path}.{key}"), value, rule);
    }
}
