//! Keys of every field in shared data agree with NAME.expected.json.

use std::path::PathBuf;

use serde_json::Value;

use super::super::Grid;
use crate::grib::sections::FieldSections;

const KEYS: [&str; 19] = [
    "gridType",
    "Ni",
    "Nj",
    "Nx",
    "Ny",
    "N",
    "isOctahedral",
    "scanningMode",
    "iScansNegatively",
    "jScansPositively",
    "jPointsAreConsecutive",
    "alternativeRowScanning",
    "latitudeOfFirstGridPointInDegrees",
    "longitudeOfFirstGridPointInDegrees",
    "latitudeOfLastGridPointInDegrees",
    "longitudeOfLastGridPointInDegrees",
    "iDirectionIncrementInDegrees",
    "jDirectionIncrementInDegrees",
    "numberOfDataPoints",
];

fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |value, &byte| value << 8 | usize::from(byte))
}

/// The sections of a field: message at `offset`, `wanted` counts data sections from 1.
fn sections(file: &[u8], offset: usize, wanted: usize) -> FieldSections<'_> {
    let message = &file[offset..];
    let edition = message[7];
    let empty: &[u8] = &[];
    let mut field = FieldSections {
        edition,
        discipline: 255,
        submessage: wanted as u32 - 1,
        identification: empty,
        local: None,
        grid: empty,
        product: empty,
        representation: empty,
        bitmap: None,
        data: None,
    };
    let mut at = if edition == 1 { 8 } else { 16 };
    if edition == 1 {
        let next = |at: &mut usize| {
            let section = &message[*at..*at + number(&message[*at..*at + 3])];
            *at += section.len();
            section
        };
        field.identification = next(&mut at);
        let flags = field.identification[7];
        if flags & 0x80 != 0 {
            field.grid = next(&mut at);
        }
        if flags & 0x40 != 0 {
            field.bitmap = Some(next(&mut at));
        }
        // Large messages have a length that does not fit; only the head is of interest here.
        field.data = Some(&message[at..]);
        return field;
    }
    let mut count = 0;
    loop {
        let section = &message[at..at + number(&message[at..at + 4])];
        at += section.len();
        match section[4] {
            3 => field.grid = section,
            7 => count += 1,
            _ => {}
        }
        if count == wanted {
            return field;
        }
    }
}

#[test]
fn keys_agree_with_eccodes_over_shared_data() {
    let folder = std::env::var_os("GRIBCHUNK_SHARED_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from)
        .join("grib");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: no shared data");
        return;
    };
    let (mut files, mut fields, mut keys, mut differences) = (0, 0, 0, Vec::new());
    for path in entries.map(|entry| entry.unwrap().path()) {
        let Some(name) = path.to_str().unwrap().strip_suffix(".expected.json") else { continue };
        files += 1;
        let file = std::fs::read(name).unwrap();
        let expected: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for field in expected["field"].as_array().unwrap() {
            let offset = field["offset"].as_u64().unwrap() as usize;
            let sections = sections(&file, offset, field["submessage"].as_u64().unwrap_or(1) as usize);
            fields += 1;
            let found = match Grid::keys_of(&sections) {
                Ok(found) => serde_json::to_value(found).unwrap(),
                Err(error) => {
                    differences.push(format!("{name} at {offset}: {error}"));
                    continue;
                }
            };
            for key in KEYS {
                // In spherical harmonics this N belongs to the packing.
                if key == "N" && field["gridType"] == "sh" {
                    continue;
                }
                keys += 1;
                let (wanted, found) = (&field[key], &found[key]);
                let equal = match (wanted.as_f64(), found.as_f64()) {
                    (Some(wanted), Some(found)) => wanted == found,
                    _ => wanted == found,
                };
                if !equal {
                    differences.push(format!("{name} at {offset}: {key} is {wanted}, not {found}"));
                }
            }
        }
    }
    println!("{files} files, {fields} fields, {keys} keys, {} differ", differences.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(fields > 0, "no field was compared");
}
