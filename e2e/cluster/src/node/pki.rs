//! The cluster's certificates, keys and kubeconfigs. All are made new at each boot, but
//! for the authority and the key of ServiceAccount tokens, which data refers to.

use std::{fs, net::IpAddr, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::{
    Error, Name, Network, Paths, Result,
    error::Doing,
    node::forge,
    paths::{write, write_secret},
};

/// Who is certified, and for what.
struct Subject<'a> {
    file: &'a str,
    name: String,
    organization: &'a str,
    names: Vec<&'a str>,
    addresses: Vec<IpAddr>,
}

impl Subject<'static> {
    fn client(file: &'static str, name: &str, organization: &'static str) -> Self {
        Subject {
            file,
            name: name.to_owned(),
            organization,
            names: Vec::new(),
            addresses: Vec::new(),
        }
    }
}

/// Clients of the API server that get a kubeconfig each: file and user.
const CLIENTS: [(&str, &str, &str); 5] = [
    (
        "controller-manager",
        "system:kube-controller-manager",
        "trackbed",
    ),
    ("scheduler", "system:kube-scheduler", "trackbed"),
    ("kube-proxy", "system:kube-proxy", "trackbed"),
    // Reads Namespaces, Pods and NetworkPolicies; has no role of its own in Kubernetes.
    ("kube-router", "system:kube-router", "system:masters"),
    ("admin", "kubernetes-admin", "system:masters"),
];

/// Names under which Pods reach the forge.
const FORGE_NAMES: [&str; 3] = [
    forge::HOST,
    "forge.trackbed-git.svc",
    "forge.trackbed-git.svc.cluster.local",
];

/// Writes everything under [`Paths::pki`] and the administrator's kubeconfig.
pub(crate) fn write_all(name: Name, network: &Network, paths: &Paths) -> Result<()> {
    let authority = authority(paths)?;
    service_account_key(paths)?;
    let node = name.node();
    let node_user = format!("system:node:{node}");
    let mut subjects = vec![
        Subject {
            file: "apiserver",
            name: "kube-apiserver".to_owned(),
            organization: "trackbed",
            names: vec![
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            ],
            addresses: vec![
                network.node.into(),
                network.api_service.into(),
                [127, 0, 0, 1].into(),
            ],
        },
        Subject {
            file: "kubelet-server",
            name: node_user.clone(),
            organization: "system:nodes",
            names: vec![&node],
            addresses: vec![network.node.into()],
        },
        Subject::client("apiserver-kubelet", "kube-apiserver", "system:masters"),
        Subject::client("front-proxy", "front-proxy", "trackbed"),
        Subject::client("kubelet", &node_user, "system:nodes"),
    ];
    for (file, user, group) in CLIENTS {
        subjects.push(Subject::client(file, user, group));
    }
    if name == Name::Test {
        subjects.push(Subject {
            file: "forge",
            name: forge::HOST.to_owned(),
            organization: "trackbed",
            names: FORGE_NAMES.to_vec(),
            addresses: vec![network.node.into()],
        });
    }
    for subject in &subjects {
        issue(&authority, subject, paths)?;
    }
    let mut kubeconfigs = vec!["kubelet"];
    kubeconfigs.extend(CLIENTS.map(|(file, _, _)| file));
    for file in kubeconfigs {
        let text = kubeconfig(name, network, paths, file)?;
        write_secret(&paths.pki(&format!("{file}.kubeconfig")), text)?;
    }
    let text = kubeconfig(name, network, paths, "admin")?;
    write_secret(&paths.kubeconfig(), text)
}

fn authority(paths: &Paths) -> Result<Issuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name = Default::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "trackbed cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let (certificate, key) = (paths.pki("ca.crt"), paths.pki("ca.key"));
    if certificate.exists()
        && let Ok(text) = fs::read_to_string(&key)
    {
        return Ok(Issuer::new(params, KeyPair::from_pem(&text)?));
    }
    let pair = KeyPair::generate()?;
    write_secret(&key, pair.serialize_pem())?;
    write(&certificate, params.self_signed(&pair)?.pem())?;
    Ok(Issuer::new(params, pair))
}

fn service_account_key(paths: &Paths) -> Result<()> {
    if paths.pki("sa.pub").exists() {
        return Ok(());
    }
    let pair = KeyPair::generate()?;
    write_secret(&paths.pki("sa.key"), pair.serialize_pem())?;
    write(&paths.pki("sa.pub"), pair.public_key_pem())
}

fn issue(authority: &Issuer<'_, KeyPair>, subject: &Subject<'_>, paths: &Paths) -> Result<()> {
    let mut params = CertificateParams::default();
    params.distinguished_name = Default::default();
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, subject.name.as_str());
    name.push(DnType::OrganizationName, subject.organization);
    for dns in &subject.names {
        let dns = (*dns).try_into()?;
        params.subject_alt_names.push(SanType::DnsName(dns));
    }
    for address in &subject.addresses {
        params.subject_alt_names.push(SanType::IpAddress(*address));
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    let pair = KeyPair::generate()?;
    let certificate = params.signed_by(&pair, authority)?;
    write(
        &paths.pki(&format!("{}.crt", subject.file)),
        certificate.pem(),
    )?;
    write_secret(
        &paths.pki(&format!("{}.key", subject.file)),
        pair.serialize_pem(),
    )
}

/// A kubeconfig with everything in it, so that it can be copied anywhere.
fn kubeconfig(name: Name, network: &Network, paths: &Paths, file: &str) -> Result<String> {
    let context = name.node();
    let value = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": {
            "server": network.api(),
            "certificate-authority-data": encoded(&paths.pki("ca.crt"))?,
        }}],
        "users": [{"name": context, "user": {
            "client-certificate-data": encoded(&paths.pki(&format!("{file}.crt")))?,
            "client-key-data": encoded(&paths.pki(&format!("{file}.key")))?,
        }}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        "current-context": context,
    });
    // JSON is YAML, and every client reads it.
    serde_json::to_string_pretty(&value).map_err(|source| Error::Json {
        path: paths.kubeconfig(),
        source,
    })
}

fn encoded(path: &Path) -> Result<String> {
    let content = fs::read(path).doing(|| format!("reading {}", path.display()))?;
    Ok(BASE64_STANDARD.encode(content))
}
