//! What every build is told of the world around it.

use std::collections::BTreeMap;

use trackbed_api::environment::BuildEnvironment;

/// Folder of what comes from the ConfigMap `trackbed-build` of the namespace.
pub(super) const FOLDER: &str = "/etc/trackbed/environment";
/// The certificates in it.
pub(super) const CERTIFICATES: &str = "/etc/trackbed/environment/ca.crt";
/// Variables by which programs are told where the certificates are. Most take the file instead of
/// their own list, so it holds the public ones too.
const TRUST: [&str; 10] = [
    "SSL_CERT_FILE",       // OpenSSL, Go, uv
    "NODE_EXTRA_CA_CERTS", // Node, npm, pnpm, yarn
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "BUNDLE_SSL_CA_CERT",
    "COMPOSER_CAFILE",
    "DENO_CERT",
];
/// Build arguments that Dockerfiles know without declaring them
/// (<https://docs.docker.com/reference/dockerfile/#predefined-args>).
const PREDEFINED: [&str; 6] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// The build arguments of an environment, by name. Those of the Build itself go before them.
pub(super) fn arguments(
    environment: &BuildEnvironment,
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut put = |names: &[&str], value: Option<&str>| {
        for (name, value) in names.iter().zip(value.into_iter().cycle()) {
            found.insert((*name).to_owned(), value.to_owned());
        }
    };
    put(&PREDEFINED[0..2], environment.http_proxy.as_deref());
    put(&PREDEFINED[2..4], environment.https_proxy.as_deref());
    put(&PREDEFINED[4..6], environment.no_proxy.as_deref());
    // Yarn since its second version does not know the names that all others know.
    put(&["YARN_HTTP_PROXY"], environment.http_proxy.as_deref());
    put(&["YARN_HTTPS_PROXY"], environment.https_proxy.as_deref());
    put(&TRUST, environment.ca_bundle.as_ref().map(|_| CERTIFICATES));
    let indexes = &environment.package_indexes;
    put(
        &[
            "npm_config_registry",
            "YARN_REGISTRY",
            "YARN_NPM_REGISTRY_SERVER",
        ],
        indexes.npm.as_deref(),
    );
    put(
        &["PIP_INDEX_URL", "UV_DEFAULT_INDEX"],
        indexes.pypi.as_deref(),
    );
    put(&["GOPROXY"], indexes.go.as_deref());
    found.extend(environment.variables.clone());
    found.extend(own.clone());
    found
}

/// Arguments of an environment that stages have to declare to see them. Arguments of the Build
/// itself are declared by those who write Dockerfiles, and in generated ones for them.
pub(super) fn declared(
    environment: &BuildEnvironment,
    own: &BTreeMap<String, String>,
) -> Vec<String> {
    let all = arguments(environment, &BTreeMap::new()).into_keys();
    all.filter(|name| !PREDEFINED.contains(&name.as_str()) && !own.contains_key(name))
        .collect()
}

/// Variables of our own containers, which talk to git hosts and registries.
pub(super) fn ours(environment: &BuildEnvironment) -> Vec<(&'static str, String)> {
    let given = [
        ("HTTP_PROXY", environment.http_proxy.as_deref()),
        ("HTTPS_PROXY", environment.https_proxy.as_deref()),
        ("NO_PROXY", environment.no_proxy.as_deref()),
        (
            "SSL_CERT_FILE",
            environment.ca_bundle.as_ref().map(|_| CERTIFICATES),
        ),
    ];
    given
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn every_program_is_told_in_its_own_words() {
        let environment: BuildEnvironment = serde_saphyr::from_str(
            r"
httpsProxy: http://proxy:3128
noProxy: .svc
caBundle: PEM
packageIndexes: {npm: 'https://npm/', pypi: 'https://pypi/simple', go: 'https://go/', cargo: 'https://crates/'}
variables: {GOSUMDB: 'off', X: a}
",
        )
        .expect("YAML");
        let own = BTreeMap::from([("X".to_owned(), "b".to_owned())]);
        let lines: Vec<String> = arguments(&environment, &own)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        expect![[r#"
            BUNDLE_SSL_CA_CERT=/etc/trackbed/environment/ca.crt
            CARGO_HTTP_CAINFO=/etc/trackbed/environment/ca.crt
            COMPOSER_CAFILE=/etc/trackbed/environment/ca.crt
            CURL_CA_BUNDLE=/etc/trackbed/environment/ca.crt
            DENO_CERT=/etc/trackbed/environment/ca.crt
            GIT_SSL_CAINFO=/etc/trackbed/environment/ca.crt
            GOPROXY=https://go/
            GOSUMDB=off
            HTTPS_PROXY=http://proxy:3128
            NODE_EXTRA_CA_CERTS=/etc/trackbed/environment/ca.crt
            NO_PROXY=.svc
            PIP_CERT=/etc/trackbed/environment/ca.crt
            PIP_INDEX_URL=https://pypi/simple
            REQUESTS_CA_BUNDLE=/etc/trackbed/environment/ca.crt
            SSL_CERT_FILE=/etc/trackbed/environment/ca.crt
            UV_DEFAULT_INDEX=https://pypi/simple
            X=b
            YARN_HTTPS_PROXY=http://proxy:3128
            YARN_NPM_REGISTRY_SERVER=https://npm/
            YARN_REGISTRY=https://npm/
            https_proxy=http://proxy:3128
            no_proxy=.svc
            npm_config_registry=https://npm/
        "#]]
        .assert_eq(&lines.concat());
        expect!["BUNDLE_SSL_CA_CERT CARGO_HTTP_CAINFO COMPOSER_CAFILE CURL_CA_BUNDLE DENO_CERT GIT_SSL_CAINFO GOPROXY GOSUMDB NODE_EXTRA_CA_CERTS PIP_CERT PIP_INDEX_URL REQUESTS_CA_BUNDLE SSL_CERT_FILE UV_DEFAULT_INDEX YARN_HTTPS_PROXY YARN_NPM_REGISTRY_SERVER YARN_REGISTRY npm_config_registry"].assert_eq(&declared(&environment, &own).join(" "));
        expect![[r#"
            [
                (
                    "HTTPS_PROXY",
                    "http://proxy:3128",
                ),
                (
                    "NO_PROXY",
                    ".svc",
                ),
                (
                    "SSL_CERT_FILE",
                    "/etc/trackbed/environment/ca.crt",
                ),
            ]
        "#]]
        .assert_debug_eq(&ours(&environment));
        assert!(arguments(&BuildEnvironment::default(), &BTreeMap::new()).is_empty());
    }
}
