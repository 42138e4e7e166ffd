//! Greets from Rust.

use tiny_http::{Response, Server};

fn main() {
    // Trackbed says where to listen.
    let port = std::env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let server = Server::http(format!("0.0.0.0:{port}")).expect("the port is free");
    for request in server.incoming_requests() {
        // Whoever asked may be gone.
        let _gone = request.respond(Response::from_string("Hello from Rust\n"));
    }
}
