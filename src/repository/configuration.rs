//! The Icechunk configuration of our repositories: chosen from measurements (`storage-spec/configuration.md`).

use std::collections::HashMap;

use icechunk::config::{
    CachingConfig, HttpConfig, ManifestConfig, ManifestPreloadCondition, ManifestPreloadConfig, ManifestSplitCondition,
    ManifestSplitDim, ManifestSplitDimCondition, ManifestSplittingConfig,
    ManifestVirtualChunkLocationCompressionConfig, S3Options,
};
use icechunk::virtual_chunks::VirtualChunkContainer;
use icechunk::{ObjectStoreConfig, RepositoryConfig};

use crate::error::{Error, Result};
use crate::source::{Remembered, RemoteUrl, Scheme};

/// Steps that share a manifest: a commit of one step rewrites what has arrived of these.
const STEPS_PER_MANIFEST: u32 = 2;

/// The configuration that `create` stores in a new repository.
///
/// Manifests are split along `time` and `step`, so that a commit rewrites little of what is there. Preload is off: its
/// default matches regular expressions against every array when a session opens. Location dictionaries are off:
/// training them costs more than the manifest's own zstd leaves to save. Caches are bounded.
pub fn repository_configuration() -> RepositoryConfig {
    let along = |dimension: &str, num_chunks| ManifestSplitDim {
        condition: ManifestSplitDimCondition::DimensionName(dimension.to_string()),
        num_chunks,
    };
    let manifest = ManifestConfig {
        preload: Some(ManifestPreloadConfig {
            max_total_refs: Some(0),
            preload_if: Some(ManifestPreloadCondition::False),
            ..Default::default()
        }),
        splitting: Some(ManifestSplittingConfig {
            split_sizes: Some(vec![(
                ManifestSplitCondition::AnyArray,
                vec![along("time", 1), along("step", STEPS_PER_MANIFEST), along("ledger_day", 1)],
            )]),
        }),
        virtual_chunk_location_compression: Some(ManifestVirtualChunkLocationCompressionConfig {
            min_num_chunks: Some(u16::MAX),
            ..Default::default()
        }),
        max_concurrent_manifest_fetches_during_commit: Some(16),
    };
    let caching =
        CachingConfig { num_chunk_refs: Some(2_000_000), num_snapshot_nodes: Some(10_000), ..Default::default() };
    RepositoryConfig { manifest: Some(manifest), caching: Some(caching), ..Default::default() }
}

/// Adds the container that plain Icechunk readers need for virtual chunks below `prefix`, a local directory's URL that
/// ends in `/`. Returns whether the configuration changed.
pub fn add_container(configuration: &mut RepositoryConfig, prefix: &str) -> Result<bool> {
    if configuration.virtual_chunk_containers().any(|c| prefix.starts_with(c.url_prefix())) {
        return Ok(false);
    }
    let bad = |reason: String| Error::invalid(format!("source prefix {prefix}"), reason);
    let Some(path) = prefix.strip_prefix("file://") else {
        return Err(bad("not a local directory".into()));
    };
    let store = ObjectStoreConfig::LocalFileSystem(path.into());
    let container = VirtualChunkContainer::new(prefix.to_string(), store).map_err(bad)?;
    configuration.set_virtual_chunk_container(container).map_err(bad)?;
    Ok(true)
}

/// [`add_container`] for the whole bucket, container or host of a remote source. It says what plain Icechunk must know
/// to reach it, without credentials; our own reader uses none of it.
pub fn add_remote_container(configuration: &mut RepositoryConfig, url: &RemoteUrl, how: &Remembered) -> Result<bool> {
    let prefix = url.root().to_string();
    if configuration.virtual_chunk_containers().any(|c| prefix.starts_with(c.url_prefix())) {
        return Ok(false);
    }
    let bad = |reason: String| Error::invalid(format!("source prefix {prefix}"), reason);
    let store = match url.scheme {
        Scheme::S3 => {
            let mut options = S3Options::default().with_anonymous(how.anonymous);
            options.region.clone_from(&how.region);
            match how.endpoint.as_deref().filter(|endpoint| !endpoint.contains('@')) {
                Some(endpoint) => {
                    let options = options
                        .with_endpoint_url(endpoint)
                        .with_allow_http(endpoint.starts_with("http://"))
                        .with_force_path_style(true);
                    ObjectStoreConfig::S3Compatible(options)
                }
                None => ObjectStoreConfig::S3(options),
            }
        }
        Scheme::Gcs => ObjectStoreConfig::Gcs(HashMap::new()),
        Scheme::Azure => {
            let account = how.account.clone().map(|account| ("account".to_string(), account));
            ObjectStoreConfig::Azure(account.into_iter().collect())
        }
        Scheme::Http | Scheme::Https => ObjectStoreConfig::Http(HttpConfig::default()),
    };
    let container = VirtualChunkContainer::new(prefix.clone(), store).map_err(bad)?;
    configuration.set_virtual_chunk_container(container).map_err(bad)?;
    Ok(true)
}
