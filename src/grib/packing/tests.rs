//! Decoded values against ecCodes: the real files of the shared data, and what damage does.

use super::*;
use crate::grib::packing::test_walk::fields;
use sha2::{Digest, Sha256};
use std::path::PathBuf;

pub(super) fn shared_data() -> Option<PathBuf> {
    let folder = std::env::var_os("GRIBCHUNK_SHARED_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    let there = folder.join("grib").is_dir();
    if !there {
        println!("skipped: no shared data");
    }
    there.then_some(folder)
}

fn hash(values: &[f32]) -> String {
    let mut hasher = Sha256::new();
    values.iter().for_each(|value| hasher.update(value.to_le_bytes()));
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares the keys that ecCodes reports and that the header gives.
fn differing_keys(keys: &PackingKeys, expected: &serde_json::Value) -> Vec<String> {
    let ours = serde_json::to_value(keys).unwrap();
    let equal = |a: &serde_json::Value, b: &serde_json::Value| {
        a == b
            || (a.is_number() && b.is_number() && {
                // The JSON reader is not exact to the last bit.
                let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
                (a - b).abs() <= 4.0 * f64::EPSILON * a.abs()
            })
    };
    let ours = ours.as_object().unwrap();
    ours.iter()
        .filter(|(key, value)| expected.get(*key).is_none_or(|theirs| !equal(value, theirs)))
        .map(|(key, value)| format!("{key}: {value}, ecCodes {:?}", expected.get(key)))
        .collect()
}

#[test]
fn shared_files_agree_with_eccodes() {
    let Some(folder) = shared_data() else { return };
    let (mut agree, mut refused, mut wrong) = (0, Vec::new(), Vec::new());
    let mut names: Vec<_> = std::fs::read_dir(folder.join("grib"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(".expected.json"))
        .collect();
    names.sort();
    for path in &names {
        let expected: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let bytes = std::fs::read(path.to_string_lossy().trim_end_matches(".expected.json")).unwrap();
        for field in expected["field"].as_array().unwrap() {
            let (offset, length) =
                (field["offset"].as_u64().unwrap() as usize, field["length"].as_u64().unwrap() as usize);
            let index = field["submessage"].as_u64().unwrap_or(1) as usize - 1;
            let label = format!("{} at {offset}.{index}", path.file_name().unwrap().to_string_lossy());
            let found = fields(&bytes[offset..offset + length]);
            let sections = found[index].sections();
            let count = field["values"]["count"].as_u64().unwrap() as usize;
            match Packing::from_sections(&sections) {
                Ok(packing) => {
                    let differing = differing_keys(packing.keys(), field);
                    if !differing.is_empty() {
                        wrong.push(format!("{label}: {differing:?}"));
                    }
                }
                Err(error) => wrong.push(format!("{label}: {error}")),
            }
            let mut values = vec![0f32; count];
            match decode(&sections, count, &mut values) {
                Ok(report) => {
                    let missing = field["values"]["missing"].as_u64().unwrap() as usize;
                    if report.missing != missing || hash(&values) != field["values"]["sha256_f32le"].as_str().unwrap() {
                        wrong.push(format!(
                            "{label}: {} {} missing of {missing}, {:?}",
                            field["packingType"],
                            report.missing,
                            &values[..values.len().min(5)]
                        ));
                    } else {
                        agree += 1;
                    }
                }
                Err(error @ GribError::Unsupported { .. }) => refused.push(format!("{label}: {error}")),
                Err(error) => wrong.push(format!("{label}: {error}")),
            }
        }
    }
    println!("{} files, {agree} fields agree, {} refused, {} differ", names.len(), refused.len(), wrong.len());
    refused.iter().chain(&wrong).for_each(|line| println!("{line}"));
    assert!(wrong.is_empty());
    assert_eq!(refused.len(), 1, "only the spectral field is refused");
}

/// A message of a `.jsonl` list: its label, bytes and expectations.
fn listed(folder: &std::path::Path, list: &str) -> Vec<(serde_json::Value, Vec<u8>)> {
    let lines = std::fs::read_to_string(folder.join(list)).unwrap();
    let mut files = std::collections::HashMap::new();
    lines
        .lines()
        .map(|line| {
            let expected: serde_json::Value = serde_json::from_str(line).unwrap();
            let name = expected["file"].as_str().unwrap_or("packings.grib").to_owned();
            let bytes: &Vec<u8> =
                files.entry(name.clone()).or_insert_with(|| std::fs::read(folder.join(name)).unwrap());
            let start = expected["offset"].as_u64().unwrap() as usize;
            let message = bytes[start..start + expected["length"].as_u64().unwrap() as usize].to_vec();
            (expected, message)
        })
        .collect()
}

fn hash64(values: &[f64]) -> String {
    let mut hasher = Sha256::new();
    values.iter().for_each(|value| hasher.update(value.to_le_bytes()));
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fixtures() -> Vec<(serde_json::Value, Vec<u8>)> {
    listed(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")), "packings.jsonl")
}

#[test]
fn fixtures_agree_with_eccodes() {
    check_fixtures();
    kernel::PORTABLE.set(true);
    check_fixtures();
    kernel::PORTABLE.set(false);
}

fn check_fixtures() {
    let mut wrong = Vec::new();
    let all = fixtures();
    for (expected, message) in &all {
        let found = fields(message);
        let sections = found[0].sections();
        let count = expected["count"].as_u64().unwrap() as usize;
        let (mut single, mut double) = (vec![0f32; count], vec![0f64; count]);
        let result = decode(&sections, count, &mut single).and_then(|_| decode(&sections, count, &mut double));
        let packing_type = Packing::from_sections(&sections).map(|packing| packing.keys().packing_type.clone());
        let agrees = match &result {
            Ok(report) => {
                report.missing as u64 == expected["missing"].as_u64().unwrap()
                    && hash(&single).starts_with(expected["sha256_f32le"].as_str().unwrap())
                    && hash64(&double).starts_with(expected["sha256_f64le"].as_str().unwrap())
                    && packing_type.as_deref() == Ok(expected["packingType"].as_str().unwrap())
            }
            Err(_) => false,
        };
        if !agrees {
            wrong.push(format!("{} {packing_type:?}: {result:?} {:?}", expected["label"], &single[..4]));
        }
    }
    println!("{} fixtures, {} differ", all.len(), wrong.len());
    wrong.iter().for_each(|line| println!("{line}"));
    assert!(wrong.is_empty());
}

/// Cycles made by the shared data's `make_cycle.py` in folders of `GRIBCHUNK_CYCLES`.
#[test]
fn cycles_agree_with_eccodes() {
    let Some(folder) = std::env::var_os("GRIBCHUNK_CYCLES").map(PathBuf::from) else {
        println!("skipped: GRIBCHUNK_CYCLES is not set");
        return;
    };
    for cycle in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let messages = listed(&cycle, "truth.jsonl");
        for (expected, message) in &messages {
            let found = fields(message);
            let mut values = vec![0f32; expected["values"].as_u64().unwrap() as usize];
            let report = decode(&found[0].sections(), values.len(), &mut values).unwrap();
            assert_eq!(report.missing as u64, expected["missing"].as_u64().unwrap(), "{expected}");
            assert_eq!(hash(&values), expected["sha256_f32le"].as_str().unwrap(), "{expected}");
        }
        println!("{}: {} messages agree", cycle.display(), messages.len());
    }
}

fn small_random(state: &mut u64) -> u64 {
    // xorshift64*
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33
}

fn bits_of(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Ranges with and without offsets give what decoding all gives; the byte range is enough for them.
fn ranges_agree(sections: &FieldSections<'_>, points: usize, label: &str, state: &mut u64) {
    let mut all = vec![0f32; points];
    let (report, offsets) = decode_with_offsets(sections, points, &mut all).unwrap();
    assert_eq!(report.missing, all.iter().filter(|value| value.is_nan()).count());
    for attempt in 0..8 {
        let mut ends = [small_random(state) as usize % (points + 1), small_random(state) as usize % (points + 1)];
        ends.sort_unstable();
        let range = match attempt {
            0 => 0..points,
            1 => ends[0]..(ends[0] + 1).min(points),
            _ => ends[0]..ends[1],
        };
        for offsets in [None, Some(&offsets)] {
            let mut part = vec![0f32; range.len()];
            let report = decode_range(sections, points, range.clone(), offsets, &mut part).unwrap();
            assert_eq!(bits_of(&part), bits_of(&all[range.clone()]), "{label} {range:?} {}", offsets.is_some());
            assert_eq!(report.missing, part.iter().filter(|value| value.is_nan()).count());
            if let Some(bytes) = byte_range_for(sections, points, range.clone(), offsets) {
                let needed = bytes.start as usize..bytes.end as usize;
                let bytes = &sections.data.unwrap()[needed.clone()];
                decode_range_from(sections, points, range.clone(), offsets, (bytes, &mut part)).unwrap();
                assert_eq!(bits_of(&part), bits_of(&all[range.clone()]), "{label} {range:?} from {needed:?}");
            }
        }
    }
}

#[test]
fn ranges_are_parts_of_the_whole() {
    let mut state = 42;
    for (expected, message) in fixtures() {
        let found = fields(&message);
        let points = expected["count"].as_u64().unwrap() as usize;
        ranges_agree(&found[0].sections(), points, expected["label"].as_str().unwrap(), &mut state);
    }
    let Some(folder) = shared_data() else { return };
    for name in [
        "icon-d2_t_2m_ccsds.grib2",
        "icon-d2_t_2m_spdiff.grib2",
        "aifs-single-t500.grib2",
        "hrrr.t06z.wrfsfcf01-TMP.grib2",
        "gfs.t12z.pgrb2.0p25.f023-PV-TMP-missing.grib2",
        "ds.waveh.5.grib",
    ] {
        let message = std::fs::read(folder.join("grib").join(name)).unwrap();
        let sections = fields(&message)[0].sections();
        let keys = Packing::from_sections(&sections).unwrap().keys().clone();
        ranges_agree(&sections, keys.number_of_data_points.unwrap() as usize, name, &mut state);
    }
}

/// A bitmap that contradicts the count of coded values, which wins when it is zero.
#[test]
fn nothing_coded_needs_no_bytes() {
    let all = fixtures();
    let is_wanted = |label: &str| label.starts_with("grid_simple") && label.contains("bitmap");
    let (expected, message) = all.iter().find(|(field, _)| is_wanted(field["label"].as_str().unwrap())).unwrap();
    let mut owned = Owned::of(&fields(message)[0].sections());
    owned.parts[0].as_mut().unwrap()[5..9].fill(0);
    owned.parts[1].as_mut().unwrap().truncate(5);
    let points = expected["count"].as_u64().unwrap() as usize;
    ranges_agree(&owned.sections(), points, "nothing coded", &mut 1);
    let mut values = vec![0f32; points];
    assert_eq!(decode(&owned.sections(), points, &mut values).unwrap().missing, points);
}

/// Sections of one field that can be damaged.
#[derive(Clone)]
struct Owned {
    edition: u8,
    parts: [Option<Vec<u8>>; 5],
}

impl Owned {
    fn of(sections: &FieldSections<'_>) -> Self {
        let own = |bytes: &[u8]| Some(bytes.to_vec());
        let data = sections.data.and_then(own);
        let bitmap = sections.bitmap.and_then(own);
        Owned {
            edition: sections.edition,
            parts: [own(sections.representation), data, bitmap, own(sections.grid), own(sections.product)],
        }
    }

    fn sections(&self) -> FieldSections<'_> {
        let [representation, data, bitmap, grid, product] = &self.parts;
        let representation = representation.as_deref().unwrap();
        FieldSections {
            edition: self.edition,
            discipline: 0,
            submessage: 0,
            identification: product.as_deref().unwrap(),
            local: None,
            grid: grid.as_deref().unwrap(),
            product: product.as_deref().unwrap(),
            representation,
            bitmap: bitmap.as_deref(),
            data: if self.edition == 1 { Some(representation) } else { data.as_deref() },
        }
    }

    fn damage(&mut self, state: &mut u64) {
        let present: Vec<usize> =
            (0..5).filter(|part| self.parts[*part].as_ref().is_some_and(|part| !part.is_empty())).collect();
        // Mostly the headers of the packing, then its data.
        let which = match small_random(state) % 8 {
            0..4 => 0,
            4..6 if self.edition == 2 => 1,
            other => present[other as usize % present.len()],
        };
        let Some(part) = self.parts[which].as_mut().filter(|part| !part.is_empty()) else { return };
        let at = match which {
            0 if self.edition == 1 => small_random(state) as usize % part.len().min(40),
            _ => small_random(state) as usize % part.len(),
        };
        match small_random(state) % 8 {
            0 => part.truncate(at),
            1 => part[at] = 0xff,
            2 => part[at] = 0,
            3 => part[at..].iter_mut().take(4).for_each(|byte| *byte = 0xff),
            4 => part[at..].iter_mut().take(2).for_each(|byte| *byte = 0x7f),
            5 => part[at..].iter_mut().take(200).for_each(|byte| *byte = small_random(state) as u8),
            _ => part[at] ^= 1 << (small_random(state) % 8),
        }
    }
}

/// No panic, no overflow, no long computation, whatever is in the sections.
#[test]
fn damage_gives_errors() {
    let mut state = 2026;
    let fields: Vec<(Owned, usize, Offsets, String)> = fixtures()
        .into_iter()
        .map(|(expected, message)| {
            let found = fields(&message);
            let sections = found[0].sections();
            let points = expected["count"].as_u64().unwrap() as usize;
            let (_, offsets) = decode_with_offsets(&sections, points, &mut vec![0f32; points]).unwrap();
            (Owned::of(&sections), points, offsets, expected["label"].to_string())
        })
        .collect();
    let (mut errors, mut decoded) = (0u64, 0u64);
    let mutants = std::env::var("GRIBCHUNK_MUTANTS").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000u64);
    for mutant in 0..mutants {
        let (field, points, offsets, label) = &fields[small_random(&mut state) as usize % fields.len()];
        let mut damaged = field.clone();
        for _ in 0..=small_random(&mut state) % 3 {
            damaged.damage(&mut state);
        }
        let points = match small_random(&mut state) % 16 {
            0 => points * 3,
            1 => points / 2,
            2 => 0,
            3 => 1,
            _ => *points,
        };
        let started = std::time::Instant::now();
        let sections = damaged.sections();
        let mut values = vec![0f32; points];
        let result = decode(&sections, points, &mut values);
        match &result {
            Ok(_) => decoded += 1,
            Err(_) => errors += 1,
        }
        let mut portable = vec![0f32; points];
        kernel::PORTABLE.set(true);
        assert_eq!(decode(&sections, points, &mut portable), result, "mutant {mutant} of {label}");
        kernel::PORTABLE.set(false);
        if result.is_ok() {
            let nan = |bits: u32| if f32::from_bits(bits).is_nan() { 0x7fc0_0000 } else { bits };
            let [portable, values] =
                [&portable, &values].map(|values| bits_of(values).into_iter().map(nan).collect::<Vec<_>>());
            assert_eq!(portable, values, "mutant {mutant} of {label}");
        }
        let start = small_random(&mut state) as usize % (points + 1);
        let mut part = vec![0f64; (points - start).min(100)];
        let range = start..start + part.len();
        let _ = decode_range(&sections, points, range.clone(), Some(offsets), &mut part);
        let _ = decode_range(&sections, points, range.clone(), None, &mut part);
        let _ = byte_range_for(&sections, points, range.clone(), Some(offsets));
        let _ = decode_range_from(&sections, points, range, Some(offsets), (&[0x5a; 40], &mut part));
        assert!(started.elapsed().as_millis() < 2_000, "mutant {mutant} of {label} took {:?}", started.elapsed());
    }
    println!("{errors} of {} mutants are errors", errors + decoded);
    assert!(errors > mutants / 4);
}
