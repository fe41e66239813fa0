//! ecCodes' choice among the rows of the table for one message.

use super::ParameterNames;
use super::key::{Key, KeySource, MISSING};
use super::table::{Bucket, Concept, Place, Row, Table, Term};

/// Code table 4.5: isobaric surface (Pa).
const ISOBARIC: i64 = 100;
/// WMO tables until this version go with the parameters of before ECMWF's migration to GRIB 2.
const LAST_TABLES_BEFORE_MIGRATION: i64 = 33;
/// MARS classes "mc" and "cr", where chemical species are not part of the parameter.
const CLASSES_WITH_CHEMICALS_APART: [i64; 2] = [19, 36];
/// Bits of the variants of the GRIB 2 lists.
const BEFORE_MIGRATION: u8 = 1;
const CURRENT: u8 = 2;
const CHEMICALS_APART: u8 = 4;
const ANY_VARIANT: u8 = 7;

pub(super) struct Message<'a, Source> {
    table: &'static Table,
    edition: u8,
    sub_centre: u16,
    source: &'a Source,
    /// The lists that are asked first: of equally many conditions the second's win.
    lists: [Option<Place>; 2],
}

impl<'a, Source: KeySource> Message<'a, Source> {
    /// `None` for an unknown edition.
    pub(super) fn new(
        table: &'static Table,
        edition: u8,
        centre: u16,
        sub_centre: u16,
        source: &'a Source,
    ) -> Option<Self> {
        let lists = [table.centre_place(centre), Some(Table::MASTER)];
        let mut message = Message { table, edition, sub_centre, source, lists };
        match edition {
            2 if table.may_be_dataset(|key| source.get(key)) => {
                let dataset = message.best_of(Concept::Dataset, Some(Table::MASTER), [0; 3], ANY_VARIANT);
                if let Some(dataset) = dataset.map(|row| row.value())
                    && !table.is_unknown_dataset(dataset)
                {
                    message.lists = [Some(Table::MASTER), table.dataset_place(dataset)];
                }
            }
            1 | 2 => {}
            _ => return None,
        }
        Some(message)
    }

    pub(super) fn parameter(&self) -> Option<&'static ParameterNames> {
        let bucket = self.parameter_bucket()?;
        let variant = if self.edition == 2 { self.variant() } else { ANY_VARIANT };
        let parameter = self.with_ecmf(Concept::Parameter, bucket, variant)?;
        // ecCodes asks ECMWF's list for a cfVarName only in GRIB 1.
        let cf_var_name = if self.edition == 2 {
            self.choice(Concept::CfVarName, bucket, ANY_VARIANT)
        } else {
            self.with_ecmf(Concept::CfVarName, bucket, ANY_VARIANT)
        };
        let cf_name = self.with_ecmf(Concept::CfName, bucket, ANY_VARIANT);
        self.table.names(parameter, cf_var_name.unwrap_or(0), cf_name.unwrap_or(0))
    }

    pub(super) fn type_of_level(&self) -> Option<&'static str> {
        let key = if self.edition == 2 { Key::TypeOfFirstFixedSurface } else { Key::IndicatorOfTypeOfLevel };
        let bucket = [self.source.get(key)?, 0, 0];
        let level = if self.edition == 2 {
            self.choice(Concept::TypeOfLevel, bucket, ANY_VARIANT)
        } else {
            self.with_ecmf(Concept::TypeOfLevel, bucket, ANY_VARIANT)
        };
        self.table.level(level?)
    }

    fn parameter_bucket(&self) -> Option<[i64; 3]> {
        let get = |key| self.source.get(key);
        if self.edition == 2 {
            Some([get(Key::Discipline)?, get(Key::ParameterCategory)?, get(Key::ParameterNumber)?])
        } else {
            Some([get(Key::Table2Version)?, get(Key::IndicatorOfParameter)?, 0])
        }
    }

    /// ecCodes MTG2Switch.
    fn variant(&self) -> u8 {
        if let Some(switch) = self.choice(Concept::Switch, [0; 3], ANY_VARIANT) {
            return if switch == 0 { BEFORE_MIGRATION } else { CURRENT };
        }
        if self.choice(Concept::ByTablesVersion, [0; 3], ANY_VARIANT) != Some(1) {
            return CURRENT;
        }
        if self.source.get(Key::TablesVersion).is_some_and(|version| version <= LAST_TABLES_BEFORE_MIGRATION) {
            return BEFORE_MIGRATION;
        }
        match self.source.get(Key::MarsClass) {
            Some(class) if CLASSES_WITH_CHEMICALS_APART.contains(&class) => CHEMICALS_APART,
            _ => CURRENT,
        }
    }

    /// The choice of the lists that are asked first, else ECMWF's own (the master list has been asked by then), else of
    /// the lists that ECMWF keeps for old messages.
    fn with_ecmf(&self, concept: Concept, bucket: [i64; 3], variant: u8) -> Option<usize> {
        if let Some(value) = self.choice(concept, bucket, variant) {
            return Some(value);
        }
        if let Some(row) = self.best_of(concept, Some(Table::ECMF), bucket, variant) {
            return Some(row.value());
        }
        let ecmf = self.best_of(concept, Some(Table::LEGACY_ECMF), bucket, ANY_VARIANT);
        let master = self.best_of(concept, Some(Table::LEGACY_MASTER), bucket, ANY_VARIANT);
        later_of_equals(ecmf, master)
    }

    fn choice(&self, concept: Concept, bucket: [i64; 3], variant: u8) -> Option<usize> {
        let [first, second] = self.lists.map(|place| self.best_of(concept, place, bucket, variant));
        later_of_equals(first, second)
    }

    fn best_of(&self, concept: Concept, place: Option<Place>, bucket: [i64; 3], variant: u8) -> Option<&'static Row> {
        // Rows are in order of precedence.
        self.table.rows(Bucket::new(self.edition, concept, place?, bucket)?).iter().find(|row| {
            row.variants & variant != 0
                && self.table.conditions(row).iter().all(|&(term, value)| self.value(term) == Some(value))
        })
    }

    fn value(&self, term: Term) -> Option<i64> {
        match term {
            Term::Key(key) => self.source.get(key),
            Term::Derived(list) => {
                let template = self.source.get(Key::ProductDefinitionTemplateNumber)?;
                Some(i64::from(self.table.derived.get(usize::from(list))?.contains(&template)))
            }
            Term::InPascal => Some(i64::from(self.is_below_one_hectopascal())),
            Term::StatisticalProcessings => {
                let first = self.source.get(Key::FirstTypeOfStatisticalProcessing)?;
                let last = self.source.get(Key::TypeOfStatisticalProcessing)?;
                let two = self.source.get(Key::NumberOfTimeRanges)? == 2;
                // Both are octets; anything else is no such pair.
                two.then(|| first.checked_mul(256)?.checked_add(last)).flatten()
            }
            Term::SubCentre => Some(i64::from(self.sub_centre)),
            Term::Always => Some(1),
        }
    }

    /// ecCodes speaks of isobaric levels in Pa where whole hPa are 0.
    fn is_below_one_hectopascal(&self) -> bool {
        let get = |key| self.source.get(key);
        let (Some(ISOBARIC), Some(value)) =
            (get(Key::TypeOfFirstFixedSurface), get(Key::ScaledValueOfFirstFixedSurface))
        else {
            return false;
        };
        let scale = get(Key::ScaleFactorOfFirstFixedSurface).unwrap_or(MISSING);
        // ecCodes stays with hPa where a number is missing or it leaves a scale factor with 0 unused.
        if value == MISSING || scale == MISSING || (value == 0 && scale != 0) {
            return false;
        }
        let scale = i32::try_from(scale.clamp(-400, 400)).unwrap_or(0);
        value as f64 * 10f64.powi(-scale) < 100.0
    }
}

fn later_of_equals(first: Option<&Row>, second: Option<&Row>) -> Option<usize> {
    match (first, second) {
        (Some(first), Some(second)) if first.weight > second.weight => Some(first.value()),
        (_, Some(second)) => Some(second.value()),
        (first, None) => first.map(|row| row.value()),
    }
}
