//! Keys and headers of real fields against ecCodes' (shared data's NAME.expected.json).
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::*;
use crate::grib::walk::{Found, RangedMessages, messages, ranged_messages};

/// What this header has; grids, packings and values are other modules'.
const KEYS: [&str; 33] = [
    "centre",
    "subCentre",
    "shortName",
    "paramId",
    "discipline",
    "parameterCategory",
    "parameterNumber",
    "table2Version",
    "indicatorOfParameter",
    "typeOfLevel",
    "level",
    "dataDate",
    "dataTime",
    "stepUnits",
    "stepRange",
    "startStep",
    "endStep",
    "stepType",
    "validityDate",
    "validityTime",
    "number",
    "perturbationNumber",
    "numberOfForecastsInEnsemble",
    "derivedForecast",
    "probabilityType",
    "scaledValueOfLowerLimit",
    "scaledValueOfUpperLimit",
    "percentileValue",
    "tablesVersion",
    "productDefinitionTemplateNumber",
    "gridDefinitionTemplateNumber",
    "dataRepresentationTemplateNumber",
    "edition",
];

pub(crate) fn shared_data() -> Option<PathBuf> {
    let path = std::env::var_os("GRIBCHUNK_SHARED_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    let found = path.join("grib").is_dir().then_some(path);
    if found.is_none() {
        println!("skipped: no shared data");
    }
    found
}

/// Every GRIB file of shared data with its reference.
pub(crate) fn shared_files() -> Vec<(String, Vec<u8>, Value)> {
    let Some(data) = shared_data() else { return Vec::new() };
    let mut files: Vec<_> = std::fs::read_dir(data.join("grib"))
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name()?.to_str()?.strip_suffix(".expected.json")?.to_owned();
            let expected = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            Some((name.clone(), std::fs::read(path.with_file_name(name)).unwrap(), expected))
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    files
}

#[test]
fn headers_agree_with_ec_codes() {
    let files = shared_files();
    if files.is_empty() {
        return;
    }
    let known: Vec<Value> = serde_json::from_str(include_str!("../known_differences.json")).unwrap();
    let is_known = |file: &str, message: u64, key: &str| {
        known
            .iter()
            .any(|k| k["file"] == file && (k["message"].is_null() || k["message"] == message) && k["key"] == key)
    };
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    let mut differences = Vec::new();
    let mut fields = 0;
    for (name, bytes, expected) in &files {
        let mut wanted = expected["field"].as_array().unwrap().iter();
        for found in messages(bytes) {
            let Found::Message(message) = found else { continue };
            for sections in message.fields() {
                let wanted = wanted.next().unwrap_or_else(|| panic!("{name}: more fields than ecCodes sees"));
                fields += 1;
                let number = wanted["message"].as_u64().unwrap();
                assert_eq!(wanted["offset"], message.offset, "{name}");
                assert_eq!(wanted["length"], message.length(), "{name}");
                let sections = sections.unwrap_or_else(|error| panic!("{name} message {number}: {error}"));
                let header = FieldHeader::from_sections(&sections).unwrap_or_else(|e| panic!("{name} {number}: {e}"));
                let header = serde_json::to_value(&header).unwrap();
                for key in KEYS {
                    let (ours, theirs) = (&header[key], &wanted[key]);
                    // A template number of GRIB 1 is an alias of the grid's and the packing's module.
                    if header["edition"] == 1 && key == "gridDefinitionTemplateNumber" {
                        continue;
                    }
                    let count = counts.entry(key).or_default();
                    if ours == theirs {
                        count[0] += usize::from(!ours.is_null());
                    } else if is_known(name, number, key) {
                        count[1] += 1;
                    } else {
                        count[2] += 1;
                        differences.push(format!("{name} message {number} {key}: ecCodes {theirs}, we {ours}"));
                    }
                }
            }
        }
        assert!(wanted.next().is_none(), "{name}: fewer fields than ecCodes sees");
    }
    println!("{} files, {fields} fields\n{:36} {:>6} {:>6} {:>6}", files.len(), "key", "agree", "known", "differ");
    for (key, [agree, known, differ]) in &counts {
        println!("{key:36} {agree:6} {known:6} {differ:6}");
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert_eq!((files.len(), fields), (146, 1765));
}

#[test]
fn ranged_reading_gives_the_same_keys() {
    for (name, bytes, _) in shared_files() {
        let ranged: RangedMessages<'_, [u8]> = ranged_messages(&bytes[..]);
        let ranged: Vec<_> = ranged.map(|found| found.unwrap()).collect();
        let whole: Vec<_> = messages(&bytes).collect();
        assert_eq!(ranged.len(), whole.len(), "{name}");
        for (ranged, whole) in ranged.iter().zip(&whole) {
            match (ranged, whole) {
                (Found::Broken(ranged), Found::Broken(whole)) => assert_eq!(ranged, whole, "{name}"),
                (Found::Message(ranged), Found::Message(whole)) => {
                    assert_eq!((ranged.offset, ranged.length), (whole.offset, whole.length()), "{name}");
                    let keys = |fields: crate::grib::sections::Fields<'_>| -> Vec<FieldKey> {
                        fields.map(|field| FieldKey::from_sections(&field.unwrap()).unwrap()).collect()
                    };
                    assert_eq!(keys(ranged.fields()), keys(whole.fields()), "{name}");
                }
                _ => panic!("{name}: {ranged:?} and {whole:?}"),
            }
        }
    }
}

/// Messages that ecCodes made (tools/make_products.py): every product definition template, type of level, unit of time,
/// time range of GRIB 1 and ECMWF local definition.
#[test]
fn products_of_every_kind_agree_with_ec_codes() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"));
    let bytes = std::fs::read(folder.join("products.grib")).unwrap();
    let expected: Value =
        serde_json::from_slice(&std::fs::read(folder.join("products.expected.json")).unwrap()).unwrap();
    let mut wanted = expected["field"].as_array().unwrap().iter();
    let (mut agree, mut differences) = (0, Vec::new());
    for found in messages(&bytes) {
        let Found::Message(message) = found else { panic!("{found:?}") };
        let wanted = wanted.next().unwrap();
        assert_eq!(wanted["offset"], message.offset);
        let sections = message.fields().next().unwrap().unwrap();
        let header = serde_json::to_value(FieldHeader::from_sections(&sections).unwrap()).unwrap();
        let common = expected["common"][wanted["edition"].to_string()].as_object().unwrap();
        let is_compared = |key: &str| {
            let is_alias = header["edition"] == 1 && key == "gridDefinitionTemplateNumber";
            !is_alias && !wanted["without"].as_array().is_some_and(|without| without.iter().any(|name| name == key))
        };
        for (key, usual) in common.iter().filter(|(key, _)| is_compared(key)) {
            let theirs = wanted.get(key).unwrap_or(usual);
            if header[key] == *theirs {
                agree += 1;
            } else {
                differences.push(format!("{} {key}: ecCodes {theirs}, we {}", wanted["note"], header[key]));
            }
        }
    }
    assert!(wanted.next().is_none());
    println!("{agree} keys agree");
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    assert!(agree > 30_000);
}
