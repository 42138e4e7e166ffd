//! The definitions of the five kinds.
//!
//! The chart has them as templates: Helm installs what is in a chart's `crds/` folder, but never
//! upgrades it (<https://helm.sh/docs/chart_best_practices/custom_resource_definitions/>).

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use serde_json::Value;

use crate::{Error, HEADER};

/// A definition for `kubectl apply -f`.
///
/// # Errors
/// If it cannot be serialised.
pub fn plain(crd: &CustomResourceDefinition) -> Result<String, Error> {
    Ok(format!("{HEADER}{}", yaml(crd, &value(crd)?)?))
}

/// A definition in the chart. It stays when the chart is uninstalled: with it would go every
/// object of its kind.
///
/// # Errors
/// If it cannot be serialised.
pub fn template(crd: &CustomResourceDefinition) -> Result<String, Error> {
    let mut value = value(crd)?;
    value["metadata"]["annotations"]["helm.sh/resource-policy"] = "keep".into();
    let text = escape(&yaml(crd, &value)?);
    Ok(format!(
        "{HEADER}{{{{- if .Values.crds.install }}}}\n{text}{{{{- end }}}}\n"
    ))
}

fn value(crd: &CustomResourceDefinition) -> Result<Value, Error> {
    serde_json::to_value(crd).map_err(|source| Error::Json {
        what: crd.name_any(),
        source,
    })
}

fn yaml(crd: &CustomResourceDefinition, value: &Value) -> Result<String, Error> {
    serde_saphyr::to_string(value).map_err(|source| Error::Yaml {
        what: crd.name_any(),
        source,
    })
}

/// Text that Helm's template engine hands through as it is.
fn escape(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_do_not_read_braces_of_descriptions() {
        assert_eq!(escape("a {{ b }} c"), "a {{ \"{{\" }} b }} c");
    }

    #[test]
    fn the_yaml_says_what_the_type_says() {
        for crd in trackbed_api::crds() {
            let text = plain(&crd).expect("YAML");
            let read: Value = serde_saphyr::from_str(&text).expect("YAML");
            assert_eq!(read, value(&crd).expect("JSON"), "{}", crd.name_any());
        }
    }
}
