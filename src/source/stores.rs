//! From a URL and the user's settings to an object store.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::http::HttpBuilder;
use object_store::{BackoffConfig, RetryConfig};

use super::connection::Connector;
use super::options::{Settings, environment_says};
use super::remote::{Remembered, Store};
use super::{RemoteUrl, Scheme};
use crate::error::{Error, Result};

/// Where Amazon says in which region a bucket is.
const AMAZON: &str = "https://s3.amazonaws.com";
const DEFAULT_REGION: &str = "us-east-1";
/// No retry starts later than this after the first attempt.
const RETRY_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) async fn open(
    url: &RemoteUrl,
    anonymous: bool,
    known: &Remembered,
    settings: &Settings,
    connector: &Connector,
) -> Result<Store> {
    let bad = |error: object_store::Error| {
        Error::invalid(format!("the storage of {}", url.root()), format!("it cannot be set up: {error}"))
    };
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
            base: 2.0,
        },
        max_retries: settings.retries,
        retry_timeout: RETRY_TIMEOUT,
    };
    let authority = url.authority.clone();
    Ok(match url.scheme {
        Scheme::S3 => {
            let mut builder = AmazonS3Builder::from_env();
            for (key, value) in &settings.s3 {
                builder = builder.with_config(*key, value);
            }
            let anonymous = anonymous || environment_says("AWS_NO_SIGN_REQUEST");
            if let (None, Some(endpoint)) = (builder.get_config_value(&AmazonS3ConfigKey::Endpoint), &known.endpoint) {
                builder = builder.with_endpoint(endpoint);
            }
            let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
            let said =
                settings.s3.iter().rev().find(|(key, _)| *key == AmazonS3ConfigKey::Region).map(|(_, r)| r.clone());
            let region = match (said, &known.region, &endpoint) {
                (Some(region), ..) => region,
                (None, Some(region), _) => region.clone(),
                (None, None, Some(_)) => environment_region().unwrap_or_else(|| DEFAULT_REGION.into()),
                // The environment's region is that of the user's own buckets.
                (None, None, None) => match bucket_region(connector, AMAZON, &authority).await {
                    Some(region) => region,
                    None => environment_region().unwrap_or_else(|| DEFAULT_REGION.into()),
                },
            };
            let builder = builder
                .with_bucket_name(&authority)
                .with_region(&region)
                .with_skip_signature(anonymous)
                .with_allow_http(true)
                .with_retry(retry)
                .with_http_connector(connector.clone());
            let reached = Remembered { anonymous, endpoint, region: Some(region), account: None };
            Store { store: Arc::new(builder.build().map_err(bad)?), reached }
        }
        Scheme::Gcs => {
            let mut builder = GoogleCloudStorageBuilder::from_env();
            for (key, value) in &settings.gcs {
                builder = builder.with_config(*key, value);
            }
            if let (None, Some(endpoint)) = (builder.get_config_value(&GoogleConfigKey::BaseUrl), &known.endpoint) {
                builder = builder.with_config(GoogleConfigKey::BaseUrl, endpoint);
            }
            let endpoint = builder.get_config_value(&GoogleConfigKey::BaseUrl);
            let builder = builder
                .with_bucket_name(&authority)
                .with_skip_signature(anonymous)
                .with_retry(retry)
                .with_http_connector(connector.clone());
            let reached = Remembered { anonymous, endpoint, ..Default::default() };
            Store { store: Arc::new(builder.build().map_err(bad)?), reached }
        }
        Scheme::Azure => {
            let mut builder = MicrosoftAzureBuilder::from_env();
            for (key, value) in &settings.azure {
                builder = builder.with_config(*key, value);
            }
            if let (None, Some(account)) = (builder.get_config_value(&AzureConfigKey::AccountName), &known.account) {
                builder = builder.with_account(account);
            }
            if let (None, Some(endpoint)) = (builder.get_config_value(&AzureConfigKey::Endpoint), &known.endpoint) {
                builder = builder.with_endpoint(endpoint.clone());
            }
            let account = builder.get_config_value(&AzureConfigKey::AccountName);
            let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
            let builder = builder
                .with_container_name(&authority)
                .with_skip_signature(anonymous)
                .with_allow_http(true)
                .with_retry(retry)
                .with_http_connector(connector.clone());
            let reached = Remembered { anonymous, endpoint, region: None, account };
            Store { store: Arc::new(builder.build().map_err(bad)?), reached }
        }
        Scheme::Http | Scheme::Https => {
            let builder = HttpBuilder::new()
                .with_url(url.root().to_string())
                .with_retry(retry)
                .with_http_connector(connector.clone());
            Store { store: Arc::new(builder.build().map_err(bad)?), reached: Remembered::default() }
        }
    })
}

fn environment_region() -> Option<String> {
    ["AWS_REGION", "AWS_DEFAULT_REGION"].iter().find_map(|name| std::env::var(name).ok()).filter(|r| !r.is_empty())
}

/// The region of a bucket: the header is in the answer whether the bucket may be read or not.
pub(super) async fn bucket_region(connector: &Connector, endpoint: &str, bucket: &str) -> Option<String> {
    let client = connector.client().ok()?;
    let answer = client.head(format!("{endpoint}/{bucket}")).send().await.ok()?;
    let region = answer.headers().get("x-amz-bucket-region")?.to_str().ok()?;
    let plain = !region.is_empty() && region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    plain.then(|| region.to_string())
}
