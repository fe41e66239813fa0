//! A repository that a stranger made never makes us read a place that this user did not allow: not by its references, its
//! containers, their endpoints or names, by spelling, links or redirects.

use std::path::Path;
use std::sync::Arc;

use gribchunk::source::RemoteOptions;
use gribchunk::store::View;
use gribchunk::{Error, MaterialiseOptions, OpenOptions, Repository};
use icechunk::config::{Credentials, HttpConfig, S3Options};
use icechunk::format::manifest::{VirtualChunkLocation, VirtualChunkRef};
use icechunk::format::{ChunkIndices, Path as NodePath};
use icechunk::virtual_chunks::VirtualChunkContainer;
use icechunk::{ObjectStoreConfig, Store};
use tokio::sync::RwLock;

use crate::server::{Fault, Server};
use crate::support::*;

/// A cube in which one slot refers to `location`, with the containers that a stranger chose, in a directory that this user
/// never ingested into.
async fn strangers(path: &Path, location: &str, containers: Vec<VirtualChunkContainer>) {
    let made = path.with_extension("made");
    drop(ens_repository(&made, RemoteOptions::default()).await);
    std::fs::rename(&made, path).unwrap();
    let storage = gribchunk::repository::local_storage::local_storage(path).await.unwrap();
    let repository = icechunk::Repository::open(storage).execute().await.unwrap();
    let mut config = repository.config().clone();
    let mut credentials = std::collections::HashMap::new();
    for container in containers {
        if container.url_prefix().starts_with("file://") {
            credentials.insert(container.url_prefix().to_string(), Some(Credentials::LocalFileSystemAccess));
        }
        config.set_virtual_chunk_container(container).unwrap();
    }
    let repository = repository.reopen(Some(config), Some(credentials)).await.unwrap();
    repository.save_config().await.unwrap();
    let session = Arc::new(RwLock::new(repository.writable_session("main").await.unwrap()));
    let location = VirtualChunkLocation::from_url(location).unwrap();
    let reference = VirtualChunkRef { location, offset: 0, length: 100, checksum: None };
    let node: NodePath = "/t2m".try_into().unwrap();
    let store = Store::from_session(Arc::clone(&session)).await;
    let indices = ChunkIndices(vec![0, 1, 0, 0, 0]);
    store.set_virtual_refs(&node, false, vec![(indices, reference)]).await.unwrap();
    drop(store);
    session.write().await.commit("a gift").execute().await.unwrap();
}

/// Every way to read the slot is refused.
async fn refused(path: &Path, options: OpenOptions) -> Vec<Error> {
    let repository = Repository::open(path, options).await.unwrap();
    let snapshot = now(&repository).await;
    let mut errors = vec![
        snapshot.read_chunk("t2m", &[0, 1, 0]).await.unwrap_err(),
        snapshot.chunk_bytes("t2m", &[0, 1, 0]).await.unwrap_err(),
        read_all(&snapshot, "t2m").await.unwrap_err(),
    ];
    for view in [View::Decoded, View::Stored] {
        let store: Arc<dyn zarrs_storage::AsyncReadableStorageTraits> = Arc::new(snapshot.store(view));
        let key = zarrs_storage::StoreKey::new("t2m/c/0/1/0/0/0").unwrap();
        let error = store.get(&key).await.expect_err("the store gives what must not be read");
        errors.push(Error::Source { location: "store".into(), reason: error.to_string() });
        let transaction = repository.transaction("main").await.unwrap();
        let store: Arc<dyn zarrs_storage::AsyncReadableStorageTraits> =
            Arc::new(transaction.store(view, repository.access()));
        store.get(&key).await.expect_err("a transaction gives what must not be read");
    }
    let report = gribchunk::materialise(&repository, &MaterialiseOptions::default()).await.unwrap();
    assert_eq!((report.materialised, report.failed.len()), (0, 1), "{report:?}");
    errors
}

fn file_container(name: Option<&str>, directory: &Path) -> VirtualChunkContainer {
    let (url, store) = (
        format!("file://{}/", directory.display().to_string().trim_end_matches('/')),
        ObjectStoreConfig::LocalFileSystem(directory.to_path_buf()),
    );
    match name {
        Some(name) => VirtualChunkContainer::new_named(name.into(), url, store).unwrap(),
        None => VirtualChunkContainer::new(url, store).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_outside_of_what_is_allowed() {
    let folder = Folder::new("stranger-files");
    let (secret, allowed) = (folder.join("secret"), folder.join("allowed"));
    std::fs::create_dir_all(&secret).unwrap();
    std::fs::create_dir_all(&allowed).unwrap();
    let message = ens_file(21, 3, "grib2");
    std::fs::write(secret.join("x.grib2"), &message).unwrap();
    std::os::unix::fs::symlink(secret.join("x.grib2"), allowed.join("link.grib2")).unwrap();
    std::os::unix::fs::symlink(&secret, allowed.join("links")).unwrap();
    std::fs::create_dir_all(folder.join("allowed-not")).unwrap();
    std::fs::write(folder.join("allowed-not").join("x.grib2"), &message).unwrap();
    let base = format!("file://{}", folder.join("").display().to_string().trim_end_matches('/'));
    let locations = [
        format!("{base}/secret/x.grib2"),
        format!("{base}/allowed/../secret/x.grib2"),
        format!("{base}/allowed/%2e%2e/secret/x.grib2"),
        format!("{base}/allowed/link.grib2"),
        format!("{base}/allowed/links/x.grib2"),
        format!("{base}/allowed-not/x.grib2"),
        "vcc://evil/x.grib2".to_string(),
        "vcc://evil/../secret/x.grib2".to_string(),
        "vcc://nobody/x.grib2".to_string(),
        "file:///etc/passwd".to_string(),
        "file:///proc/self/environ".to_string(),
        "file:///dev/zero".to_string(),
    ];
    for (number, location) in locations.iter().enumerate() {
        let path = folder.join(&format!("gift-{number}"));
        let containers = vec![
            file_container(None, Path::new("/etc")),
            file_container(None, Path::new("/proc")),
            file_container(None, Path::new("/dev")),
            file_container(None, &folder.join("")),
            file_container(Some("evil"), &secret),
        ];
        strangers(&path, location, containers).await;
        for error in refused(&path, OpenOptions::default().allow(allowed.display().to_string())).await {
            // An error about what the bytes are would mean that they were read.
            let read = matches!(error, Error::Grib { .. } | Error::WrongField { .. });
            assert!(!read && !error.to_string().contains("byte "), "{location}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn urls_outside_of_what_is_allowed() {
    let (folder, server, elsewhere) = (Folder::new("stranger-urls"), Server::start(), Server::start());
    let message = ens_file(21, 3, "grib2");
    for server in [&server, &elsewhere] {
        for path in ["/secret/x.grib2", "/allowed/x.grib2", "/bucket/allowed/x.grib2", "/bucket/secret/x.grib2"] {
            server.put(path, message.clone());
        }
    }
    server.fault("/allowed/moved.grib2", Fault::Redirect(elsewhere.url("/secret/x.grib2")));
    let http = |server: &Server| {
        VirtualChunkContainer::new(server.url("/"), ObjectStoreConfig::Http(HttpConfig::default())).unwrap()
    };
    // The endpoint that a container names is the stranger's: nothing may be sent there, credentials least of all.
    let s3 = |server: &Server| {
        let options = S3Options::default()
            .with_endpoint_url(server.url("").trim_end_matches('/'))
            .with_allow_http(true)
            .with_force_path_style(true)
            .with_region("us-east-1");
        VirtualChunkContainer::new("s3://bucket/".into(), ObjectStoreConfig::S3Compatible(options)).unwrap()
    };
    let host = server.url("").replace("http://", "");
    let locations = [
        server.url("/secret/x.grib2"),
        server.url("/allowed/../secret/x.grib2"),
        server.url("/allowed/%2e%2e/secret/x.grib2"),
        server.url("/allowed/%252e%252e/secret/x.grib2"),
        server.url("/allowed/..%2fsecret/x.grib2"),
        server.url("/allowed-not/x.grib2"),
        server.url("/allowed/moved.grib2"),
        elsewhere.url("/allowed/x.grib2"),
        format!("http://{host}@{}", elsewhere.url("/allowed/x.grib2").replace("http://", "")),
        format!("{}?{host}/allowed/x.grib2", elsewhere.url("/secret/x.grib2")),
        format!("{}#/allowed/x.grib2", elsewhere.url("/secret/x.grib2")),
        "s3://bucket/secret/x.grib2".to_string(),
        "s3://bucket/allowed/../secret/x.grib2".to_string(),
        "s3://bucket/allowed/x.grib2?versionId=1".to_string(),
    ];
    for (number, location) in locations.iter().enumerate() {
        let path = folder.join(&format!("gift-{number}"));
        strangers(&path, location, vec![http(&server), http(&elsewhere), s3(&elsewhere)]).await;
        let options = OpenOptions::default()
            .allow(server.url("/allowed/"))
            .allow("s3://bucket/allowed/")
            .remote(impatient().storage_option("endpoint", server.url("").trim_end_matches('/').to_string()));
        refused(&path, options).await;
        let sent = server.requests();
        let harmless = |path: &str| path == "/allowed/moved.grib2";
        assert!(sent.iter().all(|request| harmless(&request.path)), "{location}: {sent:?}");
        assert_eq!(elsewhere.requests(), [], "{location}");
    }

    // What is allowed is read from the user's own endpoint, never from the repository's.
    let path = folder.join("gift-endpoint");
    strangers(&path, "s3://bucket/allowed/x.grib2", vec![s3(&elsewhere)]).await;
    let options = OpenOptions::default().allow("s3://bucket/allowed/").remote(
        impatient()
            .anonymous("s3://bucket")
            .storage_option("endpoint", server.url("").trim_end_matches('/').to_string()),
    );
    let repository = Repository::open(&path, options).await.unwrap();
    // 100 bytes of a message are none: but they came.
    let error = now(&repository).await.read_chunk("t2m", &[0, 1, 0]).await.unwrap_err();
    assert!(!matches!(error, Error::NotAllowed { .. }), "{error:?}");
    assert!(server.requests().iter().any(|request| request.path == "/bucket/allowed/x.grib2"));
    assert_eq!(elsewhere.requests(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_repository_allows_nothing() {
    let (folder, server) = (Folder::new("copied"), Server::start());
    server.put("/data/x.grib2", ens_file(21, 3, "grib2"));
    let repository = ens_repository(&folder.join("mine"), impatient()).await;
    assert_eq!(ingest(&repository, &[server.url("/data/x.grib2")]).await.placed(), 36);
    assert!(read_all(&now(&repository).await, "t2m").await.is_ok());
    drop(repository);
    std::fs::rename(folder.join("mine"), folder.join("theirs")).unwrap();
    server.requests();
    let moved = Repository::open(folder.join("theirs"), OpenOptions::default()).await.unwrap();
    let error = read_all(&now(&moved).await, "t2m").await.unwrap_err();
    assert!(matches!(error, Error::NotAllowed { .. }), "{error:?}");
    assert_eq!(server.requests(), []);
    let options = OpenOptions::default().allow(server.url("/data/"));
    let allowed = Repository::open(folder.join("theirs"), options).await.unwrap();
    assert!(read_all(&now(&allowed).await, "t2m").await.is_ok());
}
