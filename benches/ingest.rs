//! A run of files to virtual references, and one whole variable read back, beside VirtualiZarr, gribberish and ecCodes.
//!
//! GRIBCHUNK_BENCH_CYCLE names a folder with a run of `make_cycle.py` (`benches/README.md`); without it the small run of
//! the fixtures is used, which shows fixed costs only.

mod common;

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Peer, Run, milliseconds, minima, ratio, seconds, table, use_processors, verdict};
use gribchunk::ingest::scan_file;
use gribchunk::{IngestOptions, LayoutOptions, OpenOptions, Reference, Repository, Snapshot, ingest, init, sample};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const ROUNDS: usize = 7;
/// The variable that is read, here and in VirtualiZarr's groups.
const VARIABLE: &str = "t2m";
const PEER_VARIABLE: &str = "hag/instant/tmp";

struct Cycle {
    /// The folder that all files are in, and the files.
    folder: PathBuf,
    files: Vec<PathBuf>,
}

/// File, offset and length of one message.
type Place = (PathBuf, u64, u64);

fn main() {
    common::print_machine();
    let cycle = cycle();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let scratch = common::Scratch::new("ingest");
    let mut python = Peer::start("zarr_peer.py");
    let mut eccodes = Peer::start("eccodes_peer.py");
    ingest_table(&cycle, &runtime, scratch.path(), &mut python);
    read_tables(&cycle, &runtime, scratch.path(), &mut python, &mut eccodes);
}

fn cycle() -> Cycle {
    let folder = std::env::var_os("GRIBCHUNK_BENCH_CYCLE").map_or_else(
        || {
            println!("GRIBCHUNK_BENCH_CYCLE names no run: the fixtures' small one is used");
            common::fixtures().join("ens")
        },
        PathBuf::from,
    );
    let folder = folder.canonicalize().expect("the folder of the run");
    let files =
        gribchunk::source::expand(&[folder.display().to_string()]).expect("GRIB files in the folder of the run");
    Cycle { folder, files: files.iter().filter_map(|file| file.path().map(Into::into)).collect() }
}

impl Cycle {
    fn sources(&self) -> Vec<String> {
        self.files.iter().map(|file| file.display().to_string()).collect()
    }
}

async fn fresh(path: &Path) -> Repository {
    let _ = std::fs::remove_dir_all(path);
    Repository::create(path, OpenOptions::default()).await.expect("a repository")
}

async fn allocate(repository: &Repository, sources: &[String]) {
    let (samples, _) = sample(sources).expect("samples");
    init(repository, &samples, &LayoutOptions::default()).await.expect("a cube");
}

async fn fill(repository: &Repository, sources: &[String]) -> u64 {
    let report = ingest(repository, sources, &IngestOptions::default(), |_| {}).await.expect("ingest");
    assert!(report.is_complete(), "every field has its slot");
    report.placed()
}

fn ingest_table(cycle: &Cycle, runtime: &Runtime, scratch: &Path, python: &mut Option<Peer>) {
    let sources = cycle.sources();
    let (first, second, third) = (scratch.join("whole"), scratch.join("ingest"), scratch.join("peer"));
    let mut placed = 0;
    let mut answers: Vec<Value> = Vec::new();
    let question = json!({"do": "ingest", "repository": third, "prefix": cycle.folder, "files": cycle.files});
    let mut runs: Vec<Run<'_>> = vec![
        Box::new(|| {
            Some(seconds(|| {
                runtime.block_on(async {
                    let repository = fresh(&first).await;
                    allocate(&repository, &sources).await;
                    placed = fill(&repository, &sources).await;
                });
            }))
        }),
        Box::new(|| {
            let repository = runtime.block_on(async {
                let repository = fresh(&second).await;
                allocate(&repository, &sources).await;
                repository
            });
            Some(seconds(|| runtime.block_on(fill(&repository, &sources))))
        }),
        Box::new(|| {
            let answer = python.as_mut()?.ask(&question)?;
            let elapsed = answer["seconds"].as_f64();
            answers.push(answer);
            elapsed
        }),
    ];
    let least = minima(ROUNDS, &mut runs);
    drop(runs);
    println!("\n{} files, {placed} fields, virtual; milliseconds, least of {ROUNDS} rounds.", cycle.files.len());
    if let Some(references) = answers.first().map(|a| &a["references"]) {
        let part = |name: &str| answers.iter().filter_map(|a| a[name].as_f64()).reduce(f64::min);
        println!(
            "VirtualiZarr: {references} references, {} ms parsing, {} ms concatenating and writing",
            milliseconds(part("parse")),
            milliseconds(part("write"))
        );
    }
    let times = least[2].zip(least[0]).map(|(peer, ours)| peer / ours >= 5.0);
    let row = vec![
        milliseconds(least[0]),
        milliseconds(least[1]),
        milliseconds(least[2]),
        ratio(least[2], least[0]),
        ratio(least[2], least[1]),
        verdict(times, "5 x"),
    ];
    let heading = ["create, init, ingest", "ingest alone", "VirtualiZarr", "ratio", "ratio, ingest alone", "target"];
    table(&heading, &[row]);
}

fn read_tables(
    cycle: &Cycle,
    runtime: &Runtime,
    scratch: &Path,
    python: &mut Option<Peer>,
    eccodes: &mut Option<Peer>,
) {
    let path = scratch.join("read");
    let sources = cycle.sources();
    let layout = runtime.block_on(async {
        let repository = fresh(&path).await;
        allocate(&repository, &sources).await;
        fill(&repository, &sources).await;
        let snapshot = repository.snapshot(&Reference::default()).await.expect("a snapshot");
        snapshot.layout().clone()
    });
    let mut places: Vec<Place> = Vec::new();
    for file in gribchunk::source::expand(&sources).expect("the files are there") {
        for field in scan_file(&file).expect("a scan").fields {
            if layout.place(&field.key).is_ok_and(|slots| slots.iter().any(|slot| slot.array == VARIABLE)) {
                places.push((file.path().expect("a local file").into(), field.offset, field.length));
            }
        }
    }
    let open = |cache: usize| {
        runtime.block_on(async {
            let options = OpenOptions::default().cache_bytes(cache);
            let repository = Repository::open(&path, options).await.expect("open");
            repository.snapshot(&Reference::default()).await.expect("a snapshot")
        })
    };
    let snapshot = open(0);
    let shape = runtime.block_on(snapshot.array(VARIABLE)).expect("the variable").shape.clone();
    let whole: Vec<_> = shape.iter().map(|&n| 0..n).collect();
    let points: u64 = shape.iter().product();
    let megabytes = points as f64 * 4.0 / 1e6;
    println!("/{VARIABLE}: {shape:?}, {} messages, {megabytes:.0} MB as float32", places.len());

    let peer_repository = scratch.join("peer");
    let peer_read = |threads: usize| {
        json!({
            "do": "read", "repository": peer_repository, "prefix": cycle.folder, "array": PEER_VARIABLE, "threads": threads,
        })
    };
    let mut rows = Vec::new();
    for threads in [1, 2] {
        let (python, eccodes) = (&mut *python, &mut *eccodes);
        let question = peer_read(threads);
        let all = json!({"do": "decode_all", "messages": places});
        let (whole, places, runtime) = (&whole, &places, &runtime);
        let mut runs: Vec<Run<'_>> = vec![
            Box::new(|| {
                use_processors(threads);
                let snapshot = open(0);
                let elapsed = seconds(|| runtime.block_on(snapshot.read(VARIABLE, whole)).expect("values"));
                use_processors(usize::MAX);
                Some(elapsed)
            }),
            Box::new(|| Some(seconds(|| gribberish_all(places, threads)))),
            Box::new(|| if threads == 1 { eccodes.as_mut()?.seconds(&all) } else { None }),
            Box::new(|| python.as_mut()?.seconds(&question)),
        ];
        let least = minima(ROUNDS, &mut runs);
        let reached = least[0].zip(least[1]).map(|(ours, theirs)| ours <= theirs);
        rows.push(vec![
            format!("{threads}"),
            milliseconds(least[0]),
            least[0].map_or("-".into(), |s| format!("{:.2}", megabytes / 1e3 / s)),
            milliseconds(least[1]),
            ratio(least[1], least[0]),
            milliseconds(least[2]),
            ratio(least[2], least[0]),
            milliseconds(least[3]),
            ratio(least[3], least[0]),
            verdict(reached, "gribberish"),
        ]);
    }
    println!("\nOne whole variable; milliseconds, least of {ROUNDS} rounds; VirtualiZarr's array through zarr-python.");
    let heading = [
        "threads",
        "Snapshot::read",
        "GB/s",
        "gribberish",
        "ratio",
        "ecCodes",
        "ratio",
        "VirtualiZarr",
        "ratio",
        "target",
    ];
    table(&heading, &rows);
    small_reads(runtime, &path, &open, &shape);
}

fn small_reads(runtime: &Runtime, path: &Path, open: &dyn Fn(usize) -> Snapshot, shape: &[u64]) {
    let slots = shape.len() - 2;
    let with = |slot: &dyn Fn(u64) -> std::ops::Range<u64>, points: u64| -> Vec<std::ops::Range<u64>> {
        let middle = |n: u64| n / 2..(n / 2 + points).min(n);
        shape.iter().enumerate().map(|(i, &n)| if i < slots { slot(n) } else { middle(n) }).collect()
    };
    let (one_value, one_box) = (with(&|n| n - 1..n, 1), with(&|n| 0..n, 10));
    let whole: Vec<_> = shape.iter().map(|&n| 0..n).collect();
    let read = |snapshot: &Snapshot, region: &[std::ops::Range<u64>]| {
        seconds(|| runtime.block_on(snapshot.read(VARIABLE, region)).expect("values"))
    };
    let mut runs: Vec<Run<'_>> = vec![
        Box::new(|| {
            Some(seconds(|| {
                runtime.block_on(async {
                    let repository = Repository::open(path, OpenOptions::default()).await.expect("open");
                    let snapshot = repository.snapshot(&Reference::default()).await.expect("a snapshot");
                    snapshot.read(VARIABLE, &one_value).await.expect("a value")
                })
            }))
        }),
        Box::new(|| {
            // The cache is off; a first read of the box leaves whatever lets the second one skip.
            let snapshot = open(0);
            read(&snapshot, &one_box);
            Some(read(&snapshot, &one_box))
        }),
        Box::new(|| Some(read(&open(0), &whole))),
        Box::new(|| {
            let snapshot = open(1 << 30);
            read(&snapshot, &one_box);
            Some(read(&snapshot, &one_box))
        }),
    ];
    let least = minima(ROUNDS, &mut runs);
    let row = vec![
        milliseconds(least[0]),
        verdict(least[0].map(|s| s < 0.02), "20 ms"),
        milliseconds(least[1]),
        ratio(least[2], least[1]),
        verdict(least[2].zip(least[1]).map(|(whole, part)| whole / part >= 50.0), "50 x"),
        milliseconds(least[3]),
    ];
    let heading = [
        "open + first value",
        "target",
        "10 x 10 box, no cache",
        "than whole fields",
        "target",
        "box, decoded fields cached",
    ];
    table(&heading, &[row]);
}

/// Reads and decodes the messages as a program would that has only gribberish.
fn gribberish_all(places: &[Place], threads: usize) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((file, offset, length)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut bytes = vec![0; *length as usize];
                    let file = std::fs::File::open(file).expect("the file");
                    file.read_exact_at(&mut bytes, *offset).expect("the message");
                    let message = gribberish::message::read_message(&bytes, 0).expect("a message");
                    std::hint::black_box(message.data().expect("values"));
                }
            });
        }
    });
}
