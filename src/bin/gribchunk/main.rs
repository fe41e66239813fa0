//! The `gribchunk` command: parse arguments, call the library, print.

mod arguments;
mod demo;
mod examine;
mod get;
mod history;
mod inspect;
mod live;
mod output;
mod pictures;
mod write;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use output::{Outcome, fail};

fn main() -> ExitCode {
    ExitCode::from(command(std::env::args_os()))
}

/// Runs the command with these arguments, the first being its name, and gives the exit code. The Python package mounts
/// this file as a module, so modules here reach each other through `super`.
pub fn command(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> u8 {
    reset_broken_pipe();
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help goes to standard output. Nobody is there to be told when that is closed.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    let json = arguments.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}"), json),
    };
    match runtime.block_on(run(arguments)) {
        Ok(Outcome::All) => 0,
        Ok(Outcome::Part) => 3,
        Ok(Outcome::Nothing) => 1,
        Err(error) => fail(&output::chain(&error), json),
    }
}

async fn run(arguments: Arguments) -> gribchunk::Result<Outcome> {
    let Arguments { json, allow, require_verified, anonymous, storage_option, command } = arguments;
    let parse = |option: &String| gribchunk::source::RemoteOptions::parse_storage_option(option);
    let storage_options = storage_option.iter().map(parse).collect::<gribchunk::Result<_>>()?;
    let remote = gribchunk::source::RemoteOptions { anonymous, storage_options };
    let options = gribchunk::OpenOptions { allow, require_verified, remote, ..Default::default() };
    match command {
        Command::Demo { directory } => demo::demo(directory, json).await,
        Command::Scan { sources, values } => {
            let remote = gribchunk::source::Remote::new(&options.remote)?;
            inspect::scan(&sources, &remote, values, json).await
        }
        Command::Init(init) => write::init(init, options, json).await,
        Command::Allocate { repository, sources, times } => {
            write::allocate(&repository, &sources, times.as_deref(), options, json).await
        }
        Command::Ingest(ingest) => write::ingest(ingest, options, json).await,
        Command::Materialise { repository, select, batch } => {
            write::materialise(&repository, select.as_deref(), batch, options, json).await
        }
        Command::Show { repository, at, layout, summary } => {
            let detail = match (layout, summary) {
                (true, _) => inspect::ShowDetail::Layout,
                (false, true) => inspect::ShowDetail::Summary,
                (false, false) => inspect::ShowDetail::All,
            };
            inspect::show(&repository, &at, detail, options, json).await
        }
        Command::Coverage { repository, at, select, failed, summary } => {
            let detail = match (failed, summary) {
                (true, _) => inspect::CoverageDetail::Failed,
                (false, true) => inspect::CoverageDetail::Summary,
                (false, false) => inspect::CoverageDetail::Pictures,
            };
            inspect::coverage(&repository, &at, select.as_deref(), detail, options, json).await
        }
        Command::Log { repository, at, limit } => inspect::log(&repository, &at, limit, options, json).await,
        Command::Get(get) => get::get(get, options, json).await,
        Command::Tag { repository, name, at } => history::tag(&repository, &name, &at, options, json).await,
        Command::Check { repository, at, sources, subset } => {
            examine::check(&repository, &at, sources, subset.as_deref(), options, json).await
        }
        Command::Diff { repository, from, to } => history::diff(&repository, &from, &to, options, json).await,
        Command::Explain { repository, array, at, select } => {
            examine::explain(&repository, &array, &at, select.as_deref(), options, json).await
        }
        Command::Finalise { repository, arrays } => history::finalise(&repository, &arrays, options, json).await,
        Command::Watch(watch) => live::watch(watch, options, json).await,
        Command::Follow { repository, since, timeout, count } => {
            live::follow(&repository, since.as_deref(), timeout, count, options, json).await
        }
        Command::Wait { repository, select, timeout } => live::wait(&repository, &select, timeout, options, json).await,
        Command::Reset { repository, to, force } => history::reset(&repository, &to, force, options, json).await,
    }
}

/// `gribchunk log | head` ends quietly.
fn reset_broken_pipe() {
    // SAFETY: called before any thread is started; the default action of a signal is always a valid handler.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}
