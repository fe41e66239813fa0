//! The five lines that a daily user runs, against S3.

use std::process::Command;

use crate::s3::Moto;
use crate::support::*;

#[test]
fn five_lines_a_day() {
    let Some(moto) = Moto::start() else { return };
    let folder = Folder::new("morning");
    let cube = folder.join("cube").display().to_string();
    let t2m = folder.join("t2m.npy").display().to_string();
    let run = |line: &str| {
        let line = line.replace("CUBE", &cube).replace("T2M", &t2m);
        let output = Command::new(env!("CARGO_BIN_EXE_gribchunk"))
            .args(line.split(' '))
            .env("GRIBCHUNK_STATE", state())
            .env("AWS_ENDPOINT_URL", moto.endpoint())
            .env("AWS_NO_SIGN_REQUEST", "1")
            .env_remove("GRIBCHUNK_ALLOW")
            .output()
            .unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code(), text)
    };
    const PATTERN: &str = "s3://forecasts/{time:%Y%m%d}/{time:%H}z/ens/{time:%Y%m%d%H}0000-{step}h-enfo-ef.grib2";
    moto.put_cycle(21, &ENS_STEPS);
    moto.put_cycle(22, &[0, 3]);

    let (code, text) = run("init CUBE s3://forecasts/20261121/ --times 2026112200");
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&format!("ingest CUBE {PATTERN} --dry-run"));
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("2 files are there, 1 are not"), "{text}");
    let (code, text) = run(&format!("ingest CUBE {PATTERN}"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("68 fields of 2 files placed"), "{text}");
    let (_, text) = run("coverage CUBE --select variable=t2m");
    assert!(text.contains("8 of 12 slots"), "{text}");
    // The last step arrives.
    moto.put_cycle(22, &ENS_STEPS);
    let (code, text) = run(&format!("ingest CUBE {PATTERN}"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("36 fields of 3 files placed"), "{text}");
    let (code, text) = run("get CUBE t2m --select time=latest,step=6,number=3 -o T2M");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("0 NaN"), "{text}");

    // The next cycle: its time is allocated when its first file comes.
    moto.put_cycle(23, &[0]);
    let (code, text) = run(&format!("ingest CUBE {PATTERN} --times 2026112300"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("32 fields of 1 files placed"), "{text}");
    let (_, text) = run("coverage CUBE --select variable=t2m");
    assert!(text.contains("16 of 24 slots"), "{text}");

    // A list on standard input.
    let (code, text) = run("get CUBE t2m --select time=2026112300,step=0 -o T2M");
    assert_eq!(code, Some(0), "{text}");
}
