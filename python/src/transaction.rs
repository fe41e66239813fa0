//! Transactions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gribchunk::repository::Access;
use pyo3::prelude::*;
use serde_json::json;

use crate::errors::{exception, raise};
use crate::repository::conflict;
use crate::runtime::wait;
use crate::snapshot::view;
use crate::store::Store;

/// Changes that become visible together, or not at all.
#[pyclass(frozen, module = "gribchunk._gribchunk")]
pub struct Transaction {
    /// None when it was committed or discarded.
    inner: Mutex<Option<gribchunk::Transaction>>,
    access: Arc<Access>,
    /// Shared with the stores of the transaction.
    closed: Arc<AtomicBool>,
}

impl Transaction {
    pub fn new(inner: gribchunk::Transaction, access: Arc<Access>) -> Self {
        Self { inner: Mutex::new(Some(inner)), access, closed: Arc::default() }
    }

    fn take(&self) -> PyResult<gribchunk::Transaction> {
        self.closed.store(true, Ordering::Release);
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(closed)
    }
}

#[pymethods]
impl Transaction {
    /// The transaction as a Zarr store.
    fn store(&self, decoded: bool) -> PyResult<Store> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = inner.as_ref().ok_or_else(closed)?;
        let store = transaction.store(view(decoded), &self.access);
        Ok(Store::in_transaction(store, Arc::clone(&self.closed)))
    }

    /// Whether it was committed or discarded.
    #[getter]
    fn closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Commits; the id of the new snapshot, None when nothing was changed.
    #[pyo3(signature = (message, on_conflict="replace"))]
    fn commit(&self, py: Python<'_>, message: String, on_conflict: &str) -> PyResult<Option<String>> {
        let conflict = conflict(on_conflict)?;
        let transaction = self.take()?;
        let committed = wait(py, move || async move {
            if !transaction.has_changes().await {
                return Ok(None);
            }
            let changes = BTreeMap::from([("action".to_string(), json!("write"))]);
            transaction.commit(&message, changes, conflict).await.map(|id| Some(id.to_string()))
        })?;
        committed.map_err(exception)
    }

    /// Drops all changes.
    fn discard(&self) {
        // Discarding twice, or after a commit, changes nothing.
        drop(self.take());
    }
}

/// What a closed transaction and its stores answer.
pub fn closed() -> PyErr {
    raise("ClosedError", "the transaction was committed or discarded; start another one")
}
