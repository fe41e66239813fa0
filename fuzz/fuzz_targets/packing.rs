//! Any bytes as the sections of a field: float32 and float64, with and without offsets, ranges and byte ranges, the portable
//! and the vector kernels all give the same values.
#![no_main]

use gribchunk::grib::packing::{self, Packing};
use gribchunk_fuzz::{Choices, Parts, bits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(Parts { points, sections }) = Parts::of(data) else { return };
    let mut choices = Choices::of(data);
    let _ = Packing::from_sections(&sections);
    let mut all = vec![0f32; points];
    let whole = packing::decode(&sections, points, &mut all);
    let mut double = vec![0f64; points];
    assert_eq!(packing::decode(&sections, points, &mut double), whole);
    let mut other = vec![0f32; points];
    let with_offsets = packing::decode_with_offsets(&sections, points, &mut other);
    assert_eq!(with_offsets.as_ref().ok().map(|(report, _)| report), whole.as_ref().ok());
    let mut portable = vec![0f32; points];
    packing::with_portable_kernels(|| assert_eq!(packing::decode(&sections, points, &mut portable), whole));
    if let Ok(report) = &whole {
        assert!(report.missing <= all.iter().filter(|value| value.is_nan()).count());
        let single: Vec<f32> = double.iter().map(|value| *value as f32).collect();
        assert_eq!(bits(&single), bits(&all), "float64");
        assert_eq!(bits(&other), bits(&all), "with offsets");
        assert_eq!(bits(&portable), bits(&all), "portable");
    }
    let offsets = with_offsets.ok().map(|(_, offsets)| offsets);
    let of_bitmap = packing::offsets_of_bitmap(&sections, points).ok().flatten();
    for attempt in 0..4 {
        let range = if attempt == 0 { 0..points } else { choices.range(points) };
        for offsets in [None, offsets.as_ref(), of_bitmap.as_ref()] {
            let mut part = vec![0f32; range.len()];
            let result = packing::decode_range(&sections, points, range.clone(), offsets, &mut part);
            let bytes = packing::byte_range_for(&sections, points, range.clone(), offsets);
            if whole.is_err() {
                let _ = packing::decode_range_from(&sections, points, range.clone(), offsets, (data, &mut part));
                continue;
            }
            let report = result.expect("all of it is good");
            assert!(report.missing <= part.iter().filter(|value| value.is_nan()).count());
            assert_eq!(bits(&part), bits(&all[range.clone()]), "{range:?}");
            let Some(bytes) = bytes else { continue };
            let section = sections.data.unwrap_or_default();
            let needed = section.get(bytes.start as usize..bytes.end as usize).expect("bytes of the section");
            part.fill(0.0);
            packing::decode_range_from(&sections, points, range.clone(), offsets, (needed, &mut part))
                .expect("the bytes that were asked for");
            assert_eq!(bits(&part), bits(&all[range.clone()]), "{range:?} from {bytes:?}");
        }
    }
});
