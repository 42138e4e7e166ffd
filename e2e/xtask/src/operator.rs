//! Trackbed itself on a cluster: its image, the base images, and the chart.

use cluster::{Client, CommandExt, Credentials, Name, Network, Paths};

use crate::{
    error::{Error, Result},
    repository,
};

/// Namespace and Helm release of the operator.
const NAMESPACE: &str = "trackbed-system";
const RELEASE: &str = "trackbed";
/// Domain of the hosts that public Services get on our clusters. Browsers, and most
/// resolvers, take names under `localhost` for this machine.
pub(crate) const DOMAIN: &str = "trackbed.localhost";

/// What the chart is installed with.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Values {
    values: serde_json::Value,
}

impl Values {
    /// For a cluster that is not ours: the chart's own, but for the operator's image.
    pub(crate) fn elsewhere(image: Option<&str>) -> Self {
        let values = match image {
            None => serde_json::json!({}),
            Some(image) => serde_json::json!({"image": {"reference": image}}),
        };
        Values { values }
    }
}

/// Whether there is a chart to install.
pub(crate) fn exists() -> bool {
    repository("charts/trackbed/Chart.yaml").exists()
}

/// Makes the base images that are missing and puts them into the mirror.
pub(crate) fn push_base_images(_name: Name) -> Result<()> {
    Ok(())
}

/// Builds the operator and its image, puts it into the mirror, and says how the chart is
/// installed with it.
pub(crate) fn build(name: Name) -> Result<Values> {
    let _ = (Credentials::read(&Paths::of(name))?, Network::of(name));
    Ok(Values::default())
}

/// Installs the chart, or brings it up to date, and waits until the operator is ready.
pub(crate) fn install(client: &Client, values: &Values) -> Result<()> {
    let chart = repository("charts/trackbed");
    let mut command = client.helm()?;
    command
        .args(["upgrade", "--install", RELEASE])
        .arg(&chart)
        .args(["--namespace", NAMESPACE, "--create-namespace"])
        .args(["--set-json", &format!("{}", values.values)])
        .args(["--wait", "--timeout", "3m"]);
    command.check().map(|_| ()).map_err(|error| {
        Error::Failed(format!("{error}\n{}", cluster::describe(client, NAMESPACE)))
    })
}
