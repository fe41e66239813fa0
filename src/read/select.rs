//! A selection of an array, in coordinates.

use std::ops::Range;

use crate::cube::place::join;
use crate::cube::select::{check_keys, chosen_points, chosen_slots};
use crate::error::{Error, Result};
use crate::repository::nodes;
use crate::selection::Selection;

use super::snapshot::Snapshot;

/// What a selection took of an array.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    /// Names of the dimensions, in order.
    pub dimensions: Vec<String>,
    /// Indices into the array, dimension by dimension.
    pub indices: Vec<Vec<u64>>,
    /// C order over `indices`; missing slots and masked points are NaN.
    pub values: Vec<f32>,
}

impl Selected {
    /// Length of each dimension of the values.
    pub fn shape(&self) -> Vec<usize> {
        self.indices.iter().map(Vec::len).collect()
    }
}

impl Snapshot {
    /// Reads what a selection takes of a cube array. A dimension that is not selected is taken whole.
    pub async fn read_selection(&self, array: &str, selection: &Selection) -> Result<Selected> {
        let info = self.array(array).await?;
        let layout = std::sync::Arc::clone(self.layout());
        let Some((group, variable)) = layout.variable(&info.name) else {
            return Err(Error::invalid(format!("/{} is not an array of a cube", info.name), "read it through zarrs"));
        };
        check_keys(selection, layout.groups.values())?;
        let latest_complete = crate::inspect::latest_complete(self, selection).await?;
        let Some(slots) = chosen_slots(group, &info.name, variable, Some(selection), latest_complete) else {
            return Err(Error::invalid(
                format!("the selection {selection} takes nothing of /{}", info.name),
                "see its coordinates with `gribchunk show`",
            ));
        };
        let mut indices: Vec<Vec<u64>> =
            slots.indices.into_iter().map(|axis| axis.into_iter().map(u64::from).collect()).collect();
        let path = info.name.rsplit_once('/').map_or("", |(group, _)| group);
        for (dimension, &length) in group.grid_dimensions.iter().zip(&group.grid_shape) {
            let coordinate = nodes::coordinate_values(self.session(), &join(path, dimension)).await?;
            let values: Vec<f64> = match coordinate {
                Some(raw) => raw.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
                None => (0..length).map(|i| i as f64).collect(),
            };
            indices.push(chosen_points(selection, dimension, &values)?);
        }
        for key in ["latitude", "longitude", "y", "x", "values"] {
            if selection.get(key).is_some() && !group.grid_dimensions.iter().any(|d| d == key) {
                return Err(Error::invalid(
                    format!("{key} is not a dimension of /{}", info.name),
                    format!("its dimensions are {}", info.dimension_names.join(", ")),
                ));
            }
        }
        let values = self.read_outer(array, &indices).await?;
        Ok(Selected { dimensions: info.dimension_names.clone(), indices, values })
    }
}

impl Snapshot {
    /// All of an array that is not a cube's, as little-endian bytes in C order, with NumPy's name of the data type.
    pub async fn read_whole(&self, array: &str) -> Result<(&'static str, Vec<u8>)> {
        let whole: Vec<Range<u64>> = self.array(array).await?.shape.iter().map(|&length| 0..length).collect();
        self.read_plain(array, &whole).await
    }

    /// A region of any array with fixed-size elements, as [`Snapshot::read_whole`] gives it.
    pub async fn read_plain(&self, array: &str, region: &[Range<u64>]) -> Result<(&'static str, Vec<u8>)> {
        let info = self.array(array).await?;
        let inside = |(range, &length): (&Range<u64>, &u64)| range.start <= range.end && range.end <= length;
        if region.len() != info.shape.len() || !region.iter().zip(&info.shape).all(inside) {
            return Err(Error::invalid(
                format!("the region {region:?} of /{}", info.name),
                format!("its shape is {:?}", info.shape),
            ));
        }
        let numpy = match info.data_type.as_str() {
            "float32" => "<f4",
            "float64" => "<f8",
            "int8" => "|i1",
            "int16" => "<i2",
            "int32" => "<i4",
            "int64" => "<i8",
            "uint8" => "|u1",
            "uint16" => "<u2",
            "uint32" => "<u4",
            "uint64" => "<u8",
            "bool" => "|b1",
            other => {
                return Err(Error::invalid(
                    format!("/{} of data type {other}", info.name),
                    "read it with another tool",
                ));
            }
        };
        let store = std::sync::Arc::new(self.store(crate::store::View::Decoded));
        let context = || format!("reading /{}", info.name);
        let zarr = zarrs::array::Array::async_open(store, &format!("/{}", info.name))
            .await
            .map_err(Error::repository(context()))?;
        let subset = zarrs::array::ArraySubset::new_with_ranges(region);
        let values: zarrs::array::ArrayBytes<'_> = zarr
            .async_retrieve_array_subset(&subset)
            .await
            .map_err(|error| crate::store::array_error(error, context()))?;
        let bytes = values.into_fixed().map_err(Error::repository(context()))?;
        Ok((numpy, bytes.into_owned()))
    }
}
