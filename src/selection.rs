//! The selection language, one for the command line and for Python.
//!
//! `variable=t2m/tp,time=2026112100,step=0:48,number=0:50,isobaricInhPa=700,latitude=23:-12,longitude=21:53`
//!
//! Keys are dimensions, `variable` or ecCodes keys. `/` lists values; `from:to` and `from:to:stride` are ranges that include
//! both ends, and either end may be left out. Steps are hours unless suffixed (`15m`, `6h`, `2d`, `30s`). Times are
//! `YYYYMMDD[HH[MM[SS]]]`, ISO date-times (UTC), `latest` or `latest-complete`. A latitude range may run in either
//! direction, a longitude range may wrap. `2026-11-21T06:12` is twelve past six; an hour without minutes before a range's colon
//! is written `2026112106:...`.
//!
//! ```
//! # use gribchunk::selection::{Bounds, Selection};
//! let selection = Selection::parse("variable=t2m/tp,step=0:144:3,latitude=23:-12")?;
//! let steps = selection.get("step").unwrap()[0].seconds()?;
//! assert_eq!(steps, Bounds::Range { from: Some(0), to: Some(144 * 3600), stride: Some(3 * 3600) });
//! assert!(steps.contains(&(6 * 3600)) && !steps.contains(&(7 * 3600)));
//! assert_eq!(selection.to_string(), "variable=t2m/tp,step=0:144:3,latitude=23:-12");
//! # Ok::<(), gribchunk::selection::SelectionError>(())
//! ```
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lists;
mod scalar;
#[cfg(test)]
mod tests;

use std::fmt;

pub use lists::{parse_members, parse_steps, parse_times};
pub use scalar::{Bounds, Scalar, TimePoint, parse_time};

/// What to take: for each key the terms of which one must hold. A key that is not named is not restricted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// Keys in the order they were written, each once, each with at least one term.
    pub terms: Vec<(String, Vec<Term>)>,
}

/// One of the `/`-separated alternatives of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// One value.
    Value(Scalar),
    /// Both ends included; None: open.
    Range {
        /// The first.
        from: Option<Scalar>,
        /// The last.
        to: Option<Scalar>,
        /// Every how many.
        stride: Option<Scalar>,
    },
}

/// What is wrong with a selection, where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("selection, character {}: {what} ({remedy})", .position + 1)]
pub struct SelectionError {
    /// Byte in the text, from 0.
    pub position: usize,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub remedy: &'static str,
}

/// How the values of a key are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Step,
    Time,
    Member,
    Degrees,
    /// Names: no ranges.
    Text,
    /// A level, or an ecCodes key of unknown type: ranges are of numbers.
    Any,
}

impl Kind {
    fn of(key: &str) -> Kind {
        match key {
            "step" | "startStep" | "endStep" => Kind::Step,
            "time" | "valid_time" => Kind::Time,
            "number" | "perturbationNumber" => Kind::Member,
            "latitude" | "longitude" => Kind::Degrees,
            "variable" | "shortName" | "typeOfLevel" | "stepType" | "stepRange" | "gridType" | "centre" => Kind::Text,
            _ => Kind::Any,
        }
    }
}

impl Selection {
    /// Reads a selection. The empty text selects everything.
    ///
    /// Values of `step`, `time`, `valid_time`, `number`, `latitude` and `longitude` are checked here, so that the typed
    /// accessors of their terms do not fail.
    pub fn parse(text: &str) -> Result<Selection, SelectionError> {
        let mut selection = Selection::default();
        if text.trim().is_empty() {
            return Ok(selection);
        }
        for (position, part) in pieces(text, 0, ',') {
            if part.is_empty() {
                return Err(error(position, "an empty term".into(), "write key=value, separated by single commas"));
            }
            let Some((key, values)) = part.split_once('=') else {
                return Err(error(position, format!("{part:?} has no ="), "write key=value, as in step=0:48"));
            };
            let values_position = position + key.len() + 1;
            let key = key.trim();
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
            if key.is_empty() || !key.chars().all(plain) {
                let remedy = "a key is a dimension, variable or an ecCodes key";
                return Err(error(position, format!("{key:?} is not a key"), remedy));
            }
            if selection.get(key).is_some() {
                let remedy = "name a key once and list its values with /";
                return Err(error(position, format!("{key} is named twice"), remedy));
            }
            let kind = Kind::of(key);
            let terms = pieces(values, values_position, '/').map(|(position, text)| term(kind, key, position, text));
            selection.terms.push((key.to_owned(), terms.collect::<Result<_, _>>()?));
        }
        Ok(selection)
    }

    /// The terms of a key, None when the selection does not restrict it.
    pub fn get(&self, key: &str) -> Option<&[Term]> {
        self.terms.iter().find(|(name, _)| name == key).map(|(_, terms)| terms.as_slice())
    }

    /// Whether nothing is restricted.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The keys in the order they were written.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().map(|(key, _)| key.as_str())
    }

    /// Whether a key whose values are names (`variable`, `shortName`, ...) may have this one.
    pub fn allows_text(&self, key: &str, value: &str) -> bool {
        self.get(key).is_none_or(|terms| terms.iter().any(|term| term.is_text(value)))
    }
}

impl Term {
    /// As steps or other durations, in seconds; plain numbers are hours.
    pub fn seconds(&self) -> Result<Bounds<i64>, SelectionError> {
        self.bounds(Scalar::seconds, Scalar::seconds)
    }

    /// As times. The stride of a range is in seconds.
    pub fn times(&self) -> Result<Bounds<TimePoint>, SelectionError> {
        self.bounds(Scalar::time, |stride| stride.seconds().map(TimePoint::At))
    }

    /// As whole numbers.
    pub fn numbers(&self) -> Result<Bounds<i64>, SelectionError> {
        self.bounds(Scalar::number, Scalar::number)
    }

    /// As numbers: levels, degrees.
    pub fn floats(&self) -> Result<Bounds<f64>, SelectionError> {
        self.bounds(Scalar::float, Scalar::float)
    }

    /// Whether this is the value `text`, as written.
    pub fn is_text(&self, text: &str) -> bool {
        matches!(self, Term::Value(scalar) if scalar.text() == text)
    }

    fn bounds<T>(
        &self,
        end: impl Fn(&Scalar) -> Result<T, SelectionError>,
        step: impl Fn(&Scalar) -> Result<T, SelectionError>,
    ) -> Result<Bounds<T>, SelectionError> {
        Ok(match self {
            Term::Value(scalar) => Bounds::Value(end(scalar)?),
            Term::Range { from, to, stride } => Bounds::Range {
                from: from.as_ref().map(&end).transpose()?,
                to: to.as_ref().map(&end).transpose()?,
                stride: stride.as_ref().map(step).transpose()?,
            },
        })
    }
}

impl std::str::FromStr for Selection {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        Selection::parse(text)
    }
}

/// The text that [`Selection::parse`] reads back as an equal selection.
impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, terms)) in self.terms.iter().enumerate() {
            write!(f, "{}{key}=", if index > 0 { "," } else { "" })?;
            for (index, term) in terms.iter().enumerate() {
                write!(f, "{}{term}", if index > 0 { "/" } else { "" })?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = |scalar: &Option<Scalar>| scalar.as_ref().map_or("", Scalar::text).to_owned();
        match self {
            Term::Value(scalar) => f.write_str(scalar.text()),
            Term::Range { from, to, stride: None } => write!(f, "{}:{}", end(from), end(to)),
            Term::Range { from, to, stride } => write!(f, "{}:{}:{}", end(from), end(to), end(stride)),
        }
    }
}

fn error(position: usize, what: String, remedy: &'static str) -> SelectionError {
    SelectionError { position, what, remedy }
}

/// The parts of a text between separators, without blanks around them, each with its position.
fn pieces(text: &str, start: usize, separator: char) -> impl Iterator<Item = (usize, &str)> {
    let mut position = start;
    text.split(separator).map(move |piece| {
        let here = position + (piece.len() - piece.trim_start().len());
        position += piece.len() + separator.len_utf8();
        (here, piece.trim())
    })
}

fn term(kind: Kind, key: &str, position: usize, text: &str) -> Result<Term, SelectionError> {
    if text.is_empty() {
        let remedy = "give a value, or leave the key out to select everything";
        return Err(error(position, format!("{key} has an empty value"), remedy));
    }
    if text.contains('=') {
        return Err(error(position, format!("{text:?} holds a second ="), "separate keys with commas"));
    }
    let ends = split_range(text, position);
    let term = match ends.as_slice() {
        [(position, value)] => Term::Value(Scalar::new(value, *position)),
        [from, to] => Term::Range { from: open_end(from), to: open_end(to), stride: None },
        [from, to, stride] => {
            let Some(stride) = open_end(stride) else {
                return Err(error(stride.0, format!("{key} has an empty stride"), "leave out the last colon"));
            };
            Term::Range { from: open_end(from), to: open_end(to), stride: Some(stride) }
        }
        _ => {
            let remedy = "a range is from:to or from:to:stride";
            return Err(error(position, format!("{text:?} has too many colons"), remedy));
        }
    };
    check(kind, key, position, &term)?;
    Ok(term)
}

fn open_end((position, text): &(usize, &str)) -> Option<Scalar> {
    (!text.is_empty()).then(|| Scalar::new(text, *position))
}

/// Splits at the colons that are not inside an ISO date-time.
fn split_range(text: &str, position: usize) -> Vec<(usize, &str)> {
    let mut ends = Vec::new();
    let (mut rest, mut position) = (text, position);
    loop {
        let colon = rest
            .char_indices()
            .filter(|(_, c)| *c == ':')
            .map(|(at, _)| at)
            .find(|at| !scalar::inside_date_time(rest, *at));
        let (piece, after) = match colon.and_then(|at| rest.split_at_checked(at)) {
            Some((piece, after)) => (piece, after.strip_prefix(':')),
            None => (rest, None),
        };
        ends.push((position + (piece.len() - piece.trim_start().len()), piece.trim()));
        let Some(after) = after else { return ends };
        position += piece.len() + 1;
        rest = after;
    }
}

fn check(kind: Kind, key: &str, position: usize, term: &Term) -> Result<(), SelectionError> {
    let backwards = |what: String| {
        let remedy = "put the smaller end first";
        Err(error(position, what, remedy))
    };
    match kind {
        Kind::Step => {
            let bounds = term.seconds()?;
            if bounds.is_backwards() {
                return backwards(format!("the range of {key} runs backwards"));
            }
        }
        Kind::Time => {
            if let Bounds::Range { from: Some(TimePoint::At(from)), to: Some(TimePoint::At(to)), .. } = term.times()?
                && from > to
            {
                return backwards(format!("the range of {key} runs backwards"));
            }
        }
        Kind::Member => {
            let bounds = term.numbers()?;
            if bounds.is_backwards() {
                return backwards(format!("the range of {key} runs backwards"));
            }
        }
        Kind::Degrees => {
            term.floats()?;
        }
        Kind::Text => {
            if matches!(term, Term::Range { .. }) {
                let remedy = "list the names with /";
                return Err(error(position, format!("{key} has names, which have no ranges"), remedy));
            }
        }
        Kind::Any => {
            if matches!(term, Term::Range { .. }) {
                term.floats()?;
            }
        }
    }
    if let Term::Range { stride: Some(stride), .. } = term
        && match kind {
            Kind::Step | Kind::Time => stride.seconds()? <= 0,
            _ => stride.float()? <= 0.0,
        }
    {
        return Err(error(stride.position(), "a stride that is not above 0".into(), "leave the stride out"));
    }
    Ok(())
}
