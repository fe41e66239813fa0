//! Promise 1, one snapshot: a reader never sees part of a transaction, for as long as it holds its snapshot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gribchunk::{IngestOptions, MaterialiseOptions, OpenOptions, Repository};

use crate::support::*;

/// What a reader can tell about every slot of the run: state and values.
async fn everything(snapshot: &gribchunk::Snapshot) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    for truth in ENS_STEPS.into_iter().flat_map(ens_truth) {
        let state = snapshot.chunk_state(&truth.array, &truth.index).await.unwrap();
        let value = slot_hash(snapshot, &truth).await;
        all.push((format!("{} {:?} {state:?}", truth.array, truth.index), value));
    }
    for array in snapshot.arrays().await.unwrap() {
        let info = snapshot.array(&array).await.unwrap();
        all.push((format!("{array} {:?}", info.shape), None));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_reader_does_not_move() {
    let folder = Folder::new("pinned");
    let files = folder.copy_ens();
    // No cache: every read goes to the snapshot and its chunks.
    let options = OpenOptions::default().cache_bytes(0);
    let made = ens_repository(&folder).await;
    drop(made);
    let repository = Repository::open(folder.join("repository"), options).await.unwrap();

    let mut pinned = vec![(now(&repository).await, "init")];
    ingest(&repository, &files[..1]).await;
    pinned.push((now(&repository).await, "one file"));
    let mut seen = Vec::new();
    for (snapshot, _) in &pinned {
        seen.push(everything(snapshot).await);
    }
    assert_ne!(seen[0], seen[1]);

    // A second file, new times, the first file again as stored chunks, and all of the rest stored.
    ingest(&repository, &files[1..2]).await;
    gribchunk::allocate(&repository, &[1_795_219_200 + 21_600]).await.unwrap();
    let copies = folder.join("again");
    std::fs::create_dir(&copies).unwrap();
    let again = copies.join("20261121000000-0h-enfo-ef.grib2");
    std::fs::copy(&files[0], &again).unwrap();
    let store = IngestOptions::default().materialise(gribchunk::Selection::parse("variable=t2m/tp").unwrap());
    let report = ingest_with(&repository, &[again.display().to_string()], &store).await;
    assert!(report.materialised() > 0);
    let report = gribchunk::materialise(&repository, &MaterialiseOptions::default()).await.unwrap();
    assert!(report.materialised > 0 && report.failed.is_empty(), "{report:?}");

    for ((snapshot, name), seen) in pinned.iter().zip(&seen) {
        assert_eq!(everything(snapshot).await, *seen, "{name}");
    }
    let after = everything(&now(&repository).await).await;
    assert!(after.iter().filter(|(slot, _)| slot.contains("Materialised")).count() >= 68);
}

/// A reader that opens snapshots while files are ingested sees all fields of a file, or none.
#[test]
fn all_fields_of_a_file_or_none() {
    let folder = Folder::new("all-or-none");
    let files = folder.copy_ens();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let repository = Arc::new(runtime.block_on(ens_repository(&folder)));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (path, done) = (folder.join("repository"), Arc::clone(&done));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                let mut seen = Vec::new();
                loop {
                    let last = done.load(Ordering::SeqCst);
                    seen.push(runtime.block_on(files_in_a_new_snapshot(&path)));
                    if last {
                        return seen;
                    }
                }
            })
        })
        .collect();
    for file in &files {
        let report = runtime.block_on(ingest(&repository, std::slice::from_ref(file)));
        assert!(report.is_complete(), "{report:?}");
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        let seen = reader.join().unwrap();
        let counts: Vec<usize> = seen.iter().map(|files| files.iter().filter(|there| **there).count()).collect();
        assert!(counts.is_sorted(), "files went away again: {counts:?}");
        assert_eq!(counts.last(), Some(&3));
    }
}

async fn files_in_a_new_snapshot(repository: &std::path::Path) -> Vec<bool> {
    let repository = Repository::open(repository, OpenOptions::default()).await.unwrap();
    let snapshot = now(&repository).await;
    let mut files = Vec::new();
    for step in ENS_STEPS {
        let mut there = Vec::new();
        for truth in ens_truth(step) {
            let value = slot_hash(&snapshot, &truth).await;
            assert!(value.is_none() || value.as_deref() == Some(truth.hash.as_str()), "{truth:?} is {value:?}");
            there.push(value.is_some());
        }
        let all = there.iter().all(|there| *there);
        assert!(all || there.iter().all(|there| !there), "step {step}: a part of the file is there: {there:?}");
        files.push(all);
    }
    files
}
