//! The Zarr store's keys and values. Every call waits, or calls back when `done` is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gribchunk::store::ZarrStore;
use pyo3::IntoPyObjectExt;
use pyo3::buffer::PyBuffer;
use pyo3::prelude::*;
use zarrs_storage::byte_range::ByteRange;
use zarrs_storage::{
    AsyncListableStorageTraits, AsyncReadableStorageTraits, AsyncWritableStorageTraits, StorageError, StoreKey,
    StorePrefix,
};

use crate::buffer::Bytes;
use crate::errors::store_exception;
use crate::runtime::{spawn, wait};
use crate::transaction;

/// A Zarr store over a snapshot or a transaction.
#[pyclass(frozen, module = "gribchunk._gribchunk")]
pub struct Store {
    store: ZarrStore,
    closed: Arc<AtomicBool>,
    read_only: bool,
}

impl Store {
    pub fn new(store: ZarrStore) -> Self {
        Self { store, closed: Arc::default(), read_only: true }
    }

    pub fn in_transaction(store: ZarrStore, closed: Arc<AtomicBool>) -> Self {
        Self { store, closed, read_only: false }
    }

    fn open(&self) -> PyResult<ZarrStore> {
        if self.closed.load(Ordering::Acquire) { Err(transaction::closed()) } else { Ok(self.store.clone()) }
    }
}

type Done = Option<Py<PyAny>>;

/// Waits for a future, or has `done` called with its result.
fn run<F, T>(py: Python<'_>, done: Done, future: F) -> PyResult<Py<PyAny>>
where
    F: Future<Output = Result<T, StorageError>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    match done {
        None => wait(py, move || future)?.map_err(store_exception)?.into_py_any(py),
        Some(done) => {
            spawn(async move { future.await.map_err(store_exception) }, done)?;
            Ok(py.None())
        }
    }
}

/// A part of a value in Zarr's words.
#[derive(Clone, Copy, FromPyObject)]
enum Part {
    /// From the first byte to before the second one.
    #[pyo3(transparent)]
    Range((u64, u64)),
    /// From this byte on; the last bytes when it is negative.
    #[pyo3(transparent)]
    From(i64),
}

async fn get(store: &ZarrStore, key: &StoreKey, part: Option<Part>) -> Result<Option<Bytes>, StorageError> {
    let range = match part {
        None => ByteRange::FromStart(0, None),
        Some(part) => {
            // Zarr cuts ranges at the end of the value.
            let Some(size) = store.size_key(key).await? else { return Ok(None) };
            let (start, end) = match part {
                Part::Range((start, end)) => (start.min(size), end.min(size)),
                Part::From(start) if start < 0 => (size.saturating_sub(start.unsigned_abs()), size),
                Part::From(start) => (start.unsigned_abs().min(size), size),
            };
            ByteRange::FromStart(start, Some(end.saturating_sub(start)))
        }
    };
    Ok(store.get_partial(key, range).await?.map(Bytes))
}

fn key(text: &str) -> Result<StoreKey, StorageError> {
    StoreKey::new(text).map_err(StorageError::from)
}

fn prefix(text: &str) -> Result<StorePrefix, StorageError> {
    if text.is_empty() || text.ends_with('/') { StorePrefix::new(text) } else { StorePrefix::new(format!("{text}/")) }
        .map_err(StorageError::from)
}

#[pymethods]
impl Store {
    /// Whether writing is refused.
    #[getter]
    fn read_only(&self) -> bool {
        self.read_only
    }

    /// A value or a part of it; None when the key does not exist.
    #[pyo3(signature = (key, part=None, done=None))]
    fn get(&self, py: Python<'_>, key: &str, part: Option<Part>, done: Done) -> PyResult<Py<PyAny>> {
        let (store, key) = (self.open()?, self::key(key).map_err(store_exception)?);
        run(py, done, async move { get(&store, &key, part).await })
    }

    /// Several values or parts, in order.
    #[pyo3(signature = (requests, done=None))]
    fn get_many(&self, py: Python<'_>, requests: Vec<(String, Option<Part>)>, done: Done) -> PyResult<Py<PyAny>> {
        let store = self.open()?;
        run(py, done, async move {
            let mut values = Vec::with_capacity(requests.len());
            for (text, part) in requests {
                values.push(get(&store, &key(&text)?, part).await?);
            }
            Ok(values)
        })
    }

    /// The size of a value in bytes; None when the key does not exist.
    #[pyo3(signature = (key, done=None))]
    fn size(&self, py: Python<'_>, key: &str, done: Done) -> PyResult<Py<PyAny>> {
        let (store, key) = (self.open()?, self::key(key).map_err(store_exception)?);
        run(py, done, async move { store.size_key(&key).await })
    }

    /// The size of all values below a prefix.
    #[pyo3(signature = (prefix, done=None))]
    fn size_prefix(&self, py: Python<'_>, prefix: &str, done: Done) -> PyResult<Py<PyAny>> {
        let (store, prefix) = (self.open()?, self::prefix(prefix).map_err(store_exception)?);
        run(py, done, async move { store.size_prefix(&prefix).await })
    }

    /// Stores a value.
    #[pyo3(signature = (key, value, done=None))]
    fn set(&self, py: Python<'_>, key: &str, value: PyBuffer<u8>, done: Done) -> PyResult<Py<PyAny>> {
        let (store, key) = (self.open()?, self::key(key).map_err(store_exception)?);
        // Python may change its buffer later: this copy is what is stored.
        let value = bytes::Bytes::from(value.to_vec(py)?);
        run(py, done, async move { store.set(&key, value).await })
    }

    /// Makes a key not exist.
    #[pyo3(signature = (key, done=None))]
    fn delete(&self, py: Python<'_>, key: &str, done: Done) -> PyResult<Py<PyAny>> {
        let (store, key) = (self.open()?, self::key(key).map_err(store_exception)?);
        run(py, done, async move { store.erase(&key).await })
    }

    /// Makes all keys below a prefix not exist.
    #[pyo3(signature = (prefix, done=None))]
    fn delete_prefix(&self, py: Python<'_>, prefix: &str, done: Done) -> PyResult<Py<PyAny>> {
        let (store, prefix) = (self.open()?, self::prefix(prefix).map_err(store_exception)?);
        run(py, done, async move { store.erase_prefix(&prefix).await })
    }

    /// All keys below a prefix.
    #[pyo3(signature = (prefix, done=None))]
    fn list_prefix(&self, py: Python<'_>, prefix: &str, done: Done) -> PyResult<Py<PyAny>> {
        let (store, prefix) = (self.open()?, self::prefix(prefix).map_err(store_exception)?);
        run(py, done, async move {
            let keys = store.list_prefix(&prefix).await?;
            Ok(keys.iter().map(ToString::to_string).collect::<Vec<_>>())
        })
    }

    /// The names directly below a prefix.
    #[pyo3(signature = (prefix, done=None))]
    fn list_dir(&self, py: Python<'_>, prefix: &str, done: Done) -> PyResult<Py<PyAny>> {
        let (store, prefix) = (self.open()?, self::prefix(prefix).map_err(store_exception)?);
        run(py, done, async move {
            let found = store.list_dir(&prefix).await?;
            let name =
                |text: &str| text.strip_prefix(prefix.as_str()).unwrap_or(text).trim_end_matches('/').to_string();
            let keys = found.keys().iter().map(|key| name(key.as_str()));
            Ok(keys.chain(found.prefixes().iter().map(|prefix| name(prefix.as_str()))).collect::<Vec<_>>())
        })
    }
}
