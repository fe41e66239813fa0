//! Printing, for people and programs.

use std::error::Error as _;
use std::io::IsTerminal;

use serde::Serialize;

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 0: all done.
    All,
    /// 3: a part; what is missing was named.
    Part,
    /// 1: nothing.
    Nothing,
}

/// One JSON object on a line.
pub fn json_line(value: &impl Serialize) -> gribchunk::Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|e| gribchunk::Error::Invalid { what: "the result as JSON".into(), remedy: e.to_string() })?;
    println!("{text}");
    Ok(())
}

/// Prints an error and gives exit code 1. With `--json` it is an object on standard output too.
pub fn fail(message: &str, json: bool) -> u8 {
    if json {
        println!("{}", serde_json::json!({"error": message}));
    }
    eprintln!("gribchunk: {message}");
    1
}

/// An error with its causes, each said once.
pub fn chain(error: &gribchunk::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(more.trim()) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    // Icechunk's errors carry a trace of spans on lines of their own, which says nothing to a user.
    text.lines().next().unwrap_or_default().to_string()
}

/// `1.5 MB`
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A progress bar on a terminal, nothing elsewhere.
pub fn progress(length: u64, json: bool) -> indicatif::ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let style = indicatif::ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}");
    let bar = indicatif::ProgressBar::new(length);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}
