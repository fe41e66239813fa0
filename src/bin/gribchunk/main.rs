//! The `gribchunk` command: parse arguments, call the library, print.

mod arguments;
mod demo;
mod get;
mod output;
mod pictures;
mod write;
mod inspect;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
use output::{Outcome, fail};

fn main() -> ExitCode {
    reset_broken_pipe();
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}"), false),
    };
    let json = arguments.json;
    let result = runtime.block_on(run(arguments));
    match result {
        Ok(Outcome::All) => ExitCode::SUCCESS,
        Ok(Outcome::Part) => ExitCode::from(3),
        Ok(Outcome::Nothing) => ExitCode::from(1),
        Err(error) => fail(&output::chain(&error), json),
    }
}

async fn run(arguments: Arguments) -> gribchunk::Result<Outcome> {
    let Arguments { json, allow, require_verified, command } = arguments;
    let mut options = gribchunk::OpenOptions::default();
    options.allow = allow;
    options.require_verified = require_verified;
    match command {
        Command::Demo { directory } => demo::demo(directory, json).await,
        Command::Scan { sources, values } => inspect::scan(&sources, values, json),
        Command::Init(init) => write::init(init, options, json).await,
        Command::Allocate { repository, sources, times } => {
            write::allocate(&repository, &sources, times.as_deref(), options, json).await
        }
        Command::Ingest(ingest) => write::ingest(ingest, options, json).await,
        Command::Materialise { repository, select, batch } => {
            write::materialise(&repository, select.as_deref(), batch, options, json).await
        }
        Command::Show { repository, at, layout } => inspect::show(&repository, &at, layout, options, json).await,
        Command::Coverage { repository, at, select, failed } => {
            inspect::coverage(&repository, &at, select.as_deref(), failed, options, json).await
        }
        Command::Log { repository, at, limit } => inspect::log(&repository, &at, limit, options, json).await,
        Command::Get(get) => get::get(get, options, json).await,
    }
}

/// `gribchunk log | head` ends quietly.
fn reset_broken_pipe() {
    // SAFETY: called before any thread is started; the default action of a signal is always a valid handler.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}
