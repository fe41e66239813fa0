//! demo: allocate, watch NaN turn into values commit by commit, a pinned reader, a materialise, a check of every value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gribchunk::inspect::coverage;
use gribchunk::{
    Error, IngestOptions, LayoutOptions, MaterialiseOptions, OpenOptions, Reference, Repository, Result, Selection,
};
use sha2::{Digest, Sha256};

use super::output::Outcome;
use super::pictures;

/// The files of the mini run: name and content.
const FILES: &[(&str, &[u8])] = &include!("demo_files.in");
/// What ecCodes says of each GRIB file: its name and `fixtures/expected.py`'s JSON.
const EXPECTED: &[(&str, &str)] = &include!("demo_expected.in");

pub async fn demo(directory: Option<PathBuf>, json: bool) -> Result<Outcome> {
    let temporary = directory.is_none();
    let directory =
        directory.unwrap_or_else(|| std::env::temp_dir().join(format!("gribchunk-demo-{}", std::process::id())));
    let result = tell(&directory, json).await;
    if temporary {
        let _ = std::fs::remove_dir_all(&directory);
    }
    result
}

async fn tell(directory: &Path, json: bool) -> Result<Outcome> {
    let say = |text: String| {
        if !json {
            println!("{text}");
        }
    };
    let run = directory.join("run");
    std::fs::create_dir_all(&run).map_err(|source| Error::Io { path: run.clone(), source })?;
    for (name, content) in FILES {
        let path = run.join(name);
        std::fs::write(&path, content).map_err(|source| Error::Io { path, source })?;
    }
    let samples = vec![run.display().to_string()];
    say("A small forecast run: three steps, four members, one GRIB file a step (with its index).".into());

    let repository = Repository::create(directory.join("repository"), OpenOptions::default()).await?;
    let (fields, _) = gribchunk::sample(&samples)?;
    gribchunk::init(&repository, &fields, &LayoutOptions::default()).await?;
    say("\n1. The cube is allocated before anything has arrived: every value is NaN.".into());
    let pinned = repository.snapshot(&Reference::default()).await?;
    show_picture(&repository, json).await?;

    let mut files: Vec<PathBuf> = FILES.iter().map(|(name, _)| run.join(name)).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "grib2"));
    for (number, file) in (2..).zip(&files) {
        let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let report =
            gribchunk::ingest(&repository, &[file.display().to_string()], &IngestOptions::default(), |_| {}).await?;
        say(format!("{number}. {name} arrives: {} fields become visible in one commit.", report.placed()));
        show_picture(&repository, json).await?;
    }

    let still_nan = everything(&pinned, "t2m").await?.iter().all(|v| v.is_nan());
    say(format!("5. A reader that was opened before still sees its own snapshot, all NaN: {still_nan}."));

    let options = MaterialiseOptions { select: Selection::parse("variable=t2m").ok(), batch: None };
    let report = gribchunk::materialise(&repository, &options).await?;
    say(format!("\n6. t2m is materialised: {} slots decoded and stored, in one commit.", report.materialised));
    show_picture(&repository, json).await?;

    let (checked, wrong) = check(&repository, &files).await?;
    say(format!(
        "7. Every value was compared with what ecCodes decodes, by SHA-256: {checked} fields, {wrong} differ."
    ));
    if json {
        super::output::json_line(&serde_json::json!({
            "fields": checked, "differ": wrong, "pinnedReaderUnchanged": still_nan,
            "materialised": report.materialised, "snapshots": repository.log(&Reference::default(), 100).await?.len(),
        }))?;
    } else if directory.starts_with(std::env::temp_dir()) {
        println!("\nRun `gribchunk demo DIR` to keep the repository and look into it (show, coverage, log, get).");
    } else {
        println!("\nLook into it: gribchunk show {}", directory.join("repository").display());
    }
    Ok(if wrong == 0 && checked > 0 && still_nan { Outcome::All } else { Outcome::Nothing })
}

async fn show_picture(repository: &Repository, json: bool) -> Result<()> {
    if json {
        return Ok(());
    }
    let snapshot = repository.snapshot(&Reference::default()).await?;
    let selection = Selection::parse("variable=t2m/tp").ok();
    let coverage = coverage(&snapshot, selection.as_ref()).await?;
    for variable in &coverage.variables {
        println!("  {}", variable.variable);
        print!("{}", pictures::picture(variable));
    }
    println!("  {}\n", pictures::LEGEND);
    Ok(())
}

async fn everything(snapshot: &gribchunk::Snapshot, array: &str) -> Result<Vec<f32>> {
    let info = snapshot.array(array).await?;
    let region: Vec<_> = info.shape.iter().map(|&n| 0..n).collect();
    snapshot.read(array, &region).await
}

/// Compares what the repository gives for each field's slots with the hash of ecCodes' values.
async fn check(repository: &Repository, files: &[PathBuf]) -> Result<(usize, usize)> {
    let snapshot = repository.snapshot(&Reference::default()).await?;
    let (mut checked, mut wrong) = (0, 0);
    for source in gribchunk::source::expand(&files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>())? {
        let expected = expected_hashes(source.path().unwrap_or(Path::new("")))?;
        let fields = gribchunk::ingest::scan_file(&source)?.fields;
        wrong += expected.len().abs_diff(fields.len());
        for field in fields {
            for slot in snapshot.layout().place(&field.key).unwrap_or_default() {
                let values = snapshot.read_chunk(&slot.array, &slot.index).await?;
                let bytes: Vec<u8> = values.iter().flat_map(|v| v.iter()).flat_map(|v| v.to_le_bytes()).collect();
                let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
                checked += 1;
                wrong += usize::from(expected.get(&field.offset) != Some(&hash));
            }
        }
    }
    Ok((checked, wrong))
}

/// Message offset -> hash of the values that ecCodes decodes.
fn expected_hashes(file: &Path) -> Result<BTreeMap<u64, String>> {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let (_, text) = EXPECTED.iter().find(|(of, _)| *of == name).copied().unwrap_or_default();
    let expected: serde_json::Value = serde_json::from_str(text)
        .map_err(|e| Error::Source { location: format!("what ecCodes says of {name}"), reason: e.to_string() })?;
    let fields = expected["field"].as_array().cloned().unwrap_or_default();
    let hash = |field: &serde_json::Value| {
        Some((field["offset"].as_u64()?, field["values"]["sha256_f32le"].as_str()?.to_string()))
    };
    Ok(fields.iter().filter_map(hash).collect())
}
