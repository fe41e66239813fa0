//! tag, diff, reset, finalise.

use std::path::Path;

use gribchunk::inspect::{self, Diff, DiffBasis, MetadataChangeKind};
use gribchunk::repository::ResetOptions;
use gribchunk::{OpenOptions, Reference, Repository, Result};

use super::output::{Outcome, json_line};

pub async fn tag(path: &Path, name: &str, at: &str, options: OpenOptions, json: bool) -> Result<Outcome> {
    let repository = Repository::open(path, options).await?;
    let report = repository.tag(name, &Reference::from(at)).await?;
    if json {
        json_line(&report)?;
    } else {
        println!("{} is snapshot {}", report.tag, report.snapshot);
    }
    Ok(Outcome::All)
}

pub async fn reset(path: &Path, to: &str, force: bool, options: OpenOptions, json: bool) -> Result<Outcome> {
    let repository = Repository::open(path, options).await?;
    let reset_options = if force { ResetOptions::default().force() } else { ResetOptions::default() };
    let report = repository.reset(&Reference::from(to), &reset_options).await?;
    if json {
        json_line(&report)?;
        return Ok(Outcome::All);
    }
    if report.from == report.to {
        println!("nothing to do: {} is at {} already", report.branch, report.to);
        return Ok(Outcome::All);
    }
    println!("{} was at {}, is at {}; {} commits undone:", report.branch, report.from, report.to, report.undone.len());
    for entry in &report.undone {
        println!("  {}  {}  {}", entry.id, entry.time, entry.message);
    }
    println!(
        "until garbage is collected they come back with `gribchunk reset {} {} --force`",
        path.display(),
        report.from
    );
    Ok(Outcome::All)
}

pub async fn finalise(path: &Path, arrays: &[String], options: OpenOptions, json: bool) -> Result<Outcome> {
    let repository = Repository::open(path, options).await?;
    let report = repository.finalise(arrays).await?;
    let outcome = match (report.refused.is_empty(), report.finalised.is_empty() && report.already.is_empty()) {
        (true, _) => Outcome::All,
        (false, false) => Outcome::Part,
        (false, true) => Outcome::Nothing,
    };
    if json {
        json_line(&report)?;
        return Ok(outcome);
    }
    for array in &report.finalised {
        println!("{array}: finalised, any Zarr library reads it");
    }
    for array in &report.already {
        println!("{array}: has standard codecs already");
    }
    for refused in &report.refused {
        eprintln!("gribchunk: {}: not finalised: {}", refused.array, refused.reason);
        for slots in &refused.slots {
            eprintln!("    {slots}");
        }
    }
    if let Some(snapshot) = &report.snapshot {
        println!("in snapshot {snapshot}");
    }
    Ok(outcome)
}

pub async fn diff(path: &Path, from: &str, to: &str, options: OpenOptions, json: bool) -> Result<Outcome> {
    let repository = Repository::open(path, options).await?;
    let diff = inspect::diff(&repository, &Reference::from(from), &Reference::from(to)).await?;
    if json {
        json_line(&diff)?;
    } else {
        print_diff(&diff);
    }
    Ok(Outcome::All)
}

fn print_diff(diff: &Diff) {
    println!("{} -> {}", diff.from, diff.to);
    if diff.basis == DiffBasis::AllReferences {
        println!("(neither is an ancestor of the other: all references were compared)");
    }
    print_changes(diff);
    println!("{} slots of {} arrays changed", diff.slots(), diff.arrays.len());
}

/// A line for each thing that changed.
pub fn print_changes(diff: &Diff) {
    for change in &diff.metadata {
        let path = if change.path.is_empty() { "/" } else { &change.path };
        let values = if change.values.is_empty() { String::new() } else { format!(" {}", change.values.join(", ")) };
        println!("{path}: {}{values}", metadata_text(change.change));
    }
    for array in &diff.arrays {
        for change in &array.changes {
            let replaced = if change.before == change.after { " (replaced)" } else { "" };
            println!("{} {}: {} -> {}{replaced}", array.array, change.coordinates, change.before, change.after);
        }
    }
}

fn metadata_text(change: MetadataChangeKind) -> &'static str {
    match change {
        MetadataChangeKind::NewGroup => "new group",
        MetadataChangeKind::RemovedGroup => "group removed",
        MetadataChangeKind::NewVariable => "new variable",
        MetadataChangeKind::RemovedVariable => "variable removed",
        MetadataChangeKind::NewTimes => "new times",
        MetadataChangeKind::RemovedTimes => "times removed:",
        MetadataChangeKind::NewSteps => "new steps",
        MetadataChangeKind::RemovedSteps => "steps removed:",
        MetadataChangeKind::NewMembers => "new members",
        MetadataChangeKind::RemovedMembers => "members removed:",
        MetadataChangeKind::NewLevels => "new levels",
        MetadataChangeKind::RemovedLevels => "levels removed:",
        MetadataChangeKind::Finalised => "finalised: standard Zarr codecs",
        MetadataChangeKind::NewArray => "new array",
        MetadataChangeKind::RemovedArray => "array removed",
        MetadataChangeKind::OtherMetadata => "other metadata (attributes, codecs, ...)",
    }
}
