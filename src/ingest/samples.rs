//! Headers that were read from one file of a product speak for the index lines of its other files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::grib::key::FieldKey;
use crate::index::{Entry, GroupKey};
use crate::source::{Location, SourceFile};

/// From so many files of a product on, one of them is scanned before the others.
const WORTH_A_FIRST: usize = 3;

/// What the files of one ingest have shown.
#[derive(Debug, Clone, Default)]
pub(super) struct SampleMemory {
    inner: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    samples: HashMap<(String, GroupKey), (Entry, FieldKey)>,
    /// Endings of sidecars, such as `.index` in the place of `.grib2`.
    sidecars: HashSet<(String, String)>,
}

impl SampleMemory {
    /// For each product with several remote files the one that is to be scanned first: that with the last step.
    pub fn first_of_each_product<'a>(&self, files: &'a [SourceFile]) -> Vec<&'a SourceFile> {
        let mut products: BTreeMap<String, (usize, &SourceFile)> = BTreeMap::new();
        for file in files {
            let Location::Remote(url) = &file.location else { continue };
            let (count, last) = products.entry(product(&url.key)).or_insert((0, file));
            *count += 1;
            if numbers(&file.location) > numbers(&last.location) {
                *last = file;
            }
        }
        products.into_values().filter(|(count, _)| *count >= WORTH_A_FIRST).map(|(_, last)| last).collect()
    }

    /// A line and its key from another file of the product that may speak for `entry`.
    pub fn sample(&self, url: &str, entry: &Entry) -> Option<(Entry, FieldKey)> {
        let product = product(url);
        let known = self.lock();
        let exact = known.samples.get(&(product.clone(), entry.group()));
        exact.or_else(|| known.samples.get(&(product, entry.later_group()))).cloned()
    }

    /// Keeps what a header said; of several the one with the longest step.
    pub fn keep(&self, url: &str, entry: &Entry, key: &FieldKey) {
        let mut known = self.lock();
        let held = known.samples.entry((product(url), entry.group())).or_insert_with(|| (entry.clone(), key.clone()));
        if key.step > held.1.step {
            *held = (entry.clone(), key.clone());
        }
    }

    /// Remembers how a product's sidecars are called.
    pub fn found_sidecar(&self, key: &str, sidecar: &str) {
        self.lock().sidecars.insert(difference(key, sidecar));
    }

    pub fn is_usual_sidecar(&self, key: &str, sidecar: &str) -> bool {
        self.lock().sidecars.contains(&difference(key, sidecar))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of a name differs from another: the rests behind what both begin with.
fn difference(key: &str, sidecar: &str) -> (String, String) {
    let common: usize = key.chars().zip(sidecar.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let rest = |text: &str| text.get(common..).unwrap_or_default().to_string();
    (rest(key), rest(sidecar))
}

/// A name without its numbers, but with resolutions such as `0p25`: the files that have it in common are steps, members
/// and cycles of one product.
fn product(name: &str) -> String {
    let mut product = String::with_capacity(name.len());
    for part in name.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let word = part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        if word.split_once('p').is_some_and(|(degrees, fraction)| digits(degrees) && digits(fraction)) {
            product.push_str(part);
            continue;
        }
        let mut in_number = false;
        for c in part.chars() {
            if !c.is_ascii_digit() {
                product.push(c);
            } else if !in_number {
                product.push('#');
            }
            in_number = c.is_ascii_digit();
        }
    }
    product
}

/// The numbers of a name in their order, so that step 9 comes before step 12.
fn numbers(location: &Location) -> Vec<u64> {
    let name = location.to_string();
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_one_product_differ_in_numbers_only() {
        let of = |day: &str, step: u32| product(&format!("{day}/00z/ifs/0p25/enfo/{day}000000-{step}h-enfo-ef.grib2"));
        assert_eq!(of("20261121", 3), of("20261122", 144));
        assert_ne!(product("gfs.t00z.pgrb2.0p25.f003"), product("gfs.t00z.pgrb2.0p50.f003"));
        assert_ne!(product("hrrr.t00z.wrfsfcf01.grib2"), product("hrrr.t00z.wrfprsf01.grib2"));
        assert_ne!(product("x/gec00.f000"), product("x/gep01.f000"));
    }

    #[test]
    fn a_sidecar_s_ending_is_remembered() {
        let memory = SampleMemory::default();
        memory.found_sidecar("a/b-3h.grib2", "a/b-3h.index");
        assert!(memory.is_usual_sidecar("c/d-6h.grib2", "c/d-6h.index"));
        assert!(!memory.is_usual_sidecar("c/d-6h.grib2", "c/d-6h.grib2.index"));
    }
}
