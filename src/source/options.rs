//! What the user says about remote storage. Nothing here ever comes from a repository.

use std::str::FromStr;
use std::time::Duration;

use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::gcp::GoogleConfigKey;

use super::RemoteUrl;
use super::connection::Limits;
use crate::error::{Error, Result};

/// Requests that are under way at a time.
const CONCURRENT_REQUESTS: usize = 32;
const RETRIES: usize = 5;

/// How remote sources are reached. Credentials come from the environment (`AWS_...`, `GOOGLE_...`, `AZURE_...`).
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct RemoteOptions {
    /// Prefixes that are read without credentials.
    pub anonymous: Vec<String>,
    /// `endpoint`, `region`, and whatever else the storage of the source has; `connect_timeout`, `stall_timeout` (seconds),
    /// `max_retries` and `max_requests` for all.
    pub storage_options: Vec<(String, String)>,
}

impl RemoteOptions {
    /// Adds one to [`anonymous`](Self::anonymous).
    pub fn anonymous(mut self, prefix: impl Into<String>) -> Self {
        self.anonymous.push(prefix.into());
        self
    }

    /// Adds one to [`storage_options`](Self::storage_options).
    pub fn storage_option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.storage_options.push((key.into(), value.into()));
        self
    }

    /// `KEY=VALUE`, as on the command line.
    pub fn parse_storage_option(text: &str) -> Result<(String, String)> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok((key.to_string(), value.to_string())),
            _ => Err(Error::invalid(
                format!("the storage option {text}"),
                "write KEY=VALUE, as in endpoint=http://localhost:9000 or region=eu-central-1",
            )),
        }
    }
}

/// [`RemoteOptions`], understood.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub anonymous: Vec<RemoteUrl>,
    pub s3: Vec<(AmazonS3ConfigKey, String)>,
    pub gcs: Vec<(GoogleConfigKey, String)>,
    pub azure: Vec<(AzureConfigKey, String)>,
    pub limits: Limits,
    pub retries: usize,
    pub concurrent_requests: usize,
}

impl Settings {
    pub fn of(options: &RemoteOptions) -> Result<Self> {
        let anonymous = options.anonymous.iter().map(|prefix| RemoteUrl::parse(prefix)).collect::<Result<_>>()?;
        let mut settings = Self {
            anonymous,
            s3: Vec::new(),
            gcs: Vec::new(),
            azure: Vec::new(),
            limits: Limits::default(),
            retries: RETRIES,
            concurrent_requests: CONCURRENT_REQUESTS,
        };
        for (key, value) in &options.storage_options {
            settings.add(key, value)?;
        }
        Ok(settings)
    }

    fn add(&mut self, key: &str, value: &str) -> Result<()> {
        let lower = key.to_ascii_lowercase();
        let bad = |remedy: &str| Error::invalid(format!("the storage option {key}={value}"), remedy);
        let number =
            |least: usize| value.parse::<usize>().ok().filter(|n| *n >= least).ok_or_else(|| bad("give a number"));
        let seconds = || {
            let seconds = value.trim_end_matches('s').parse::<f64>().ok().filter(|s| *s > 0.0 && *s < 1e6);
            seconds.map(Duration::from_secs_f64).ok_or_else(|| bad("give seconds"))
        };
        match lower.as_str() {
            "connect_timeout" => self.limits.connect = seconds()?,
            "stall_timeout" | "timeout" | "read_timeout" => self.limits.stalled = seconds()?,
            "max_retries" => self.retries = number(0)?,
            "max_requests" => self.concurrent_requests = number(1)?,
            _ => {
                let mut known = false;
                if let Ok(key) = AmazonS3ConfigKey::from_str(&lower) {
                    self.s3.push((key, value.to_string()));
                    known = true;
                }
                if let Ok(key) = GoogleConfigKey::from_str(&lower) {
                    self.gcs.push((key, value.to_string()));
                    known = true;
                }
                if let Ok(key) = AzureConfigKey::from_str(&lower) {
                    self.azure.push((key, value.to_string()));
                    known = true;
                }
                if !known {
                    return Err(bad(
                        "no storage has this option; the common ones are endpoint, region and account_name",
                    ));
                }
            }
        }
        Ok(())
    }

    pub fn is_anonymous(&self, url: &RemoteUrl) -> bool {
        self.anonymous.iter().any(|prefix| prefix.holds(url) || url.holds(prefix))
    }
}

/// An environment variable that says yes.
pub(super) fn environment_says(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on"))
}
