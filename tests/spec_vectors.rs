//! The test vectors of `storage-spec/vectors/`, made and read by the code: the pages cannot drift from it.
//!
//! `GRIBCHUNK_WRITE_VECTORS=1 cargo test --test spec_vectors` writes the files anew. Do that only with a new version of the
//! format: a change here is a change of what is on disk.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use gribchunk::codec::{GribchunkCodec, GribchunkCodecConfiguration, PayloadKind};
use gribchunk::cube::{Product, metadata, name};
use gribchunk::ingest::{ScannedFile, scan_file};
use gribchunk::read::{Fingerprint, parse_location};
use gribchunk::repository::ledger::{self, FileRecord};
use gribchunk::{LayoutOptions, OpenOptions, Repository};
use icechunk::format::{ByteRange, ChunkIndices};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zarrs::array::{FillValue, data_type};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares with the stored vectors, or writes them when that was asked for.
fn check(name: &str, computed: &Value) {
    let path = root(&format!("storage-spec/vectors/{name}.json"));
    if std::env::var_os("GRIBCHUNK_WRITE_VECTORS").is_some_and(|value| value == "1") {
        let text = serde_json::to_string_pretty(computed).unwrap() + "\n";
        std::fs::write(&path, text).unwrap();
    }
    let stored = vector(name);
    if let (Value::Object(stored), Value::Object(computed)) = (&stored, computed) {
        for (key, value) in computed {
            assert_eq!(stored.get(key), Some(value), "{name}.json, {key}");
        }
    }
    assert_eq!(&stored, computed, "{name}.json");
}

fn vector(name: &str) -> Value {
    let text = std::fs::read_to_string(root(&format!("storage-spec/vectors/{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn scanned(path: &str) -> ScannedFile {
    let file = gribchunk::source::expand(&[root(path).display().to_string()]).unwrap().remove(0);
    scan_file(&file).unwrap()
}

/// Fields of the fixtures by the first bytes of their messages.
const NAMED: &[(&str, &[u64])] = &[
    ("ens/20261121000000-6h-enfo-ef.grib2", &[0, 3918, 7889, 8921, 14957]),
    ("gefs/gep01.t00z.pgrb2a.0p50.f006", &[0, 2654, 4724, 5471]),
    ("gefs/geavg.t00z.pgrb2a.0p50.f006", &[1987, 4615]),
    ("packing/simple_16.grib1", &[0]),
    ("products.grib", &[361, 542, 970, 1162, 1521, 1940, 2144, 2350, 3031, 3213, 4355, 261077, 261941, 263345, 263561]),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

/// `zarr.json` of the root group and of some arrays of the cube of `fixtures/ens`.
#[test]
fn metadata_of_a_cube() {
    let (samples, left_out) = gribchunk::sample(&[root("fixtures/ens").display().to_string()]).unwrap();
    assert!(left_out.is_empty(), "{left_out:?}");
    let layout = gribchunk::cube::build(&samples, &LayoutOptions::default()).unwrap();
    let nodes = metadata::nodes(&layout).unwrap();
    let paths: Vec<String> = nodes.iter().map(|node| format!("/{}", node.path)).collect();
    let shown = ["", "t2m", "t", "tp", "time", "step", "number", "isobaricInhPa", "heightAboveGround2", "valid_time"];
    let documents: BTreeMap<String, Value> = nodes
        .iter()
        .filter(|node| shown.contains(&node.path.as_str()))
        .map(|node| (format!("/{}", node.path), node.metadata.clone()))
        .collect();
    assert_eq!(documents.len(), shown.len());
    check("cube", &json!({ "nodes": paths, "zarr.json": documents }));

    // What is stored reads back as the same layout.
    let stored = &vector("cube")["zarr.json"]["/"];
    let root = metadata::stored_root(stored).unwrap().unwrap();
    assert_eq!(Some(root.home), layout.home);
    let group = metadata::stored_group(stored, "").unwrap().unwrap();
    assert_eq!(group.variables, layout.groups[""].variables);
    let mut newer = stored.clone();
    newer["attributes"]["gribchunk"]["root"]["version"] = json!(2);
    assert!(metadata::stored_root(&newer).unwrap_err().to_string().contains("newer"));
}

/// The path of every field of the fixtures, relative to the home product of `fixtures/ens`; and the table of naming.md.
#[test]
fn names_of_fields() {
    let home = Product::of(&scanned("fixtures/ens/20261121000000-0h-enfo-ef.grib2").fields[0].key);
    let mut fields = Vec::new();
    let mut paths: BTreeMap<String, String> = BTreeMap::new();
    for &(file, offsets) in NAMED {
        for field in scanned(&format!("fixtures/{file}")).fields {
            if !offsets.contains(&field.offset) {
                continue;
            }
            let group = name::group_path(&Product::of(&field.key), &field.key.derived, &home, "");
            let names = name::windows(&field.key).into_iter().map(|window| name::variable_name(&field.key, window));
            let names: Vec<String> = names.map(|name| format!("/{group}/{name}").replace("//", "/")).collect();
            paths.insert(format!("{file} {}", field.offset), names.join(", "));
            fields.push(json!({
                "file": file, "offset": field.offset, "field": field.key.to_string(), "paths": names,
            }));
        }
    }
    check("names", &json!({ "homeOf": "ens/20261121000000-0h-enfo-ef.grib2", "fields": fields }));

    let page = std::fs::read_to_string(root("storage-spec/naming.md")).unwrap();
    let mut rows = 0;
    for line in page.lines().filter(|line| line.starts_with("| ") && line.contains(" | `/")) {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let place = cells[0].trim_matches('`');
        assert_eq!(paths.get(place), Some(&cells[2].replace('`', "")), "naming.md: {line}");
        rows += 1;
    }
    assert!(rows > 10, "the table of naming.md has {rows} rows");
}

/// Configurations that are taken and refused, and payloads of both kinds.
#[tokio::test]
async fn codec() {
    let stored = vector("codec");
    for case in stored["configurations"].as_array().unwrap() {
        let codec = serde_json::from_value::<GribchunkCodecConfiguration>(case["configuration"].clone())
            .map_err(|error| error.to_string())
            .and_then(|configuration| GribchunkCodec::new(configuration).map_err(|error| error.to_string()));
        match case["refused"].as_str() {
            Some(reason) => assert!(codec.unwrap_err().contains(reason), "{case}"),
            None => {
                let written = codec.unwrap().gribchunk_configuration().to_json();
                assert_eq!(Value::Object(written), case["written"], "{case}");
            }
        }
    }
    for case in stored["payloads"].as_array().unwrap() {
        let configuration = serde_json::from_value(case["configuration"].clone()).unwrap();
        let codec = GribchunkCodec::new(configuration).unwrap();
        let payload = match case["file"].as_str() {
            Some(file) => std::fs::read(root(&format!("fixtures/{file}"))).unwrap(),
            None => unhex(case["payload"].as_str().unwrap()),
        };
        let kind = if PayloadKind::of(&payload) == PayloadKind::Message { "message" } else { "materialised" };
        assert_eq!(case["kind"], kind);
        let shape: Vec<NonZeroU64> = serde_json::from_value(case["shape"].clone()).unwrap();
        let elements = shape.iter().map(|n| n.get() as usize).product();
        let fill = FillValue::from(f32::NAN);
        let decoded = codec.decode_elements(&payload, &shape, &data_type::float32(), &fill, 0..elements);
        match case["error"].as_str() {
            Some(reason) => {
                let error = decoded.unwrap_err().to_string();
                assert!(error.contains(reason), "{error}");
            }
            None => {
                let decoded = decoded.unwrap();
                match case["values"].as_str() {
                    Some(values) => assert_eq!(hex(&decoded), values),
                    None => assert_eq!(hex(&Sha256::digest(&decoded)), case["sha256"].as_str().unwrap()),
                }
            }
        }
    }
}

/// The fragment that a local reference carries, and Icechunk's checksum in whole seconds.
#[test]
fn locations() {
    let stored = vector("location");
    for case in stored["fragments"].as_array().unwrap() {
        let number = |key: &str| case[key].as_u64().unwrap();
        let fingerprint = Fingerprint { size: number("size"), mtime_ns: number("mtime_ns") };
        assert_eq!(fingerprint.fragment(), case["fragment"].as_str().unwrap());
        let checksum = serde_json::to_value(format!("{:?}", fingerprint.last_modified())).unwrap();
        assert!(checksum.as_str().unwrap().contains(&format!("({})", number("lastModified"))), "{checksum}");
        let location = format!("file:///data/a.grib2{}", fingerprint.fragment());
        assert_eq!(parse_location(&location), ("file:///data/a.grib2", Some(fingerprint)));
    }
    for location in stored["unverified"].as_array().unwrap() {
        assert_eq!(parse_location(location.as_str().unwrap()).1, None, "{location}");
    }
}

/// Elements of the ledger: where a file's record is, and its bytes in both directions.
#[tokio::test]
async fn ledger_elements() {
    let stored = vector("ledger");
    for case in stored["elements"].as_array().unwrap() {
        let element = ledger::element(case["url"].as_str().unwrap(), case["firstTime"].as_i64());
        assert_eq!(json!(element), case["element"], "{case}");
    }
    let array = ledger::nodes().into_iter().find(|node| node.path == ledger::LEDGER).unwrap();
    assert_eq!(array.metadata, stored["zarr.json"]);

    let records: Vec<FileRecord> = serde_json::from_value(stored["records"].clone()).unwrap();
    assert_eq!(serde_json::to_value(&records).unwrap(), stored["records"]);
    let repository = Repository::create_in_memory(OpenOptions::default()).await.unwrap();
    let (samples, _) = gribchunk::sample(&[root("fixtures/packing/constant.grib2").display().to_string()]).unwrap();
    gribchunk::init(&repository, &samples, &LayoutOptions::default()).await.unwrap();
    let transaction = repository.transaction("main").await.unwrap();
    let mut session = transaction.session().write().await;
    let element = [20_778, 7];

    // Bytes that are on disk today can be read for ever.
    let path = icechunk::format::Path::new(&format!("/{}", ledger::LEDGER)).unwrap();
    let index = ChunkIndices(element.to_vec());
    let writer = session.get_chunk_writer(&path, &index).unwrap();
    let payload = writer(unhex(stored["bytes"].as_str().unwrap()).into()).await.unwrap();
    session.set_chunk_ref(path.clone(), index.clone(), Some(payload)).await.unwrap();
    assert_eq!(ledger::read(&session, element).await.unwrap(), records);

    // What is written holds what the page draws: one string, its length, its bytes.
    ledger::write(&mut session, element, &records).await.unwrap();
    let reader = session.get_chunk_reader(&path, &index, &ByteRange::ALL).await.unwrap().unwrap();
    let written = zstd::decode_all(reader.await.unwrap().as_ref()).unwrap();
    let text = serde_json::to_vec(&records).unwrap();
    assert_eq!(written[..4], 1u32.to_le_bytes());
    assert_eq!(written[4..8], u32::try_from(text.len()).unwrap().to_le_bytes());
    assert_eq!(written[8..], text);
}
