//! Threads that do the work while Python waits, and can be interrupted.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

/// How long Ctrl-C may go unnoticed.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// Runs the future that `make` makes on one of our threads while this one waits without the interpreter.
///
/// On Ctrl-C the future is dropped at its next await. It owns everything that it writes to.
pub fn wait<M, F>(py: Python<'_>, make: M) -> PyResult<F::Output>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future,
    F::Output: Send + 'static,
{
    let runtime = runtime()?;
    let (sender, mut receiver) = sync_channel(1);
    let (interrupt, interrupted) = tokio::sync::oneshot::channel::<()>();
    // On a thread of its own, so that the future need not be Send.
    runtime.spawn_blocking(move || {
        runtime.block_on(async move {
            tokio::select! {
                // The receiver is gone only after Ctrl-C.
                output = make() => drop(sender.send(output)),
                _ = interrupted => {}
            }
        });
    });
    loop {
        let received;
        (received, receiver) = py.detach(move || (receiver.recv_timeout(SIGNAL_INTERVAL), receiver));
        match received {
            Ok(output) => return Ok(output),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(PyRuntimeError::new_err("gribchunk stopped unexpectedly; please report this"));
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Err(signal) = py.check_signals() {
                    let _ = interrupt.send(());
                    return Err(signal);
                }
            }
        }
    }
}

/// Runs a future on our threads and calls `done(result, error)` from there.
pub fn spawn<F, T>(future: F, done: Py<PyAny>) -> PyResult<()>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    runtime()?.spawn(async move {
        let output = future.await;
        // None when the interpreter is shutting down: then nobody waits.
        Python::try_attach(|py| {
            let output = output.and_then(|value| value.into_py_any(py));
            let called = match output {
                Ok(value) => done.call1(py, (value, py.None())),
                Err(error) => done.call1(py, (py.None(), error.into_value(py))),
            };
            // The event loop was closed meanwhile: nobody waits.
            drop(called);
            drop(done);
        });
    });
    Ok(())
}

fn runtime() -> PyResult<&'static Runtime> {
    static RUNTIME: OnceLock<(u32, Result<Runtime, String>)> = OnceLock::new();
    let (process, runtime) = RUNTIME.get_or_init(|| {
        let runtime = Builder::new_multi_thread().thread_name("gribchunk-python").enable_all().build();
        (std::process::id(), runtime.map_err(|error| error.to_string()))
    });
    if *process != std::process::id() {
        // The threads stayed in the parent; waiting for them would never end.
        return Err(crate::errors::raise(
            "ForkError",
            "this process was forked after gribchunk had started its threads; start it with the method \"spawn\" or \
             \"forkserver\" (multiprocessing.set_start_method)",
        ));
    }
    runtime.as_ref().map_err(|error| PyRuntimeError::new_err(format!("cannot start threads: {error}")))
}
