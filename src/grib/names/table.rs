//! `parameters.tsv` in memory: rows of conditions by bucket, and what they name.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::ops::Range;
use std::sync::OnceLock;

use super::ParameterNames;
use super::key::{Key, MISSING};

static TEXT: &str = include_str!("parameters.tsv");

/// The table, read at first use.
pub(super) fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    // The text is part of the program; a test holds that it parses.
    TABLE.get_or_init(|| Table::parse(TEXT).unwrap_or_default())
}

/// Index of a list of conditions: the master list, a centre's or a data set's.
pub(super) type Place = u8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Concept {
    Parameter,
    CfVarName,
    CfName,
    TypeOfLevel,
    Dataset,
    Switch,
    ByTablesVersion,
}

/// What a condition is on: a number of the message, or one that follows from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Term {
    Key(Key),
    /// The product definition template is in the list of [`Table::derived`] with this index.
    Derived(u8),
    /// 1 where a pressure is below 1 hPa, so that ecCodes speaks of Pa.
    InPascal,
    /// 256 * first + last type of statistical processing of two time ranges.
    StatisticalProcessings,
    SubCentre,
    Always,
}

/// Entries of one list that share numbers: discipline, category and number, or table and indicator, or a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket(u64);

impl Bucket {
    /// `None` for numbers that no list can have.
    pub(super) fn new(edition: u8, concept: Concept, place: Place, numbers: [i64; 3]) -> Option<Bucket> {
        let mut packed = u64::from(edition);
        packed = packed << 3 | concept as u64;
        packed = packed << 8 | u64::from(place);
        for number in numbers {
            packed = packed << 16 | u64::from(u16::try_from(number).ok()?);
        }
        Some(Bucket(packed))
    }
}

impl Bucket {
    fn edition_and_concept(self) -> (u64, u64) {
        (self.0 >> 59, self.0 >> 56 & 7)
    }

    fn place(self) -> Place {
        (self.0 >> 48 & 0xff) as Place
    }
}

impl Hash for Bucket {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// A hash of buckets. The keys are ours, not a message's, so that it need not withstand chosen keys.
#[derive(Debug, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

#[derive(Debug)]
pub(super) struct Row {
    /// Where its conditions begin, and how many there are.
    start: u32,
    count: u8,
    /// How many conditions ecCodes counts, without those of the bucket.
    pub(super) weight: u8,
    /// Bits of the variants of the list that have this row.
    pub(super) variants: u8,
    /// Index into what the concept names.
    value: u16,
}

impl Row {
    pub(super) fn value(&self) -> usize {
        usize::from(self.value)
    }
}

/// What a parameter can be: a range of [`Table::records`], one for each pair of indices of cfVarName and cfName.
type Records = Range<usize>;

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) centres: Vec<(u16, &'static str)>,
    pub(super) classes: Vec<(u16, &'static str)>,
    pub(super) streams: Vec<(u16, &'static str)>,
    pub(super) types: Vec<(u16, &'static str)>,
    /// Product definition templates of chemicals, aerosols, ...
    pub(super) derived: Vec<Vec<i64>>,
    derived_names: Vec<&'static str>,
    datasets: Vec<&'static str>,
    levels: Vec<&'static str>,
    cf_var_names: Vec<&'static str>,
    cf_names: Vec<&'static str>,
    places: Vec<&'static str>,
    parameters: Vec<Records>,
    records: Vec<ParameterNames>,
    /// Indices of cfVarName and cfName of each record.
    cf_indices: Vec<(usize, usize)>,
    conditions: Vec<(Term, i64)>,
    rows: Vec<Row>,
    buckets: HashMap<Bucket, Range<usize>, BuildHasherDefault<Mix>>,
    centre_places: HashMap<u16, Place, BuildHasherDefault<Mix>>,
    dataset_places: Vec<Option<Place>>,
    /// Conditions without which there is no data set.
    dataset_conditions: Vec<(Key, i64)>,
    by_param_id: HashMap<u32, usize>,
    by_short_name: HashMap<&'static str, usize>,
}

impl Table {
    pub(super) const MASTER: Place = 0;
    pub(super) const ECMF: Place = 1;
    /// Lists that ECMWF keeps for old messages.
    pub(super) const LEGACY_MASTER: Place = 2;
    pub(super) const LEGACY_ECMF: Place = 3;
    /// The titles of these places.
    const FIRST_PLACES: [&str; 4] = ["-", "ecmf", "legacy", "legacy:ecmf"];

    pub(super) fn by_code(codes: &[(u16, &'static str)], code: u16) -> Option<&'static str> {
        codes.binary_search_by_key(&code, |&(code, _)| code).ok().and_then(|at| codes.get(at)).map(|&(_, short)| short)
    }

    pub(super) fn by_param_id(&self, param_id: u32) -> Option<&ParameterNames> {
        self.records.get(*self.by_param_id.get(&param_id)?)
    }

    pub(super) fn by_short_name(&self, short_name: &str) -> Option<&ParameterNames> {
        self.records.get(*self.by_short_name.get(short_name)?)
    }

    /// Rows of a bucket in order of precedence.
    pub(super) fn rows(&self, bucket: Bucket) -> &[Row] {
        self.buckets.get(&bucket).and_then(|range| self.rows.get(range.clone())).unwrap_or(&[])
    }

    pub(super) fn conditions(&self, row: &Row) -> &[(Term, i64)] {
        let start = row.start as usize;
        self.conditions.get(start..start.saturating_add(usize::from(row.count))).unwrap_or(&[])
    }

    pub(super) fn level(&self, value: usize) -> Option<&'static str> {
        self.levels.get(value).copied()
    }

    /// The names of a parameter with these indices of CF names (0 is none).
    pub(super) fn names(&self, parameter: usize, cf_var_name: usize, cf_name: usize) -> Option<&ParameterNames> {
        let range = self.parameters.get(parameter)?.clone();
        let indices = self.cf_indices.get(range.clone())?;
        let at = indices.iter().position(|&pair| pair == (cf_var_name, cf_name)).unwrap_or(0);
        self.records.get(range)?.get(at)
    }

    pub(super) fn place(&self, name: &str) -> Option<Place> {
        self.places.iter().position(|&place| place == name).and_then(|at| Place::try_from(at).ok())
    }

    pub(super) fn centre_place(&self, centre: u16) -> Option<Place> {
        self.centre_places.get(&centre).copied()
    }

    pub(super) fn dataset_place(&self, dataset: usize) -> Option<Place> {
        self.dataset_places.get(dataset).copied().flatten()
    }

    /// Whether the first condition of any data set holds: quick, since for most messages none does.
    pub(super) fn may_be_dataset(&self, get: impl Fn(Key) -> Option<i64>) -> bool {
        let (class, status) = (get(Key::MarsClass), get(Key::ProductionStatusOfProcessedData));
        self.dataset_conditions.iter().any(|&(key, value)| match key {
            Key::MarsClass => class == Some(value),
            Key::ProductionStatusOfProcessedData => status == Some(value),
            _ => true,
        })
    }

    pub(super) fn is_unknown_dataset(&self, dataset: usize) -> bool {
        self.datasets.get(dataset).is_none_or(|&name| name == "unknown")
    }

    /// The GRIB 2 definitions of parameters that are not kept for old messages: paramId and conditions.
    pub(super) fn current_definitions(&self) -> impl Iterator<Item = (u32, &[(Term, i64)])> {
        let current = |bucket: &Bucket| {
            bucket.edition_and_concept() == (2, Concept::Parameter as u64)
                && ![Table::LEGACY_MASTER, Table::LEGACY_ECMF].contains(&bucket.place())
        };
        let rows = self.buckets.iter().filter(move |(bucket, _)| current(bucket));
        rows.filter_map(|(_, range)| self.rows.get(range.clone())).flatten().filter_map(|row| {
            let first = self.parameters.get(row.value())?.start;
            Some((self.records.get(first)?.param_id, self.conditions(row)))
        })
    }

    /// `None` where the text is not what `tools/make_names.py` writes.
    pub(super) fn parse(text: &'static str) -> Option<Table> {
        let mut table = Table { places: Table::FIRST_PLACES.to_vec(), ..Table::default() };
        let mut section = "";
        let mut place = None;
        let mut bucket = [0; 3];
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(title) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = title;
                place = table.add_place(title);
                continue;
            }
            let mut words = line.split('\t');
            match section {
                "centres" => table.centres.push(code(words)?),
                "classes" => table.classes.push(code(words)?),
                "streams" => table.streams.push(code(words)?),
                "types" => table.types.push(code(words)?),
                "derived" => {
                    table.derived_names.push(words.next()?);
                    table.derived.push(words.map(|word| word.parse().ok()).collect::<Option<_>>()?);
                }
                "datasets" => table.datasets.push(line),
                "levels" => table.levels.push(line),
                "cf_var_names" => table.cf_var_names.push(line),
                "cf_names" => table.cf_names.push(line),
                "parameters" => table.add_parameter(words)?,
                _ => {
                    let (edition, concept, place) = place?;
                    let head = words.next()?;
                    if !head.is_empty() {
                        bucket = numbers(head)?;
                    }
                    table.add_row(Bucket::new(edition, concept, place, bucket)?, words)?;
                }
            }
        }
        for (code, short) in &table.centres {
            if let Some(place) = table.place(short) {
                table.centre_places.insert(*code, place);
            }
        }
        table.dataset_places = table.datasets.iter().map(|name| table.place(name)).collect();
        let rows = table.rows(Bucket::new(2, Concept::Dataset, Table::MASTER, [0; 3])?);
        let conditions = rows.iter().filter_map(|row| table.conditions(row).first());
        table.dataset_conditions = conditions
            .filter_map(|&(term, value)| if let Term::Key(key) = term { Some((key, value)) } else { None })
            .collect();
        Some(table)
    }

    /// Of a title "grib2 parameter ecmf".
    fn add_place(&mut self, title: &'static str) -> Option<(u8, Concept, Place)> {
        let mut words = title.split(' ');
        let edition = words.next()?.strip_prefix("grib")?.parse().ok()?;
        let concept = match words.next()? {
            "parameter" => Concept::Parameter,
            "cfVarName" => Concept::CfVarName,
            "cfName" => Concept::CfName,
            "typeOfLevel" => Concept::TypeOfLevel,
            "dataset" => Concept::Dataset,
            "switch" => Concept::Switch,
            "byTablesVersion" => Concept::ByTablesVersion,
            _ => return None,
        };
        let name = words.next()?;
        if self.place(name).is_none() {
            self.places.push(name);
        }
        Some((edition, concept, self.place(name)?))
    }

    fn add_parameter(&mut self, mut words: std::str::Split<'static, char>) -> Option<()> {
        let param_id: u32 = words.next()?.parse().ok()?;
        let short_name = words.next()?;
        let name = words.next()?;
        let units = words.next()?;
        // A name of netCDF begins with a letter.
        let has_plain_name = short_name != "~" && !short_name.starts_with(|c: char| c.is_ascii_digit());
        let start = self.records.len();
        for pair in words.next().unwrap_or("0,0").split(' ') {
            let (var, standard) = pair.split_once(',')?;
            let (var, standard): (usize, usize) = (var.parse().ok()?, standard.parse().ok()?);
            let cf_var_name = match var {
                0 if has_plain_name => short_name,
                0 => Box::leak(format!("p{param_id}").into_boxed_str()),
                _ => self.cf_var_names.get(var)?,
            };
            let cf_name = self.cf_names.get(standard)?;
            self.records.push(ParameterNames { param_id, short_name, name, units, cf_var_name, cf_name });
            self.cf_indices.push((var, standard));
        }
        self.parameters.push(start..self.records.len());
        if param_id != 0 {
            self.by_param_id.entry(param_id).or_insert(start);
        }
        if !matches!(short_name, "" | "~") {
            self.by_short_name.entry(short_name).or_insert(start);
        }
        Some(())
    }

    fn add_row(&mut self, bucket: Bucket, mut words: std::str::Split<'static, char>) -> Option<()> {
        let variants = words.next()?.parse().ok()?;
        let value = words.next()?.parse().ok()?;
        let start = self.conditions.len();
        let mut weight = 0u8;
        for condition in words.next().unwrap_or("").split(' ').filter(|condition| !condition.is_empty()) {
            let (short, number) = condition.split_once('=')?;
            let term = self.term(short)?;
            weight = weight.checked_add(if term == Term::StatisticalProcessings { 2 } else { 1 })?;
            self.conditions.push((term, if number == "M" { MISSING } else { number.parse().ok()? }));
        }
        let at = self.rows.len();
        self.buckets.entry(bucket).or_insert(at..at).end = at + 1;
        let count = u8::try_from(self.conditions.len() - start).ok()?;
        self.rows.push(Row { start: u32::try_from(start).ok()?, count, weight, variants, value });
        Some(())
    }

    fn term(&self, short: &str) -> Option<Term> {
        if let Some(key) = Key::from_short(short) {
            return Some(Term::Key(key));
        }
        match short {
            "!pa" => Some(Term::InPascal),
            "!sp" => Some(Term::StatisticalProcessings),
            "!sub" => Some(Term::SubCentre),
            "!yes" => Some(Term::Always),
            _ => self.derived_names.iter().position(|&name| name == short).map(|at| Term::Derived(at as u8)),
        }
    }
}

fn code(mut words: std::str::Split<'static, char>) -> Option<(u16, &'static str)> {
    Some((words.next()?.parse().ok()?, words.next()?))
}

/// "0/1/8" or "105" as a bucket's numbers.
fn numbers(head: &str) -> Option<[i64; 3]> {
    let mut bucket = [0; 3];
    let mut words = head.split('/');
    for number in &mut bucket {
        if let Some(word) = words.next() {
            *number = word.parse().ok()?;
        }
    }
    words.next().is_none().then_some(bucket)
}
