//! A part of a field is the same part of its values, whatever its packing, bitmap and scanning mode, when it is read first
//! and when it is read again.

use std::ops::Range;
use std::path::{Path, PathBuf};

use gribchunk::{LayoutOptions, OpenOptions, Repository, Snapshot, init, sample};

use crate::support::*;

/// Arrays of a file that are looked at: most files have fewer.
const ARRAYS: usize = 2;

/// Reads random parts of the first fields of every array of a file; how many parts were compared.
async fn parts_of(path: &Path, random: &mut Numbers) -> usize {
    let sources = vec![path.display().to_string()];
    let Ok((samples, _)) = sample(&sources) else { return 0 };
    let scratch = Folder::new("parts");
    // Nothing decoded is kept: every read goes to the message.
    let options = OpenOptions { cache_bytes: Some(0), ..OpenOptions::default() };
    let repository = Repository::create(scratch.join("repository"), options).await.unwrap();
    if init(&repository, &samples, &LayoutOptions::default()).await.is_err() {
        return 0;
    }
    ingest(&repository, &sources).await;
    let (snapshot, other) = (now(&repository).await, now(&repository).await);
    let mut compared = 0;
    let arrays = snapshot.arrays().await.unwrap().into_iter();
    for array in arrays.filter(|array| snapshot.layout().variable(array).is_some()).take(ARRAYS) {
        let info = snapshot.array(&array).await.unwrap();
        let Some((group, variable)) = snapshot.layout().variable(&array) else { continue };
        let slots = group.slot_shape(variable).len();
        let (leading, spatial) = info.shape.split_at(slots);
        let Some(slot) = first_slot(&other, &array, leading).await else { continue };
        let Ok(Some(whole)) = other.read_chunk(&array, &slot).await else { continue };
        for _ in 0..4 {
            let block: Vec<Range<u64>> = spatial.iter().map(|&length| random_range(random, length)).collect();
            let wanted = part_of(&whole, spatial, &block);
            let region: Vec<Range<u64>> =
                slot.iter().map(|&i| u64::from(i)..u64::from(i) + 1).chain(block.iter().cloned()).collect();
            for snapshot in [&snapshot, &other] {
                let part = snapshot.read(&array, &region).await.unwrap();
                let name = path.file_name().unwrap().to_string_lossy();
                assert_eq!(hash(&part), hash(&wanted), "{name} /{array} {slot:?} {block:?}");
            }
            compared += 1;
        }
    }
    compared
}

async fn first_slot(snapshot: &Snapshot, array: &str, leading: &[u64]) -> Option<Vec<u32>> {
    let count: u64 = leading.iter().product();
    for number in 0..count {
        let mut rest = number;
        let mut slot: Vec<u32> = Vec::new();
        for length in leading.iter().rev() {
            slot.insert(0, (rest % length) as u32);
            rest /= length;
        }
        if snapshot.chunk_state(array, &slot).await.unwrap() != gribchunk::ChunkState::Missing {
            return Some(slot);
        }
    }
    None
}

fn random_range(random: &mut Numbers, length: u64) -> Range<u64> {
    let start = random.below(length as usize) as u64;
    let most = if random.below(3) == 0 { length - start } else { (length - start).min(12) };
    start..start + 1 + random.below(most as usize) as u64
}

/// The part of a chunk that a block is, element by element.
fn part_of(whole: &[f32], shape: &[u64], block: &[Range<u64>]) -> Vec<f32> {
    let mut positions = vec![0u64];
    for (range, length) in block.iter().zip(shape) {
        positions = positions.iter().flat_map(|p| range.clone().map(move |i| p * length + i)).collect();
    }
    positions.iter().map(|&p| whole[p as usize]).collect()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_none_or(|e| e != "json" && e != "index" && e != "idx") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn of_every_packing_and_grid() {
    let mut random = Numbers::new(17);
    let mut files = files_below(&fixture("packing"));
    files.extend(files_below(&fixture("grids")));
    files.push(fixture("submessages.grib2"));
    files.push(fixture("submessages_bitmap.grib2"));
    let mut compared = 0;
    for file in &files {
        compared += parts_of(file, &mut random).await;
    }
    assert!(compared > 150, "{compared}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_every_real_file() {
    let Some(folder) = shared_data("grib") else { return };
    let mut random = Numbers::new(18);
    let mut compared = 0;
    for file in files_below(&folder) {
        compared += parts_of(&file, &mut random).await;
    }
    println!("{compared} parts of real fields agree with the whole");
    assert!(compared > 400, "{compared}");
}
