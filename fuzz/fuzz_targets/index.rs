//! Any bytes as an index: lines, their groups, and the keys that a sample gives the other lines.
#![no_main]

use std::sync::LazyLock;

use gribchunk::grib::FieldKey;
use gribchunk::grib::walk::{Found, messages};
use gribchunk::index::{grib_of_sidecar, parse, sidecar_candidates};
use gribchunk_fuzz::Choices;
use libfuzzer_sys::fuzz_target;

static PRODUCTS: &[u8] = include_bytes!("../../fixtures/products.grib");

/// Keys of messages of many kinds.
static KEYS: LazyLock<Vec<FieldKey>> = LazyLock::new(|| {
    let found = messages(PRODUCTS).filter_map(|found| match found {
        Found::Message(message) => message.fields().next()?.ok(),
        Found::Broken(_) => None,
    });
    found.filter_map(|field| FieldKey::from_sections(&field).ok()).collect()
});

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices::of(data);
    let size = choices.below(1 << 24) as u64;
    for size in [None, Some(size), Some(u64::MAX)] {
        let Ok(index) = parse(data, size) else { continue };
        assert!(index.problems.iter().all(|problem| problem.text.len() <= 600));
        let samples = index.samples();
        assert!(samples.iter().all(|sample| *sample < index.entries.len()));
        let mut last = 0;
        for entry in &index.entries {
            assert!(entry.line > 0 && entry.line as usize <= data.len());
            assert!(entry.line >= last || entry.overlaps, "in the order of the lines");
            last = entry.line;
            if let (Some(size), Some(length)) = (size, entry.length) {
                assert!(length > 0 && entry.offset.checked_add(length).is_some_and(|end| end <= size));
            }
            let key = &KEYS[choices.below(KEYS.len())];
            let sample = samples.get(choices.below(samples.len())).and_then(|sample| index.entries.get(*sample));
            if let Some(sample) = sample
                && let Ok(key) = entry.key_from_sample(sample, key)
            {
                let _ = (key.step_range(), key.level_f64(), key.to_string());
            }
            let _ = entry.disagreement(key);
        }
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = sidecar_candidates(text);
        let _ = grib_of_sidecar(text);
    }
});
