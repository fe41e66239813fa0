//! Values and keys: `scan --values --json` of every fixture, and of every file of shared data, agrees with ecCodes in every
//! key that it prints. Differences that we want are listed with their reasons in `known_differences.json`, here and in
//! `src/grib`.
//!
//! Bugs of this kind are silent: a wrong name or a wrong last bit looks like a forecast.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::*;

/// The keys that NAME.expected.json has, values apart.
const KEYS: &str = "message offset length edition submessage
centre subCentre shortName paramId discipline parameterCategory parameterNumber table2Version indicatorOfParameter
typeOfLevel level dataDate dataTime stepUnits stepRange startStep endStep stepType validityDate validityTime number
perturbationNumber numberOfForecastsInEnsemble derivedForecast probabilityType scaledValueOfLowerLimit
scaledValueOfUpperLimit percentileValue tablesVersion productDefinitionTemplateNumber gridDefinitionTemplateNumber
dataRepresentationTemplateNumber gridType Ni Nj Nx Ny N isOctahedral scanningMode iScansNegatively jScansPositively
jPointsAreConsecutive alternativeRowScanning latitudeOfFirstGridPointInDegrees longitudeOfFirstGridPointInDegrees
latitudeOfLastGridPointInDegrees longitudeOfLastGridPointInDegrees iDirectionIncrementInDegrees
jDirectionIncrementInDegrees packingType bitsPerValue referenceValue binaryScaleFactor decimalScaleFactor
orderOfSpatialDifferencing missingValueManagementUsed bitmapPresent numberOfDataPoints numberOfCodedValues
numberOfValues numberOfMissing";

#[derive(Default)]
struct Counts {
    agree: usize,
    differ: usize,
    known: usize,
    refused: usize,
    values_agree: usize,
}

/// Equal, or numbers within `relative` of each other.
fn same(ours: &Value, wanted: &Value, relative: f64) -> bool {
    match (ours.as_f64(), wanted.as_f64()) {
        (Some(a), Some(b)) => a == b || (a - b).abs() <= relative * a.abs().max(b.abs()),
        // A key that we do not print is missing, as ecCodes says with null.
        _ => ours == wanted,
    }
}

fn compare(files: &[PathBuf], differences: &mut Vec<String>) -> Counts {
    let mut known: Vec<Value> = serde_json::from_str(include_str!("../../src/grib/known_differences.json")).unwrap();
    known.extend(serde_json::from_str::<Vec<Value>>(include_str!("known_differences.json")).unwrap());
    assert!(known.iter().all(|difference| difference["reason"].as_str().is_some_and(|reason| reason.len() > 20)));
    let mut total = Counts::default();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let mut counts = Counts::default();
        let scan = run(&["--json", "scan", "--values", file.to_str().unwrap()]);
        let listed: Vec<Value> = scan.json_lines().into_iter().filter(|f| f["message"] != 0).collect();
        let wanted = expected(file);
        let wanted = wanted["field"].as_array().unwrap();
        if listed.len() != wanted.len() {
            differences.push(format!("{name}: {} fields, ecCodes sees {}", listed.len(), wanted.len()));
        }
        for (ours, wanted) in listed.iter().zip(wanted) {
            let mut differs = Vec::new();
            let mut note = |key: &str, ours: &Value, wanted: &Value| {
                let is_known = known.iter().any(|k| {
                    k["file"] == name
                        && (k["message"].is_null() || k["message"] == wanted["message"])
                        && k["key"] == key
                });
                if is_known { counts.known += 1 } else { differs.push(format!("{key} {ours}, not {wanted}")) }
            };
            // How many are missing is counted in the values; a message that is refused has none.
            let refused = ours["values"].is_null();
            let compared = |key: &&str| wanted.get(*key).is_some() && !(refused && *key == "numberOfMissing");
            for key in KEYS.split_whitespace().filter(compared) {
                if !same(&ours[key], &wanted[key], 1e-9) {
                    note(key, &ours[key], &wanted[key]);
                }
            }
            let values = (&ours["values"], &wanted["values"]);
            if wanted.get("decodeError").is_some() || values.0.is_null() {
                counts.refused += 1;
                println!("{name} message {}: {}", wanted["message"], ours["error"]);
            } else {
                for key in ["count", "missing", "min", "max", "sha256_f32le"] {
                    if values.0[key] != values.1[key] {
                        note(&format!("values.{key}"), &values.0[key], &values.1[key]);
                    }
                }
                // numpy adds in another order.
                if !same(&values.0["mean"], &values.1["mean"], 1e-9) {
                    note("values.mean", &values.0["mean"], &values.1["mean"]);
                }
                counts.values_agree += usize::from(values.0["sha256_f32le"] == values.1["sha256_f32le"]);
            }
            if differs.is_empty() {
                counts.agree += 1;
            } else {
                counts.differ += 1;
                differences.push(format!("{name} message {}: {}", wanted["message"], differs.join("; ")));
            }
        }
        println!("{name}: {} agree, {} differ, {} refused", counts.agree, counts.differ, counts.refused);
        total.agree += counts.agree;
        total.differ += counts.differ;
        total.known += counts.known;
        total.refused += counts.refused;
        total.values_agree += counts.values_agree;
    }
    println!(
        "{} files: {} fields agree, {} differ, {} refused; values of {} equal; {} keys differ as we want",
        files.len(),
        total.agree,
        total.differ,
        total.refused,
        total.values_agree,
        total.known
    );
    total
}

/// Files of a directory that have an expected JSON.
fn with_expectation(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(with_expectation(&path));
        } else if let Some(name) = path.to_str().unwrap().strip_suffix(".expected.json").map(PathBuf::from) {
            // `products.expected.json` has a form of its own, for the tests of keys.
            files.extend(name.exists().then_some(name));
        }
    }
    files.sort();
    files
}

#[test]
fn fixtures_agree_with_ec_codes() {
    let files = with_expectation(&fixture(""));
    assert!(files.len() > 70, "{}", files.len());
    let mut differences = Vec::new();
    let counts = compare(&files, &mut differences);
    // Of the broken files ecCodes reads more than we do: a message with a wrong number of columns or section length.
    let expected_here =
        |text: &&String| !text.starts_with("flipped_columns") && !text.starts_with("flipped_section_length");
    let differences: Vec<&String> = differences.iter().filter(expected_here).collect();
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(counts.values_agree > 250, "{}", counts.values_agree);
}

#[test]
fn real_files_agree_with_ec_codes() {
    let Some(folder) = shared_data("grib") else { return };
    let files = with_expectation(&folder);
    assert!(files.len() >= 146, "{}", files.len());
    let mut differences = Vec::new();
    let counts = compare(&files, &mut differences);
    // Spherical harmonics, and three messages whose bitmap has 100 points for a grid of 684.
    assert!(counts.refused <= 4, "{}", counts.refused);
    assert!(differences.is_empty(), "{} differences: {differences:#?}", differences.len());
}
