//! An ensemble run by its indexes: 85 files of 9,000 lines, 72 arrays; all in one go and step by step, what is there, and
//! the first value.
//!
//! The files hold real headers of real parameters and constant fields: no engine reads data sections. `GRIBCHUNK_BENCH_RUNS` sets how
//! many runs arrive one after the other in one repository (20; 1 leaves that part out).

mod common;

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use common::{Peer, seconds, table, verdict};
use gribchunk::grib::walk::{Found, messages};
use gribchunk::grib::{FieldKey, FieldSections};
use gribchunk::inspect::coverage;
use gribchunk::{IngestOptions, LayoutOptions, OpenOptions, Reference, Repository, Selection, ingest, init, sample};
use serde_json::json;

const SURFACE: usize = 60;
const UPPER: usize = 12;
const LEVELS: [u32; 10] = [1000, 925, 850, 700, 600, 500, 400, 300, 250, 200];
const MEMBERS: u32 = 50;
const STEPS: usize = 85;
/// Bytes of a message: its header, zeros, and its end.
const MESSAGE: usize = 1024;
/// Every value of every field.
const VALUE: f32 = 271.5;

/// A parameter as an index names it, and the beginning of its message.
struct Parameter {
    short_name: String,
    level: Option<u32>,
    header: Vec<u8>,
    /// Where the perturbation number and the step stand in the header.
    number: usize,
    step: usize,
    day: usize,
}

fn main() {
    common::print_machine();
    let scratch = common::Scratch::new("references");
    let parameters = parameters();
    let files = write_run(scratch.path(), &parameters, 21);
    let lines = parameters.len() * MEMBERS as usize;
    println!("{} files of {lines} lines = {} references, {} arrays", files.len(), files.len() * lines, SURFACE + UPPER);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let mut rows = Vec::new();
    in_one_go(&runtime, scratch.path(), &files, &mut rows);
    let repository = step_by_step(&runtime, scratch.path(), &files, &mut rows);
    look(&runtime, &repository, &mut rows);
    let runs = std::env::var("GRIBCHUNK_BENCH_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    if runs > 1 {
        run_after_run(&runtime, scratch.path(), &parameters, runs, &mut rows);
    }
    println!();
    table(&["what", "measured", "peer", "target"], &rows);
}

fn row(what: &str, measured: String, peer: String, target: String) -> Vec<String> {
    vec![what.into(), measured, peer, target]
}

fn sources(files: &[PathBuf]) -> Vec<String> {
    files.iter().map(|file| file.display().to_string()).collect()
}

/// An empty cube for the run.
async fn cube(path: &Path, files: &[PathBuf]) -> Repository {
    let _ = std::fs::remove_dir_all(path);
    let repository = Repository::create(path, OpenOptions::default()).await.expect("a repository");
    // Two files show all parameters; the steps are given.
    let (samples, left_out) = sample(&sources(&files[..2])).expect("samples");
    assert!(left_out.is_empty(), "{left_out:?}");
    let options = LayoutOptions::default().steps(steps().map(|hours| hours * 3600).collect());
    let (layout, _) = init(&repository, &samples, &options).await.expect("init");
    let variables: usize = layout.groups.values().map(|group| group.variables.len()).sum();
    assert_eq!(variables, SURFACE + UPPER);
    repository
}

fn in_one_go(runtime: &tokio::runtime::Runtime, scratch: &Path, files: &[PathBuf], rows: &mut Vec<Vec<String>>) {
    let mut peer = Peer::start("zarr_peer.py");
    let (mut ours, mut theirs) = (f64::INFINITY, None::<f64>);
    for _ in 0..3 {
        let path = scratch.join("one");
        let repository = runtime.block_on(cube(&path, files));
        let took = seconds(|| {
            let report = runtime.block_on(ingest(&repository, &sources(files), &IngestOptions::default(), |_| {}));
            let report = report.expect("an ingest");
            assert_eq!((report.placed() as usize, report.refused()), (STEPS * 9000, 0), "every line has its slot");
        });
        ours = ours.min(took);
        let question = json!({
            "do": "references", "repository": scratch.join("peer"), "prefix": scratch, "files": files,
            "steps": steps().collect::<Vec<_>>(), "members": MEMBERS, "levels": LEVELS,
        });
        if let Some(took) = peer.as_mut().and_then(|peer| peer.seconds(&question)) {
            theirs = Some(theirs.map_or(took, |least| least.min(took)));
        }
    }
    let shown = theirs.map_or("-".into(), |s| format!("{s:.2} s"));
    let target = verdict(theirs.map(|theirs| ours <= theirs / 2.0), "half of json + set_virtual_refs_arr");
    rows.push(row("all in one commit", format!("{ours:.2} s"), shown, target));
    let peak = peak_memory();
    rows.push(row("memory at most", format!("{peak} MB"), "-".into(), verdict(Some(peak < 400), "400 MB")));
}

fn step_by_step(
    runtime: &tokio::runtime::Runtime,
    scratch: &Path,
    files: &[PathBuf],
    rows: &mut Vec<Vec<String>>,
) -> PathBuf {
    let path = scratch.join("steps");
    let repository = runtime.block_on(cube(&path, files));
    let times = ingest_each(runtime, &repository, files);
    let sum: f64 = times.iter().sum();
    let (first, last) = (mean(&times[..10]), mean(&times[times.len() - 10..]));
    rows.push(row("step by step, sum", format!("{sum:.2} s"), "-".into(), verdict(Some(sum < 4.0), "4 s")));
    let measured = format!("{:.0} / {:.0} ms", first * 1e3, last * 1e3);
    rows.push(row("first ten / last ten commits", measured, "-".into(), verdict(Some(last <= 2.0 * first), "2 x")));
    let megabytes = folder_bytes(&path) as f64 / 1e6;
    let target = verdict(Some(megabytes < 60.0), "60 MB");
    rows.push(row("repository", format!("{megabytes:.0} MB"), "-".into(), target));
    path
}

fn look(runtime: &tokio::runtime::Runtime, path: &Path, rows: &mut Vec<Vec<String>>) {
    let open = || runtime.block_on(Repository::open(path, OpenOptions::default())).expect("the repository");
    let took = seconds(|| {
        let repository = open();
        runtime.block_on(async {
            let snapshot = repository.snapshot(&Reference::default()).await.expect("a snapshot");
            let all = coverage(&snapshot, None).await.expect("coverage");
            assert_eq!(all.variables.len(), SURFACE + UPPER);
        });
    });
    rows.push(row("coverage", format!("{took:.2} s"), "-".into(), verdict(Some(took < 1.0), "1 s")));
    let mut least = f64::INFINITY;
    for _ in 0..9 {
        let took = seconds(|| {
            let repository = open();
            runtime.block_on(async {
                let snapshot = repository.snapshot(&Reference::default()).await.expect("a snapshot");
                let name = snapshot.layout().groups.values().flat_map(|g| g.variables.keys()).next().cloned();
                let select = Selection::parse("step=144,number=7,latitude=50,longitude=10").expect("a selection");
                let read = snapshot.read_selection(&name.expect("a variable"), &select).await.expect("a value");
                assert!(!read.values.is_empty() && read.values.iter().all(|value| *value == VALUE));
            });
        });
        least = least.min(took);
    }
    let measured = format!("{:.1} ms", least * 1e3);
    rows.push(row("open + first value", measured, "-".into(), verdict(Some(least < 0.02), "20 ms")));
}

fn run_after_run(
    runtime: &tokio::runtime::Runtime,
    scratch: &Path,
    parameters: &[Parameter],
    runs: u8,
    rows: &mut Vec<Vec<String>>,
) {
    let path = scratch.join("runs");
    let mut repository = None;
    let mut times = Vec::new();
    for day in 1..=runs {
        let files = write_run(scratch, parameters, day);
        let repository = repository.get_or_insert_with(|| runtime.block_on(cube(&path, &files)));
        times.extend(ingest_each(runtime, repository, &files));
        // The space is needed for the next run; nothing reads these again.
        files.iter().for_each(|file| drop(std::fs::remove_file(file)));
    }
    let (first, last) = (mean(&times[..10]), mean(&times[times.len() - 10..]));
    let measured = format!("{:.0} / {:.0} ms", first * 1e3, last * 1e3);
    let what = format!("{runs} runs, first ten / last ten commits");
    rows.push(row(&what, measured, "-".into(), verdict(Some(last < 3.0 * first), "3 x")));
}

/// Seconds of the ingest of each file, one commit each.
fn ingest_each(runtime: &tokio::runtime::Runtime, repository: &Repository, files: &[PathBuf]) -> Vec<f64> {
    let one = |file: &PathBuf| {
        let start = Instant::now();
        let source = [file.display().to_string()];
        let report = runtime.block_on(ingest(repository, &source, &IngestOptions::default(), |_| {}));
        assert_eq!(report.expect("an ingest").placed(), 9000, "{}", file.display());
        start.elapsed().as_secs_f64()
    };
    files.iter().map(one).collect()
}

fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / times.len().max(1) as f64
}

/// Hours of ECMWF's ensemble at 00 and 12 UTC.
fn steps() -> impl Iterator<Item = i64> {
    (0..=144).step_by(3).chain((150..=360).step_by(6))
}

/// Sixty parameters at the surface, twelve at ten pressure levels each: those that our tables have names for.
fn parameters() -> Vec<Parameter> {
    let bytes = std::fs::read(common::fixtures().join("ens/20261121000000-3h-enfo-ef.grib2")).expect("the fixture");
    let Some(Found::Message(message)) = messages(&bytes).next() else { panic!("the fixture holds no message") };
    let sections = message.fields().next().expect("a field").expect("a whole field");
    let mut names = BTreeSet::new();
    let mut parameters = Vec::new();
    for (type_of_level, wanted) in [(1u8, SURFACE), (100u8, UPPER)] {
        let mut found = 0;
        for (discipline, category, number) in numbers() {
            let mut product = sections.product.to_vec();
            (product[9], product[10], product[22]) = (category, number, type_of_level);
            product[23] = 0;
            product[24..28].copy_from_slice(&if type_of_level == 100 { 50_000u32 } else { 0 }.to_be_bytes());
            let changed = FieldSections { discipline, product: &product, ..sections };
            let Ok(key) = FieldKey::from_sections(&changed) else { continue };
            let Some(of_table) = key.names.as_ref() else { continue };
            if found == wanted || !names.insert(of_table.cf_var_name) {
                continue;
            }
            found += 1;
            let levels: Vec<Option<u32>> =
                if type_of_level == 100 { LEVELS.iter().copied().map(Some).collect() } else { vec![None] };
            for level in levels {
                product[24..28].copy_from_slice(&(level.unwrap_or(0) * 100).to_be_bytes());
                let short_name = of_table.short_name.to_string();
                parameters.push(parameter(&bytes, discipline, &product, short_name, level));
            }
        }
        assert_eq!(found, wanted, "the tables name enough parameters");
    }
    parameters
}

fn numbers() -> impl Iterator<Item = (u8, u8, u8)> {
    [0, 2, 10].into_iter().flat_map(|d| (0..=20).flat_map(move |c| (0..=60).map(move |n| (d, c, n))))
}

/// The sections of the fixture's first message up to its data, with another product and a grid of 0.25 degrees.
fn parameter(bytes: &[u8], discipline: u8, product: &[u8], short_name: String, level: Option<u32>) -> Parameter {
    let mut header = bytes[..16].to_vec();
    header[6] = discipline;
    let (mut place, mut number, mut step, mut day) = (16, 0, 0, 0);
    loop {
        let length = u32::from_be_bytes([bytes[place], bytes[place + 1], bytes[place + 2], bytes[place + 3]]) as usize;
        let section = &bytes[place..place + length];
        match section[4] {
            7 => break,
            1 => {
                day = header.len() + 15;
                header.extend_from_slice(section);
            }
            3 => header.extend(common::quarter_degree(section)),
            4 => {
                (number, step) = (header.len() + 35, header.len() + 18);
                header.extend_from_slice(product);
            }
            // Template 5.0 without bits: a constant field, which needs no data.
            5 => {
                header.extend([0, 0, 0, 21, 5]);
                header.extend((721u32 * 1440).to_be_bytes());
                header.extend([0, 0]);
                header.extend(VALUE.to_be_bytes());
                header.extend([0, 0, 0, 0, 0, 0]);
            }
            _ => header.extend_from_slice(section),
        }
        place += length;
    }
    let data = (MESSAGE - 4 - header.len()) as u32;
    header.extend_from_slice(&data.to_be_bytes());
    header.push(7);
    header[8..16].copy_from_slice(&(MESSAGE as u64).to_be_bytes());
    Parameter { short_name, level, header, number, step, day }
}

/// The files of a run and the indexes beside them.
fn write_run(folder: &Path, parameters: &[Parameter], day: u8) -> Vec<PathBuf> {
    let date = format!("202611{day:02}");
    let folder = folder.join(&date);
    std::fs::create_dir_all(&folder).expect("a folder");
    let one = |hours: i64| {
        let path = folder.join(format!("{date}000000-{hours}h-enfo-ef.grib2"));
        let mut grib = BufWriter::new(std::fs::File::create(&path).expect("a file"));
        let index = std::fs::File::create(path.with_extension("index")).expect("an index");
        let mut index = BufWriter::new(index);
        let mut message = vec![0u8; MESSAGE];
        message[MESSAGE - 4..].copy_from_slice(b"7777");
        let mut offset = 0;
        for member in 1..=MEMBERS {
            for parameter in parameters {
                message[..parameter.header.len()].copy_from_slice(&parameter.header);
                message[parameter.day] = day;
                message[parameter.number] = member as u8;
                message[parameter.step..parameter.step + 4].copy_from_slice(&(hours as u32).to_be_bytes());
                grib.write_all(&message).expect("written");
                let level = match parameter.level {
                    Some(level) => format!("\"levtype\": \"pl\", \"levelist\": \"{level}\""),
                    None => "\"levtype\": \"sfc\"".to_string(),
                };
                writeln!(
                    index,
                    "{{\"domain\": \"g\", \"date\": \"{date}\", \"time\": \"0000\", \"expver\": \"0001\", \"class\": \"od\", \
                     \"type\": \"pf\", \"stream\": \"enfo\", \"step\": \"{hours}\", {level}, \"number\": \"{member}\", \
                     \"param\": \"{}\", \"_offset\": {offset}, \"_length\": {MESSAGE}}}",
                    parameter.short_name
                )
                .expect("written");
                offset += MESSAGE;
            }
        }
        grib.flush().expect("written");
        index.flush().expect("written");
        path
    };
    steps().map(one).collect()
}

/// The most memory that this process held, in MB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1000
}

fn folder_bytes(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let bytes = |entry: std::fs::DirEntry| {
        let path = entry.path();
        if path.is_dir() { folder_bytes(&path) } else { entry.metadata().map_or(0, |m| m.len()) }
    };
    entries.map(bytes).sum()
}
