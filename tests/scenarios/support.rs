//! Folders, fixtures, what the values should be, and the command.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use gribchunk::{IngestOptions, IngestReport, LayoutOptions, OpenOptions, Reference, Repository, Snapshot};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A directory of its own for a test, removed afterwards.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        remember_in_the_scratch_directory();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = scratch().join(format!("{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Copies a fixture, and the sidecar beside it. Returns the copy's path.
    pub fn copy(&self, name: &str) -> String {
        let from = fixture(name);
        for sidecar in [from.with_extension("index"), PathBuf::from(format!("{}.idx", from.display()))] {
            if sidecar.exists() && sidecar != from {
                std::fs::copy(&sidecar, self.join(sidecar.file_name().unwrap().to_str().unwrap())).unwrap();
            }
        }
        let to = self.join(from.file_name().unwrap().to_str().unwrap());
        std::fs::copy(&from, &to).unwrap();
        to.display().to_string()
    }

    /// Copies the ENS run, step by step.
    pub fn copy_ens(&self) -> Vec<String> {
        ENS_STEPS.iter().map(|step| self.copy(&ens_name(*step))).collect()
    }

    pub fn write(&self, name: &str, content: &[u8]) -> String {
        let path = self.join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("scenarios")
}

/// Which sources were allowed is remembered per user: not in the home directory of who runs the tests.
fn remember_in_the_scratch_directory() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the variable is set once, before any repository is opened, and only ever read through `std::env`,
        // whose functions exclude each other.
        unsafe { std::env::set_var("GRIBCHUNK_STATE", state()) }
    });
}

fn state() -> PathBuf {
    scratch().join(format!("state-{}", std::process::id()))
}

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")).join(name)
}

/// A file of the larger collection; `None`, and a message, where that is not there.
pub fn shared_data(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("GRIBCHUNK_SHARED_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")), PathBuf::from);
    let path = folder.join(name);
    if !path.exists() {
        println!("skipped: no shared data");
        return None;
    }
    Some(path)
}

/// ecCodes' reading of a GRIB file.
pub fn expected(path: &Path) -> Value {
    let path = PathBuf::from(format!("{}.expected.json", path.display()));
    serde_json::from_slice(&std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))).unwrap()
}

/// SHA-256 of the values as little-endian float32.
pub fn hash(values: &[f32]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    hex(&bytes)
}

pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn is_nan(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_nan())
}

pub const ENS_STEPS: [i64; 3] = [0, 3, 6];

pub fn ens_name(step: i64) -> String {
    format!("ens/20261121000000-{step}h-enfo-ef.grib2")
}

/// Where a field of a fixture belongs, and the hash of its values: from ecCodes' reading alone.
#[derive(Debug, Clone)]
pub struct Truth {
    pub array: String,
    pub index: Vec<u32>,
    pub hash: String,
    pub offset: u64,
    pub length: u64,
}

/// The fields of the ENS fixture at a step; the grid's message order is the array's.
pub fn ens_truth(step: i64) -> Vec<Truth> {
    let step_index = ENS_STEPS.iter().position(|s| *s == step).unwrap() as u32;
    truth(&fixture(&ens_name(step)), step_index)
}

/// The fields of a file in the manner of the ENS fixture: 850 hPa stands before 500 hPa.
fn truth(path: &Path, step_index: u32) -> Vec<Truth> {
    let fields = expected(path)["field"].as_array().unwrap().clone();
    let of = |field: &Value| {
        let array = match field["shortName"].as_str().unwrap() {
            "2t" => "t2m",
            "10u" => "u10",
            "10v" => "v10",
            other => other,
        };
        let mut index = vec![0, step_index, field["number"].as_u64().unwrap() as u32];
        if field["typeOfLevel"] == "isobaricInhPa" {
            index.push(u32::from(field["level"] == 500));
        }
        Truth {
            array: array.to_string(),
            index,
            hash: field["values"]["sha256_f32le"].as_str().unwrap().to_string(),
            offset: field["offset"].as_u64().unwrap(),
            length: field["length"].as_u64().unwrap(),
        }
    };
    fields.iter().map(of).collect()
}

/// A repository with the cube of the ENS run, nothing ingested.
pub async fn ens_repository(folder: &Folder) -> Repository {
    let repository = Repository::create(folder.join("repository"), OpenOptions::default()).await.unwrap();
    let (samples, left_out) = gribchunk::sample(&[fixture("ens").display().to_string()]).unwrap();
    assert_eq!(left_out, Vec::<String>::new());
    gribchunk::init(&repository, &samples, &LayoutOptions::default()).await.unwrap();
    repository
}

pub async fn now(repository: &Repository) -> Snapshot {
    repository.snapshot(&Reference::default()).await.unwrap()
}

pub async fn ingest(repository: &Repository, sources: &[String]) -> IngestReport {
    ingest_with(repository, sources, &IngestOptions::default()).await
}

pub async fn ingest_with(repository: &Repository, sources: &[String], options: &IngestOptions) -> IngestReport {
    gribchunk::ingest(repository, sources, options, |_| {}).await.unwrap()
}

/// The hash of a slot's values; `None` for a missing slot.
pub async fn slot_hash(snapshot: &Snapshot, truth: &Truth) -> Option<String> {
    snapshot.read_chunk(&truth.array, &truth.index).await.unwrap().map(|values| hash(&values))
}

/// All values of an array.
pub async fn read_all(snapshot: &Snapshot, array: &str) -> gribchunk::Result<Vec<f32>> {
    let info = snapshot.array(array).await?;
    let region: Vec<_> = info.shape.iter().map(|&length| 0..length).collect();
    snapshot.read(array, &region).await
}

/// What a command did.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Standard output as one JSON object.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// Standard output as one JSON object a line.
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }
}

/// The command, which remembers its sources where the tests do.
pub fn gribchunk() -> Command {
    remember_in_the_scratch_directory();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gribchunk"));
    command.env("GRIBCHUNK_STATE", state()).env_remove("GRIBCHUNK_ALLOW");
    command
}

/// Runs the command to its end.
pub fn run<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Run {
    let output = gribchunk().args(arguments).output().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Copies a directory with all that is in it.
pub fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        if path.is_dir() {
            copy_directory(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Gives a file the modification time of another moment.
pub fn set_modified(path: &str, time: std::time::SystemTime) {
    std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

pub fn modified(path: &str) -> std::time::SystemTime {
    std::fs::metadata(path).unwrap().modified().unwrap()
}

/// A numbers generator that gives the same numbers each time.
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}
