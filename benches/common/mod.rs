//! What all benches share: peers in Python, interleaved minima, tables.
#![allow(dead_code)]

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

/// A Python process that runs another engine on request: one JSON object per line each way.
pub struct Peer {
    script: &'static str,
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts `benches/peers/{script}` with the Python that GRIBCHUNK_BENCH_PYTHON names. Without one, or when it lacks the
    /// packages, the reason is printed and the columns of this peer stay empty.
    pub fn start(script: &'static str) -> Option<Self> {
        let Some(python) = std::env::var_os("GRIBCHUNK_BENCH_PYTHON") else {
            println!("{script}: peer not there (GRIBCHUNK_BENCH_PYTHON names no Python)");
            return None;
        };
        match Self::start_with(&python, script) {
            Ok((peer, versions)) => {
                println!("{script}: {versions}");
                Some(peer)
            }
            Err(reason) => {
                println!("{script}: peer not there ({reason})");
                None
            }
        }
    }

    fn start_with(python: &OsString, script: &'static str) -> Result<(Self, String), String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(script);
        let mut process = Command::new(python)
            .arg(path)
            .env("ICECHUNK_LOG", "error")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", python.display()))?;
        let questions = process.stdin.take().ok_or("no standard input")?;
        let answers = BufReader::new(process.stdout.take().ok_or("no standard output")?);
        let mut peer = Self { script, process, questions, answers };
        let hello = peer.answer()?;
        Ok((peer, hello["versions"].as_str().unwrap_or_default().to_string()))
    }

    fn answer(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|e| e.to_string())?;
        let value: Value = serde_json::from_str(&line).map_err(|_| "it ended".to_string())?;
        match value["error"].as_str() {
            Some(error) => Err(error.to_string()),
            None => Ok(value),
        }
    }

    /// The answer to a question; a failure is printed.
    pub fn ask(&mut self, question: &Value) -> Option<Value> {
        let answer = writeln!(self.questions, "{question}").map_err(|e| e.to_string()).and_then(|()| self.answer());
        answer.inspect_err(|error| println!("{}: {question}: {error}", self.script)).ok()
    }

    /// The seconds that the peer measured itself.
    pub fn seconds(&mut self, question: &Value) -> Option<f64> {
        self.ask(question)?["seconds"].as_f64()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its standard input would end it too; it may be in the middle of something.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Seconds of one run.
pub fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed().as_secs_f64()
}

/// One engine's run, giving its seconds; `None` when it is not there.
pub type Run<'a> = Box<dyn FnMut() -> Option<f64> + 'a>;

/// The least seconds of each, over `rounds` in which all take their turn: other load on the machine meets all alike.
pub fn minima(rounds: usize, runs: &mut [Run<'_>]) -> Vec<Option<f64>> {
    let mut least: Vec<Option<f64>> = vec![None; runs.len()];
    for round in 0..rounds {
        for (run, least) in runs.iter_mut().zip(&mut least) {
            // One that failed once is not asked again.
            if round > 0 && least.is_none() {
                continue;
            }
            *least = match (run(), *least) {
                (Some(new), Some(old)) => Some(new.min(old)),
                (new, old) => new.or(old),
            };
        }
    }
    least
}

/// Prints rows under a heading, columns as wide as their widest cell.
pub fn table(heading: &[&str], rows: &[Vec<String>]) {
    let widths: Vec<usize> = (0..heading.len())
        .map(|i| rows.iter().map(|row| row[i].chars().count()).chain([heading[i].len()]).max().unwrap_or(0))
        .collect();
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(i, (cell, width))| if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
            .collect();
        println!("| {} |", cells.join(" | "));
    };
    line(&heading.iter().map(ToString::to_string).collect::<Vec<_>>());
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    line(&rules);
    rows.iter().for_each(|row| line(row));
    println!();
}

/// `3.2 x`, or `-` where one of the two is not there.
pub fn ratio(numerator: Option<f64>, denominator: Option<f64>) -> String {
    match (numerator, denominator) {
        (Some(n), Some(d)) if d > 0.0 => {
            let ratio = n / d;
            if ratio < 100.0 { format!("{ratio:.1} x") } else { format!("{ratio:.0} x") }
        }
        _ => "-".into(),
    }
}

pub fn milliseconds(seconds: Option<f64>) -> String {
    match seconds {
        Some(s) if s < 0.1 => format!("{:.3}", s * 1e3),
        Some(s) => format!("{:.0}", s * 1e3),
        None => "-".into(),
    }
}

/// `reached` or `MISSED` with what was asked for.
pub fn verdict(reached: Option<bool>, target: &str) -> String {
    match reached {
        Some(true) => format!("{target}: reached"),
        Some(false) => format!("{target}: MISSED"),
        None => format!("{target}: no peer"),
    }
}

/// Limits this thread, and those that it starts, to the first `count` processors that the process could use at first.
#[cfg(target_os = "linux")]
pub fn use_processors(count: usize) -> bool {
    // SAFETY: `cpu_set_t` is plain bits, for which zero is valid; both calls get its true size.
    unsafe {
        static ALL: std::sync::OnceLock<libc::cpu_set_t> = std::sync::OnceLock::new();
        let size = size_of::<libc::cpu_set_t>();
        let all = ALL.get_or_init(|| {
            let mut all: libc::cpu_set_t = std::mem::zeroed();
            libc::sched_getaffinity(0, size, &raw mut all);
            all
        });
        let mut some: libc::cpu_set_t = std::mem::zeroed();
        let mut left = count;
        for processor in 0..libc::CPU_SETSIZE as usize {
            if left > 0 && libc::CPU_ISSET(processor, all) {
                libc::CPU_SET(processor, &mut some);
                left -= 1;
            }
        }
        libc::sched_setaffinity(0, size, &raw const some) == 0
    }
}

/// Other systems: not known how.
#[cfg(not(target_os = "linux"))]
pub fn use_processors(_count: usize) -> bool {
    false
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The folder of test data that is not in the repository, when there is one.
pub fn shared_data() -> Option<PathBuf> {
    let path = std::env::var_os("GRIBCHUNK_SHARED_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    path.join("grib").is_dir().then_some(path)
}

/// Section 3, template 3.0, of ECMWF's global grid: 721 x 1440 points from 90 N, 180 E.
pub fn quarter_degree(section: &[u8]) -> Vec<u8> {
    let mut grid = section.to_vec();
    let mut put = |octet: usize, value: u32| grid[octet - 1..octet + 3].copy_from_slice(&value.to_be_bytes());
    let south = 0x8000_0000 | 90_000_000;
    for (octet, value) in [
        (7, 721 * 1440),
        (31, 1440),
        (35, 721),
        (47, 90_000_000),
        (51, 180_000_000),
        (56, south),
        (60, 179_750_000),
        (64, 250_000),
        (68, 250_000),
    ] {
        put(octet, value);
    }
    grid
}

/// A folder that goes away with it.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gribchunk-bench-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder for temporary files");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What stands above every table: the machine and its load, without which the numbers say little.
pub fn print_machine() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    println!(
        "{} processors ({}), load {}",
        processors,
        model.map_or("unknown", |(_, name)| name.trim()),
        if load.is_empty() { "unknown".into() } else { load.join(" ") }
    );
}
