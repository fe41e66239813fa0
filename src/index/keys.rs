//! What a line says about its field.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The keys of one index line.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The words, shared between lines.
    pub text: Arc<LineText>,
    /// Reference time, seconds since 1970-01-01T00:00:00Z.
    pub time: Option<i64>,
    /// End of the step, seconds after `time`. None: the line has none, or none in fixed units (months).
    pub step: Option<i64>,
    /// Start of the window, seconds after `time`; None for an instant and where the line does not say (ECMWF).
    pub step_start: Option<i64>,
    /// What the step says of the values.
    pub step_kind: StepKind,
    /// A level that is a whole number of hPa (ECMWF `pl`, NOAA `N mb`) or of a model level (ECMWF `ml`). Any other level
    /// is only in [`LineText::level`].
    pub level: Option<u32>,
    /// Ensemble member, the control is 0. None for a deterministic forecast or an ensemble product.
    pub number: Option<u32>,
}

/// How a line says that values are made from the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// Values at the step.
    Instant,
    /// Summed over an interval.
    Accumulation,
    /// Averaged over an interval.
    Average,
    /// The largest of an interval.
    Maximum,
    /// The smallest of an interval.
    Minimum,
    /// The line does not say (all ECMWF lines), or says something else (its words are then in [`LineText::variant`]).
    Unknown,
}

/// What a line says about the ensemble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Product {
    /// Nothing, or that it is deterministic (`fc`, `an`).
    Forecast,
    /// `cf`, `ENS=low-res ctl`.
    Control,
    /// `pf`, `ENS=+1`.
    Member,
    /// `em`, `ens mean`.
    Mean,
    /// `es`, `ens spread`, `ens std dev`.
    Spread,
    /// `ep`, `prob >0.254`.
    Probability,
    /// `10% level`.
    Percentile,
    /// Another product of the whole ensemble (`min all members`, ...).
    Other,
}

/// The numbers in `var discipline=0 center=7 local_table=1 parmcat=16 parm=201`; -1 where a number is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnknownParameter {
    /// Code table 0.0.
    pub discipline: i32,
    /// Common code table C-11.
    pub centre: i32,
    /// Version of the master tables.
    pub master_table: i32,
    /// Version of the local tables.
    pub local_table: i32,
    /// Code table 4.1.
    pub category: i32,
    /// Code table 4.2.
    pub number: i32,
}

/// The words of a line, everything that is text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LineText {
    /// ECMWF short name (`2t`), NCEP abbreviation (`TMP`) or a name of the index's own (`2_m_temperature`).
    pub param: Box<str>,
    /// ECMWF: `levtype`, and `levelist` behind a blank where that is not in [`Keys::level`]. NOAA: the level's text, but `mb`
    /// where the number is in [`Keys::level`].
    pub level: Box<str>,
    /// What kind of product it is.
    pub product: Product,
    /// MARS `class`, empty when not said; so are the next four.
    pub class: Box<str>,
    /// MARS `stream`.
    pub stream: Box<str>,
    /// MARS `type`.
    pub kind: Box<str>,
    /// MARS `expver`.
    pub expver: Box<str>,
    /// MARS `model`.
    pub model: Box<str>,
    /// Whatever else the line says that may tell fields apart, as it says it.
    pub variant: Box<str>,
    /// The numbers of a parameter that the index has no name for.
    pub unknown_parameter: Option<UnknownParameter>,
    /// `param` is an ECMWF short name.
    pub param_is_short_name: bool,
}

impl Keys {
    /// Whether the line is of a product of the whole ensemble (mean, spread, probability, percentile).
    pub fn is_ensemble_product(&self) -> bool {
        !matches!(self.text.product, Product::Forecast | Product::Control | Product::Member)
    }

    /// The level in words: `500 mb`, `2 m above ground`, `pl 500`, `sfc`.
    pub fn level_text(&self) -> String {
        match (self.level, &*self.text.level) {
            (Some(level), "mb") => format!("{level} mb"),
            (Some(level), levtype) => format!("{levtype} {level}"),
            (None, text) => text.to_owned(),
        }
    }
}

/// The same words, borrowed from a line.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    pub param: &'a [u8],
    pub level: &'a [u8],
    pub product: Product,
    pub class: &'a [u8],
    pub stream: &'a [u8],
    pub kind: &'a [u8],
    pub expver: &'a [u8],
    pub model: &'a [u8],
    pub variant: &'a [u8],
    pub unknown_parameter: Option<UnknownParameter>,
    pub param_is_short_name: bool,
}

impl Words<'_> {
    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let Words { param, level, class, stream, kind, expver, model, variant, .. } = self;
        (param, level, class, stream, kind, expver, model, variant).hash(&mut hasher);
        (self.product, self.unknown_parameter, self.param_is_short_name).hash(&mut hasher);
        hasher.finish()
    }

    fn equal(&self, text: &LineText) -> bool {
        // Words are short: a loop beats a call of memcmp for each.
        let same = |a: &[u8], b: &str| a.len() == b.len() && a.iter().zip(b.as_bytes()).all(|(a, b)| a == b);
        same(self.param, &text.param)
            && same(self.level, &text.level)
            && self.product == text.product
            && same(self.kind, &text.kind)
            && same(self.class, &text.class)
            && same(self.stream, &text.stream)
            && same(self.expver, &text.expver)
            && same(self.model, &text.model)
            && same(self.variant, &text.variant)
            && self.unknown_parameter == text.unknown_parameter
            && self.param_is_short_name == text.param_is_short_name
    }

    fn owned(&self) -> Option<LineText> {
        let text = |bytes| std::str::from_utf8(bytes).ok().map(Box::<str>::from);
        Some(LineText {
            param: text(self.param)?,
            level: text(self.level)?,
            product: self.product,
            class: text(self.class)?,
            stream: text(self.stream)?,
            kind: text(self.kind)?,
            expver: text(self.expver)?,
            model: text(self.model)?,
            variant: text(self.variant)?,
            unknown_parameter: self.unknown_parameter,
            param_is_short_name: self.param_is_short_name,
        })
    }
}

/// Keeps one copy of equal words.
#[derive(Default)]
pub(super) struct SharedText {
    last: Option<Arc<LineText>>,
    known: HashMap<u64, Vec<Arc<LineText>>>,
}

impl SharedText {
    /// None when the words are not UTF-8.
    pub fn share(&mut self, words: &Words<'_>) -> Option<Arc<LineText>> {
        if let Some(last) = self.last.as_ref().filter(|last| words.equal(last)) {
            return Some(Arc::clone(last));
        }
        let same_hash = match self.known.entry(words.hash()) {
            Entry::Occupied(slot) => slot.into_mut(),
            Entry::Vacant(slot) => slot.insert(Vec::new()),
        };
        let text = match same_hash.iter().find(|text| words.equal(text)) {
            Some(text) => Arc::clone(text),
            None => {
                let text = Arc::new(words.owned()?);
                same_hash.push(Arc::clone(&text));
                text
            }
        };
        self.last = Some(Arc::clone(&text));
        Some(text)
    }
}
