//! Bad input at the command: what happened, where, what to do; exit code 1 (or 2 for usage), nothing half written.

use std::os::unix::process::CommandExt;

use crate::support::*;

/// A repository with step 0 of the ENS run, and the folder of its sources.
fn ingested(folder: &Folder) -> String {
    let path = folder.join("repository").display().to_string();
    let files = folder.copy_ens();
    assert_eq!(run(&["init", &path, &files[0], &files[1], &files[2]]).code, Some(0));
    assert_eq!(run(&["ingest", &path, &files[0]]).code, Some(0));
    path
}

/// The command fails with exit code 1, one line on standard error that has all of `says`, and the same as JSON.
fn fails(arguments: &[&str], says: &[&str]) {
    let plain = run(arguments);
    assert_eq!(plain.code, Some(1), "{arguments:?}: {plain:?}");
    assert!(plain.stderr.starts_with("gribchunk: "), "{arguments:?}: {plain:?}");
    for part in says {
        assert!(plain.stderr.contains(part), "{arguments:?} does not say {part:?}: {}", plain.stderr);
    }
    let json = run(&[&["--json"], arguments].concat());
    assert_eq!(json.code, Some(1), "{arguments:?}");
    let error = json.json()["error"].as_str().unwrap_or_default().to_string();
    assert!(says.iter().all(|part| error.contains(part)), "{arguments:?}: {error}");
}

#[test]
fn what_is_not_a_repository() {
    let folder = Folder::new("not-a-repository");
    let nowhere = folder.join("nowhere").display().to_string();
    let other = folder.join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("letter.txt"), "Dear").unwrap();
    let other = other.display().to_string();
    let file = folder.copy(&ens_name(0));
    for command in [&["show"][..], &["log"], &["coverage"], &["materialise"]] {
        fails(&[command[0], &nowhere], &[&nowhere, "not found", "gribchunk init"]);
        fails(&[command[0], &other], &[&other, "not found"]);
    }
    fails(&["ingest", &nowhere, &file], &[&nowhere, "not found"]);
    fails(&["ingest", &other, &file], &[&other]);
    fails(&["ingest", &other, &file, "--create"], &[&other, "empty"]);
    fails(&["init", &other, &file], &[&other, "empty"]);
    fails(&["show", &file], &[&file]);
    assert!(!folder.join("nowhere").exists(), "a question makes no directory");
}

#[test]
fn what_is_there_already() {
    let folder = Folder::new("there-already");
    let path = ingested(&folder);
    let file = folder.copy(&ens_name(0));
    fails(&["init", &path, &file], &["exists already", "allocate"]);
}

#[test]
fn names_that_are_not_there() {
    let folder = Folder::new("names");
    let path = ingested(&folder);
    let output = folder.join("out.npy").display().to_string();
    fails(&["get", &path, "t2", "-o", &output], &["t2", "did you mean", "t2m"]);
    fails(&["get", &path, "no-such-array", "-o", &output], &["no-such-array", "gribchunk show"]);
    fails(&["show", &path, "--at", "yesterday"], &["yesterday"]);
    fails(&["show", &path, "--at", "1990-01-01"], &["1990-01-01"]);
    assert!(!folder.join("out.npy").exists());
}

#[test]
fn selections() {
    let folder = Folder::new("selections");
    let path = ingested(&folder);
    let output = folder.join("out.npy").display().to_string();
    // What is not the language: where it goes wrong.
    for (select, says) in [("step=", "step"), ("step=soon", "soon"), ("=3", "character 1"), ("step=0,step", "step")] {
        fails(&["get", &path, "t2m", "--select", select, "-o", &output], &[says]);
        fails(&["coverage", &path, "--select", select], &[says]);
        fails(&["materialise", &path, "--select", select], &[says]);
    }
    // What takes nothing, or is no key: what there is.
    fails(&["get", &path, "t2m", "--select", "step=7", "-o", &output], &["step=7", "gribchunk show"]);
    fails(&["get", &path, "t2m", "--select", "number=99", "-o", &output], &["number=99"]);
    fails(&["get", &path, "t2m", "--select", "colour=red", "-o", &output], &["colour"]);
    fails(&["coverage", &path, "--select", "colour=red"], &["colour"]);
    fails(&["get", &path, "latitude", "--select", "step=0", "-o", &output], &["latitude", "--select"]);
    fails(&["allocate", &path, "--times", "tomorrow"], &["tomorrow"]);
    fails(&["allocate", &path], &["--times"]);
    assert!(!folder.join("out.npy").exists());
    let good = run(&["get", &path, "t2m", "--select", "step=0,number=1/3,latitude=30:-30", "-o", &output]);
    assert_eq!(good.code, Some(0), "{good:?}");
    assert_eq!(&std::fs::read(&output).unwrap()[..6], b"\x93NUMPY");
}

#[test]
fn sources() {
    let folder = Folder::new("sources");
    let path = ingested(&folder);
    let nowhere = folder.join("nowhere.grib2").display().to_string();
    let glob = folder.join("nothing*.grib2").display().to_string();
    let empty = folder.join("empty");
    std::fs::create_dir(&empty).unwrap();
    for source in [&nowhere, &glob, &empty.display().to_string()] {
        for command in [&["ingest", path.as_str()][..], &["scan"]] {
            fails(&[command, &[source]].concat(), &[source]);
        }
    }
    fails(&["ingest", &path, "s3://bucket/file.grib2"], &["s3://bucket/file.grib2"]);
    let lonely = folder.write("lonely.index", &std::fs::read(fixture(&ens_name(0)).with_extension("index")).unwrap());
    fails(&["ingest", &path, &lonely], &["lonely.index", "beside"]);
    let not_grib = folder.copy("broken/not_grib.grib2");
    let new = folder.join("new").display().to_string();
    fails(&["init", &new, &not_grib], &["not_grib.grib2"]);
    assert!(!folder.join("new").exists(), "no repository without a cube");
    fails(&["ingest", &new, &not_grib, "--create"], &["not_grib.grib2"]);
    assert!(!folder.join("new").exists(), "no repository without a cube");
}

/// A source that is gone, and an output that cannot be written.
#[test]
fn reading_and_writing() {
    let folder = Folder::new("reading");
    let path = ingested(&folder);
    let unwritable = folder.join("no/such/directory/out.npy").display().to_string();
    fails(&["get", &path, "t2m", "-o", &unwritable], &[&unwritable]);
    let directory = folder.path().display().to_string();
    fails(&["get", &path, "t2m", "-o", &directory], &[&directory]);
    std::fs::remove_file(folder.join("20261121000000-0h-enfo-ef.grib2")).unwrap();
    let output = folder.join("out.npy").display().to_string();
    fails(&["get", &path, "t2m", "-o", &output], &["-0h-enfo-ef.grib2", "gone", "ingest"]);
    assert!(!folder.join("out.npy").exists(), "nothing is half written");
    // What does not need the source works.
    assert_eq!(run(&["get", &path, "t2m", "--select", "step=3", "-o", &output]).code, Some(0));
    assert_eq!(run(&["coverage", &path]).code, Some(0));
}

/// As another user, when the tests run as root: root may do everything.
#[test]
fn no_permission() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("permission");
    let path = ingested(&folder);
    let file = folder.copy(&ens_name(3));
    let deny = |path: &str, mode: u32| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    // SAFETY: asks for the user's number, nothing else.
    let root = unsafe { libc::geteuid() } == 0;
    let as_nobody = |arguments: &[&str]| {
        let mut command = gribchunk();
        command.args(arguments).env("GRIBCHUNK_STATE", folder.join("nobody"));
        if root {
            command.uid(65_534);
        }
        command.output()
    };
    match as_nobody(&["--version"]) {
        Ok(output) if output.status.success() => {}
        other => {
            println!("skipped: the command cannot be run as another user ({other:?})");
            return;
        }
    }
    deny(&file, 0o000);
    let output = as_nobody(&["scan", &file]).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("-3h-enfo-ef.grib2") && text.to_lowercase().contains("permission denied"), "{text}");

    deny(&path, 0o500);
    let refused = as_nobody(&["ingest", &path, &file]).unwrap();
    deny(&path, 0o700);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(text.to_lowercase().contains("permission denied"), "{text}");
    let inside = folder.join("closed");
    std::fs::create_dir(&inside).unwrap();
    deny(&inside.display().to_string(), 0o500);
    let target = inside.join("repository").display().to_string();
    let good = folder.copy(&ens_name(0));
    deny(&good, 0o644);
    let refused = as_nobody(&["init", &target, &good]).unwrap();
    deny(&inside.display().to_string(), 0o700);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains(&target), "{refused:?}");
}
