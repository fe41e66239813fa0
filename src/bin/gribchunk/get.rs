//! get: a part of an array as a NumPy file.

use std::io::Write;
use std::path::Path;

use gribchunk::{Error, OpenOptions, Reference, Repository, Result, Selection};
use serde_json::json;

use super::arguments::Get;
use super::output::{Outcome, json_line};
use super::write::selection;

pub async fn get(arguments: Get, options: OpenOptions, json: bool) -> Result<Outcome> {
    let select = Selection::parse(arguments.select.as_deref().unwrap_or("")).map_err(selection)?;
    let repository = Repository::open(&arguments.repository, options).await?;
    let snapshot = repository.snapshot(&Reference::from(arguments.at.as_str())).await?;
    let info = snapshot.array(&arguments.array).await?;
    let (dimensions, shape, missing) = if snapshot.layout().variable(&info.name).is_some() {
        let selected = snapshot.read_selection(&arguments.array, &select).await?;
        let bytes: Vec<u8> = selected.values.iter().flat_map(|v| v.to_le_bytes()).collect();
        write_npy(&arguments.output, "<f4", &selected.shape(), &bytes)?;
        let missing = selected.values.iter().filter(|v| v.is_nan()).count();
        (selected.dimensions.clone(), selected.shape(), missing)
    } else {
        if !select.is_everything() {
            return Err(Error::Invalid {
                what: format!("a selection of /{}, which is not an array of a cube", info.name),
                remedy: "read all of it, without --select".into(),
            });
        }
        let (data_type, bytes) = snapshot.read_whole(&arguments.array).await?;
        let shape: Vec<usize> = info.shape.iter().map(|&n| n as usize).collect();
        write_npy(&arguments.output, data_type, &shape, &bytes)?;
        (info.dimension_names.clone(), shape, 0)
    };
    if json {
        json_line(&json!({
            "array": info.name, "snapshot": snapshot.id(), "dimensions": dimensions, "shape": shape, "nan": missing,
            "file": arguments.output,
        }))?;
    } else {
        let extent: Vec<String> = dimensions.iter().zip(&shape).map(|(d, n)| format!("{d} {n}")).collect();
        println!("{}: {} ({missing} NaN)", arguments.output.display(), extent.join(" x "));
    }
    Ok(Outcome::All)
}

/// NumPy's format, version 1.0: magic, header length, header padded to 64 bytes, little-endian data in C order.
fn write_npy(path: &Path, data_type: &str, shape: &[usize], data: &[u8]) -> Result<()> {
    let io = |source| Error::Io { path: path.to_path_buf(), source };
    let lengths: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let lengths =
        if shape.len() == 1 { lengths.trim_end().to_string() } else { lengths.trim_end_matches(", ").to_string() };
    let mut header = format!("{{'descr': '{data_type}', 'fortran_order': False, 'shape': ({lengths}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).map_err(io)?);
    file.write_all(b"\x93NUMPY\x01\x00").map_err(io)?;
    file.write_all(&(header.len() as u16).to_le_bytes()).map_err(io)?;
    file.write_all(header.as_bytes()).map_err(io)?;
    file.write_all(data).map_err(io)?;
    file.flush().map_err(io)
}
