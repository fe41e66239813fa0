//! The store over Icechunk: both views, synchronous and asynchronous, whole chunks and parts, what is missing.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use icechunk::format::manifest::{ChunkPayload, VirtualChunkLocation, VirtualChunkRef};
use icechunk::format::{ChunkIndices, Path};
use icechunk::repository::VersionInfo;
use icechunk::session::Session;
use icechunk::virtual_chunks::VirtualChunkContainer;
use icechunk::{ObjectStoreConfig, Repository, RepositoryConfig};
use serde_json::{Value, json};
use tokio::sync::RwLock;
use zarrs::array::{Array, ArraySubset};
use zarrs::storage::byte_range::ByteRange;
use zarrs::storage::{
    self, ListableStorageTraits, ReadableStorageTraits, StorageError, StoreKey, StorePrefix, WritableStorageTraits,
};

use super::*;
use crate::error::Result;
use crate::grib::decode::{FieldSelector, fields_of};
use crate::grib::key::FieldKey;

const ROWS: u64 = 721;
const COLUMNS: u64 = 1440;

fn key(text: &str) -> StoreKey {
    StoreKey::new(text).unwrap()
}

fn prefix(text: &str) -> StorePrefix {
    StorePrefix::new(text).unwrap()
}

fn group() -> Bytes {
    Bytes::from_static(br#"{"zarr_format":3,"node_type":"group","attributes":{}}"#)
}

fn array_metadata(shape: &[u64], chunk: &[u64], codecs: Value) -> Value {
    json!({
        "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "float32", "fill_value": "NaN",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": codecs, "attributes": {"units": "K"},
    })
}

fn encoded(value: &Value) -> Bytes {
    serde_json::to_vec(value).unwrap().into()
}

fn small_codecs() -> Value {
    json!([{"name": "gribchunk", "configuration": {
        "parameter": {"paramId": 130}, "typeOfLevel": "isobaricInhPa", "grid": "0".repeat(32)}}])
}

fn little() -> Value {
    json!([{"name": "bytes", "configuration": {"endian": "little"}}])
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("GRIBCHUNK_SHARED_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from)
        .join("grib");
    // Containers are prefixes of plain paths: no `..` in them.
    if let Ok(folder) = folder.canonicalize() {
        return Some(folder);
    }
    println!("skipped: no shared data");
    None
}

async fn transaction(config: RepositoryConfig, prefix: Option<String>) -> (Repository, Arc<RwLock<Session>>) {
    let storage = icechunk::new_in_memory_storage().await.unwrap();
    let access = prefix.into_iter().map(|prefix| (prefix, None)).collect();
    let create = Repository::create(storage).config(config).authorize_virtual_chunk_access(access);
    let repository = create.execute().await.unwrap();
    let session = repository.writable_session("main").await.unwrap();
    (repository, Arc::new(RwLock::new(session)))
}

/// A transaction with a group, and an array `t` (3 slots of 2 x 3) with our codec.
async fn small() -> (Repository, Arc<RwLock<Session>>) {
    let (repository, session) = transaction(RepositoryConfig::default(), None).await;
    let store = ZarrStore::new(Arc::new(IcechunkSource::new(session.clone())), View::Stored);
    storage::AsyncWritableStorageTraits::set(&store, &key("zarr.json"), group()).await.unwrap();
    let metadata = array_metadata(&[3, 2, 3], &[1, 2, 3], small_codecs());
    storage::AsyncWritableStorageTraits::set(&store, &key("t/zarr.json"), encoded(&metadata)).await.unwrap();
    (repository, session)
}

fn view(session: &Arc<RwLock<Session>>, view: View) -> ZarrStore {
    ZarrStore::new(Arc::new(IcechunkSource::new(session.clone())), view)
}

const VALUES: [f32; 6] = [1.0, 2.0, f32::NAN, 4.0, 5.0, 6.0];

#[test]
fn the_decoded_view_shows_plain_arrays() {
    let (_repository, session) = block_on(small()).unwrap();
    let (decoded, stored) = (view(&session, View::Decoded), view(&session, View::Stored));
    decoded.set(&key("t/c/1/0/0"), bytes_of(&VALUES).into()).unwrap();

    let shown: Value = serde_json::from_slice(&decoded.get(&key("t/zarr.json")).unwrap().unwrap()).unwrap();
    assert_eq!(shown, array_metadata(&[3, 2, 3], &[1, 2, 3], little()));
    let kept: Value = serde_json::from_slice(&stored.get(&key("t/zarr.json")).unwrap().unwrap()).unwrap();
    assert_eq!(kept["codecs"], small_codecs());

    let payload = stored.get(&key("t/c/1/0/0")).unwrap().unwrap();
    assert_eq!(&payload[..4], [0x28, 0xb5, 0x2f, 0xfd], "a zstd frame");
    assert_eq!(stored.size_key(&key("t/c/1/0/0")).unwrap(), Some(payload.len() as u64));
    assert_eq!(decoded.size_key(&key("t/c/1/0/0")).unwrap(), Some(24));
    assert_eq!(decoded.get(&key("t/c/1/0/0")).unwrap().unwrap(), bytes_of(&VALUES));

    // Ranges that do not respect element borders.
    let ranges = [ByteRange::FromStart(3, Some(7)), ByteRange::Suffix(2), ByteRange::FromStart(22, None)];
    let parts = decoded.get_partial_many(&key("t/c/1/0/0"), Box::new(ranges.into_iter())).unwrap().unwrap();
    let parts: Vec<Bytes> = parts.collect::<std::result::Result<_, _>>().unwrap();
    let all = bytes_of(&VALUES);
    assert_eq!(parts, [&all[3..10], &all[22..], &all[22..]]);
    for beyond in [ByteRange::FromStart(20, Some(5)), ByteRange::Suffix(25), ByteRange::FromStart(u64::MAX, Some(2))] {
        assert!(matches!(decoded.get_partial(&key("t/c/1/0/0"), beyond), Err(StorageError::InvalidByteRangeError(_))));
    }
}

#[test]
fn what_is_missing_is_none_in_every_way_of_asking() {
    let (_repository, session) = block_on(small()).unwrap();
    for store in [view(&session, View::Decoded), view(&session, View::Stored)] {
        let keys =
            ["t/c/0/0/0", "t/c/9/0/0", "t/c/0", "t/c/0/0/0/0", "x/c/0", "x/zarr.json", ".zgroup", "t/.zattrs", "t/d"];
        for text in keys {
            assert_eq!(store.get(&key(text)).unwrap(), None, "{text}");
            assert_eq!(store.size_key(&key(text)).unwrap(), None, "{text}");
            assert_eq!(store.get_partial(&key(text), ByteRange::FromStart(1, Some(100))).unwrap(), None, "{text}");
            assert_eq!(store.get_partial(&key(text), ByteRange::Suffix(1)).unwrap(), None, "{text}");
            store.erase(&key(text)).unwrap();
        }
        let array = Array::open(Arc::new(store), "/t").unwrap();
        let window = ArraySubset::new_with_ranges(&[0..3, 1..2, 1..3]);
        let part: Vec<f32> = array.retrieve_array_subset(&window).unwrap();
        assert!(part.iter().all(|value| value.is_nan()) && part.len() == 6);
    }
}

#[test]
fn arrays_read_and_write_through_both_views() {
    let (_repository, session) = block_on(small()).unwrap();
    let decoded = Array::open(Arc::new(view(&session, View::Decoded)), "/t").unwrap();
    let stored = Array::open(Arc::new(view(&session, View::Stored)), "/t").unwrap();
    decoded.store_chunk(&[0, 0, 0], vec![7.5f32; 6]).unwrap();
    stored.store_chunk(&[2, 0, 0], (0..6).map(|i| i as f32).collect::<Vec<_>>()).unwrap();
    let window = ArraySubset::new_with_ranges(&[0..3, 1..2, 1..3]);
    for array in [&decoded, &stored] {
        let part: Vec<f32> = array.retrieve_array_subset(&window).unwrap();
        assert_eq!(&part[..2], [7.5, 7.5]);
        assert!(part[2].is_nan() && part[3].is_nan());
        assert_eq!(&part[4..], [4.0, 5.0]);
    }
    // A part of a chunk, which is read, changed and written.
    decoded.store_array_subset(&ArraySubset::new_with_ranges(&[1..2, 0..1, 1..2]), vec![3.5f32]).unwrap();
    let chunk: Vec<f32> = stored.retrieve_chunk(&[1, 0, 0]).unwrap();
    assert!(chunk[1] == 3.5 && chunk.iter().filter(|value| value.is_nan()).count() == 5);
}

#[test]
fn a_part_written_into_a_missing_chunk_leaves_the_rest_missing_values() {
    let (_repository, session) = block_on(small()).unwrap();
    let decoded = view(&session, View::Decoded);
    decoded.set_partial(&key("t/c/0/0/0"), 4, bytes_of(&[9.0]).into()).unwrap();
    let values = floats(&decoded.get(&key("t/c/0/0/0")).unwrap().unwrap());
    assert!(values[0].is_nan() && values[1] == 9.0 && values[5].is_nan());
    assert!(decoded.set_partial(&key("t/c/0/0/0"), 22, bytes_of(&[9.0]).into()).is_err(), "beyond the chunk");
    assert!(decoded.set(&key("t/c/0/0/0"), vec![0; 23].into()).is_err(), "not a whole chunk");
    assert!(decoded.set_partial(&key("t/c/0/0/0"), u64::MAX, vec![1].into()).is_err());
}

#[test]
fn metadata_written_back_keeps_the_stored_codecs() {
    let (_repository, session) = block_on(small()).unwrap();
    let (decoded, stored) = (view(&session, View::Decoded), view(&session, View::Stored));
    let codecs_on_disk = || -> Value {
        let metadata: Value = serde_json::from_slice(&stored.get(&key("t/zarr.json")).unwrap().unwrap()).unwrap();
        assert_eq!(metadata["attributes"]["units"], "degC");
        metadata["codecs"].clone()
    };
    let mut array = Array::open(Arc::new(decoded.clone()), "/t").unwrap();
    array.attributes_mut().insert("units".into(), json!("degC"));
    array.store_metadata().unwrap();
    assert_eq!(codecs_on_disk(), small_codecs());

    let mut other =
        array_metadata(&[3, 2, 3], &[1, 2, 3], json!([{"name": "bytes", "configuration": {"endian": "big"}}]));
    assert!(decoded.set(&key("t/zarr.json"), encoded(&other)).is_err());
    assert_eq!(codecs_on_disk(), small_codecs());
    // A new array with standard codecs is what it says, in both views.
    other["codecs"] = little();
    decoded.set(&key("plain/zarr.json"), encoded(&other)).unwrap();
    assert_eq!(stored.get(&key("plain/zarr.json")).unwrap().unwrap(), encoded(&other));
    decoded.set(&key("plain/c/0/0/0"), bytes_of(&VALUES).into()).unwrap();
    assert_eq!(stored.get(&key("plain/c/0/0/0")).unwrap().unwrap(), bytes_of(&VALUES));
    assert_eq!(
        stored.get_partial(&key("plain/c/0/0/0"), ByteRange::FromStart(4, Some(4))).unwrap().unwrap(),
        bytes_of(&[2.0])
    );
}

#[test]
fn consolidated_metadata_are_not_shown_decoded() {
    let (_repository, session) = block_on(small()).unwrap();
    let (decoded, stored) = (view(&session, View::Decoded), view(&session, View::Stored));
    let consolidated = json!({"zarr_format": 3, "node_type": "group", "attributes": {"a": 1},
        "consolidated_metadata": {"kind": "inline", "must_understand": false, "metadata": {}}});
    stored.set(&key("zarr.json"), encoded(&consolidated)).unwrap();
    let shown: Value = serde_json::from_slice(&decoded.get(&key("zarr.json")).unwrap().unwrap()).unwrap();
    assert_eq!(shown, json!({"zarr_format": 3, "node_type": "group", "attributes": {"a": 1}}));
    decoded.set(&key("g/zarr.json"), encoded(&consolidated)).unwrap();
    assert!(!String::from_utf8_lossy(&stored.get(&key("g/zarr.json")).unwrap().unwrap()).contains("consolidated"));
}

#[test]
fn keys_that_are_not_zarr_are_refused() {
    let (_repository, session) = block_on(small()).unwrap();
    let store = view(&session, View::Decoded);
    for text in ["t/0/0/0", "notes.txt", "t/.zattrs", "../c/0", "t/c/00/0/0", "a/../zarr.json"] {
        assert!(matches!(store.set(&key(text), vec![1].into()), Err(StorageError::Unsupported(_))), "{text}");
    }
    for wrong in ["", "{}", "[]", r#"{"zarr_format":2,"node_type":"group"}"#, r#"{"zarr_format":3,"node_type":"file"}"#]
    {
        assert!(store.set(&key("w/zarr.json"), wrong.as_bytes().to_vec().into()).is_err(), "{wrong}");
    }
    assert!(store.set(&key("none/c/0"), vec![1].into()).is_err(), "a chunk of no array");
    assert!(store.set(&key("t/c/3/0/0"), bytes_of(&VALUES).into()).is_err(), "outside of the array");
    assert!(store.set(&key("t/c/0"), bytes_of(&VALUES).into()).is_err(), "another dimensionality");
}

/// The assertions of `zarrs_storage::store_test` on keys and values that a Zarr hierarchy can have (the suite writes keys
/// such as `a/b` and empty values, which Icechunk refuses).
fn store_suite<T: WritableStorageTraits + ReadableStorageTraits + ListableStorageTraits>(store: &T) {
    let array = |chunk: u64| encoded(&array_metadata_u8(&[8 * chunk], &[chunk]));
    store.erase_prefix(&StorePrefix::root()).unwrap();
    assert!(store.list().unwrap().is_empty());
    for node in ["", "a/", "i/"] {
        store.set(&key(&format!("{node}zarr.json")), group()).unwrap();
    }
    store.set(&key("a/b/zarr.json"), array(4)).unwrap();
    store.set(&key("i/j/zarr.json"), array(2)).unwrap();
    store.set(&key("a/b/c/0"), vec![255, 255, 255].into()).unwrap();
    store.set_partial(&key("a/b/c/0"), 1, vec![1, 2].into()).unwrap();
    store.set_partial(&key("a/b/c/0"), 3, vec![3].into()).unwrap();
    store.set_partial(&key("a/b/c/0"), 0, vec![0].into()).unwrap();
    store.set(&key("a/b/c/1"), vec![0].into()).unwrap();
    store.set(&key("i/j/c/0"), vec![0, 1].into()).unwrap();

    store.set(&key("a/b/c/2"), vec![1].into()).unwrap();
    store.erase(&key("a/b/c/2")).unwrap();
    store.erase(&key("a/b/c/2")).unwrap();
    store.set(&key("a/b/c/2"), vec![1].into()).unwrap();
    store.set(&key("a/b/c/3"), vec![1].into()).unwrap();
    store.erase_many(&[key("a/b/c/2"), key("a/b/c/3")]).unwrap();
    store.set(&key("e/zarr.json"), array(2)).unwrap();
    store.set(&key("e/c/0"), vec![1].into()).unwrap();
    store.set(&key("e/c/1"), vec![1].into()).unwrap();
    store.erase_prefix(&prefix("e/c/")).unwrap();
    assert_eq!(store.list_prefix(&prefix("e/")).unwrap(), [key("e/zarr.json")]);
    store.erase_prefix(&prefix("e/")).unwrap();
    store.erase_prefix(&prefix("e/")).unwrap();

    // Reading.
    assert!(store.get(&key("notfound")).unwrap().is_none());
    assert!(store.size_key(&key("notfound")).unwrap().is_none());
    assert_eq!(store.get(&key("a/b/c/0")).unwrap(), Some(vec![0, 1, 2, 3].into()));
    for (text, size) in [("a/b/c/0", 4), ("a/b/c/1", 1), ("i/j/c/0", 2)] {
        assert_eq!(store.size_key(&key(text)).unwrap(), Some(size), "{text}");
    }
    let ranges = [ByteRange::FromStart(1, Some(1)), ByteRange::Suffix(1)];
    let parts = store.get_partial_many(&key("a/b/c/0"), Box::new(ranges.into_iter())).unwrap().unwrap();
    assert_eq!(parts.collect::<std::result::Result<Vec<_>, _>>().unwrap(), vec![vec![1], vec![3]]);
    let part = |text: &str, range| store.get_partial(&key(text), range);
    assert_eq!(part("a/b/c/0", ByteRange::FromStart(1, None)).unwrap(), Some(vec![1, 2, 3].into()));
    assert_eq!(part("a/b/c/0", ByteRange::Suffix(2)).unwrap(), Some(vec![2, 3].into()));
    assert_eq!(part("i/j/c/0", ByteRange::FromStart(1, Some(1))).unwrap(), Some(vec![1].into()));
    assert!(part("a/b/c/0", ByteRange::FromStart(1, Some(10))).is_err());
    assert_eq!(part("notfound", ByteRange::FromStart(1, Some(10))).unwrap(), None);

    // Listing.
    let below_a = [key("a/b/c/0"), key("a/b/c/1"), key("a/b/zarr.json"), key("a/zarr.json")];
    let below_i = [key("i/j/c/0"), key("i/j/zarr.json"), key("i/zarr.json")];
    let all = [&below_a[..], &below_i[..], &[key("zarr.json")]].concat();
    assert_eq!(store.list().unwrap(), all);
    assert_eq!(store.list_prefix(&prefix("")).unwrap(), all);
    assert_eq!(store.list_prefix(&prefix("a/")).unwrap(), below_a);
    assert_eq!(store.list_prefix(&prefix("i/")).unwrap(), below_i);
    assert_eq!(store.list_prefix(&prefix("a/b/c/")).unwrap(), [key("a/b/c/0"), key("a/b/c/1")]);
    assert_eq!(store.list_prefix(&prefix("notfound/")).unwrap(), []);
    let directory = |text: &str| {
        let listed = store.list_dir(&prefix(text)).unwrap();
        (listed.keys().clone(), listed.prefixes().clone())
    };
    assert_eq!(directory(""), (vec![key("zarr.json")], vec![prefix("a/"), prefix("i/")]));
    assert_eq!(directory("a/"), (vec![key("a/zarr.json")], vec![prefix("a/b/")]));
    assert_eq!(directory("a/b/"), (vec![key("a/b/zarr.json")], vec![prefix("a/b/c/")]));
    assert_eq!(directory("a/b/c/"), (vec![key("a/b/c/0"), key("a/b/c/1")], vec![]));
    assert_eq!(directory("notfound/"), (vec![], vec![]));

    // Sizes.
    let size_of = |text: &str| store.get(&key(text)).unwrap().unwrap().len() as u64;
    let metadata = size_of("a/zarr.json") + size_of("a/b/zarr.json");
    assert_eq!(store.size_prefix(&prefix("a/")).unwrap(), 5 + metadata);
    assert_eq!(store.size_prefix(&prefix("i/j/c/")).unwrap(), 2);
    assert_eq!(store.size_prefix(&prefix("notfound/")).unwrap(), 0);
    assert_eq!(store.size().unwrap(), all.iter().map(|key| size_of(key.as_str())).sum::<u64>());
}

fn array_metadata_u8(shape: &[u64], chunk: &[u64]) -> Value {
    let mut metadata = array_metadata(shape, chunk, json!([{"name": "bytes"}]));
    metadata["data_type"] = json!("uint8");
    metadata["fill_value"] = json!(0);
    metadata
}

#[test]
fn the_store_suite_in_both_views() {
    for which in [View::Decoded, View::Stored] {
        let (_repository, session) = block_on(small()).unwrap();
        store_suite(&view(&session, which));
    }
}

#[tokio::test]
async fn the_store_suite_inside_a_single_threaded_runtime() {
    let (_repository, session) = small().await;
    store_suite(&view(&session, View::Decoded));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_asynchronous_side() {
    let (_repository, session) = small().await;
    let store = Arc::new(view(&session, View::Decoded));
    let array = Array::async_open(store.clone(), "/t").await.unwrap();
    array.async_store_chunk(&[1, 0, 0], VALUES.to_vec()).await.unwrap();
    let window = ArraySubset::new_with_ranges(&[0..3, 1..2, 0..2]);
    let part: Vec<f32> = array.async_retrieve_array_subset(&window).await.unwrap();
    assert!(part[0].is_nan() && part[5].is_nan());
    assert_eq!(&part[2..4], [4.0, 5.0]);
    let store = store.as_ref();
    assert_eq!(
        storage::AsyncListableStorageTraits::list(store).await.unwrap(),
        [key("t/c/1/0/0"), key("t/zarr.json"), key("zarr.json")]
    );
    assert_eq!(storage::AsyncReadableStorageTraits::size_key(store, &key("t/c/1/0/0")).await.unwrap(), Some(24));
    assert_eq!(storage::AsyncReadableStorageTraits::get(store, &key("t/c/0/0/0")).await.unwrap(), None);
    // The synchronous side inside this runtime.
    assert_eq!(ReadableStorageTraits::size_key(store, &key("t/c/1/0/0")).unwrap(), Some(24));
    storage::AsyncWritableStorageTraits::erase(store, &key("t/c/1/0/0")).await.unwrap();
    assert_eq!(storage::AsyncReadableStorageTraits::get(store, &key("t/c/1/0/0")).await.unwrap(), None);
    storage::AsyncWritableStorageTraits::erase_prefix(store, &prefix("t/")).await.unwrap();
    assert_eq!(storage::AsyncListableStorageTraits::list(store).await.unwrap(), [key("zarr.json")]);
}

#[test]
fn a_snapshot_cannot_be_written() {
    let (repository, session) = block_on(small()).unwrap();
    let snapshot = block_on(async move {
        session.write().await.commit("allocate").execute().await.unwrap();
        repository.readonly_session(&VersionInfo::BranchTipRef("main".into())).await.unwrap()
    });
    let store = view(&Arc::new(RwLock::new(snapshot.unwrap())), View::Decoded);
    assert!(matches!(store.set(&key("t/c/0/0/0"), bytes_of(&VALUES).into()), Err(StorageError::ReadOnly)));
    assert!(matches!(store.set(&key("zarr.json"), group()), Err(StorageError::ReadOnly)));
    assert!(matches!(store.erase(&key("t/zarr.json")), Err(StorageError::ReadOnly)));
    assert!(matches!(store.erase_prefix(&prefix("t/")), Err(StorageError::ReadOnly)));
    assert!(matches!(store.set_partial(&key("t/c/0/0/0"), 0, vec![1].into()), Err(StorageError::ReadOnly)));
    assert_eq!(store.list().unwrap(), [key("t/zarr.json"), key("zarr.json")]);
}

/// A transaction with one array of three fields, the first of them virtual: a real message in a file.
async fn virtual_field(folder: &std::path::Path) -> (Repository, Arc<RwLock<Session>>, Bytes) {
    let message = Bytes::from(std::fs::read(folder.join("aifs-single-t500.grib2")).unwrap());
    let url = format!("file://{}/", folder.display());
    let mut config = RepositoryConfig::default();
    let container = VirtualChunkContainer::new(url.clone(), ObjectStoreConfig::LocalFileSystem(folder.into())).unwrap();
    config.set_virtual_chunk_container(container).unwrap();
    let (repository, session) = transaction(config, Some(url.clone())).await;
    let store = view(&session, View::Stored);
    let selector = FieldSelector::of(&FieldKey::from_sections(&fields_of(&message).unwrap()[0]).unwrap());
    let codecs = json!([{"name": "gribchunk", "configuration": selector}]);
    let metadata = array_metadata(&[3, ROWS, COLUMNS], &[1, ROWS, COLUMNS], codecs);
    storage::AsyncWritableStorageTraits::set(&store, &key("zarr.json"), group()).await.unwrap();
    storage::AsyncWritableStorageTraits::set(&store, &key("t/zarr.json"), encoded(&metadata)).await.unwrap();
    let reference = VirtualChunkRef {
        location: VirtualChunkLocation::from_url(&format!("{url}aifs-single-t500.grib2")).unwrap(),
        offset: 0,
        length: message.len() as u64,
        checksum: None,
    };
    let (path, indices) = (Path::new("/t").unwrap(), ChunkIndices(vec![0, 0, 0]));
    let payload = Some(ChunkPayload::Virtual(reference));
    session.write().await.set_chunk_ref(path, indices, payload).await.unwrap();
    (repository, session, message)
}

#[test]
fn a_virtual_chunk_is_read_in_both_views() {
    let Some(folder) = shared() else { return };
    let (_repository, session, message) = block_on(async move { virtual_field(&folder).await }).unwrap();
    let (decoded, stored) = (view(&session, View::Decoded), view(&session, View::Stored));
    let chunk = key("t/c/0/0/0");
    assert_eq!(stored.get(&chunk).unwrap().unwrap(), message);
    assert_eq!(stored.get_partial(&chunk, ByteRange::Suffix(4)).unwrap().unwrap(), Bytes::from_static(b"7777"));
    assert_eq!(decoded.size_key(&chunk).unwrap(), Some(ROWS * COLUMNS * 4));
    let whole = floats(&decoded.get(&chunk).unwrap().unwrap());
    assert_eq!(whole[..2], [236.256_07, 236.256_07]);

    let (decoded, stored) = (Array::open(Arc::new(decoded), "/t"), Array::open(Arc::new(stored), "/t"));
    let window = ArraySubset::new_with_ranges(&[0..2, 300..303, 40..44]);
    for array in [decoded.unwrap(), stored.unwrap()] {
        let part: Vec<f32> = array.retrieve_array_subset(&window).unwrap();
        let picked: Vec<f32> = (300..303).flat_map(|row| whole[row * 1440 + 40..row * 1440 + 44].to_vec()).collect();
        assert_eq!(part[..12], picked);
        assert!(part[12..].iter().all(|value| value.is_nan()));
    }
}

#[test]
fn resolver_and_slot_reader_of_the_caller_are_asked() {
    #[derive(Default)]
    struct Counted {
        fetched: AtomicUsize,
        decoded: AtomicUsize,
        message: Bytes,
    }
    #[async_trait]
    impl ResolveVirtual for Counted {
        async fn fetch(&self, array: &str, indices: &[u32], reference: &VirtualChunkRef) -> Result<Bytes> {
            assert_eq!((array, indices, reference.offset), ("/t", &[0, 0, 0][..], 0));
            self.fetched.fetch_add(1, Ordering::Relaxed);
            Ok(self.message.clone())
        }
    }
    #[async_trait]
    impl DecodeSlot for Counted {
        async fn decode(
            &self,
            source: &IcechunkSource,
            array: &Arc<FieldArray>,
            chunk: &ChunkAddress,
            reference: &ChunkPayload,
            elements: Range<usize>,
        ) -> Result<Bytes> {
            assert_eq!(elements, 2..4);
            self.decoded.fetch_add(1, Ordering::Relaxed);
            let payload = source.fetch(chunk, reference).await?;
            array.decode(&chunk.to_string(), &payload, elements)
        }
    }
    let Some(folder) = shared() else { return };
    let (_repository, session, message) = block_on(async move { virtual_field(&folder).await }).unwrap();
    let counted = Arc::new(Counted { message: message.clone(), ..Default::default() });
    let source = IcechunkSource::new(session.clone()).with_resolver(counted.clone());
    let stored = ZarrStore::new(Arc::new(source.clone()), View::Stored);
    assert_eq!(stored.get_partial(&key("t/c/0/0/0"), ByteRange::FromStart(0, Some(4))).unwrap().unwrap(), "GRIB");
    let decoded = ZarrStore::new(Arc::new(source.with_slots(counted.clone())), View::Decoded);
    let part = decoded.get_partial(&key("t/c/0/0/0"), ByteRange::FromStart(9, Some(6))).unwrap().unwrap();
    assert_eq!(part.len(), 6);
    assert_eq!((counted.fetched.load(Ordering::Relaxed), counted.decoded.load(Ordering::Relaxed)), (2, 1));

    // A resolver that delivers something shorter is not believed.
    let short = Arc::new(Counted { message: message.slice(..100), ..Default::default() });
    let source = IcechunkSource::new(session).with_resolver(short);
    let error = ZarrStore::new(Arc::new(source), View::Decoded).get(&key("t/c/0/0/0")).unwrap_err().to_string();
    assert!(error.contains("aifs-single-t500.grib2") && error.contains("100 bytes"), "{error}");
}

#[test]
fn a_vanished_source_is_an_error_and_not_missing() {
    let Some(folder) = shared() else { return };
    let copy = std::env::temp_dir().join(format!("gribchunk-store-{}", std::process::id()));
    std::fs::create_dir_all(&copy).unwrap();
    std::fs::copy(folder.join("aifs-single-t500.grib2"), copy.join("aifs-single-t500.grib2")).unwrap();
    let there = copy.clone();
    let (_repository, session, _) = block_on(async move { virtual_field(&there).await }).unwrap();
    std::fs::remove_dir_all(&copy).unwrap();
    for which in [View::Decoded, View::Stored] {
        let store = view(&session, which);
        assert!(store.get(&key("t/c/0/0/0")).is_err());
        assert!(store.get_partial(&key("t/c/0/0/0"), ByteRange::FromStart(0, Some(4))).is_err());
        assert!(store.size_key(&key("t/c/0/0/0")).unwrap().is_some());
    }
}
