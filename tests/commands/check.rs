use std::os::unix::fs::FileExt;

use crate::place::Place;

/// Changes bytes of a file and puts its modification time back: what only the headers can tell.
fn overwrite(path: &std::path::Path, bytes: &[u8], offset: u64) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    file.write_all_at(bytes, offset).unwrap();
    file.set_modified(modified).unwrap();
}

#[test]
fn a_good_repository_passes() {
    let place = Place::with_run();
    let repository = place.repository();
    place.run(&["materialise", &repository, "--select", "variable=t2m"]).expect(0);
    let report = place.run(&["check", &repository, "--sources", "--json"]).expect(0).json();
    assert_eq!(report["problems"], serde_json::json!([]));
    assert_eq!(report["virtual"], 104 - 12);
    assert!(report["materialised"].as_u64().unwrap() > 12, "coordinates count: {report}");
    assert_eq!(report["sources"], 3);
    assert_eq!(report["unverified"], 0);
    assert_eq!(report["good"], report["chunks"]);
}

#[test]
fn a_subset_is_the_same_one_each_time() {
    let place = Place::with_run();
    let repository = place.repository();
    let some = |part: &str| place.run(&["check", &repository, "--subset", part, "--json"]).expect(0).json();
    let (first, second, all) = (some("30%"), some("30%"), some("100%"));
    assert_eq!(first, second);
    assert!(first["virtual"].as_u64().unwrap() < 60 && first["virtual"].as_u64().unwrap() > 5, "{first}");
    assert_eq!(all["virtual"], 104);
    for bad in ["5", "0%", "101%", "-1%", "five%"] {
        let refused = place.run(&["check", &repository, &format!("--subset={bad}")]).expect(1);
        assert!(refused.err.contains("5%"), "{}", refused.err);
    }
}

#[test]
fn a_changed_file_and_a_gone_file_are_named_with_their_slots() {
    let place = Place::with_run();
    let repository = place.repository();
    let six = std::fs::OpenOptions::new().write(true).open(place.file(6)).unwrap();
    six.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000)).unwrap();
    std::fs::remove_file(place.file(3)).unwrap();
    let report = place.run(&["check", &repository, "--sources", "--json"]).expect(3).json();
    let problems = report["problems"].as_array().unwrap();
    // 36 slots of each, and each file once.
    assert_eq!(problems.len(), 36 + 36 + 2);
    let of = |text: &str| problems.iter().filter(|p| p["reason"].as_str().unwrap().contains(text)).count();
    assert_eq!(of("changed after it was ingested"), 37);
    assert_eq!(of("is gone"), 37);
    let slot = problems.iter().find(|p| p["array"] == "t2m").unwrap();
    assert!(slot["slot"].as_str().unwrap().starts_with("t2m time 2026-11-21T00:00Z step "), "{slot}");
    assert!(slot["source"].as_str().unwrap().ends_with("h-enfo-ef.grib2"), "{slot}");
    // What people read says each file and reason once.
    let text = place.run(&["check", &repository]).expect(3).out;
    assert_eq!(text.matches("is gone").count(), 1, "{text}");
    assert!(text.contains("and 31 more slots"), "{text}");
}

#[test]
fn a_message_that_is_another_field_is_found_by_its_header() {
    let place = Place::with_run();
    let repository = place.repository();
    // Two messages of the same parameter and length change places: each header is fine, but not of its slot.
    let index = std::fs::read_to_string(place.file(3).with_extension("index")).unwrap();
    let lines: Vec<serde_json::Value> = index.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let range = |line: &serde_json::Value| (line["_offset"].as_u64().unwrap(), line["_length"].as_u64().unwrap());
    let pairs = lines.iter().enumerate().flat_map(|(i, a)| lines.iter().skip(i + 1).map(move |b| (a, b)));
    let (a, b) = pairs.into_iter().find(|(a, b)| range(a).1 == range(b).1).expect("two messages of one length");
    let content = std::fs::read(place.file(3)).unwrap();
    let bytes = |(offset, length): (u64, u64)| content[offset as usize..(offset + length) as usize].to_vec();
    overwrite(&place.file(3), &bytes(range(a)), range(b).0);
    overwrite(&place.file(3), &bytes(range(b)), range(a).0);
    let report = place.run(&["check", &repository, "--json"]).expect(3).json();
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 2, "{report}");
    assert!(problems.iter().all(|p| p["reason"].as_str().unwrap().contains("but the slot")), "{report}");
    // The file itself looks unchanged.
    let sources = place.run(&["check", &repository, "--sources", "--json"]).expect(3).json();
    assert_eq!(sources["problems"].as_array().unwrap().len(), 2);
}

#[test]
fn when_no_slot_is_good_the_code_is_1() {
    let place = Place::with_run();
    let repository = place.repository();
    std::fs::remove_file(place.file(0)).unwrap();
    std::fs::remove_file(place.file(3)).unwrap();
    place.run(&["check", &repository]).expect(3);
    std::fs::remove_file(place.file(6)).unwrap();
    place.run(&["check", &repository]).expect(1);
}

#[test]
fn damaged_stored_chunks_are_problems_of_their_slots() {
    let place = Place::with_run();
    let repository = place.repository();
    place.run(&["materialise", &repository, "--select", "variable=t2m"]).expect(0);
    let chunks = place.directory.join("repository/chunks");
    let mut damaged = 0;
    for entry in std::fs::read_dir(&chunks).unwrap().flatten() {
        let length = entry.metadata().unwrap().len();
        std::fs::write(entry.path(), vec![0u8; length as usize]).unwrap();
        damaged += 1;
    }
    assert_eq!(damaged, 12);
    let report = place.run(&["check", &repository, "--json"]).expect(3).json();
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 12);
    for problem in problems {
        assert!(problem["reason"].as_str().unwrap().contains("damaged"), "{problem}");
        assert!(problem["slot"].as_str().unwrap().starts_with("t2m time "), "{problem}");
    }
}

#[test]
fn a_manifest_that_cannot_be_read_spoils_its_array_only() {
    let place = Place::with_run();
    let repository = place.repository();
    let mut spoilt = 0;
    for entry in std::fs::read_dir(place.directory.join("repository/manifests")).unwrap().flatten() {
        let content = std::fs::read(entry.path()).unwrap();
        std::fs::write(entry.path(), b"nothing").unwrap();
        let ran = place.run(&["check", &repository, "--json"]);
        std::fs::write(entry.path(), content).unwrap();
        let report = ran.json();
        if let Some(error) = report["error"].as_str() {
            // The coordinates that make the layout: without them there is no snapshot to check.
            assert_eq!(ran.code, 1, "{error}");
            continue;
        }
        let problems = report["problems"].as_array().unwrap();
        // Manifests of earlier snapshots are not looked at.
        assert!(problems.len() <= 1, "{problems:?}");
        for problem in problems {
            assert_eq!(ran.code, 3);
            assert!(problem["reason"].as_str().unwrap().contains("manifests"), "{problem}");
        }
        spoilt += problems.len();
    }
    assert!(spoilt >= 7, "{spoilt}, of seven variables in manifests of two steps");
    place.run(&["check", &repository]).expect(0);
}

#[test]
fn places_that_were_not_allowed_are_not_read() {
    let place = Place::with_run();
    let stranger = Place::with_cube();
    let refused = stranger.run(&["check", &place.repository(), "--json"]).expect(1).json();
    let problems = refused["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 104);
    assert!(problems.iter().all(|p| p["reason"].as_str().unwrap().contains("--allow")), "{refused}");
    stranger.run(&["check", &place.repository(), "--allow", &place.path("run")]).expect(0);
}
