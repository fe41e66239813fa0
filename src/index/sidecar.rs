//! Names of sidecars.

/// Endings of GRIB files that a sidecar's name may replace.
const GRIB_ENDINGS: [&str; 6] = [".grib2", ".grib1", ".grib", ".grb2", ".grb", ".bin"];
const SIDECAR_ENDINGS: [&str; 3] = [".idx", ".index", ".inv"];

/// Where the index of a GRIB file may be, the likeliest first: `x.grib2.idx`, `x.grib2.index`, `x.index`, `x.idx`,
/// `x.grib2.inv`, `x.inv`. Paths or URLs; a query or fragment must be cut off before.
pub fn sidecar_candidates(path: &str) -> Vec<String> {
    let stem = stem(path);
    let mut candidates = Vec::new();
    for (ending, replaced) in
        [(".idx", false), (".index", true), (".index", false), (".idx", true), (".inv", false), (".inv", true)]
    {
        match (replaced, stem) {
            (false, _) => candidates.push(format!("{path}{ending}")),
            (true, Some(stem)) => candidates.push(format!("{stem}{ending}")),
            (true, None) => {}
        }
    }
    candidates
}

/// The names that the GRIB file of a sidecar may have, the likeliest first; empty when `path` does not end as sidecars do.
///
/// `x.grib2.idx` can only belong to `x.grib2`; `x.index` may belong to `x.grib2`, `x.grib`, ... or to `x` (GEFS files
/// have no ending).
pub fn grib_of_sidecar(path: &str) -> Vec<String> {
    let Some(base) = SIDECAR_ENDINGS.iter().find_map(|ending| path.strip_suffix(ending)) else { return Vec::new() };
    if base.is_empty() || base.ends_with('/') {
        return Vec::new();
    }
    if stem(base).is_some() {
        return vec![base.to_owned()];
    }
    let with_ending = GRIB_ENDINGS.iter().map(|ending| format!("{base}{ending}"));
    if path.ends_with(".index") {
        with_ending.chain([base.to_owned()]).collect()
    } else {
        std::iter::once(base.to_owned()).chain(with_ending).collect()
    }
}

/// A path without a GRIB ending, None when it has none.
fn stem(path: &str) -> Option<&str> {
    let stem = GRIB_ENDINGS.iter().find_map(|ending| path.strip_suffix(ending))?;
    (!stem.is_empty() && !stem.ends_with('/')).then_some(stem)
}
