//! check, explain.

use std::collections::BTreeMap;
use std::path::Path;

use gribchunk::inspect::{self, CheckOptions, CheckReport, ExplainedReference, Explanation, Problem};
use gribchunk::{Error, OpenOptions, Reference, Repository, Result, Selection};
use serde::Serialize;

use super::output::{Outcome, bytes, json_line};
use super::write::selection;

/// How many slots of a source with the same reason are printed.
const PRINTED: usize = 5;

pub async fn check(
    path: &Path,
    at: &str,
    sources: bool,
    subset: Option<&str>,
    options: OpenOptions,
    json: bool,
) -> Result<Outcome> {
    let check_options = CheckOptions { sources, subset: subset.map(percentage).transpose()? };
    let snapshot = Repository::open(path, options).await?.snapshot(&Reference::from(at)).await?;
    let report = inspect::check(&snapshot, &check_options).await?;
    if json {
        json_line(&report)?;
    } else {
        print_report(&report, sources);
    }
    Ok(match (report.is_good(), report.is_all_bad()) {
        (true, _) => Outcome::All,
        (false, true) => Outcome::Nothing,
        (false, false) => Outcome::Part,
    })
}

/// `5%` -> 0.05
fn percentage(text: &str) -> Result<f64> {
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    number.filter(|n| *n > 0.0 && *n <= 100.0).map(|n| n / 100.0).ok_or_else(|| Error::Invalid {
        what: format!("the subset {text:?}"),
        remedy: "write a percentage of the chunks, as in 5%".into(),
    })
}

fn print_report(report: &CheckReport, sources: bool) {
    println!("snapshot {}", report.snapshot);
    // A source that is gone spoils all of its slots: each source and reason is said once, with some of the slots.
    let mut groups: BTreeMap<(&str, String), Vec<&Problem>> = BTreeMap::new();
    for problem in &report.problems {
        let place = problem.offset.map(|offset| format!(" at byte {offset}")).unwrap_or_default();
        let reason = problem.reason.replace(&place, "");
        groups.entry((problem.source.as_deref().unwrap_or(""), reason)).or_default().push(problem);
    }
    for ((source, reason), problems) in &groups {
        // Most reasons begin with the location.
        let named = source.is_empty() || reason.contains(source);
        println!("{}{reason}", if named { String::new() } else { format!("{source}: ") });
        for problem in problems.iter().take(PRINTED) {
            let slot = problem.slot.as_deref().unwrap_or(&problem.array);
            let offset = problem.offset.map(|o| format!(" (byte {o})")).unwrap_or_default();
            if !slot.is_empty() {
                println!("    {slot}{offset}");
            }
        }
        if problems.len() > PRINTED {
            println!("    and {} more slots", problems.len() - PRINTED);
        }
    }
    let checked = report.virtual_ + report.materialised;
    println!(
        "{} arrays, {} chunks, {checked} of them checked: {} virtual, {} materialised",
        report.arrays, report.chunks, report.virtual_, report.materialised
    );
    if sources {
        println!("{} source files checked", report.sources);
    }
    if report.unverified > 0 {
        println!(
            "{} virtual chunks have no checksum: a change of their source would not be noticed",
            report.unverified
        );
    }
    println!("{} good, {} problems", report.good, report.problems.len());
}

pub async fn explain(
    path: &Path,
    array: &str,
    at: &str,
    select: Option<&str>,
    options: OpenOptions,
    json: bool,
) -> Result<Outcome> {
    let select = Selection::parse(select.unwrap_or("")).map_err(selection)?;
    let snapshot = Repository::open(path, options).await?.snapshot(&Reference::from(at)).await?;
    let explanation = inspect::explain(&snapshot, array, &select).await?;
    if json {
        json_line(&explanation)?;
    } else {
        print_explanation(&explanation);
    }
    Ok(if explanation.stops.is_some() { Outcome::Nothing } else { Outcome::All })
}

fn print_explanation(explanation: &Explanation) {
    let line = |name: &str, text: &str| println!("{name:12} {text}");
    line("slot", &explanation.slot);
    line("snapshot", &explanation.snapshot);
    line("key", &format!("{}, chunk shape {:?}", explanation.zarr_key, explanation.chunk_shape));
    line("codecs", &names(&explanation.codecs));
    match &explanation.reference {
        ExplainedReference::Missing => line("reference", "missing"),
        ExplainedReference::Virtual { location, url, offset, length, checksum } => {
            line("reference", "virtual");
            line("source", url.as_deref().unwrap_or(location));
            let end = offset.saturating_add(length.saturating_sub(1));
            line("range", &format!("bytes {offset} to {end} ({})", bytes(*length)));
            let checksum = if checksum.is_empty() { "none: unverified".to_string() } else { checksum.join(", ") };
            line("checksum", &checksum);
        }
        ExplainedReference::Stored { object, offset, length } => {
            line("reference", &format!("materialised: {object}, {} at byte {offset}", bytes(*length)));
        }
        ExplainedReference::Inline { length } => {
            line("reference", &format!("materialised: {} in the manifest", bytes(*length)));
        }
    }
    for (name, part) in [
        ("header", keys(&explanation.header)),
        ("grid", keys(&explanation.grid)),
        ("packing", keys(&explanation.packing)),
    ] {
        if let Some(part) = part {
            line(name, &part);
        }
    }
    for check in &explanation.checks {
        let sign = if check.passed { "ok" } else { "NO" };
        line("check", &format!("{sign}  {}: {}", check.check, check.detail));
    }
    if let Some(decoder) = &explanation.decoder {
        line("decoder", decoder);
    }
    if let Some(values) = &explanation.values {
        let show = |v: Option<f64>| v.map_or("-".to_string(), |v| format!("{v:.6}"));
        line(
            "values",
            &format!(
                "{}, {} missing, min {}, max {}, mean {}",
                values.count,
                values.missing,
                show(values.min),
                show(values.max),
                show(values.mean)
            ),
        );
        line("sha256", &values.sha256_f32le);
    }
    for refused in &explanation.refused {
        line("refused", refused);
    }
    match &explanation.stops {
        Some(stops) => line("stops", stops),
        None => line("gives", if explanation.values.is_some() { "these values" } else { "NaN at every point" }),
    }
}

fn names(codecs: &serde_json::Value) -> String {
    let names = codecs.as_array().into_iter().flatten().filter_map(|codec| codec["name"].as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// `shortName=2t paramId=167 ...`
fn keys(part: &Option<impl Serialize>) -> Option<String> {
    let value = serde_json::to_value(part.as_ref()?).ok()?;
    let text = |(key, value): (&String, &serde_json::Value)| match value {
        serde_json::Value::String(text) => format!("{key}={text}"),
        other => format!("{key}={other}"),
    };
    Some(value.as_object()?.iter().map(text).collect::<Vec<_>>().join(" "))
}
