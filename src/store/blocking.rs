//! Threads of our own: for synchronous callers, and for decoding.

use std::cell::Cell;
use std::future::Future;
use std::sync::OnceLock;
use std::sync::mpsc::sync_channel;

use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};

thread_local! {
    /// Whether this thread belongs to our runtime.
    static OURS: Cell<bool> = const { Cell::new(false) };
}

/// Runs a future to its end on our runtime while this thread waits.
///
/// Safe to call from anywhere: outside of any runtime, inside another one, and inside our own.
///
/// # Errors
/// When the runtime could not be started or the future panicked.
pub fn block_on<F>(future: F) -> Result<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let (sender, receiver) = sync_channel(1);
    runtime()?.spawn(async move {
        // The receiver is gone only when the waiting thread is.
        let _ = sender.send(future.await);
    });
    let wait = || receiver.recv().map_err(|_| stopped("the task panicked"));
    if OURS.get() { tokio::task::block_in_place(wait) } else { wait() }
}

/// Runs a computation (decoding, encoding) on a thread where it may take its time.
///
/// # Errors
/// The computation's own, or when it panicked.
pub(super) async fn compute<T, F>(computation: F) -> Result<T>
where
    F: FnOnce() -> Result<T> + Send + 'static,
    T: Send + 'static,
{
    runtime()?.spawn_blocking(computation).await.map_err(|error| stopped(&error.to_string()))?
}

fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<std::result::Result<Runtime, String>> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            let workers = std::thread::available_parallelism().map_or(2, usize::from).max(2);
            Builder::new_multi_thread()
                .worker_threads(workers)
                .thread_name("gribchunk")
                .on_thread_start(|| OURS.set(true))
                .enable_all()
                .build()
                .map_err(|error| error.to_string())
        })
        .as_ref()
        .map_err(|error| stopped(error))
}

fn stopped(why: &str) -> Error {
    Error::Source { location: "threads of gribchunk".into(), reason: why.into() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn nested_waits_do_not_lock_up() {
        // More waits inside waits than there are workers.
        fn nested(depth: u32) -> u32 {
            if depth == 0 { 0 } else { block_on(async move { nested(depth - 1) + 1 }).unwrap() }
        }
        assert_eq!(nested(20), 20);
    }

    #[test]
    fn a_panic_is_an_error() {
        assert!(block_on(async { panic!("of the test") }).is_err());
        let computed: Result<()> = block_on(async { compute(|| panic!("of the test")).await }).unwrap();
        assert!(computed.is_err());
    }
}
