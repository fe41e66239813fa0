//! S3, by moto's server.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gribchunk::source::{PatternValues, RemoteOptions, find};
use gribchunk::{Error, OpenOptions, Repository};

use crate::support::*;

/// A server with one public bucket.
pub struct Moto {
    child: Child,
    port: u16,
}

pub const BUCKET: &str = "forecasts";

impl Moto {
    /// Starts the server of the Python that `GRIBCHUNK_MOTO` names (`pip install moto[server]`), as `tests/run` does.
    ///
    /// `None` where the variable is not set: a run without these tests is one that somebody chose, and says so on the real
    /// standard error, which the test runner does not hold back.
    pub fn start() -> Option<Self> {
        let Some(python) = std::env::var_os("GRIBCHUNK_MOTO") else {
            let test = std::thread::current().name().unwrap_or_default().to_string();
            let _ = writeln!(std::io::stderr(), "SKIPPED {test}: GRIBCHUNK_MOTO names no Python with moto[server]");
            return None;
        };
        let has_moto = Command::new(&python).args(["-c", "import moto.server"]).status();
        assert!(has_moto.is_ok_and(|status| status.success()), "{} has no moto[server]", python.display());
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(&python)
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Self { child, port };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(60), "moto does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        moto.put("", b"");
        Some(moto)
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Puts an object into the bucket, without a client that could be wrong in the way that ours is.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let path = if key.is_empty() { format!("/{BUCKET}") } else { format!("/{BUCKET}/{key}") };
        let length = bytes.len();
        write!(stream, "PUT {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-amz-acl: public-read\r\ncontent-length: {length}\r\n\r\n").unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    pub fn put_cycle(&self, day: u8, steps: &[i64]) {
        for &step in steps {
            for ending in ["grib2", "index"] {
                let name = ens_name(day, step, ending);
                self.put(&format!("202611{day}/00z/ens/{name}"), &ens_file(day, step, ending));
            }
        }
    }

    pub fn options(&self) -> RemoteOptions {
        impatient()
            .storage_option("endpoint", self.endpoint())
            .anonymous(format!("s3://{BUCKET}"))
            .anonymous("s3://nowhere-at-all")
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_found_ingested_and_read() {
    let Some(moto) = Moto::start() else { return };
    moto.put_cycle(21, &ENS_STEPS);
    let folder = Folder::new("s3");
    let repository = ens_repository(&folder.join("remote"), moto.options()).await;
    let remote = repository.access().remote().clone();
    let report = ingest(&repository, &["s3://forecasts/20261121/".to_string()]).await;
    assert_eq!((report.placed(), report.is_complete()), (104, true), "{report:?}");
    // One listing, three indexes; headers of the first file in at most three ranges, since its messages lie side by side.
    assert!(remote.requests() <= 1 + 3 + 3 + 3, "{} requests", remote.requests());
    let truth = local_truth(&folder).await;
    assert_eq!(all(&now(&repository).await).await, truth);

    // A process without options: endpoint and anonymous access are what the same user ingested with.
    let later = Repository::open(folder.join("remote"), OpenOptions::default()).await.unwrap();
    assert_eq!(all(&now(&later).await).await, truth);

    // An object that was replaced.
    moto.put(&format!("20261121/00z/ens/{}", ens_name(21, 3, "grib2")), &ens_file(22, 3, "grib2"));
    let later = Repository::open(folder.join("remote"), OpenOptions::default()).await.unwrap();
    let error = read_all(&now(&later).await, "t2m").await.unwrap_err();
    assert!(matches!(error, Error::SourceChanged { .. }), "{error:?}");
    // The same bytes uploaded again are the same version.
    moto.put(&format!("20261121/00z/ens/{}", ens_name(21, 3, "grib2")), &ens_file(21, 3, "grib2"));
    let later = Repository::open(folder.join("remote"), OpenOptions::default()).await.unwrap();
    assert_eq!(all(&now(&later).await).await, truth);
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_in_all_forms() {
    let Some(moto) = Moto::start() else { return };
    moto.put_cycle(21, &ENS_STEPS);
    moto.put_cycle(22, &[0, 3]);
    moto.put("other/readme.txt", b"no GRIB");
    let folder = Folder::new("s3-forms");
    let repository = ens_repository(&folder.join("remote"), moto.options()).await;
    for (source, count) in [
        ("s3://forecasts/", 5),
        ("s3://forecasts", 5),
        ("s3://forecasts/20261122/", 2),
        ("s3://forecasts/20261122", 2),
        ("s3://forecasts/*/00z/ens/*-3h-*.grib2", 2),
        ("s3://forecasts/**/*-6h-*.index", 1),
        ("s3://forecasts/20261121/00z/ens/20261121000000-3h-enfo-ef.grib2", 1),
        ("s3://forecasts/20261121/00z/ens/20261121000000-3h-enfo-ef.index", 1),
    ] {
        assert_eq!(found(&[source], &repository).await.unwrap().len(), count, "{source}");
    }
    let twice = ["s3://forecasts/20261122/", "s3://forecasts/20261122/00z/ens/20261122000000-3h-enfo-ef.index"];
    assert_eq!(found(&twice, &repository).await.unwrap().len(), 2);

    let pattern = "s3://forecasts/{time:%Y%m%d}/{time:%H}z/ens/{time:%Y%m%d%H}0000-{step}h-enfo-ef.grib2".to_string();
    let day = |day: i64| 1_795_219_200 + (day - 21) * 86_400;
    let values = PatternValues {
        times: Some(vec![day(21), day(22)]),
        steps: Some(ENS_STEPS.iter().map(|step| step * 3600).collect()),
        members: None,
    };
    let remote = repository.access().remote();
    let before = remote.requests();
    let expanded = find(std::slice::from_ref(&pattern), remote, &values).await.unwrap();
    assert_eq!(expanded.files.len(), 5);
    assert_eq!(expanded.not_there, ["s3://forecasts/20261122/00z/ens/20261122000000-6h-enfo-ef.grib2"]);
    assert_eq!(remote.requests() - before, 2, "one listing for each directory");
    let values = PatternValues { times: Some(vec![day(22)]), ..Default::default() };
    assert_eq!(find(&[pattern], remote, &values).await.unwrap().files.len(), 2, "whatever steps are there");

    for (source, says) in [
        ("s3://nowhere-at-all/x/", "bucket"),
        ("s3://forecasts/20261123/", "0 objects"),
        ("s3://forecasts/other/", "1 objects"),
        ("s3://forecasts/20261121/00z/ens/x.grib2", "no such object"),
        ("s3://forecasts/*.grib2", "nothing that is there matches"),
    ] {
        let error = found(&[source], &repository).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }) && error.to_string().contains(says), "{source}: {error}");
    }
}

/// Issue: at most 1.2 requests a file on average besides the indexes, whatever steps arrive.
#[tokio::test(flavor = "multi_thread")]
async fn headers_of_one_file_speak_for_the_others_of_its_product() {
    let Some(moto) = Moto::start() else { return };
    moto.put_cycle(21, &ENS_STEPS);
    let folder = Folder::new("s3-requests");
    let repository = ens_repository(&folder.join("remote"), moto.options()).await;
    let mut days = Vec::new();
    for day in 22..=30 {
        moto.put_cycle(day, &ENS_STEPS);
        days.push(format!("s3://forecasts/202611{day}/"));
    }
    let before = repository.access().remote().requests();
    let report = ingest(&repository, &days).await;
    assert_eq!((report.placed(), report.is_complete()), (9 * 104, true), "{:?}", report.files[0]);
    let requests = repository.access().remote().requests() - before;
    let (files, indexes) = (27.0, 27.0);
    assert!((requests as f64 - indexes) / files <= 1.2, "{requests} requests for {files} files");
    // The keys are those that the messages have: every read checks them.
    let snapshot = now(&repository).await;
    for array in ["tp", "t2m", "t"] {
        let values = read_all(&snapshot, array).await.unwrap();
        assert!(values.iter().any(|value| !value.is_nan()), "{array}");
    }
}
