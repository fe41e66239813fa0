//! Promise 2, whole files: all fields of a file in one commit; a bad field or a bad file never stops the good ones, and is
//! recorded with its reason in that commit.

use gribchunk::Reference;
use serde_json::Value;

use crate::support::*;

/// A broken fixture: which of its three messages must be placed, and what must be said about the others.
struct Broken {
    name: &'static str,
    code: i32,
    placed: &'static [(&'static str, u32)],
    reasons: &'static [&'static str],
}

const T2M: (&str, u32) = ("t2m", 0);
const MSL: (&str, u32) = ("msl", 1);
const U10: (&str, u32) = ("u10", 2);

const BROKEN: &[Broken] = &[
    Broken { name: "empty", code: 1, placed: &[], reasons: &["the file is empty"] },
    Broken { name: "not_grib", code: 1, placed: &[], reasons: &["no GRIB message"] },
    Broken { name: "truncated_tail", code: 3, placed: &[T2M, MSL], reasons: &["truncated, 977 bytes needed"] },
    Broken { name: "half_upload", code: 3, placed: &[T2M], reasons: &["ends at byte 1956", "ends at byte 2933"] },
    Broken { name: "zero_filled", code: 3, placed: &[T2M], reasons: &["7777"] },
    Broken { name: "flipped_length", code: 3, placed: &[T2M, U10], reasons: &["truncated, 268436460 bytes needed"] },
    Broken { name: "flipped_columns", code: 3, placed: &[T2M, U10], reasons: &["grid"] },
    Broken { name: "flipped_section_length", code: 3, placed: &[T2M, U10], reasons: &["section 5"] },
    Broken { name: "index_past_end", code: 0, placed: &[T2M, MSL, U10], reasons: &[] },
    Broken { name: "index_overlap", code: 0, placed: &[T2M, MSL, U10], reasons: &[] },
    Broken { name: "index_of_another_file", code: 0, placed: &[T2M, MSL, U10], reasons: &[] },
    Broken { name: "index_bad_lines", code: 0, placed: &[T2M, MSL, U10], reasons: &[] },
];

/// Which slots of step 3 the three messages of the broken files belong to, with their hashes.
fn messages(name: &str) -> Vec<(String, u32, String)> {
    let mut fields: Vec<(String, u32, String)> = Vec::new();
    for field in expected(&fixture("broken/truncated_tail.grib2"))["field"].as_array().unwrap() {
        fields.push((array(field), field["number"].as_u64().unwrap() as u32, sha256(field)));
    }
    let last = &expected(&fixture("broken/flipped_length.grib2"))["field"][1];
    fields.push((array(last), last["number"].as_u64().unwrap() as u32, sha256(last)));
    assert_eq!(fields.len(), 3, "{name}");
    fields
}

fn array(field: &Value) -> String {
    match field["shortName"].as_str().unwrap() {
        "2t" => "t2m".into(),
        "10u" => "u10".into(),
        other => other.into(),
    }
}

fn sha256(field: &Value) -> String {
    field["values"]["sha256_f32le"].as_str().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_good_messages_of_a_broken_file_are_kept() {
    for broken in BROKEN {
        let name = broken.name;
        let folder = Folder::new(name);
        let repository = ens_repository(&folder).await;
        let before = repository.log(&Reference::default(), 10).await.unwrap().len();
        let file = folder.copy(&format!("broken/{name}.grib2"));
        let path = folder.join("repository");
        let run = run(&["--json", "ingest", path.to_str().unwrap(), &file]);
        assert_eq!(run.code, Some(broken.code), "{name}: {run:?}");
        let report = run.json();
        assert_eq!(report["placed"], broken.placed.len(), "{name}: {report}");
        assert_eq!(report["complete"], broken.code == 0, "{name}: {report}");

        // Another process ingested: a repository that is open already sees that, and may read from there.
        let log = repository.log(&Reference::default(), 10).await.unwrap();
        assert_eq!(log.len(), before + 1, "{name}: one commit");
        assert_eq!(log[0].changes["fields"], broken.placed.len(), "{name}");
        let snapshot = now(&repository).await;
        for (array, number, hash) in messages(name) {
            let placed = broken.placed.iter().any(|(a, n)| *a == array && *n == number);
            let value = snapshot.read_chunk(&array, &[0, 1, number]).await.unwrap();
            assert_eq!(value.map(|v| crate::support::hash(&v)), placed.then_some(hash), "{name}: {array} {number}");
        }

        // The same in the report and, from the ledger, in the coverage.
        let of_report = &report["files"][0];
        let mut told: Vec<String> = of_report["error"].as_str().map(String::from).into_iter().collect();
        told.extend(of_report["refused"].as_array().unwrap().iter().map(|r| r["reason"].as_str().unwrap().to_string()));
        let failures = crate::support::run(&["--json", "coverage", path.to_str().unwrap(), "--failed"]).json_lines();
        let recorded: Vec<String> = failures.iter().map(|f| f["reason"].as_str().unwrap().to_string()).collect();
        assert_eq!(told, recorded, "{name}");
        assert_eq!(told.len(), broken.reasons.len(), "{name}: {told:?}");
        for (reason, wanted) in told.iter().zip(broken.reasons) {
            assert!(reason.contains(wanted), "{name}: {reason}");
        }
        assert!(failures.iter().all(|f| f["url"].as_str().unwrap().ends_with(&format!("/{name}.grib2"))));
    }
}

#[test]
fn what_an_index_says_wrongly_is_reported() {
    let folder = Folder::new("index");
    let path = folder.join("repository");
    let path = path.to_str().unwrap();
    assert_eq!(run(&["init", path, fixture("ens").to_str().unwrap()]).code, Some(0));
    let wrong = [
        ("index_past_end", "line 3"),
        ("index_overlap", "line 2"),
        ("index_of_another_file", "10v in the index, 2t in the message"),
        ("index_bad_lines", "line 4"),
    ];
    for (name, said) in wrong {
        let file = folder.copy(&format!("broken/{name}.grib2"));
        let report = run(&["--json", "ingest", path, &file]).json();
        let warnings = report["files"][0]["warnings"].to_string();
        assert!(warnings.contains(said), "{name}: {warnings}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_does_not_stop_the_good_ones() {
    let folder = Folder::new("bad-file");
    let repository = ens_repository(&folder).await;
    let mut files = folder.copy_ens();
    files.insert(1, folder.copy("broken/empty.grib2"));
    files.push(folder.copy("broken/not_grib.grib2"));
    files.push(folder.copy("broken/flipped_section_length.grib2"));
    // The last file brings two fields that are there already, with the same values.
    let report = ingest(&repository, &files).await;
    assert_eq!(report.snapshots.len(), 1, "files that are named together share a commit");
    assert_eq!(report.files.iter().filter(|f| f.error.is_some()).count(), 2);
    assert_eq!(report.refused(), 1);
    let snapshot = now(&repository).await;
    for truth in ENS_STEPS.into_iter().flat_map(ens_truth) {
        assert_eq!(slot_hash(&snapshot, &truth).await, Some(truth.hash.clone()), "{truth:?}");
    }
    let coverage = gribchunk::inspect::coverage(&snapshot, None).await.unwrap();
    assert!(coverage.total.is_complete(), "{:?}", coverage.total);
    assert_eq!(coverage.failures.len(), 3, "{:?}", coverage.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_fields_for_one_slot_show_both() {
    let folder = Folder::new("two-fields");
    let repository = ens_repository(&folder).await;
    let whole = std::fs::read(fixture(&ens_name(3))).unwrap();
    let truth = ens_truth(3);
    let (first, other) = (&truth[0], &truth[1]);
    let bytes = |t: &Truth| whole[t.offset as usize..(t.offset + t.length) as usize].to_vec();
    let mut changed = bytes(first);
    let data = changed.len() - 20;
    changed[data] ^= 0xff;
    let file = folder.write("twice.grib2", &[bytes(first), bytes(other), changed.clone()].concat());
    let report = ingest(&repository, std::slice::from_ref(&file)).await;
    assert_eq!((report.placed(), report.refused()), (1, 2), "{report:?}");
    for refused in &report.files[0].refused {
        let second = first.length + other.length;
        assert!(refused.reason.contains("at byte 0") && refused.reason.contains(&format!("at byte {second}")));
    }
    let snapshot = now(&repository).await;
    assert_eq!(slot_hash(&snapshot, first).await, None);
    assert_eq!(slot_hash(&snapshot, other).await, Some(other.hash.clone()));

    // The same message twice is one field.
    let file = folder.write("same.grib2", &[bytes(first), bytes(first)].concat());
    let report = ingest(&repository, std::slice::from_ref(&file)).await;
    assert_eq!((report.placed(), report.refused(), report.files[0].duplicates), (1, 0, 1), "{report:?}");
    assert_eq!(slot_hash(&now(&repository).await, first).await, Some(first.hash.clone()));
}

/// A file that came too early is recorded as bad; once it is whole nothing of that must stay.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_bad_and_is_whole_now_has_no_failures() {
    let whole = std::fs::read(fixture(&ens_name(3))).unwrap();
    for early in [&whole[..0], &whole[..50], &whole[..whole.len() / 2], b"<Error>SlowDown</Error>"] {
        let folder = Folder::new("early");
        let repository = ens_repository(&folder).await;
        let file = folder.write("run.grib2", early);
        let report = ingest(&repository, std::slice::from_ref(&file)).await;
        assert!(!report.is_complete());
        let failures = gribchunk::inspect::coverage(&now(&repository).await, None).await.unwrap().failures;
        assert!(!failures.is_empty());
        // Again: nothing new to say.
        let again = ingest(&repository, std::slice::from_ref(&file)).await;
        assert!(again.snapshots.is_empty(), "{again:?}");

        std::fs::write(&file, &whole).unwrap();
        let report = ingest(&repository, std::slice::from_ref(&file)).await;
        assert!(report.is_complete() && report.placed() == 36, "{report:?}");
        let coverage = gribchunk::inspect::coverage(&now(&repository).await, None).await.unwrap();
        assert!(coverage.failures.is_empty(), "{} bytes first: {:?}", early.len(), coverage.failures);
    }
}

#[test]
fn exit_codes_and_json() {
    let folder = Folder::new("exit-codes");
    let path = folder.join("repository");
    let path = path.to_str().unwrap();
    let files = folder.copy_ens();
    assert_eq!(run(&["init", path, &files[0], &files[1], &files[2]]).code, Some(0));
    assert_eq!(run(&["ingest", path]).code, Some(2), "usage: no source");
    assert_eq!(run(&["ingest", path, &files[0], "--on-conflict", "sometimes"]).code, Some(2));
    assert_eq!(run(&["no-such-command"]).code, Some(2));
    let empty = folder.copy("broken/empty.grib2");
    assert_eq!(run(&["ingest", path, &empty]).code, Some(1), "nothing");
    let both = run(&["--json", "ingest", path, &files[0], &empty]);
    assert_eq!(both.code, Some(3), "a part");
    let report = both.json();
    assert_eq!(report["files"].as_array().unwrap().len(), 2);
    assert_eq!((&report["placed"], &report["complete"]), (&32.into(), &false.into()));
    assert!(report["files"][1]["error"].as_str().unwrap().contains("empty.grib2"), "{report}");
    assert!(report["snapshots"].as_array().unwrap().len() == 1);
    assert_eq!(run(&["ingest", path, &files[1]]).code, Some(0), "all");
    let again = run(&["--json", "ingest", path, &files[1]]);
    assert_eq!(again.code, Some(0), "all was there");
    let report = again.json();
    assert_eq!((&report["files"][0]["unchanged"], &report["placed"]), (&true.into(), &0.into()), "{report}");
    assert_eq!(report["snapshots"].as_array().unwrap().len(), 0, "nothing to commit");

    assert_eq!(run(&["scan", &files[0]]).code, Some(0));
    assert_eq!(run(&["scan", &empty]).code, Some(1));
    assert_eq!(run(&["scan", &files[0], &empty]).code, Some(3));
    for arguments in [vec!["show", path], vec!["coverage", path], vec!["log", path]] {
        let run = run(&[&["--json"], arguments.as_slice()].concat());
        assert!(run.code == Some(0) && !run.json_lines().is_empty() && run.stderr.is_empty(), "{run:?}");
    }
}
