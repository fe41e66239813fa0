//! What a parameter's definition says beyond the quantity: its type of level, its statistic.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::key::{Key, KeySource};
use super::table::{Table, Term, table};

/// What all definitions of a parameter have in common.
#[derive(Debug, Clone, Copy, Default)]
struct Implied {
    type_of_level: Option<&'static str>,
    statistic: Option<i64>,
}

/// ecCodes typeOfLevel that every GRIB 2 definition of a parameter asks for: 137 (tcwv) is of the entire atmosphere,
/// 130 (t) of no level in particular.
pub fn implied_type_of_level(param_id: u32) -> Option<&'static str> {
    implied().get(&param_id).and_then(|implied| implied.type_of_level)
}

/// The statistic (code table 4.10) that every GRIB 2 definition of a parameter asks for: 228 (tp) is an accumulation (1),
/// 167 (2t) may be anything.
pub fn implied_statistic(param_id: u32) -> Option<u8> {
    implied().get(&param_id).and_then(|implied| u8::try_from(implied.statistic?).ok())
}

fn implied() -> &'static HashMap<u32, Implied> {
    static IMPLIED: OnceLock<HashMap<u32, Implied>> = OnceLock::new();
    IMPLIED.get_or_init(|| collect(table()))
}

fn collect(table: &Table) -> HashMap<u32, Implied> {
    let mut all: HashMap<u32, Implied> = HashMap::new();
    for (param_id, conditions) in table.current_definitions() {
        let value =
            |wanted: Key| conditions.iter().find(|(term, _)| *term == Term::Key(wanted)).map(|&(_, value)| value);
        let type_of_level = value(Key::TypeOfFirstFixedSurface).and_then(|first| {
            let second = value(Key::TypeOfSecondFixedSurface).unwrap_or(255);
            super::type_of_level(2, 98, 0, &Surfaces { first, second })
        });
        let statistic = value(Key::TypeOfStatisticalProcessing);
        let this = Implied { type_of_level, statistic };
        all.entry(param_id)
            .and_modify(|implied| {
                if implied.type_of_level != this.type_of_level {
                    implied.type_of_level = None;
                }
                if implied.statistic != this.statistic {
                    implied.statistic = None;
                }
            })
            .or_insert(this);
    }
    all
}

/// A message of which only the surfaces are known.
struct Surfaces {
    first: i64,
    second: i64,
}

impl KeySource for Surfaces {
    fn get(&self, key: Key) -> Option<i64> {
        match key {
            Key::TypeOfFirstFixedSurface => Some(self.first),
            Key::TypeOfSecondFixedSurface => Some(self.second),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_say_where_and_how() {
        assert_eq!(implied_type_of_level(137), Some("entireAtmosphere"), "tcwv");
        assert_eq!(implied_type_of_level(167), Some("heightAboveGround"), "2t");
        assert_eq!(implied_type_of_level(130), None, "t");
        assert_eq!(implied_statistic(228), Some(1), "tp");
        assert_eq!(implied_statistic(228026), Some(2), "mx2t3");
        assert_eq!(implied_statistic(130), None, "t");
    }
}
