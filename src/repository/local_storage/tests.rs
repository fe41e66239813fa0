//! Promise 4: an acknowledged commit is never lost, whatever other writers do and whenever a writer is killed.
//!
//! The scenarios with processes start this test binary again: `child` below is the program of the writers.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::TryStreamExt as _;
use icechunk::config::RepositoryConfig;
use icechunk::conflicts::detector::ConflictDetector;
use icechunk::repository::VersionInfo as Version;
use icechunk::{Repository, Store};
use icechunk_storage::{
    GetModifiedResult, Storage, StorageContext, StorageErrorKind, VersionInfo, VersionedUpdateResult,
};
use tokio::io::AsyncReadExt as _;

use super::*;

/// A directory that is removed when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("gribchunk-local-{name}-{}-{number}", std::process::id()));
        let _old = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

type AnyStorage = Arc<dyn Storage + Send + Sync>;

async fn new_storage(path: &Path) -> AnyStorage {
    let storage = local_storage(path).await.unwrap();
    storage.create_location_if_needed().await.unwrap();
    storage
}

async fn put(storage: &AnyStorage, key: &str, bytes: &[u8], previous: Option<&VersionInfo>) -> VersionedUpdateResult {
    let settings = storage.default_settings().await.unwrap();
    let context = StorageContext::unattributed(&settings);
    storage.put_object(&context, key, Bytes::copy_from_slice(bytes), None, vec![], previous).await.unwrap()
}

async fn put_new(storage: &AnyStorage, key: &str, bytes: &[u8]) -> VersionInfo {
    put(storage, key, bytes, None).await.must_write().unwrap()
}

async fn get(
    storage: &AnyStorage,
    key: &str,
    range: Option<Range<u64>>,
) -> Result<(Vec<u8>, VersionInfo), StorageErrorKind> {
    let settings = storage.default_settings().await.unwrap();
    let context = StorageContext::unattributed(&settings);
    let (mut reader, version) = storage.get_object(&context, key, range.as_ref()).await.map_err(|error| error.kind)?;
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).await.unwrap();
    Ok((bytes, version))
}

async fn list(storage: &AnyStorage, prefix: &str) -> Vec<String> {
    let settings = storage.default_settings().await.unwrap();
    let context = StorageContext::unattributed(&settings);
    let objects = storage.list_objects(&context, prefix).await.unwrap();
    let mut keys: Vec<String> = objects.map_ok(|object| object.id).try_collect().await.unwrap();
    keys.sort();
    keys
}

#[tokio::test]
async fn objects_are_put_read_listed_copied_and_deleted() {
    let scratch = Scratch::new("conformance");
    let storage = new_storage(&scratch.0).await;
    let settings = storage.default_settings().await.unwrap();
    let context = StorageContext::unattributed(&settings);
    assert!(storage.root_is_clean(&context).await.unwrap());

    put_new(&storage, "chunks/A", b"0123456789").await;
    put_new(&storage, "chunks/B", b"").await;
    let version = put_new(&storage, "repo", b"first").await;
    assert_eq!(get(&storage, "chunks/A", None).await.unwrap().0, b"0123456789");
    assert_eq!(get(&storage, "chunks/A", Some(2..5)).await.unwrap().0, b"234");
    assert_eq!(get(&storage, "chunks/A", Some(0..10)).await.unwrap().0, b"0123456789");
    assert_eq!(get(&storage, "chunks/B", None).await.unwrap().0, b"");
    assert_eq!(get(&storage, "repo", Some(1..3)).await.unwrap(), (b"ir".to_vec(), version.clone()));
    assert!(matches!(get(&storage, "chunks/A", Some(8..11)).await, Err(StorageErrorKind::ObjectStore(_))));
    assert!(matches!(get(&storage, "chunks/C", None).await, Err(StorageErrorKind::ObjectNotFound)));
    assert!(matches!(get(&storage, "chunks", None).await, Err(StorageErrorKind::ObjectNotFound)));
    let age = Utc::now() - storage.get_object_last_modified(&context, "chunks/A").await.unwrap();
    assert!(age.num_seconds().abs() < 60);

    assert!(!storage.root_is_clean(&context).await.unwrap());
    assert_eq!(list(&storage, "").await, ["chunks/A", "chunks/B", "repo"]);
    assert_eq!(list(&storage, "chunks").await, ["A", "B"]);
    assert_eq!(list(&storage, "manifests").await, Vec::<String>::new());

    let copied = storage.copy_object(&context, "repo", "overwritten/repo.1", None, &version).await.unwrap();
    assert_eq!(copied, VersionedUpdateResult::Updated { new_version: version.clone() });
    put_new(&storage, "repo", b"second").await;
    assert_eq!(get(&storage, "overwritten/repo.1", None).await.unwrap().0, b"first");
    let copied = storage.copy_object(&context, "repo", "overwritten/repo.2", None, &version).await.unwrap();
    assert_eq!(copied, VersionedUpdateResult::NotOnLatestVersion);
    assert_eq!(list(&storage, "overwritten").await, ["repo.1"]);
    storage.copy_object(&context, "chunks/A", "a/b/c", None, &VersionInfo::for_creation()).await.unwrap();
    assert_eq!(get(&storage, "a/b/c", None).await.unwrap().0, b"0123456789");

    let batch = vec![("A".to_owned(), 10), ("B".to_owned(), 0), ("gone".to_owned(), 7)];
    let deleted = storage.delete_batch(&context, "chunks", batch).await.unwrap();
    assert_eq!((deleted.deleted_objects, deleted.deleted_bytes), (3, 10));
    assert_eq!(list(&storage, "").await, ["a/b/c", "overwritten/repo.1", "repo"]);
}

#[tokio::test]
async fn conditions_hold_whatever_the_settings_say() {
    let scratch = Scratch::new("conditions");
    let storage = new_storage(&scratch.0).await;
    let settings = Settings {
        unsafe_use_conditional_update: Some(false),
        unsafe_use_conditional_create: Some(false),
        ..Settings::default()
    };
    let context = StorageContext::unattributed(&settings);
    for key in ["repo", "chunks/A", "refs/branch.main/ref.json"] {
        let absent = VersionInfo::for_creation();
        let put = |bytes: &'static [u8], previous: VersionInfo| {
            let (storage, context) = (Arc::clone(&storage), context);
            async move {
                let previous = Some(&previous);
                storage.put_object(&context, key, bytes.into(), None, vec![], previous).await.unwrap()
            }
        };
        let first = put(b"one", absent.clone()).await.must_write().unwrap();
        assert_eq!(put(b"two", absent).await, VersionedUpdateResult::NotOnLatestVersion);
        let second = put(b"2.0", first.clone()).await.must_write().unwrap();
        assert_ne!(first, second);
        assert_eq!(put(b"3.0", first).await, VersionedUpdateResult::NotOnLatestVersion);
        assert_eq!(get(&storage, key, None).await.unwrap(), (b"2.0".to_vec(), second.clone()));
        let again = storage.get_object_conditional(&context, key, Some(&second)).await.unwrap();
        assert!(matches!(again, GetModifiedResult::OnLatestVersion));
        storage.delete_batch(&context, "", vec![(key.to_owned(), 3)]).await.unwrap();
        assert_eq!(put(b"4.0", second).await, VersionedUpdateResult::NotOnLatestVersion);
    }
}

/// Size and time are the same, as they can be on a disk with a coarse clock: only the content tells.
#[tokio::test]
async fn a_version_is_stronger_than_size_and_time() {
    let scratch = Scratch::new("version");
    let storage = new_storage(&scratch.0).await;
    let first = put_new(&storage, "repo", b"aaaa").await;
    let path = scratch.0.join("repo");
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(&path, b"bbbb").unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert_eq!(put(&storage, "repo", b"cccc", Some(&first)).await, VersionedUpdateResult::NotOnLatestVersion);
}

#[tokio::test]
async fn no_key_leads_out_of_the_repository() {
    let scratch = Scratch::new("confined");
    let root = scratch.0.join("repository");
    std::fs::create_dir_all(&scratch.0).unwrap();
    let secret = scratch.0.join("secret");
    std::fs::write(&secret, b"secret").unwrap();
    let storage = new_storage(&root).await;
    for key in ["../secret", "chunks/../../secret", secret.to_str().unwrap(), "..\\secret"] {
        assert!(matches!(get(&storage, key, None).await, Err(StorageErrorKind::ObjectNotFound)), "{key}");
        put_new(&storage, key, b"mine").await;
        assert_eq!(get(&storage, key, None).await.unwrap().0, b"mine");
    }
    assert_eq!(std::fs::read(&secret).unwrap(), b"secret");
    assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 2);

    std::os::unix::fs::symlink(&scratch.0, root.join("manifests")).unwrap();
    std::os::unix::fs::symlink(&secret, root.join("config.yaml")).unwrap();
    let settings = storage.default_settings().await.unwrap();
    let context = StorageContext::unattributed(&settings);
    for key in ["manifests/secret", "config.yaml", "", ".gribchunk/lock#0", ".gribchunk"] {
        assert!(matches!(get(&storage, key, None).await, Err(StorageErrorKind::ObjectStore(_))), "{key}");
    }
    let escaped = storage.put_object(&context, "manifests/secret", Bytes::new(), None, vec![], None).await;
    assert!(escaped.unwrap_err().to_string().contains("not a plain file or directory"));
    let deleted = storage.delete_batch(&context, "manifests", vec![("secret".to_owned(), 1)]).await.unwrap();
    assert_eq!(deleted.deleted_objects, 0);
    assert_eq!(std::fs::read(&secret).unwrap(), b"secret");
    assert!(!list(&storage, "").await.iter().any(|key| key.contains("config") || key.starts_with("manifests")));
}

/// What `repo` points to must be on the disk before `repo` is, names included.
#[test]
fn everything_is_synchronised_before_the_pointer_is_replaced() {
    let scratch = Scratch::new("order");
    let directory = ObjectDirectory::new(scratch.0.clone(), LocalStorageOptions::default());
    directory.create_root().unwrap();
    let first = directory.put("repo", b"0", &Precondition::Absent).unwrap().unwrap();
    directory.put("chunks/A", b"chunk", &Precondition::None).unwrap();
    directory.put("snapshots/S", b"snapshot", &Precondition::None).unwrap();
    assert_eq!(directory.copy("repo", "overwritten/repo.1", Some(&first)).unwrap(), Some(true));
    directory.steps.lock().unwrap().clear();
    directory.put("chunks/B", b"chunk", &Precondition::None).unwrap();
    directory.put("manifests/M", b"manifest", &Precondition::None).unwrap();
    directory.put("repo", b"1", &Precondition::Version(first)).unwrap().unwrap();

    let steps = directory.steps.lock().unwrap().clone();
    let position =
        |what: &str| steps.iter().position(|step| step == what).unwrap_or_else(|| panic!("{what}: {steps:?}"));
    let renamed = position("rename repo");
    for before in ["chunks", "snapshots", "overwritten"] {
        let synchronised = position(&format!("sync directory {before}"));
        assert!(position("rename chunks/B") < synchronised && synchronised < renamed, "{steps:?}");
    }
    let chunk = steps.iter().position(|step| step.starts_with("sync file .gribchunk")).unwrap();
    let repo = steps.iter().rposition(|step| step.starts_with("sync file .gribchunk")).unwrap();
    assert!(chunk < position("rename chunks/B") && chunk < repo && repo < renamed, "{steps:?}");
    assert!(position("sync file manifests/M") < renamed, "{steps:?}");
    assert!(steps.iter().rposition(|step| step == "sync directory ").unwrap() > renamed, "{steps:?}");

    let options = LocalStorageOptions::default().durability(Durability::ProcessCrashOnly);
    let quick = ObjectDirectory::new(scratch.0.clone(), options);
    quick.put("repo", b"2", &Precondition::None).unwrap();
    assert_eq!(*quick.steps.lock().unwrap(), ["rename repo"]);
}

#[tokio::test]
async fn only_abandoned_staged_files_are_removed() {
    let scratch = Scratch::new("abandoned");
    let storage = new_storage(&scratch.0).await;
    put_new(&storage, "repo", b"1").await;
    let own = scratch.0.join(".gribchunk");
    for (name, minutes) in [("1-1#1", 61), ("1-2#1", 59), ("lock#0", 600), ("notes", 600)] {
        let file = std::fs::File::create(own.join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60 * minutes)).unwrap();
    }
    let future = std::fs::File::create(own.join("1-3#1")).unwrap();
    future.set_modified(SystemTime::now() + Duration::from_secs(7200)).unwrap();
    assert_eq!(clean_temporary_files(&scratch.0).await.unwrap(), 1);
    for (name, there) in [("1-1#1", false), ("1-2#1", true), ("1-3#1", true), ("lock#0", true), ("notes", true)] {
        assert_eq!(own.join(name).exists(), there, "{name}");
    }
    assert_eq!(list(&storage, "").await, ["repo"]);
}

/// Larger than a piece, so that it arrives in several.
#[tokio::test]
async fn large_objects_arrive_whole() {
    let scratch = Scratch::new("large");
    let storage = new_storage(&scratch.0).await;
    let bytes: Vec<u8> = (0..(2 * PIECE + 12_345)).map(|index| (index / 251) as u8).collect();
    put_new(&storage, "chunks/L", &bytes).await;
    assert!(get(&storage, "chunks/L", None).await.unwrap().0 == bytes);
    let size = bytes.len() as u64;
    assert!(get(&storage, "chunks/L", Some(1..size)).await.unwrap().0 == bytes[1..]);
    put_new(&storage, "repo", &bytes).await;
    assert!(get(&storage, "repo", Some(5..PIECE + 9)).await.unwrap().0 == bytes[5..PIECE as usize + 9]);
}

#[tokio::test]
async fn errors_name_the_file_and_the_remedy() {
    let scratch = Scratch::new("errors");
    let storage = local_storage(&scratch.0.join("not/there")).await.unwrap();
    let settings = storage.default_settings().await.unwrap();
    let context = StorageContext::unattributed(&settings);
    let error = storage.put_object(&context, "repo", Bytes::new(), None, vec![], None).await.unwrap_err().to_string();
    assert!(error.contains("not/there") && error.contains("create the repository first"), "{error}");
    assert!(!scratch.0.exists(), "only create_location_if_needed makes the directory");
    std::fs::write(&scratch.0, b"a file").unwrap();
    let error = local_storage(&scratch.0).await.unwrap_err();
    assert!(matches!(error, LocalStorageError::NotADirectory { .. }), "{error}");
    let error = local_storage(&scratch.0.join("below")).await.unwrap_err();
    assert!(matches!(error, LocalStorageError::NotADirectory { .. }), "{error}");
    std::fs::remove_file(&scratch.0).unwrap();
}

#[tokio::test]
async fn it_serialises_under_its_own_name() {
    let scratch = Scratch::new("serde");
    let storage = new_storage(&scratch.0).await;
    put_new(&storage, "repo", b"1").await;
    let text = serde_json::to_string(&storage).unwrap();
    assert!(text.contains(r#""type":"gribchunk_local""#), "{text}");
    let again: AnyStorage = serde_json::from_str(&text).unwrap();
    assert_eq!(get(&again, "repo", None).await.unwrap().0, b"1");
}

const ARRAY: &str = r#"{"zarr_format":3,"node_type":"array","shape":[4096],"data_type":"uint8",
    "chunk_grid":{"name":"regular","configuration":{"chunk_shape":[1]}},
    "chunk_key_encoding":{"name":"default","configuration":{"separator":"/"}},"fill_value":0,
    "codecs":[{"name":"bytes"}],"attributes":{}}"#;
const GROUP: &str = r#"{"zarr_format":3,"node_type":"group","attributes":{}}"#;

async fn create_repository(storage: AnyStorage) -> Repository {
    // Chunks are objects of their own, so that every commit writes one.
    let config = RepositoryConfig { inline_chunk_threshold_bytes: Some(0), ..RepositoryConfig::default() };
    let repository = Repository::create(storage).config(config).execute().await.unwrap();
    repository.save_config().await.unwrap();
    let session = repository.writable_session("main").await.unwrap();
    let session = Arc::new(tokio::sync::RwLock::new(session));
    let store = Store::from_session(Arc::clone(&session)).await;
    store.set("zarr.json", GROUP.into()).await.unwrap();
    store.set("a/zarr.json", ARRAY.into()).await.unwrap();
    session.write().await.commit("arrays").execute().await.unwrap();
    repository
}

async fn open_repository(path: &Path) -> Repository {
    Repository::open(local_storage(path).await.unwrap()).execute().await.unwrap()
}

/// Commits one chunk, over whatever others committed meanwhile, and returns the snapshot.
async fn commit_chunk(repository: &Repository, chunk: usize) -> String {
    let session = repository.writable_session("main").await.unwrap();
    let session = Arc::new(tokio::sync::RwLock::new(session));
    let store = Store::from_session(Arc::clone(&session)).await;
    store.set(&format!("a/c/{chunk}"), Bytes::from(vec![(chunk % 251) as u8 + 1])).await.unwrap();
    let mut session = session.write().await;
    session.commit(format!("{chunk}")).rebase(&ConflictDetector, 1000).execute().await.unwrap().to_string()
}

async fn ancestry(repository: &Repository) -> HashSet<String> {
    let main = repository.lookup_branch("main").await.unwrap();
    let ancestry = repository.ancestry(&Version::SnapshotId(main)).await.unwrap();
    ancestry.map_ok(|snapshot| snapshot.id.to_string()).try_collect().await.unwrap()
}

/// Reads the chunks and returns those that do not have the value that was committed.
async fn wrong_chunks(repository: &Repository, chunks: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let session = repository.readonly_session(&Version::BranchTipRef("main".to_owned())).await.unwrap();
    let store = Store::from_session(Arc::new(tokio::sync::RwLock::new(session))).await;
    let mut wrong = Vec::new();
    for chunk in chunks {
        let value = store.get(&format!("a/c/{chunk}"), &icechunk::format::ByteRange::ALL).await.ok();
        if value.as_deref() != Some(&[(chunk % 251) as u8 + 1]) {
            wrong.push(chunk);
        }
    }
    wrong
}

#[tokio::test]
async fn plain_icechunk_reads_what_it_wrote() {
    let scratch = Scratch::new("plain");
    let repository = create_repository(new_storage(&scratch.0).await).await;
    let snapshot = commit_chunk(&repository, 7).await;
    drop(repository);
    let again = open_repository(&scratch.0).await;
    assert!(ancestry(&again).await.contains(&snapshot));
    assert_eq!(wrong_chunks(&again, [7]).await, Vec::<usize>::new());

    std::fs::write(scratch.0.join(".gribchunk/1-1#1"), b"left behind").unwrap();
    let plain = icechunk::new_local_filesystem_storage(&scratch.0).await.unwrap();
    assert_eq!(list(&plain, "").await, list(&local_storage(&scratch.0).await.unwrap(), "").await);
    let plain = Repository::open(plain).execute().await.unwrap();
    assert!(ancestry(&plain).await.contains(&snapshot));
    assert_eq!(wrong_chunks(&plain, [7]).await, Vec::<usize>::new());
}

/// The program of a writer process: commits chunks `first..first + count` and prints each snapshot once acknowledged.
#[tokio::test]
async fn child() {
    let Some(path) = std::env::var_os("GRIBCHUNK_TEST_WRITER") else { return };
    let number = |name: &str| std::env::var(name).unwrap().parse::<usize>().unwrap();
    let (first, count) = (number("GRIBCHUNK_TEST_FIRST"), number("GRIBCHUNK_TEST_COUNT"));
    let durability = match std::env::var("GRIBCHUNK_TEST_DURABILITY").unwrap().as_str() {
        "Full" => Durability::Full,
        _ => Durability::ProcessCrashOnly,
    };
    let options = LocalStorageOptions::default().durability(durability);
    let storage = local_storage_with(Path::new(&path), options).await.unwrap();
    let repository = Repository::open(storage).execute().await.unwrap();
    for chunk in first..first + count {
        let snapshot = commit_chunk(&repository, chunk).await;
        println!("\nacknowledged {chunk} {snapshot}");
    }
}

fn spawn_writer(path: &Path, first: usize, count: usize, durability: Durability) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{}::child", module_path!().split_once("::").unwrap().1), "--nocapture"])
        .env("GRIBCHUNK_TEST_WRITER", path)
        .env("GRIBCHUNK_TEST_FIRST", first.to_string())
        .env("GRIBCHUNK_TEST_COUNT", count.to_string())
        .env("GRIBCHUNK_TEST_DURABILITY", format!("{durability:?}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The commits that a writer acknowledged on a line of its own, which a kill may have cut off.
fn acknowledged(child: &mut Child) -> HashMap<usize, String> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (word, chunk, snapshot) = (words.next()?, words.next()?, words.next()?);
            (word == "acknowledged" && snapshot.len() == 20).then(|| (chunk.parse().unwrap(), snapshot.to_owned()))
        })
        .collect()
}

/// Lets `writers` processes commit at once, and checks that nothing is lost..
async fn race(writers: usize, commits_of_each: usize, durability: Durability) {
    let scratch = Scratch::new("race");
    create_repository(new_storage(&scratch.0).await).await;
    let start = Instant::now();
    let mut children: Vec<Child> = (0..writers)
        .map(|writer| spawn_writer(&scratch.0, writer * commits_of_each, commits_of_each, durability))
        .collect();
    let mut commits = HashMap::new();
    for child in &mut children {
        commits.extend(acknowledged(child));
        assert!(child.wait().unwrap().success());
    }
    let rate = commits.len() as f64 / start.elapsed().as_secs_f64();
    let repository = open_repository(&scratch.0).await;
    let history = ancestry(&repository).await;
    let lost = commits.values().filter(|snapshot| !history.contains(*snapshot)).count();
    println!("{} commits acknowledged to {writers} processes, {lost} lost, {rate:.0} a second", commits.len());
    assert_eq!((commits.len(), lost), (writers * commits_of_each, 0));
    assert_eq!(wrong_chunks(&repository, commits.keys().copied()).await, Vec::<usize>::new());
    assert_eq!(std::fs::read_dir(scratch.0.join(".gribchunk")).unwrap().count(), 1, "only the lock is left");
}

/// Without waiting for the disk there are more conflicts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_lose_no_commit() {
    race(4, 100, Durability::ProcessCrashOnly).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_no_commit_and_tear_no_object() {
    const ROUNDS: usize = 20;
    let scratch = Scratch::new("kill");
    create_repository(new_storage(&scratch.0).await).await;
    let mut commits = HashMap::new();
    let mut random = SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    for round in 0..ROUNDS {
        let first = round * 200;
        let mut writer = spawn_writer(&scratch.0, first, 200, Durability::Full);
        // xorshift64; a fixed seed would not make the moments of the kills repeatable.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_micros(40_000 + random % 160_000));
        writer.kill().unwrap();
        writer.wait().unwrap();
        commits.extend(acknowledged(&mut writer));
        let repository = open_repository(&scratch.0).await;
        let begun = Instant::now();
        let after = first + 199;
        commits.insert(after, commit_chunk(&repository, after).await);
        assert!(begun.elapsed() < Duration::from_secs(2), "the next writer waited {:?}", begun.elapsed());
    }
    let repository = open_repository(&scratch.0).await;
    let history = ancestry(&repository).await;
    let lost = commits.values().filter(|snapshot| !history.contains(*snapshot)).count();
    let wrong = wrong_chunks(&repository, commits.keys().copied()).await;
    println!("{ROUNDS} kills, {} commits acknowledged, {lost} lost", commits.len());
    assert_eq!((lost, wrong), (0, vec![]));
    assert!(commits.len() > 2 * ROUNDS, "the writers were killed before they wrote: {}", commits.len());
    // Every snapshot that has a name can be read, those of commits that were cut off included.
    for object in list(&repository.storage().clone(), "snapshots").await {
        let id = object.as_str().try_into().unwrap();
        repository.asset_manager().fetch_snapshot(&id).await.unwrap_or_else(|error| panic!("{object}: {error}"));
    }
}

/// Not a test: `cargo test --release -- --ignored measure_commits --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure_commits() {
    const COMMITS: usize = 100;
    let process_crash_only = LocalStorageOptions::default().durability(Durability::ProcessCrashOnly);
    for round in 0..2 {
        for name in ["icechunk", "full", "process crash only"] {
            let scratch = Scratch::new("measure");
            let storage: AnyStorage = match name {
                "icechunk" => icechunk::new_local_filesystem_storage(&scratch.0).await.unwrap(),
                "full" => local_storage(&scratch.0).await.unwrap(),
                _ => local_storage_with(&scratch.0, process_crash_only).await.unwrap(),
            };
            let repository = create_repository(storage).await;
            let mut times = Vec::new();
            for chunk in 0..COMMITS {
                let begun = Instant::now();
                commit_chunk(&repository, chunk).await;
                times.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            times.sort_by(f64::total_cmp);
            let (median, p95) = (times[COMMITS / 2], times[COMMITS * 95 / 100]);
            println!("round {round}, {name}: {median:.2} ms a commit of one chunk (p95 {p95:.2})");
        }
    }
}

/// Not a test: `cargo test --release -- --ignored measure_writers --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn measure_writers() {
    for writers in [1, 2, 4, 8] {
        race(writers, 400 / writers, Durability::Full).await;
    }
}
