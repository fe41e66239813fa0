//! watch, follow, wait.

use std::path::Path;
use std::time::Duration;

use gribchunk::live::{WatchEvent, WatchOptions};
use gribchunk::{IngestOptions, OpenOptions, Reference, Repository, Result, Selection};
use serde_json::json;

use super::arguments::Watch;
use super::history::print_changes;
use super::output::{Outcome, json_line};
use super::write::{print_file, selection};

pub async fn watch(arguments: Watch, options: OpenOptions, json: bool) -> Result<Outcome> {
    let select = arguments.select.as_deref().map(Selection::parse).transpose().map_err(selection)?;
    let materialise = arguments.materialise.as_deref().map(Selection::parse).transpose().map_err(selection)?;
    let options_of_watch = WatchOptions {
        ingest: IngestOptions {
            materialise,
            on_conflict: arguments.on_conflict.into(),
            new_times: arguments.new_times.into(),
            unverified: arguments.unverified,
            ..Default::default()
        },
        settle: arguments.settle,
        max_delay: arguments.max_delay,
        interval: arguments.interval,
        until_complete: arguments.until.map(|_| select.unwrap_or_default()),
        timeout: arguments.timeout,
        once: arguments.once,
    };
    let repository = Repository::open(&arguments.repository, options).await?;
    let told = |event: &WatchEvent| {
        if json {
            // Whoever reads the events may have gone.
            let _ = json_line(event);
            return;
        }
        match event {
            WatchEvent::Watching { landings, without_events } => {
                eprintln!("gribchunk: watching {}", landings.join(", "));
                if let Some(reason) = without_events {
                    eprintln!(
                        "gribchunk: the file system tells nothing ({reason}): directories are listed now and then"
                    );
                }
            }
            WatchEvent::Committed { snapshot, files, seconds } => {
                files.iter().for_each(print_file);
                if let Some(snapshot) = snapshot {
                    println!("visible in snapshot {snapshot} after {:.0} ms", seconds * 1e3);
                }
            }
            WatchEvent::Failed { error, retry_seconds } => {
                eprintln!("gribchunk: {error}; tried again in {retry_seconds:.1} s");
            }
            _ => {}
        }
    };
    let summary = gribchunk::live::watch(&repository, &arguments.landings, &options_of_watch, told).await?;
    if json {
        json_line(&json!({"event": "ended", "summary": summary}))?;
    } else {
        println!(
            "{} fields of {} files in {} commits; {} files with faults",
            summary.fields, summary.files, summary.commits, summary.bad_files
        );
        if let (Some(false), Some(slots)) = (summary.complete, summary.slots) {
            println!(
                "not complete: {} slots are missing, {} failed, of {}",
                slots.missing, slots.failed, slots.expected
            );
        }
    }
    Ok(match summary.complete {
        Some(false) if summary.fields == 0 => Outcome::Nothing,
        Some(false) => Outcome::Part,
        _ if summary.bad_files > 0 => Outcome::Part,
        _ => Outcome::All,
    })
}

pub async fn follow(
    path: &Path,
    since: Option<&str>,
    timeout: Option<Duration>,
    count: Option<u64>,
    options: OpenOptions,
    json: bool,
) -> Result<Outcome> {
    let repository = Repository::open(path, options).await?;
    let mut follower = match since {
        Some(since) => repository.follow_since("main", &Reference::from(since)).await?,
        None => repository.follow("main").await?,
    };
    let mut told = 0;
    while count.is_none_or(|count| told < count) {
        let Some(change) = follower.next(timeout).await? else { break };
        told += 1;
        if json {
            json_line(&change)?;
            continue;
        }
        println!("{} {} {}", change.entry.id, change.entry.time, change.entry.message);
        if change.gap {
            println!("(several commits at once: the history between was reset or is no longer there)");
        }
        print_changes(&change.diff);
    }
    Ok(if told > 0 || count == Some(0) { Outcome::All } else { Outcome::Nothing })
}

pub async fn wait(
    path: &Path,
    select: &str,
    timeout: Option<Duration>,
    options: OpenOptions,
    json: bool,
) -> Result<Outcome> {
    let select = Selection::parse(select).map_err(selection)?;
    let repository = Repository::open(path, options).await?;
    let snapshot = repository.wait_for(&select, timeout).await?;
    if json {
        json_line(&json!({"snapshot": snapshot.id(), "complete": true}))?;
    } else {
        println!("{}", snapshot.id());
    }
    Ok(Outcome::All)
}
