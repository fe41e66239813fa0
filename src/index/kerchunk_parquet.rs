//! kerchunk references as a directory of parquet files (fsspec `LazyReferenceMapper`).
//!
//! `.zmetadata` holds all Zarr metadata and `record_size`; `ARRAY/refs.K.parq` has the columns `path`, `offset`, `size` and
//! `raw`, one row for each chunk in C order, `record_size` rows to a file, the last one padded.

use std::io;

use serde_json::Value;

use super::references::table::Table;
use super::references::{Collector, NotCarriedKind, REFERENCE_LIMIT, ReferenceList, ReferencesError};

/// Files of one array.
const FILES_LIMIT: u64 = 1_000_000;
const COLUMNS: &[&str] = &["path", "offset", "size"];

/// Reads references. `read` gives a file by its name below the directory, `None` when it is not there.
///
/// # Errors
/// When `.zmetadata` is not what it should be, or there are more references than anybody has. A bad file of an array is a
/// problem in the list.
pub fn parse_lazy_references(
    metadata: &[u8],
    mut read: impl FnMut(&str) -> io::Result<Option<Vec<u8>>>,
) -> Result<ReferenceList, ReferencesError> {
    let document: Value = serde_json::from_slice(metadata).map_err(|e| ReferencesError::NotJson(e.to_string()))?;
    let not_lazy = |what: &str| ReferencesError::NotReferences(format!(".zmetadata {what}"));
    let nodes = document.get("metadata").and_then(Value::as_object).ok_or_else(|| not_lazy("without `metadata`"))?;
    // There is no default: kerchunk and fsspec write different ones.
    let record_size = document.get("record_size").and_then(Value::as_u64).filter(|size| *size > 0);
    let record_size = record_size.ok_or_else(|| not_lazy("without `record_size`: a consolidated Zarr store?"))?;
    let mut collector = Collector::default();
    for (key, value) in nodes {
        collector.metadata(key, value.clone());
    }
    let mut chunks_of_all = 0u64;
    for (key, value) in nodes {
        let Some(array) = key.strip_suffix("/.zarray") else { continue };
        if array.split('/').any(|part| part.is_empty() || part == ".." || part == ".") || array.contains('\\') {
            collector.problem(array, "not the name of an array");
            continue;
        }
        let Some(grid) = chunk_grid(value) else {
            collector.problem(array, "its shape and chunks cannot be read");
            continue;
        };
        let chunks = grid.iter().try_fold(1u64, |n, &c| n.checked_mul(c)).unwrap_or(u64::MAX);
        chunks_of_all = chunks_of_all.saturating_add(chunks);
        let too_many = |limit: u64| ReferencesError::TooMany { what: format!("{array}: {chunks} chunks"), limit };
        if chunks_of_all > REFERENCE_LIMIT as u64 * 10 {
            return Err(too_many(REFERENCE_LIMIT as u64 * 10));
        }
        let files = chunks.div_ceil(record_size);
        if files > FILES_LIMIT {
            return Err(too_many(FILES_LIMIT));
        }
        for file in 0..files {
            let name = format!("{array}/refs.{file}.parq");
            let rows = record_size.min(chunks - file * record_size);
            let bytes = match read(&name) {
                Ok(Some(bytes)) => bytes,
                // Nothing in it: all missing.
                Ok(None) => continue,
                Err(error) => {
                    collector.problem(&name, error.to_string());
                    continue;
                }
            };
            let first = file * record_size;
            if let Err(error) = one_file(bytes, array, &grid, first, rows, &mut collector) {
                if matches!(error, ReferencesError::TooMany { .. }) {
                    return Err(error);
                }
                collector.problem(&name, error.to_string());
                collector.leave_out(array, NotCarriedKind::NoReference, rows);
            }
        }
    }
    Ok(collector.finish())
}

fn one_file(
    bytes: Vec<u8>,
    array: &str,
    grid: &[u64],
    first: u64,
    rows: u64,
    collector: &mut Collector,
) -> Result<(), ReferencesError> {
    let table = Table::open(bytes.into())?;
    if !table.has(COLUMNS) {
        let wanted = "path, offset, size and raw";
        return Err(ReferencesError::WrongColumns { found: table.names().join(", "), wanted });
    }
    let limit = usize::try_from(rows).unwrap_or(usize::MAX);
    let paths = table.bytes("path", limit)?;
    let (offsets, sizes) = (table.integers("offset", limit)?, table.integers("size", limit)?);
    let mut raws = if table.has(&["raw"]) { table.bytes("raw", limit)? } else { Vec::new() };
    raws.resize(paths.len(), None);
    let rows = paths.into_iter().zip(raws).zip(offsets.into_iter().zip(sizes)).zip(first..);
    for (((path, raw), (offset, size)), number) in rows {
        let key = || format!("{array}/{}", chunk_name(grid, number));
        let Some(path) = path.filter(|path| !path.is_empty()) else {
            if let Some(raw) = raw {
                collector.inline(&key(), raw.to_vec());
            }
            continue;
        };
        let place = (std::str::from_utf8(&path), u64::try_from(offset.unwrap_or(0)), u64::try_from(size.unwrap_or(0)));
        match place {
            (Ok(path), Ok(offset), Ok(size)) => {
                collector.reference(&key(), path, offset, (size > 0).then_some(size))?
            }
            _ => collector.problem(&key(), "a path that is not UTF-8, or a negative offset or size"),
        }
    }
    Ok(())
}

fn chunk_grid(metadata: &Value) -> Option<Vec<u64>> {
    let numbers =
        |name: &str| -> Option<Vec<u64>> { metadata.get(name)?.as_array()?.iter().map(Value::as_u64).collect() };
    let (shape, chunks) = (numbers("shape")?, numbers("chunks")?);
    if shape.len() != chunks.len() || chunks.contains(&0) {
        return None;
    }
    Some(shape.iter().zip(&chunks).map(|(length, chunk)| length.div_ceil(*chunk)).collect())
}

/// `0.0.1` for a number in C order; `0` for an array without dimensions.
fn chunk_name(grid: &[u64], number: u64) -> String {
    let mut rest = number;
    let mut index: Vec<String> = Vec::with_capacity(grid.len());
    for length in grid.iter().rev() {
        index.push((rest % length.max(&1)).to_string());
        rest /= length.max(&1);
    }
    if index.is_empty() {
        return "0".into();
    }
    index.reverse();
    index.join(".")
}
