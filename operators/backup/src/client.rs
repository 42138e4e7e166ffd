//! How buckets are spoken to. The store's own client would follow redirects, ask this process'
//! environment for a proxy, and bring HTTP/2 to all clients of the workspace.

use std::{fs, path::Path, pin::Pin, time::Duration};

use http_body_util::BodyExt;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
        HttpResponseBody, HttpService,
    },
};
use reqwest::{Body, Certificate, Request, Url, redirect};

use crate::{Error, failure};

/// Until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);

/// For one request with its answer. A part of 16 MiB goes over a line of 1.2 Mbit/s in it.
const REQUEST: Duration = Duration::from_secs(120);

/// A client for one server.
#[derive(Clone, Debug)]
pub(crate) struct Client(reqwest::Client);

impl Client {
    /// # Errors
    /// That the certificates cannot be read.
    pub(crate) fn new(ca_bundle: Option<&Path>, allow_http: bool) -> Result<Self, Error> {
        let wrong = |why: &dyn ToString| {
            let why = failure::line(&why.to_string());
            Error::Misconfigured(format!("the certificates: {why}"))
        };
        // The images of database servers have no certificates of their own.
        let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
        let mut certificates = public
            .map(|it| Certificate::from_der(it))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| wrong(&error))?;
        if let Some(path) = ca_bundle {
            certificates.extend(read(path)?);
        }
        reqwest::Client::builder()
            .no_proxy()
            .tls_certs_merge(certificates)
            .redirect(redirect::Policy::none())
            .referer(false)
            .https_only(!allow_http)
            .http1_only()
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(CONNECT)
            .timeout(REQUEST)
            .build()
            .map(Self)
            .map_err(|error| wrong(&failure::innermost(&error)))
    }

    async fn send(self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (parts, body) = request.into_parts();
        let url: Url = parts
            .uri
            .to_string()
            .parse()
            .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let mut request = Request::new(parts.method, url);
        *request.headers_mut() = parts.headers;
        *request.body_mut() = Some(match body.as_bytes() {
            Some(bytes) => bytes.clone().into(),
            None => Body::wrap(body),
        });
        let answer = self.0.execute(request).await.map_err(failed)?;
        let answer: http::Response<Body> = answer.into();
        Ok(answer.map(|body| HttpResponseBody::new(body.map_err(failed))))
    }
}

/// Certificates in PEM.
fn read(path: &Path) -> Result<Vec<Certificate>, Error> {
    let unusable = |why: &str| {
        let why = failure::line(why);
        Error::Misconfigured(format!("the certificates in {}: {why}", path.display()))
    };
    let text = fs::read(path).map_err(|error| unusable(&error.to_string()))?;
    let own = Certificate::from_pem_bundle(&text).map_err(|error| unusable(&error.to_string()))?;
    if own.is_empty() {
        return Err(unusable("there is none in PEM"));
    }
    Ok(own)
}

/// What the store has to know to decide whether it tries again.
fn failed(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_decode() {
        HttpErrorKind::Decode
    } else if error.is_builder() {
        HttpErrorKind::Unknown
    } else {
        // The connection broke. Everything that is sent to a bucket can be sent twice.
        HttpErrorKind::Request
    };
    HttpError::new(kind, error.without_url())
}

impl HttpConnector for Client {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// What `async_trait` makes of `async fn call(&self, request: HttpRequest)`.
impl HttpService for Client {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.clone().send(request))
    }
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt, PutPayload, path::Path};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tokio_util::bytes::Bytes;

    use crate::S3;

    /// Takes one request, answers it, and gives back what it was.
    async fn serve(listener: &TcpListener, length: usize, answer: &str) -> String {
        let (mut connection, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        let head = loop {
            let read = connection.read_buf(&mut request).await.expect("a request");
            assert!(read > 0, "{}", String::from_utf8_lossy(&request));
            let end = request.windows(4).position(|it| it == b"\r\n\r\n");
            if let Some(end) = end.filter(|end| request.len() >= end + 4 + length) {
                break end;
            }
        };
        let answer = format!("HTTP/1.1 {answer}\r\nconnection: close\r\n\r\n");
        let sent = connection.write_all(answer.as_bytes()).await;
        sent.expect("an answer");
        String::from_utf8_lossy(&request[..head]).to_lowercase()
    }

    async fn bucket() -> (TcpListener, S3) {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let s3 = S3 {
            endpoint: Some(format!("http://{address}")),
            ..S3::new("backups", "AKIAKEY", "topsecret")
        };
        (listener, s3)
    }

    #[tokio::test]
    async fn a_body_is_sent_with_its_length() {
        let (listener, s3) = bucket().await;
        let (store, _) = s3.open().expect("a bucket");
        let parts = ["a few ", "bytes"].map(Bytes::from);
        let path = Path::from("a");
        let put = store.put(&path, PutPayload::from_iter(parts));
        let served = serve(&listener, 11, "200 OK\r\netag: x\r\ncontent-length: 0");
        let (put, request) = tokio::join!(put, served);
        put.expect("it is written");
        assert!(request.starts_with("put /backups/a http/1.1"), "{request}");
        assert!(request.contains("content-length: 11"), "{request}");
        assert!(!request.contains("chunked"), "{request}");
        assert!(!request.contains("topsecret"), "{request}");
    }

    #[tokio::test]
    async fn credentials_follow_no_redirect() {
        let (listener, s3) = bucket().await;
        let (store, _) = s3.open().expect("a bucket");
        let elsewhere = s3.endpoint.expect("one");
        let answer = format!("307 Moved\r\nlocation: {elsewhere}/b\r\ncontent-length: 0");
        let path = Path::from("a");
        let (got, _) = tokio::join!(store.head(&path), serve(&listener, 0, &answer));
        let error = got.expect_err("no answer").to_string();
        assert!(error.contains("307"), "{error}");
    }
}
