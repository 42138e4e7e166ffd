//! Greets from Rust.

use axum::{Json, Router, extract::Query, routing::get};
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

#[derive(Deserialize)]
struct Guest {
    name: String,
}

#[derive(Serialize)]
struct Greeting {
    greeting: String,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let app = Router::new()
        .route("/", get(|| async { "Hello from Rust\n" }))
        .route("/greet", get(greet));

    // Trackbed says where to listen.
    let port = std::env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).await?;

    // A new release takes over: answer what is under way, then go.
    let mut ended = signal(SignalKind::terminate())?;
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            ended.recv().await;
        })
        .await
}

async fn greet(Query(guest): Query<Guest>) -> Json<Greeting> {
    let greeting = format!("Hello, {}", guest.name);
    Json(Greeting { greeting })
}
