//! The HTTP connections of all remote stores: no redirects, time limits, and a count of the requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};

/// Time limits of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub connect: Duration,
    /// How long an answer may stand still.
    pub stalled: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), stalled: Duration::from_secs(30) }
    }
}

/// Makes the clients of one [`super::Remote`].
#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub limits: Limits,
    pub requests: Arc<AtomicU64>,
}

impl Connector {
    pub fn client(&self) -> Result<reqwest::Client, reqwest::Error> {
        reqwest::Client::builder()
            .user_agent(concat!("gribchunk/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(self.limits.connect)
            .read_timeout(self.limits.stalled)
            .http1_only()
            .build()
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client =
            self.client().map_err(|source| object_store::Error::Generic { store: "HTTP", source: Box::new(source) })?;
        Ok(HttpClient::new(Service { client, requests: Arc::clone(&self.requests) }))
    }
}

#[derive(Debug)]
struct Service {
    client: reqwest::Client,
    requests: Arc<AtomicU64>,
}

/// A server that sends us elsewhere: not followed, since what was allowed is this place.
#[derive(Debug, thiserror::Error)]
#[error("the server redirects to {to}, which is not followed; use that address as the source{hint}")]
struct Redirected {
    to: String,
    hint: String,
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let response = self.client.call(request).await?;
        let status = response.status();
        if status.is_redirection() && status.as_u16() != 304 {
            let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
            let hint = header("x-amz-bucket-region")
                .map(|region| format!(" (the bucket is in the region {region}: --storage-option region={region})"))
                .unwrap_or_default();
            let to = header("location").unwrap_or("another place").to_string();
            return Err(HttpError::new(HttpErrorKind::Unknown, Redirected { to, hint }));
        }
        Ok(response)
    }
}
