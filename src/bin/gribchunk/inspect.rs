//! scan, show, coverage, log.

use std::path::Path;

use gribchunk::inspect::{self, ArraySummary, CoverageCounts, FieldListing, RepositorySummary};
use gribchunk::source::Remote;
use gribchunk::{OpenOptions, Reference, Repository, Result, Selection, Snapshot};
use serde_json::json;

use super::output::{Outcome, bytes, json_line};
use super::pictures;
use super::write::selection;

pub async fn scan(sources: &[String], remote: &Remote, values: bool, json: bool) -> Result<Outcome> {
    let (mut good, mut bad) = (0u64, 0u64);
    let mut failed = None;
    let mut file = String::new();
    let mut print = |field: FieldListing| {
        if field.error.is_some() {
            bad += 1;
        } else {
            good += 1;
        }
        let printed = if json { json_line(&field) } else { print_field(&field, &mut file) };
        failed = failed.take().or(printed.err());
    };
    inspect::list_fields_of(sources, remote, values, &mut print).await?;
    if let Some(error) = failed {
        return Err(error);
    }
    Ok(match (good, bad) {
        (_, 0) => Outcome::All,
        (0, _) => Outcome::Nothing,
        _ => Outcome::Part,
    })
}

fn print_field(field: &FieldListing, file: &mut String) -> Result<()> {
    if *file != field.file {
        println!("{}", field.file);
        println!(
            "  {:>10} {:>9}  {:12} {:20} {:>8} {:10} {:>4} {:>9} {:>6} {:24} grid",
            "offset",
            "length",
            "shortName",
            "typeOfLevel",
            "level",
            "dataDate",
            "time",
            "stepRange",
            "number",
            "packing"
        );
        file.clone_from(&field.file);
    }
    let value = serde_json::to_value(field).unwrap_or_default();
    let text = |key: &str| match &value[key] {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => "-".to_string(),
        other => other.to_string(),
    };
    println!(
        "  {:>10} {:>9}  {:12} {:20} {:>8} {:10} {:>4} {:>9} {:>6} {:24} {}",
        field.offset,
        field.length,
        text("shortName"),
        text("typeOfLevel"),
        text("level"),
        text("dataDate"),
        text("dataTime"),
        text("stepRange"),
        text("number"),
        text("packingType"),
        text("gridType"),
    );
    if let Some(values) = &field.values {
        let show = |v: Option<f64>| v.map_or("-".to_string(), |v| format!("{v:.6}"));
        println!(
            "             {} values, {} missing, min {}, max {}, mean {}, sha256 {}",
            values.count,
            values.missing,
            show(values.min),
            show(values.max),
            show(values.mean),
            values.sha256_f32le.get(..16).unwrap_or("")
        );
    }
    if let Some(error) = &field.error {
        println!("             {error}");
    }
    Ok(())
}

async fn snapshot(repository: &Path, at: &str, options: OpenOptions) -> Result<Snapshot> {
    Repository::open(repository, options).await?.snapshot(&Reference::from(at)).await
}

/// How much `show` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowDetail {
    All,
    /// One line for each variable.
    Summary,
    /// Which fields go where.
    Layout,
}

/// What `coverage` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoverageDetail {
    Pictures,
    /// One line for each variable and time.
    Summary,
    Failed,
}

pub async fn show(
    repository: &Path,
    at: &str,
    detail: ShowDetail,
    options: OpenOptions,
    json: bool,
) -> Result<Outcome> {
    let snapshot = snapshot(repository, at, options).await?;
    if detail == ShowDetail::Layout {
        let groups: serde_json::Map<String, serde_json::Value> = snapshot
            .layout()
            .groups
            .iter()
            .map(|(path, group)| (path.clone(), json!({"product": group.product, "variables": group.variables})))
            .collect();
        let layout = json!({"home": snapshot.layout().home, "select": snapshot.layout().select, "groups": groups});
        if json {
            json_line(&layout)?;
        } else {
            println!("{}", serde_json::to_string_pretty(&layout).unwrap_or_default());
        }
        return Ok(Outcome::All);
    }
    let summary = inspect::show(&snapshot).await?;
    if json {
        json_line(&summary)?;
    } else {
        print_summary(&summary, detail);
    }
    Ok(Outcome::All)
}

fn print_summary(summary: &RepositorySummary, detail: ShowDetail) {
    println!("snapshot {}", summary.snapshot);
    for group in &summary.groups {
        println!("\ngroup: /{} (grid {})", group.group, group.grid_type);
        println!("dimensions:");
        for dimension in &group.dimensions {
            let range = match &dimension.range {
                Some((first, last)) if first != last => format!("  // {first} .. {last}"),
                Some((only, _)) => format!("  // {only}"),
                None => String::new(),
            };
            println!("    {} = {} ;{range}", dimension.name, dimension.length);
        }
        println!("variables:");
        let variables = group.arrays.iter().filter(|a| a.slots.is_some());
        match detail {
            ShowDetail::Summary => print_lines(&variables.collect::<Vec<_>>()),
            _ => variables.for_each(print_array),
        }
        let coordinates: Vec<&str> =
            group.arrays.iter().filter(|a| a.slots.is_none()).map(|a| leaf(&a.array)).collect();
        println!("coordinates: {}", coordinates.join(", "));
    }
    for array in &summary.other_arrays {
        println!("\narray: /{} {}({})", array.array, array.data_type, array.dimensions.join(", "));
    }
    let CoverageCounts { expected, missing, virtual_, materialised, .. } = summary.total;
    println!(
        "\n{expected} expected slots: {missing} missing, {virtual_} virtual ({} of GRIB), {materialised} materialised ({} stored)",
        bytes(summary.virtual_bytes),
        bytes(summary.stored_bytes)
    );
}

fn leaf(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn print_array(array: &ArraySummary) {
    println!("    {} {}({}) ;", array.data_type, leaf(&array.array), array.dimensions.join(", "));
    for key in
        ["long_name", "units", "GRIB_shortName", "GRIB_paramId", "GRIB_typeOfLevel", "GRIB_level", "GRIB_stepType"]
    {
        if let Some(value) = array.attributes.get(key) {
            println!("        {key} = {value} ;");
        }
    }
    let slots = array.slots.unwrap_or_default();
    println!(
        "        // slots: {} expected, {} missing, {} virtual, {} materialised",
        slots.expected, slots.missing, slots.virtual_, slots.materialised
    );
}

/// A table with a line for each variable.
fn print_lines(arrays: &[&ArraySummary]) {
    let width = arrays.iter().map(|a| leaf(&a.array).chars().count()).max().unwrap_or(0).max(8);
    println!(
        "    {:width$} {:>9} {:>9} {:>9} {:>12} {:>9} {:>9}  units, level",
        "variable", "expected", "missing", "virtual", "materialised", "GRIB", "stored"
    );
    for array in arrays {
        let slots = array.slots.unwrap_or_default();
        let attribute = |key: &str| array.attributes.get(key).map(|v| v.to_string().trim_matches('"').to_string());
        let level = attribute("GRIB_level").map(|level| format!(" {level}")).unwrap_or_default();
        println!(
            "    {:width$} {:>9} {:>9} {:>9} {:>12} {:>9} {:>9}  {}, {}{level}",
            leaf(&array.array),
            slots.expected,
            slots.missing,
            slots.virtual_,
            slots.materialised,
            bytes(array.virtual_bytes),
            bytes(array.stored_bytes),
            attribute("units").unwrap_or_default(),
            attribute("GRIB_typeOfLevel").unwrap_or_default()
        );
    }
}

pub async fn coverage(
    repository: &Path,
    at: &str,
    select: Option<&str>,
    detail: CoverageDetail,
    options: OpenOptions,
    json: bool,
) -> Result<Outcome> {
    let failed = detail == CoverageDetail::Failed;
    let snapshot = snapshot(repository, at, options).await?;
    let select = select.map(Selection::parse).transpose().map_err(selection)?;
    let coverage = inspect::coverage(&snapshot, select.as_ref()).await?;
    if json {
        if failed {
            coverage.failures.iter().try_for_each(json_line)?;
        } else {
            json_line(&coverage)?;
        }
        return Ok(Outcome::All);
    }
    if !failed {
        if detail == CoverageDetail::Summary {
            println!("snapshot {}\n{}\n", coverage.snapshot, pictures::SUMMARY_LEGEND);
            print!("{}", pictures::summary(&coverage.variables));
        } else {
            println!("snapshot {}\n{}\n", coverage.snapshot, pictures::LEGEND);
            print!("{}", pictures::pictures(&coverage.variables));
        }
        let t = coverage.total;
        println!(
            "\n{} expected: {} missing, {} virtual, {} materialised, {} failed, {} replacement failed",
            t.expected, t.missing, t.virtual_, t.materialised, t.failed, t.replacement_failed
        );
    }
    if !coverage.failures.is_empty() || failed {
        println!("{} failures", coverage.failures.len());
    }
    for failure in &coverage.failures {
        let place = failure.offset.map(|o| format!(" at byte {o}")).unwrap_or_default();
        let field = if failure.field.is_empty() { String::new() } else { format!(": {}", failure.field) };
        let slot = failure.slot.as_ref().map(|s| format!(" for {s}")).unwrap_or_default();
        println!("  {}{place}{field}{slot}\n      {}", failure.url, failure.reason);
    }
    Ok(Outcome::All)
}

pub async fn log(repository: &Path, at: &str, limit: usize, options: OpenOptions, json: bool) -> Result<Outcome> {
    let repository = Repository::open(repository, options).await?;
    let entries = repository.log(&Reference::from(at), limit).await?;
    for entry in &entries {
        if json {
            json_line(entry)?;
        } else {
            println!("{}  {}  {}", entry.id, entry.time, entry.message);
            let count = |key: &str| entry.changes.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
            let (refused, bad) = (count("refused"), count("badFiles"));
            if refused + bad > 0 {
                println!("{:22}{refused} fields refused, {bad} bad files: see `gribchunk coverage --failed`", "");
            }
        }
    }
    Ok(Outcome::All)
}
