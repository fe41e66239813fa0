//! A run that arrives: files become commits when they are whole, and never before; readers are told of every commit, in
//! order; who waits for a selection gets the first snapshot that has it.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gribchunk::live::{WatchEvent, WatchOptions, watch};
use gribchunk::{IngestOptions, Reference, Repository, Selection};

use crate::support::*;

/// A watch in the background, what it told, and its end.
struct Watching {
    told: Arc<Mutex<Vec<WatchEvent>>>,
    task: tokio::task::JoinHandle<gribchunk::Result<gribchunk::live::WatchSummary>>,
}

impl Watching {
    /// Returns when it watches: a file that was there before must settle.
    async fn start(repository: &Repository, landing: &Path, options: WatchOptions) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (repository, landing) = (repository.clone(), vec![landing.display().to_string()]);
        let events = Arc::clone(&told);
        let task = tokio::spawn(async move {
            watch(&repository, &landing, &options, |event| events.lock().unwrap().push(event.clone())).await
        });
        let watching = Self { told, task };
        watching.until("the beginning", |w| !w.told.lock().unwrap().is_empty()).await;
        watching
    }

    /// The commits that were told of.
    fn commits(&self) -> Vec<(Option<String>, Vec<gribchunk::ingest::FileReport>)> {
        let told = self.told.lock().unwrap();
        let commits = told.iter().filter_map(|event| match event {
            WatchEvent::Committed { snapshot, files, .. } => Some((snapshot.clone(), files.clone())),
            _ => None,
        });
        commits.collect()
    }

    async fn until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        for _ in 0..1500 {
            if condition(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{what}: {:?}", self.told.lock().unwrap());
    }
}

/// Nothing settles by itself within a test.
fn patient() -> WatchOptions {
    WatchOptions { settle: Duration::from_secs(3600), timeout: Some(Duration::from_secs(60)), ..Default::default() }
}

fn land(landing: &Path, name: &str, content: &[u8]) {
    let unfinished = landing.join(format!("{name}.tmp"));
    std::fs::write(&unfinished, content).unwrap();
    std::fs::rename(&unfinished, landing.join(name)).unwrap();
}

fn ens_file(step: i64) -> (String, Vec<u8>) {
    let path = fixture(&ens_name(step));
    (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_become_commits_and_readers_are_told() {
    let folder = Folder::new("live");
    let repository = ens_repository(&folder).await;
    let landing = folder.join("landing");
    std::fs::create_dir(&landing).unwrap();
    let mut follower = repository.follow("main").await.unwrap();
    let waiting = {
        let repository = repository.clone();
        let selection = Selection::parse("variable=t2m,step=0:3").unwrap();
        tokio::spawn(async move { repository.wait_for(&selection, Some(Duration::from_secs(60))).await })
    };
    let options = WatchOptions { until_complete: Some(Selection::default()), ..patient() };
    let watching = Watching::start(&repository, &landing, options).await;
    let mut snapshots = Vec::new();
    for (count, step) in [(1, 3), (2, 0), (3, 6)] {
        let (name, content) = ens_file(step);
        land(&landing, &name, &content);
        watching.until("a commit", |w| w.commits().len() == count).await;
        let change = follower.next(Some(Duration::from_secs(10))).await.unwrap().expect("a change");
        let (snapshot, files) = watching.commits().pop().unwrap();
        assert_eq!(Some(&change.entry.id), snapshot.as_ref());
        assert!(!change.gap && change.diff.slots() == files[0].placed && files[0].placed >= 32);
        assert!(change.diff.arrays.iter().any(|a| a.array == "t2m" && a.changes[0].coordinates.contains("step")));
        snapshots.push(change.entry.id);
    }
    let summary = watching.task.await.unwrap().unwrap();
    assert_eq!((summary.files, summary.commits, summary.complete), (3, 3, Some(true)));
    // Steps 0 and 3 were there after the second commit, and the third came too late to be the first that has them.
    assert_eq!(waiting.await.unwrap().unwrap().id(), snapshots[1]);
    assert!(follower.next(Some(Duration::from_millis(50))).await.unwrap().is_none());
    let snapshot = now(&repository).await;
    for truth in [0, 3, 6].into_iter().flat_map(ens_truth) {
        assert_eq!(slot_hash(&snapshot, &truth).await.as_ref(), Some(&truth.hash));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_still_written_waits() {
    let folder = Folder::new("growing");
    let repository = ens_repository(&folder).await;
    let landing = folder.join("landing");
    std::fs::create_dir_all(landing.join("deep/down")).unwrap();
    // A circle, a name that says that it is not finished, a file that is no GRIB.
    std::os::unix::fs::symlink(&landing, landing.join("deep/circle")).unwrap();
    let (name, content) = ens_file(0);
    std::fs::write(landing.join("other.grib2.part"), &content).unwrap();
    std::fs::write(landing.join("notes"), "no message").unwrap();
    let watching = Watching::start(&repository, &landing, patient()).await;
    let path = landing.join("deep/down").join(&name);
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&content[..content.len() / 2]).unwrap();
    file.flush().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(watching.commits().is_empty(), "half a file was taken: {:?}", watching.commits());
    file.write_all(&content[content.len() / 2..]).unwrap();
    drop(file);
    watching.until("the whole file", |w| w.commits().len() == 1).await;
    assert_eq!(watching.commits()[0].1[0].placed, 32);
    // The same content again changes nothing that readers see; other content is a correction.
    let before = now(&repository).await.id();
    land(&landing.join("deep/down"), &name, &ens_file(0).1);
    watching.until("the file again", |w| w.commits().len() == 2).await;
    let (other_name, other) = ens_file(3);
    land(&landing.join("deep/down"), &name, &[content.clone(), other].concat());
    watching.until("the longer file", |w| w.commits().len() == 3).await;
    assert_eq!(watching.commits()[2].1[0].placed, 32 + 36, "{other_name} was appended");
    assert_ne!(now(&repository).await.id(), before);
    watching.task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_reported_and_tried_again() {
    let folder = Folder::new("damaged");
    let repository = ens_repository(&folder).await;
    let landing = folder.join("landing");
    std::fs::create_dir(&landing).unwrap();
    let options = WatchOptions { settle: Duration::from_millis(300), ..patient() };
    let watching = Watching::start(&repository, &landing, options).await;
    let (name, content) = ens_file(0);
    // It was renamed into place, but it does not end with a message: it counts when it does not change for a while.
    land(&landing, &name, &content[..content.len() - 500]);
    watching.until("a report", |w| w.commits().len() == 1).await;
    let first = watching.commits()[0].1[0].clone();
    assert!(first.placed == 31 && first.refused.len() == 1 && !first.is_complete(), "{first:?}");
    let (other_name, other) = ens_file(3);
    land(&landing, &other_name, &other);
    watching.until("the next file", |w| w.commits().len() == 2).await;
    land(&landing, &name, &content);
    watching.until("the repaired file", |w| w.commits().len() == 3).await;
    assert!(watching.commits()[2].1[0].is_complete());
    let snapshot = now(&repository).await;
    for truth in [0, 3].into_iter().flat_map(ens_truth) {
        assert_eq!(slot_hash(&snapshot, &truth).await.as_ref(), Some(&truth.hash));
    }
    watching.task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_shares_commits() {
    let folder = Folder::new("burst");
    let repository = ens_repository(&folder).await;
    let landing = folder.join("landing");
    std::fs::create_dir(&landing).unwrap();
    let options = WatchOptions { until_complete: Some(Selection::default()), ..patient() };
    let watching = Watching::start(&repository, &landing, options).await;
    let mut count = 0;
    for step in [0, 3, 6] {
        let (_, content) = ens_file(step);
        for truth in ens_truth(step) {
            let (start, end) = (truth.offset as usize, (truth.offset + truth.length) as usize);
            land(&landing, &format!("{step}-{start}.grib2"), &content[start..end]);
            count += 1;
        }
    }
    let summary = watching.task.await.unwrap().unwrap();
    assert_eq!((summary.fields, summary.complete), (count, Some(true)));
    assert!(summary.commits <= count / 2, "{} commits for {count} files", summary.commits);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_skips_nothing() {
    let folder = Folder::new("follower");
    let repository = ens_repository(&folder).await;
    let mut follower = repository.follow("main").await.unwrap();
    let sources = folder.copy_ens();
    let writers: Vec<_> = sources
        .iter()
        .cloned()
        .map(|source| {
            let repository = repository.clone();
            tokio::spawn(async move {
                for round in 0..8 {
                    // Another modification time is another version of the file.
                    set_modified(&source, std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + round));
                    gribchunk::ingest(&repository, std::slice::from_ref(&source), &IngestOptions::default(), |_| {})
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    let mut seen = Vec::new();
    while seen.len() < 24 {
        let change = follower.next(Some(Duration::from_secs(30))).await.unwrap().expect("a change");
        assert!(!change.gap);
        seen.push(change.entry.id);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let log = repository.log(&Reference::default(), 24).await.unwrap();
    let committed: Vec<String> = log.into_iter().rev().map(|entry| entry.id).collect();
    assert_eq!(seen, committed);
    let late =
        repository.wait_for(&Selection::parse("time=2031010100").unwrap(), Some(Duration::from_millis(50))).await;
    let error = late.unwrap_err().to_string();
    assert!(error.contains("2031010100"), "{error}");
}

/// Every call can be awaited in a task of a runtime with several threads. This is checked by the compiler: nothing runs.
#[allow(dead_code)]
fn futures_can_be_spawned(repository: &Repository, snapshot: &gribchunk::Snapshot, selection: &Selection) {
    fn send<T: Send>(_: T) {}
    let sources = ["run".to_string()];
    send(gribchunk::ingest(repository, &sources, &IngestOptions::default(), |_| {}));
    send(gribchunk::materialise(repository, &gribchunk::MaterialiseOptions::default()));
    send(gribchunk::allocate(repository, &[0]));
    send(gribchunk::inspect::coverage(snapshot, Some(selection)));
    send(gribchunk::inspect::diff(repository, &Reference::default(), &Reference::default()));
    send(gribchunk::inspect::show(snapshot));
    send(repository.snapshot(&Reference::default()));
    send(repository.wait_for(selection, None));
    send(repository.follow("main"));
    send(repository.log(&Reference::default(), 1));
    send(snapshot.read("t2m", &[]));
    send(snapshot.read_outer("t2m", &[]));
    send(snapshot.read_chunk("t2m", &[]));
    send(snapshot.chunk_bytes("t2m", &[]));
}
