//! Our values beside those of gribberish, a decoder of other authors, wherever that agrees with ecCodes.

use std::collections::BTreeMap;

use super::tests::{fixtures, hash, shared_fields};
use super::*;
use crate::grib::packing::test_walk::fields;

/// gribberish takes minutes for all of the large fields without optimisation.
const MOST_POINTS: usize = 120_000;

/// How gribberish compares for one field of which our values are ecCodes'.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Verdict {
    /// The same float32 values, bit for bit.
    Same,
    /// But for the rounding of its arithmetic in float32.
    Close,
    /// An error, or a panic.
    None,
    /// Other values or another number of them.
    Differs,
}

fn theirs(message: &[u8]) -> Option<Vec<f64>> {
    std::panic::catch_unwind(|| gribberish::message::read_message(message, 0)?.data().ok()).ok().flatten()
}

fn compare(ours: &[f64], theirs: Option<Vec<f64>>, keys: &PackingKeys) -> Verdict {
    let Some(theirs) = theirs else { return Verdict::None };
    let single = |values: &[f64]| hash(&values.iter().map(|value| *value as f32).collect::<Vec<_>>());
    if single(ours) == single(&theirs) {
        return Verdict::Same;
    }
    let reference = keys.reference_value.abs() * 10f64.powi(-keys.decimal_scale_factor);
    let close = |(a, b): (&f64, &f64)| {
        (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(reference)
    };
    if ours.len() == theirs.len() && ours.iter().zip(&theirs).all(close) { Verdict::Close } else { Verdict::Differs }
}

#[test]
fn gribberish_agrees_where_it_agrees_with_eccodes() {
    let mut verdicts: BTreeMap<(String, Verdict), Vec<String>> = BTreeMap::new();
    let mut add = |label: &str, message: &[u8], points: usize| {
        let found = fields(message);
        let sections = found[0].sections();
        let mut ours = vec![0f64; points];
        if decode(&sections, points, &mut ours).is_err() {
            return;
        }
        let keys = Packing::from_sections(&sections).unwrap().keys().clone();
        let verdict = compare(&ours, theirs(message), &keys);
        verdicts.entry((keys.packing_type, verdict)).or_default().push(label.to_owned());
    };
    for (expected, message) in fixtures() {
        add(expected["label"].as_str().unwrap(), &message, expected["count"].as_u64().unwrap() as usize);
    }
    for (label, message, expected) in shared_fields() {
        let points = expected["values"]["count"].as_u64().unwrap() as usize;
        if points <= MOST_POINTS {
            add(&label, &message, points);
        }
    }
    for (kind, labels) in &verdicts {
        println!("{kind:?}: {} {:?}", labels.len(), &labels[..labels.len().min(400)]);
    }
}
