//! Promise 4, never lost, from end to end (the storage itself is tested beside it): what the command reported as committed
//! survives kill -9 and other writers; what was not committed leaves nothing visible.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use gribchunk::{Conflict, IngestOptions, OpenOptions, Repository};

use crate::support::*;

fn start(arguments: &[&str]) -> Child {
    gribchunk().args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The files of the GEFS fixture, in `folder/gefs`.
fn copy_gefs(folder: &Folder) -> Vec<String> {
    let mut files = Vec::new();
    std::fs::create_dir_all(folder.join("gefs")).unwrap();
    for entry in std::fs::read_dir(fixture("gefs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if !name.ends_with(".json") {
            std::fs::copy(&path, folder.join("gefs").join(&name)).unwrap();
            files.extend((!name.ends_with(".idx")).then(|| folder.join("gefs").join(&name).display().to_string()));
        }
    }
    files.sort();
    files
}

/// How many fields of a file have their slots, and how many it has.
async fn fields_there(repository: &Repository, file: &str) -> (usize, usize) {
    let snapshot = now(repository).await;
    let source = gribchunk::source::expand(&[file.to_string()]).unwrap();
    let (mut there, mut all) = (0, 0);
    for field in gribchunk::ingest::scan_file(&source[0]).unwrap().fields {
        for slot in snapshot.layout().place(&field.key).unwrap() {
            let values = snapshot.read_chunk(&slot.array, &slot.index).await.unwrap();
            there += usize::from(values.is_some());
            all += 1;
        }
    }
    assert!(all >= 6);
    (there, all)
}

#[test]
fn killed_while_ingesting() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut numbers = Numbers::new(4);
    let (mut kept, mut lost) = (0, 0);
    for round in 0..10 {
        let folder = Folder::new("killed");
        let files = copy_gefs(&folder);
        let path = folder.join("repository").display().to_string();
        let sources = folder.join("gefs").display().to_string();
        assert_eq!(run(&["init", &path, &sources]).code, Some(0));
        let mut child = start(&["ingest", &path, &sources, "--commit-each"]);
        // Some lines later, and then some microseconds: anywhere in a commit.
        let lines = numbers.below(files.len() - 1);
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let mut reported = Vec::new();
        for _ in 0..lines {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            reported.push(line);
        }
        std::thread::sleep(Duration::from_micros(numbers.below(15_000) as u64));
        child.kill().unwrap();
        child.wait().unwrap();
        reported.extend(reader.lines().map_while(Result::ok));
        let repository = runtime.block_on(Repository::open(&path, OpenOptions::default())).unwrap();
        for file in &files {
            let name = file.rsplit('/').next().unwrap();
            let (there, all) = runtime.block_on(fields_there(&repository, file));
            assert!(there == 0 || there == all, "round {round}: {there} of {all} fields of {name}");
            if reported.iter().any(|line| line.starts_with(name)) {
                assert_eq!(there, all, "round {round}: {name} was reported, and is lost");
                kept += 1;
            } else {
                lost += usize::from(there == 0);
            }
        }
        let again = run(&["--json", "ingest", &path, &sources, "--commit-each"]);
        assert_eq!(again.code, Some(0), "round {round}: {again:?}");
        for file in &files {
            let (there, all) = runtime.block_on(fields_there(&repository, file));
            assert_eq!(there, all, "round {round}: {file} after ingesting again");
        }
        let summary = run(&["--json", "coverage", &path]).json();
        assert_eq!(summary["total"]["missing"], 0, "round {round}: {summary}");
    }
    assert!(kept >= 10 && lost >= 10, "the moments were not random: {kept} files kept, {lost} not ingested");
}

#[test]
fn two_processes_at_once() {
    let folder = Folder::new("two-processes");
    let files = copy_gefs(&folder);
    let path = folder.join("repository").display().to_string();
    assert_eq!(run(&["init", &path, &folder.join("gefs").display().to_string()]).code, Some(0));
    let halves: Vec<Vec<&str>> = (0..3)
        .map(|half| {
            let own = files.iter().skip(half).step_by(3).map(String::as_str);
            ["ingest", path.as_str(), "--commit-each"].into_iter().chain(own).collect()
        })
        .collect();
    let children: Vec<Child> = halves.iter().map(|arguments| start(arguments)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let repository = runtime.block_on(Repository::open(&path, OpenOptions::default())).unwrap();
    for file in &files {
        let (there, all) = runtime.block_on(fields_there(&repository, file));
        assert_eq!(there, all, "{file}");
    }
    let log = run(&["--json", "log", &path]).json_lines();
    assert_eq!(log.iter().filter(|entry| entry["action"] == "ingest").count(), files.len(), "one commit a file");
}

/// Two versions of the same file: the second one's 2t of member 0 has other values.
fn two_versions(folder: &Folder) -> (String, String, Truth) {
    let mut bytes = std::fs::read(fixture(&ens_name(3))).unwrap();
    let truth = ens_truth(3).into_iter().find(|t| t.array == "t2m" && t.index[2] == 0).unwrap();
    let first = folder.write("first.grib2", &bytes);
    // A reference value one bit larger: section 5 lies 37 bytes behind the header's other sections, found by its template.
    let message = &mut bytes[truth.offset as usize..(truth.offset + truth.length) as usize];
    let section5 = message.windows(7).position(|w| w[..5] == [0, 0, 0, 25, 5]).unwrap();
    message[section5 + 13] ^= 1;
    (first, folder.write("second.grib2", &bytes), truth)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_slots_twice() {
    for (policy, first_stays) in [(Conflict::Replace, false), (Conflict::Keep, true), (Conflict::Fail, true)] {
        let folder = Folder::new("twice");
        let repository = ens_repository(&folder).await;
        let (first, second, truth) = two_versions(&folder);
        let options = IngestOptions::default().on_conflict(policy);
        let report = ingest_with(&repository, &[first], &options).await;
        assert!(report.is_complete() && report.placed() == 36, "{policy:?}: {report:?}");
        let report = ingest_with(&repository, &[second], &options).await;
        let (kept, refused) = (report.files[0].kept, report.refused());
        let counts = match policy {
            Conflict::Replace => (36, 0, 0),
            Conflict::Keep => (0, 36, 0),
            Conflict::Fail => (0, 0, 36),
        };
        assert_eq!((report.placed(), kept, refused), counts, "{policy:?}");
        let value = slot_hash(&now(&repository).await, &truth).await.unwrap();
        assert_eq!(value == truth.hash, first_stays, "{policy:?}");
        if policy == Conflict::Fail {
            let reason = &report.files[0].refused[0].reason;
            assert!(reason.contains("first.grib2") && reason.contains("--on-conflict"), "{reason}");
            let coverage = gribchunk::inspect::coverage(&now(&repository).await, None).await.unwrap();
            assert_eq!(coverage.total.replacement_failed, 36);
        }
    }
}

/// Two processes that bring the same slots: one of the two files is there, whole, whatever the policy.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_slots_at_once() {
    for policy in ["replace", "keep", "fail"] {
        let folder = Folder::new("at-once");
        let repository = ens_repository(&folder).await;
        let (first, second, _) = two_versions(&folder);
        let path = folder.join("repository").display().to_string();
        let children = [&first, &second].map(|file| start(&["ingest", &path, file, "--on-conflict", policy]));
        for child in children {
            let code = child.wait_with_output().unwrap().status.code();
            assert!(code == Some(0) || (policy == "fail" && matches!(code, Some(1 | 3))), "{policy}: {code:?}");
        }
        let snapshot = now(&repository).await;
        let mut sources = Vec::new();
        for truth in ens_truth(3) {
            match snapshot.chunk_state(&truth.array, &truth.index).await.unwrap() {
                gribchunk::ChunkState::Virtual { location, .. } => sources.push(location),
                other => panic!("{policy}: {truth:?} is {other:?}"),
            }
        }
        assert!(sources.windows(2).all(|w| w[0] == w[1]), "{policy}: {sources:?}");
    }
}
