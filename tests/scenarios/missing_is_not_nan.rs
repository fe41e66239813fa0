//! Promise 5, missing is not NaN: not expected, not arrived, arrived and masked everywhere, failed and replacement failed
//! are told apart, without reading data: all sources are gone when the question is asked.

use gribchunk::inspect::{Coverage, SlotState, coverage};
use gribchunk::{Conflict, IngestOptions, LayoutOptions, OpenOptions, Repository, Selection};

use crate::support::*;

/// The state of a slot in C order over the variable's dimensions.
fn state(coverage: &Coverage, array: &str, index: &[usize]) -> SlotState {
    let variable = coverage.variables.iter().find(|v| v.variable == array).unwrap();
    assert_eq!(variable.dimensions.len(), index.len(), "{:?}", variable.dimensions);
    let position = index.iter().zip(&variable.coordinates).fold(0, |p, (i, axis)| p * axis.len() + i);
    variable.states[position]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slot_is() {
    let folder = Folder::new("states");
    let repository = ens_repository(&folder).await;
    let sources = folder.join("sources");
    std::fs::create_dir(&sources).unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = sources.join(name);
        std::fs::write(&path, bytes).unwrap();
        vec![path.display().to_string()]
    };
    let step0 = std::fs::read(fixture(&ens_name(0))).unwrap();
    let step3 = std::fs::read(fixture(&ens_name(3))).unwrap();
    let step6 = std::fs::read(fixture(&ens_name(6))).unwrap();
    let stored = IngestOptions::default().materialise(Selection::parse("variable=msl").unwrap());
    ingest_with(&repository, &write("0.grib2", &step0), &stored).await;

    // Two different fields for one slot of step 3: it failed. The same for a slot of step 0: its replacement failed.
    let twice = |bytes: &[u8], step: i64, number: u32| {
        let truth = ens_truth(step).into_iter().find(|t| t.array == "t2m" && t.index[2] == number).unwrap();
        let message = &bytes[truth.offset as usize..(truth.offset + truth.length) as usize];
        let mut changed = message.to_vec();
        let data = changed.len() - 20;
        changed[data] ^= 0xff;
        [message, changed.as_slice()].concat()
    };
    let report = ingest(&repository, &write("failed.grib2", &twice(&step3, 3, 1))).await;
    assert_eq!(report.refused(), 2, "{report:?}");
    ingest(&repository, &write("replacement.grib2", &twice(&step0, 0, 2))).await;
    let fail = IngestOptions::default().on_conflict(Conflict::Fail);
    let gh = ens_truth(6).into_iter().find(|t| t.array == "gh").unwrap();
    let only_gh = &step6[gh.offset as usize..(gh.offset + gh.length) as usize];
    ingest_with(&repository, &write("gh.grib2", only_gh), &fail).await;
    ingest_with(&repository, &write("gh-again.grib2", only_gh), &fail).await;
    std::fs::remove_dir_all(&sources).unwrap();

    let seen = coverage(&now(&repository).await, None).await.unwrap();
    assert_eq!(state(&seen, "tp", &[0, 0, 1]), SlotState::NotExpected);
    assert_eq!(state(&seen, "tp", &[0, 1, 1]), SlotState::Missing);
    assert_eq!(state(&seen, "t2m", &[0, 0, 1]), SlotState::Virtual);
    assert_eq!(state(&seen, "msl", &[0, 0, 1]), SlotState::Materialised);
    assert_eq!(state(&seen, "t2m", &[0, 1, 1]), SlotState::Failed);
    assert_eq!(state(&seen, "t2m", &[0, 1, 2]), SlotState::Missing);
    assert_eq!(state(&seen, "t2m", &[0, 0, 2]), SlotState::ReplacementFailed);
    let gh: Vec<usize> = gh.index.iter().map(|&i| i as usize).collect();
    assert_eq!(state(&seen, "gh", &gh), SlotState::ReplacementFailed);

    let total = seen.total;
    assert_eq!(
        (total.expected, total.materialised, total.failed, total.replacement_failed),
        (104, 4, 1, 2),
        "{total:?}"
    );
    assert_eq!(total.virtual_, 32 - 4 - 1, "{total:?}");
    assert_eq!(total.missing, 104 - 4 - 1 - 2 - 27, "{total:?}");
    assert!(!total.is_complete());

    // Failures say which file and why; a selection restricts the picture.
    assert!(seen.failures.iter().any(|f| f.url.ends_with("/failed.grib2") && f.reason.contains("two fields")));
    let some = Selection::parse("variable=tp,step=3:6,number=1/2").unwrap();
    let seen = coverage(&now(&repository).await, Some(&some)).await.unwrap();
    assert_eq!((seen.variables.len(), seen.total.expected, seen.total.missing), (1, 4, 4));
    // What is missing reads as NaN, what is stored does not need its source.
    let snapshot = now(&repository).await;
    assert!(snapshot.read_chunk("tp", &[0, 1, 1]).await.unwrap().is_none());
    assert!(snapshot.read("tp", &[0..1, 1..2, 1..2, 0..19, 0..36]).await.unwrap().iter().all(|v| v.is_nan()));
    assert!(snapshot.read_chunk("msl", &[0, 0, 1]).await.unwrap().unwrap().iter().all(|v| v.is_finite()));
}

/// A field whose points are all masked arrived: virtual or stored, it is not missing.
#[tokio::test(flavor = "multi_thread")]
async fn arrived_and_masked_everywhere() {
    for materialise in [false, true] {
        let folder = Folder::new("masked");
        let repository = Repository::create(folder.join("repository"), OpenOptions::default()).await.unwrap();
        let file = vec![folder.copy("packing/all_missing.grib2")];
        let (samples, _) = gribchunk::sample(&file).unwrap();
        let options = LayoutOptions::default().steps(vec![0, 21_600]);
        gribchunk::init(&repository, &samples, &options).await.unwrap();
        let mut options = IngestOptions::default();
        if materialise {
            options = options.materialise(Selection::default());
        }
        let report = ingest_with(&repository, &file, &options).await;
        assert_eq!((report.placed(), report.materialised()), (1, u64::from(materialise)));
        let snapshot = now(&repository).await;
        let array = snapshot.arrays().await.unwrap().into_iter().find(|a| a.starts_with("t_")).unwrap();
        let values = snapshot.read_chunk(&array, &[0, 0]).await.unwrap().expect("it is there");
        assert!(is_nan(&values) && values.len() == 684);
        assert!(values.iter().all(|v| v.to_bits() == 0x7fc0_0000));
        assert!(is_nan(&read_all(&snapshot, &array).await.unwrap()));

        std::fs::remove_file(&file[0]).unwrap();
        let snapshot = now(&repository).await;
        let seen = coverage(&snapshot, None).await.unwrap();
        let there = if materialise { SlotState::Materialised } else { SlotState::Virtual };
        assert_eq!((state(&seen, &array, &[0, 0]), state(&seen, &array, &[0, 1])), (there, SlotState::Missing));
        assert!(snapshot.read_chunk(&array, &[0, 1]).await.unwrap().is_none());
        assert_eq!(snapshot.read_chunk(&array, &[0, 0]).await.is_ok(), materialise);
    }
}
