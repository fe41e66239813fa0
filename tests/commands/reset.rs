use crate::place::Place;

#[test]
fn main_goes_back_says_what_is_undone_and_can_return() {
    let place = Place::with_run();
    let repository = place.repository();
    let log = place.log();
    let report = place.run(&["reset", &repository, &log[2], "--json"]).expect(0).json();
    assert_eq!((report["from"].as_str(), report["to"].as_str()), (Some(log[0].as_str()), Some(log[2].as_str())));
    let undone: Vec<&str> = report["undone"].as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap()).collect();
    assert_eq!(undone, [&log[0], &log[1]]);
    assert_eq!(place.log(), log[2..]);
    // The files that were undone are not "known": they can be ingested again.
    let again = place.run(&["ingest", &repository, &place.path("run"), "--json"]).expect(0).json();
    assert_eq!(again["placed"], 72);
    let ahead = place.run(&["reset", &repository, &log[0]]).expect(1);
    assert!(ahead.err.contains("not in the history") && ahead.err.contains("--force"), "{}", ahead.err);
    assert_ne!(place.log()[0], log[0]);
    let forced = place.run(&["reset", &repository, &log[0], "--force"]).expect(0).out;
    assert!(forced.contains("1 commits undone"), "{forced}");
    assert_eq!(place.log(), log);
}

#[test]
fn resetting_to_where_it_is_changes_nothing() {
    let place = Place::with_run();
    let repository = place.repository();
    let log = place.log();
    place.run(&["tag", &repository, "here"]).expect(0);
    let same = place.run(&["reset", &repository, "here"]).expect(0).out;
    assert!(same.contains("nothing to do"), "{same}");
    assert_eq!(place.log(), log);
    place.run(&["reset", &repository, "nowhere"]).expect(1);
    assert_eq!(place.log(), log);
}
