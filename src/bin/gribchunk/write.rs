//! init, allocate, ingest, materialise.

use std::path::Path;

use gribchunk::cube::build::SampleField;
use gribchunk::cube::layout::CycleSteps;
use gribchunk::ingest::FileReport;
use gribchunk::ingest::references::{self, Inputs};
use gribchunk::repository::Access;
use gribchunk::source::{PatternValues, Remote, Sidecar};
use gribchunk::{Error, IngestOptions, LayoutOptions, MaterialiseOptions, OpenOptions, Repository, Result, Selection};
use serde_json::json;

use super::arguments::{Ingest, Init};
use super::output::{Outcome, bytes, json_line, progress};

/// How many refusals of a file are printed.
const PRINTED: usize = 5;

pub async fn init(arguments: Init, options: OpenOptions, json: bool) -> Result<Outcome> {
    let layout_options = layout_options(&arguments)?;
    if arguments.sources.is_empty() {
        return Err(Error::Invalid {
            what: "no samples".into(),
            remedy: "give GRIB files or directories that show what the cube will hold, such as yesterday's run".into(),
        });
    }
    let values = PatternValues {
        times: layout_options.times.clone(),
        steps: layout_options.steps.clone(),
        members: layout_options.members.clone(),
    };
    let (mut samples, left_out) = sample(&arguments.sources, &values, &options).await?;
    if let Some(file) = &arguments.layout {
        keep_variables(&mut samples, file)?;
    }
    let repository = create_or_open(&arguments.repository, options).await?;
    create_cube(&repository, &samples, &left_out, &layout_options, json).await?;
    Ok(if left_out.is_empty() { Outcome::All } else { Outcome::Part })
}

/// An empty repository, if there is none; one that is there may have no cube yet.
async fn create_or_open(path: &Path, options: OpenOptions) -> Result<Repository> {
    if path.join("repo").exists() {
        Repository::open(path, options).await
    } else {
        Repository::create(path, options).await
    }
}

async fn create_cube(
    repository: &Repository,
    samples: &[SampleField],
    left_out: &[String],
    options: &LayoutOptions,
    json: bool,
) -> Result<()> {
    let (layout, snapshot) = gribchunk::init(repository, samples, options).await?;
    let mut groups = Vec::new();
    for (path, group) in &layout.groups {
        let slots: u64 = group.variables.values().map(|v| group.expected_slots(v)).sum();
        groups.push(json!({
            "group": path, "variables": group.variables.keys().collect::<Vec<_>>(),
            "times": group.times.len(), "steps": group.steps.len(), "members": group.members.len(),
            "gridType": group.grid_type, "expectedSlots": slots,
        }));
        if !json {
            let members =
                if group.members.is_empty() { String::new() } else { format!(" x {} members", group.members.len()) };
            let name = if path.is_empty() { "/".to_string() } else { format!("/{path}") };
            println!(
                "{name}: {} variables, {} times x {} steps{members}, {slots} expected slots, grid {} {:?}",
                group.variables.len(),
                group.times.len(),
                group.steps.len(),
                group.grid_type,
                group.grid_shape,
            );
            if let Some(note) = group.grid.as_ref().and_then(|g| g.coordinates_note()) {
                eprintln!("gribchunk: {name}: {note}");
            }
        }
    }
    for reason in left_out {
        eprintln!("gribchunk: left out: {reason}");
    }
    if json {
        json_line(&json!({
            "repository": repository.location(), "snapshot": snapshot, "groups": groups, "leftOut": left_out,
        }))
    } else {
        println!("allocated in snapshot {snapshot}");
        Ok(())
    }
}

fn layout_options(arguments: &Init) -> Result<LayoutOptions> {
    let (mut all, mut cycles) = (None, Vec::new());
    for steps in &arguments.steps {
        let (hours, steps) = cycle_steps(steps)?;
        match hours {
            Some(hours) => cycles.push(CycleSteps { hours, steps }),
            None => all.get_or_insert_with(Vec::new).extend(steps),
        }
    }
    if let Some(control) = arguments.control.as_deref().filter(|c| c.split('/').count() != 2) {
        return Err(Error::Invalid {
            what: format!("--control {control}"),
            remedy: "write stream/type, as oper/fc".into(),
        });
    }
    let members = arguments.members.as_deref().map(gribchunk::selection::parse_members);
    Ok(LayoutOptions {
        times: arguments.times.as_deref().map(times).transpose()?,
        steps: all,
        cycles,
        members: members.transpose().map_err(selection)?,
        control: arguments.control.clone(),
        select: arguments.select.as_deref().map(Selection::parse).transpose().map_err(selection)?,
        group: arguments.group.clone(),
        home: None,
        level_dimensions: arguments.level_dimension.clone(),
    })
}

/// `00/12z=0:144:3,150:360:6` or, for all cycles, `0:144:3`.
fn cycle_steps(text: &str) -> Result<(Option<Vec<u8>>, Vec<i64>)> {
    let (hours, steps) = match text.split_once('=') {
        Some((hours, steps)) => (Some(hours), steps),
        None => (None, text),
    };
    let bad = || Error::Invalid { what: format!("--steps {text}"), remedy: "write hours as 00/12z=0:144:3".into() };
    let hours = hours.map(|hours| {
        let hours = hours.trim_end_matches(['z', 'Z']).split('/').map(|h| h.parse::<u8>().ok().filter(|h| *h < 24));
        hours.collect::<Option<Vec<u8>>>().ok_or_else(bad)
    });
    Ok((hours.transpose()?, gribchunk::selection::parse_steps(steps).map_err(selection)?))
}

/// Leaves only samples of the variables that a printed layout names.
fn keep_variables(samples: &mut Vec<SampleField>, file: &Path) -> Result<()> {
    let bad = |reason: String| Error::Invalid { what: format!("the layout {}", file.display()), remedy: reason };
    let text = std::fs::read_to_string(file).map_err(|e| bad(e.to_string()))?;
    let layout: serde_json::Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let groups = layout["groups"].as_object().ok_or_else(|| bad("it has no groups: use `show --layout`".into()))?;
    let wanted: Vec<&String> =
        groups.values().filter_map(|g| g["variables"].as_object()).flat_map(|v| v.keys()).collect();
    samples.retain(|sample| {
        gribchunk::cube::select::variable_names(&sample.key).iter().any(|name| wanted.contains(&name))
    });
    Ok(())
}

fn times(text: &str) -> Result<Vec<i64>> {
    gribchunk::selection::parse_times(text).map_err(selection)
}

pub fn selection(error: gribchunk::selection::SelectionError) -> Error {
    Error::Invalid { what: error.to_string(), remedy: "see `gribchunk help` for the selection language".into() }
}

pub async fn allocate(
    path: &Path,
    sources: &[String],
    new: Option<&str>,
    options: OpenOptions,
    json: bool,
) -> Result<Outcome> {
    if new.is_none() && sources.is_empty() {
        return Err(Error::Invalid {
            what: "nothing to allocate".into(),
            remedy: "give --times 2026112106, or samples of what is new".into(),
        });
    }
    let times = new.map(times).transpose()?;
    let sample_options = options.clone();
    let repository = Repository::open(path, options).await?;
    let (extension, snapshot) = if sources.is_empty() {
        gribchunk::allocate(&repository, &times.unwrap_or_default()).await?
    } else {
        let values = PatternValues { times: times.clone(), ..Default::default() };
        let (samples, left_out) = sample(sources, &values, &sample_options).await?;
        for reason in &left_out {
            eprintln!("gribchunk: left out: {reason}");
        }
        let layout_options = LayoutOptions { times, ..Default::default() };
        gribchunk::allocate_from(&repository, &samples, &layout_options).await?
    };
    for reason in &extension.refused {
        eprintln!("gribchunk: {reason}");
    }
    if json {
        json_line(&json!({"added": extension, "snapshot": snapshot}))?;
    } else {
        match &snapshot {
            Some(snapshot) => println!(
                "{} times, {} steps, {} members, {} levels and {} variables added in snapshot {snapshot}",
                extension.times,
                extension.steps,
                extension.members,
                extension.levels,
                extension.variables.len()
            ),
            None => println!("nothing to do: all of this is there already"),
        }
    }
    Ok(if extension.refused.is_empty() { Outcome::All } else { Outcome::Part })
}

pub async fn ingest(arguments: Ingest, options: OpenOptions, json: bool) -> Result<Outcome> {
    let materialise = arguments.materialise.as_deref().map(Selection::parse).transpose().map_err(selection)?;
    let pattern_times = arguments.times.as_deref().map(times).transpose()?;
    let is_there = arguments.repository.join("repo").exists();
    let repository = if arguments.create && !is_there {
        let values = PatternValues { times: pattern_times.clone(), ..Default::default() };
        let (samples, left_out) = sample(&arguments.sources, &values, &options).await?;
        let repository = Repository::create(&arguments.repository, options).await?;
        if json {
            gribchunk::init(&repository, &samples, &LayoutOptions::default()).await?;
        } else {
            create_cube(&repository, &samples, &left_out, &LayoutOptions::default(), false).await?;
        }
        repository
    } else {
        Repository::open(&arguments.repository, options).await?
    };
    let ingest_options = IngestOptions {
        materialise,
        on_conflict: arguments.on_conflict.into(),
        commit_each: arguments.commit_each,
        new_times: arguments.new_times.into(),
        unverified: arguments.unverified,
    };
    let values = pattern_values(&repository, pattern_times).await?;
    let inputs = references::find(&arguments.sources, repository.access(), &values).await?;
    if arguments.dry_run {
        return dry_run(&inputs, json);
    }
    let bar = progress(inputs.files.len() as u64, json);
    let report = gribchunk::ingest::ingest_inputs(&repository, inputs, &ingest_options, |file| {
        bar.inc(1);
        if !json {
            bar.suspend(|| print_file(file));
        }
    })
    .await?;
    bar.finish_and_clear();
    let outcome = match (report.is_complete(), report.brought_anything()) {
        (true, _) => Outcome::All,
        (false, true) => Outcome::Part,
        (false, false) => Outcome::Nothing,
    };
    if json {
        let mut value = serde_json::to_value(&report).unwrap_or_default();
        if let Some(object) = value.as_object_mut() {
            object.insert("placed".into(), json!(report.placed()));
            object.insert("materialised".into(), json!(report.materialised()));
            object.insert("refused".into(), json!(report.refused()));
            object.insert("complete".into(), json!(report.is_complete()));
        }
        json_line(&value)?;
    } else {
        println!(
            "{} fields of {} files placed, {} of them materialised, {} refused; {} commits",
            report.placed(),
            report.files.len(),
            report.materialised(),
            report.refused(),
            report.snapshots.len()
        );
    }
    Ok(outcome)
}

/// Samples of sources, reached as the user says.
async fn sample(
    sources: &[String],
    values: &PatternValues,
    options: &OpenOptions,
) -> Result<(Vec<SampleField>, Vec<String>)> {
    let access = Access::load(None, &options.allow, Remote::new(&options.remote)?)?;
    let inputs = references::find(sources, &access, values).await?;
    gribchunk::ingest::sample_inputs(inputs, access.remote()).await
}

/// What patterns stand for: the times that were given or the cube's last, and the steps and members of the cube.
async fn pattern_values(repository: &Repository, times: Option<Vec<i64>>) -> Result<PatternValues> {
    let snapshot = repository.snapshot(&gribchunk::Reference::default()).await?;
    let groups = || snapshot.layout().groups.values();
    let sorted = |mut steps: Vec<i64>| {
        steps.sort_unstable();
        steps.dedup();
        (!steps.is_empty()).then_some(steps)
    };
    let mut members: Vec<u32> = groups().flat_map(|g| g.members.iter().copied()).collect();
    members.sort_unstable();
    members.dedup();
    Ok(PatternValues {
        times: times.or_else(|| groups().filter_map(|g| g.times.iter().max()).max().map(|&time| vec![time])),
        steps: sorted(groups().flat_map(|g| g.steps.iter().copied()).collect()),
        members: (!members.is_empty()).then_some(members),
    })
}

fn dry_run(inputs: &Inputs, json: bool) -> Result<Outcome> {
    if !json {
        inputs.lists.iter().for_each(print_file);
    }
    for input in &inputs.files {
        let file = &input.file;
        let (index, reads) = match &file.sidecar {
            Some(Sidecar::At(index)) => (Some(index.to_string()), "its index, and headers of samples"),
            Some(Sidecar::Unknown) => (None, "its index if there is one, or all headers"),
            None => (None, "all headers"),
        };
        let size = file.listed.as_ref().map(|info| info.size);
        let name = file.location.to_string();
        if json {
            json_line(&json!({"url": name, "exists": true, "size": size, "index": index}))?;
        } else {
            println!("{name}: {}would read {reads}", size.map(|s| format!("{}, ", bytes(s))).unwrap_or_default());
        }
    }
    for name in &inputs.not_there {
        if json {
            json_line(&json!({"url": name, "exists": false}))?;
        } else {
            println!("{name}: not there");
        }
    }
    if !json {
        println!("{} files are there, {} are not; nothing was changed", inputs.files.len(), inputs.not_there.len());
    }
    Ok(if inputs.not_there.is_empty() { Outcome::All } else { Outcome::Part })
}

pub fn print_file(file: &FileReport) {
    let name = file.url.rsplit('/').next().unwrap_or(&file.url);
    if let Some(error) = &file.error {
        eprintln!("gribchunk: {error}");
        return;
    }
    let mut notes = Vec::new();
    let mut note = |count: u64, text: &str| {
        if count > 0 {
            notes.push(format!("{count} {text}"));
        }
    };
    note(file.materialised, "materialised");
    note(file.kept, "kept as they were");
    note(file.not_selected, "not selected");
    note(file.duplicates, "identical duplicates");
    note(file.refused.len() as u64, "refused");
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    if let Some(references) = file.references {
        println!("{name}: {references} references{notes}");
    } else if file.unchanged {
        println!("{name}: unchanged{notes}");
    } else {
        println!("{name}: {} fields{notes}", file.placed);
    }
    for refused in file.refused.iter().take(PRINTED) {
        let field = if refused.field.is_empty() { String::new() } else { format!("{}: ", refused.field) };
        let place = if file.references.is_some() { String::new() } else { format!(" at byte {}", refused.offset) };
        eprintln!("gribchunk: {name}{place}: {field}{}", refused.reason);
    }
    if file.refused.len() > PRINTED {
        eprintln!("gribchunk: {name}: {} more, see `gribchunk coverage --failed`", file.refused.len() - PRINTED);
    }
    for warning in file.warnings.iter().take(PRINTED) {
        eprintln!("gribchunk: {name}: {warning}");
    }
}

pub async fn materialise(
    path: &Path,
    select: Option<&str>,
    batch: Option<usize>,
    options: OpenOptions,
    json: bool,
) -> Result<Outcome> {
    let select = select.map(Selection::parse).transpose().map_err(selection)?;
    let repository = Repository::open(path, options).await?;
    let report = gribchunk::materialise(&repository, &MaterialiseOptions { select, batch }).await?;
    if json {
        json_line(&report)?;
    } else {
        println!(
            "{} slots materialised, {} stored, in {} commits",
            report.materialised,
            bytes(report.bytes),
            report.snapshots.len()
        );
        for failed in &report.failed {
            eprintln!("gribchunk: {}: {}", failed.field, failed.reason);
        }
    }
    Ok(match (report.failed.is_empty(), report.materialised) {
        (true, _) => Outcome::All,
        (false, 0) => Outcome::Nothing,
        (false, _) => Outcome::Part,
    })
}
