//! Names of parameters and levels, as ecCodes gives them.
//!
//! A GRIB message identifies its parameter by numbers of several sections. ecCodes keeps lists of conditions on these
//! numbers, general ones and for each centre, and gives the name whose conditions hold; where several do, the name with
//! most conditions. `parameters.tsv` is that list as data (made by `tools/make_names.py`), and this module evaluates it:
//! [`parameter`] for shortName, paramId, name, units, cfVarName and cfName, [`type_of_level`] for typeOfLevel.
//!
//! One thing differs from ecCodes 2.50: DWD's GRIB 2 list has about fifty paramIds without a shortName. Where ecCodes
//! gives such a paramId with the shortName of another entry, this module gives that entry's own paramId.
//!
//! The table is read once, at first use, in a few milliseconds; look-ups do not allocate.
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod implied;
mod key;
mod message;
mod table;

#[cfg(test)]
mod tests;

pub use implied::{implied_statistic, implied_type_of_level};
pub use key::{Key, KeySource, MISSING};
use message::Message;
use table::{Table, table};

/// Names of a parameter as ecCodes gives them.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ParameterNames {
    /// ecCodes paramId; 0 where ecCodes has only a name.
    pub param_id: u32,
    /// ecCodes shortName ("2t").
    pub short_name: &'static str,
    pub name: &'static str,
    pub units: &'static str,
    /// ecCodes cfVarName ("t2m").
    pub cf_var_name: &'static str,
    /// CF standard_name, "" when unknown.
    pub cf_name: &'static str,
}

/// The parameter of a message of GRIB `edition` 1 or 2, `None` where ecCodes says "unknown". `centre` and `sub_centre`
/// are codes of the common table C-11 (C-1 in GRIB 1).
pub fn parameter(
    edition: u8,
    centre: u16,
    sub_centre: u16,
    source: &impl KeySource,
) -> Option<&'static ParameterNames> {
    let table = table();
    Message::new(table, edition, centre, sub_centre, source)?.parameter()
}

/// ecCodes typeOfLevel of a message ("isobaricInhPa"), `None` where ecCodes says "unknown".
pub fn type_of_level(edition: u8, centre: u16, sub_centre: u16, source: &impl KeySource) -> Option<&'static str> {
    let table = table();
    Message::new(table, edition, centre, sub_centre, source)?.type_of_level()
}

/// ecCodes' abbreviation of an originating centre: 98 is "ecmf". `None` where ecCodes has only the number.
pub fn centre(code: u16) -> Option<&'static str> {
    Table::by_code(&table().centres, code)
}

/// MARS class of an ECMWF local section: 1 is "od".
pub fn mars_class(code: u16) -> Option<&'static str> {
    Table::by_code(&table().classes, code)
}

/// MARS stream of an ECMWF local section: 1025 is "oper".
pub fn mars_stream(code: u16) -> Option<&'static str> {
    Table::by_code(&table().streams, code)
}

/// MARS type of an ECMWF local section: 11 is "pf".
pub fn mars_type(code: u16) -> Option<&'static str> {
    Table::by_code(&table().types, code)
}

/// The parameter with this paramId, with the CF names it has in messages of ECMWF.
pub fn by_param_id(param_id: u32) -> Option<&'static ParameterNames> {
    table().by_param_id(param_id)
}

/// The parameter with this shortName, as in ECMWF's index files. Where ecCodes' general list and ECMWF's share a name,
/// the smaller paramId: "tp" is 228 (in m), not 228228. Names of other centres come after these.
pub fn by_short_name(short_name: &str) -> Option<&'static ParameterNames> {
    table().by_short_name(short_name)
}
