//! Finding messages between other bytes, and what is said of broken ones.
use super::*;

fn grib1(payload: usize) -> Vec<u8> {
    let section1 = [&[0, 0, 28][..], &[0; 25]].concat();
    let length4 = u32::try_from(payload + 11).unwrap().to_be_bytes();
    let section4 = [&length4[1..], &vec![0; payload + 8]].concat();
    let length = u32::try_from(8 + 28 + section4.len() + 4).unwrap().to_be_bytes();
    [b"GRIB", &length[1..], &[1], &section1, &section4, b"7777"].concat()
}

fn offsets(found: impl Iterator<Item = (u64, Option<u64>)>) -> Vec<(u64, Option<u64>)> {
    found.collect()
}

fn in_memory(bytes: &[u8]) -> Vec<(u64, Option<u64>)> {
    offsets(messages(bytes).map(|found| match found {
        Found::Message(message) => (message.offset, Some(message.length())),
        Found::Broken(broken) => (broken.offset, None),
    }))
}

fn ranged(bytes: &[u8]) -> Vec<(u64, Option<u64>)> {
    offsets(ranged_messages(bytes).map(|found| match found.unwrap() {
        Found::Message(message) => (message.offset, Some(message.length)),
        Found::Broken(broken) => (broken.offset, None),
    }))
}

#[test]
fn bytes_between_messages_are_skipped() {
    let message = grib1(10);
    let length = message.len() as u64;
    let bytes =
        [b"\x01\r\r\n123 GRI", &message[..], &message, b"junk GRIB\xff\xff\xff\x07 junk", &message, b"\0\0"].concat();
    let expected = [(11, Some(length)), (11 + length, Some(length)), (11 + 2 * length + 18, Some(length))];
    assert_eq!(in_memory(&bytes), expected);
    assert_eq!(ranged(&bytes), expected);
}

#[test]
fn messages_beyond_a_window_are_found() {
    let message = grib1(10);
    for gap in [WINDOW - 3, WINDOW - 2, WINDOW - 1, WINDOW, WINDOW + SEARCH - 7, 200_000] {
        let bytes = [&message[..], &vec![b'G'; gap], &message].concat();
        let length = message.len() as u64;
        let expected = [(0, Some(length)), (length + gap as u64, Some(length))];
        assert_eq!(in_memory(&bytes), expected, "{gap}");
        assert_eq!(ranged(&bytes), expected, "{gap}");
    }
}

#[test]
fn a_broken_message_does_not_hide_the_next() {
    let message = grib1(10);
    let mut without_end = message.clone();
    *without_end.last_mut().unwrap() = b'8';
    let mut too_long = message.clone();
    too_long[4] = 0x7f;
    let mut too_short = message.clone();
    too_short[4..7].copy_from_slice(&[0, 0, 7]);
    for broken in [without_end, too_long, too_short] {
        let bytes = [&broken[..], &message].concat();
        let expected = [(0, None), (broken.len() as u64, Some(message.len() as u64))];
        assert_eq!(in_memory(&bytes), expected);
        assert_eq!(ranged(&bytes), expected);
    }
}

#[test]
fn the_beginning_of_a_message_at_the_end_is_broken() {
    let message = grib1(10);
    for end in 4..message.len() {
        let bytes = [&message[..], &message[..end]].concat();
        let expected = [(0, Some(message.len() as u64)), (message.len() as u64, None)];
        assert_eq!(in_memory(&bytes), expected, "{end}");
        assert_eq!(ranged(&bytes), expected, "{end}");
    }
}

#[test]
fn a_message_above_8_mebibytes_is_measured() {
    let payload = 8_500_000;
    let mut message = grib1(payload);
    let total = message.len();
    let units = (total - 4).div_ceil(120);
    let remainder = units * 120 - (total - 4);
    message[4..7].copy_from_slice(&(0x80_0000 | units as u32).to_be_bytes()[1..]);
    message[36..39].copy_from_slice(&(remainder as u32).to_be_bytes()[1..]);
    let expected = [(0, Some(total as u64))];
    assert_eq!(in_memory(&message), expected);
    assert_eq!(ranged(&message), expected);
    let field = fields(&message).next().unwrap().unwrap();
    assert_eq!(field.data.unwrap().len(), payload + 11);
}

/// Counts what is read.
struct Counted<'a>(&'a [u8], std::cell::Cell<usize>);

impl RangedRead for Counted<'_> {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, offset: u64, length: usize) -> io::Result<Cow<'_, [u8]>> {
        self.1.set(self.1.get() + length);
        self.0.read(offset, length)
    }
}

#[test]
fn the_data_are_not_read() {
    let bytes = [grib1(3_000_000), grib1(4_000_000), grib1(5_000_000)].concat();
    let source = Counted(&bytes, 0.into());
    assert_eq!(ranged_messages(&source).count(), 3);
    assert!(source.1.get() < 3 * 8192, "{} bytes read", source.1.get());
}

#[test]
fn what_follows_a_good_field_is_an_error_in_both_ways_of_reading() {
    let mut sections = crate::grib::sections::tests::simple();
    sections.push(vec![0, 0, 0, 6, 9, 0]);
    let message = crate::grib::sections::tests::grib2(&sections);
    let Some(Ok(Found::Message(headers))) = ranged_messages(&message[..]).next() else { panic!("not a message") };
    let outcome =
        |fields: Fields<'_>| fields.map(|field| field.map(|field| field.product.to_vec())).collect::<Vec<_>>();
    assert_eq!(outcome(headers.fields()), outcome(fields(&message)));
    assert!(matches!(&outcome(headers.fields())[..], [Ok(_), Err(_)]));
}

#[test]
fn a_file_of_beginnings_is_read_once() {
    let bytes = b"GRIB".repeat(50_000);
    let source = Counted(&bytes, 0.into());
    assert_eq!(ranged_messages(&source).count(), 1, "the last four bytes may begin a message");
    assert!(source.1.get() < 2 * bytes.len(), "{} bytes read", source.1.get());
    assert_eq!(messages(&bytes).count(), 1);
}

#[test]
fn sections_that_seem_long_are_not_read_for_every_beginning() {
    // Each says that it has 8 MiB and more, and that its section 4 lies a million bytes on.
    let beginning = b"GRIB\x80\0\0\x01\x0f\x42\x40\0\0\0\0\0\0\0\0\0";
    let bytes = [&beginning.repeat(2000)[..], &vec![0; 1_200_000]].concat();
    let source = Counted(&bytes, 0.into());
    assert_eq!(ranged_messages(&source).count(), 2000);
    assert!(source.1.get() < 2000 * (WINDOW + 64) + 2 * bytes.len(), "{} bytes read", source.1.get());
    assert_eq!(messages(&bytes).count(), 2000);
}

#[test]
fn shared_files_are_walked_as_the_reference_does() {
    for (name, bytes, expected) in crate::grib::header::tests::shared_files() {
        let broken: Vec<_> = messages(&bytes)
            .filter_map(|found| match found {
                Found::Broken(broken) => Some((broken.offset, broken.edition, broken.claimed_length)),
                Found::Message(_) => None,
            })
            .collect();
        let wanted: Vec<_> = expected["broken"].as_array().map_or(&[][..], Vec::as_slice).to_vec();
        let wanted: Vec<_> = wanted
            .iter()
            .map(|b| {
                let number = |key: &str| b[key].as_u64().unwrap();
                (number("offset"), number("edition") as u8, number("claimedLength"))
            })
            .collect();
        assert_eq!(broken, wanted, "{name}");
    }
}
