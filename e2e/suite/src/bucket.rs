//! A server that speaks S3, with one bucket.

use std::{
    future::{Future, ready},
    pin::Pin,
};

use axum::{Router, body::Body, extract::Request, http::StatusCode, response::IntoResponse};
use s3s::{
    S3Request, S3Result,
    access::S3Access,
    auth::SimpleAuth,
    dto::ListObjectsV2Input,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::serve::Server;

/// A bucket whose objects are files, behind a server that checks signatures. It goes when it is
/// dropped.
#[derive(Debug)]
pub struct Bucket {
    /// URL of the server.
    pub endpoint: String,
    _server: Server,
    _folder: TempDir,
}

impl Bucket {
    /// Starts it with one key.
    ///
    /// # Panics
    /// If there is no room for it.
    pub fn start(name: &str, access_key: &str, secret_key: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join(name)).expect("a bucket");
        let files = FileSystem::new(folder.path()).expect("a store");
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(access_key, secret_key));
        builder.set_access(AsS3Does);
        let service = builder.build();
        let router = Router::new().fallback(move |request| answer(service.clone(), request));
        let server = Server::start(router);
        Self {
            endpoint: format!("http://{}", server.address),
            _server: server,
            _folder: folder,
        }
    }
}

/// Whoever signs may do everything, and what the files' store understands otherwise is said so that it
/// does not.
struct AsS3Does;

impl S3Access for AsS3Does {
    /// A delimiter without a letter is none, and names are not cut: Barman asks so, and would take an
    /// archive for empty.
    fn list_objects_v2<'a, 'b, 'c>(
        &'a self,
        request: &'b mut S3Request<ListObjectsV2Input>,
    ) -> Pin<Box<dyn Future<Output = S3Result<()>> + Send + 'c>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        let _ = request.input.delimiter.take_if(|it| it.is_empty());
        Box::pin(ready(Ok(())))
    }
}

async fn answer(service: S3Service, request: Request) -> impl IntoResponse {
    match service.oneshot(request).await {
        Ok(answer) => answer.map(Body::new).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
