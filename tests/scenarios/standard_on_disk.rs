//! Promise 6, standard on disk: plain Icechunk and zarrs with our codec read a repository without any store of ours; a fully
//! materialised array is a standard Zarr array when its metadata name the inner codecs.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt;
use gribchunk::MaterialiseOptions;
use icechunk::config::Credentials;
use icechunk::format::ByteRange;
use icechunk::repository::VersionInfo;
use serde_json::Value;
use zarrs::array::Array;
use zarrs::storage::store::MemoryStore;
use zarrs::storage::{ReadableStorageTraits, StoreKey, WritableStorageTraits};

use crate::support::*;

/// All keys of `main` as plain Icechunk gives them, virtual chunks fetched by Icechunk itself.
async fn by_plain_icechunk(repository: &std::path::Path, sources: &std::path::Path) -> Arc<MemoryStore> {
    let storage = icechunk::new_local_filesystem_storage(repository).await.unwrap();
    let prefix = format!("file://{}/", sources.display());
    let authorised = HashMap::from([(prefix, Some(Credentials::LocalFileSystemAccess))]);
    let repository =
        icechunk::Repository::open(storage).authorize_virtual_chunk_access(authorised).execute().await.unwrap();
    let version = VersionInfo::BranchTipRef("main".into());
    let session = repository.readonly_session(&version).await.unwrap();
    let store = icechunk::Store::from_session(Arc::new(tokio::sync::RwLock::new(session))).await;
    let keys: Vec<String> = store.list().await.unwrap().try_collect().await.unwrap();
    let copy = Arc::new(MemoryStore::new());
    for key in keys {
        let value = store.get(&key, &ByteRange::ALL).await.unwrap_or_else(|e| panic!("{key}: {e}"));
        copy.set(&StoreKey::new(key.trim_start_matches('/')).unwrap(), value).unwrap();
    }
    copy
}

fn assert_truth(store: &Arc<MemoryStore>, truths: &[Truth]) {
    for truth in truths {
        let array = Array::open(Arc::clone(store), &format!("/{}", truth.array)).unwrap();
        let mut index: Vec<u64> = truth.index.iter().map(|&i| u64::from(i)).collect();
        index.extend([0, 0]);
        let values: Vec<f32> = array.retrieve_chunk(&index).unwrap();
        assert_eq!(hash(&values), truth.hash, "{truth:?}");
    }
}

fn metadata(store: &MemoryStore, array: &str) -> Value {
    let key = StoreKey::new(format!("{array}/zarr.json")).unwrap();
    serde_json::from_slice(&store.get(&key).unwrap().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_icechunk_and_zarrs_read_it() {
    let folder = Folder::new("plain");
    let repository = ens_repository(&folder).await;
    let files = folder.copy_ens();
    ingest(&repository, &files).await;
    let select = gribchunk::Selection::parse("variable=t2m/tp").unwrap();
    let mut options = MaterialiseOptions::default();
    options.select = Some(select);
    let report = gribchunk::materialise(&repository, &options).await.unwrap();
    assert_eq!((report.materialised, report.failed.len()), (20, 0));

    let truths: Vec<Truth> = ENS_STEPS.into_iter().flat_map(ens_truth).collect();
    assert_eq!(truths.len(), 104);
    let store = by_plain_icechunk(&folder.join("repository"), folder.path()).await;
    assert_truth(&store, &truths);
    // What has not arrived is the fill value.
    let tp = Array::open(Arc::clone(&store), "/tp").unwrap();
    assert!(is_nan(&tp.retrieve_chunk::<Vec<f32>>(&[0; 5]).unwrap()));

    // Coordinates need no codec of ours at all.
    for name in ["latitude", "longitude", "time", "step", "number", "valid_time", "isobaricInhPa"] {
        assert!(
            metadata(&store, name)["codecs"].as_array().unwrap().iter().all(|c| c["name"] != "gribchunk"),
            "{name}"
        );
    }
    let latitude: Vec<f64> = Array::open(Arc::clone(&store), "/latitude").unwrap().retrieve_chunk(&[0]).unwrap();
    assert_eq!((latitude.len(), latitude[0], latitude[18]), (19, 90.0, -90.0));
    let step = Array::open(Arc::clone(&store), "/step").unwrap();
    assert_eq!(step.retrieve_chunk::<Vec<i64>>(&[0]).unwrap(), [0, 10_800, 21_600]);

    // Fully materialised arrays, with the inner codecs in the place of ours.
    for array in ["t2m", "tp"] {
        let mut metadata = metadata(&store, array);
        assert_eq!(metadata["codecs"][0]["name"], "gribchunk");
        metadata["codecs"] = metadata["codecs"][0]["configuration"]["codecs"].clone();
        assert!(metadata["codecs"].as_array().unwrap().len() == 2, "{metadata}");
        let key = StoreKey::new(format!("{array}/zarr.json")).unwrap();
        store.set(&key, serde_json::to_vec(&metadata).unwrap().into()).unwrap();
    }
    let stored: Vec<Truth> = truths.into_iter().filter(|t| ["t2m", "tp"].contains(&t.array.as_str())).collect();
    assert_eq!(stored.len(), 20);
    assert_truth(&store, &stored);
}
