//! Folders, repositories, and what values should be.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use gribchunk::source::{PatternValues, RemoteOptions, find};
use gribchunk::{IngestOptions, IngestReport, LayoutOptions, OpenOptions, Reference, Repository, Snapshot};

/// A directory of its own for a test, removed afterwards.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        static ONCE: Once = Once::new();
        // SAFETY: set once, before any repository is opened, and only ever read through `std::env`, whose functions exclude
        // each other.
        ONCE.call_once(|| unsafe { std::env::set_var("GRIBCHUNK_STATE", state()) });
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = scratch().join(format!("{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("remote")
}

pub fn state() -> PathBuf {
    scratch().join(format!("state-{}", std::process::id()))
}

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")).join(name)
}

pub fn read_fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixture(name)).unwrap()
}

pub const ENS_STEPS: [i64; 3] = [0, 3, 6];

/// The name of a file of the ENS fixture, moved to a day of November 2026.
pub fn ens_name(day: u8, step: i64, ending: &str) -> String {
    format!("202611{day}000000-{step}h-enfo-ef.{ending}")
}

/// A file of the ENS fixture, moved to a day of November 2026: the same values at another reference time.
pub fn ens_file(day: u8, step: i64, ending: &str) -> Vec<u8> {
    let mut bytes = read_fixture(&format!("ens/{}", ens_name(21, step, ending)));
    if ending == "index" {
        let text = String::from_utf8(bytes).unwrap();
        return text.replace("\"20261121\"", &format!("\"202611{day}\"")).into_bytes();
    }
    // Octet 16 of section 1 is the day; section 0 has 16 octets.
    let starts: Vec<usize> =
        bytes.windows(8).enumerate().filter(|(_, w)| w.starts_with(b"GRIB") && w[7] == 2).map(|(i, _)| i).collect();
    for start in starts {
        bytes[start + 16 + 15] = day;
    }
    bytes
}

/// A cube like the ENS run's, nothing ingested, that reaches remote sources in a way that fails fast.
pub async fn ens_repository(path: &Path, remote: RemoteOptions) -> Repository {
    let options = OpenOptions::default().remote(remote);
    let repository = Repository::create(path, options).await.unwrap();
    let (samples, left_out) = gribchunk::sample(&[fixture("ens").display().to_string()]).unwrap();
    assert_eq!(left_out, Vec::<String>::new());
    gribchunk::init(&repository, &samples, &LayoutOptions::default()).await.unwrap();
    repository
}

/// Options for servers that misbehave.
pub fn impatient() -> RemoteOptions {
    RemoteOptions::default().storage_option("stall_timeout", "1").storage_option("max_retries", "3")
}

pub async fn ingest(repository: &Repository, sources: &[String]) -> IngestReport {
    gribchunk::ingest(repository, sources, &IngestOptions::default(), |_| {}).await.unwrap()
}

pub async fn now(repository: &Repository) -> Snapshot {
    repository.snapshot(&Reference::default()).await.unwrap()
}

pub async fn read_all(snapshot: &Snapshot, array: &str) -> gribchunk::Result<Vec<f32>> {
    let info = snapshot.array(array).await?;
    let region: Vec<_> = info.shape.iter().map(|&length| 0..length).collect();
    snapshot.read(array, &region).await
}

/// Bits, so that NaN equals NaN.
pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// All arrays of the ENS fixture, as they are when the files are ingested from the local disk.
pub async fn local_truth(folder: &Folder) -> Vec<(String, Vec<u32>)> {
    let repository = ens_repository(&folder.join("local"), RemoteOptions::default()).await;
    assert!(ingest(&repository, &[fixture("ens").display().to_string()]).await.is_complete());
    all(&now(&repository).await).await
}

pub async fn all(snapshot: &Snapshot) -> Vec<(String, Vec<u32>)> {
    let mut all = Vec::new();
    for (path, group) in &snapshot.layout().groups {
        for name in group.variables.keys() {
            let array = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let values = read_all(snapshot, &array).await.unwrap();
            all.push((array, bits(&values)));
        }
    }
    all
}

pub async fn found(sources: &[&str], repository: &Repository) -> gribchunk::Result<Vec<String>> {
    let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
    let found = find(&sources, repository.access().remote(), &PatternValues::default()).await?;
    Ok(found.files.iter().map(|file| file.location.to_string()).collect())
}
