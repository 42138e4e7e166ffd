//! WebSockets: through the ingress controller, by an Ingress and by a Gateway.

use std::{net::TcpStream, time::Duration};

use suite::{Cluster, Value, eventually};
use tungstenite::{Message, WebSocket, client::IntoClientRequest};

/// Says back what it is told, by RFC 6455 as far as short texts need it.
const ECHO: &str = r#"
import base64, hashlib, http.server
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        key = self.headers.get("Sec-WebSocket-Key")
        if not key:
            self.send_response(204)
            self.end_headers()
            return
        digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()
        while True:
            head = self.rfile.read(2)
            if len(head) < 2 or head[0] & 15 == 8:
                return
            mask, size = self.rfile.read(4), head[1] & 127
            text = bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(size)))
            self.wfile.write(bytes([0x81, size]) + text)
http.server.ThreadingHTTPServer(("", 8080), Echo).serve_forever()
"#;

fn connect(cluster: &Cluster, host: &str) -> Result<WebSocket<TcpStream>, String> {
    let open = || {
        let stream = TcpStream::connect((cluster.node.as_str(), 80))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        std::io::Result::Ok(stream)
    };
    let stream = open().map_err(|error| error.to_string())?;
    let request = format!("ws://{host}/").into_client_request();
    let request = request.map_err(|error| error.to_string())?;
    let (socket, _) = tungstenite::client(request, stream).map_err(|error| error.to_string())?;
    Ok(socket)
}

fn talk(project: &str, more: &str) {
    let cluster = Cluster::connect();
    let namespace = cluster.project_of(
        project,
        &format!(
            "apiVersion: trackbed.dev/v1alpha1\nkind: Project\nmetadata: {{name: {project}}}\nspec: {{environments: [{{name: production}}]{more}}}\n"
        ),
    );
    let image = format!("{}:5000/library/python:3.11-slim", cluster.node);
    let script = Value::from(ECHO);
    cluster.apply(&format!(
        "apiVersion: trackbed.dev/v1alpha1\nkind: Service\nmetadata: {{name: echo, namespace: {namespace}}}\nspec:\n  source: {{image: {{reference: \"{image}\"}}}}\n  run: {{command: [python3, -c, {script}], healthcheck: {{path: /}}}}\n"
    ));
    cluster.ready("service", &namespace, "echo", 300);
    let host = cluster.host("echo", project);
    let mut socket = eventually(60, || connect(&cluster, &host));
    for words in ["first", "second"] {
        socket.send(Message::text(words)).expect("it is open");
        let said = socket.read().expect("an answer");
        assert_eq!(said.to_text().expect("text"), words);
    }
    socket.close(None).expect("it was open");
}

#[test]
fn an_ingress_lets_them_through() {
    talk("ws-ingress", "");
}

#[test]
fn a_gateway_lets_them_through() {
    talk("ws-gateway", ", routing: Gateway, tls: {disabled: true}");
}
