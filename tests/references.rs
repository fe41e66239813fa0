//! Guards: lists of references that others made are read whole or refused with a reason, their fields land where their
//! messages say, and everything that is not carried, guessed or contradicted is told.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gribchunk::index::references::NotCarriedKind;
use gribchunk::index::{ReferenceList, ReferencesError, parse_lazy_references, parse_references};
use gribchunk::ingest::references::find;
use gribchunk::ingest::{FileReport, sample_inputs};
use gribchunk::repository::Access;
use gribchunk::source::{PatternValues, Remote};
use gribchunk::{IngestOptions, IngestReport, LayoutOptions, OpenOptions, Reference, Repository, ingest, init, sample};

fn fixture(name: &str) -> String {
    format!("{}/fixtures/references/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn read_list(path: impl AsRef<Path>) -> Result<ReferenceList, ReferencesError> {
    let path = path.as_ref();
    if !path.is_dir() {
        return parse_references(std::fs::read(path).unwrap());
    }
    let metadata = std::fs::read(path.join(".zmetadata")).unwrap();
    parse_lazy_references(&metadata, |name| match std::fs::read(path.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    })
}

fn places(list: &ReferenceList, of: &str) -> BTreeSet<(String, u64, Option<u64>)> {
    let entries = list.entries.iter().filter(|e| e.key.contains(of));
    entries.map(|e| (e.url.to_string(), e.offset, e.length)).collect()
}

/// A cube made from sources and filled from them.
async fn cube(sources: &[String]) -> (Repository, IngestReport) {
    let repository = Repository::create_in_memory(OpenOptions::default()).await.unwrap();
    let (samples, _) = sample(sources).unwrap();
    init(&repository, &samples, &LayoutOptions::default()).await.unwrap();
    let report = ingest(&repository, sources, &IngestOptions::default(), |_| {}).await.unwrap();
    (repository, report)
}

fn texts(report: &IngestReport) -> String {
    let text = |f: &FileReport| {
        let refused: Vec<String> = f.refused.iter().map(|r| format!("{}: {}", r.field, r.reason)).collect();
        format!("{} {:?}\n{}\n{}", f.url, f.error, f.warnings.join("\n"), refused.join("\n"))
    };
    report.files.iter().map(text).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_formats_of_kerchunk_say_the_same() {
    let (v0, v1) = (read_list(fixture("kerchunk_v0.json")).unwrap(), read_list(fixture("kerchunk_v1.json")).unwrap());
    assert_eq!(v0.entries.len(), 6);
    assert_eq!(places(&v0, ""), places(&v1, ""), "templates are put in");
    let lazy = read_list(fixture("lazy.parquet")).unwrap();
    assert_eq!(lazy.entries.len(), 3, "{:?}", lazy.problems);
    assert_eq!(places(&lazy, ""), places(&v0, "t2m"));
    assert_eq!(lazy.entries[2].key, "t2m/instant/heightAboveGround/t2m/0.2.0.0", "rows go on in the second file");
    for list in [&v0, &v1, &lazy] {
        assert!(list.problems.is_empty(), "{:?}", list.problems);
        let inline: Vec<_> = list.not_carried.iter().map(|n| (n.kind, n.array.rsplit('/').next().unwrap())).collect();
        assert!(inline.contains(&(NotCarriedKind::InlineCoordinate, "latitude")), "{inline:?}");
        assert!(inline.iter().all(|(kind, _)| !kind.is_loss()), "{inline:?}");
    }
}

#[test]
fn three_dialects_of_key_and_value_say_the_same() {
    let stage2 = read_list(fixture("gik_stage2.par")).unwrap();
    // 2t, 10u, 10v, t and gh at three steps, tp at two; of two levels one is left.
    assert_eq!(stage2.entries.len(), 17);
    assert!(stage2.problems.is_empty(), "{:?}", stage2.problems);
    for other in ["gik_reference.par", "gik_nested.par"] {
        assert_eq!(places(&read_list(fixture(other)).unwrap(), ""), places(&stage2, ""), "{other}");
    }
}

#[test]
fn what_is_no_list_is_refused_with_a_reason() {
    let error = |name: &str| read_list(fixture(name)).unwrap_err();
    assert!(matches!(error("exploding.json"), ReferencesError::TooMany { .. }), "{}", error("exploding.json"));
    assert!(matches!(error("not_references.json"), ReferencesError::NotReferences(_)));
    let columns = error("wrong_columns.parquet");
    assert!(columns.to_string().contains("lat, lon") && columns.to_string().contains("key and value"), "{columns}");
    let one_file = error("lazy.parquet/t2m/instant/heightAboveGround/t2m/refs.0.parq");
    assert!(one_file.to_string().contains(".zmetadata"), "{one_file}");
    assert!(parse_references(b"".to_vec()).is_err());
    assert!(parse_references(b"<html>".to_vec()).unwrap_err().to_string().contains("web page"));
    assert!(parse_references(b"PAR1".to_vec()).is_err());
    assert!(
        parse_lazy_references(br#"{"metadata": {}}"#, |_| Ok(None)).unwrap_err().to_string().contains("record_size")
    );
}

#[test]
fn templates_and_generated_references_are_bounded() {
    let generated = read_list(fixture("generated.json")).unwrap();
    let v0 = read_list(fixture("kerchunk_v0.json")).unwrap();
    assert_eq!(generated.entries.len(), 1, "{:?}", generated.problems);
    assert!(places(&v0, "t2m/0.1").contains(places(&generated, "").first().unwrap()));
    let list = |text: &str| parse_references(text.as_bytes().to_vec());
    let url = |template: &str, url: &str| {
        let text = format!(r#"{{"version": 1, "templates": {template}, "refs": {{"a/0": ["{url}", 1, 2]}}}}"#);
        let list = list(&text).unwrap();
        list.entries.first().map(|e| e.url.to_string()).ok_or_else(|| list.problems[0].reason.clone())
    };
    assert_eq!(url(r#"{"u": "x", "f": "{{c}}"}"#, "{{u}}/{{f(c='y')}}.grib2").unwrap(), "x/y.grib2");
    // A template's text does not see the others, so it cannot grow by calling them.
    assert!(url(r#"{"a": "{{b}}{{b}}", "b": "{{a}}{{a}}"}"#, "{{a(x='1')}}").unwrap_err().contains("not there"));
    assert!(url("{}", "{{u}}").unwrap_err().contains('u'));
    assert!(url("{}", "{{ 9223372036854775807 + 1 }}").unwrap_err().contains("out of range"));
    assert!(url("{}", &format!("{{{{ {}1 }}}}", "(".repeat(10_000))).is_err());
    let long = "x".repeat(10_000);
    assert!(url(&format!(r#"{{"u": "{long}"}}"#), "{{u}}{{u}}").unwrap_err().contains("more than"));
    let deep = format!(r#"{{"refs": {}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(list(&deep).is_err());
    let grid =
        br#"{"metadata": {"a/.zarray": {"shape": [4294967296, 4294967296], "chunks": [1, 1]}}, "record_size": 1}"#;
    assert!(matches!(parse_lazy_references(grid, |_| Ok(None)), Err(ReferencesError::TooMany { .. })));
    let outside = br#"{"metadata": {"../../a/.zarray": {"shape": [1], "chunks": [1]}}, "record_size": 1}"#;
    let list = parse_lazy_references(outside, |name| panic!("read {name}")).unwrap();
    assert_eq!(list.problems.len(), 1);
}

#[test]
fn one_key_for_two_references_is_told_and_both_are_taken() {
    let list = read_list(fixture("repeated_key.json")).unwrap();
    assert_eq!(list.entries.len(), 2);
    assert!(list.problems[0].reason.contains("one key for two references"), "{:?}", list.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kerchunk_list_makes_and_fills_a_cube() {
    for name in ["kerchunk_v1.json", "kerchunk_v0.json", "lazy.parquet"] {
        let source = vec![fixture(name)];
        let (repository, report) = cube(&source).await;
        assert!(report.is_complete(), "{name}: {}", texts(&report));
        let expected = if name == "lazy.parquet" { 3 } else { 6 };
        assert_eq!(report.placed(), expected, "{name}");
        assert_eq!(report.files[0].references, Some(expected));
        let snapshot = repository.snapshot(&Reference::default()).await.unwrap();
        let list = read_list(&source[0]).unwrap();
        for step in 0..3u32 {
            let entry = list.entries.iter().find(|e| e.key.ends_with(&format!("t2m/0.{step}.0.0"))).unwrap();
            let file = std::fs::read(Path::new(&fixture("")).join(&*entry.url)).unwrap();
            let range = entry.offset as usize..(entry.offset + entry.length.unwrap()) as usize;
            let info = snapshot.array("t2m").await.unwrap();
            let mut index = vec![0, step];
            index.resize(info.shape.len() - 2, 0);
            let bytes = snapshot.chunk_bytes("t2m", &index).await.unwrap().unwrap();
            assert_eq!(&bytes[..], &file[range], "{name} step {step}");
        }
        let again = ingest(&repository, &source, &IngestOptions::default(), |_| {}).await.unwrap();
        assert!(again.snapshots.is_empty(), "{name}: the same references change nothing");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_list_of_the_same_file_brings_its_own_fields() {
    let lists = vec![fixture("kerchunk_v1.json")];
    let (samples, _) = sample(&lists).unwrap();
    let repository = Repository::create_in_memory(OpenOptions::default()).await.unwrap();
    init(&repository, &samples, &LayoutOptions::default()).await.unwrap();
    let options = IngestOptions::default();
    let first = ingest(&repository, &[fixture("lazy.parquet")], &options, |_| {}).await.unwrap();
    assert_eq!(first.placed(), 3, "{}", texts(&first));
    ingest(&repository, &lists, &options, |_| {}).await.unwrap();
    let snapshot = repository.snapshot(&Reference::default()).await.unwrap();
    for array in snapshot.arrays().await.unwrap().iter().filter(|a| ["t2m", "prmsl"].contains(&a.as_str())) {
        let shape = snapshot.array(array).await.unwrap().shape.clone();
        let all: Vec<_> = shape.iter().map(|&n| 0..n).collect();
        assert!(snapshot.read(array, &all).await.unwrap().iter().all(|v| v.is_finite()), "{array}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_faults_of_gik_are_told() {
    let (_, report) = cube(&[fixture("gik_stage2.par")]).await;
    let text = texts(&report);
    assert_eq!(report.placed(), 17, "{text}");
    assert!(text.contains("3 URLs lack .grib2"), "{text}");
    assert!(text.contains("keys name no level"), "{text}");
    assert!(text.contains("msl"), "the variable that no reference names: {text}");
    assert!(!text.contains("labels wrong"), "{text}");

    let (_, report) = cube(&[fixture("stale_template.json")]).await;
    let text = texts(&report);
    assert_eq!(report.placed(), 6);
    assert!(text.contains("2024-05-29") && text.contains("the messages win"), "{text}");

    let (_, report) = cube(&[fixture("repeated_key.json")]).await;
    assert!(!report.is_complete());
    assert_eq!(report.placed(), 2, "{}", texts(&report));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_run_hour_and_lost_steps_are_found() {
    let folder = scratch("run-hour");
    let data = folder.join("20261121/00z/enfo");
    std::fs::create_dir_all(&data).unwrap();
    let ens = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ens/20261121000000-3h-enfo-ef.grib2");
    std::fs::copy(ens, data.join("20261121000000-3h-enfo-ef.grib2")).unwrap();
    let bytes = std::fs::read(data.join("20261121000000-3h-enfo-ef.grib2")).unwrap();
    let length = u64::from_be_bytes(bytes[8..16].try_into().unwrap());
    let url = "20261121/00z/enfo/20261121060000-3h-enfo-ef";
    // Three bytes too many, too: the message says where it ends.
    let refs: Vec<String> = [0, 3, 6, 144, 147, 150]
        .iter()
        .map(|step| format!(r#""step_{step:03}/x/sfc/ens07/0.0.0": ["{url}", 0, {}]"#, length + 3))
        .collect();
    let list = folder.join("refs.json");
    std::fs::write(&list, format!(r#"{{"refs": {{{}}}}}"#, refs.join(","))).unwrap();
    let (_, report) = cube(&[list.display().to_string()]).await;
    let text = texts(&report);
    assert_eq!(report.placed(), 1, "{text}");
    assert!(text.contains("the folder's was taken"), "{text}");
    assert!(text.contains("no step between 6 and 144 hours"), "{text}");
    assert!(text.contains("labels wrong (step)") && text.contains("labels wrong (member)"), "{text}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_references_are_named_and_the_rest_goes_on() {
    let good = fixture("kerchunk_v1.json");
    let (repository, _) = cube(std::slice::from_ref(&good)).await;
    let sources = vec![fixture("remote.json"), fixture("wrong_columns.parquet"), good];
    let report = ingest(&repository, &sources, &IngestOptions::default(), |_| {}).await.unwrap();
    let text = texts(&report);
    assert!(text.contains("http://127.0.0.1:9/run.grib2") && text.contains("references)"), "{text}");
    assert!(text.contains("lat, lon"), "{text}");
    assert!(!report.is_complete() && report.brought_anything());

    let folder = scratch("bad");
    let grib = "gefs/gec00.t00z.pgrb2a.0p50.f003";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(grib);
    std::fs::copy(&file, folder.join("a.grib2")).unwrap();
    std::fs::write(folder.join("text.grib2"), b"nothing of that kind").unwrap();
    let refs = r#"{"a/0": ["a.grib2", 0, 999999999], "b/0": ["a.grib2", 5, 40], "c/0": ["gone.grib2", 0, 10],
        "d/0": ["text.grib2", 0, 10], "e/0": ["/dev/zero", 0, 10], "f/0": ["a.grib2", -1, 10], "g/0": 7,
        "h/0": ["a.grib2", 0, 999]}"#;
    std::fs::write(folder.join("refs.json"), refs).unwrap();
    let list = [folder.join("refs.json").display().to_string()];
    let report = ingest(&repository, &list, &IngestOptions::default(), |_| {}).await.unwrap();
    let text = texts(&report);
    for said in ["is it complete", "gone.grib2", "no GRIB message", "not a regular file", "whole numbers", "7 instead"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(report.placed(), 1, "{text}");
    std::fs::remove_dir_all(folder).unwrap();
}

/// Flipped bits and lost ends give a list or an error, never a panic that is not caught.
#[test]
fn damaged_lists_are_no_danger() {
    let mut dice = 0x2545_f491_4f6c_dd1du64;
    let mut next = move |below: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        (dice % below.max(1) as u64) as usize
    };
    let names = [
        "kerchunk_v1.json",
        "generated.json",
        "gik_stage2.par",
        "gik_reference.par",
        "gik_nested.par",
        "lazy.parquet/t2m/instant/heightAboveGround/t2m/refs.0.parq",
    ];
    let (mut read, mut refused) = (0, 0);
    for name in names {
        let bytes = std::fs::read(fixture(name)).unwrap();
        let metadata = std::fs::read(fixture("lazy.parquet/.zmetadata")).unwrap();
        for _ in 0..300 {
            let mut damaged = bytes.clone();
            for _ in 0..=next(3) {
                let place = next(damaged.len());
                damaged[place] ^= 1 << next(8);
            }
            if next(4) == 0 {
                damaged.truncate(next(bytes.len()));
            }
            let result = match name.ends_with("parq") {
                true => parse_lazy_references(&metadata, |_| Ok(Some(damaged.clone()))),
                false => parse_references(damaged),
            };
            match result {
                Ok(_) => read += 1,
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}

#[test]
fn every_list_of_the_shared_data_is_read_or_refused() {
    let shared = std::env::var_os("GRIBCHUNK_SHARED_DATA").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").into());
    let folder = shared.join("kerchunk");
    if !folder.is_dir() {
        eprintln!("skipped: no shared data");
        return;
    }
    let count = |name: &str| {
        let list = read_list(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(list.problems.is_empty(), "{name}: {:?}", list.problems);
        list.entries.len()
    };
    for (name, expected) in SHARED {
        assert_eq!(count(name), *expected, "{name}");
    }
    for stem in [
        "gec00_20250101_00_soilw.grib",
        "hrrr.wrfsubhf.sample.grib2",
        "weacast-gfs.grib2",
        "ifs-oper-20240101-0h-first10.grib2",
    ] {
        let all: Vec<usize> = ["kerchunk.json", "keyvalue.parquet", "keyvalue-nested.parquet", "lazy.parquet"]
            .iter()
            .map(|form| count(&format!("made/{stem}.{form}")))
            .collect();
        assert!(all.iter().all(|n| *n == all[0] && *n > 0), "{stem}: {all:?}");
    }
    // A trailing comma: not JSON. Raw bytes: not GRIB.
    assert!(matches!(read_list(folder.join("gdal/json_ref_v1_min/ref.json")), Err(ReferencesError::NotJson(_))));
    let raw = read_list(folder.join("gdal/parquet_ref_2_dim")).unwrap();
    let other: u64 = raw.not_carried.iter().filter(|n| n.kind == NotCarriedKind::OtherCodec).map(|n| n.count).sum();
    assert_eq!((raw.entries.len(), other), (0, 4), "{raw:?}");
}

/// References to messages in lists of the shared data.
const SHARED: &[(&str, usize)] = &[
    ("gfs.pgrb2.0p25/kerchunk_index.parquet", 340),
    ("hrrr.wrfsfcf/kerchunk_index.parquet", 18),
    // 135 rows, nine of which hold their value themselves.
    ("hrrr.wrfsfcf/test_reinflate.parquet", 126),
];

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("gribchunk-references-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder.canonicalize().unwrap()
}

/// A repository that VirtualiZarr and gribberish made reads as it is, unverified, and its references make a cube.
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_of_virtualizarr_is_read_and_imported() {
    let Some(python) = std::env::var_os("GRIBCHUNK_PYTHON") else {
        eprintln!("skipped: GRIBCHUNK_PYTHON names no Python with virtualizarr, gribberish and icechunk");
        return;
    };
    let folder = scratch("virtualizarr");
    let data = folder.join("data");
    std::fs::create_dir_all(&data).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let grib = data.join("gec00.f003.grib2");
    std::fs::copy(root.join("fixtures/gefs/gec00.t00z.pgrb2a.0p50.f003"), &grib).unwrap();
    let foreign = folder.join("foreign");
    let script = root.join("tools/make_foreign_repository.py");
    let made = std::process::Command::new(python).arg(script).arg(&foreign).arg(&grib).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));

    let allow = || OpenOptions::default().allow(data.display().to_string());
    let repository = Repository::open(&foreign, allow()).await.unwrap();
    let snapshot = repository.snapshot(&Reference::default()).await.unwrap();
    let strict = Repository::open(&foreign, allow().require_verified()).await.unwrap();
    let strict = strict.snapshot(&Reference::default()).await.unwrap();
    let mut compared = 0;
    for name in snapshot.arrays().await.unwrap() {
        let truth = folder.join("foreign.values").join(format!("{}.f64", name.replace('/', "__")));
        let Ok(truth) = std::fs::read(truth) else { continue };
        let truth: Vec<f64> = truth.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
        let info = snapshot.array(&name).await.unwrap();
        let all: Vec<_> = info.shape.iter().map(|&n| 0..n).collect();
        let values = snapshot.read(&name, &all).await.unwrap();
        assert_eq!(values.len(), truth.len(), "{name}");
        for (ours, theirs) in values.iter().zip(&truth) {
            assert!(ours.is_nan() == theirs.is_nan(), "{name}");
            assert!(ours.is_nan() || (f64::from(*ours) - theirs).abs() <= 1e-6 * theirs.abs().max(1.0), "{name}");
        }
        let index = vec![0; info.shape.len()];
        let state = snapshot.chunk_state(&name, &index).await.unwrap();
        assert!(matches!(state, gribchunk::ChunkState::Virtual { verified: false, .. }), "{name}: {state:?}");
        assert!(strict.read(&name, &all).await.is_err(), "{name}: unverified, and verified reads were required");
        compared += 1;
    }
    assert_eq!(compared, 8);

    let sources = vec![foreign.display().to_string()];
    let refused = sample(&sources).unwrap_err().to_string();
    assert!(refused.contains("not allowed"), "a stranger's repository leads nowhere by itself: {refused}");
    let access = Access::load(None, &[data.display().to_string()], Remote::default()).unwrap();
    let inputs = find(&sources, &access, &PatternValues::default()).await.unwrap();
    let (samples, left_out) = sample_inputs(inputs, &Remote::default()).await.unwrap();
    assert!(left_out.is_empty(), "{left_out:?}");
    let cube = Repository::create_in_memory(allow()).await.unwrap();
    init(&cube, &samples, &LayoutOptions::default()).await.unwrap();
    let report = ingest(&cube, &sources, &IngestOptions::default(), |_| {}).await.unwrap();
    assert_eq!(report.placed(), 8, "{}", texts(&report));
    let imported = cube.snapshot(&Reference::default()).await.unwrap();
    let info = imported.array("t2m").await.unwrap();
    let state = imported.chunk_state("t2m", &vec![0; info.shape.len() - 2]).await.unwrap();
    assert!(matches!(state, gribchunk::ChunkState::Virtual { verified: true, .. }), "{state:?}");
    std::fs::remove_dir_all(folder).unwrap();
}
