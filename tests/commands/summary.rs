use crate::place::Place;

#[test]
fn short_forms_have_a_line_for_each_variable() {
    let place = Place::with_cube();
    let repository = place.repository();
    place.ingest(3);
    place.run(&["materialise", &repository, "--select", "variable=t2m"]).expect(0);
    let text = place.run(&["coverage", &repository, "--summary"]).expect(0).out;
    let line = |name: &str| text.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    assert!(line("t2m ").contains("4/12  ·#·  2026112100"), "{text}");
    assert!(line("tp ").contains("4/8   v·  2026112100"), "{text}");
    let show = place.run(&["show", &repository, "--summary"]).expect(0).out;
    let t2m: Vec<&str> = show.lines().find(|l| l.trim_start().starts_with("t2m")).unwrap().split_whitespace().collect();
    assert_eq!(t2m[..5], ["t2m", "12", "8", "0", "4"], "{show}");
    // What programs read is the same in all forms.
    let json = |arguments: &[&str]| place.run(arguments).expect(0).json();
    assert_eq!(json(&["coverage", &repository, "--json"]), json(&["coverage", &repository, "--json", "--summary"]));
    assert_eq!(json(&["show", &repository, "--json"]), json(&["show", &repository, "--json", "--summary"]));
}

#[test]
fn pictures_of_variables_that_look_the_same_are_drawn_once() {
    let place = Place::with_run();
    let text = place.run(&["coverage", &place.repository()]).expect(0).out;
    assert!(text.contains("12 of 12 slots each"), "{text}");
    assert!(text.contains("0:3 vvv\n"), "{text}");
    assert!(
        text.contains("gh, t: 24 of 24 slots each\n  2026112100  isobaricInhPa 850:500  steps 0h .. 6h\n"),
        "{text}"
    );
    assert!(text.contains("tp: 8 of 8 slots\n"), "{text}");
}
