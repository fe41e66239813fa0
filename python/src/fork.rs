//! Forks of transactions, for other processes.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use gribchunk::repository::Access;
use gribchunk::{Transaction, ingest};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{exception, invalid};
use crate::repository::{json, selection};
use crate::runtime::wait;
use crate::snapshot::{Snapshot, view};
use crate::store::Store;

/// A part of a transaction in another process.
#[pyclass(frozen, module = "gribchunk._gribchunk")]
pub struct Fork {
    /// None while a call works on it, and after one was interrupted.
    inner: Mutex<Option<Transaction>>,
    base: gribchunk::Snapshot,
    access: Arc<Access>,
    closed: Arc<AtomicBool>,
}

impl Fork {
    pub fn new(inner: Transaction, base: gribchunk::Snapshot, access: Arc<Access>) -> Self {
        Self { inner: Mutex::new(Some(inner)), base, access, closed: Arc::default() }
    }

    fn take(&self) -> PyResult<Transaction> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(busy)
    }

    fn put_back(&self, transaction: Transaction) {
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Some(transaction);
    }
}

#[pymethods]
impl Fork {
    /// The state that the fork began with.
    fn base(&self) -> Snapshot {
        Snapshot(self.base.clone())
    }

    /// The fork as a Zarr store.
    fn store(&self, decoded: bool) -> PyResult<Store> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = inner.as_ref().ok_or_else(busy)?;
        Ok(Store::in_transaction(transaction.store(view(decoded), &self.access), Arc::clone(&self.closed)))
    }

    /// Decodes virtual chunks and stores them; the report as JSON.
    #[pyo3(signature = (select=None))]
    fn materialise(&self, py: Python<'_>, select: Option<&str>) -> PyResult<String> {
        let select = select.map(selection).transpose()?;
        let (mut transaction, base) = (self.take()?, self.base.clone());
        let (transaction, report) = wait(py, move || async move {
            let report = ingest::materialise_within(&mut transaction, &base, select.as_ref()).await;
            (transaction, report)
        })?;
        self.put_back(transaction);
        json(&report.map_err(exception)?)
    }

    /// What was changed, to be merged.
    fn changes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let transaction = self.take()?;
        let (transaction, changes) = wait(py, move || async move {
            let changes = transaction.changes().await;
            (transaction, changes)
        })?;
        self.put_back(transaction);
        Ok(PyBytes::new(py, &changes.map_err(exception)?))
    }
}

fn busy() -> PyErr {
    invalid("the fork is in use by another thread, or a call was interrupted; fork the transaction again")
}
