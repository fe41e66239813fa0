//! Plain Icechunk repositories that other programs wrote open, list and read; references without a checksum are reported as
//! unverified.

use gribchunk::{ChunkState, OpenOptions, Reference, Repository};
use serde_json::Value;

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn repositories_of_other_programs() {
    let Some(shared) = shared_data("icechunk") else { return };
    let (mut virtual_chunks, mut read, mut arrays_seen) = (0, 0, 0);
    for entry in std::fs::read_dir(shared).unwrap() {
        let from = entry.unwrap().path();
        let name = from.file_name().unwrap().to_str().unwrap().to_string();
        let folder = Folder::new("other");
        let path = folder.join(&name);
        copy_directory(&from, &path);
        let repository =
            Repository::open(&path, OpenOptions::default()).await.unwrap_or_else(|e| panic!("{name}: {e:?}"));
        let log = repository.log(&Reference::default(), 100).await.unwrap();
        assert!(!log.is_empty(), "{name}");
        let snapshot = now(&repository).await;
        let arrays = snapshot.arrays().await.unwrap();
        arrays_seen += arrays.len();
        let summary = gribchunk::inspect::show(&snapshot).await.unwrap_or_else(|e| panic!("{name}: {e:?}"));
        assert_eq!(summary.other_arrays.len(), arrays.len(), "{name}");
        let run = run(&["--json", "show", path.to_str().unwrap()]);
        assert_eq!(run.code, Some(0), "{name}: {run:?}");
        let listed: Vec<Value> = run.json()["otherArrays"].as_array().cloned().unwrap_or_default();
        assert_eq!(listed.len(), arrays.len(), "{name}: {}", run.stdout);
        for array in &arrays {
            let states = gribchunk::inspect::chunk_states(&snapshot, array).await.unwrap();
            let mut all_here = true;
            for (index, state) in &states {
                if let ChunkState::Virtual { verified, .. } = state {
                    virtual_chunks += 1;
                    all_here = false;
                    let error = snapshot.chunk_bytes(array, index).await;
                    assert!(error.is_err(), "{name} /{array}: nobody allowed this place (verified: {verified})");
                }
            }
            let whole = snapshot.read_whole(array).await;
            if all_here && whole.is_ok() {
                read += 1;
            }
            println!(
                "{name} /{array}: {} chunks, {}",
                states.len(),
                whole.map_or_else(|e| e.to_string(), |_| "read".into())
            );
        }
    }
    assert!(virtual_chunks > 0 && read > 0 && arrays_seen > 5, "{virtual_chunks} {read} {arrays_seen}");
}
