//! How an application runs: the part of a Service that a release takes a snapshot of.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    common::Resources,
    names,
    project::DeletionPolicy,
    scalar::{
        DatabaseName, Duration, HttpPath, Label, MountPath, ObjectName, Quantity, VariableName,
    },
};

/// How the application's container is run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.worker) || !self.worker || !has(self.healthcheck) || !has(self.healthcheck.path)").message("a worker answers no requests: remove healthcheck.path, or worker: true"))]
pub struct RunSpec {
    /// Program and arguments. Default: what the image says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// The application listens on no port: it has no address and no `$PORT`, and is healthy while
    /// it keeps running.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub worker: bool,
    /// Port that the application listens on, also given to it as `$PORT`.
    #[serde(default = "default_port")]
    #[x_kube(validation = Rule::new("self >= 1 && self <= 65535").message("must be a port between 1 and 65535"))]
    pub port: i32,
    /// What the application speaks there, as Kubernetes calls it. Default: HTTP/1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<AppProtocol>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvVar>,
    /// Databases whose binding Secrets the application finds as files, where libraries for service
    /// bindings (<https://servicebinding.io>) look for them: in `$SERVICE_BINDING_ROOT/NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub bindings: Vec<Binding>,
    /// CPU and memory.
    #[serde(default)]
    pub resources: Resources,
    /// When a new release counts as healthy.
    #[serde(default)]
    pub healthcheck: Healthcheck,
    /// Volumes that keep what is written to them, from pod to pod and release to release. With one,
    /// there is one pod, and it stops before that of the next release starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    #[x_kube(validation = Rule::new("self.all(a, self.filter(b, b.mountPath == a.mountPath).size() == 1)").message("each volume needs a mountPath of its own"))]
    pub volumes: Vec<Volume>,
    /// A command that runs to its end before the release's first pod starts, like the migration of
    /// a database. If it fails, the release does, and the one before keeps serving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_deploy: Option<PreDeploy>,
}

impl Default for RunSpec {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            worker: false,
            port: default_port(),
            app_protocol: None,
            env: Vec::new(),
            bindings: Vec::new(),
            resources: Resources::default(),
            healthcheck: Healthcheck::default(),
            volumes: Vec::new(),
            pre_deploy: None,
        }
    }
}

impl RunSpec {
    /// How many pods there can be of it, if so many are wanted: a volume belongs to one.
    pub fn pods(&self, wanted: i32) -> i32 {
        match self.volumes.is_empty() {
            true => wanted,
            false => wanted.min(1),
        }
    }

    /// The Databases whose credentials the application gets, some of them perhaps several times.
    pub fn databases(&self) -> impl Iterator<Item = &Label> {
        let references = self.env.iter().filter_map(|variable| {
            let from = variable.value_from.as_ref()?;
            Some(&from.database_ref.as_ref()?.name)
        });
        references.chain(self.bindings.iter().map(|it| &it.name))
    }
}

/// A Database that an application finds as files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Binding {
    /// Name of the Database, and of the folder.
    pub name: Label,
    /// Which of its databases, of Postgres. Default: the one that is always there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseName>,
}

impl Binding {
    /// Name of the Secret.
    pub fn secret(&self) -> String {
        binding(&self.name, self.database.as_ref())
    }
}

/// The binding Secret of a Database, or of one of the databases in its server.
fn binding(name: &Label, database: Option<&DatabaseName>) -> String {
    match database {
        Some(database) => names::database_credentials(name, database),
        None => names::credentials(name),
    }
}

/// Protocols of an application
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#application-protocol>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AppProtocol {
    /// HTTP/2 without TLS and without asking first, which gRPC needs.
    #[serde(rename = "kubernetes.io/h2c")]
    H2c,
    /// HTTP/1.1 with WebSockets, for controllers that want to be told.
    #[serde(rename = "kubernetes.io/ws")]
    WebSocket,
}

impl AppProtocol {
    /// As it stands in a Service of Kubernetes' own.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::H2c => "kubernetes.io/h2c",
            Self::WebSocket => "kubernetes.io/ws",
        }
    }
}

fn default_port() -> i32 {
    8080
}

/// One environment variable: a value, or where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.value) != has(self.valueFrom)").message("must have exactly one of value and valueFrom"),
    validation = Rule::new("self.name != 'PORT'").message("PORT is set by Trackbed: write run.port instead")
)]
pub struct EnvVar {
    /// Name of the variable.
    pub name: VariableName,
    /// Its value, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768))]
    pub value: Option<String>,
    /// Where its value comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// Source of a variable's value, always in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.databaseRef), has(self.serviceRef)].filter(set, set).size() == 1").message("must have exactly one of secretKeyRef, configMapKeyRef, databaseRef and serviceRef"))]
pub struct ValueFrom {
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyReference>,
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyReference>,
    /// A part of a Database's binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_ref: Option<DatabaseReference>,
    /// The address of another Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ref: Option<ServiceReference>,
}

impl EnvVar {
    /// What a release keeps a copy of, so that it can come back as it was. Of a Database it keeps
    /// none: whatever release serves, it needs the credentials of now.
    pub fn copied(&self) -> Option<Copied<'_>> {
        let from = self.value_from.as_ref()?;
        let secret = from.secret_key_ref.as_ref().map(Copied::Secret);
        secret.or_else(|| from.config_map_key_ref.as_ref().map(Copied::ConfigMap))
    }
}

/// A key whose content a release keeps a copy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied<'a> {
    /// Of a Secret.
    Secret(&'a KeyReference),
    /// Of a ConfigMap.
    ConfigMap(&'a KeyReference),
}

/// A key of a Secret or ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
pub struct KeyReference {
    /// Name of the object.
    pub name: ObjectName,
    /// The key in it.
    #[schemars(length(max = 253))]
    #[x_kube(validation = Rule::new("self.matches('^[-._a-zA-Z0-9]+$')").message("must be a key of a Secret or ConfigMap: letters, digits, '-', '_' and '.'"))]
    pub key: String,
}

/// A part of a Database's binding Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseReference {
    /// Name of the Database.
    pub name: Label,
    /// Which of its databases, of Postgres. Default: the one that is always there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseName>,
    /// Which part.
    #[serde(default)]
    pub key: BindingKey,
}

impl DatabaseReference {
    /// Name of the Secret.
    pub fn secret(&self) -> String {
        binding(&self.name, self.database.as_ref())
    }
}

/// Keys of a binding Secret that an application may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BindingKey {
    /// A connection URI with everything in it.
    #[default]
    Uri,
    /// Host name.
    Host,
    /// Port.
    Port,
    /// Name of the database.
    Database,
    /// User.
    Username,
    /// Password.
    Password,
}

impl BindingKey {
    /// The key in the binding Secret.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uri => "uri",
            Self::Host => "host",
            Self::Port => "port",
            Self::Database => "database",
            Self::Username => "username",
            Self::Password => "password",
        }
    }
}

/// The address of another Service of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceReference {
    /// Name of the Service.
    pub name: Label,
    /// Which part.
    #[serde(default)]
    pub key: AddressKey,
}

/// Parts of a Service's address inside the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AddressKey {
    /// `http://host`
    #[default]
    Url,
    /// The host name.
    Host,
    /// The port.
    Port,
}

/// When a release counts as healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Healthcheck {
    /// Path that answers 200 to 399 when the application is well. Default: a connection to the
    /// port is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<HttpPath>,
    /// How long a new pod may take from its start to its first good answer.
    #[serde(default = "default_health_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s') && duration(self) <= duration('1h')").message("must be between 5s and 1h"))]
    pub timeout: Duration,
}

impl Default for Healthcheck {
    fn default() -> Self {
        Self {
            path: None,
            timeout: default_health_timeout(),
        }
    }
}

fn default_health_timeout() -> Duration {
    "5m".into()
}

/// A volume of an application. Its claim is called `SERVICE-vol-NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) >= 0").message("size can grow, not shrink: data could be lost")
)]
pub struct Volume {
    /// Name of the volume.
    pub name: Label,
    /// Where it is in the container.
    pub mount_path: MountPath,
    /// Its size. Grows where the storage class allows it, never shrinks.
    #[serde(default = "default_volume_size")]
    pub size: Quantity,
    /// Storage class, when the claim is made. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_name: Option<ObjectName>,
    /// What happens to the claim when the Service is deleted. It stays when the volume is only
    /// taken out of the Service.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

fn default_volume_size() -> Quantity {
    "1Gi".into()
}

/// A command that runs once for each release, in its image and with its environment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreDeploy {
    /// Program and arguments.
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
    /// How long it may take.
    #[serde(default = "default_pre_deploy_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s') && duration(self) <= duration('24h')").message("must be between 5s and 24h"))]
    pub timeout: Duration,
}

fn default_pre_deploy_timeout() -> Duration {
    "5m".into()
}
