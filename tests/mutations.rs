//! Damaged messages, the same ones each time: nothing panics or overflows, and time and memory stay within what the message
//! and its grid justify. `GRIBCHUNK_MUTANTS` sets how many. fuzz/ looks further, without an end.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gribchunk::grib::decode::{FieldSelector, decode_field, decode_message};
use gribchunk::grib::grid::Grid;
use gribchunk::grib::packing::Packing;
use gribchunk::grib::walk::{Found, messages, ranged_messages};
use gribchunk::grib::{FieldHeader, FieldKey, FieldSections, KeyMemory, fields_of_prefix};

/// Bytes that this thread holds, and the most that it has held. What OpenJPEG allocates is not seen: the number of samples
/// in its header is checked before it is called.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

impl Counting {
    fn grow(size: usize) {
        // Bytes that another thread allocated may be freed here.
        let held = HELD.get().saturating_add(size);
        HELD.set(held);
        PEAK.set(PEAK.get().max(held));
    }
}

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::grow(layout.size());
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.set(HELD.get().saturating_sub(layout.size()));
        // SAFETY: as the caller's.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::grow(size);
        HELD.set(HELD.get().saturating_sub(layout.size()));
        // SAFETY: as the caller's.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` allocates at its peak, and the processor time it takes: other processes do not disturb it.
fn measured<R>(work: impl FnOnce() -> R) -> (R, usize, Duration) {
    let (held, begin) = (HELD.get(), processor_time());
    PEAK.set(held);
    let result = work();
    (result, PEAK.get().saturating_sub(held), processor_time().saturating_sub(begin))
}

fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure outlives the call.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Allowed beside what the sizes justify: states of decompressors, blocks of codes, texts of errors.
const SPARE_MEMORY: usize = 256 << 10;
const SPARE_TIME: Duration = Duration::from_millis(50);
/// In the profile dev, without optimisation of the libraries for PNG and JPEG 2000.
const NANOSECONDS_PER_BYTE: usize = 4_000;
/// Bigger grids are not decoded.
const MOST_POINTS: usize = 1 << 17;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

/// A good message and where its sections are.
struct Sample {
    label: String,
    bytes: Vec<u8>,
    /// Number, start and end of each.
    sections: Vec<(u8, usize, usize)>,
    /// Points of each field.
    points: Vec<usize>,
    selector: Option<FieldSelector>,
}

impl Sample {
    fn of(label: String, bytes: &[u8]) -> Self {
        let mut sections = Vec::new();
        let mut at = if bytes[7] == 1 { 8 } else { 16 };
        let mut add = |number: u8, at: &mut usize, length: usize| {
            sections.push((number, *at, *at + length));
            *at += length;
        };
        if bytes[7] == 1 {
            let flags = bytes[15];
            for (number, present) in [(1, true), (2, flags & 0x80 != 0), (3, flags & 0x40 != 0)] {
                if present {
                    let length = number_at(bytes, at, 3);
                    add(number, &mut at, length);
                }
            }
            let length = bytes.len() - 4 - at;
            add(4, &mut at, length);
        } else {
            while at < bytes.len() - 4 {
                let length = number_at(bytes, at, 4);
                add(bytes[at + 4], &mut at, length);
            }
        }
        let fields = fields_of(bytes);
        let points = fields.iter().map(|field| Grid::from_sections(field).map_or(0, |grid| grid.points())).collect();
        let selector = match fields.as_slice() {
            [field] => FieldKey::from_sections(field).ok().map(|key| FieldSelector::of(&key)),
            _ => None,
        };
        Self { label, bytes: bytes.to_vec(), sections, points, selector }
    }

    fn find(&self, numbers: [u8; 2], random: &mut Random) -> Option<(u8, usize, usize)> {
        let number = numbers[usize::from(self.bytes[7] == 1)];
        let found: Vec<_> = self.sections.iter().filter(|section| section.0 == number).copied().collect();
        (!found.is_empty()).then(|| random.of(&found))
    }
}

fn number_at(bytes: &[u8], at: usize, size: usize) -> usize {
    bytes[at..at + size].iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn fields_of(bytes: &[u8]) -> Vec<FieldSections<'_>> {
    match messages(bytes).next() {
        Some(Found::Message(message)) => message.fields().map_while(Result::ok).collect(),
        _ => Vec::new(),
    }
}

/// All messages of the fixtures that are small, and differ in more than their numbers.
fn samples() -> Vec<Sample> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut kinds: HashMap<Vec<usize>, usize> = HashMap::new();
    let mut samples = Vec::new();
    for path in files {
        let bytes = std::fs::read(&path).unwrap();
        for found in messages(&bytes) {
            let Found::Message(message) = found else { continue };
            if message.bytes.len() > 20_000 || message.fields().any(|field| field.is_err()) {
                continue;
            }
            let label = format!("{} at {}", path.file_name().unwrap().to_string_lossy(), message.offset);
            let sample = Sample::of(label, message.bytes);
            let is_list = path.ends_with("packings.grib");
            let kind = sample.sections.iter().flat_map(|(number, start, end)| [usize::from(*number), end - start]);
            let count = kinds.entry(kind.collect()).or_default();
            *count += 1;
            if sample.points.iter().all(|points| *points <= 20_000) && (is_list || *count <= 2) {
                samples.push(sample);
            }
        }
    }
    samples
}

/// What was damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Damage {
    HeaderBits,
    DataBits,
    Truncated,
    /// With the lengths of the message and of the last section made to fit.
    Shortened,
    SectionLength,
    ScaleFactors,
    PointCounts,
    Noise,
    Swapped,
}

const DAMAGES: [Damage; 9] = [
    Damage::HeaderBits,
    Damage::DataBits,
    Damage::Truncated,
    Damage::Shortened,
    Damage::SectionLength,
    Damage::ScaleFactors,
    Damage::PointCounts,
    Damage::Noise,
    Damage::Swapped,
];

/// Octets of packed values that describe them: those are header too.
fn data_start(edition: u8) -> usize {
    if edition == 1 { 25 } else { 5 }
}

fn damage(bytes: &mut Vec<u8>, sample: &Sample, others: &[Sample], random: &mut Random) -> Damage {
    let edition = sample.bytes[7];
    let damage = random.of(&DAMAGES);
    let put = |bytes: &mut Vec<u8>, at: usize, value: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    };
    let (_, data, data_end) = sample.find([7, 4], random).unwrap_or((7, 0, 0));
    match damage {
        Damage::HeaderBits => {
            let (_, start, end) = random.of(&sample.sections);
            let length = (end - start).min(120);
            let at = start + random.below(length);
            // Sometimes section 0.
            let at = if random.below(10) == 0 { random.below(16) } else { at };
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        Damage::DataBits => {
            let start = data + data_start(edition);
            for _ in 0..=random.below(4) {
                if start < data_end
                    && let Some(byte) = bytes.get_mut(start + random.below(data_end - start))
                {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
        Damage::Truncated => bytes.truncate(random.below(bytes.len())),
        Damage::Shortened => {
            let (_, start, end) = random.of(&sample.sections);
            let length = random.below(end - start);
            if start + length <= bytes.len() {
                bytes.drain(start + length..end.min(bytes.len()));
                let total = bytes.len();
                if edition == 1 {
                    put(bytes, start, &(length as u32).to_be_bytes()[1..]);
                    put(bytes, 4, &(total as u32).to_be_bytes()[1..]);
                } else {
                    put(bytes, start, &(length as u32).to_be_bytes());
                    put(bytes, 8, &(total as u64).to_be_bytes());
                }
            }
        }
        Damage::SectionLength => {
            let (_, start, end) = random.of(&sample.sections);
            let length = (end - start) as u32;
            let all = [0, 1, 4, 5, 6, length - 1, length + 1, length / 2, 0x7f_ffff, 0xff_ffff, 0x7fff_ffff, u32::MAX];
            let value = random.of(&all).to_be_bytes();
            put(bytes, start, if edition == 1 { &value[1..] } else { &value });
        }
        Damage::ScaleFactors => {
            let value = random.of(&[0x7fffu16, 0xffff, 0x8000, 0x00ff, 0x80ff, 0x0135, 0x8135, 0]).to_be_bytes();
            let reference = random.of(&[0x7f80_0000u32, 0xff80_0000, 0x7fc0_0000, 0x7f7f_ffff, 1, 0x7fff_ffff]);
            // GRIB 2: reference value, binary and decimal scale factor. GRIB 1: section 4 has the first two.
            let (_, start, _) = sample.find([5, 4], random).unwrap_or((5, 0, 0));
            let [first, second, third] = if edition == 1 { [6, 4, 4] } else { [11, 15, 17] };
            match random.below(3) {
                0 => put(bytes, start + first, &reference.to_be_bytes()),
                1 => put(bytes, start + second, &value),
                _ => put(bytes, start + third, &value),
            }
            if edition == 1 && random.below(2) == 0 {
                put(bytes, 8 + 26, &value);
            }
        }
        Damage::PointCounts => {
            let counts = [0u32, 1, 2, 0xffff, 0x1_0000, 1 << 20, (1 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX];
            let value = random.of(&counts).to_be_bytes();
            let (_, grid, _) = sample.find([3, 2], random).unwrap_or((3, 0, 0));
            let (_, representation, _) = sample.find([5, 4], random).unwrap_or((5, 0, 0));
            match (edition, random.below(4)) {
                (1, which) => put(bytes, grid + 6 + 2 * (which % 2), &value[2..]),
                // The number of points, Ni and Nj, the three of them so that they agree, the number of coded values.
                (_, 0) => put(bytes, grid + 6, &value),
                (_, 1) => put(bytes, grid + 30 + 4 * random.below(2), &value),
                (_, 2) => {
                    put(bytes, grid + 6, &value);
                    put(bytes, grid + 30, &value);
                    put(bytes, grid + 34, &1u32.to_be_bytes());
                    if random.below(2) == 0 {
                        put(bytes, representation + 5, &value);
                    }
                }
                _ => put(bytes, representation + 5, &value),
            }
        }
        Damage::Noise => {
            let start = random.below(bytes.len());
            let length = 1 + random.below(40);
            bytes.iter_mut().skip(start).take(length).for_each(|byte| *byte = random.below(256) as u8);
        }
        Damage::Swapped => {
            // A section of another message, in place of ours.
            let (number, start, end) = random.of(&sample.sections);
            let other = &others[random.below(others.len())];
            if let (Some((_, from, to)), true) = (other.find([number; 2], random), other.bytes[7] == edition) {
                let end = end.min(bytes.len());
                if start <= end {
                    bytes.splice(start..end, other.bytes[from..to].iter().copied());
                    let total = bytes.len();
                    match edition {
                        1 => put(bytes, 4, &(total as u32).to_be_bytes()[1..]),
                        _ => put(bytes, 8, &(total as u64).to_be_bytes()),
                    }
                }
            }
        }
    }
    damage
}

#[derive(Default)]
struct Tally {
    decoded: usize,
    refused: usize,
    /// Most nanoseconds for a byte beyond the spare time, and most bytes for a byte beyond the spare memory.
    slowest: usize,
    widest: f64,
}

/// `bytes` that the message and the values of its field take may cost so much.
fn check(label: &str, bytes: usize, (peak, time): (usize, Duration), tally: &mut Tally) {
    assert!(peak <= 4 * bytes + SPARE_MEMORY, "{label}: {peak} bytes for {bytes}");
    let limit = SPARE_TIME + Duration::from_nanos((bytes * NANOSECONDS_PER_BYTE) as u64);
    assert!(time <= limit, "{label}: {time:?} for {bytes} bytes");
    tally.widest = tally.widest.max(peak.saturating_sub(SPARE_MEMORY) as f64 / bytes as f64);
    tally.slowest = tally.slowest.max(time.as_nanos() as usize / bytes.max(1000));
}

/// Does with a file of these bytes what a scan does.
fn scan(bytes: &[u8]) -> Vec<(FieldSections<'_>, Option<Grid>)> {
    let mut memory = KeyMemory::default();
    let mut all = Vec::new();
    for found in messages(bytes) {
        let Found::Message(message) = found else { continue };
        for field in message.fields().map_while(Result::ok) {
            let key = FieldKey::with_memory(&field, &mut memory);
            assert_eq!(key.is_ok(), FieldHeader::from_sections(&field).is_ok());
            let _ = key.map(|key| (key.to_string(), key.step_range(), key.cf_var_name().len()));
            let _ = (Grid::keys_of(&field), Packing::from_sections(&field));
            all.push((field, Grid::from_sections(&field).ok()));
        }
    }
    for found in ranged_messages(bytes) {
        if let Found::Message(message) = found.unwrap() {
            message.fields().map_while(Result::ok).for_each(|field| drop(FieldKey::from_sections(&field)));
        }
    }
    for part in 1..4 {
        let prefix = &bytes[..bytes.len() * part / 4];
        fields_of_prefix(prefix, bytes.len() as u64).for_each(drop);
    }
    all
}

/// One mutant: what was damaged is in `damages`.
fn examine(label: &str, bytes: &[u8], sample: &Sample, damages: &[Damage], tally: &mut Tally) {
    let (fields, peak, time) = measured(|| scan(bytes));
    // Lists of points per row are kept as numbers of four bytes.
    check(label, bytes.len(), (peak, time), tally);
    let is_header_good = damages.iter().all(|damage| *damage == Damage::DataBits);
    if is_header_good {
        let points: Vec<_> = fields.iter().map(|(_, grid)| grid.as_ref().map_or(0, Grid::points)).collect();
        assert_eq!(points, sample.points, "{label}: an undamaged header gives another size");
    }
    for (field, grid) in &fields {
        let Some(grid) = grid.as_ref().filter(|grid| grid.points() <= MOST_POINTS) else { continue };
        let points = grid.points();
        let (result, peak, time) = measured(|| {
            let mut values = vec![0f32; points];
            decode_field(field, grid, &mut values)
        });
        match result {
            Ok(report) => {
                assert!(report.missing <= points);
                tally.decoded += 1;
            }
            Err(_) => tally.refused += 1,
        }
        check(label, bytes.len() + 4 * points, (peak, time), tally);
        let (_, peak, time) = measured(|| grid.coordinates_within(points).is_ok());
        // Latitudes and longitudes of every point, of eight bytes each.
        check(label, bytes.len() + 16 * points, (peak, time), tally);
    }
    // As a chunk of the array that the message was in.
    let Some(selector) = &sample.selector else { return };
    let elements = sample.points[0];
    let range = elements / 3..elements - elements / 5;
    let (part, peak, time) = measured(|| decode_message::<f64>(bytes, selector, elements, range.clone()));
    check(label, bytes.len() + 8 * elements, (peak, time), tally);
    if let Ok(part) = part {
        assert_eq!(part.len(), range.len(), "{label}");
    }
}

#[test]
fn damaged_messages_are_refused_or_decoded_within_bounds() {
    let samples = samples();
    let mutants = std::env::var("GRIBCHUNK_MUTANTS").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000);
    let mut random = Random(4);
    let mut tally = Tally::default();
    let mut kinds: HashMap<Damage, usize> = HashMap::new();
    for sample in &samples {
        examine(&format!("{}, good", sample.label), &sample.bytes, sample, &[], &mut tally);
    }
    assert_eq!(tally.refused, 0, "every field of the fixtures is decoded");
    for mutant in 0..mutants {
        let sample = &samples[random.below(samples.len())];
        let mut bytes = sample.bytes.clone();
        let count = [1, 1, 1, 2, 3][random.below(5)];
        let damages: Vec<_> = (0..count)
            .filter_map(
                |_| if bytes.is_empty() { None } else { Some(damage(&mut bytes, sample, &samples, &mut random)) },
            )
            .collect();
        damages.iter().for_each(|damage| *kinds.entry(*damage).or_default() += 1);
        examine(&format!("mutant {mutant} of {}, {damages:?}", sample.label), &bytes, sample, &damages, &mut tally);
    }
    let Tally { decoded, refused, slowest, widest } = tally;
    println!("{} messages, {mutants} mutants: {decoded} fields decoded, {refused} refused", samples.len());
    println!("at most {slowest} ns and {widest:.2} bytes of memory for a byte of message and values; {kinds:?}");
    // Every kind of damage was done, and much of it got as far as the decoders.
    assert!(DAMAGES.iter().all(|damage| kinds.get(damage).is_some_and(|count| *count > mutants / 20)));
    assert!(decoded > mutants / 4 && refused > mutants / 20, "{decoded} {refused}");
}
