//! What happens while a run arrives: files are followed into commits, commits are followed by readers.

mod arrivals;
mod follow;
mod watch;

pub use follow::{Change, Follower};
pub use watch::{WatchEvent, WatchOptions, WatchSummary, watch};
