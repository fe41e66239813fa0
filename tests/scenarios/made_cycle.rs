//! A forecast cycle as make_cycle.py makes it, in both layouts, virtual and materialised: the hash of every field's values is
//! the one of the truth file.
//!
//! Needs shared data, and `GRIBCHUNK_PYTHON`: a Python with eccodes and numpy.

use std::path::Path;
use std::process::Command;

use gribchunk::{IngestOptions, LayoutOptions, OpenOptions, Repository, Selection};
use serde_json::Value;

use crate::support::*;

fn make(folder: &Folder, layout: &[&str]) -> bool {
    let Some(python) = std::env::var_os("GRIBCHUNK_PYTHON") else {
        println!("skipped: GRIBCHUNK_PYTHON is not set");
        return false;
    };
    let Some(script) = shared_data("make_cycle.py") else { return false };
    let made = Command::new(python).arg(script).arg(folder.join("cycle")).args(layout).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    true
}

/// Where a message of the cycle belongs, from the truth file alone.
fn slot(line: &Value, steps: &[i64], levels: &[f64]) -> (String, Vec<u32>) {
    let param = line["param"].as_str().unwrap();
    let name = match param {
        "2t" | "TMP" if line["level"] != "850 mb" => "t2m",
        "10u" => "u10",
        "10v" => "v10",
        "UGRD" if line["level"] == "10 m above ground" => "u10",
        "VGRD" if line["level"] == "10 m above ground" => "v10",
        "PRMSL" => "prmsl",
        "HGT" => "gh",
        "SOILW" => "soilw",
        "APCP" if line["step"].as_i64().unwrap() % 6 == 0 => "tp_6h",
        "APCP" => "tp_3h",
        "TMP" => "t",
        "UGRD" => "u",
        "VGRD" => "v",
        other => other,
    };
    let step = steps.iter().position(|s| *s == line["step"].as_i64().unwrap()).unwrap() as u32;
    let mut index = vec![0, step, line["number"].as_u64().unwrap() as u32];
    if ["gh", "t", "u", "v", "q"].contains(&name) {
        let level = &line["level"];
        let level = level.as_f64().or_else(|| level.as_str()?.strip_suffix(" mb")?.parse().ok()).unwrap();
        index.push(levels.iter().position(|l| *l == level).unwrap() as u32);
    }
    (name.to_string(), index)
}

/// `levels` are the cube's pressure levels in hPa, as they stand in it.
async fn every_value(folder: &Folder, steps: &[i64], levels: &[f64]) {
    let cycle = folder.join("cycle");
    let truth = std::fs::read_to_string(cycle.join("truth.jsonl")).unwrap();
    let truth: Vec<Value> = truth.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(truth.len() > 50, "{}", truth.len());
    let sources = vec![cycle.display().to_string()];
    let (samples, left_out) = gribchunk::sample(&sources).unwrap();
    assert!(left_out.is_empty(), "{left_out:?}");
    for materialise in [false, true] {
        let path = folder.join(if materialise { "materialised" } else { "virtual" });
        let repository = Repository::create(&path, OpenOptions::default()).await.unwrap();
        gribchunk::init(&repository, &samples, &LayoutOptions::default()).await.unwrap();
        let mut options = IngestOptions::default();
        if materialise {
            options = options.materialise(Selection::default());
        }
        let report = ingest_with(&repository, &sources, &options).await;
        assert!(report.is_complete() && report.placed() == truth.len() as u64, "{} placed", report.placed());
        if materialise {
            hide(&cycle);
        }
        let snapshot = now(&repository).await;
        let mut seen = std::collections::BTreeSet::new();
        for line in &truth {
            let (array, index) = slot(line, steps, levels);
            let values =
                snapshot.read_chunk(&array, &index).await.unwrap().unwrap_or_else(|| panic!("{line}: missing"));
            assert_eq!(hash(&values), line["sha256_f32le"], "{line} in {array} {index:?}");
            assert!(seen.insert((array, index)), "{line}: two fields in a slot");
        }
        let coverage = gribchunk::inspect::coverage(&snapshot, None).await.unwrap().total;
        assert!(coverage.is_complete(), "{coverage:?}");
        assert_eq!(coverage.virtual_ == 0, materialise);
    }
}

/// Materialised values do not need the source.
fn hide(cycle: &Path) {
    std::fs::rename(cycle, cycle.with_extension("gone")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ecmwf_layout() {
    let folder = Folder::new("cycle-ecmwf");
    if make(&folder, &["--layout", "ecmwf", "--members", "0-2", "--steps", "0,3,6", "--grid", "2.5"]) {
        every_value(&folder, &[0, 3, 6], &[850.0, 700.0, 500.0]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gefs_layout() {
    let folder = Folder::new("cycle-gefs");
    let packing = "grid_complex_spatial_differencing";
    if make(
        &folder,
        &["--layout", "gefs", "--members", "0-2", "--steps", "0,3,6,9,12", "--grid", "2.5", "--packing", packing],
    ) {
        every_value(&folder, &[0, 3, 6, 9, 12], &[850.0, 500.0, 250.0]).await;
    }
}
