//! Names: where a field goes depends on its own key, never on what else is there, and fields that differ in parameter, type of
//! level, statistic, window, derived kind, origin or grid never share an array.

use gribchunk::cube::Layout;
use gribchunk::ingest::ScannedField;
use gribchunk::{LayoutOptions, sample};

use crate::support::*;

/// One message of a fixture.
fn message(file: &str, number: usize) -> Vec<u8> {
    let bytes = std::fs::read(fixture(file)).unwrap();
    let field = &expected(&fixture(file))["field"][number];
    let (offset, length) = (field["offset"].as_u64().unwrap() as usize, field["length"].as_u64().unwrap() as usize);
    bytes[offset..offset + length].to_vec()
}

fn position(file: &str, name: &str) -> usize {
    expected(&fixture(file))["field"].as_array().unwrap().iter().position(|f| f["shortName"] == name).unwrap()
}

/// Writes octets of a section (numbered from 1, as the WMO manual does).
fn patched(mut message: Vec<u8>, section: u8, octet: usize, bytes: &[u8]) -> Vec<u8> {
    let mut start = 16;
    while message[start + 4] != section {
        start += u32::from_be_bytes(message[start..start + 4].try_into().unwrap()) as usize;
    }
    message[start + octet - 1..start + octet - 1 + bytes.len()].copy_from_slice(bytes);
    message
}

const LEVEL_OF_SURFACE: usize = 25;
const PARAMETER: usize = 11;

fn fields(files: &[String]) -> Vec<ScannedField> {
    let sources = gribchunk::source::expand(files).unwrap();
    sources.iter().flat_map(|source| gribchunk::ingest::scan_file(source).unwrap().fields).collect()
}

fn layout(files: &[String]) -> Layout {
    gribchunk::cube::build(&sample(files).unwrap().0, &LayoutOptions::default()).unwrap()
}

fn arrays(layout: &Layout, field: &ScannedField) -> Vec<String> {
    let slots = layout.place(&field.key).unwrap_or_else(|refusal| panic!("{}: {refusal:?}", field.key));
    slots.into_iter().map(|slot| slot.array).collect()
}

/// Paths of all fields of some files in the layout of these files, sorted.
fn paths(files: &[String]) -> Vec<String> {
    let layout = layout(files);
    let mut paths: Vec<String> = fields(files).iter().flat_map(|field| arrays(&layout, field)).collect();
    paths.sort();
    paths.dedup();
    paths
}

#[test]
fn fixtures() {
    let ens = [fixture("ens").display().to_string()];
    assert_eq!(paths(&ens), ["gh", "msl", "t", "t2m", "tp", "u10", "v10"]);
    let gefs = [fixture("gefs/gec00.t00z.pgrb2a.0p50.f003"), fixture("gefs/geavg.t00z.pgrb2a.0p50.f003")];
    let gefs = gefs.map(|path| path.display().to_string());
    let wanted = [
        "gh",
        "mean/gh",
        "mean/prmsl",
        "mean/t",
        "mean/t2m",
        "mean/tp",
        "mean/u10",
        "mean/v10",
        "prmsl",
        "soilw",
        "t",
        "t2m",
        "tp",
        "u10",
        "v10",
    ];
    assert_eq!(paths(&gefs), wanted);
}

/// The same parameter on other levels, and names that fix a level.
#[test]
fn levels() {
    let folder = Folder::new("levels");
    let ens = ens_name(3);
    let (u10, t2m) = (message(&ens, position(&ens, "10u")), message(&ens, position(&ens, "2t")));
    let level = |message: &[u8], metres: u32| patched(message.to_vec(), 4, LEVEL_OF_SURFACE, &metres.to_be_bytes());
    let all = [
        u10.clone(),
        level(&u10, 100),
        level(&u10, 80),
        level(&u10, 120),
        t2m.clone(),
        level(&t2m, 80),
        message(&ens, position(&ens, "t")),
        patched(t2m.clone(), 4, 23, &[1, 255, 255, 255, 255, 255]),
    ];
    let file = folder.write("levels.grib2", &all.concat());
    let wanted = ["t", "t2m", "t_heightAboveGround", "t_surface", "u100", "u10", "u_heightAboveGround"];
    let mut wanted: Vec<String> = wanted.map(String::from).into();
    wanted.sort();
    assert_eq!(paths(std::slice::from_ref(&file)), wanted);
    // 80 and 120 metres are two levels of one array.
    let layout = layout(&[file]);
    assert_eq!(layout.groups[""].levels["heightAboveGround"].len(), 2);
}

/// Nothing is dropped: an unknown parameter keeps its numbers.
#[test]
fn unknown_parameters() {
    let folder = Folder::new("unknown");
    let ens = ens_name(3);
    let known = message(&ens, position(&ens, "2t"));
    let unknown = patched(known.clone(), 4, PARAMETER, &[251]);
    let other = patched(known.clone(), 4, PARAMETER, &[252]);
    let file = folder.write("unknown.grib2", &[known, unknown, other].concat());
    let names = paths(std::slice::from_ref(&file));
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().any(|n| n.contains("251")) && names.iter().any(|n| n.contains("252")), "{names:?}");
}

/// A run total and buckets.
#[test]
fn windows() {
    let ens = fixture(&ens_name(6)).display().to_string();
    assert!(paths(&[ens]).contains(&"tp".to_string()));
    let folder = Folder::new("windows");
    let name = "gefs/gep01.t00z.pgrb2a.0p50.f006";
    let total = message(name, position(name, "tp"));
    // Forecast time 6 h, so from 6 to 12 h: a bucket that is no run total. The end of the window stands in octets 35-41
    // (year to second) of product template 4.11.
    let bucket = patched(total.clone(), 4, 19, &6u32.to_be_bytes());
    let bucket = patched(bucket, 4, 38, &[7, 234, 11, 21, 12, 0, 0]);
    let file = folder.write("bucket.grib2", &bucket);
    assert_eq!(paths(std::slice::from_ref(&file)), ["tp_6h"], "{:?}", fields(&[file])[0].key.to_string());
    let file = folder.write("both.grib2", &[total, bucket].concat());
    let layout = layout(std::slice::from_ref(&file));
    let both = fields(&[file]);
    assert_eq!(arrays(&layout, &both[0]), ["tp_6h"], "0-6 h is the first bucket where buckets are published");
    assert_eq!(arrays(&layout, &both[1]), ["tp_6h"]);
}

/// Whatever else is there: a field's paths in a layout of everything are its paths in a layout of its own file.
#[test]
fn whatever_else_is_there() {
    let ens: Vec<String> = ENS_STEPS.map(|step| fixture(&ens_name(step)).display().to_string()).into();
    let gefs = [fixture("gefs/gep01.t00z.pgrb2a.0p50.f003"), fixture("gefs/geavg.t00z.pgrb2a.0p50.f000")];
    let gefs: Vec<String> = gefs.map(|path| path.display().to_string()).into();
    let other: Vec<String> =
        ["packing/simple_16.grib2", "grids/lambert.grib2", "grids/regular_gg.grib2", "submessages.grib2"]
            .map(|name| fixture(name).display().to_string())
            .into();
    // The first file names the home product; everything else may come in any order.
    let home = ens[0].clone();
    let everything = [ens.clone(), gefs.clone(), other.clone()].concat();
    let mut backwards: Vec<String> = everything.iter().skip(1).rev().cloned().collect();
    backwards.insert(0, home.clone());
    let (forth, back) = (layout(&everything), layout(&backwards));
    for file in &everything {
        let alone = layout(&[home.clone(), file.clone()]);
        for field in fields(std::slice::from_ref(file)) {
            let paths = arrays(&alone, &field);
            assert_eq!(arrays(&forth, &field), paths, "{}", field.key);
            assert_eq!(arrays(&back, &field), paths, "{}", field.key);
        }
    }
    // Other grids and centres are in groups of their own, and the root holds ENS alone.
    let ens_fields = paths(&ens);
    assert_eq!(forth.groups[""].variables.keys().cloned().collect::<Vec<_>>(), ens_fields);
    for file in [&gefs[0], &other[0], &other[1]] {
        for field in fields(std::slice::from_ref(file)) {
            assert!(arrays(&forth, &field).iter().all(|path| path.contains('/')), "{}", field.key);
        }
    }
    let grids: std::collections::BTreeSet<String> =
        forth.groups.values().map(|g| format!("{} {:?}", g.product.grid, g.product.centre)).collect();
    assert!(grids.len() >= 5, "{grids:?}");
}
