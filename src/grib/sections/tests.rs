//! Repeated sections, bitmaps that are used again, prefixes, and lengths that lie.
use super::*;

fn section(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 5).unwrap();
    [&length.to_be_bytes()[..], &[number], body].concat()
}

/// A section 4 of template 4.0 whose parameter number is `parameter`.
fn product(parameter: u8) -> Vec<u8> {
    let mut body = vec![0; 29];
    body[5] = parameter;
    section(4, &body)
}

fn bitmap(indicator: u8, bits: &[u8]) -> Vec<u8> {
    section(6, &[&[indicator], bits].concat())
}

/// A message of the given sections after section 1.
pub(crate) fn grib2(sections: &[Vec<u8>]) -> Vec<u8> {
    let mut identification = vec![0; 16];
    identification[7..9].copy_from_slice(&2026_u16.to_be_bytes());
    (identification[9], identification[10]) = (11, 25);
    let body = [section(1, &identification), sections.concat()].concat();
    let length = body.len() as u64 + 20;
    [b"GRIB\0\0\0\x02", &length.to_be_bytes()[..], &body, b"7777"].concat()
}

pub(crate) fn simple() -> Vec<Vec<u8>> {
    vec![section(3, &[1; 20]), product(1), section(5, &[0; 16]), bitmap(255, &[]), section(7, &[9; 40])]
}

#[test]
fn each_data_section_is_a_field_that_keeps_what_is_not_repeated() {
    let mut sections = vec![section(2, b"local")];
    sections.extend([section(3, &[1; 20]), product(1), section(5, &[0; 16]), bitmap(0, &[0xf0]), section(7, &[1])]);
    sections.extend([product(2), section(5, &[0; 16]), bitmap(254, &[]), section(7, &[2])]);
    sections.extend([section(3, &[3; 20]), product(3), section(5, &[0; 16]), bitmap(255, &[]), section(7, &[3])]);
    sections.extend([product(4), section(5, &[0; 16]), bitmap(254, &[]), section(7, &[4])]);
    let message = grib2(&sections);
    let fields: Vec<_> = fields(&message).map(|field| field.unwrap()).collect();
    let seen: Vec<_> = fields
        .iter()
        .map(|f| (f.submessage, f.product[10], f.grid[5], f.bitmap.map(|b| b[6]), f.data.unwrap()[5]))
        .collect();
    assert_eq!(
        seen,
        [(0, 1, 1, Some(0xf0), 1), (1, 2, 1, Some(0xf0), 2), (2, 3, 3, None, 3), (3, 4, 3, Some(0xf0), 4)]
    );
    assert!(fields.iter().all(|field| field.local == Some(&section(2, b"local")[..])));
}

#[test]
fn a_prefix_gives_the_first_field_without_its_data() {
    let message = grib2(&simple());
    let total = message.len() as u64;
    let section6 = message.len() - 4 - 45 - 6;
    for end in 0..message.len() {
        let fields: Vec<_> = fields_of_prefix(&message[..end], total).collect();
        assert_eq!(fields.len(), 1, "{end}");
        match &fields[0] {
            Ok(field) => {
                assert!(end >= section6, "{end}");
                assert_eq!(field.product[10], 1);
                assert_eq!(field.data.is_some(), end >= message.len() - 4, "{end}");
            }
            Err(GribError::Truncated { needed, .. }) => assert!(*needed > end as u64 && *needed <= total + 64),
            Err(GribError::NotGrib { .. }) => assert!(end < 4),
            Err(error) => panic!("{end}: {error}"),
        }
    }
}

#[test]
fn a_bitmap_that_was_not_read_whole_is_none() {
    let mut sections = simple();
    sections[3] = bitmap(0, &[0xff; 100]);
    let message = grib2(&sections);
    let cut = message.len() - 4 - 45 - 50;
    let field = fields_of_prefix(&message[..cut], message.len() as u64).next().unwrap().unwrap();
    assert!(field.bitmap.is_none() && field.data.is_none());
}

#[test]
fn lengths_that_lie_are_errors() {
    let message = grib2(&simple());
    let section3 = 16 + 21;
    for length in [0, 1, 4, 1000, u32::MAX] {
        let mut broken = message.clone();
        broken[section3..section3 + 4].copy_from_slice(&u32::to_be_bytes(length));
        let mut fields = fields(&broken);
        assert!(fields.next().unwrap().is_err(), "{length}");
        assert!(fields.next().is_none());
    }
}

#[test]
fn sections_out_of_order_are_errors() {
    let good = simple();
    let mut without_bitmap = good.clone();
    without_bitmap.remove(3);
    let mut without_grid = good.clone();
    without_grid.remove(0);
    let mut without_data = good.clone();
    without_data.pop();
    let unknown = [good.clone(), vec![section(9, &[])]].concat();
    let missing_bitmap: Vec<_> =
        good.iter().enumerate().map(|(i, s)| if i == 3 { bitmap(254, &[]) } else { s.clone() }).collect();
    for sections in [without_bitmap, without_grid, without_data, unknown, missing_bitmap, vec![]] {
        assert!(fields(&grib2(&sections)).any(|field| field.is_err()));
    }
}

#[test]
fn a_long_grib1_message_measures_in_units_of_120() {
    assert_eq!(grib1_length(1000, 50), 1000);
    // 20,000,036 octets: 166,667 units of 120, less 8, and 4.
    assert_eq!(grib1_length(0x80_0000 | 166_667, 8), 20_000_036);
    // A section 4 that is too long for a remainder: between 8 and 16 MiB, plainly.
    assert_eq!(grib1_length(0x80_0010, 0x7f_ff00), 0x80_0010);
}

#[test]
fn many_fields_do_not_share_a_huge_grid() {
    let sections = |octets: usize, count: usize| {
        let mut sections = vec![section(3, &vec![1; octets])];
        for _ in 0..count {
            sections.extend([product(1), section(5, &[0; 16]), bitmap(255, &[]), section(7, &[1])]);
        }
        grib2(&sections)
    };
    let message = sections(20_000, 3000);
    assert_eq!(fields(&message).filter_map(Result::ok).count(), 3000);
    let message = sections(2_000_000, 3000);
    let found: Vec<_> = fields(&message).collect();
    assert!(matches!(found.last(), Some(Err(GribError::TooLarge { .. }))));
    assert!(found.len() < 100, "{} fields", found.len());
}
