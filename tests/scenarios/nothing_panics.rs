//! Promise 7, nothing panics: broken GRIB bytes, index lines and repository contents give a value or a typed error.
//!
//! Also in threads and tasks: every panic whose place is not in these tests is counted.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};

use gribchunk::{OpenOptions, Reference, Repository, Result};

use crate::support::*;

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let place = info.location().map(|l| format!("{}:{}", l.file(), l.line())).unwrap_or_default();
            if !place.starts_with("tests/") && !place.contains("/library/") {
                PANICS.lock().unwrap().push(format!("{place}: {info}"));
            }
            before(info);
        }));
    });
}

/// Runs something on broken input: whatever it returns is right, a panic is not.
fn must_return<T>(what: &str, work: impl FnOnce() -> T) -> T {
    count_panics();
    let result = std::panic::catch_unwind(AssertUnwindSafe(work));
    let panics = std::mem::take(&mut *PANICS.lock().unwrap());
    assert!(panics.is_empty(), "{what}: {panics:?}");
    result.unwrap_or_else(|_| panic!("{what}: panicked"))
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Flips bits, overwrites, cuts off, repeats or removes: somewhere, mostly near the beginning, where the lengths are.
fn broken(bytes: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=numbers.below(3) {
        if bytes.is_empty() {
            return bytes;
        }
        let range = if numbers.below(3) == 0 { bytes.len() } else { bytes.len().min(220) };
        let place = numbers.below(range);
        match numbers.below(8) {
            0 => bytes.truncate(place),
            1 => bytes[place] = 0xff,
            2 => bytes[place] = 0,
            3 => {
                let end = (place + 1 + numbers.below(8)).min(bytes.len());
                bytes[place..end].fill(0xff);
            }
            4 => {
                let end = (place + 1 + numbers.below(40)).min(bytes.len());
                let part = bytes[place..end].to_vec();
                bytes.splice(place..place, part);
            }
            5 => {
                let end = (place + 1 + numbers.below(40)).min(bytes.len());
                bytes.drain(place..end);
            }
            _ => bytes[place] ^= 1 << numbers.below(8),
        }
    }
    bytes
}

#[test]
fn broken_grib_bytes() {
    let folder = Folder::new("panics");
    let mut numbers = Numbers::new(7);
    let (mut good, mut bad) = (0, 0);
    let is_message_file = |path: &PathBuf| {
        let name = path.display().to_string();
        !name.ends_with(".json")
            && !name.ends_with(".index")
            && !name.ends_with(".idx")
            && !name.ends_with(".py")
            && !name.ends_with(".md")
    };
    for file in files_below(&fixture("")).into_iter().filter(is_message_file) {
        let whole = std::fs::read(&file).unwrap();
        // Of files with many messages one is enough, so that what is broken is often in its header.
        let whole = &whole[..whole.len().min(1100)];
        for round in 0..40 {
            let bytes = broken(whole, &mut numbers);
            let path = folder.write("broken.grib", &bytes);
            let what = format!("{} round {round}", file.display());
            must_return(&what, || {
                gribchunk::inspect::list_fields(std::slice::from_ref(&path), true, |field| match field.error {
                    None => good += 1,
                    Some(_) => bad += 1,
                })
            })
            .unwrap();
            let source = gribchunk::source::expand(std::slice::from_ref(&path)).unwrap();
            let _ = must_return(&what, || gribchunk::ingest::scan_file(&source[0]));
        }
    }
    assert!(good > 100 && bad > 100, "{good} fields could be read, {bad} not: both must happen");
}

#[test]
fn broken_index_lines() {
    let mut numbers = Numbers::new(77);
    let (mut good, mut bad) = (0, 0);
    for file in files_below(&fixture("")) {
        if !["index", "idx"].contains(&file.extension().unwrap_or_default().to_str().unwrap()) {
            continue;
        }
        let whole = std::fs::read(&file).unwrap();
        for _ in 0..100 {
            let bytes = broken(&whole[..whole.len().min(1500)], &mut numbers);
            match must_return(&String::from_utf8_lossy(&bytes), || gribchunk::index::parse(&bytes, Some(36_059))) {
                Ok(index) => good += index.entries.len(),
                Err(_) => bad += 1,
            }
        }
    }
    assert!(good > 1000 && bad > 0, "{good} {bad}");
}

/// A file with a broken index, or a broken file with a good index, through a whole ingest and the reads after it.
#[test]
fn broken_files_through_an_ingest() {
    let folder = Folder::new("panics-ingest");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let repository = runtime.block_on(ens_repository(&folder));
    let (mut numbers, mut placed) = (Numbers::new(777), 0);
    let grib = std::fs::read(fixture(&ens_name(3))).unwrap();
    let index = std::fs::read(fixture(&ens_name(3)).with_extension("index")).unwrap();
    let store =
        gribchunk::IngestOptions::default().materialise(gribchunk::Selection::parse("variable=t2m/gh").unwrap());
    for round in 0..30 {
        let (mut grib, mut index) = (grib.clone(), index.clone());
        for _ in 0..6 {
            if round % 2 == 0 {
                index = broken(&index, &mut numbers);
            } else {
                let place = numbers.below(grib.len());
                grib[place] ^= 1 << numbers.below(8);
            }
        }
        let file = folder.write(&format!("{round}.grib2"), &grib);
        folder.write(&format!("{round}.index"), &index);
        let work = || runtime.block_on(gribchunk::ingest(&repository, &[file], &store, |_| {}));
        placed += must_return(&format!("round {round}"), work).unwrap().placed();
        must_return(&format!("reading round {round}"), || {
            runtime.block_on(async {
                let snapshot = now(&repository).await;
                for array in ["t2m", "gh", "tp", "t"] {
                    let _ = read_all(&snapshot, array).await;
                }
            });
        });
    }
    assert!(placed > 300, "{placed}");
}

#[test]
fn broken_repositories() {
    let folder = Folder::new("panics-repository");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let repository = runtime.block_on(ens_repository(&folder));
    let sources = folder.copy_ens();
    let store = gribchunk::IngestOptions::default().materialise(gribchunk::Selection::parse("variable=t2m").unwrap());
    runtime.block_on(ingest_with(&repository, &sources[..2], &store));
    drop(repository);
    let path = folder.join("repository");
    let contents: Vec<(PathBuf, Vec<u8>)> =
        files_below(&path).into_iter().map(|file| (file.clone(), std::fs::read(&file).unwrap())).collect();
    let contents: Vec<_> = contents
        .into_iter()
        .filter(|(file, bytes)| !bytes.is_empty() && !file.display().to_string().contains("overwritten"))
        .collect();
    let mut numbers = Numbers::new(70);
    let (mut good, mut bad) = (0, 0);
    for round in 0..120 {
        let (file, whole) = &contents[numbers.below(contents.len())];
        std::fs::write(file, broken(whole, &mut numbers)).unwrap();
        let what = format!("round {round}: {}", file.strip_prefix(&path).unwrap().display());
        match must_return(&what, || runtime.block_on(everything(&path))) {
            Ok(()) => good += 1,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                bad += 1;
            }
        }
        std::fs::write(file, whole).unwrap();
    }
    assert!(good > 0 && bad > 20, "{good} {bad}");
    runtime.block_on(everything(&path)).unwrap();
}

async fn everything(path: &Path) -> Result<()> {
    let repository = Repository::open(path, OpenOptions::default()).await?;
    let log = repository.log(&Reference::default(), 10).await;
    let snapshot = repository.snapshot(&Reference::default()).await?;
    let summary = gribchunk::inspect::show(&snapshot).await;
    let coverage = gribchunk::inspect::coverage(&snapshot, None).await;
    let mut first = log.err().or(summary.err()).or(coverage.err());
    for array in snapshot.arrays().await? {
        let read = match snapshot.layout().variable(&array) {
            Some(_) => read_all(&snapshot, &array).await.map(|_| ()),
            None => snapshot.read_whole(&array).await.map(|_| ()),
        };
        first = first.or(read.err());
    }
    first.map_or(Ok(()), Err)
}
