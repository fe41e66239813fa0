//! Promise 3, never wrong: a value is returned only if the source is the one that was ingested and the message says that it
//! is the field of that slot. Otherwise the error names the source and the reason, and there is no value.

use std::sync::Arc;
use std::time::Duration;

use gribchunk::cube::Slot;
use gribchunk::store::View;
use gribchunk::{Conflict, Error, OpenOptions, Repository};
use icechunk::format::manifest::{VirtualChunkLocation, VirtualChunkRef};
use zarrs::array::Array;
use zarrs::storage::{ReadableStorageTraits, StoreKey, WritableStorageTraits};

use crate::support::*;

fn find(step: i64, array: &str, number: u32) -> Truth {
    ens_truth(step).into_iter().find(|t| t.array == array && t.index[2] == number).unwrap()
}

/// Two fields whose messages are equally long, so that one can stand in the other's place.
fn equally_long(step: i64, of: &Truth, choose: impl Fn(&Truth) -> bool) -> Truth {
    let mut others = ens_truth(step).into_iter().filter(|t| t.length == of.length && t.hash != of.hash);
    others.find(|t| choose(t)).unwrap()
}

/// Reads a slot in every way there is; each must give the same error.
async fn errors(repository: &Repository, truth: &Truth) -> Vec<Error> {
    let snapshot = now(repository).await;
    let mut errors = vec![snapshot.read_chunk(&truth.array, &truth.index).await.unwrap_err()];
    let info = snapshot.array(&truth.array).await.unwrap();
    let slot = truth.index.iter().map(|&i| u64::from(i)..u64::from(i) + 1);
    let spatial = info.shape[truth.index.len()..].iter().map(|_| 3..5);
    errors.push(snapshot.read(&truth.array, &slot.chain(spatial).collect::<Vec<_>>()).await.unwrap_err());
    errors.push(snapshot.chunk_bytes(&truth.array, &truth.index).await.unwrap_err());
    assert!(read_all(&snapshot, &truth.array).await.is_err(), "no part of a result is given out");
    errors
}

/// Reads a slot through a Zarr library; `None` when there is no value.
fn through_zarr(snapshot: &gribchunk::Snapshot, truth: &Truth, view: View) -> Result<Vec<f32>, String> {
    let array = Array::open(Arc::new(snapshot.store(view)), &format!("/{}", truth.array)).unwrap();
    let mut index: Vec<u64> = truth.index.iter().map(|&i| u64::from(i)).collect();
    index.extend([0, 0]);
    array.retrieve_chunk::<Vec<f32>>(&index).map_err(|e| e.to_string())
}

async fn assert_refused(repository: &Repository, truth: &Truth, kind: fn(&Error) -> bool, says: &[&str]) {
    for error in errors(repository, truth).await {
        assert!(kind(&error), "{error:?}");
        let text = error.to_string();
        assert!(says.iter().all(|part| text.contains(part)), "{text} does not say {says:?}");
    }
    for view in [View::Decoded, View::Stored] {
        let error = through_zarr(&now(repository).await, truth, view).unwrap_err();
        assert!(says.iter().all(|part| error.contains(part)), "{view:?}: {error}");
    }
}

async fn assert_right(repository: &Repository, truth: &Truth) {
    let snapshot = now(repository).await;
    assert_eq!(slot_hash(&snapshot, truth).await, Some(truth.hash.clone()), "{truth:?}");
    for view in [View::Decoded, View::Stored] {
        assert_eq!(
            through_zarr(&snapshot, truth, view).map(|v| hash(&v)),
            Ok(truth.hash.clone()),
            "{truth:?} {view:?}"
        );
    }
}

/// Same size, same modification time, another parameter's (member's, step's) message where the field was.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_exchanged_unnoticeably() {
    let folder = Folder::new("exchanged");
    let repository = ens_repository(&folder).await;
    let files = folder.copy_ens();
    ingest(&repository, &files).await;
    let u10 = find(0, "u10", 0);
    let gh = find(0, "gh", 1);
    let t2m = find(0, "t2m", 0);
    let exchanged = [
        (&u10, 3, equally_long(3, &u10, |t| t.array == "t")),
        (&gh, 0, equally_long(0, &gh, |t| t.array == "gh" && t.index[2] != 1)),
        (&t2m, 3, equally_long(3, &t2m, |t| t.array == "t2m")),
    ];
    for (truth, _, _) in &exchanged {
        assert_right(&repository, truth).await;
    }
    let time = modified(&files[0]);
    let mut bytes = std::fs::read(&files[0]).unwrap();
    for (truth, step, other) in &exchanged {
        let source = std::fs::read(fixture(&ens_name(*step))).unwrap();
        let message = &source[other.offset as usize..(other.offset + other.length) as usize];
        bytes[truth.offset as usize..(truth.offset + truth.length) as usize].copy_from_slice(message);
    }
    std::fs::write(&files[0], &bytes).unwrap();
    set_modified(&files[0], time);
    for (truth, _, _) in &exchanged {
        let slot = format!("/{}[", truth.array);
        let kind = |e: &Error| matches!(e, Error::WrongField { .. });
        assert_refused(&repository, truth, kind, &["20261121000000-0h-enfo-ef.grib2", &slot, "holds"]).await;
    }
    // The messages that are still the same are still given.
    assert_right(&repository, &find(0, "v10", 0)).await;
    assert_right(&repository, &find(3, "u10", 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changed_or_is_gone() {
    let folder = Folder::new("changed");
    let repository = ens_repository(&folder).await;
    let files = folder.copy_ens();
    ingest(&repository, &files).await;
    let (touched, longer, gone) = (find(0, "t2m", 1), find(3, "t2m", 1), find(6, "t2m", 1));
    let (time, nanosecond) = (modified(&files[0]), Duration::from_nanos(1));
    set_modified(&files[0], time + nanosecond);
    let mut bytes = std::fs::read(&files[1]).unwrap();
    let then = modified(&files[1]);
    bytes.extend_from_slice(b"more");
    std::fs::write(&files[1], &bytes).unwrap();
    set_modified(&files[1], then);
    std::fs::remove_file(&files[2]).unwrap();
    let changed = |e: &Error| matches!(e, Error::SourceChanged { .. });
    assert_refused(&repository, &touched, changed, &["-0h-enfo", "modification time differs"]).await;
    assert_refused(&repository, &longer, changed, &["-3h-enfo", "36059 bytes then, 36063 bytes now"]).await;
    let is_gone = |e: &Error| matches!(e, Error::Source { .. });
    assert_refused(&repository, &gone, is_gone, &["-6h-enfo", "gone"]).await;
    // What was there before is there again.
    set_modified(&files[0], time);
    assert_right(&repository, &touched).await;
}

fn reference(path: &str, of: &Truth, fragment: &str) -> VirtualChunkRef {
    VirtualChunkRef {
        location: VirtualChunkLocation::from_url(&format!("file://{path}{fragment}")).unwrap(),
        offset: of.offset,
        length: of.length,
        checksum: None,
    }
}

async fn set(repository: &Repository, truth: &Truth, reference: VirtualChunkRef) {
    let mut transaction = repository.transaction("main").await.unwrap();
    let slot = Slot { array: truth.array.clone(), index: truth.index.clone() };
    transaction.set_virtual(&truth.array, vec![(slot, reference)]).await.unwrap();
    transaction.commit("a reference", Default::default(), Conflict::Fail).await.unwrap();
}

fn fragment(path: &str) -> String {
    gribchunk::read::Fingerprint::of(&std::fs::metadata(path).unwrap()).fragment()
}

/// Anybody can write references: one that points to another member's, step's, level's or parameter's message is an error.
#[tokio::test(flavor = "multi_thread")]
async fn a_reference_to_another_fields_message() {
    let folder = Folder::new("reference");
    let repository = ens_repository(&folder).await;
    let files = folder.copy_ens();
    ingest(&repository, &files).await;
    let step0 = ens_truth(0);
    let t850 = step0.iter().find(|t| t.array == "t" && t.index == [0, 0, 1, 0]).unwrap();
    let t500 = step0.iter().find(|t| t.array == "t" && t.index == [0, 0, 1, 1]).unwrap();
    let t2m = find(0, "t2m", 1);
    for (slot, file, other) in [
        (&t2m, 0, &find(0, "t2m", 2)),
        (&find(0, "u10", 1), 1, &find(3, "u10", 1)),
        (t850, 0, t500),
        (&find(0, "msl", 1), 0, &t2m),
        (&find(0, "v10", 3), 0, &find(0, "u10", 3)),
    ] {
        set(&repository, slot, reference(&files[file], other, &fragment(&files[file]))).await;
        let wrong = |e: &Error| matches!(e, Error::WrongField { .. });
        assert_refused(&repository, slot, wrong, &[files[file].rsplit('/').next().unwrap(), "number"]).await;
        let report = gribchunk::materialise(&repository, &Default::default()).await.unwrap();
        assert!(report.failed.iter().any(|f| f.slot.contains(&slot.array)), "nothing wrong is stored: {report:?}");
    }
    // A range that is not a message at all.
    let inside = Truth { offset: t2m.offset + 1, ..t2m.clone() };
    set(&repository, &t2m, reference(&files[0], &inside, &fragment(&files[0]))).await;
    for error in errors(&repository, &t2m).await {
        assert!(error.to_string().contains("-0h-enfo"), "{error}");
    }
}

/// The codec alone, as any Zarr library uses it: parameter, type of level and grid are checked.
#[tokio::test(flavor = "multi_thread")]
async fn the_codec_alone() {
    let folder = Folder::new("codec");
    let repository = Repository::create(folder.join("repository"), OpenOptions::default()).await.unwrap();
    let gefs: Vec<String> = vec![folder.copy("gefs/gep01.t00z.pgrb2a.0p50.f003")];
    let (samples, _) = gribchunk::sample(&gefs).unwrap();
    gribchunk::init(&repository, &samples, &Default::default()).await.unwrap();
    let snapshot = now(&repository).await;
    let metadata = snapshot.store(View::Stored).get(&StoreKey::new("t/zarr.json").unwrap()).unwrap().unwrap();
    let store = Arc::new(zarrs::storage::store::MemoryStore::new());
    store.set(&StoreKey::new("t/zarr.json").unwrap(), metadata).unwrap();
    let array = Array::open(store.clone(), "/t").unwrap();
    let chunk = StoreKey::new("t/c/0/0/0/0/0").unwrap();
    let field = |file: &str, name: &str| {
        let bytes = std::fs::read(fixture(file)).unwrap();
        let of = expected(&fixture(file));
        let field = of["field"].as_array().unwrap().iter().find(|f| f["shortName"] == name).unwrap().clone();
        let (offset, length) = (field["offset"].as_u64().unwrap() as usize, field["length"].as_u64().unwrap() as usize);
        (bytes[offset..offset + length].to_vec(), field["values"]["sha256_f32le"].as_str().unwrap().to_string())
    };
    let right = field("gefs/gep01.t00z.pgrb2a.0p50.f003", "t");
    store.set(&chunk, right.0.into()).unwrap();
    assert_eq!(hash(&array.retrieve_chunk::<Vec<f32>>(&[0; 5]).unwrap()), right.1);
    for (file, name, says) in [
        ("gefs/gep01.t00z.pgrb2a.0p50.f003", "gh", "paramId 156"),
        ("packing/simple_16.grib2", "t", "surface"),
        ("ens/20261121000000-3h-enfo-ef.grib2", "t", "grid"),
    ] {
        store.set(&chunk, field(file, name).0.into()).unwrap();
        let error = array.retrieve_chunk::<Vec<f32>>(&[0; 5]).unwrap_err().to_string();
        assert!(error.contains(says), "{file} {name}: {error}");
    }
}

/// References without a checksum, as other programs write them, are readable, told apart, and refused on request.
#[tokio::test(flavor = "multi_thread")]
async fn unverified_references() {
    let folder = Folder::new("unverified");
    let repository = ens_repository(&folder).await;
    let files = folder.copy_ens();
    ingest(&repository, &files).await;
    let (truth, other) = (find(0, "t2m", 1), find(0, "t2m", 2));
    set(&repository, &truth, reference(&files[0], &truth, "")).await;
    assert_right(&repository, &truth).await;
    let is_verified = |state| match state {
        gribchunk::ChunkState::Virtual { verified, .. } => verified,
        other => panic!("{other:?}"),
    };
    let snapshot = now(&repository).await;
    assert!(!is_verified(snapshot.chunk_state(&truth.array, &truth.index).await.unwrap()));
    assert!(is_verified(snapshot.chunk_state(&other.array, &other.index).await.unwrap()));

    let strict = Repository::open(folder.join("repository"), OpenOptions::default().require_verified()).await.unwrap();
    assert_refused(&strict, &truth, |e| matches!(e, Error::Unverified { .. }), &["-0h-enfo", "no checksum"]).await;
    assert_right(&strict, &other).await;
    let path = folder.join("repository").display().to_string();
    let output = folder.join("out.npy").display().to_string();
    let get = ["get", &path, "t2m", "--select", "step=0,number=1", "-o", &output];
    assert_eq!(run(&get).code, Some(0));
    let refused = run(&[&["--require-verified"], get.as_slice()].concat());
    assert!(refused.code == Some(1) && refused.stderr.contains("no checksum"), "{refused:?}");
}

/// A repository's references may point anywhere: only places that this user allowed are read.
#[tokio::test(flavor = "multi_thread")]
async fn places_that_are_not_allowed() {
    let folder = Folder::new("allowed");
    let repository = ens_repository(&folder).await;
    let inside = folder.join("inside");
    let outside = folder.join("outside");
    for directory in [&inside, &outside] {
        std::fs::create_dir(directory).unwrap();
        for step in ENS_STEPS {
            let name = ens_name(step);
            std::fs::copy(fixture(&name), directory.join(name.trim_start_matches("ens/"))).unwrap();
        }
    }
    ingest(&repository, &[inside.display().to_string()]).await;
    let truth = find(0, "t2m", 1);
    assert_right(&repository, &truth).await;

    // A copy of the repository is another repository: whoever sent it may not choose what is read.
    copy_directory(&folder.join("repository"), &folder.join("sent"));
    let sent = Repository::open(folder.join("sent"), OpenOptions::default()).await.unwrap();
    let not_allowed = |e: &Error| matches!(e, Error::NotAllowed { .. });
    assert_refused(&sent, &truth, not_allowed, &["-0h-enfo", "--allow"]).await;
    let allowing = OpenOptions::default().allow(inside.display().to_string());
    assert_right(&Repository::open(folder.join("sent"), allowing).await.unwrap(), &truth).await;
    let (path, output) = (folder.join("sent").display().to_string(), folder.join("out.npy").display().to_string());
    let get = ["get", &path, "t2m", "-o", &output];
    let refused = run(&get);
    assert!(refused.code == Some(1) && refused.stderr.contains("--allow"), "{refused:?}");
    assert!(!folder.join("out.npy").exists(), "nothing is written");
    let inside_text = inside.display().to_string();
    assert_eq!(run(&[&["--allow", &inside_text], get.as_slice()].concat()).code, Some(0));

    // A link inside that leads outside, and a path with `..`.
    let name = "20261121000000-0h-enfo-ef.grib2";
    std::os::unix::fs::symlink(outside.join(name), inside.join("link.grib2")).unwrap();
    for path in [inside.join("link.grib2").display().to_string(), format!("{inside_text}/../outside/{name}")] {
        let checked = repository.access().check(&format!("file://{path}"));
        assert!(matches!(checked, Err(Error::NotAllowed { .. })), "{path}: {checked:?}");
    }
    set(&repository, &truth, reference(&inside.join("link.grib2").display().to_string(), &truth, "")).await;
    assert_refused(&repository, &truth, not_allowed, &["link.grib2"]).await;
}
