//! gRPC: a real server, built from a repository, asked from outside through a Gateway.

use std::{error::Error, future::poll_fn};

use suite::{Cluster, eventually};

const PROJECT: &str = "grpc";
/// The health service that comes with gRPC.
const SERVER: &str = r#"
from concurrent import futures
import grpc
from grpc_health.v1 import health, health_pb2_grpc

server = grpc.server(futures.ThreadPoolExecutor())
health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
server.add_insecure_port("0.0.0.0:8080")
server.start()
server.wait_for_termination()
"#;
/// A message of no fields, as gRPC frames it: not compressed, no bytes.
const EMPTY: &[u8] = &[0; 5];

/// What the server says of its own health: the status of the call, and the message.
async fn check(node: &str, host: &str) -> Result<(String, Vec<u8>), Box<dyn Error>> {
    let stream = tokio::net::TcpStream::connect((node, 80)).await?;
    let (client, connection) = h2::client::handshake(stream).await?;
    let driver = tokio::spawn(connection);
    let mut client = client.ready().await?;
    let request = http::Request::post(format!("http://{host}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let (answer, mut body) = client.send_request(request, false)?;
    body.send_data(EMPTY.into(), true)?;
    let mut answer = answer.await?.into_body();
    let mut message = Vec::new();
    while let Some(data) = poll_fn(|context| answer.poll_data(context)).await {
        message.extend_from_slice(&data?);
    }
    let trailers = poll_fn(|context| answer.poll_trailers(context)).await?;
    driver.abort();
    let status = trailers.and_then(|it| Some(it.get("grpc-status")?.to_str().ok()?.to_owned()));
    Ok((status.unwrap_or_default(), message))
}

#[test]
fn a_gateway_leads_to_an_application_that_speaks_http_2_alone() {
    let cluster = Cluster::connect();
    let namespace = cluster.project_of(
        PROJECT,
        &format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {{name: {PROJECT}}}\nspec: {{environments: [{{name: production}}], routing: Gateway, tls: {{disabled: true}}}}\n"
        ),
    );
    cluster.publish(
        PROJECT,
        &[
            ("server.py", SERVER),
            (
                "requirements.txt",
                "grpcio==1.76.0\ngrpcio-health-checking==1.76.0\n",
            ),
            ("Procfile", "web: python server.py\n"),
            (".python-version", "3.11\n"),
        ],
    );
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: health, namespace: {namespace}}}\nspec:\n  source: {{git: {{url: \"{}\"}}}}\n  run: {{appProtocol: kubernetes.io/h2c}}\n",
        cluster.git_url(PROJECT)
    ));
    cluster.ready("service", &namespace, "health", 600);
    let host = cluster.host("health", PROJECT);
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    eventually(60, || {
        let found = runtime.block_on(check(&cluster.node, &host));
        match found.map_err(|error| error.to_string())? {
            // status: SERVING
            (status, message) if status == "0" && message == [0, 0, 0, 0, 2, 8, 1] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}
