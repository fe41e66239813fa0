//! Keys of messages whose octets are set here, and of damaged ones.
use super::*;
use crate::grib::header::FieldHeader;
use crate::grib::sections::{fields, fields_of_prefix};
use crate::grib::walk::{Found, messages, ranged_messages};

/// A 12-hour accumulation from 6 to 18 h, member 3 of 51, of an unknown parameter on 500 hPa: template 4.11.
fn member() -> Vec<u8> {
    let mut product = vec![0_u8; 61];
    product[0..5].copy_from_slice(&[0, 0, 0, 61, 4]);
    product[8] = 11;
    product[9..11].copy_from_slice(&[201, 202]);
    product[17] = 1;
    product[21] = 6;
    product[22] = 100;
    product[24..28].copy_from_slice(&50_000_u32.to_be_bytes());
    product[28..34].fill(255);
    product[34..37].copy_from_slice(&[3, 3, 51]);
    product[37..44].copy_from_slice(&[7, 234, 11, 25, 18, 0, 0]);
    product[44] = 1;
    product[49..52].copy_from_slice(&[1, 2, 1]);
    product[55] = 12;
    product[56] = 255;
    let mut identification = vec![0, 0, 0, 21, 1, 0, 98, 0, 0, 4, 0, 1, 7, 234, 11, 25, 0, 0, 0, 0, 4];
    identification[20] = 4;
    let sections = [
        identification,
        [&[0, 0, 0, 20, 3][..], &[0; 15]].concat(),
        product,
        [&[0, 0, 0, 21, 5][..], &[0; 16]].concat(),
        vec![0, 0, 0, 6, 6, 255],
        vec![0, 0, 0, 5, 7],
    ]
    .concat();
    [b"GRIB\0\0\0\x02", &(sections.len() as u64 + 20).to_be_bytes()[..], &sections, b"7777"].concat()
}

fn key(message: &[u8]) -> FieldKey {
    FieldKey::from_sections(&fields(message).next().unwrap().unwrap()).unwrap()
}

const PRODUCT: usize = 16 + 21 + 20;

#[test]
fn a_member_of_an_ensemble_over_an_interval() {
    let key = key(&member());
    assert_eq!((key.number, key.derived), (Some(3), Derived::Forecast));
    assert_eq!((key.step_start, key.step, key.step_type), (Some(6 * 3600), 18 * 3600, StepType::Accumulation));
    assert_eq!(key.level, Some(Decimal { value: 500, scale: 0 }));
    assert_eq!(key.time, Some(1_795_564_800));
    assert_eq!(key.step_range(), "6-18");
    assert_eq!(key.step_hours(), 18.0);
    assert_eq!(key.level_f64(), 500.0);
    assert!(key.extra.is_empty());
    assert_eq!(
        key.to_string(),
        "p0.201.202.98 isobaricInhPa 500, time 2026-11-25T00, step 6-18 h accum, number 3, ecmf"
    );
}

#[test]
fn a_parameter_without_a_name_speaks_its_numbers() {
    let key = key(&member());
    assert_eq!(key.names, None);
    assert_eq!(key.short_name(), "p0.201.202.98");
    assert_eq!(key.cf_var_name(), "p0_201_202_98");
}

#[test]
fn whatever_tells_fields_apart_is_in_the_key() {
    let original = key(&member());
    // Octets of section 4: parameter, forecast time, level, member, statistical process, length of the interval.
    for (octet, value) in [(11, 1), (22, 3), (28, 1), (36, 4), (50, 2), (56, 13)] {
        let mut message = member();
        message[PRODUCT + octet - 1] = value;
        assert_ne!(key(&message), original, "octet {octet}");
    }
    let mut other_grid = member();
    other_grid[PRODUCT - 1] = 7;
    assert_ne!(key(&other_grid).grid, original.grid);
    // The time of a run that is repeated is not what a field is, nor is the size of the ensemble.
    let mut same = member();
    same[PRODUCT + 36] = 31;
    assert_eq!(key(&same), original);
}

#[test]
fn a_negative_forecast_time_is_sign_and_magnitude() {
    let mut message = member();
    message[PRODUCT + 18] = 0x80;
    let key = key(&message);
    assert_eq!((key.step_start, key.step), (Some(-6 * 3600), 6 * 3600));
    assert_eq!(key.step_range(), "-6-6");
}

#[test]
fn an_unknown_template_is_told_apart_by_a_digest() {
    let mut message = member();
    message[PRODUCT + 7..PRODUCT + 9].copy_from_slice(&40_000_u16.to_be_bytes());
    let first = key(&message);
    assert_eq!(first.derived, Derived::Other(40_000));
    message[PRODUCT + 40] ^= 1;
    assert_ne!(key(&message), first);
}

#[test]
fn vertical_coordinates_are_no_part_of_a_grid() {
    let section1 = [&[0, 0, 28][..], &[0; 25]].concat();
    let grid = |coordinates: &[u8]| {
        let count = (coordinates.len() / 4) as u8;
        let length = (32 + coordinates.len()) as u8;
        let place = if count == 0 { 255 } else { 33 };
        [&[0, 0, length, count, place, 0, 0, 16, 0, 31][..], &[1; 22], coordinates].concat()
    };
    let digest = |grid: &[u8]| {
        let sections = FieldSections {
            edition: 1,
            discipline: 255,
            submessage: 0,
            identification: &section1,
            local: None,
            grid,
            product: &section1,
            representation: &[],
            bitmap: None,
            data: None,
        };
        GridDigests::default().of(&sections)
    };
    assert_eq!(digest(&grid(&[])), digest(&grid(&[7; 40])));
    let mut other = grid(&[]);
    other[8] = 9;
    assert_ne!(digest(&grid(&[])), digest(&other));
}

#[test]
fn digests_remember_only_equal_grids() {
    let (first, mut second) = (member(), member());
    second[16 + 21 + 10] = 1;
    let mut grids = GridDigests::default();
    let mut digest = |message: &[u8]| grids.of(&fields(message).next().unwrap().unwrap());
    let seen = [digest(&first), digest(&second), digest(&second), digest(&first)];
    assert_eq!(seen, [key(&first).grid, key(&second).grid, key(&second).grid, key(&first).grid]);
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn memory_changes_no_key() {
    let mut memory = KeyMemory::default();
    for (name, bytes, _) in crate::grib::header::tests::shared_files() {
        for found in messages(&bytes) {
            let Found::Message(message) = found else { continue };
            for sections in message.fields().flatten() {
                let remembered = FieldKey::with_memory(&sections, &mut memory);
                assert_eq!(remembered, FieldKey::from_sections(&sections), "{name}");
            }
        }
    }
}

/// Everything that can be asked of bytes.
fn read_all(bytes: &[u8]) -> usize {
    let mut memory = KeyMemory::default();
    let mut understood = 0;
    for found in messages(bytes) {
        let Found::Message(message) = found else { continue };
        for sections in message.fields().flatten() {
            if let Ok(key) = FieldKey::with_memory(&sections, &mut memory) {
                understood += usize::from(!key.to_string().is_empty());
            }
            let _ = FieldHeader::from_sections(&sections).map(|header| serde_json::to_string(&header).unwrap());
        }
    }
    for found in ranged_messages(bytes) {
        if let Found::Message(message) = found.unwrap() {
            message.fields().flatten().for_each(|sections| drop(FieldKey::from_sections(&sections)));
        }
    }
    for sections in fields(bytes).chain(fields_of_prefix(bytes, bytes.len() as u64 + 100)).flatten() {
        let _ = FieldKey::from_sections(&sections);
        let _ = FieldHeader::from_sections(&sections);
    }
    understood
}

#[test]
fn damage_is_never_a_panic() {
    let mut originals = vec![member()];
    for (_, bytes, _) in crate::grib::header::tests::shared_files() {
        // The header octets are what matters here: keep a message short by its own measure.
        let small = messages(&bytes).find_map(|found| match found {
            Found::Message(message) if message.length() < 20_000 => Some(message.bytes.to_vec()),
            _ => None,
        });
        originals.extend(small);
    }
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    let mut understood = 0;
    for original in &originals {
        let described = original.len().min(400);
        for _ in 0..300 {
            let mut message = original.clone();
            for _ in 0..=random(3) {
                let place = random(described);
                match random(4) {
                    0 => message[place] ^= 1 << random(8),
                    1 => message[place] = [0, 1, 127, 128, 254, 255][random(6)],
                    2 => message[place] = random(256) as u8,
                    _ => {
                        let end = (place + 4).min(message.len());
                        message[place..end].fill([0, 255][random(2)]);
                    }
                }
            }
            if random(10) == 0 {
                message.truncate(random(original.len()));
            }
            understood += read_all(&message);
        }
    }
    assert!(understood > originals.len() * 50, "{understood}");
}
