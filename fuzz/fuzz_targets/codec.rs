//! Any bytes as a chunk: a message for its own array and for another one, a stored chunk, and parts of both.
#![no_main]

use std::num::NonZeroU64;
use std::sync::Arc;

use gribchunk::codec::{
    GribberishCodec, GribberishCodecConfiguration, GribchunkCodec, GribchunkCodecConfiguration, PayloadKind,
};
use gribchunk::grib::decode::FieldSelector;
use gribchunk::grib::grid::Grid;
use gribchunk::grib::walk::{Found, messages};
use gribchunk::grib::{FieldKey, FieldSections};
use gribchunk_fuzz::Choices;
use libfuzzer_sys::fuzz_target;
use zarrs::array::codec::api::{ArrayToBytesCodecTraits, CodecOptions};
use zarrs::array::{ArrayBytes, ArraySubset, FillValue, data_type};
use zarrs::metadata::v3::MetadataV3;

/// Elements of a chunk: more takes only longer.
const MOST_ELEMENTS: usize = 50_000;

fuzz_target!(|data: &[u8]| {
    let Some((head, payload)) = data.split_first_chunk::<3>() else { return };
    let flags = head[0];
    let mut choices = Choices::of(data);
    let field = first_field(payload);
    let mut elements = usize::from(u16::from_be_bytes([head[1], head[2]])).clamp(1, MOST_ELEMENTS);
    let points = field.as_ref().and_then(|field| Grid::from_sections(field).ok()).map(|grid| grid.points());
    if let Some(points) = points.filter(|points| (1..=MOST_ELEMENTS).contains(points) && flags & 1 == 0) {
        elements = points;
    }
    let shape = [NonZeroU64::MIN, NonZeroU64::new(elements as u64).unwrap()];
    let (data_type, fill_value, size) = if flags & 2 == 0 {
        (data_type::float32(), FillValue::from(f32::NAN), 4)
    } else {
        (data_type::float64(), FillValue::from(f64::NAN), 8)
    };
    if flags & 4 != 0 {
        let var = match flags >> 6 {
            0 => Some("latitude".to_owned()),
            1 => Some("longitude".to_owned()),
            _ => None,
        };
        let (adjust_longitude_range, north_up) = (flags & 8 != 0, flags & 16 != 0);
        let codec = GribberishCodec::new(GribberishCodecConfiguration { var, adjust_longitude_range, north_up });
        let Ok(all) = codec.decode_elements(payload, &shape, &data_type, 0..elements) else { return };
        assert_eq!(all.len(), elements * size);
        let range = choices.range(elements);
        let part = codec.decode_elements(payload, &shape, &data_type, range.clone()).expect("a part of good values");
        assert!(part == all[range.start * size..range.end * size]);
        return;
    }
    let selector = field.and_then(|field| Some(FieldSelector::of(&FieldKey::from_sections(&field).ok()?)));
    let selector = selector.unwrap_or_else(|| {
        serde_json::from_str(
            r#"{"parameter":{"paramId":167},"typeOfLevel":"surface","grid":"000102030405060708090a0b0c0d0e0f"}"#,
        )
        .unwrap()
    });
    let mut configuration = GribchunkCodecConfiguration::new(selector);
    if flags & 8 != 0 {
        configuration.codecs.truncate(1);
        configuration.codecs.push(MetadataV3::try_from(r#"{"name":"gzip","configuration":{"level":1}}"#).unwrap());
    }
    let codec = Arc::new(GribchunkCodec::new(configuration).unwrap());
    let options = CodecOptions::default();
    let mut payload = payload.to_vec();
    if flags & 16 != 0 {
        // A stored chunk, with a few damaged bytes.
        let (damage, values) = payload.split_at(payload.len().min(6));
        let values: Vec<u8> =
            values.iter().copied().cycle().take(if values.is_empty() { 0 } else { elements * size }).collect();
        let Ok(encoded) = codec.encode(ArrayBytes::from(values.clone()), &shape, &data_type, &fill_value, &options)
        else {
            return;
        };
        let mut encoded = encoded.into_owned();
        let mut damaged = false;
        for pair in damage.chunks_exact(2) {
            let place = usize::from(pair[0]) % encoded.len();
            encoded[place] ^= pair[1];
            damaged |= pair[1] != 0;
        }
        if !damaged {
            let decoded = codec.decode_elements(&encoded, &shape, &data_type, &fill_value, 0..elements);
            assert!(decoded.expect("what was encoded") == values);
        }
        payload = encoded;
    }
    let decoded = codec.decode(payload.clone().into(), &shape, &data_type, &fill_value, &options);
    let all = codec.decode_elements(&payload, &shape, &data_type, &fill_value, 0..elements);
    // A stored chunk of another size is for zarrs to refuse.
    if PayloadKind::of(&payload) == PayloadKind::Message {
        assert_eq!(decoded.is_ok(), all.is_ok());
    }
    let Ok(all) = all else { return };
    assert_eq!(all.len(), elements * size);
    assert!(decoded.unwrap().into_fixed().unwrap().as_ref() == all);
    let range = choices.range(elements);
    let wanted = &all[range.start * size..range.end * size];
    let part = codec.decode_elements(&payload, &shape, &data_type, &fill_value, range.clone());
    assert!(part.expect("a part of good values") == wanted);
    if range.is_empty() {
        return;
    }
    let partial = codec.partial_decoder(Arc::new(payload), &shape, &data_type, &fill_value, &options).unwrap();
    let subset = ArraySubset::new_with_ranges(&[0..1, range.start as u64..range.end as u64]);
    let part = partial.partial_decode(&subset, &options).expect("a part of good values");
    assert!(part.into_fixed().unwrap().as_ref() == wanted);
});

fn first_field(payload: &[u8]) -> Option<FieldSections<'_>> {
    match messages(payload).next() {
        Some(Found::Message(message)) => message.fields().next()?.ok(),
        _ => None,
    }
}
