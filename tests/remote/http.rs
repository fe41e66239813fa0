//! A plain HTTP server: sources are found and read as local ones are; whatever it does wrong is an error that says where
//! and what to do, and never other values (promise 3).

use std::time::{Duration, Instant};

use gribchunk::source::RemoteOptions;
use gribchunk::{ChunkState, Error, IngestOptions, OpenOptions, Reference, Repository};

use crate::server::{Fault, Object, Server};
use crate::support::*;

fn serve_ens(server: &Server) {
    for step in ENS_STEPS {
        for ending in ["grib2", "index"] {
            server.put(&format!("/data/{}", ens_name(21, step, ending)), ens_file(21, step, ending));
        }
    }
}

fn grib(step: i64) -> String {
    format!("/data/{}", ens_name(21, step, "grib2"))
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_those_of_local_files() {
    let (folder, server) = (Folder::new("http"), Server::start());
    serve_ens(&server);
    let repository = ens_repository(&folder.join("remote"), impatient()).await;
    let report = ingest(&repository, &[server.url("/data/")]).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.placed(), 104);
    let truth = local_truth(&folder).await;
    assert_eq!(all(&now(&repository).await).await, truth);
    let ingested = report.snapshots.len();
    let again = ingest(&repository, &[server.url("/data/")]).await;
    assert_eq!((again.placed(), again.snapshots.len(), ingested), (0, 0, 1), "the same files again change nothing");

    // Another process: what was ingested from is remembered. A verified read is what it is.
    let opened = Repository::open(folder.join("remote"), OpenOptions::default().require_verified()).await.unwrap();
    assert_eq!(all(&now(&opened).await).await, truth);
    let report = gribchunk::materialise(&opened, &Default::default()).await.unwrap();
    assert_eq!((report.materialised, report.failed.len()), (104, 0));
    assert_eq!(all(&now(&opened).await).await, truth);
}

#[tokio::test]
async fn a_runtime_of_one_thread_will_do() {
    let (folder, server) = (Folder::new("http-one"), Server::start());
    server.put(&grib(3), ens_file(21, 3, "grib2"));
    let repository = ens_repository(&folder.join("remote"), impatient()).await;
    // No index: the messages are looked for.
    let report = ingest(&repository, &[server.url(&grib(3))]).await;
    assert_eq!((report.placed(), report.refused()), (36, 0), "{report:?}");
    assert!(read_all(&now(&repository).await, "msl").await.unwrap().iter().any(|value| !value.is_nan()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_field_is_fetched_as_a_part() {
    let (folder, server) = (Folder::new("http-part"), Server::start());
    serve_ens(&server);
    let repository = ens_repository(&folder.join("remote"), impatient()).await;
    assert!(ingest(&repository, &[server.url("/data/")]).await.is_complete());
    let options = OpenOptions::default().cache_bytes(0);
    let snapshot = Repository::open(folder.join("remote"), options).await.unwrap();
    let snapshot = snapshot.snapshot(&Reference::default()).await.unwrap();
    let mut parts = 0;
    for (path, group) in &snapshot.layout().groups {
        for name in group.variables.keys() {
            let array = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            let whole = read_all(&snapshot, &array).await.unwrap();
            let shape = snapshot.array(&array).await.unwrap().shape.clone();
            let (last, columns) = (shape.len() - 1, shape[shape.len() - 1] as usize);
            // The last slot: one field, so that no two parts are near enough to share a request.
            let mut region: Vec<_> = shape.iter().map(|&length| length - 1..length).collect();
            (region[last - 1], region[last]) = (2..3, 3..5);
            let field = &whole[whole.len() - shape[last - 1] as usize * columns..];
            server.requests();
            let values = snapshot.read(&array, &region).await.unwrap();
            assert_eq!(bits(&values), bits(&field[2 * columns + 3..][..2]), "{array}");
            let requests = server.requests();
            assert!(requests.len() == 1 || field.iter().all(|value| value.is_nan()), "{array}: {requests:?}");
            let index: Vec<u32> = region[..last - 1].iter().map(|range| range.start as u32).collect();
            let ChunkState::Virtual { length, .. } = snapshot.chunk_state(&array, &index).await.unwrap() else {
                continue;
            };
            // These fields are small: what is not fetched again is the header.
            let (first, last) = requests[0].range.unwrap();
            assert!(last + 1 - first < length - 150, "{array}: {first}-{last} of {length} bytes");
            parts += 1;
        }
    }
    assert_eq!(parts, 7);

    // An object that changed is noticed however little of it is read.
    server.put(&grib(3), ens_file(22, 3, "grib2"));
    let shape = snapshot.array("t2m").await.unwrap().shape.clone();
    let region: Vec<_> =
        shape.iter().enumerate().map(|(i, &n)| if i < shape.len() - 1 { 0..n } else { 0..1 }).collect();
    let error = snapshot.read("t2m", &region).await.unwrap_err();
    assert!(matches!(error, Error::SourceChanged { .. }), "{error:?}");
}

/// The commands that look after a repository look at remote sources as they look at files.
#[tokio::test(flavor = "multi_thread")]
async fn check_and_explain_see_what_happened_to_an_object() {
    use gribchunk::inspect::{CheckOptions, check, explain};
    let (folder, server) = (Folder::new("http-check"), Server::start());
    serve_ens(&server);
    let repository = ens_repository(&folder.join("remote"), impatient()).await;
    assert!(ingest(&repository, &[server.url("/data/")]).await.is_complete());
    let options = CheckOptions { sources: true, ..Default::default() };
    let snapshot = now(&repository).await;
    let report = check(&snapshot, &options).await.unwrap();
    assert_eq!((report.problems.len(), report.sources, report.unverified), (0, 3, 0), "{report:?}");
    let slot = gribchunk::Selection::parse("step=3,number=1").unwrap();
    let explained = explain(&snapshot, "t2m", &slot).await.unwrap();
    assert_eq!(explained.stops, None, "{explained:?}");
    assert!(explained.checks.iter().any(|c| c.check == "unchanged" && !c.detail.contains("unverified")));
    assert!(explained.values.is_some());

    // Replaced, gone, shorter.
    server.put(&grib(3), ens_file(22, 3, "grib2"));
    server.remove(&grib(6));
    let report = check(&snapshot, &options).await.unwrap();
    let of_sources: Vec<&str> =
        report.problems.iter().filter(|p| p.array.is_empty()).map(|p| p.reason.as_str()).collect();
    assert_eq!(of_sources.len(), 2, "{of_sources:?}");
    assert!(of_sources[0].contains("ETag") && of_sources[1].contains("gone"), "{of_sources:?}");
    assert_eq!(report.problems.len(), 2 + 36 + 36, "every reference to them");
    let explained = explain(&snapshot, "t2m", &slot).await.unwrap();
    assert!(explained.stops.as_deref().is_some_and(|s| s.starts_with("unchanged")), "{:?}", explained.stops);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_headers_are_read_at_ingest() {
    let data = std::env::var_os("GRIBCHUNK_SHARED_DATA").map_or_else(
        || std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")),
        std::path::PathBuf::from,
    );
    let Ok(bytes) = std::fs::read(data.join("grib/ecmwf-ifs-oper-surface.grib2")) else {
        println!("skipped: no shared data");
        return;
    };
    let expected = std::fs::read(data.join("grib/ecmwf-ifs-oper-surface.grib2.expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_slice(&expected).unwrap();
    let mut index = String::new();
    for field in expected["field"].as_array().unwrap() {
        index.push_str(&format!(
            "{{\"date\": \"{}\", \"time\": \"0000\", \"type\": \"fc\", \"stream\": \"oper\", \"step\": \"{}\", \
             \"levtype\": \"sfc\", \"param\": {}, \"_offset\": {}, \"_length\": {}}}\n",
            field["dataDate"], field["endStep"], field["shortName"], field["offset"], field["length"]
        ));
    }
    let (folder, server) = (Folder::new("http-headers"), Server::start());
    server.put("/x/a.grib2", bytes);
    server.put("/x/a.index", index.into_bytes());
    let options = OpenOptions::default().remote(impatient());
    let repository = Repository::create(folder.join("remote"), options).await.unwrap();
    let remote = repository.access().remote().clone();
    let sources = [server.url("/x/a.index")];
    let files = gribchunk::source::find(&sources, &remote, &Default::default()).await.unwrap().files;
    let (samples, left_out) = gribchunk::ingest::sample_files(files, &remote).await.unwrap();
    assert_eq!((samples.len(), left_out), (5, vec![]));
    gribchunk::init(&repository, &samples, &Default::default()).await.unwrap();
    let report = ingest(&repository, &sources).await;
    assert_eq!((report.placed(), report.refused()), (5, 0), "{report:?}");
    for request in server.requests().iter().filter(|r| r.path.ends_with(".grib2") && r.method == "GET") {
        let (first, last) = request.range.expect("only ranges of GRIB files are read");
        assert!(last - first < 4096, "{request:?}");
    }
}

/// One file ingested, then something happens to it: what does reading say?
async fn after(change: impl FnOnce(&Server), reading: impl FnOnce(Error)) {
    let (folder, server) = (Folder::new("http-fault"), Server::start());
    serve_ens(&server);
    let repository = ens_repository(&folder.join("remote"), impatient()).await;
    assert!(ingest(&repository, &[server.url("/data/")]).await.is_complete());
    change(&server);
    let begin = Instant::now();
    let error = read_all(&now(&repository).await, "t2m").await.unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(15), "{error}");
    assert!(error.to_string().contains("http://127.0.0.1"), "{error} says where");
    reading(error);
}

fn is_changed(error: Error) {
    assert!(matches!(error, Error::SourceChanged { .. }), "{error:?}");
}

fn is_source(error: &Error, says: &str) {
    assert!(matches!(error, Error::Source { .. }) && error.to_string().contains(says), "{error:?} says {says}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_replaced_is_noticed() {
    after(|server| server.put(&grib(3), ens_file(22, 3, "grib2")), is_changed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_source_is_noticed_though_the_server_ignores_conditions() {
    after(
        |server| {
            server.put(&grib(3), ens_file(22, 3, "grib2"));
            server.fault(&grib(3), Fault::IgnoreConditions);
        },
        is_changed,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_lost_its_etag_is_not_believed() {
    after(
        |server| {
            server.put_object(&grib(3), Object { bytes: ens_file(21, 3, "grib2"), ..Default::default() });
            server.fault(&grib(3), Fault::IgnoreConditions);
        },
        is_changed,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_gone_forbidden_or_failing() {
    after(|server| server.remove(&grib(3)), |error| is_source(&error, "gone; restore it")).await;
    after(|server| server.fault(&grib(3), Fault::Status(403)), |error| is_source(&error, "403")).await;
    after(|server| server.fault(&grib(3), Fault::Status(500)), |error| is_source(&error, "500 again and again")).await;
    after(|server| server.fault(&grib(3), Fault::Status(429)), |error| is_source(&error, "max_requests")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_shorter_now() {
    let shorter = |etag_is_kept: bool| {
        move |server: &Server| {
            let original = ens_file(21, 3, "grib2");
            server.put(&grib(3), original.clone());
            if etag_is_kept {
                // A server that gives the same ETag to half of the file.
                let sum =
                    original.iter().fold(original.len() as u64, |s, b| s.wrapping_mul(31).wrapping_add(u64::from(*b)));
                let etag = Some(format!("\"{sum:x}\""));
                server.put_object(&grib(3), Object { bytes: original[..100].to_vec(), etag, modified: None });
            } else {
                server.put(&grib(3), original[..100].to_vec());
            }
        }
    };
    after(shorter(true), is_changed).await;
    after(shorter(false), is_changed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_stalls_or_breaks_off_ends() {
    after(|server| server.fault(&grib(3), Fault::Stall), |error| is_source(&error, "127.0.0.1")).await;
    after(|server| server.fault(&grib(3), Fault::Truncate), |error| is_source(&error, "127.0.0.1")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_ranges_is_told_from_a_broken_one() {
    after(|server| server.fault(&grib(3), Fault::IgnoreRange), |error| is_source(&error, "whole files only")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_not_followed() {
    let elsewhere = Server::start();
    elsewhere.put("/x.grib2", ens_file(21, 3, "grib2"));
    let to = elsewhere.url("/x.grib2");
    after(|server| server.fault(&grib(3), Fault::Redirect(to.clone())), |error| is_source(&error, "not followed"))
        .await;
    assert_eq!(elsewhere.requests(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_busy_for_a_moment_is_asked_again() {
    let (folder, server) = (Folder::new("http-busy"), Server::start());
    serve_ens(&server);
    server.fault(&grib(3), Fault::StatusTimes(429, 2));
    server.fault(&grib(6), Fault::StatusTimes(503, 2));
    let repository = ens_repository(&folder.join("remote"), impatient()).await;
    let report = ingest(&repository, &[server.url("/data/")]).await;
    assert_eq!((report.placed(), report.is_complete()), (104, true), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_file_does_not_stop_the_others() {
    let (folder, server) = (Folder::new("http-bad"), Server::start());
    serve_ens(&server);
    let repository = ens_repository(&folder.join("remote"), impatient()).await;
    // Between the listing and the reading one file went away, and one may not be read.
    let remote = repository.access().remote();
    let files = gribchunk::source::find(&[server.url("/data/")], remote, &Default::default()).await.unwrap().files;
    server.remove(&grib(0));
    server.fault(&grib(6), Fault::Status(403));
    let report = gribchunk::ingest::ingest_files(&repository, files, &IngestOptions::default(), |_| {}).await.unwrap();
    assert_eq!(report.placed(), 36, "{report:?}");
    let errors: Vec<bool> = report.files.iter().map(|file| file.error.is_some()).collect();
    assert_eq!(errors, [true, false, true], "{report:?}");
    // They come back.
    serve_ens(&server);
    server.fault(&grib(6), Fault::StatusTimes(503, 1));
    let report = ingest(&repository, &[server.url("/data/")]).await;
    assert_eq!(report.placed(), 68, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_may_not_be_read_is_done_without() {
    let (folder, server) = (Folder::new("http-index"), Server::start());
    serve_ens(&server);
    server.fault(&format!("/data/{}", ens_name(21, 3, "index")), Fault::Status(403));
    let repository = ens_repository(&folder.join("remote"), impatient()).await;
    let report = ingest(&repository, &[server.url("/data/")]).await;
    assert_eq!((report.placed(), report.refused()), (104, 0), "{report:?}");
    assert!(report.files[1].warnings[0].contains("403"), "{:?}", report.files[1].warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn dates_serve_where_there_are_no_etags() {
    let (folder, server) = (Folder::new("http-dates"), Server::start());
    let object =
        |modified: &str| Object { bytes: ens_file(21, 3, "grib2"), etag: None, modified: Some(modified.to_string()) };
    server.put_object(&grib(3), object("Sat, 21 Nov 2026 06:00:00 GMT"));
    let repository = ens_repository(&folder.join("remote"), impatient()).await;
    assert_eq!(ingest(&repository, &[server.url(&grib(3))]).await.placed(), 36);
    assert!(read_all(&now(&repository).await, "msl").await.is_ok());
    server.put_object(&grib(3), object("Sat, 21 Nov 2026 06:00:01 GMT"));
    let repository = Repository::open(folder.join("remote"), OpenOptions::default()).await.unwrap();
    is_changed(read_all(&now(&repository).await, "msl").await.unwrap_err());
    server.fault(&grib(3), Fault::IgnoreConditions);
    is_changed(read_all(&now(&repository).await, "msl").await.unwrap_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_verified_is_taken_only_on_request() {
    let (folder, server) = (Folder::new("http-unverified"), Server::start());
    server.put_object(&grib(3), Object { bytes: ens_file(21, 3, "grib2"), ..Default::default() });
    let repository = ens_repository(&folder.join("remote"), impatient()).await;
    let sources = [server.url(&grib(3))];
    let report = ingest(&repository, &sources).await;
    assert!(report.files[0].error.as_ref().unwrap().contains("--unverified"), "{report:?}");
    let options = IngestOptions::default().unverified();
    let report = gribchunk::ingest(&repository, &sources, &options, |_| {}).await.unwrap();
    assert_eq!(report.placed(), 36, "{report:?}");
    let snapshot = now(&repository).await;
    let state = snapshot.chunk_state("msl", &[0, 1, 2]).await.unwrap();
    assert!(matches!(state, ChunkState::Virtual { verified: false, .. }), "{state:?}");
    assert!(read_all(&snapshot, "msl").await.is_ok());
    let strict = Repository::open(folder.join("remote"), OpenOptions::default().require_verified()).await.unwrap();
    let error = strict.snapshot(&Reference::default()).await.unwrap().read_chunk("msl", &[0, 1, 2]).await.unwrap_err();
    assert!(matches!(error, Error::Unverified { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_are_not_there() {
    let (folder, server) = (Folder::new("http-none"), Server::start());
    serve_ens(&server);
    let repository = ens_repository(&folder.join("remote"), impatient()).await;
    let url = |path: &str| server.url(path);
    for (path, count) in [("/data/*-3h-*.grib2", 1), ("/data/*.index", 3), ("/data/", 3)] {
        assert_eq!(found(&[&url(path)], &repository).await.unwrap().len(), count, "{path}");
    }
    for path in ["/nothing/", "/data/nothing.grib2", "/data/*.grib1", "/data/x.index"] {
        let error = found(&[&url(path)], &repository).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{path}: {error:?}");
    }
    let begin = Instant::now();
    let nobody = "http://127.0.0.1:1/x.grib2";
    let error = found(&[nobody], &repository).await.unwrap_err();
    assert!(matches!(error, Error::Source { .. }) && begin.elapsed() < Duration::from_secs(15), "{error:?}");
    for bad in ["http://user:word@127.0.0.1/x.grib2", "ftp://host/x", "http://127.0.0.1/x?sig=secret"] {
        assert!(matches!(found(&[bad], &repository).await, Err(Error::Invalid { .. })), "{bad}");
    }
    assert!(RemoteOptions::parse_storage_option("region").is_err());
    let options = OpenOptions::default().remote(RemoteOptions::default().storage_option("colour", "red"));
    assert!(matches!(Repository::open(folder.join("remote"), options).await, Err(Error::Invalid { .. })));
}
