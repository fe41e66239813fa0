#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use super::*;

const HOUR: i64 = 3600;
/// 2026-11-21T00:00:00Z
const NOVEMBER: i64 = 1_795_219_200;

fn term(text: &str) -> Term {
    let selection = Selection::parse(text).unwrap();
    assert_eq!(selection.terms.len(), 1, "{text}");
    assert_eq!(selection.terms[0].1.len(), 1, "{text}");
    selection.terms[0].1[0].clone()
}

fn range<T>(from: T, to: T) -> Bounds<T> {
    Bounds::Range { from: Some(from), to: Some(to), stride: None }
}

#[test]
fn the_example_of_the_design() {
    let text =
        "variable=t2m/tp,time=2026112100,step=0:48,number=0:50,isobaricInhPa=700,latitude=23:-12,longitude=21:53";
    let selection = Selection::parse(text).unwrap();
    assert_eq!(selection.to_string(), text);
    let keys = ["variable", "time", "step", "number", "isobaricInhPa", "latitude", "longitude"];
    assert_eq!(selection.keys().collect::<Vec<_>>(), keys);
    assert!(selection.allows_text("variable", "tp") && !selection.allows_text("variable", "t"));
    assert!(selection.allows_text("shortName", "anything"));
    let one = |key: &str| selection.get(key).unwrap()[0].clone();
    assert_eq!(one("time").times(), Ok(Bounds::Value(TimePoint::At(NOVEMBER))));
    assert_eq!(one("step").seconds(), Ok(range(0, 48 * HOUR)));
    assert_eq!(one("number").numbers(), Ok(range(0, 50)));
    assert_eq!(one("isobaricInhPa").floats(), Ok(Bounds::Value(700.0)));
    assert_eq!(one("latitude").floats(), Ok(range(23.0, -12.0)));
    assert!(one("latitude").floats().unwrap().contains(0.0) && !one("latitude").floats().unwrap().contains(23.5));
    assert_eq!(selection.get("x"), None);
    assert!(Selection::parse(" ").unwrap().is_everything());
}

#[test]
fn steps_have_units() {
    for (text, seconds) in [
        ("6", 6 * HOUR),
        ("6h", 6 * HOUR),
        ("15m", 900),
        ("2d", 48 * HOUR),
        ("30s", 30),
        ("1.5", 5400),
        ("0.25h", 900),
        ("-3", -3 * HOUR),
    ] {
        assert_eq!(term(&format!("step={text}")).seconds(), Ok(Bounds::Value(seconds)), "{text}");
    }
    let steps = term("step=0:144:3").seconds().unwrap();
    assert_eq!(steps, Bounds::Range { from: Some(0), to: Some(144 * HOUR), stride: Some(3 * HOUR) });
    let taken: Vec<i64> = (-3..=150).filter(|hour| steps.contains(&(hour * HOUR))).collect();
    assert_eq!(taken, (0..=48).map(|n| n * 3).collect::<Vec<_>>());
    let open = term("step=:2d").seconds().unwrap();
    assert!(open.contains(&0) && open.contains(&(48 * HOUR)) && !open.contains(&(48 * HOUR + 1)));
    assert!(term("step=6:").seconds().unwrap().contains(&i64::MAX));
    for text in ["1.", ".5", "6x", "h", "1e3", "1.0001h", "99999999999999999999", "9223372036854775807d", "+1"] {
        let error = Selection::parse(&format!("step={text}")).unwrap_err();
        assert!(error.position == 5 && error.to_string().contains("15m"), "{text}: {error}");
    }
}

#[test]
fn times_in_all_forms() {
    for (text, seconds) in [
        ("20261121", NOVEMBER),
        ("2026112106", NOVEMBER + 6 * HOUR),
        ("202611210630", NOVEMBER + 6 * HOUR + 1800),
        ("20261121063015", NOVEMBER + 6 * HOUR + 1815),
        ("2026-11-21", NOVEMBER),
        ("2026-11-21T06", NOVEMBER + 6 * HOUR),
        ("2026-11-21T06:30", NOVEMBER + 6 * HOUR + 1800),
        ("2026-11-21T06:30Z", NOVEMBER + 6 * HOUR + 1800),
        ("2026-11-21 06:30:15", NOVEMBER + 6 * HOUR + 1815),
    ] {
        let term = term(&format!("time={text}"));
        assert_eq!(term.times(), Ok(Bounds::Value(TimePoint::At(seconds))), "{text}");
        assert_eq!(parse_time(text), Some(seconds));
    }
    for text in
        ["2026", "2026113100", "2026112124", "2026-11-21T6", "2026-1-21", "20261121061", "soon", "2026-11-21T06:60"]
    {
        assert_eq!(parse_time(text), None, "{text}");
        assert!(Selection::parse(&format!("time={text}")).is_err(), "{text}");
    }
    let both = Selection::parse("time=latest/latest-complete").unwrap();
    let points: Vec<_> = both.get("time").unwrap().iter().map(|t| t.times().unwrap()).collect();
    assert_eq!(points, [Bounds::Value(TimePoint::Latest), Bounds::Value(TimePoint::LatestComplete)]);
    assert_eq!(points[0].resolve(Some(5), None), Some(Bounds::Value(5)));
    assert_eq!(points[1].resolve(Some(5), None), None);
}

#[test]
fn colons_of_date_times_are_not_those_of_ranges() {
    let ends = |text: &str| match term(&format!("time={text}")).times().unwrap().resolve(Some(0), None).unwrap() {
        Bounds::Range { from, to, stride } => (from.map(|t| t - NOVEMBER), to.map(|t| t - NOVEMBER), stride),
        value => panic!("{value:?}"),
    };
    let expected = (Some(6 * HOUR), Some(30 * HOUR), None);
    assert_eq!(ends("2026-11-21T06:00:2026-11-22T06:00"), expected);
    assert_eq!(ends("2026-11-21T06:00:00Z:2026-11-22T06:00:00Z"), expected);
    assert_eq!(ends("2026-11-21T06:2026112206"), expected);
    assert_eq!(ends("2026112106:2026-11-22T06"), expected);
    assert_eq!(ends("2026112106:2026112206:12"), (expected.0, expected.1, Some(12 * HOUR)));
    assert_eq!(ends("2026-11-21T06:00:2026-11-22T06:00:12h").2, Some(12 * HOUR));
    assert_eq!(ends("2026112106:"), (Some(6 * HOUR), None, None));
}

#[test]
fn longitudes_wrap() {
    let contains =
        |text: &str, value: f64| term(&format!("longitude={text}")).floats().unwrap().contains_longitude(value);
    assert!(
        contains("21:53", 21.0) && contains("21:53", 53.0) && !contains("21:53", 53.1) && contains("21:53", -339.0)
    );
    assert!(
        contains("350:10", 355.0) && contains("350:10", -5.0) && contains("350:10", 5.0) && !contains("350:10", 180.0)
    );
    assert!(contains("-180:180", 12.0) && contains("0:360", 359.9) && contains("-20:30", 340.0));
    assert!(contains("-5", 355.0) && !contains("-5", 5.0));
}

#[test]
fn errors_say_where_and_what_to_do() {
    for (text, position, words) in [
        ("step", 0, "no ="),
        ("=3", 0, "not a key"),
        ("a b=3", 0, "not a key"),
        ("step=0,,number=1", 7, "empty term"),
        ("step=0,", 7, "empty term"),
        ("number=1,step=", 14, "empty value"),
        ("step=0/", 7, "empty value"),
        ("step=0,step=6", 7, "twice"),
        ("step=0:1:2:3", 5, "too many colons"),
        ("step=0:6:", 9, "empty stride"),
        ("step=0:6:0", 9, "not above 0"),
        ("number=0:6:-1", 11, "not above 0"),
        ("step=48:0", 5, "backwards"),
        ("time=2026112200:2026112100", 5, "backwards"),
        ("number=3:1", 7, "backwards"),
        ("number=1.5", 7, "whole number"),
        ("number=x", 7, "whole number"),
        ("latitude=north", 9, "not a number"),
        ("latitude=nan", 9, "not a number"),
        ("variable=a:b", 9, "no ranges"),
        ("isobaricInhPa=a:b", 14, "not a number"),
        ("variable=t=3", 9, "second ="),
        ("variable=t2m, step = x", 21, "not a step"),
    ] {
        let error = Selection::parse(text).unwrap_err();
        assert_eq!(error.position, position, "{text}: {error}");
        assert!(error.what.contains(words) && !error.remedy.is_empty(), "{text}: {error}");
        assert!(error.to_string().contains(&format!("character {}", position + 1)), "{error}");
    }
}

#[test]
fn what_is_displayed_is_read_back() {
    for text in [
        "step=0:144:3/150:360:6",
        "step=:48/72:",
        "step=:",
        "time=2026-11-21T06:00:2026-11-22T06:00,number=0",
        "level=850/500:700,shortName=t/u",
        " variable = t2m / tp , step = 0 : 48 ",
    ] {
        let selection: Selection = text.parse().unwrap();
        let shown = selection.to_string();
        assert_eq!(Selection::parse(&shown).unwrap(), selection, "{text} -> {shown}");
        assert_eq!(shown, text.replace(' ', ""));
    }
}

#[test]
fn lists_for_the_command_line() {
    let hours = |text: &str| parse_steps(text).unwrap().into_iter().map(|s| s / HOUR).collect::<Vec<_>>();
    let expected: Vec<i64> = (0..=48).map(|n| n * 3).chain((25..=60).map(|n| n * 6)).collect();
    assert_eq!(hours("0:144:3,150:360:6"), expected);
    assert_eq!(hours("0:144:3/150:360:6"), expected);
    assert_eq!(hours("12, 3,3:5"), [3, 4, 5, 12]);
    assert_eq!(parse_steps("0:1:15m").unwrap(), [0, 900, 1800, 2700, 3600]);
    assert_eq!(parse_members("0:3,7").unwrap(), [0, 1, 2, 3, 7]);
    assert_eq!(parse_times("2026112100:2026112118:6").unwrap().len(), 4);
    assert_eq!(parse_times("2026112106,2026-11-21T00:00").unwrap(), [NOVEMBER, NOVEMBER + 6 * HOUR]);
    for (text, position) in
        [("0:", 2), ("3:0", 0), ("0:6:0", 0), ("1,,2", 2), ("1,x", 2), ("0:9999999999:1s", 0), ("", 0)]
    {
        let error = parse_steps(text).unwrap_err();
        assert_eq!(error.position, position, "{text}: {error}");
    }
    assert!(parse_members("-1").unwrap_err().remedy.contains("control"));
    assert!(parse_members("99999999999").is_err());
    assert!(parse_times("2026112100:2026112118").unwrap_err().remedy.contains("stride"));
    assert!(parse_times("latest").is_err());
}

#[test]
fn mutated_selections_never_panic_and_what_is_accepted_round_trips() {
    let seed =
        "variable=t2m/tp,time=2026-11-21T00:00:2026112200,step=0:48:15m,number=0:50,latitude=23:-12.5,longitude=350:10";
    let alphabet: Vec<char> = "0123456789:/,=-.Tmhdsé x".chars().collect();
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    };
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut text: Vec<char> = seed.chars().collect();
        for _ in 0..=random(3) {
            let at = random(text.len());
            match random(3) {
                0 => text[at] = alphabet[random(alphabet.len())],
                1 => text.insert(at, alphabet[random(alphabet.len())]),
                _ => drop(text.remove(at)),
            }
        }
        let text: String = text.into_iter().collect();
        match Selection::parse(&text) {
            Ok(selection) => {
                accepted += 1;
                assert_eq!(Selection::parse(&selection.to_string()).unwrap(), selection, "{text}");
                for (_, terms) in &selection.terms {
                    for term in terms {
                        let _ = (term.floats(), term.numbers(), term.times());
                        let _ = term.seconds().map(|bounds| bounds.contains(&7));
                    }
                }
            }
            Err(error) => assert!(error.position <= text.len(), "{text}: {error}"),
        }
        let _ = (parse_steps(&text), parse_times(&text), parse_members(&text));
    }
    assert!(accepted > 1000, "{accepted}");
}
