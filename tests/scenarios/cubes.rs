//! Cubes: which slots are expected, how layouts are widened and narrowed, that ingest may be repeated in any order, and what
//! does not fit is refused by name; making a cube costs a few kilobytes.

use gribchunk::{IngestOptions, LayoutOptions, OpenOptions, Repository, Selection, init, sample};

use crate::support::*;

const TIME: i64 = 1_795_219_200;

fn ens_samples() -> Vec<gribchunk::cube::SampleField> {
    sample(&[fixture("ens").display().to_string()]).unwrap().0
}

async fn empty(folder: &Folder, name: &str) -> Repository {
    Repository::create(folder.join(name), OpenOptions::default()).await.unwrap()
}

async fn totals(repository: &Repository) -> gribchunk::inspect::CoverageCounts {
    gribchunk::inspect::coverage(&now(repository).await, None).await.unwrap().total
}

#[tokio::test(flavor = "multi_thread")]
async fn expected_slots() {
    let folder = Folder::new("expected");
    let repository = ens_repository(&folder).await;
    // 6 variables (8 fields with levels) of 4 members at 3 steps, and tp, which has no step 0.
    assert_eq!(totals(&repository).await.expected, 8 * 4 * 3 + 4 * 2);
    let snapshot = now(&repository).await;
    let (group, tp) = snapshot.layout().variable("tp").unwrap();
    assert!(!group.is_expected(tp, &[0, 0, 0]) && group.is_expected(tp, &[0, 1, 0]));
    assert_eq!(group.times, [TIME]);

    // Wider: steps that the samples do not have are expected, tp's step 0 is still not.
    let wide = LayoutOptions::default()
        .steps((0..=144).step_by(3).map(|h| h * 3600).collect())
        .members((0..=50).collect())
        .times(vec![TIME, TIME + 21_600]);
    let repository = empty(&folder, "wide").await;
    init(&repository, &ens_samples(), &wide).await.unwrap();
    assert_eq!(totals(&repository).await.expected, 2 * 51 * (8 * 49 + 48));
    let report = ingest(&repository, &folder.copy_ens()).await;
    assert!(report.is_complete(), "{report:?}");
    for truth in ens_truth(6) {
        let mut truth = truth;
        truth.index[1] = 2;
        assert_eq!(slot_hash(&now(&repository).await, &truth).await, Some(truth.hash.clone()));
    }

    // Narrower: what was left out on purpose is no failure, what does not fit is one.
    let narrow = LayoutOptions::default()
        .select(Selection::parse("variable=t2m/t").unwrap())
        .members(vec![0, 1])
        .steps(vec![0, 10_800]);
    let repository = empty(&folder, "narrow").await;
    init(&repository, &ens_samples(), &narrow).await.unwrap();
    assert_eq!(totals(&repository).await.expected, 3 * 2 * 2);
    let report = ingest(&repository, &folder.copy_ens()).await;
    assert_eq!(report.placed(), 3 * 2 * 2, "{report:?}");
    let reasons: Vec<&str> = report.files.iter().flat_map(|f| &f.refused).map(|r| r.reason.as_str()).collect();
    assert!(reasons.iter().any(|r| r.contains("number 3 is not in the layout")), "{reasons:?}");
    assert!(reasons.iter().any(|r| r.contains("step 6h is not in the layout")), "{reasons:?}");
    assert!(report.files.iter().all(|f| f.not_selected > 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_outside_the_cube() {
    let folder = Folder::new("outside");
    let repository = empty(&folder, "repository").await;
    let later = LayoutOptions::default().times(vec![TIME + 21_600]);
    init(&repository, &ens_samples(), &later).await.unwrap();
    let files = folder.copy_ens();
    let refuse = IngestOptions { new_times: gribchunk::NewTimes::Refuse, ..Default::default() };
    let report = ingest_with(&repository, &files[..1], &refuse).await;
    assert_eq!((report.placed(), report.refused()), (0, 32));
    let refused = &report.files[0].refused[0];
    assert!(refused.reason.contains("2026-11-21T00") && refused.reason.contains("allocate"), "{refused:?}");
    let gefs = folder.copy("gefs/gep01.t00z.pgrb2a.0p50.f003");
    let report = ingest(&repository, &[gefs]).await;
    assert_eq!(report.placed(), 0);
    assert!(report.files[0].refused.iter().all(|r| !r.reason.is_empty() && !r.field.is_empty()), "{report:?}");

    // Once the time is allocated, the same file has its place: what was refused is tried again.
    assert_eq!(gribchunk::allocate(&repository, &[TIME]).await.unwrap().0.times, 1);
    assert_eq!(gribchunk::allocate(&repository, &[TIME]).await.unwrap().1, None, "it is there already");
    let report = ingest(&repository, &files).await;
    assert!(report.is_complete() && report.placed() == 104, "{report:?}");
    let snapshot = now(&repository).await;
    assert_eq!(snapshot.layout().groups[""].times, [TIME + 21_600, TIME], "indices never change");
    for mut truth in ens_truth(3) {
        truth.index[0] = 1;
        assert_eq!(slot_hash(&snapshot, &truth).await, Some(truth.hash.clone()));
    }
    let coverage = gribchunk::inspect::coverage(&snapshot, None).await.unwrap();
    assert!(!coverage.failures.iter().any(|f| f.url.contains("enfo")), "{:?}", coverage.failures);
}

/// Any order, in parts or together, again and again: the same repository, and no commit for what is there.
#[tokio::test(flavor = "multi_thread")]
async fn ingest_in_any_order_again_and_again() {
    let folder = Folder::new("order");
    let files = folder.copy_ens();
    for (round, order) in [[0, 1, 2], [2, 1, 0], [1, 2, 0]].into_iter().enumerate() {
        let repository = empty(&folder, &format!("repository{round}")).await;
        init(&repository, &ens_samples(), &LayoutOptions::default()).await.unwrap();
        for file in order {
            let report = ingest(&repository, &files[file..=file]).await;
            assert!(report.is_complete() && report.snapshots.len() == 1);
        }
        let before = now(&repository).await.id();
        for sources in [files.clone(), vec![folder.path().join("*.grib2").display().to_string()], files[1..].to_vec()] {
            let report = ingest(&repository, &sources).await;
            assert!(report.is_complete() && report.placed() == 0 && report.snapshots.is_empty(), "{report:?}");
            assert!(report.files.iter().all(|f| f.unchanged));
        }
        assert_eq!(now(&repository).await.id(), before);

        // A file that is the same changes nothing, materialised slots included.
        gribchunk::materialise(&repository, &Default::default()).await.unwrap();
        let report = ingest(&repository, &files).await;
        assert!(report.snapshots.is_empty(), "{report:?}");
        assert_eq!(totals(&repository).await.materialised, 104);
        let snapshot = now(&repository).await;
        for truth in ENS_STEPS.into_iter().flat_map(ens_truth) {
            assert_eq!(slot_hash(&snapshot, &truth).await, Some(truth.hash.clone()), "{truth:?}");
        }
    }
}

/// A file, its sidecar, its directory and a glob that finds it: each message counts once.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_named_several_times() {
    let folder = Folder::new("several");
    let repository = ens_repository(&folder).await;
    std::fs::create_dir(folder.join("run")).unwrap();
    for file in folder.copy_ens() {
        let sidecar = file.replace(".grib2", ".index");
        for path in [file, sidecar] {
            let name = path.rsplit('/').next().unwrap().to_string();
            std::fs::rename(&path, folder.join("run").join(name)).unwrap();
        }
    }
    let run = folder.join("run");
    let sources =
        ["", "*.grib2", "*.index", "20261121000000-3h-enfo-ef.grib2"].map(|s| run.join(s).display().to_string());
    let report = ingest_with(&repository, &sources, &IngestOptions::default()).await;
    assert_eq!((report.files.len(), report.placed()), (3, 104));
    assert!(report.is_complete());
}

/// Allocating costs metadata and coordinates, no data chunk.
#[tokio::test(flavor = "multi_thread")]
async fn the_size_of_an_empty_cube() {
    let folder = Folder::new("size");
    let repository = empty(&folder, "repository").await;
    let before = size(&folder.join("repository"));
    let year = LayoutOptions::default().steps((0..=360).map(|h| h * 3600).collect()).members((0..=50).collect());
    init(&repository, &ens_samples(), &year).await.unwrap();
    let bytes = size(&folder.join("repository")) - before;
    let expected = totals(&repository).await.expected;
    assert_eq!(expected, 51 * (8 * 361 + 360));
    println!("a cube of {expected} slots takes {bytes} bytes");
    // In one commit: the root was there before.
    assert_eq!(repository.log(&Default::default(), 10).await.unwrap().len(), 2);
    assert!(bytes < 20_000, "{bytes} bytes for an empty cube");
    let chunks = folder.join("repository/chunks");
    let stored = if chunks.exists() { std::fs::read_dir(chunks).unwrap().count() } else { 0 };
    assert!(stored <= 4, "{stored} chunks: coordinates at most");
    let snapshot = now(&repository).await;
    for array in snapshot.layout().groups[""].variables.keys() {
        assert!(gribchunk::inspect::chunk_states(&snapshot, array).await.unwrap().is_empty(), "{array}");
    }
}

/// Bytes of a repository, without the old versions that Icechunk keeps beside the current ones.
fn size(directory: &std::path::Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let kept = path.file_name().is_some_and(|name| name == "overwritten");
        bytes += if path.is_dir() && !kept {
            size(&path)
        } else {
            path.metadata().map_or(0, |m| u64::from(!kept) * m.len())
        };
    }
    bytes
}

/// Every real file makes a cube, or says why not; what it says is listed.
#[tokio::test(flavor = "multi_thread")]
async fn every_real_file() {
    let Some(folder) = shared_data("grib") else { return };
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    names.retain(|path| path.extension().is_none_or(|e| e != "json"));
    names.sort();
    assert!(names.len() >= 146);
    let (mut made, mut refused, mut fields, mut placed) = (0, 0, 0, 0);
    for path in &names {
        let sources = vec![path.display().to_string()];
        let name = path.file_name().unwrap().to_string_lossy();
        let (samples, left_out) = match sample(&sources) {
            Ok(sampled) => sampled,
            Err(error) => {
                refused += 1;
                println!("{name}: {error}");
                continue;
            }
        };
        left_out.iter().for_each(|reason| println!("{name}: left out: {reason}"));
        let scratch = Folder::new("real");
        let repository = Repository::create(scratch.join("repository"), OpenOptions::default()).await.unwrap();
        if let Err(error) = init(&repository, &samples, &LayoutOptions::default()).await {
            refused += 1;
            println!("{name}: {error}");
            continue;
        }
        made += 1;
        let report = ingest(&repository, &sources).await;
        fields += report.files[0].fields;
        placed += report.placed();
        for refused in report.files.iter().flat_map(|f| &f.refused) {
            println!("{name} at byte {}: {}: {}", refused.offset, refused.field, refused.reason);
        }
        // Whatever has its slot says so by its own key: every slot can be explained, and no two fields share one.
        let virtual_ = totals(&repository).await.virtual_;
        assert!(virtual_ + 1 >= report.placed() - report.materialised(), "{name}: {virtual_} of {}", report.placed());
    }
    println!("{made} files make a cube, {refused} do not; {placed} of {fields} fields have their slots");
    assert!(made >= 130 && placed * 100 >= fields * 95, "{made} {placed} {fields}");
}
