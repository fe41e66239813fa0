//! Open, create, snapshots, transactions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use icechunk::config::Credentials;
use icechunk::repository::VersionInfo;
use tokio::sync::RwLock;

use crate::error::{Error, Result};
use crate::read::Snapshot;
use crate::source::{Remote, RemoteOptions, RemoteUrl};

pub mod access;
mod configuration;
mod finalise;
mod fork;
mod history;
pub mod ledger;
pub mod local_storage;
pub(crate) mod nodes;
mod reset;
mod tags;
mod transaction;

pub use access::Access;
pub use finalise::{FinaliseReport, NotFinalised};
pub use history::{LogEntry, Reference};
pub use reset::{ResetOptions, ResetReport};
pub use tags::TagReport;
pub use transaction::{Conflict, Transaction};

/// How a repository is opened.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct OpenOptions {
    /// Prefixes of sources that may be read, beside those that this user ingested from.
    pub allow: Vec<String>,
    /// Refuse chunks whose reference cannot be verified.
    pub require_verified: bool,
    /// Bytes of decoded fields that a snapshot keeps; `None`: 256 MiB.
    pub cache_bytes: Option<usize>,
    /// How remote sources are reached.
    pub remote: RemoteOptions,
}

impl OpenOptions {
    /// Adds one to [`allow`](Self::allow).
    pub fn allow(mut self, prefix: impl Into<String>) -> Self {
        self.allow.push(prefix.into());
        self
    }

    /// Sets [`require_verified`](Self::require_verified).
    pub fn require_verified(mut self) -> Self {
        self.require_verified = true;
        self
    }

    /// Sets [`cache_bytes`](Self::cache_bytes).
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = Some(bytes);
        self
    }

    /// Sets [`remote`](Self::remote).
    pub fn remote(mut self, remote: RemoteOptions) -> Self {
        self.remote = remote;
        self
    }
}

/// A repository: an Icechunk repository, and the layout of a cube in it. Clones are the same repository.
#[derive(Clone)]
pub struct Repository {
    inner: Arc<RwLock<Arc<icechunk::Repository>>>,
    location: String,
    access: Arc<Access>,
    options: OpenOptions,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("location", &self.location).finish_non_exhaustive()
    }
}

impl Repository {
    /// Makes an empty repository in a directory that is empty or not there yet.
    pub async fn create(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self> {
        let path = absolute(path.as_ref())?;
        if path.join("repo").exists() {
            return Err(Error::AlreadyExists {
                what: format!("the repository {}", path.display()),
                remedy: "use it as it is, or choose another directory".into(),
            });
        }
        if path.is_file() || path.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::AlreadyExists {
                what: path.display().to_string(),
                remedy: "a new repository needs a directory that is empty or not there yet".into(),
            });
        }
        std::fs::create_dir_all(&path).map_err(Error::io(&path))?;
        let storage =
            local_storage::local_storage(&path).await.map_err(Error::repository(path.display().to_string()))?;
        Self::create_on(storage, path.display().to_string(), Some(path), options).await
    }

    /// Makes an empty repository that lives in this process's memory.
    pub async fn create_in_memory(options: OpenOptions) -> Result<Self> {
        let storage =
            icechunk::new_in_memory_storage().await.map_err(Error::repository("making a repository in memory"))?;
        Self::create_on(storage, "memory://".into(), None, options).await
    }

    async fn create_on(
        storage: Arc<dyn icechunk::Storage + Send + Sync>,
        location: String,
        path: Option<PathBuf>,
        options: OpenOptions,
    ) -> Result<Self> {
        let inner = icechunk::Repository::create(storage)
            .config(configuration::repository_configuration())
            .execute()
            .await
            .map_err(Error::repository(format!("creating the repository {location}")))?;
        inner.save_config().await.map_err(Error::repository("saving the configuration"))?;
        let access = Arc::new(Access::load(path.as_deref(), &options.allow, Remote::new(&options.remote)?)?);
        Ok(Self { inner: Arc::new(RwLock::new(Arc::new(inner))), location, access, options })
    }

    /// Opens a repository in a directory: one of ours, or any Icechunk repository.
    pub async fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self> {
        let path = absolute(path.as_ref())?;
        let name = path.display().to_string();
        if !path.is_dir() {
            return Err(Error::not_found(
                format!("the repository {name}"),
                "no such directory; make one with `gribchunk init`",
            ));
        }
        let is_there = |name: &str| {
            let file = path.join(name);
            file.try_exists().map_err(Error::io(file))
        };
        if !is_there("repo")? && !is_there("refs")? {
            return Err(Error::not_found(
                format!("an Icechunk repository in {name}"),
                "the directory holds something else; make a repository with `gribchunk init` in an empty one",
            ));
        }
        let storage =
            local_storage::local_storage(&path).await.map_err(Error::repository(path.display().to_string()))?;
        let access = Arc::new(Access::load(Some(&path), &options.allow, Remote::new(&options.remote)?)?);
        let configuration = icechunk::Repository::fetch_config(Arc::clone(&storage))
            .await
            .map_err(Error::repository(format!("reading the configuration of {name}")))?;
        // Our own reader fetches virtual chunks, behind its own list of allowed places; Icechunk's authorisation only
        // lets references be written.
        let authorised = configuration
            .iter()
            .flat_map(|(configuration, ..)| configuration.virtual_chunk_containers())
            .filter(|container| container.url_prefix().starts_with("file://"))
            .map(|container| (container.url_prefix().to_string(), Some(Credentials::LocalFileSystemAccess)))
            .collect();
        let inner = icechunk::Repository::open(storage)
            .authorize_virtual_chunk_access(authorised)
            .execute()
            .await
            .map_err(Error::repository(format!("opening the repository {name}")))?;
        Ok(Self { inner: Arc::new(RwLock::new(Arc::new(inner))), location: name, access, options })
    }

    /// Where the repository is, as it was given.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The places that virtual chunks may be read from.
    pub fn access(&self) -> &Arc<Access> {
        &self.access
    }

    pub(crate) async fn icechunk(&self) -> Arc<icechunk::Repository> {
        Arc::clone(&*self.inner.read().await)
    }

    /// Pins a snapshot: everything that is read through it is of one moment.
    pub async fn snapshot(&self, at: &Reference) -> Result<Snapshot> {
        let repository = self.icechunk().await;
        let version = self.resolve(at).await?;
        let session = repository
            .readonly_session(&version)
            .await
            .map_err(Error::repository(format!("opening {at} of {}", self.location)))?;
        Snapshot::new(session, Arc::clone(&self.access), &self.options).await
    }

    /// Starts a transaction on a branch.
    pub async fn transaction(&self, branch: &str) -> Result<Transaction> {
        let repository = self.icechunk().await;
        let session = repository
            .writable_session(branch)
            .await
            .map_err(Error::repository(format!("starting a transaction on {branch} of {}", self.location)))?;
        Transaction::new(session, branch).await
    }

    /// Makes a directory a source of this repository: readers may fetch from it, and plain Icechunk finds a virtual
    /// chunk container for it.
    pub async fn add_source(&self, directory: &Path) -> Result<()> {
        let directory = directory.canonicalize().map_err(Error::io(directory))?;
        self.access.remember(&directory)?;
        let prefix = prefix_url(&directory)?;
        let mut inner = self.inner.write().await;
        let mut config = inner.config().clone();
        if !configuration::add_container(&mut config, &prefix)? {
            return Ok(());
        }
        let mut authorised: std::collections::HashMap<String, Option<Credentials>> = config
            .virtual_chunk_containers()
            .filter(|c| c.url_prefix().starts_with("file://"))
            .map(|c| (c.url_prefix().to_string(), Some(Credentials::LocalFileSystemAccess)))
            .collect();
        authorised.insert(prefix, Some(Credentials::LocalFileSystemAccess));
        let reopened = inner
            .reopen(Some(config), Some(authorised))
            .await
            .map_err(Error::repository("adding a virtual chunk container"))?;
        reopened.save_config().await.map_err(Error::repository("saving a virtual chunk container"))?;
        *inner = Arc::new(reopened);
        Ok(())
    }

    /// Makes a remote prefix a source of this repository, as [`Repository::add_source`] does with a directory. The virtual
    /// chunk container is that of the whole bucket or host; what may be read is the prefix.
    pub async fn add_remote_source(&self, prefix: &RemoteUrl) -> Result<()> {
        self.access.remember_url(prefix).await?;
        let how = self.access.remote().reached(prefix).await?;
        let mut inner = self.inner.write().await;
        let mut config = inner.config().clone();
        if !configuration::add_remote_container(&mut config, prefix, &how)? {
            return Ok(());
        }
        let authorised = config
            .virtual_chunk_containers()
            .filter(|c| c.url_prefix().starts_with("file://"))
            .map(|c| (c.url_prefix().to_string(), Some(Credentials::LocalFileSystemAccess)))
            .collect();
        let reopened = inner
            .reopen(Some(config), Some(authorised))
            .await
            .map_err(Error::repository("adding a virtual chunk container"))?;
        reopened.save_config().await.map_err(Error::repository("saving a virtual chunk container"))?;
        *inner = Arc::new(reopened);
        Ok(())
    }

    /// The version that a reference means now.
    pub(crate) async fn resolve(&self, at: &Reference) -> Result<VersionInfo> {
        let repository = self.icechunk().await;
        history::resolve(&repository, at, &self.location).await
    }

    /// The snapshot that a reference means now.
    pub(crate) async fn snapshot_id(&self, at: &Reference) -> Result<icechunk::format::SnapshotId> {
        let version = self.resolve(at).await?;
        let id = self.icechunk().await.resolve_version(&version).await;
        id.map_err(Error::repository(format!("looking up {at} of {}", self.location)))
    }

    /// The snapshots of a reference, newest first.
    pub async fn log(&self, at: &Reference, limit: usize) -> Result<Vec<LogEntry>> {
        let repository = self.icechunk().await;
        let version = self.resolve(at).await?;
        history::log(&repository, &version, limit).await
    }

    /// Where the repository keeps its files; `None` in memory.
    pub fn path(&self) -> Option<&Path> {
        (self.location != "memory://").then(|| Path::new(self.location.as_str()))
    }
}

/// `file:///directory/`
fn prefix_url(directory: &Path) -> Result<String> {
    url::Url::from_directory_path(directory)
        .map(|url| url.to_string())
        .map_err(|()| Error::invalid(format!("{}", directory.display()), "an absolute path is needed"))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(Error::io(path))
}
