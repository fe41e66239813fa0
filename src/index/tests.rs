//! Index lines of every form, what is wrong with bad ones, and keys from one header.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::path::PathBuf;

use super::*;
use crate::grib::key::{Decimal, Derived, FieldKey, GridDigest, ParameterNumbers, StepType};
use crate::grib::names::ParameterNames;

fn shared(name: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("GRIBCHUNK_SHARED_DATA")
        .map(PathBuf::from)
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")));
    if !root.is_dir() {
        println!("skipped: no shared data");
        return None;
    }
    Some(std::fs::read(root.join("index").join(name)).unwrap())
}

fn one(line: &str) -> Entry {
    let index = parse(line.as_bytes(), None).unwrap();
    assert_eq!(index.problems, []);
    assert_eq!(index.entries.len(), 1);
    index.entries[0].clone()
}

fn noaa(rest: &str) -> Entry {
    one(&format!("1:0:d=2025080100:{rest}"))
}

const HOUR: i64 = 3600;
/// 2025-08-01T00:00:00Z
const AUGUST: i64 = 1_754_006_400;

static T: ParameterNames = ParameterNames {
    param_id: 130,
    short_name: "t",
    name: "Temperature",
    units: "K",
    cf_var_name: "t",
    cf_name: "air_temperature",
};

fn key() -> FieldKey {
    FieldKey {
        edition: 2,
        centre: 98,
        sub_centre: 0,
        mars: None,
        generating_process: None,
        parameter: ParameterNumbers::Grib2 {
            discipline: 0,
            category: 0,
            number: 0,
            tables_version: 5,
            local_tables_version: 0,
        },
        names: Some(&T),
        type_of_level: "isobaricInhPa",
        surfaces: (100, 255),
        level: Some(Decimal { value: 500, scale: 0 }),
        level2: None,
        derived: Derived::Forecast,
        number: Some(1),
        time: Some(AUGUST),
        step: 6 * HOUR,
        step_start: None,
        step_type: StepType::Instant,
        extra: vec![],
        grid: GridDigest([7; 16]),
    }
}

#[test]
fn every_line_of_every_real_index_is_read() {
    // (file, lines, groups, lines with windows, members or products)
    for (name, entries, groups, windows, ensemble) in [
        ("ecmwf-aifs-single-20250301-00z-6h.index", 102, 30, 0, 0),
        ("ecmwf-enfo-20220125-18z-0h-excerpt.index", 7, 2, 0, 7),
        ("ecmwf-mars-cf-sfc.index", 6, 4, 0, 6),
        ("ecmwf-mars-pf-sfc.index", 2, 2, 0, 2),
        ("gdal-subgrids.grib2.idx", 2, 2, 0, 0),
        ("gdas-submessages.idx", 758, 97, 7, 0),
        ("gdaswave.t00z.wcoast.0p16.f000.grib2.inv", 19, 19, 0, 0),
        ("geavg.t00z.pgrb2a.0p50.f006.inv", 85, 35, 15, 85),
        ("geavg.t00z.pgrb2s.0p25.f009.idx", 38, 38, 15, 38),
        ("gec00.t00z.pgrb2a.0p50.f432.idx", 85, 35, 15, 85),
        ("gep01.t00z.pgrb2s.0p25.f015.idx", 38, 38, 15, 38),
        ("gfs.t00z.pgrb2.0p25.f000.idx", 696, 250, 0, 0),
        ("gfs.t00z.pgrb2.0p25.f007.idx", 743, 297, 42, 0),
        ("gfs.t00z.pgrb2.1p00.f000.20260723.inv", 696, 250, 0, 0),
        ("gfs.t06z.pgrb2.10p0.f010.grib2.idx", 6, 6, 0, 0),
        ("gfswave.t18z.atlocn.0p16.f001.grib2.idx", 19, 19, 0, 0),
        ("hrrr.t00z.wrfsfcf00.grib2.idx", 170, 147, 27, 0),
        ("hrrr.t00z.wrfsfcf08.grib2.idx", 173, 150, 30, 0),
        ("hrrr.t01z.wrfsubhf09.grib2.idx", 196, 49, 32, 0),
        ("rrfs.t18z.prslev.f000.grib2.inv", 1078, 410, 60, 0),
        ("s2s_control_2026-08-10T00Z.grib2.index", 11, 8, 0, 11),
    ] {
        let Some(bytes) = shared(name) else { return };
        let index = parse(&bytes, None).unwrap();
        if name.starts_with("rrfs") {
            // 7 GB, written by a wgrib2 with 32-bit offsets.
            assert_eq!(
                index.problems.iter().map(|p| (p.line, &p.reason)).collect::<Vec<_>>(),
                [(369, &Reason::WrappedOffsets)]
            );
            assert!(index.entries.is_sorted_by_key(|e| e.offset));
            assert_eq!(index.entries.last().unwrap().offset, (2 << 32) - 1_310_669_231);
        } else {
            assert_eq!(index.problems, [], "{name}");
        }
        let found = (
            index.entries.len(),
            index.entries.iter().map(Entry::group).collect::<HashSet<_>>().len(),
            index.entries.iter().filter(|e| e.keys.step_start.is_some()).count(),
            index.entries.iter().filter(|e| e.keys.text.product != Product::Forecast).count(),
        );
        println!("{name}: {found:?}");
        assert_eq!(found, (entries, groups, windows, ensemble), "{name}");
        assert_eq!(index.samples().len(), groups, "{name}");
        assert!(index.entries.iter().all(|e| e.keys.step.is_some()), "{name}");
        assert!(index.entries.iter().all(|e| !e.overlaps), "{name}");
        assert_eq!(
            index.entries.iter().filter(|e| e.length.is_none()).map(|e| e.offset).collect::<HashSet<_>>().len(),
            usize::from(index.format == Format::Wgrib2),
            "{name}"
        );
    }
}

#[test]
fn a_binary_index_and_other_files_are_refused() {
    if let Some(bytes) = shared("gdaswave.wcoast.grb2index.bin") {
        assert!(matches!(parse(&bytes, None), Err(IndexError::NotAnIndex { what }) if what.contains("GB2IX1")));
    }
    assert!(matches!(parse(b"GRIB\0\0\0\x02", None), Err(IndexError::NotAnIndex { what: "a GRIB file" })));
    assert!(matches!(parse(b"<html>404</html>", None), Err(IndexError::NotAnIndex { .. })));
    assert!(matches!(parse(b"hello\nworld\n", None), Err(IndexError::NotAnIndex { .. })));
    assert_eq!(parse(b" \n\n", None).unwrap_err(), IndexError::Empty);
    assert_eq!(parse(b"", None).unwrap_err(), IndexError::Empty);
    let kerchunk = parse(br#"{"version": 1, "refs": {".zgroup": "{}"}}"#, None).unwrap_err();
    assert!(matches!(kerchunk, IndexError::NoUsableLine { lines: 1, first_line: 1, .. }), "{kerchunk}");
}

#[test]
fn ecmwf_line() {
    let entry = one(
        r#"{"domain": "g", "date": "20250801", "time": "0600", "expver": "0001", "class": "od", "type": "pf", "stream": "enfo", "step": "135", "levelist": "500", "levtype": "pl", "number": "29", "param": "t", "_offset": 1091287200, "_length": 659210}"#,
    );
    assert_eq!((entry.offset, entry.length, entry.line), (1_091_287_200, Some(659_210), 1));
    let keys = &entry.keys;
    assert_eq!((keys.time, keys.step, keys.step_start), (Some(AUGUST + 6 * HOUR), Some(135 * HOUR), None));
    assert_eq!((keys.number, keys.level, keys.level_text().as_str()), (Some(29), Some(500), "pl 500"));
    let text = &keys.text;
    let words = [&text.param, &text.level, &text.class, &text.stream, &text.kind, &text.expver, &text.variant];
    assert_eq!(words.map(|word| &**word), ["t", "pl", "od", "enfo", "pf", "0001", ""]);
    assert_eq!((text.product, keys.is_ensemble_product()), (Product::Member, false));
}

#[test]
fn ecmwf_look_alikes() {
    let integers = one(
        r#"{"type": "pf", "param": "2t", "step": 3, "levtype": "sfc", "date": 20250801, "time": 600, "_offset": 7, "_length": 9, "number": 1}"#,
    );
    assert_eq!((integers.keys.time, integers.keys.step), (Some(AUGUST + 6 * HOUR), Some(3 * HOUR)));
    assert_eq!(integers.keys.number, Some(1));
    let s2s = one(
        r#"{"ensemble_member": 0, "lead_hours": 24, "length": 58262, "level": "500_hpa", "offset": 140048, "variable": "temperature"}"#,
    );
    assert_eq!((s2s.offset, s2s.length, s2s.keys.number), (140_048, Some(58_262), Some(0)));
    assert_eq!((&*s2s.keys.text.param, &*s2s.keys.text.level, s2s.keys.time), ("temperature", "500_hpa", None));
    assert_eq!(s2s.keys.step, Some(24 * HOUR));
    // No blanks, carriage returns, escapes, null, unknown keys, numbers as text.
    let odd = parse(
        b"{\"param\":\"2t\",\"step\":\"0-24\",\"type\":\"ep\",\"_offset\":\"5\",\"_length\":4}\r\n{\"param\": \"\\u0032t\", \"number\": null, \"step\": \"90m\", \"quantile\": \"1:3\", \"_offset\": 9, \"_length\": 1}\n",
        None,
    )
    .unwrap();
    assert_eq!(odd.problems, []);
    assert_eq!((odd.entries[0].keys.step_start, odd.entries[0].keys.step), (Some(0), Some(24 * HOUR)));
    assert!(odd.entries[0].keys.is_ensemble_product());
    assert_eq!((&*odd.entries[1].keys.text.param, &*odd.entries[1].keys.text.variant), ("2t", "quantile=1:3"));
    assert_eq!((odd.entries[1].keys.step, odd.entries[1].keys.number), (Some(5400), None));
}

#[test]
fn dates_and_times_of_look_alikes() {
    for (date, time, expected) in [
        ("20250801", "0600", Some(AUGUST + 6 * HOUR)),
        ("20250801", "600", Some(AUGUST + 6 * HOUR)),
        ("20250801", "6", Some(AUGUST + 6 * HOUR)),
        ("20250801", "06", Some(AUGUST + 6 * HOUR)),
        ("20250801", "30", Some(AUGUST + 1800)),
        ("20250801", "060000", Some(AUGUST + 6 * HOUR)),
        ("2025-08-01", "06:00", Some(AUGUST + 6 * HOUR)),
        ("20250801", "", Some(AUGUST)),
        ("20250801", "2400", None),
        ("20250801", "0060", None),
        ("2025801", "0000", None),
        ("2025-0801", "0000", None),
        ("202508011", "0000", None),
        ("20250229", "0000", None),
    ] {
        assert_eq!(time::date_and_time(date.as_bytes(), time.as_bytes()), expected, "{date} {time}");
    }
}

#[test]
fn names_with_hours_are_one_parameter() {
    let names = |short_name: &'static str| -> &'static ParameterNames {
        Box::leak(Box::new(ParameterNames {
            param_id: 0,
            short_name,
            name: "",
            units: "",
            cf_var_name: "",
            cf_name: "",
        }))
    };
    for (said, is, agree) in [
        ("10fg", "10fg3", true),
        ("10fg3", "10fg", true),
        ("mx2t3", "mx2t3", true),
        ("swvl1", "swvl2", false),
        ("10u", "10v", false),
        ("t", "t2", false),
    ] {
        let mut entry = pressure(500, 6, 1);
        let text = LineText { param: said.into(), ..(*entry.keys.text).clone() };
        entry.keys.text = std::sync::Arc::new(text);
        assert_eq!(entry.disagreement(&FieldKey { names: Some(names(is)), ..key() }).is_empty(), agree, "{said} {is}");
    }
}

#[test]
fn ecmwf_types() {
    for (kind, number, product, member) in [
        ("fc", "", Product::Forecast, None),
        ("cf", "", Product::Control, Some(0)),
        ("pf", "\"number\": \"7\",", Product::Member, Some(7)),
        ("em", "", Product::Mean, None),
        ("es", "", Product::Spread, None),
        ("ep", "", Product::Probability, None),
    ] {
        let entry = one(&format!(r#"{{"type": "{kind}", {number} "param": "2t", "_offset": 0, "_length": 9}}"#));
        assert_eq!((entry.keys.text.product, entry.keys.number), (product, member), "{kind}");
    }
}

#[test]
fn wgrib2_time_phrases() {
    use StepKind::*;
    for (phrase, start, end, kind, variant) in [
        ("anl", None, Some(0), Instant, ""),
        ("21 hour fcst", None, Some(21 * HOUR), Instant, ""),
        ("495 min fcst", None, Some(495 * 60), Instant, ""),
        ("2 day fcst", None, Some(48 * HOUR), Instant, ""),
        ("12-15 hour acc fcst", Some(12 * HOUR), Some(15 * HOUR), Accumulation, ""),
        ("0-0 day max fcst", Some(0), Some(0), Maximum, ""),
        ("1-2 day min fcst", Some(24 * HOUR), Some(48 * HOUR), Minimum, ""),
        ("490-495 min ave fcst", Some(490 * 60), Some(495 * 60), Average, ""),
        ("0-6 hour fcst", Some(0), Some(6 * HOUR), Unknown, "fcst"),
        ("0-6 hour StdDev fcst", Some(0), Some(6 * HOUR), Unknown, "StdDev fcst"),
        ("0 hour-2 day acc fcst", Some(0), Some(48 * HOUR), Accumulation, ""),
        ("90 min-(90 min+2 hour) acc fcst", Some(5400), Some(5400 + 2 * HOUR), Accumulation, ""),
        (
            "0-90 hour acc@(fcst,dt=450 sec),missing=0",
            Some(0),
            Some(90 * HOUR),
            Accumulation,
            "acc@(fcst,dt=450 sec),missing=0",
        ),
        ("3 month fcst", None, None, Unknown, "3 month fcst"),
        ("124@6 hour ave(6 hour fcst)", None, None, Unknown, "124@6 hour ave(6 hour fcst)"),
    ] {
        for colon in ["", ":"] {
            let keys = noaa(&format!("APCP:surface:{phrase}{colon}")).keys;
            assert_eq!((keys.step_start, keys.step, keys.step_kind), (start, end, kind), "{phrase}");
            assert_eq!(&*keys.text.variant, variant, "{phrase}");
            assert_eq!(keys.time, Some(AUGUST));
        }
    }
}

#[test]
fn wgrib2_ensemble_tags() {
    use Product::*;
    for (tag, product, number, variant) in [
        ("", Forecast, None, ""),
        ("ENS=+1", Member, Some(1), ""),
        ("ENS=-1", Member, Some(1), "ENS=-"),
        ("ENS=12", Member, Some(12), ""),
        ("MM-ENS=3", Member, Some(3), "MM-"),
        ("ENS=low-res ctl", Control, Some(0), ""),
        ("ENS=hi-res ctl", Control, Some(0), "ENS=hi-res ctl"),
        ("ens mean", Mean, None, "ens mean"),
        ("wt ens mean", Mean, None, "wt ens mean"),
        ("ENS=+3 ens mean", Mean, None, "ENS=+3 ens mean"),
        ("ens std dev", Spread, None, "ens std dev"),
        ("ens spread", Spread, None, "ens spread"),
        ("min all members", Other, None, "min all members"),
        ("prob >0.254:prob fcst 255/255", Probability, None, "prob >0.254:prob fcst 255/255"),
        ("prob >=1 <2:prob fcst 0/10:Nbhd Prob", Probability, None, "prob >=1 <2:prob fcst 0/10:Nbhd Prob"),
        ("10% level", Percentile, None, "10% level"),
        ("aerosol=Dust dry:aerosol_size <2.5e-06", Forecast, None, "aerosol=Dust dry:aerosol_size <2.5e-06"),
    ] {
        for colon in ["", ":", "::"] {
            let keys = noaa(&format!("TMP:2 m above ground:6 hour fcst:{tag}{colon}")).keys;
            assert_eq!((keys.text.product, keys.number, &*keys.text.variant), (product, number, variant), "{tag}");
            let single = matches!(product, Forecast | Control | Member);
            assert_eq!(keys.is_ensemble_product(), !single);
        }
    }
}

#[test]
fn wgrib2_variables_levels_and_dates() {
    let named = noaa("HGT Geopotential Height [gpm]:10 mb:6 hour fcst:ens mean");
    assert_eq!(
        (&*named.keys.text.param, named.keys.level, named.keys.level_text().as_str()),
        ("HGT", Some(10), "10 mb")
    );
    let unknown = noaa("var discipline=0 center=7 local_table=1 parmcat=16 parm=201:entire atmosphere:anl:");
    let numbers = unknown.keys.text.unknown_parameter.unwrap();
    assert_eq!((numbers.discipline, numbers.centre, numbers.category, numbers.number), (0, 7, 16, 201));
    assert_eq!((numbers.local_table, numbers.master_table), (1, -1));
    for text in ["0.4 mb", "30-0 mb above ground", "2 m above ground", "PV=2e-06 (Km^2/kg/s) surface"] {
        let keys = noaa(&format!("TMP:{text}:anl")).keys;
        assert_eq!((keys.level, keys.level_text().as_str()), (None, text));
    }
    assert_eq!(one("1:0:d=202508010015:TMP:surface:anl").keys.time, Some(AUGUST + 900));
    assert_eq!(one("1:0:D=20250801001530:TMP:surface:anl").keys.time, Some(AUGUST + 930));
}

#[test]
fn lengths_come_from_the_next_distinct_offset() {
    let text = "1:0:d=2025080100:A:surface:anl\n2.1:100:d=2025080100:UGRD:surface:anl\n2.2:100:d=2025080100:VGRD:surface:anl\n3:250:d=2025080100:B:surface:anl\n";
    let index = parse(text.as_bytes(), Some(400)).unwrap();
    assert_eq!(index.problems, []);
    let found: Vec<_> = index.entries.iter().map(|e| (e.offset, e.length, e.submessage)).collect();
    let expected = [(0, Some(100), None), (100, Some(150), Some(0)), (100, Some(150), Some(1)), (250, Some(150), None)];
    assert_eq!(found, expected);
    // The order of lines does not matter.
    let shuffled: Vec<&str> = text.lines().rev().collect();
    let index = parse(shuffled.join("\n").as_bytes(), None).unwrap();
    assert_eq!(index.entries.iter().map(|e| e.length).collect::<Vec<_>>(), [None, Some(150), Some(150), Some(100)]);
}

#[test]
fn offsets_that_wrapped_at_32_bits() {
    let offsets = |text: &str| {
        let index = parse(text.as_bytes(), None).unwrap();
        let problems = index.problems.iter().map(|p| (p.line, p.reason.clone())).collect::<Vec<_>>();
        (index.entries.iter().map(|e| e.offset).collect::<Vec<_>>(), problems)
    };
    let line = |number: u32, offset: i64| format!("{number}:{offset}:d=2025080100:TMP:{number} mb:anl\n");
    let signed = [line(1, 0), line(2, 2_147_483_647), line(3, -1000), line(4, 500), line(5, -1000)].concat();
    let expected = vec![0, 2_147_483_647, (1 << 32) - 1000, (1 << 32) + 500, (2 << 32) - 1000];
    assert_eq!(offsets(&signed), (expected, vec![(3, Reason::WrappedOffsets)]));
    let unsigned = [line(1, 0), line(2, 4_000_000_000), line(3, 500)].concat();
    assert_eq!(offsets(&unsigned), (vec![0, 4_000_000_000, (1 << 32) + 500], vec![(3, Reason::WrappedOffsets)]));
    // Large files with whole offsets, and lines out of order, stay as they are.
    let whole = [line(1, 0), line(2, 5_000_000_000), line(3, 9_000_000_000)].concat();
    assert_eq!(offsets(&whole).0, [0, 5_000_000_000, 9_000_000_000]);
    let shuffled = [line(2, 4_000_000_000), line(1, 0)].concat();
    assert_eq!(offsets(&shuffled), (vec![4_000_000_000, 0], vec![]));
    let shuffled = [line(2, -1000), line(1, 0)].concat();
    let (found, problems) = offsets(&shuffled);
    assert!(matches!(problems[..], [(1, Reason::BadValue { key: "offset", .. })]) && found == [0], "{problems:?}");
}

#[test]
fn bad_lines_do_not_stop_good_ones() {
    let text = b"1:0:d=2025080100:TMP:surface:anl:\ngarbage\n2:10:d=20250801:TMP:surface:anl:\n3:x:d=2025080100:TMP:surface:anl\n4:40:d=2025080100:TMP\n5:50:d=2025133100:TMP:surface:anl\n6:60:d=2025080100:\xff:surface:anl\n\n7:70:d=2025080100:DPT:surface:anl\n8.0:75:d=2025080100:RH:surface:anl\n99999999999999999999:1:d=2025080100:RH:surface:anl\n9:99999999999999999999999:d=2025080100:RH:surface:anl";
    let index = parse(text, None).unwrap();
    assert_eq!(index.entries.iter().map(|e| e.line).collect::<Vec<_>>(), [1, 9]);
    assert_eq!(index.problems.iter().map(|p| p.line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 10, 11, 12]);
    assert_eq!(index.problems[0].text, "garbage");
    assert_eq!(index.problems[3].reason, Reason::TooFewFields);
    assert_eq!(index.problems[5].reason, Reason::NotText);

    let good = r#"{"param": "2t", "step": "0", "_offset": 0, "_length": 9}"#;
    let lines = [
        good,
        r#"{"param": "2t", "step": "0", "_offset": 0, "_len"#,
        r#"{"param": "2t", "step": "0", "_length": 9}"#,
        r#"{"step": "0", "_offset": 0, "_length": 9}"#,
        r#"{"param": "2t", "step": "soon", "_offset": 0, "_length": 9}"#,
        r#"{"param": "2t", "date": "20251301", "_offset": 0, "_length": 9}"#,
        r#"{"param": "2t", "_offset": -1, "_length": 9}"#,
        r#"{"param": "2t", "_offset": 1.5, "_length": 9}"#,
        r#"[1, 2]"#,
        r#"{"param": "2t", "step": "99999999999999999999", "_offset": 0, "_length": 9}"#,
        r#"{"param": "2d", "step": "0", "_offset": 9, "_length": 9}"#,
    ];
    let index = parse(lines.join("\n").as_bytes(), None).unwrap();
    assert_eq!(index.entries.iter().map(|e| e.line).collect::<Vec<_>>(), [1, 11]);
    assert_eq!(index.problems.iter().map(|p| p.line).collect::<Vec<_>>(), (2..=10).collect::<Vec<_>>());
    assert!(matches!(index.problems[0].reason, Reason::NotJson(_)));
    assert_eq!(index.problems[1].reason, Reason::MissingKey("_offset"));
    assert_eq!(index.problems[2].reason, Reason::MissingKey("param"));
    assert!(matches!(index.problems[3].reason, Reason::BadValue { key: "step", .. }));
    assert!(matches!(index.problems[5].reason, Reason::BadValue { key: "_offset", .. }));
}

#[test]
fn impossible_ranges_are_problems() {
    let line = |param: &str, offset: u64, length: u64| {
        format!("{{\"param\": \"{param}\", \"_offset\": {offset}, \"_length\": {length}}}\n")
    };
    let text = [
        line("a", 0, 10),
        line("b", 10, 0),
        line("c", 10, 20),
        line("d", 25, 5),
        line("a", 0, 10),
        line("e", 95, 6),
        line("f", u64::MAX, 2),
        line("g", 30, 10),
    ]
    .concat();
    let index = parse(text.as_bytes(), Some(100)).unwrap();
    let kept: Vec<_> = index.entries.iter().map(|e| (&*e.keys.text.param, e.overlaps)).collect();
    assert_eq!(kept, [("a", false), ("c", true), ("d", true), ("g", false)]);
    let found: Vec<_> = index.problems.iter().map(|p| (p.line, p.reason.clone())).collect();
    let expected = [
        (2, Reason::ZeroLength),
        (4, Reason::Overlap { line: 3 }),
        (5, Reason::Duplicate { line: 1 }),
        (6, Reason::PastEnd { end: 101, file_size: 100 }),
        (7, Reason::PastEnd { end: u64::MAX, file_size: 100 }),
    ];
    assert_eq!(found, expected);
    assert!(index.problems[3].text.contains("\"e\""), "{:?}", index.problems[3]);
    // Two fields at one offset that are not said to be fields of one message.
    let text =
        "1:0:d=2025080100:UGRD:surface:anl\n2:0:d=2025080100:VGRD:surface:anl\n3:9:d=2025080100:VGRD:surface:anl\n";
    let index = parse(text.as_bytes(), Some(9)).unwrap();
    assert_eq!(index.entries.iter().map(|e| e.overlaps).collect::<Vec<_>>(), [true, true]);
    assert_eq!(index.problems.last().unwrap().reason, Reason::PastEnd { end: 10, file_size: 9 });
}

#[test]
fn a_message_that_the_file_cuts_off_is_not_there() {
    let text = b"1:0:d=2025080100:A:surface:anl\n2:100:d=2025080100:B:surface:anl\n3:200:d=2025080100:C:surface:anl\n";
    let kept = |size| {
        let index = parse(text, size).unwrap();
        index.entries.iter().map(|e| (e.offset, e.length)).collect::<Vec<_>>()
    };
    assert_eq!(kept(Some(250)), [(0, Some(100)), (100, Some(100)), (200, Some(50))]);
    assert_eq!(kept(Some(150)), [(0, Some(100))]);
    assert_eq!(kept(Some(200)), [(0, Some(100)), (100, Some(100))]);
    assert_eq!(kept(None).last(), Some(&(200, None)));
}

#[test]
fn groups_join_levels_members_and_steps_but_nothing_else() {
    let group = |rest: &str| noaa(rest).group();
    let base = group("TMP:500 mb:6 hour fcst:ENS=+1");
    assert_eq!(base, group("TMP:850 mb:6 hour fcst:ENS=+1"));
    assert_eq!(base, group("TMP:850 mb:12 hour fcst:ENS=+2"));
    for other in [
        "HGT:500 mb:6 hour fcst:ENS=+1",
        "TMP:0.4 mb:6 hour fcst:ENS=+1",
        "TMP:2 m above ground:6 hour fcst:ENS=+1",
        "TMP:500 mb:6 hour fcst:ens mean",
        "TMP:500 mb:6 hour fcst",
        "TMP:500 mb:6 hour fcst:ENS=-1",
        "TMP:500 mb:0-6 hour max fcst:ENS=+1",
        "TMP:500 mb:anl:ENS=+1",
        "TMP:500 mb:6 hour fcst:ENS=+1:10% level",
    ] {
        assert_ne!(base, group(other), "{other}");
    }
    assert_eq!(group("APCP:surface:0-6 hour acc fcst"), group("APCP:surface:0-12 hour acc fcst"));
    assert_eq!(group("APCP:surface:6-12 hour acc fcst"), group("APCP:surface:12-18 hour acc fcst"));
    assert_ne!(group("APCP:surface:6-12 hour acc fcst"), group("APCP:surface:6-9 hour acc fcst"));
    assert_ne!(group("APCP:surface:0-6 hour acc fcst"), group("APCP:surface:6-12 hour acc fcst"));
    let ecmwf = |kind: &str, step: &str, param: &str| {
        let number = if kind == "pf" { "\"number\": \"3\", " } else { "" };
        one(&format!(r#"{{"date": "20250801", "time": "0000", "type": "{kind}", {number}"levtype": "sfc", "step": "{step}", "param": "{param}", "_offset": 0, "_length": 1}}"#)).group()
    };
    assert_eq!(ecmwf("pf", "3", "tp"), ecmwf("pf", "6", "tp"));
    assert_ne!(ecmwf("pf", "0", "tp"), ecmwf("pf", "6", "tp"));
    assert_ne!(ecmwf("cf", "6", "tp"), ecmwf("pf", "6", "tp"));
    assert_ne!(ecmwf("pf", "6", "2t"), ecmwf("pf", "6", "tp"));
}

fn pressure(level: u32, step: u32, number: u32) -> Entry {
    let mut entry = one(&format!(
        r#"{{"date": "20250801", "time": "0000", "type": "pf", "number": "{number}", "levtype": "pl", "levelist": "{level}", "step": "{step}", "param": "t", "_offset": {}, "_length": 9}}"#,
        level * 1000 + step * 10 + number
    ));
    entry.line = level + step + number;
    entry
}

#[test]
fn a_key_from_one_header() {
    let sample = pressure(500, 6, 1);
    assert_eq!(sample.disagreement(&key()), Vec::<String>::new());
    assert_eq!(sample.key_from_sample(&sample, &key()), Ok(key()));
    let other = pressure(850, 12, 4).key_from_sample(&sample, &key()).unwrap();
    let expected =
        FieldKey { level: Some(Decimal { value: 850, scale: 0 }), step: 12 * HOUR, number: Some(4), ..key() };
    assert_eq!(other, expected);
    // NOAA: each line has its window.
    let bucket = |text: &str| noaa(&format!("TMP:500 mb:{text} hour ave fcst:ENS=+1"));
    let message = FieldKey { step_start: Some(3 * HOUR), step_type: StepType::Average, ..key() };
    let mut line = bucket("9-12");
    line.offset = 99;
    let found = line.key_from_sample(&bucket("3-6"), &message).unwrap();
    assert_eq!((found.step_start, found.step), (Some(9 * HOUR), 12 * HOUR));
}

#[test]
fn window_starts_that_the_line_does_not_say() {
    let line = |param: &str, step: i64| {
        let mut entry = one(&format!(
            r#"{{"date": "20250801", "time": "0000", "type": "pf", "number": "1", "levtype": "sfc", "step": "{step}", "param": "{param}", "_offset": 0, "_length": 9}}"#
        ));
        entry.offset = u64::try_from(step).unwrap();
        entry
    };
    let start = |param: &str, step_type: StepType, sample: (i64, i64), step: i64| {
        let message = FieldKey {
            names: None,
            type_of_level: "surface",
            surfaces: (1, 255),
            level: None,
            step_start: Some(sample.0 * HOUR),
            step: sample.1 * HOUR,
            step_type,
            ..key()
        };
        let found = line(param, step).key_from_sample(&line(param, sample.1), &message);
        found.map(|key| (key.step_start.unwrap() / HOUR, key.step / HOUR))
    };
    use StepType::*;
    assert_eq!(start("tp", Accumulation, (0, 6), 12), Ok((0, 12)));
    assert_eq!(start("tp", Accumulation, (5, 6), 12), Ok((11, 12)));
    assert_eq!(start("mx2t3", Maximum, (0, 3), 6), Ok((3, 6)));
    assert_eq!(start("mx2t6", Maximum, (144, 150), 156), Ok((150, 156)));
    assert_eq!(start("10fg", Maximum, (0, 3), 6), Err(Disagreement::UnknownWindow));
    assert_eq!(start("10fg", Maximum, (3, 6), 150), Err(Disagreement::UnknownWindow));
    assert_eq!(start("10fg", Maximum, (3, 6), 6), Ok((3, 6)));
    // Not before the start of the forecast.
    assert_eq!(start("mx2t6", Maximum, (6, 12), 3), Err(Disagreement::UnknownWindow));
}

#[test]
fn contradictions_are_named_and_stop_the_substitution() {
    let sample = pressure(500, 6, 1);
    let named = |change: &dyn Fn(&mut FieldKey), words: &str| {
        let mut message = key();
        change(&mut message);
        let found = sample.disagreement(&message);
        assert!(found.len() == 1 && found[0].contains(words), "{words}: {found:?}");
        assert_eq!(pressure(850, 6, 1).key_from_sample(&sample, &message), Err(Disagreement::Contradiction(found)));
    };
    named(&|key| key.time = Some(0), "reference time");
    named(&|key| key.step = 0, "step 21600 s");
    named(&|key| key.number = Some(2), "member 1 in the index, 2");
    named(&|key| key.number = None, "no member");
    named(&|key| key.derived = Derived::Ensemble(0), "Ensemble(0)");
    named(&|key| key.level = Some(Decimal { value: 850, scale: 0 }), "level pl 500 in the index, isobaricInhPa 850");
    static U: ParameterNames =
        ParameterNames { param_id: 131, short_name: "u", name: "", units: "", cf_var_name: "u", cf_name: "" };
    named(&|key| key.names = Some(&U), "parameter t in the index, u");
    let noaa_line = noaa("UGRD:500 mb:6 hour fcst:ENS=+1");
    assert_eq!(noaa_line.disagreement(&key()).len(), 1);
    let noaa_line = noaa("TMP:2 m above ground:0-6 hour max fcst:ENS=+1");
    assert_eq!(noaa_line.disagreement(&key()).len(), 3, "{:?}", noaa_line.disagreement(&key()));
    assert_eq!(noaa("TMP:500 mb:6 hour fcst:ENS=+1").disagreement(&key()), Vec::<String>::new());
}

#[test]
fn what_a_line_does_not_say_is_not_guessed() {
    let mut sample = pressure(500, 6, 1);
    let mut line = pressure(850, 6, 2);
    (sample.keys.time, line.keys.time) = (None, None);
    assert_eq!(line.key_from_sample(&sample, &key()), Err(Disagreement::NotSaid("reference time")));
    let mut line = pressure(850, 6, 2);
    line.overlaps = true;
    assert_eq!(line.key_from_sample(&pressure(500, 6, 1), &key()), Err(Disagreement::Overlap));
    let other = noaa("TMP:500 mb:6 hour fcst");
    assert_eq!(other.key_from_sample(&pressure(500, 6, 1), &key()), Err(Disagreement::OtherGroup));
}

#[test]
fn sidecar_names() {
    let candidates = sidecar_candidates("a/x.grib2");
    assert_eq!(candidates, ["a/x.grib2.idx", "a/x.index", "a/x.grib2.index", "a/x.idx", "a/x.grib2.inv", "a/x.inv"]);
    assert_eq!(sidecar_candidates("gep01.t00z.pgrb2a.0p50.f003")[0], "gep01.t00z.pgrb2a.0p50.f003.idx");
    assert_eq!(grib_of_sidecar("x.grib2.idx"), ["x.grib2"]);
    assert_eq!(grib_of_sidecar("x.index")[0], "x.grib2");
    assert_eq!(grib_of_sidecar("gep01.f003.idx")[0], "gep01.f003");
    assert!(grib_of_sidecar("x.grib2").is_empty() && grib_of_sidecar("a/.idx").is_empty());
    for path in ["x.grib2", "a.b/x.grb", "gep01.f003"] {
        for sidecar in sidecar_candidates(path) {
            assert!(grib_of_sidecar(&sidecar).iter().any(|grib| grib == path), "{path} {sidecar}");
        }
    }
}

#[test]
fn mutated_indexes_give_entries_or_problems() {
    let seeds: [&[u8]; 3] = [
        br#"{"domain": "g", "date": "20250930", "time": "0000", "expver": "0001", "class": "od", "type": "pf", "stream": "enfo", "step": "0-24", "levtype": "pl", "levelist": "500", "number": "29", "param": "2t", "_offset": 1091287200, "_length": 659210}
{"ensemble_member": 0, "lead_hours": 24, "length": 58286, "level": "", "offset": 0, "variable": "2_m_temperature"}
"#,
        b"1.1:0:d=2025080100:APCP:surface:12-15 hour acc fcst:ENS=+1\n1.2:0:d=2025080100:TMP:500 mb:0 hour-2 day acc@(fcst,dt=450 sec),missing=0:prob >=1 <2:prob fcst 0/10:\n",
        b"3:650542:d=202311040100:var discipline=0 center=7 local_table=1 parmcat=16 parm=201:10 mb:5 min-(5 min+2 day) ave fcst:10% level\n2:9:d=2025080100:TMP:2 m above ground:anl\n",
    ];
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    let alphabet = b"0123456789:-.\"{},=+()@% \n\r\\\xff\0aEmN";
    let mut read = 0;
    for round in 0..30_000 {
        let mut bytes = seeds[round % seeds.len()].to_vec();
        for _ in 0..=random(6) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = alphabet[random(alphabet.len())],
                1 => bytes.insert(at, alphabet[random(alphabet.len())]),
                2 => drop(bytes.remove(at)),
                _ => {
                    let end = (at + random(12)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    let to = random(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
        }
        let size = [None, Some(1_091_946_410), Some(10)][round % 3];
        if let Ok(index) = parse(&bytes, size) {
            read += index.entries.len();
            let lines = bytes.split(|b| *b == b'\n').count();
            assert!(index.entries.len() <= lines);
            for entry in &index.entries {
                assert_ne!(entry.length, Some(0));
                if let (Some(size), Some(length)) = (size, entry.length) {
                    assert!(entry.offset + length <= size);
                }
                let _ = (entry.group(), entry.disagreement(&key()), entry.key_from_sample(&index.entries[0], &key()));
            }
        }
    }
    assert!(read > 10_000, "{read}");
}

/// The keys of the fields in NAME.expected.json, by offset and submessage.
fn expected_keys(path: &std::path::Path) -> Vec<((u64, u64, u64), FieldKey)> {
    let text = std::fs::read_to_string(format!("{}.expected.json", path.display())).unwrap();
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let fields = file["field"].as_array().unwrap().iter().map(|field| {
        let number = |name: &str| field[name].as_i64();
        let word = |name: &str| -> &'static str { field[name].as_str().unwrap().to_owned().leak() };
        let names = ParameterNames {
            param_id: u32::try_from(number("paramId").unwrap()).unwrap(),
            short_name: word("shortName"),
            name: "",
            units: "",
            cf_var_name: "",
            cf_name: "",
        };
        let type_of_level = word("typeOfLevel");
        let surface = match type_of_level {
            "isobaricInhPa" | "isobaricInPa" => 100,
            "meanSea" => 101,
            "heightAboveGround" => 103,
            "surface" => 1,
            "depthBelowLandLayer" => 106,
            "hybrid" => 105,
            "planetaryBoundaryLayer" => 220,
            "atmosphere" => 10,
            "cloudTop" => 3,
            "orderedSequence" => 241,
            _ => 255,
        };
        let unit = match field["stepUnits"].as_str().unwrap() {
            "h" => HOUR,
            "m" => 60,
            other => panic!("{other}"),
        };
        let byte = |name: &str| u8::try_from(number(name).unwrap_or(0)).unwrap();
        let (date, clock) = (number("dataDate").unwrap(), number("dataTime").unwrap());
        let step_type = match word("stepType") {
            "accum" => StepType::Accumulation,
            "avg" => StepType::Average,
            "max" => StepType::Maximum,
            "min" => StepType::Minimum,
            _ => StepType::Instant,
        };
        let day = crate::calendar::seconds_since_1970(date / 10_000, date / 100 % 100, date % 100, 0).unwrap();
        let key = FieldKey {
            edition: 2,
            centre: if word("centre") == "ecmf" { 98 } else { 7 },
            parameter: ParameterNumbers::Grib2 {
                discipline: byte("discipline"),
                category: byte("parameterCategory"),
                number: byte("parameterNumber"),
                tables_version: byte("tablesVersion"),
                local_tables_version: 0,
            },
            names: Some(Box::leak(Box::new(names))),
            type_of_level,
            surfaces: (surface, 255),
            level: number("level").map(field_key::whole),
            derived: number("derivedForecast").map_or(Derived::Forecast, |kind| Derived::Ensemble(kind as u8)),
            number: number("number").map(|number| number as u32),
            time: Some(day + clock / 100 * HOUR + clock % 100 * 60),
            step: number("endStep").unwrap() * unit,
            step_start: (step_type != StepType::Instant).then(|| number("startStep").unwrap() * unit),
            step_type,
            ..key()
        };
        let place = (number("offset").unwrap(), number("length").unwrap(), number("submessage").unwrap_or(1) - 1);
        ((place.0 as u64, place.1 as u64, place.2 as u64), key)
    });
    fields.collect()
}

/// Reads the headers of the samples only and compares the keys of all lines. (lines, headers, lines that need their own)
fn keys_from_samples(index_path: &std::path::Path, grib_path: &std::path::Path) -> (usize, usize, usize) {
    let size = std::fs::metadata(grib_path).unwrap().len();
    let index = parse(&std::fs::read(index_path).unwrap(), Some(size)).unwrap();
    let expected = expected_keys(grib_path);
    let message = |entry: &Entry| {
        let place = (entry.offset, entry.length.unwrap(), u64::from(entry.submessage.unwrap_or(0)));
        expected.iter().find(|(at, _)| *at == place).map(|(_, key)| key)
    };
    let samples = index.samples();
    let (mut lines, mut own) = (0, 0);
    for entry in &index.entries {
        // Some files are only the first part of what their index describes.
        let Some(is) = message(entry) else { continue };
        lines += 1;
        let sample =
            samples.iter().map(|at| &index.entries[*at]).find(|sample| sample.group() == entry.group()).unwrap();
        let Some(sample_key) = message(sample) else { continue };
        assert_eq!(sample.disagreement(sample_key), Vec::<String>::new(), "{} {entry:?}", index_path.display());
        match entry.key_from_sample(sample, sample_key) {
            Ok(key) => assert_eq!(&key, is, "{} line {}", index_path.display(), entry.line),
            Err(_) => own += 1,
        }
    }
    (lines, samples.len(), own)
}

#[test]
fn keys_of_whole_runs_from_a_few_headers() {
    let fixtures = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"));
    let mut lines = 0;
    for step in [0, 3, 6] {
        let stem = fixtures.join(format!("ens/20261121000000-{step}h-enfo-ef.grib2"));
        // cf and pf of 2t, 10u, 10v, msl, t, gh and, later than step 0, tp
        let found = keys_from_samples(&stem.with_extension("index"), &stem);
        assert_eq!(found, if step == 0 { (32, 12, 0) } else { (36, 14, 0) });
        lines += found.0;
        for (member, fields) in [("gec00", 8), ("gep01", 8), ("gep02", 8), ("geavg", 7)] {
            let path = fixtures.join(format!("gefs/{member}.t00z.pgrb2a.0p50.f{step:03}"));
            let found = keys_from_samples(&path.with_extension(format!("f{step:03}.idx")), &path);
            let fields = fields - usize::from(step == 0);
            assert_eq!(found, (fields, fields, 0));
            lines += found.0;
        }
    }
    assert_eq!(lines, 104 + 89);
}

#[test]
fn indexes_and_messages_of_real_files_agree() {
    for (index, grib, expected) in [
        ("gfs.t06z.pgrb2.10p0.f010.grib2.idx", "gfs.t06z.pgrb2.10p0.f010.grib2", (6, 6, 0)),
        ("gfswave.t18z.atlocn.0p16.f001.grib2.idx", "gfswave.t18z.atlocn.0p16.f001.grib2", (19, 19, 0)),
        ("gdaswave.t00z.wcoast.0p16.f000.grib2.inv", "gdaswave.t00z.wcoast.0p16.f000.grib2", (19, 19, 0)),
        ("geavg.t00z.pgrb2a.0p50.f006.inv", "geavg.t00z.pgrb2a.0p50.f006.head1MiB.grib2", (6, 5, 0)),
        ("gfs.t00z.pgrb2.1p00.f000.20260723.inv", "gfs.t00z.pgrb2.1p00.f000.20260723.head1MiB.grib2", (20, 20, 0)),
    ] {
        if shared(index).is_none() {
            return;
        }
        let root = PathBuf::from(
            std::env::var_os("GRIBCHUNK_SHARED_DATA")
                .unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").into()),
        );
        let grib = root.join("grib").join(grib);
        if !grib.is_file() {
            println!("skipped: {}", grib.display());
            continue;
        }
        let found = keys_from_samples(&root.join("index").join(index), &grib);
        println!("{index}: {found:?}");
        assert_eq!(found, expected, "{index}");
    }
}

#[test]
fn broken_fixtures() {
    let fixtures = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/broken"));
    let read = |name: &str| {
        let size = std::fs::metadata(fixtures.join(format!("{name}.grib2"))).unwrap().len();
        let index = parse(&std::fs::read(fixtures.join(format!("{name}.index"))).unwrap(), Some(size)).unwrap();
        let problems = index.problems.iter().map(|p| (p.line, p.reason.to_string())).collect::<Vec<_>>();
        (index, problems)
    };
    let (index, problems) = read("index_past_end");
    assert_eq!((index.entries.len(), problems.len(), problems[0].0), (2, 1, 3));
    assert!(problems[0].1.contains("past the end of the file"));
    let (index, problems) = read("half_upload");
    assert_eq!((index.entries.len(), problems.iter().map(|p| p.0).collect::<Vec<_>>()), (1, vec![2, 3]));
    let (index, problems) = read("index_overlap");
    assert_eq!(index.entries.iter().map(|e| e.overlaps).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(problems, [(2, "overlaps the bytes of line 1".to_owned())]);
    let (index, problems) = read("index_bad_lines");
    assert_eq!((index.entries.len(), problems.iter().map(|p| p.0).collect::<Vec<_>>()), (1, vec![2, 4, 5]));
    // Every line of another file's index is contradicted by its message.
    let (index, problems) = read("index_of_another_file");
    assert_eq!(problems, []);
    let messages = expected_keys(&fixtures.join("index_of_another_file.grib2"));
    for (entry, (_, message)) in index.entries.iter().zip(&messages) {
        let found = entry.disagreement(message);
        assert!(found.iter().any(|words| words.contains("parameter")), "{found:?}");
        assert!(matches!(entry.key_from_sample(entry, message), Err(Disagreement::Contradiction(_))));
    }
}

/// A whole run of 85 steps x 9,000 messages. Run with `--release --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn speed_of_ecmwf_lines() {
    let mut text = String::new();
    let mut offset = 0_u64;
    for index in 0..765_000_u64 {
        let (number, level, step) = (index / 7 % 50 + 1, [1000, 850, 500, 250][index as usize % 4], index / 9000 * 3);
        let param = ["t", "u", "v", "gh", "q"][index as usize / 50 % 5];
        text += &format!(
            "{{\"domain\": \"g\", \"date\": \"20250930\", \"time\": \"0000\", \"expver\": \"0001\", \"class\": \"od\", \"type\": \"pf\", \"stream\": \"enfo\", \"step\": \"{step}\", \"levelist\": \"{level}\", \"levtype\": \"pl\", \"number\": \"{number}\", \"param\": \"{param}\", \"_offset\": {offset}, \"_length\": 659210}}\n"
        );
        offset += 659_210;
    }
    let start = std::time::Instant::now();
    let index = parse(text.as_bytes(), Some(offset)).unwrap();
    let elapsed = start.elapsed();
    println!(
        "{} lines, {} MB in {elapsed:?}, {} bytes an entry",
        index.entries.len(),
        text.len() / 1_000_000,
        size_of::<Entry>()
    );
    assert_eq!((index.entries.len(), index.problems.len()), (765_000, 0));
    let start = std::time::Instant::now();
    let samples = index.samples().len();
    println!("{samples} groups in {:?}", start.elapsed());
}
