//! Any bytes as a file: the walk in memory and the walk in ranges find the same messages, with the same keys; prefixes too.
#![no_main]

use gribchunk::grib::grid::Grid;
use gribchunk::grib::packing::Packing;
use gribchunk::grib::walk::{Found, messages, ranged_messages};
use gribchunk::grib::{FieldHeader, FieldKey, FieldSections, GridDigests, KeyMemory, fields_of_prefix};
use gribchunk_fuzz::Choices;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut memory = KeyMemory::default();
    let mut slices = Vec::new();
    let mut end = 0;
    for found in messages(data) {
        let (offset, keys) = match &found {
            Found::Message(message) => {
                let keys: Vec<_> =
                    message.fields().map_while(Result::ok).map(|field| describe(&field, &mut memory)).collect();
                prefixes(message.bytes);
                (message.offset, Some((message.length(), keys)))
            }
            Found::Broken(broken) => (broken.offset, None),
        };
        assert!(offset >= end, "messages do not overlap");
        end = offset + keys.as_ref().map_or(4, |(length, _)| *length);
        slices.push((offset, keys));
    }
    assert!(end <= data.len() as u64);
    let mut ranged = ranged_messages(data);
    for (offset, keys) in slices {
        let found = ranged.next().expect("as many as in memory").expect("memory can be read");
        match (found, keys) {
            (Found::Message(message), Some((length, keys))) => {
                assert_eq!((message.offset, message.length), (offset, length));
                let fields: Vec<_> = message.fields().map_while(Result::ok).collect();
                assert!(fields.len() >= keys.len(), "{} fields in ranges, {} in memory", fields.len(), keys.len());
                for (field, key) in fields.iter().zip(keys) {
                    assert_eq!(FieldKey::with_memory(field, &mut memory).ok(), key);
                }
            }
            // The headers of all fields are read at once here.
            (Found::Broken(broken), _) => assert_eq!(broken.offset, offset),
            (Found::Message(message), None) => panic!("{} is broken in memory", message.offset),
        }
    }
    assert!(ranged.next().is_none());
});

/// Everything that is known of a field without decoding its values.
fn describe(field: &FieldSections<'_>, memory: &mut KeyMemory) -> Option<FieldKey> {
    let key = FieldKey::from_sections(field);
    assert_eq!(key, FieldKey::with_memory(field, memory), "memory changes no key");
    let header = FieldHeader::from_sections(field);
    let _ = Packing::from_sections(field).map(|packing| packing.keys().packing_type.len());
    let _ = Grid::keys_of(field);
    if let Ok(grid) = Grid::from_sections(field) {
        let _ = grid.coordinates_note();
        if let Ok(Some(coordinates)) = grid.coordinates_within(10_000) {
            let _ = format!("{:?}", grid.shape());
            drop(coordinates);
        }
        if grid.points() <= 10_000 {
            let mut places: Vec<f32> = (0..grid.points()).map(|point| point as f32).collect();
            if grid.order().rearrange(&mut places).is_ok() {
                places.sort_by(f32::total_cmp);
                assert!(places.iter().enumerate().all(|(point, place)| point as f32 == *place), "no point is lost");
            }
        }
    }
    let key = key.ok()?;
    assert_eq!(GridDigests::default().of(field), key.grid);
    let _ = (key.short_name(), key.cf_var_name(), key.step_range(), key.step_hours(), key.level_f64(), key.to_string());
    assert!(header.is_ok(), "{header:?}");
    Some(key)
}

/// The first bytes of a message give the key of its first field, or say how many more are needed.
fn prefixes(message: &[u8]) {
    let whole = fields_of_prefix(message, message.len() as u64).next().and_then(Result::ok);
    let mut choices = Choices::of(message);
    for _ in 0..4 {
        let Some(prefix) = message.get(..choices.below(message.len() + 1)) else { continue };
        for (index, field) in fields_of_prefix(prefix, message.len() as u64).enumerate() {
            let Ok(field) = field else { break };
            let key = FieldKey::from_sections(&field).ok();
            if let (0, Some(whole)) = (index, &whole) {
                assert_eq!(key, FieldKey::from_sections(whole).ok());
            }
        }
    }
}
