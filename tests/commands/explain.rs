use crate::place::Place;

const SLOT: &str = "step=3,number=2";

#[test]
fn a_virtual_slot_is_followed_from_its_key_to_its_values() {
    let place = Place::with_run();
    let repository = place.repository();
    let one = place.run(&["explain", &repository, "t2m", "--select", SLOT, "--json"]).expect(0).json();
    assert_eq!(one["zarrKey"], "t2m/c/0/1/2/0/0");
    assert_eq!(one["slot"], "t2m time 2026-11-21T00:00Z step 3h number 2");
    assert_eq!(one["index"], serde_json::json!([0, 1, 2]));
    assert_eq!(one["reference"]["kind"], "virtual");
    assert!(one["reference"]["url"].as_str().unwrap().ends_with("20261121000000-3h-enfo-ef.grib2"));
    // The same as ecCodes says of the message at that place.
    let expected = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/fixtures/ens/20261121000000-3h-enfo-ef.grib2.expected.json"
    ));
    let expected: serde_json::Value = serde_json::from_str(&expected.unwrap()).unwrap();
    let fields = expected["field"].as_array().unwrap();
    let same = |f: &&serde_json::Value| f["offset"] == one["reference"]["offset"];
    let field = fields.iter().find(same).expect("a message at that offset");
    assert_eq!(one["values"]["sha256_f32le"], field["values"]["sha256_f32le"]);
    assert_eq!(one["header"]["shortName"], "2t");
    assert_eq!(one["header"]["number"], 2);
    assert_eq!(one["header"]["endStep"], 3);
    assert_eq!(one["packing"]["packingType"], "grid_ccsds");
    assert_eq!(one["grid"]["gridType"], "regular_ll");
    let checks: Vec<&str> = one["checks"].as_array().unwrap().iter().map(|c| c["check"].as_str().unwrap()).collect();
    assert_eq!(checks, ["allowed", "unchanged", "message", "whole key", "grid", "decode"]);
    assert!(one["checks"].as_array().unwrap().iter().all(|c| c["passed"] == true));
    assert!(one.get("stops").is_none());
    let text = place.run(&["explain", &repository, "t2m", "--select", SLOT]).expect(0).out;
    assert!(text.contains("shortName=2t") && text.contains("these values"), "{text}");
}

#[test]
fn it_says_where_a_read_stops() {
    let place = Place::with_run();
    let repository = place.repository();
    let explain = |code: i32, more: &[&str]| {
        let arguments = [&["explain", &repository, "t2m", "--select", SLOT, "--json"], more].concat();
        place.run(&arguments).expect(code).json()
    };
    let other = Place::with_cube();
    let stranger = other.run(&["explain", &repository, "t2m", "--select", SLOT, "--json"]).expect(1).json();
    assert!(stranger["stops"].as_str().unwrap().starts_with("allowed: "), "{stranger}");
    assert!(stranger.get("header").is_none(), "nothing of a forbidden place is shown: {stranger}");
    explain(0, &[]);
    let file = std::fs::OpenOptions::new().append(true).open(place.file(3)).unwrap();
    file.set_len(file.metadata().unwrap().len() + 1).unwrap();
    let changed = explain(1, &[]);
    assert!(changed["stops"].as_str().unwrap().starts_with("unchanged: "), "{changed}");
    std::fs::remove_file(place.file(3)).unwrap();
    let gone = explain(1, &[]);
    assert!(gone["stops"].as_str().unwrap().contains("is gone"), "{gone}");
    assert_eq!(gone["reference"]["kind"], "virtual");
}

#[test]
fn missing_and_materialised_slots_are_explained_too() {
    let place = Place::with_cube();
    let repository = place.repository();
    let explain = |array: &str, select: &str| {
        place.run(&["explain", &repository, array, "--select", select, "--json"]).expect(0).json()
    };
    let missing = explain("t2m", SLOT);
    assert_eq!((&missing["reference"]["kind"], &missing["expected"]), (&"missing".into(), &true.into()));
    assert_eq!(explain("tp", "step=0,number=2")["expected"], false);
    place.ingest(3);
    let before = explain("t2m", SLOT);
    place.run(&["materialise", &repository]).expect(0);
    let after = explain("t2m", SLOT);
    assert_ne!(after["reference"]["kind"], "virtual");
    assert_eq!(after["values"]["min"].as_f64().unwrap() as f32, before["values"]["min"].as_f64().unwrap() as f32);
    let text = place.run(&["explain", &repository, "t2m", "--select", "step=6,number=2"]).expect(0).out;
    assert!(text.contains("NaN at every point"), "{text}");
}

#[test]
fn one_slot_must_be_chosen() {
    let place = Place::with_cube();
    let several = place.run(&["explain", &place.repository(), "t2m", "--select", "step=3"]).expect(1);
    assert!(several.err.contains("4 slots") && several.err.contains("number (4 values)"), "{}", several.err);
    let none = place.run(&["explain", &place.repository(), "t2m", "--select", "step=4,number=0"]).expect(1);
    assert!(none.err.contains("takes nothing"), "{}", none.err);
    let coordinate = place.run(&["explain", &place.repository(), "latitude"]).expect(1);
    assert!(coordinate.err.contains("not an array of a cube"), "{}", coordinate.err);
}
