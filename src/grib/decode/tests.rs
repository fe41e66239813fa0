//! Selecting and decoding fields: JSON forms, damaged messages, and every message of the shared data.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;

fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("GRIBCHUNK_SHARED_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from)
        .join("grib");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no shared data");
    None
}

fn hash(values: &[f32]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn selectors_have_the_json_of_the_configuration() {
    let forms = [
        (json!({"paramId": 167}), ParameterIdentity::ParamId(167)),
        (
            json!({"centre": 7, "discipline": 0, "parameterCategory": 16, "parameterNumber": 201}),
            ParameterIdentity::Grib2 { centre: 7, discipline: 0, category: 16, number: 201 },
        ),
        (
            json!({"centre": 98, "table2Version": 128, "indicatorOfParameter": 33}),
            ParameterIdentity::Grib1 { centre: 98, table2_version: 128, indicator: 33 },
        ),
    ];
    for (parameter, identity) in forms {
        let text =
            json!({"parameter": parameter, "typeOfLevel": "surface", "grid": "00ff02030405060708090A0b0c0d0e0f"});
        let selector: FieldSelector = serde_json::from_value(text.clone()).unwrap();
        assert_eq!(selector.parameter, identity);
        assert_eq!(selector.grid.0[1], 0xff);
        let back = serde_json::to_value(&selector).unwrap();
        assert_eq!(back["parameter"], text["parameter"]);
        assert_eq!(back["grid"], "00ff02030405060708090a0b0c0d0e0f");
        assert_eq!(serde_json::from_value::<FieldSelector>(back).unwrap(), selector);
    }
    for wrong in [json!({"paramId": 1, "centre": 7}), json!({"centre": 7}), json!({"paramId": "167"}), json!(167)] {
        assert!(serde_json::from_value::<ParameterIdentity>(wrong.clone()).is_err(), "{wrong}");
    }
}

#[test]
fn every_message_decodes_whole_and_in_part() {
    let Some(folder) = shared() else { return };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut agree, mut arranged, mut ambiguous, mut refused) = (0, 0, 0, Vec::new());
    for file in files.iter().filter(|file| file.to_string_lossy().ends_with(".expected.json")) {
        let expected: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let bytes = std::fs::read(file.to_string_lossy().trim_end_matches(".expected.json")).unwrap();
        for entry in expected["field"].as_array().unwrap() {
            let number = |key: &str| usize::try_from(entry[key].as_u64().unwrap_or(0)).unwrap();
            let message = &bytes[number("offset")..number("offset") + number("length")];
            let name = format!("{} @{}", expected["file"], number("offset"));
            let fields = match fields_of(message) {
                Ok(fields) => fields,
                Err(error) => {
                    refused.push(format!("{name}: {error}"));
                    continue;
                }
            };
            let sections = fields[number("submessage").saturating_sub(1)];
            let key = match FieldKey::from_sections(&sections) {
                Ok(key) => key,
                Err(error) => {
                    refused.push(format!("{name}: {error}"));
                    continue;
                }
            };
            let selector = FieldSelector::of(&key);
            match select_field(message, &selector) {
                Ok(found) => assert_eq!(found.key, key, "{name}"),
                Err(DecodeError::Ambiguous { count, .. }) => {
                    assert!(fields.len() >= count && count > 1, "{name}");
                    ambiguous += 1;
                }
                Err(error) => panic!("{name}: {error}"),
            }
            let grid = match Grid::from_sections(&sections) {
                Ok(grid) => grid,
                Err(error) => {
                    refused.push(format!("{name}: {error}"));
                    continue;
                }
            };
            let points = grid.points();
            if points > 2_000_000 {
                continue;
            }
            let mut values = vec![0f32; points];
            if let Err(error) = decode_field(&sections, &grid, &mut values) {
                refused.push(format!("{name}: {error}"));
                continue;
            }
            let part = points / 3..points / 2;
            let some: Vec<f32> = decode_range(&sections, &grid, points, part.clone()).unwrap();
            assert_eq!(hash(&some), hash(&values[part]), "{name}: a part");
            assert!(decode_range::<f32>(&sections, &grid, points + 1, 0..1).is_err(), "{name}");
            let mut stored = vec![0f32; points];
            for (index, value) in values.iter().enumerate() {
                stored[grid.order().message_index(index)] = *value;
            }
            assert_eq!(Some(hash(&stored).as_str()), entry["values"]["sha256_f32le"].as_str(), "{name}");
            agree += 1;
            arranged += usize::from(!grid.order().is_identity());
        }
    }
    println!("{agree} fields agree ({arranged} of them rearranged), {ambiguous} not unique in their message");
    println!("{} refused:\n{}", refused.len(), refused.join("\n"));
    assert!(agree > 1000, "only {agree} fields");
    assert!(refused.len() < 30);
}

#[test]
fn damaged_messages_give_errors_or_values_but_never_panic() {
    let Some(folder) = shared() else { return };
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit as u64).unwrap()
    };
    let names = [
        "ecmwf_soil_8vars_tiny.grib1",
        "chem-cams.grib",
        "ens_none.grib",
        "test_padding.grib",
        "drt2_simple_3x3.grib2",
    ];
    for name in names {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        let expected: Value =
            serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.expected.json"))).unwrap()).unwrap();
        let first = &expected["field"][0];
        let number = |key: &str| usize::try_from(first[key].as_u64().unwrap()).unwrap();
        let message = &bytes[number("offset")..number("offset") + number("length")];
        let sections = fields_of(message).unwrap()[0];
        let selector = FieldSelector::of(&FieldKey::from_sections(&sections).unwrap());
        let points = Grid::from_sections(&sections).unwrap().points();
        let whole: Vec<f32> = decode_message(message, &selector, points, 0..points).unwrap();
        for _ in 0..400 {
            let mut damaged = message.to_vec();
            for _ in 0..=random(3) {
                let at = random(damaged.len());
                damaged[at] ^= 1 << random(8);
            }
            if random(4) == 0 {
                damaged.truncate(random(damaged.len()));
            }
            if let Ok(values) = decode_message::<f32>(&damaged, &selector, points, 0..points) {
                assert_eq!(values.len(), whole.len());
            }
        }
        for length in 0..message.len().min(300) {
            assert!(
                decode_message::<f32>(&message[..length], &selector, points, 0..points).is_err(),
                "{name} {length}"
            );
        }
        let mut longer = message.to_vec();
        longer.extend_from_slice(message);
        assert!(decode_message::<f32>(&longer, &selector, points, 0..points).is_err(), "{name}: two messages");
        assert_eq!(bits(&decode_message(message, &selector, points, 0..points).unwrap()), bits(&whole));
    }
}
