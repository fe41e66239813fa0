//! Messages per second from memory to full field keys, beside gribberish's metadata and ecCodes' keys.

mod common;

use std::path::{Path, PathBuf};

use common::{Peer, Run, minima, ratio, seconds, table, verdict};
use gribberish::message::read_messages;
use gribberish::message_metadata::MessageMetadata;
use gribchunk::grib::walk::{Found, messages};
use gribchunk::grib::{FieldKey, KeyMemory};
use serde_json::json;

const ROUNDS: usize = 15;
/// Buffers are made of repeated messages until they are this long.
const BUFFER_BYTES: usize = 16 << 20;
/// Messages that the slower engines are given.
const PEER_MESSAGES: usize = 1_000;
const TARGET: f64 = 1e6;

fn main() {
    common::print_machine();
    let mut eccodes = Peer::start("eccodes_peer.py");
    let scratch = common::Scratch::new("walk");
    let mut rows = Vec::new();
    for (name, files) in sources() {
        let once = small_messages(&files);
        if once.is_empty() {
            continue;
        }
        let buffer = once.repeat((BUFFER_BYTES / once.len()).max(1));
        let fields = keys(&buffer);
        let part = first_messages(&buffer, PEER_MESSAGES);
        let (peer_messages, file) = (count(part), scratch.path().join("messages.grib"));
        std::fs::write(&file, part).expect("a temporary file");
        let eccodes = &mut eccodes;
        let question = json!({"do": "walk", "file": file, "messages": 100, "repeat": 1});
        let mut runs: Vec<Run<'_>> = vec![
            Box::new(|| Some(seconds(|| keys(&buffer)) / fields as f64)),
            Box::new(|| Some(seconds(|| metadata(part)) / peer_messages as f64)),
            Box::new(|| {
                let answer = eccodes.as_mut()?.ask(&question)?;
                Some(answer["seconds"].as_f64()? / answer["messages"].as_f64()?)
            }),
        ];
        let each = minima(ROUNDS, &mut runs);
        let rate = |i: usize| each[i].map(|s| 1.0 / s);
        let shown = |i: usize| rate(i).map_or("-".into(), |r| format!("{r:.0}"));
        rows.push(vec![
            name.to_string(),
            format!("{}", once.len() / count(&once)),
            shown(0),
            shown(1),
            ratio(rate(0), rate(1)),
            shown(2),
            ratio(rate(0), rate(2)),
            verdict(rate(0).map(|r| r >= TARGET), "1 M/s"),
        ]);
    }
    println!("\nMessages (fields) per second from memory, one thread, with full keys; least time of {ROUNDS} rounds.");
    let heading = ["messages", "bytes each", "gribchunk", "gribberish", "ratio", "ecCodes", "ratio", "target"];
    table(&heading, &rows);
}

/// Sets of real or realistic files; within a set the messages follow each other as in the files.
fn sources() -> Vec<(&'static str, Vec<PathBuf>)> {
    let fixtures = common::fixtures();
    let mut sources = vec![
        ("fixtures, ECMWF run", grib_files(&fixtures.join("ens"))),
        ("fixtures, GEFS run", grib_files(&fixtures.join("gefs"))),
        ("fixtures, every grid, packing, edition", grib_files(&fixtures)),
    ];
    match common::shared_data() {
        Some(data) => {
            let of = |names: &[&str]| names.iter().map(|name| data.join("grib").join(name)).collect();
            sources.push(("GEFS mean, head of the file", of(&["geavg.t00z.pgrb2a.0p50.f006.head1MiB.grib2"])));
            sources.push(("GFS 1 degree, head of the file", of(&["gfs.t00z.pgrb2.1p00.f000.20260723.head1MiB.grib2"])));
            sources.push(("IFS surface", of(&["ecmwf-ifs-oper-surface.grib2"])));
            sources.push(("ERA5 levels and members (GRIB 1)", of(&["era5-levels-members.grib"])));
        }
        None => println!("skipped: no shared data"),
    }
    sources
}

fn grib_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("broken") {
            files.extend(grib_files(&path));
        } else if std::fs::read(&path).is_ok_and(|bytes| bytes.starts_with(b"GRIB")) {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// The messages of these files that are whole, one after the other.
fn small_messages(files: &[PathBuf]) -> Vec<u8> {
    let mut all = Vec::new();
    for file in files {
        let Ok(bytes) = std::fs::read(file) else { continue };
        for found in messages(&bytes) {
            if let Found::Message(message) = found {
                all.extend_from_slice(message.bytes);
            }
        }
    }
    all
}

fn first_messages(buffer: &[u8], limit: usize) -> &[u8] {
    let mut end = 0;
    for found in messages(buffer).take(limit) {
        if let Found::Message(message) = found {
            end = message.offset as usize + message.bytes.len();
        }
    }
    &buffer[..end]
}

fn count(buffer: &[u8]) -> usize {
    messages(buffer).count()
}

/// The keys of all fields; returns how many were read.
fn keys(buffer: &[u8]) -> usize {
    let mut memory = KeyMemory::default();
    let mut read = 0;
    for found in messages(buffer) {
        let Found::Message(message) = found else { continue };
        for sections in message.fields().flatten() {
            if let Ok(key) = FieldKey::with_memory(&sections, &mut memory) {
                std::hint::black_box(key);
                read += 1;
            }
        }
    }
    read
}

fn metadata(buffer: &[u8]) {
    for message in read_messages(buffer) {
        let _ = std::hint::black_box(MessageMetadata::try_from(&message));
    }
}
