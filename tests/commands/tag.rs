use crate::place::Place;

#[test]
fn a_tag_stays_where_it_is_while_main_moves_on() {
    let place = Place::with_cube();
    let repository = place.repository();
    let empty = place.log()[0].clone();
    let made = place.run(&["tag", &repository, "allocated", "--json"]).expect(0).json();
    assert_eq!(made, serde_json::json!({"tag": "allocated", "snapshot": empty}));
    place.ingest(3);
    assert_ne!(place.log()[0], empty);
    let coverage = place.run(&["coverage", &repository, "--at", "allocated", "--json"]).expect(0).json();
    assert_eq!(coverage["snapshot"], empty.as_str());
    assert_eq!(coverage["total"]["virtual"], 0);

    place.run(&["tag", &repository, "before", "--at", &empty]).expect(0);
    let before = place.run(&["coverage", &repository, "--at", "before", "--json"]).expect(0).json();
    assert_eq!(before["snapshot"], empty.as_str());
}

#[test]
fn names_that_would_mean_something_else_are_refused() {
    let place = Place::with_cube();
    let repository = place.repository();
    let id = place.log()[0].clone();
    for name in ["main", "2026-11-21T06:00:00Z", id.as_str(), "", "a/b"] {
        let refused = place.run(&["tag", &repository, name]).expect(1);
        assert!(refused.err.contains("tag name"), "{name}: {}", refused.err);
    }
    place.run(&["tag", &repository, "good"]).expect(0);
    place.ingest(0);
    let twice = place.run(&["tag", &repository, "good"]).expect(1);
    assert!(twice.err.contains("never move"), "{}", twice.err);
    let nowhere = place.run(&["tag", &repository, "other", "--at", "nothing"]).expect(1);
    assert!(nowhere.err.contains("\"nothing\""), "{}", nowhere.err);
}
