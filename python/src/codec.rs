//! The codec of field arrays, for zarr-python over plain Icechunk.

use gribchunk::store::FieldArray;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffer::Bytes;
use crate::errors::{exception, invalid};

/// Decodes and encodes the chunks of one array.
#[pyclass(frozen, module = "gribchunk._gribchunk")]
pub struct FieldCodec(FieldArray);

#[pymethods]
impl FieldCodec {
    /// Of an array with this `zarr.json`.
    #[new]
    fn new(metadata: &str) -> PyResult<Self> {
        let array = FieldArray::from_metadata("/", metadata.as_bytes()).map_err(exception)?;
        array.map(Self).ok_or_else(|| invalid("the array's only codec must be gribchunk or gribberish"))
    }

    /// The values of a chunk, little-endian, from its stored bytes.
    fn decode(&self, py: Python<'_>, payload: &[u8]) -> PyResult<Bytes> {
        let elements = 0..self.0.elements();
        py.detach(|| self.0.decode("chunk", payload, elements)).map(Bytes).map_err(exception)
    }

    /// The stored bytes of a materialised chunk with these little-endian values.
    fn encode<'py>(&self, py: Python<'py>, values: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let encoded = py.detach(|| self.0.encode("chunk", values)).map_err(exception)?;
        Ok(PyBytes::new(py, &encoded))
    }
}
