//! The codecs through zarrs arrays in memory: what is stored, what is read, what is refused.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zarrs::array::{Array, ArraySubset};
use zarrs::storage::store::MemoryStore;
use zarrs::storage::{ReadableStorageTraits, StoreKey, WritableStorageTraits};

use crate::grib::decode::{FieldSelector, fields_of};
use crate::grib::key::FieldKey;

const ROWS: u64 = 721;
const COLUMNS: u64 = 1440;

/// Temperature at 500 hPa, one CCSDS message of which message order is array order.
fn temperature_message() -> Option<(Vec<u8>, Value)> {
    let folder = std::env::var_os("GRIBCHUNK_SHARED_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    let path = folder.join("grib/aifs-single-t500.grib2");
    let Ok(message) = std::fs::read(&path) else {
        println!("skipped: no shared data");
        return None;
    };
    let expected = std::fs::read(path.with_extension("grib2.expected.json")).unwrap();
    Some((message, serde_json::from_slice(&expected).unwrap()))
}

fn selector_of(message: &[u8]) -> FieldSelector {
    let fields = fields_of(message).unwrap();
    FieldSelector::of(&FieldKey::from_sections(&fields[0]).unwrap())
}

fn gribchunk(selector: &FieldSelector) -> Value {
    json!({"name": "gribchunk", "configuration": selector})
}

fn metadata(shape: &[u64], data_type: &str, codec: &Value) -> Value {
    let mut chunk = shape.to_vec();
    chunk[0] = 1;
    json!({
        "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": data_type, "fill_value": "NaN",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [codec], "attributes": {},
    })
}

fn key(text: &str) -> StoreKey {
    StoreKey::new(text).unwrap()
}

fn array(shape: &[u64], data_type: &str, codec: &Value) -> Result<(Arc<MemoryStore>, Array<MemoryStore>), String> {
    let store = Arc::new(MemoryStore::new());
    let text = serde_json::to_vec(&metadata(shape, data_type, codec)).unwrap();
    store.set(&key("t/zarr.json"), text.into()).unwrap();
    let array = Array::open(store.clone(), "/t").map_err(|error| error.to_string())?;
    Ok((store, array))
}

fn small_selector() -> FieldSelector {
    serde_json::from_value(json!({
        "parameter": {"paramId": 167}, "typeOfLevel": "heightAboveGround", "grid": "000102030405060708090a0b0c0d0e0f",
    }))
    .unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn sha256(values: &[f32]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn materialised_chunks_round_trip_whole_and_in_part() {
    let (store, array) = array(&[2, 4, 5], "float32", &gribchunk(&small_selector())).unwrap();
    let values: Vec<f32> = (0..20).map(|i| if i == 7 { f32::NAN } else { i as f32 / 3.0 }).collect();
    array.store_chunk(&[0, 0, 0], values.clone()).unwrap();
    let stored = store.get(&key("t/c/0/0/0")).unwrap().unwrap();
    assert_eq!(&stored[..4], [0x28, 0xb5, 0x2f, 0xfd], "a zstd frame");
    assert_eq!(bits(&array.retrieve_chunk::<Vec<f32>>(&[0, 0, 0]).unwrap()), bits(&values));
    let window = ArraySubset::new_with_ranges(&[0..1, 1..3, 2..4]);
    let part: Vec<f32> = array.retrieve_array_subset(&window).unwrap();
    assert_eq!(bits(&part), bits(&[values[7], values[8], values[12], values[13]]));
    // The second chunk is not there.
    let both = ArraySubset::new_with_ranges(&[0..2, 0..1, 1..2]);
    let part: Vec<f32> = array.retrieve_array_subset(&both).unwrap();
    assert_eq!(part[0], values[1]);
    assert!(part[1].is_nan());
}

#[test]
fn a_chunk_of_nothing_but_nan_is_stored_when_the_writer_asks_for_it() {
    let (store, array) = array(&[1, 4, 5], "float64", &gribchunk(&small_selector())).unwrap();
    let options = zarrs::array::CodecOptions::default().with_store_empty_chunks(true);
    array.store_chunk_opt(&[0, 0, 0], vec![f64::NAN; 20], &options).unwrap();
    assert!(store.get(&key("t/c/0/0/0")).unwrap().is_some());
    assert!(array.retrieve_chunk::<Vec<f64>>(&[0, 0, 0]).unwrap().iter().all(|value| value.is_nan()));
}

#[test]
fn a_materialised_chunk_is_a_standard_zarr_chunk() {
    let (store, array) = array(&[1, 4, 5], "float32", &gribchunk(&small_selector())).unwrap();
    let values: Vec<f32> = (0..20).map(|i| i as f32).collect();
    array.store_chunk(&[0, 0, 0], values.clone()).unwrap();
    let mut plain = metadata(&[1, 4, 5], "float32", &json!({"name": "bytes", "configuration": {"endian": "little"}}));
    plain["codecs"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "zstd", "configuration": {"level": 3, "checksum": true}}));
    store.set(&key("t/zarr.json"), serde_json::to_vec(&plain).unwrap().into()).unwrap();
    let finalised = Array::open(store, "/t").unwrap();
    assert_eq!(finalised.retrieve_chunk::<Vec<f32>>(&[0, 0, 0]).unwrap(), values);
}

#[test]
fn a_message_decodes_to_the_expected_values() {
    let Some((message, expected)) = temperature_message() else { return };
    let codec = gribchunk(&selector_of(&message));
    let (store, array) = array(&[3, ROWS, COLUMNS], "float32", &codec).unwrap();
    store.set(&key("t/c/0/0/0"), message.clone().into()).unwrap();
    let own: Vec<f32> = (0..ROWS * COLUMNS).map(|i| i as f32).collect();
    array.store_chunk(&[1, 0, 0], own.clone()).unwrap();

    let values: Vec<f32> = array.retrieve_chunk(&[0, 0, 0]).unwrap();
    assert_eq!(sha256(&values), expected["field"][0]["values"]["sha256_f32le"].as_str().unwrap());

    // One window through a message, a materialised chunk and a missing one.
    let window = ArraySubset::new_with_ranges(&[0..3, 100..103, 7..9]);
    let part: Vec<f32> = array.retrieve_array_subset(&window).unwrap();
    let picked = |from: &[f32]| -> Vec<f32> {
        (100..103).flat_map(|row| (7..9).map(move |column| row * 1440 + column)).map(|i: usize| from[i]).collect()
    };
    assert_eq!(part[..6], picked(&values));
    assert_eq!(part[6..12], picked(&own));
    assert!(part[12..].iter().all(|value| value.is_nan()));
    // One contiguous run.
    let row = ArraySubset::new_with_ranges(&[0..1, 360..361, 10..1000]);
    let part: Vec<f32> = array.retrieve_array_subset(&row).unwrap();
    assert!(part == values[360 * 1440 + 10..360 * 1440 + 1000]);
}

#[test]
fn float64_is_not_rounded() {
    let Some((message, _)) = temperature_message() else { return };
    let (store, array) = array(&[1, ROWS, COLUMNS], "float64", &gribchunk(&selector_of(&message))).unwrap();
    store.set(&key("t/c/0/0/0"), message.into()).unwrap();
    let values: Vec<f64> = array.retrieve_chunk(&[0, 0, 0]).unwrap();
    assert_eq!(values[0], 236.256_072_998_046_88);
}

#[test]
fn another_field_is_an_error_that_names_both() {
    let Some((message, _)) = temperature_message() else { return };
    let own = selector_of(&message);
    let wrong = [
        (json!({"paramId": 167}), own.type_of_level.clone(), own.grid.to_string(), "paramId 167"),
        (json!({"paramId": 130}), "hybrid".to_string(), own.grid.to_string(), "hybrid"),
        (json!({"paramId": 130}), own.type_of_level.clone(), "0".repeat(32), "00000000000000000000000000000000"),
    ];
    for (parameter, level, grid, named) in wrong {
        let selector: FieldSelector =
            serde_json::from_value(json!({"parameter": parameter, "typeOfLevel": level, "grid": grid})).unwrap();
        let (store, array) = array(&[1, ROWS, COLUMNS], "float32", &gribchunk(&selector)).unwrap();
        store.set(&key("t/c/0/0/0"), message.clone().into()).unwrap();
        let whole = array.retrieve_chunk::<Vec<f32>>(&[0, 0, 0]).unwrap_err().to_string();
        let window = ArraySubset::new_with_ranges(&[0..1, 0..1, 0..1]);
        let part = array.retrieve_array_subset::<Vec<f32>>(&window).unwrap_err().to_string();
        for error in [whole, part] {
            assert!(error.contains(named), "{error}");
            assert!(error.contains(&own.to_string()), "{error}");
        }
    }
}

#[test]
fn numbers_select_a_parameter_that_has_a_param_id() {
    let Some((message, _)) = temperature_message() else { return };
    let mut codec = gribchunk(&selector_of(&message));
    codec["configuration"]["parameter"] =
        json!({"centre": 98, "discipline": 0, "parameterCategory": 0, "parameterNumber": 0});
    let (store, array) = array(&[1, ROWS, COLUMNS], "float32", &codec).unwrap();
    store.set(&key("t/c/0/0/0"), message.into()).unwrap();
    assert_eq!(array.retrieve_chunk::<Vec<f32>>(&[0, 0, 0]).unwrap()[0], 236.256_07);
}

#[test]
fn a_payload_that_is_not_one_whole_message_is_an_error() {
    let Some((message, _)) = temperature_message() else { return };
    let (store, array) = array(&[1, ROWS, COLUMNS], "float32", &gribchunk(&selector_of(&message))).unwrap();
    let mut longer = message.clone();
    longer.extend_from_slice(b"7777");
    let mut open = message.clone();
    let end = open.len() - 1;
    open[end] = b'8';
    let cut = message[..message.len() - 10].to_vec();
    for bytes in [cut, message[..7].to_vec(), b"GRIB".to_vec(), longer, open, Vec::new(), b"not a chunk".to_vec()] {
        let length = bytes.len();
        store.set(&key("t/c/0/0/0"), bytes.into()).unwrap();
        assert!(array.retrieve_chunk::<Vec<f32>>(&[0, 0, 0]).is_err(), "{length} bytes");
        let window = ArraySubset::new_with_ranges(&[0..1, 5..6, 0..3]);
        assert!(array.retrieve_array_subset::<Vec<f32>>(&window).is_err(), "{length} bytes, in part");
    }
}

#[test]
fn a_chunk_of_another_size_is_an_error() {
    let Some((message, _)) = temperature_message() else { return };
    let (store, array) = array(&[1, ROWS, COLUMNS - 1], "float32", &gribchunk(&selector_of(&message))).unwrap();
    store.set(&key("t/c/0/0/0"), message.into()).unwrap();
    let error = array.retrieve_chunk::<Vec<f32>>(&[0, 0, 0]).unwrap_err().to_string();
    assert!(error.contains("1038240") && error.contains("1037519"), "{error}");
}

#[test]
fn inner_codecs_that_could_be_taken_for_a_message_are_refused() {
    let little = json!({"name": "bytes", "configuration": {"endian": "little"}});
    let big = json!({"name": "bytes", "configuration": {"endian": "big"}});
    let zstd = json!({"name": "zstd", "configuration": {"level": 1, "checksum": false}});
    let gzip = json!({"name": "gzip", "configuration": {"level": 1}});
    let crc32c = json!({"name": "crc32c"});
    let shards = json!({"name": "sharding_indexed", "configuration": {
        "chunk_shape": [1, 2, 5], "codecs": [little], "index_codecs": [little, crc32c]}});
    let refused = [
        (json!([little]), "bytes"),
        (json!([little, zstd, crc32c]), "crc32c"),
        (json!([big, zstd]), "big"),
        (json!([zstd]), "no `bytes`"),
        (json!([]), "no `bytes`"),
        (json!([shards, zstd]), "sharding_indexed"),
        (json!([little, {"name": "unheard_of"}, zstd]), "unheard_of"),
    ];
    for (codecs, named) in refused {
        let mut codec = gribchunk(&small_selector());
        codec["configuration"]["codecs"] = codecs.clone();
        let error = array(&[1, 4, 5], "float32", &codec).err().unwrap_or_else(|| panic!("{codecs} was accepted"));
        assert!(error.contains(named), "{codecs}: {error}");
    }
    let order = json!({"name": "transpose", "configuration": {"order": [0, 2, 1]}});
    for codecs in [json!([little, gzip]), json!([little, crc32c, zstd]), json!([order, little, zstd])] {
        let mut codec = gribchunk(&small_selector());
        codec["configuration"]["codecs"] = codecs;
        let (_, array) = array(&[1, 4, 5], "float32", &codec).unwrap();
        array.store_chunk(&[0, 0, 0], vec![1.5f32; 20]).unwrap();
        assert_eq!(array.retrieve_chunk::<Vec<f32>>(&[0, 0, 0]).unwrap(), vec![1.5; 20]);
    }
}

#[test]
fn only_floating_point_arrays() {
    let codec = gribchunk(&small_selector());
    let mut metadata = metadata(&[1, 4, 5], "int32", &codec);
    metadata["fill_value"] = json!(0);
    let store = Arc::new(MemoryStore::new());
    store.set(&key("t/zarr.json"), serde_json::to_vec(&metadata).unwrap().into()).unwrap();
    let error = Array::open(store, "/t")
        .map_err(|error| error.to_string())
        .and_then(|array| array.store_chunk(&[0, 0, 0], vec![1i32; 20]).map_err(|error| error.to_string()))
        .unwrap_err();
    assert!(error.contains("float32 or float64"), "{error}");
}

#[test]
fn the_configuration_is_written_as_it_was_read() {
    let mut codec = gribchunk(&small_selector());
    codec["configuration"]["codecs"] = json!([
        {"name": "bytes", "configuration": {"endian": "little"}}, {"name": "gzip", "configuration": {"level": 5}}]);
    let (store, array) = array(&[1, 4, 5], "float32", &codec).unwrap();
    array.store_metadata().unwrap();
    let written: Value = serde_json::from_slice(&store.get(&key("t/zarr.json")).unwrap().unwrap()).unwrap();
    assert_eq!(written["codecs"], json!([codec]));
    for wrong in [json!({"paramId": 167, "centre": 98}), json!({"paramId": -1}), json!({}), json!("2t")] {
        let mut codec = codec.clone();
        codec["configuration"]["parameter"] = wrong;
        assert!(self::array(&[1, 4, 5], "float32", &codec).is_err());
    }
    for grid in ["", "xyz", "+00102030405060708090a0b0c0d0e0f", "000102030405060708090a0b0c0d0e0f00"] {
        let mut codec = codec.clone();
        codec["configuration"]["grid"] = json!(grid);
        assert!(self::array(&[1, 4, 5], "float32", &codec).is_err(), "{grid}");
    }
}

#[test]
fn arrays_with_codec_gribberish_are_read() {
    let Some((message, _)) = temperature_message() else { return };
    let codec = json!({"name": "gribberish", "configuration": {"var": "tmp"}});
    let (store, array) = array(&[1, ROWS, COLUMNS], "float64", &codec).unwrap();
    store.set(&key("t/c/0/0/0"), message.clone().into()).unwrap();
    let values: Vec<f64> = array.retrieve_chunk(&[0, 0, 0]).unwrap();
    let rows: Vec<f64> = values.chunks(1440).map(|row| row[3]).collect();
    let window = ArraySubset::new_with_ranges(&[0..1, 0..ROWS, 3..4]);
    assert!(array.retrieve_array_subset::<Vec<f64>>(&window).unwrap() == rows);
    assert!(array.store_chunk(&[0, 0, 0], values.clone()).is_err(), "read only");

    // Longitudes of this message start at 180: wrapped to -180..180 nothing moves, and the rows already run southwards.
    let codec = json!({"name": "gribberish", "configuration": {"adjust_longitude_range": true, "north_up": true}});
    let (store, array) = self::array(&[1, ROWS, COLUMNS], "float64", &codec).unwrap();
    store.set(&key("t/c/0/0/0"), message.clone().into()).unwrap();
    assert!(array.retrieve_chunk::<Vec<f64>>(&[0, 0, 0]).unwrap() == values);

    for (name, size, first) in [("latitude", ROWS, 90.0), ("longitude", COLUMNS, 180.0)] {
        let store = Arc::new(MemoryStore::new());
        let codec = json!({"name": "gribberish", "configuration": {"var": name}});
        let mut metadata = metadata(&[size], "float64", &codec);
        metadata["chunk_grid"]["configuration"]["chunk_shape"] = json!([size]);
        store.set(&key("t/zarr.json"), serde_json::to_vec(&metadata).unwrap().into()).unwrap();
        store.set(&key("t/c/0"), message.clone().into()).unwrap();
        let coordinate: Vec<f64> = Array::open(store, "/t").unwrap().retrieve_chunk(&[0]).unwrap();
        assert_eq!(coordinate[0], first, "{name}");
        assert_eq!((coordinate[1] - first).abs(), 0.25, "{name}");
    }
}

#[tokio::test]
async fn the_asynchronous_side_gives_the_same() {
    use zarrs::storage::storage_adapter::sync_to_async::{SyncToAsyncSpawnBlocking, SyncToAsyncStorageAdapter};
    struct Here;
    impl SyncToAsyncSpawnBlocking for Here {
        async fn spawn_blocking<F, R>(&self, f: F) -> R
        where
            F: FnOnce() -> R + Send + 'static,
            R: Send + 'static,
        {
            f()
        }
    }
    let Some((message, _)) = temperature_message() else { return };
    let (store, sync) = array(&[3, ROWS, COLUMNS], "float32", &gribchunk(&selector_of(&message))).unwrap();
    store.set(&key("t/c/0/0/0"), message.into()).unwrap();
    sync.store_chunk(&[1, 0, 0], vec![2.5f32; 721 * 1440]).unwrap();
    let adapter = Arc::new(SyncToAsyncStorageAdapter::new(store, Here));
    let array = Array::async_open(adapter, "/t").await.unwrap();
    let window = ArraySubset::new_with_ranges(&[0..3, 50..52, 20..23]);
    let here: Vec<f32> = array.async_retrieve_array_subset(&window).await.unwrap();
    assert_eq!(bits(&here), bits(&sync.retrieve_array_subset::<Vec<f32>>(&window).unwrap()));
    assert!(here[0] > 200.0 && here[6] == 2.5 && here[12].is_nan());
}
