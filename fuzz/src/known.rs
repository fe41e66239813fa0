//! Where gribberish and we differ, and why.

use gribchunk::grib::FieldSections;
use gribchunk::grib::packing::PackingKeys;

/// Whether two values are the same but for rounding.
pub fn close(ours: f64, theirs: f64, keys: &PackingKeys) -> bool {
    // gribberish computes in float32: its error grows with the reference value.
    let size = ours.abs().max(theirs.abs()).max(keys.reference_value.abs() * 10f64.powi(-keys.decimal_scale_factor));
    ours == theirs || (ours.is_nan() && theirs.is_nan()) || (ours - theirs).abs() <= 1e-5 * size
}

/// The reason why gribberish has other values for this field, if it is known.
pub fn known_difference(
    _sections: &FieldSections<'_>,
    _keys: &PackingKeys,
    _ours: &[f64],
    _theirs: &[f64],
) -> Option<&'static str> {
    None
}
