//! Making a cube and adding times to it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::StreamExt;
use serde_json::json;

use crate::cube::build::{LayoutOptions, SampleField, build};
use crate::cube::extend::Extension;
use crate::cube::layout::Layout;
use crate::error::{Error, Result};
use crate::grib::grid::Grid;
use crate::grib::key::GridDigest;
use crate::grib::sections;
use crate::repository::{Conflict, Repository};
use crate::source::{self, Remote, SourceFile};

use super::scan::{ScannedField, ScannedFile, scan_files};

/// How often a metadata change is done again when other writers were faster.
const ATTEMPTS: usize = 20;
/// Bytes of a message that hold its grid, lists of points excepted.
const GRID_HEADER_BYTES: u64 = 4096;

/// The fields of sample sources, with their grids.
///
/// Unreadable files and fields are left out; they come back when they are ingested. Returns what was left out too.
pub fn sample(sources: &[String]) -> Result<(Vec<SampleField>, Vec<String>)> {
    let files = source::expand(sources)?;
    crate::store::block_on(async move { sample_files(files, &Remote::default()).await })?
}

/// [`sample`] for files that were found already, reached as the user says.
pub async fn sample_files(files: Vec<SourceFile>, remote: &Remote) -> Result<(Vec<SampleField>, Vec<String>)> {
    let mut grids: HashMap<GridDigest, Arc<Grid>> = HashMap::new();
    let mut samples = Vec::new();
    let mut left_out = Vec::new();
    let mut scans = scan_files(files, remote).await;
    while let Some((_, scanned)) = scans.next().await {
        let scanned = match scanned {
            Ok(scanned) => scanned,
            Err(error) => {
                left_out.push(error.to_string());
                continue;
            }
        };
        left_out.extend(scanned.refused.iter().map(|r| format!("{} at byte {}: {}", scanned.url, r.offset, r.reason)));
        for field in &scanned.fields {
            let place = || format!("{} at byte {}", scanned.url, field.offset);
            let grid = match grids.get(&field.key.grid) {
                Some(grid) => Arc::clone(grid),
                None => match read_grid(&scanned, field, remote).await {
                    Ok(grid) => {
                        let grid = Arc::new(grid);
                        grids.insert(field.key.grid, Arc::clone(&grid));
                        grid
                    }
                    Err(error) => {
                        left_out.push(format!("{}: {error}", place()));
                        continue;
                    }
                },
            };
            samples.push(SampleField { key: field.key.clone(), grid, location: place() });
        }
    }
    if samples.is_empty() {
        let why = left_out.first().cloned().unwrap_or_else(|| "no fields".into());
        return Err(Error::invalid(
            format!("no field could be read from the samples: {why}"),
            "give complete GRIB files",
        ));
    }
    Ok((samples, left_out))
}

/// The grid of a field; of a remote file no more than the header is read.
async fn read_grid(scanned: &ScannedFile, field: &ScannedField, remote: &Remote) -> Result<Grid> {
    let file = scanned.open(remote).await?;
    if field.submessages == 1 {
        let prefix = file.read_exact(field.offset, field.length.min(GRID_HEADER_BYTES)).await?;
        if let Some(Ok(sections)) = sections::fields_of_prefix(&prefix, field.length).next()
            && let Ok(grid) = Grid::from_sections(&sections)
        {
            return Ok(grid);
        }
    }
    let bytes = file.read_exact(field.offset, field.length).await?;
    let Some(sections) = sections::fields(&bytes).nth(field.submessage as usize) else {
        return Err(Error::Source { location: scanned.url.clone(), reason: "the field is not in its message".into() });
    };
    let sections = sections.map_err(Error::grib(scanned.url.as_str()))?;
    Grid::from_sections(&sections).map_err(Error::grib(scanned.url.as_str()))
}

/// Allocates the cube of a layout in one commit: metadata and coordinates, no data chunk. Returns the snapshot id.
pub async fn init(
    repository: &Repository,
    samples: &[SampleField],
    options: &LayoutOptions,
) -> Result<(Layout, String)> {
    let layout = build(samples, options)?;
    let mut transaction = repository.transaction("main").await?;
    transaction.create_layout(&layout).await?;
    let variables: usize = layout.groups.values().map(|g| g.variables.len()).sum();
    let slots: u64 = layout.groups.values().flat_map(|g| g.variables.values().map(|v| g.expected_slots(v))).sum();
    let message = format!("init: {variables} variables, {slots} expected slots");
    let changes = BTreeMap::from([
        ("action".to_string(), json!("init")),
        ("variables".to_string(), json!(variables)),
        ("expectedSlots".to_string(), json!(slots)),
    ]);
    let id = transaction.commit(&message, changes, Conflict::Fail).await?;
    Ok((layout, id.to_string()))
}

/// Adds reference times to all groups, in a commit of its own. Returns what was new, and the snapshot.
pub async fn allocate(repository: &Repository, times: &[i64]) -> Result<(Extension, Option<String>)> {
    extend(repository, times, None).await
}

/// Adds what samples have besides: times, steps, members, levels, variables and products, in one commit. `times` are added
/// too; with [`LayoutOptions::times`] the samples' own are not.
pub async fn allocate_from(
    repository: &Repository,
    samples: &[SampleField],
    options: &LayoutOptions,
) -> Result<(Extension, Option<String>)> {
    extend(repository, options.times.as_deref().unwrap_or_default(), Some((samples, options))).await
}

async fn extend(
    repository: &Repository,
    times: &[i64],
    samples: Option<(&[SampleField], &LayoutOptions)>,
) -> Result<(Extension, Option<String>)> {
    for _ in 0..ATTEMPTS {
        let mut transaction = repository.transaction("main").await?;
        let mut extension = transaction.allocate_times(times).await?;
        if let Some((samples, options)) = samples {
            let layout = transaction.layout();
            let options = LayoutOptions {
                group: Some(layout.home_group.clone()),
                select: options.select.clone().or_else(|| layout.selection()),
                home: layout.home.clone(),
                ..options.clone()
            };
            let more = transaction.extend(&build(samples, &options)?).await?;
            extension = Extension { times: extension.times + more.times, ..more };
        }
        if extension.is_empty() {
            return Ok((extension, None));
        }
        let changes = BTreeMap::from([
            ("action".to_string(), json!("allocate")),
            ("newTimes".to_string(), json!(extension.times)),
            ("newVariables".to_string(), json!(extension.variables.len())),
        ]);
        let message = format!("allocate {} times, {} variables", extension.times, extension.variables.len());
        match transaction.commit(&message, changes, Conflict::Fail).await {
            Ok(id) => return Ok((extension, Some(id.to_string()))),
            Err(Error::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::Conflict {
        what: format!("allocate lost {ATTEMPTS} times against other writers"),
        remedy: "run it again when fewer are writing".into(),
    })
}
