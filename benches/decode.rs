//! Decoding single messages: ours, gribberish, ecCodes, and what memory allows.

mod common;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Peer, Run, Scratch, milliseconds, minima, ratio, seconds, table, verdict};
use gribchunk::grib::FieldSections;
use gribchunk::grib::decode::decode_field;
use gribchunk::grib::grid::{Grid, GridShape};
use gribchunk::grib::packing::{self, Offsets};
use gribchunk::grib::walk::{Found, messages};
use serde_json::json;

const ROUNDS: usize = 7;
/// Of messages that take more than 20 ms.
const SLOW_ROUNDS: usize = 3;
/// Fields that two threads share.
const FIELDS: usize = 16;
const PART_POINTS: usize = 4096;
const BOX: usize = 10;

/// A message, and what issue 4 asks of its decoding: times ecCodes' speed, and part of memcpy's.
struct Case {
    name: String,
    file: PathBuf,
    offset: u64,
    message: Vec<u8>,
    times_eccodes: Option<f64>,
    part_of_memcpy: Option<f64>,
    /// Times the better of the two peers.
    times_best: Option<f64>,
}

fn main() {
    common::print_machine();
    let mut eccodes = Peer::start("eccodes_peer.py");
    let scratch = Scratch::new("decode");
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let cases: Vec<Case> = simple_cases(scratch.path()).into_iter().chain(shared_cases()).collect();
    let (mut whole, mut part) = (Vec::new(), Vec::new());
    let memcpy = memcpy_rate();
    println!("memcpy of 64 MiB: {:.1} GB/s", memcpy / 1e9);
    for case in cases.iter().filter(|case| only.as_ref().is_none_or(|only| case.name.contains(only.as_str()))) {
        let Some(Found::Message(message)) = messages(&case.message).next() else { continue };
        let Some(Ok(sections)) = message.fields().next() else { continue };
        let grid = match Grid::from_sections(&sections) {
            Ok(grid) => grid,
            Err(error) => {
                println!("{}: {error}", case.name);
                continue;
            }
        };
        match measure(case, &sections, &grid, memcpy, &mut eccodes) {
            Ok((first, second)) => {
                whole.push(first);
                part.extend(second);
            }
            Err(error) => println!("{}: {error}", case.name),
        }
    }
    println!(
        "\nOne message to float32 in the array's order, one thread; milliseconds, least of {ROUNDS} rounds ({SLOW_ROUNDS} of slow ones)."
    );
    let heading = ["message", "points", "ms", "GB/s", "of memcpy", "gribberish", "ratio", "ecCodes", "ratio", "target"];
    table(&heading, &whole);
    println!("Two threads, and parts of a message with its offsets known.");
    let heading = [
        "message",
        "16 fields, 2 threads",
        "target",
        "one field, 2 threads",
        "target",
        "4096 points, µs",
        "target",
        "10 x 10 box than whole",
        "target",
    ];
    table(&heading, &part);
}

/// Bytes per second of a copy of 64 MiB.
fn memcpy_rate() -> f64 {
    let from = vec![1_u8; 64 << 20];
    let mut to = vec![0_u8; from.len()];
    let least = (0..15)
        .map(|_| seconds(|| std::hint::black_box(&mut to).copy_from_slice(std::hint::black_box(&from))))
        .fold(f64::INFINITY, f64::min);
    from.len() as f64 / least
}

type Rows = (Vec<String>, Option<Vec<String>>);

fn measure(
    case: &Case,
    sections: &FieldSections<'_>,
    grid: &Grid,
    memcpy: f64,
    eccodes: &mut Option<Peer>,
) -> Result<Rows, String> {
    let points = grid.points();
    let mut values = vec![0_f32; points];
    let once = seconds(|| decode_field(sections, grid, &mut values));
    decode_field(sections, grid, &mut values).map_err(|e| e.to_string())?;
    // Slow ones need no repetition to be measured well.
    let repeat = ((0.03 / once) as usize).clamp(1, 20);
    let theirs = gribberish::message::read_message(&case.message, 0);
    let (peer_repeat, rounds) = (repeat.min(3), if once > 0.02 { SLOW_ROUNDS } else { ROUNDS });
    let question = json!({
        "do": "decode", "file": case.file, "offset": case.offset, "length": case.message.len(), "repeat": peer_repeat,
    });
    let decodes = theirs.as_ref().is_some_and(|message| message.data().is_ok());
    let mut runs: Vec<Run<'_>> = vec![
        Box::new(|| Some(least(repeat, || seconds(|| decode_field(sections, grid, &mut values))))),
        Box::new(|| {
            let message = theirs.as_ref()?;
            Some(least(peer_repeat, || seconds(|| message.data()))).filter(|_| decodes)
        }),
        Box::new(|| eccodes.as_mut()?.seconds(&question)),
    ];
    let each = minima(rounds, &mut runs);
    drop(runs);
    let rate = each[0].map(|s| points as f64 * 4.0 / s);
    let times = |peer: usize| each[peer].zip(each[0]).map(|(peer, ours)| peer / ours);
    let best = [times(1), times(2)].into_iter().flatten().reduce(f64::min);
    let mut targets = Vec::new();
    if let Some(target) = case.times_eccodes {
        targets.push(verdict(times(2).map(|times| times >= target), &format!("{target} x ecCodes")));
    }
    if let Some(target) = case.part_of_memcpy {
        targets.push(verdict(rate.map(|rate| rate / memcpy >= target), &format!("{:.0} % memcpy", target * 100.0)));
    }
    if let Some(target) = case.times_best {
        targets.push(verdict(best.map(|times| times >= target), &format!("{target} x best")));
    }
    let row = vec![
        case.name.clone(),
        points.to_string(),
        milliseconds(each[0]),
        rate.map_or("-".into(), |rate| format!("{:.2}", rate / 1e9)),
        rate.map_or("-".into(), |rate| format!("{:.0} %", rate / memcpy * 100.0)),
        milliseconds(each[1]),
        ratio(each[1], each[0]),
        milliseconds(each[2]),
        ratio(each[2], each[0]),
        targets.join("; "),
    ];
    let threaded = case.times_eccodes.is_some().then(|| parts(case, sections, grid)).transpose()?;
    Ok((row, threaded))
}

fn least(repeat: usize, mut work: impl FnMut() -> f64) -> f64 {
    (0..repeat.max(1)).map(|_| work()).fold(f64::INFINITY, f64::min)
}

/// Two threads, a range, a box.
fn parts(case: &Case, sections: &FieldSections<'_>, grid: &Grid) -> Result<Vec<String>, String> {
    let points = grid.points();
    let mut values = vec![0_f32; points];
    let (_, offsets) =
        packing::decode_with_offsets(sections, points, &mut values).map_err(|e| format!("with offsets: {e}"))?;
    let GridShape::Rows { ny, nx } = grid.shape() else { return Err("no rows".into()) };
    let some = |range: Range<usize>, out: &mut [f32]| {
        packing::decode_range(sections, points, range, Some(&offsets), out).expect("a part of a field that decodes")
    };
    let mut buffer = vec![0_f32; points];
    let mut range_buffer = vec![0_f32; PART_POINTS];
    let mut box_buffer = vec![0_f32; BOX];
    let middle = points / 2;
    let mut runs: Vec<Run<'_>> = vec![
        Box::new(|| Some(many_fields(sections, grid, 1))),
        Box::new(|| Some(many_fields(sections, grid, 2))),
        Box::new(|| Some(least(5, || seconds(|| packing::decode(sections, points, &mut buffer))))),
        Box::new(|| Some(two_halves(sections, points, &offsets))),
        Box::new(|| Some(least(50, || seconds(|| some(middle..middle + PART_POINTS, &mut range_buffer))))),
        Box::new(|| {
            Some(least(20, || {
                seconds(|| {
                    for row in ny / 2..(ny / 2 + BOX).min(ny) {
                        let start = row * nx + nx / 2;
                        some(start..start + BOX, &mut box_buffer);
                    }
                })
            }))
        }),
    ];
    let each = minima(ROUNDS, &mut runs);
    let times = |slow: usize, fast: usize| each[slow].zip(each[fast]).map(|(slow, fast)| slow / fast);
    let reached = |slow: usize, fast: usize, target: f64| {
        verdict(times(slow, fast).map(|times| times >= target), &format!("{target} x"))
    };
    Ok(vec![
        case.name.clone(),
        ratio(each[0], each[1]),
        reached(0, 1, 1.8),
        ratio(each[2], each[3]),
        reached(2, 3, 1.7),
        each[4].map_or("-".into(), |s| format!("{:.2}", s * 1e6)),
        verdict(each[4].map(|s| s < 12e-6), "12 µs"),
        ratio(each[2], each[5]),
        reached(2, 5, 50.0),
    ])
}

/// Seconds for 16 fields on so many threads, buffers at hand.
fn many_fields(sections: &FieldSections<'_>, grid: &Grid, threads: usize) -> f64 {
    let mut buffers = vec![vec![0_f32; grid.points()]; threads];
    let (next, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut elapsed = 0.0;
    let work = |buffer: &mut Vec<f32>| {
        // Writing once beforehand gives the buffer its memory; all begin together.
        buffer.fill(1.0);
        waiting.fetch_add(1, Ordering::AcqRel);
        while waiting.load(Ordering::Acquire) < threads {
            std::hint::spin_loop();
        }
        let start = std::time::Instant::now();
        while next.fetch_add(1, Ordering::Relaxed) < FIELDS {
            decode_field(sections, grid, buffer).expect("a field that decodes");
        }
        start.elapsed().as_secs_f64()
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = buffers.iter_mut().map(|buffer| scope.spawn(|| work(buffer))).collect();
        for handle in handles {
            elapsed = f64::max(elapsed, handle.join().expect("a thread that ends"));
        }
    });
    elapsed
}

/// Seconds for the two halves of a field on two threads that are there already.
fn two_halves(sections: &FieldSections<'_>, points: usize, offsets: &Offsets) -> f64 {
    const TIMES: usize = 10;
    let mut values = vec![1_f32; points];
    let (first, second) = values.split_at_mut(points / 2);
    let half = |range: Range<usize>, out: &mut [f32]| {
        packing::decode_range(sections, points, range, Some(offsets), out).expect("a half of a field that decodes");
    };
    let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut best = f64::INFINITY;
    std::thread::scope(|scope| {
        let (begun, ended) = (&begun, &ended);
        scope.spawn(move || {
            for turn in 1..=TIMES {
                while begun.load(Ordering::Acquire) < turn {
                    std::hint::spin_loop();
                }
                half(points / 2..points, second);
                ended.store(turn, Ordering::Release);
            }
        });
        for turn in 1..=TIMES {
            best = best.min(seconds(|| {
                begun.store(turn, Ordering::Release);
                half(0..points / 2, first);
                while ended.load(Ordering::Acquire) < turn {
                    std::hint::spin_loop();
                }
            }));
        }
    });
    best
}

/// Simple packing at 0.25 degrees: the fixture's message with another grid, and codes of any bits.
fn simple_cases(scratch: &Path) -> Vec<Case> {
    let bytes = std::fs::read(common::fixtures().join("ens/20261121000000-3h-enfo-ef.grib2")).expect("the fixture");
    let Some(Found::Message(message)) = messages(&bytes).next() else { return Vec::new() };
    let Some(Ok(sections)) = message.fields().next() else { return Vec::new() };
    let grid = common::quarter_degree(sections.grid);
    [8_u8, 12, 16, 24]
        .map(|bits| {
            let message = simple_message(&sections, &grid, bits);
            let file = scratch.join(format!("simple{bits}.grib2"));
            std::fs::write(&file, &message).expect("a temporary file");
            Case {
                name: format!("5.0 simple, {bits} bits"),
                file,
                offset: 0,
                message,
                times_eccodes: Some(if bits == 8 { 3.0 } else { 4.0 }),
                part_of_memcpy: Some(0.6),
                times_best: None,
            }
        })
        .into()
}

fn simple_message(like: &FieldSections<'_>, grid: &[u8], bits: u8) -> Vec<u8> {
    const POINTS: u32 = 721 * 1440;
    let data_bytes = (POINTS as usize * usize::from(bits)).div_ceil(8);
    let mut message = b"GRIB\0\0\0\x02\0\0\0\0\0\0\0\0".to_vec();
    message[6] = like.discipline;
    message.extend_from_slice(like.identification);
    message.extend_from_slice(like.local.unwrap_or_default());
    message.extend_from_slice(grid);
    message.extend_from_slice(like.product);
    message.extend_from_slice(&[0, 0, 0, 21, 5]);
    message.extend_from_slice(&POINTS.to_be_bytes());
    message.extend_from_slice(&[0, 0]);
    message.extend_from_slice(&250_f32.to_be_bytes());
    // Binary scale -7, decimal scale 1.
    message.extend_from_slice(&[0x80, 7, 0, 1, bits, 0]);
    message.extend_from_slice(&[0, 0, 0, 6, 6, 255]);
    message.extend_from_slice(&(data_bytes as u32 + 5).to_be_bytes());
    message.push(7);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    message.extend((0..data_bytes).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    }));
    message.extend_from_slice(b"7777");
    let length = message.len() as u64;
    message[8..16].copy_from_slice(&length.to_be_bytes());
    message
}

/// Real messages, as issue 4 names them.
fn shared_cases() -> Vec<Case> {
    let Some(data) = common::shared_data() else {
        println!("skipped: no shared data");
        return Vec::new();
    };
    let any = |_: &FieldSections<'_>| true;
    // Section 5, octet 20: bits per value.
    let bits = |bits: u8| move |sections: &FieldSections<'_>| sections.representation.get(19) == Some(&bits);
    let find = |name: &str, file: &str, wanted: &dyn Fn(&FieldSections<'_>) -> bool, eccodes: Option<f64>| {
        let file = data.join("grib").join(file);
        let bytes = std::fs::read(&file).ok()?;
        let found = messages(&bytes).find_map(|found| match found {
            Found::Message(message) if message.fields().flatten().next().is_some_and(|s| wanted(&s)) => Some(message),
            _ => None,
        })?;
        let (offset, message) = (found.offset, found.bytes.to_vec());
        let name = name.to_string();
        Some(Case { name, file, offset, message, times_eccodes: eccodes, part_of_memcpy: None, times_best: None })
    };
    let mut cases: Vec<Case> = [
        find("5.3 GDAS", "gfs.complex.grib2", &any, Some(4.0)),
        find("5.3 GFS, missing values", "gfs.t12z.pgrb2.0p25.f023-PV-TMP-missing.grib2", &any, Some(3.0)),
        find("5.3 HRRR TMP", "hrrr.t06z.wrfsfcf01-TMP.grib2", &any, Some(4.0)),
        find("5.42 AIFS t500, 12 bits", "aifs-single-t500.grib2", &any, Some(3.3)),
        find("5.42 IFS, 16 bits", "ecmwf-ifs-oper-surface.grib2", &bits(16), Some(2.5)),
        find("5.42 IFS, 8 bits, many zeros", "ecmwf-ifs-oper-surface.grib2", &bits(8), Some(5.0)),
        find("5.42 ICON-D2, bitmap", "icon-d2_t_2m_ccsds.grib2", &any, None),
        find("5.40 GFS", "gfs.jpeg.grib2", &any, None),
        find("5.40 HRDPS", "20260219T00Z_MSC_HRDPS_CAPE_Sfc_RLatLon0.0225_PT000H.grib2", &any, None),
    ]
    .into_iter()
    .flatten()
    .collect();
    for (name, file) in
        [("5.41 GFS, 16 bits", "gfs.png.grib2"), ("5.41 MRMS", "MRMS_PrecipFlag_00.00_20260219-042400.grib2")]
    {
        cases.extend(find(name, file, &any, None).map(|case| Case { times_best: Some(1.3), ..case }));
    }
    cases.extend(find("GRIB 1 ERA5", "era5-levels-members.grib", &any, None));
    cases
}
