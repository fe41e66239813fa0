use gribchunk::inspect::{DiffBasis, ReferenceKind, diff};
use gribchunk::{IngestOptions, LayoutOptions, OpenOptions, Reference, Repository};

use crate::place::Place;

#[test]
fn what_arrived_is_said_in_ranges_of_coordinates() {
    let place = Place::with_run();
    let repository = place.repository();
    let log = place.log();
    // newest first: 6 h, 3 h, 0 h, allocated
    let text = place.run(&["diff", &repository, &log[3], "main"]).expect(0).out;
    assert!(text.contains("t2m time 2026112100 step 0:6 number 0:3: missing -> virtual\n"), "{text}");
    assert!(text.contains("tp time 2026112100 step 3:6 number 0:3: missing -> virtual\n"), "{text}");
    assert!(
        text.contains("gh time 2026112100 step 0:6 number 0:3 isobaricInhPa 500:850: missing -> virtual\n"),
        "{text}"
    );
    assert!(text.contains("104 slots of"), "{text}");
    let one = place.run(&["diff", &repository, &log[1], &log[0], "--json"]).expect(0).json();
    assert_eq!(one["basis"], "transactionLogs");
    assert_eq!(one["metadata"], serde_json::json!([]));
    let arrays = one["arrays"].as_array().unwrap();
    let t2m = arrays.iter().find(|a| a["array"] == "t2m").unwrap();
    assert_eq!(t2m["dimensions"], serde_json::json!(["time", "step", "number"]));
    let expected = serde_json::json!([{
        "before": "missing", "after": "virtual", "range": [[0, 0], [2, 2], [0, 3]],
        "coordinates": "time 2026112100 step 6 number 0:3", "slots": 4,
    }]);
    assert_eq!(t2m["changes"], expected);
    // The other way round.
    let back = place.run(&["diff", &repository, &log[0], &log[1]]).expect(0).out;
    assert!(back.contains("t2m time 2026112100 step 6 number 0:3: virtual -> missing\n"), "{back}");
    let nothing = place.run(&["diff", &repository, "main", &log[0], "--json"]).expect(0).json();
    assert_eq!((&nothing["basis"], &nothing["arrays"]), (&"same".into(), &serde_json::json!([])));
}

#[test]
fn materialised_replaced_and_new_times_are_told_apart() {
    let place = Place::with_run();
    let repository = place.repository();
    place.run(&["tag", &repository, "before"]).expect(0);
    place.run(&["materialise", &repository, "--select", "variable=t2m,number=1:2"]).expect(0);
    place.run(&["allocate", &repository, "--times", "2026112106"]).expect(0);
    // A copy is another file with the same fields: it replaces what is there.
    let copy = place.path("run/copy.grib2");
    std::fs::copy(place.file(3), &copy).unwrap();
    place.run(&["ingest", &repository, &copy]).expect(0);
    let text = place.run(&["diff", &repository, "before", "main"]).expect(0).out;
    for line in [
        "/: new times 2026112106\n",
        "t2m time 2026112100 step 0 number 1:2: virtual -> materialised\n",
        "t2m time 2026112100 step 6 number 1:2: virtual -> materialised\n",
        "t2m time 2026112100 step 3 number 0:3: virtual -> virtual (replaced)\n",
        "tp time 2026112100 step 3 number 0:3: virtual -> virtual (replaced)\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    assert!(!text.contains("other metadata"), "{text}");
    assert!(!text.contains("valid_time"), "{text}");
}

#[test]
fn across_a_reset_all_references_are_compared() {
    let place = Place::with_run();
    let repository = place.repository();
    let log = place.log();
    place.run(&["reset", &repository, &log[3]]).expect(0);
    place.ingest(3);
    let text = place.run(&["diff", &repository, &log[0], "main"]).expect(0).out;
    assert!(text.contains("neither is an ancestor"), "{text}");
    assert!(text.contains("t2m time 2026112100 step 0 number 0:3: virtual -> missing\n"), "{text}");
    assert!(text.contains("t2m time 2026112100 step 6 number 0:3: virtual -> missing\n"), "{text}");
    // Step 3 is the same in both: the reference is the same bytes of the same file.
    assert!(!text.contains("step 3"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_give_what_a_full_comparison_gives() {
    let files: Vec<String> = vec![concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ens").into()];
    let repository = Repository::create_in_memory(OpenOptions::default()).await.unwrap();
    let (samples, _) = gribchunk::sample(&files).unwrap();
    gribchunk::init(&repository, &samples, &LayoutOptions::default()).await.unwrap();
    let first = repository.log(&Reference::default(), 1).await.unwrap()[0].id.clone();
    gribchunk::ingest(&repository, &files, &IngestOptions::default().commit_each(), |_| {}).await.unwrap();
    let before = Reference::from(first.as_str());
    let changes = diff(&repository, &before, &Reference::default()).await.unwrap();
    assert_eq!(changes.basis, DiffBasis::TransactionLogs);
    assert_eq!(changes.slots(), 104);
    // Every slot that the manifests hold is in exactly one range.
    let snapshot = repository.snapshot(&Reference::default()).await.unwrap();
    for array in &changes.arrays {
        let mut named: Vec<Vec<u32>> = array.changes.iter().flat_map(|c| c.range.slots().collect::<Vec<_>>()).collect();
        let states = gribchunk::inspect::chunk_states(&snapshot, &array.array).await.unwrap();
        let mut there: Vec<Vec<u32>> = states.into_iter().map(|(index, _)| index).collect();
        named.sort();
        there.sort();
        assert_eq!(named, there, "{}", array.array);
        assert!(array.changes.iter().all(|c| (c.before, c.after) == (ReferenceKind::Missing, ReferenceKind::Virtual)));
    }
    // From the very beginning: the variables are new.
    let log = repository.log(&Reference::default(), 100).await.unwrap();
    let beginning = Reference::from(log.last().unwrap().id.as_str());
    let all = diff(&repository, &beginning, &Reference::default()).await.unwrap();
    assert_eq!(all.arrays, changes.arrays);
    let variables =
        all.metadata.iter().filter(|c| c.change == gribchunk::inspect::MetadataChangeKind::NewVariable).count();
    assert_eq!(variables, changes.arrays.len());
}
