//! A pinned snapshot: what is in it, and its values as NumPy arrays.

use std::ops::Range;

use gribchunk::store::View;
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use serde_json::json;

use crate::buffer::Bytes;
use crate::errors::exception;
use crate::repository::{json, selection};
use crate::runtime::wait;
use crate::store::Store;

/// One moment of a repository.
#[pyclass(frozen, module = "gribchunk._gribchunk")]
pub struct Snapshot(pub gribchunk::Snapshot);

type Values<'py> = Bound<'py, PyArray1<f32>>;
type Indices<'py> = PyReadonlyArray1<'py, u64>;

fn owned(indices: &[Indices<'_>]) -> Vec<Vec<u64>> {
    indices.iter().map(|axis| axis.as_array().to_vec()).collect()
}

#[pymethods]
impl Snapshot {
    /// The Icechunk snapshot id.
    #[getter]
    fn id(&self) -> String {
        self.0.id()
    }

    /// Paths of all arrays.
    fn arrays(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let snapshot = self.0.clone();
        wait(py, move || async move { snapshot.arrays().await })?.map_err(exception)
    }

    /// Paths of the groups that hold a product of the cube.
    fn groups(&self) -> Vec<String> {
        self.0.layout().groups.keys().cloned().collect()
    }

    /// All arrays directly in these groups, as JSON: path, shape, chunk shape, data type, dimensions, attributes, and
    /// whether it is an array of a cube.
    fn describe(&self, py: Python<'_>) -> PyResult<String> {
        let snapshot = self.0.clone();
        let described = wait(py, move || async move {
            let mut arrays = Vec::new();
            for name in snapshot.arrays().await? {
                let info = snapshot.array(&name).await?;
                arrays.push(json!({
                    "name": info.name, "shape": info.shape, "chunkShape": info.chunk_shape,
                    "dataType": info.data_type, "dimensions": info.dimension_names, "attributes": info.attributes,
                    "fillValue": info.metadata["fill_value"], "isCubeArray": info.is_cube_array(),
                }));
            }
            Ok(arrays)
        })?;
        json(&described.map_err(exception)?)
    }

    /// A region of a cube array, flat in C order.
    fn read<'py>(&self, py: Python<'py>, array: String, region: Vec<(u64, u64)>) -> PyResult<Values<'py>> {
        let snapshot = self.0.clone();
        let region: Vec<Range<u64>> = region.into_iter().map(|(start, end)| start..end).collect();
        let values = wait(py, move || async move { snapshot.read(&array, &region).await })?;
        Ok(values.map_err(exception)?.into_pyarray(py))
    }

    /// The values at these indices of every dimension (outer indexing), flat in C order.
    fn read_outer<'py>(&self, py: Python<'py>, array: String, indices: Vec<Indices<'py>>) -> PyResult<Values<'py>> {
        let (snapshot, indices) = (self.0.clone(), owned(&indices));
        let values = wait(py, move || async move { snapshot.read_outer(&array, &indices).await })?;
        Ok(values.map_err(exception)?.into_pyarray(py))
    }

    /// The values at points, each with one index in every dimension.
    fn read_points<'py>(&self, py: Python<'py>, array: String, indices: Vec<Indices<'py>>) -> PyResult<Values<'py>> {
        let (snapshot, indices) = (self.0.clone(), owned(&indices));
        let values = wait(py, move || async move { snapshot.read_points(&array, &indices).await })?;
        Ok(values.map_err(exception)?.into_pyarray(py))
    }

    /// What a selection takes of a cube array: dimensions, shape, values.
    fn read_selection<'py>(
        &self,
        py: Python<'py>,
        array: String,
        select: &str,
    ) -> PyResult<(Vec<String>, Vec<usize>, Values<'py>)> {
        let (snapshot, select) = (self.0.clone(), selection(select)?);
        let selected =
            wait(py, move || async move { snapshot.read_selection(&array, &select).await })?.map_err(exception)?;
        let shape = selected.shape();
        Ok((selected.dimensions, shape, selected.values.into_pyarray(py)))
    }

    /// All of an array that is not a cube's: NumPy's name of its data type, and little-endian bytes in C order.
    fn read_whole(&self, py: Python<'_>, array: String) -> PyResult<(&'static str, Bytes)> {
        let snapshot = self.0.clone();
        let (data_type, bytes) =
            wait(py, move || async move { snapshot.read_whole(&array).await })?.map_err(exception)?;
        Ok((data_type, Bytes(bytes.into())))
    }

    /// The snapshot as a Zarr store. `decoded`: arrays look as if they were not compressed.
    fn store(&self, decoded: bool) -> Store {
        Store::new(self.0.store(view(decoded)))
    }
}

pub fn view(decoded: bool) -> View {
    if decoded { View::Decoded } else { View::Stored }
}
