use std::sync::Arc;

use gribchunk::repository::Conflict;
use gribchunk::store::View;
use gribchunk::{IngestOptions, LayoutOptions, MaterialiseOptions, OpenOptions, Reference, Repository, Selection};

use crate::place::Place;

fn files() -> Vec<String> {
    vec![concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/ens").into()]
}

async fn repository() -> Repository {
    let repository = Repository::create_in_memory(OpenOptions::default()).await.unwrap();
    let (samples, _) = gribchunk::sample(&files()).unwrap();
    gribchunk::init(&repository, &samples, &LayoutOptions::default()).await.unwrap();
    repository
}

async fn materialise(repository: &Repository, variable: &str) {
    let options =
        MaterialiseOptions { select: Selection::parse(&format!("variable={variable}")).ok(), ..Default::default() };
    gribchunk::materialise(repository, &options).await.unwrap();
}

async fn everything(repository: &Repository, array: &str) -> Vec<f32> {
    let snapshot = repository.snapshot(&Reference::default()).await.unwrap();
    let shape = snapshot.array(array).await.unwrap().shape.clone();
    snapshot.read(array, &shape.iter().map(|&n| 0..n).collect::<Vec<_>>()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finalised_array_needs_no_codec_of_ours() {
    let repository = repository().await;
    let three: Vec<String> = vec![format!("{}/20261121000000-3h-enfo-ef.grib2", files()[0])];
    gribchunk::ingest(&repository, &three, &IngestOptions::default(), |_| {}).await.unwrap();
    let virtual_values = everything(&repository, "t2m").await;
    materialise(&repository, "t2m").await;
    let report = repository.finalise(&["t2m".into()]).await.unwrap();
    assert_eq!(report.finalised, ["t2m"]);
    let snapshot = repository.snapshot(&Reference::default()).await.unwrap();
    // As on disk: nothing but codecs of the Zarr specification, and zarrs reads every value with them. Steps 0 and 6 are
    // missing: the fill value.
    let stored = Arc::new(snapshot.store(View::Stored));
    let array = zarrs::array::Array::async_open(stored, "/t2m").await.unwrap();
    let document: serde_json::Value = serde_json::from_str(&serde_json::to_string(array.metadata()).unwrap()).unwrap();
    let codecs = document["codecs"].as_array().unwrap();
    let names: Vec<&str> = codecs.iter().map(|c| c.as_str().or(c["name"].as_str()).unwrap()).collect();
    assert_eq!(names, ["bytes", "zstd"]);
    let values: Vec<f32> = array.async_retrieve_array_subset(&array.subset_all()).await.unwrap();
    let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert!(values.iter().any(|v| v.is_finite()) && values.iter().any(|v| v.is_nan()));
    assert_eq!(bits(&values), bits(&virtual_values));
    // Our own readers go on as before.
    assert_eq!(bits(&everything(&repository, "t2m").await), bits(&virtual_values));
    let again = repository.finalise(&["t2m".into()]).await.unwrap();
    assert_eq!((again.already.as_slice(), again.snapshot), (["t2m".to_string()].as_slice(), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_a_finalised_variable_are_materialised_at_ingest() {
    let repository = repository().await;
    assert_eq!(repository.finalise(&["t2m".into()]).await.unwrap().finalised, ["t2m"]);
    let report = gribchunk::ingest(&repository, &files(), &IngestOptions::default(), |_| {}).await.unwrap();
    assert!(report.is_complete());
    assert_eq!(report.materialised(), 12);
    let snapshot = repository.snapshot(&Reference::default()).await.unwrap();
    for (_, state) in gribchunk::inspect::chunk_states(&snapshot, "t2m").await.unwrap() {
        assert!(matches!(state, gribchunk::ChunkState::Materialised { .. }), "{state:?}");
    }
    assert!(everything(&repository, "t2m").await.iter().all(|v| v.is_finite()));
    assert!(gribchunk::inspect::check(&snapshot, &Default::default()).await.unwrap().is_good());
    // New times keep the codecs.
    gribchunk::allocate(&repository, &[1795240800]).await.unwrap();
    let snapshot = repository.snapshot(&Reference::default()).await.unwrap();
    assert_eq!(snapshot.array("t2m").await.unwrap().metadata["codecs"][0]["name"], "bytes");
    assert!(snapshot.layout().variable("t2m").unwrap().1.finalised);
}

/// Promise 3: a writer that looked at the cube before it was finalised must not bring a GRIB message into it afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_from_before_cannot_bring_a_virtual_chunk() {
    let repository = repository().await;
    let file = gribchunk::source::expand(&files()).unwrap().remove(0);
    let scanned = gribchunk::ingest::scan_file(&file).unwrap();
    repository.add_source(file.path().unwrap().parent().unwrap()).await.unwrap();
    let field = scanned.fields.iter().find(|f| f.key.short_name() == "2t").unwrap();
    let mut before = repository.transaction("main").await.unwrap();
    let slot = before.layout().place(&field.key).unwrap().remove(0);
    let reference = icechunk::format::manifest::VirtualChunkRef {
        location: icechunk::format::manifest::VirtualChunkLocation::from_url(&scanned.location()).unwrap(),
        offset: field.offset,
        length: field.length,
        checksum: scanned.fingerprint.last_modified(),
    };
    before.set_virtual("t2m", vec![(slot.clone(), reference.clone())]).await.unwrap();
    assert_eq!(repository.finalise(&["t2m".into()]).await.unwrap().finalised, ["t2m"]);
    let late = before.commit("late", Default::default(), Conflict::Replace).await;
    assert!(matches!(late, Err(gribchunk::Error::Conflict { .. })), "{late:?}");
    let mut after = repository.transaction("main").await.unwrap();
    let refused = after.set_virtual("t2m", vec![(slot, reference)]).await.unwrap_err().to_string();
    assert!(refused.contains("finalised"), "{refused}");
}

#[test]
fn virtual_slots_are_listed_and_keep_an_array_as_it_is() {
    let place = Place::with_run();
    let repository = place.repository();
    place.run(&["materialise", &repository, "--select", "variable=u10"]).expect(0);
    place.run(&["materialise", &repository, "--select", "variable=t2m,step=3"]).expect(0);
    let refused = place.run(&["finalise", &repository, "t2m"]).expect(1);
    assert!(refused.err.contains("8 slots are virtual"), "{}", refused.err);
    assert!(refused.err.contains("    time 2026112100 step 0 number 0:3\n"), "{}", refused.err);
    assert!(refused.err.contains("    time 2026112100 step 6 number 0:3\n"), "{}", refused.err);
    let both = place.run(&["finalise", &repository, "t2m", "u10", "--json"]).expect(3).json();
    assert_eq!(both["finalised"], serde_json::json!(["u10"]));
    assert_eq!(both["refused"][0]["array"], "t2m");
    place.run(&["finalise", &repository, "nothing"]).expect(1);
    place.run(&["finalise", &repository, "u10"]).expect(0);
    let diff = place.run(&["diff", &repository, &place.log()[1], "main"]).expect(0).out;
    assert!(diff.contains("u10: finalised"), "{diff}");
    assert!(diff.contains("0 slots"), "{diff}");
    place.run(&["check", &repository]).expect(0);
    let out = place.path("u10.npy");
    place.run(&["get", &repository, "u10", "-o", &out]).expect(0);
}
