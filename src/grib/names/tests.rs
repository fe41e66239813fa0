//! Agreement with ecCodes: `vectors.tsv` holds numbers of messages and the names that ecCodes 2.50 gave them
//! (tools/check_names.py). GRIBCHUNK_NAMES_VECTORS names a longer file of the same form.

#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use super::*;

/// By key, as a parsed message gives them.
struct Numbers([Option<i64>; 80]);

impl Numbers {
    fn parse(text: &str) -> Numbers {
        let mut numbers = [None; 80];
        for word in text.split(' ') {
            let (short, number) = word.split_once('=').unwrap();
            let number = if number == "M" { MISSING } else { number.parse().unwrap() };
            numbers[Key::from_short(short).unwrap() as usize] = Some(number);
        }
        Numbers(numbers)
    }
}

impl KeySource for Numbers {
    fn get(&self, key: Key) -> Option<i64> {
        self.0[key as usize]
    }
}

struct Vector<'a> {
    edition: u8,
    centre: u16,
    sub_centre: u16,
    numbers: Numbers,
    names: Vec<&'a str>,
}

fn vector(line: &str) -> Vector<'_> {
    let words: Vec<&str> = line.split('\t').collect();
    Vector {
        edition: words[0].parse().unwrap(),
        centre: words[1].parse().unwrap(),
        sub_centre: words[2].parse().unwrap(),
        numbers: Numbers::parse(words[3]),
        names: words[4..].to_vec(),
    }
}

impl Vector<'_> {
    /// Differences from ecCodes: (what, ours, ecCodes').
    fn differences(&self) -> Vec<(&'static str, String, String)> {
        let found = parameter(self.edition, self.centre, self.sub_centre, &self.numbers);
        let level = type_of_level(self.edition, self.centre, self.sub_centre, &self.numbers).unwrap_or("unknown");
        let mut pairs = vec![("typeOfLevel", level.to_string(), self.names[6].to_string())];
        match found {
            Some(found) => {
                let cf_name = if found.cf_name.is_empty() { "unknown" } else { found.cf_name };
                let ours = [
                    ("shortName", found.short_name.to_string()),
                    ("paramId", found.param_id.to_string()),
                    ("name", found.name.to_string()),
                    ("units", found.units.to_string()),
                    ("cfVarName", found.cf_var_name.to_string()),
                    ("cfName", cf_name.to_string()),
                ];
                let theirs = self.names.iter();
                pairs.extend(
                    ours.into_iter().zip(theirs).map(|((what, ours), theirs)| (what, ours, theirs.to_string())),
                );
            }
            None => pairs.push(("shortName", "unknown".into(), self.names[0].to_string())),
        }
        pairs.retain(|(_, ours, theirs)| ours != theirs);
        pairs
    }
}

fn check(text: &str) -> (usize, usize) {
    let mut differ = 0;
    let mut all = 0;
    let mut kinds: HashMap<&str, usize> = HashMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        all += 1;
        let vector = vector(line);
        let mut differences = vector.differences();
        if (vector.edition, vector.centre) == (2, 78) {
            // paramIds of DWD's list that have no shortName there (see tools/make_names.py).
            differences.retain(|difference| difference.0 != "paramId");
        }
        if !differences.is_empty() {
            differ += 1;
            for (what, ..) in &differences {
                *kinds.entry(what).or_default() += 1;
            }
            if differ <= 400 {
                println!("{line}\n    {differences:?}");
            }
        }
    }
    println!("{all} messages, {differ} differ: {kinds:?}");
    (all, differ)
}

#[test]
fn names_are_those_of_eccodes() {
    let (all, differ) = check(include_str!("vectors.tsv"));
    assert!(all > 400);
    assert_eq!(differ, 0);
}

#[test]
fn names_of_a_longer_file_are_those_of_eccodes() {
    let Some(path) = std::env::var_os("GRIBCHUNK_NAMES_VECTORS") else {
        println!("skipped: GRIBCHUNK_NAMES_VECTORS is not set");
        return;
    };
    let (_, differ) = check(&std::fs::read_to_string(path).unwrap());
    assert_eq!(differ, 0);
}

#[test]
fn look_ups_are_fast() {
    let start = Instant::now();
    black_box(by_param_id(167));
    let building = start.elapsed();
    let vectors: Vec<Vector<'_>> =
        include_str!("vectors.tsv").lines().filter(|line| !line.starts_with('#')).map(vector).collect();
    // Fields of a forecast repeat their parameters.
    const TIMES: u32 = 50;
    let start = Instant::now();
    for v in &vectors {
        for _ in 0..TIMES {
            black_box(parameter(v.edition, v.centre, v.sub_centre, black_box(&v.numbers)));
        }
    }
    let each = start.elapsed() / vectors.len() as u32 / TIMES;
    println!("table in {building:?}, look-up {each:?}");
    // Far above what is measured (10 ms, 0.2 us), so that a slow machine passes and a scan of the whole table does not.
    assert!(each.as_micros() < 20, "{each:?}");
}

#[test]
fn codes_and_names_are_found() {
    assert_eq!((centre(98), centre(7), centre(2), centre(65535)), (Some("ecmf"), Some("kwbc"), None, None));
    assert_eq!((mars_class(1), mars_stream(1025), mars_type(11)), (Some("od"), Some("oper"), Some("pf")));
    let t2m = by_param_id(167).unwrap();
    assert_eq!((t2m.short_name, t2m.cf_var_name, t2m.units), ("2t", "t2m", "K"));
    assert!(std::ptr::eq(by_short_name("2t").unwrap(), t2m));
    assert_eq!(by_short_name("t").unwrap().param_id, 130);
    assert_eq!(by_short_name("100u").unwrap().cf_var_name, "u100");
    assert_eq!(by_short_name("10u").unwrap().cf_name, "eastward_wind");
    assert_eq!(by_short_name("tp").unwrap().param_id, 228);
    for (short_name, cf_var_name) in
        [("msl", "msl"), ("10v", "v10"), ("2d", "d2m"), ("gh", "gh"), ("q", "q"), ("sd", "sd")]
    {
        assert_eq!(by_short_name(short_name).unwrap().cf_var_name, cf_var_name);
    }
    assert!(by_param_id(0).is_none() && by_short_name("").is_none());
}

#[test]
fn a_message_without_numbers_has_no_names() {
    let nothing = Numbers([None; 80]);
    for edition in [0, 1, 2, 3] {
        assert_eq!((parameter(edition, 98, 0, &nothing), type_of_level(edition, 98, 0, &nothing)), (None, None));
    }
    let missing = Numbers([Some(MISSING); 80]);
    let extreme = Numbers([Some(i64::MIN); 80]);
    for edition in [1, 2] {
        assert_eq!(parameter(edition, 98, 0, &missing), None);
        assert_eq!(parameter(edition, 98, 0, &extreme), None);
        assert_eq!(type_of_level(edition, 98, 0, &extreme), None);
    }
}
