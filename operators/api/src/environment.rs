//! What a build needs to reach the world from inside a company: proxies, certificates, mirrors.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::scalar::IndexUrl;

/// How builds reach the world. What a Project says goes before the operator's settings, part by
/// part; certificates add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuildEnvironment {
    /// Proxy for http, like `http://proxy.example.com:3128`. Visible to builds: no password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub http_proxy: Option<String>,
    /// Proxy for https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub https_proxy: Option<String>,
    /// Hosts, domains and address ranges that are reached directly, divided by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub no_proxy: Option<String>,
    /// Certificates (PEM) that git and builds trust besides the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262_144))]
    #[x_kube(validation = Rule::new("self.contains('-----BEGIN CERTIFICATE-----')").message("must be certificates in PEM, each between '-----BEGIN CERTIFICATE-----' and '-----END CERTIFICATE-----'"))]
    pub ca_bundle: Option<String>,
    /// Mirrors of the public package indexes.
    #[serde(default, skip_serializing_if = "PackageIndexes::is_empty")]
    pub package_indexes: PackageIndexes,
    /// Further variables that every RUN line sees. They are visible in the image's history: never
    /// put secrets here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, crate::build::BuildArgument>", extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[A-Za-z_][A-Za-z0-9_]*$'))").message("names of variables must be letters, digits and '_', not starting with a digit"))]
    pub variables: BTreeMap<String, String>,
}

/// Mirrors of the public package indexes, by ecosystem.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PackageIndexes {
    /// For npm, pnpm, yarn and bun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub npm: Option<IndexUrl>,
    /// For pip and uv: the URL of a simple index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pypi: Option<IndexUrl>,
    /// For Go: a module proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub go: Option<IndexUrl>,
    /// For Cargo: the URL of a sparse index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cargo: Option<IndexUrl>,
}

impl PackageIndexes {
    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl BuildEnvironment {
    /// Whether it says how hosts are reached: through proxies, or with certificates of its own.
    pub fn is_way(&self) -> bool {
        let said = [
            &self.http_proxy,
            &self.https_proxy,
            &self.no_proxy,
            &self.ca_bundle,
        ];
        said.into_iter().any(Option::is_some)
    }

    /// This one, with what it does not say taken from another.
    #[must_use]
    pub fn over(&self, below: &Self) -> Self {
        let text = |one: &Option<String>, other: &Option<String>| one.clone().or(other.clone());
        let url = |one: &Option<IndexUrl>, other: &Option<IndexUrl>| one.clone().or(other.clone());
        let (own, other) = (&self.package_indexes, &below.package_indexes);
        let mut variables = below.variables.clone();
        variables.extend(self.variables.clone());
        let bundles = [&below.ca_bundle, &self.ca_bundle];
        let bundles: Vec<&str> = bundles.into_iter().flatten().map(String::as_str).collect();
        Self {
            http_proxy: text(&self.http_proxy, &below.http_proxy),
            https_proxy: text(&self.https_proxy, &below.https_proxy),
            no_proxy: text(&self.no_proxy, &below.no_proxy),
            ca_bundle: (!bundles.is_empty()).then(|| bundles.join("\n")),
            package_indexes: PackageIndexes {
                npm: url(&own.npm, &other.npm),
                pypi: url(&own.pypi, &other.pypi),
                go: url(&own.go, &other.go),
                cargo: url(&own.cargo, &other.cargo),
            },
            variables,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_not_said_is_the_other_ones() {
        let read = |text: &str| -> BuildEnvironment { serde_json::from_str(text).expect("JSON") };
        let platform = read(
            r#"{"httpProxy":"http://a:1","caBundle":"A","variables":{"X":"1","Y":"1"},
                "packageIndexes":{"npm":"https://n/","go":"https://g/"}}"#,
        );
        let project = read(
            r#"{"httpsProxy":"http://b:1","caBundle":"B","variables":{"Y":"2"},
                "packageIndexes":{"go":"https://own/"}}"#,
        );
        let expected = read(
            r#"{"httpProxy":"http://a:1","httpsProxy":"http://b:1","caBundle":"A\nB",
                "variables":{"X":"1","Y":"2"},
                "packageIndexes":{"npm":"https://n/","go":"https://own/"}}"#,
        );
        assert_eq!(project.over(&platform), expected);
        let none = BuildEnvironment::default();
        assert_eq!(none.over(&none), none);
    }
}
