//! Lists of references that lead to remote objects, and lists that are remote themselves.

use gribchunk::IngestReport;

use crate::server::{Fault, Server};
use crate::support::*;

/// Offset and length of all messages of an ENS file, from its index.
fn messages(step: i64) -> Vec<(u64, u64)> {
    let index = String::from_utf8(ens_file(21, step, "index")).unwrap();
    let number = |line: &str, key: &str| -> u64 {
        let (_, rest) = line.split_once(&format!("\"{key}\": ")).unwrap();
        rest.split([',', '}']).next().unwrap().trim().parse().unwrap()
    };
    index.lines().map(|line| (number(line, "_offset"), number(line, "_length"))).collect()
}

/// A list in which each message of the steps stands under `url(step)`.
fn list_of(steps: &[i64], url: impl Fn(i64) -> String) -> String {
    let mut refs = Vec::new();
    for &step in steps {
        for (number, (offset, length)) in messages(step).into_iter().enumerate() {
            refs.push(format!("\"m{step}/{number}\": [\"{}\", {offset}, {length}]", url(step)));
        }
    }
    format!("{{\"version\": 1, \"refs\": {{{}}}}}", refs.join(", "))
}

fn serve(server: &Server, index: bool) {
    for step in ENS_STEPS {
        server.put(&format!("/data/{}", ens_name(21, step, "grib2")), ens_file(21, step, "grib2"));
        if index {
            server.put(&format!("/data/{}", ens_name(21, step, "index")), ens_file(21, step, "index"));
        }
    }
}

fn texts(report: &IngestReport) -> String {
    format!("{report:#?}")
}

/// As GIK makes them: URLs that lack `.grib2`.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_here_leads_to_objects_there() {
    for index in [false, true] {
        let (folder, server) = (Folder::new("list"), Server::start());
        serve(&server, index);
        let list = folder.join("refs.json");
        let url = |step| server.url(&format!("/data/{}", ens_name(21, step, "grib2").trim_end_matches(".grib2")));
        std::fs::write(&list, list_of(&ENS_STEPS, url)).unwrap();
        let repository = ens_repository(&folder.join("cube"), impatient()).await;
        let report = ingest(&repository, &[list.display().to_string()]).await;
        assert_eq!((report.placed(), report.is_complete()), (104, true), "{}", texts(&report));
        assert!(texts(&report).contains("3 URLs lack .grib2"), "{}", texts(&report));
        let requests = server.requests();
        let sent = requests.iter().filter(|r| r.path.ends_with(".grib2")).count();
        // One look and one read of headers, which lie near each other in these small files.
        assert!(sent <= 3 * 3, "{requests:?}");
        let truth = local_truth(&folder).await;
        assert_eq!(all(&now(&repository).await).await, truth);
        let again = ingest(&repository, &[list.display().to_string()]).await;
        assert_eq!((again.placed(), again.snapshots.len()), (0, 0), "{}", texts(&again));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_there_leads_to_objects_beside_it_and_never_to_files_here() {
    let (folder, server) = (Folder::new("list-there"), Server::start());
    serve(&server, false);
    let here = fixture("ens").canonicalize().unwrap();
    server.put("/data/refs.json", list_of(&[0, 3], |step| ens_name(21, step, "grib2")).into_bytes());
    let secret = list_of(&[6], |step| format!("file://{}/{}", here.display(), ens_name(21, step, "grib2")));
    server.put("/data/secret.json", secret.into_bytes());
    let absolute = list_of(&[6], |step| format!("{}/{}", here.display(), ens_name(21, step, "grib2")));
    server.put("/data/absolute.json", absolute.into_bytes());
    let climbing = list_of(&[6], |step| format!("../data/../data/{}", ens_name(21, step, "grib2")));
    server.put("/data/climbing.json", climbing.into_bytes());
    server.put("/data/web.json", b"<html>no list</html>".to_vec());
    server.fault("/data/forbidden.json", Fault::Status(403));
    let repository = ens_repository(&folder.join("cube"), impatient()).await;
    let report = ingest(&repository, &[server.url("/data/refs.json")]).await;
    assert_eq!((report.placed(), report.is_complete()), (68, true), "{}", texts(&report));
    for name in ["secret", "absolute", "climbing"] {
        let report = ingest(&repository, &[server.url(&format!("/data/{name}.json"))]).await;
        assert_eq!(report.placed(), 0, "{name}: {}", texts(&report));
        assert!(!report.is_complete(), "{name}");
    }
    for (name, says) in [("web", "web page"), ("forbidden", "403"), ("gone", "no such object")] {
        let sources = [server.url(&format!("/data/{name}.json"))];
        let error = gribchunk::ingest(&repository, &sources, &Default::default(), |_| {}).await.unwrap_err();
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
}

/// A directory of parquet files behind URLs.
#[tokio::test(flavor = "multi_thread")]
async fn lazy_references_there() {
    let (folder, server) = (Folder::new("list-lazy"), Server::start());
    let root = fixture("references/lazy.parquet");
    let mut waiting = vec![root.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            server.put(&format!("/references/lazy.parquet/{name}"), std::fs::read(path).unwrap());
        }
    }
    // The list has paths of its own directory's neighbours.
    let list = gribchunk::index::parse_lazy_references(&std::fs::read(root.join(".zmetadata")).unwrap(), |name| {
        std::fs::read(root.join(name)).map(Some)
    });
    for entry in list.unwrap().entries {
        assert!(entry.url.starts_with("../gefs/"), "{}", entry.url);
    }
    let repository = ens_repository(&folder.join("cube"), impatient()).await;
    for source in ["/references/lazy.parquet", "/references/lazy.parquet/"] {
        let report = ingest(&repository, &[server.url(source)]).await;
        assert_eq!(report.files[0].references, Some(3), "{}", texts(&report));
        // `..` is refused in URLs: such a list must have whole ones.
        assert!(!report.is_complete() && texts(&report).contains(".."), "{}", texts(&report));
    }
}
