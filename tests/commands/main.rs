//! The commands that look after a repository: tag, check, diff, explain, finalise, reset, and the short forms of show and
//! coverage. One module a command; each runs the command itself, with `--json` where programs would.

mod check;
mod diff;
mod explain;
mod finalise;
mod place;
mod reset;
mod summary;
mod tag;
