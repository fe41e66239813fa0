//! Columns of a flat parquet table.

use bytes::Bytes;
use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::ReferencesError;

/// Rows that are read from a column at a time.
const ROWS: usize = 8192;

/// A parquet table in memory.
pub(in crate::index) struct Table {
    reader: SerializedFileReader<Bytes>,
    names: Vec<String>,
}

/// Values of one column, `None` for null.
pub(in crate::index) enum Column {
    Bytes(Vec<Option<Bytes>>),
    Integers(Vec<Option<i64>>),
}

impl Table {
    /// Opens a table.
    pub fn open(bytes: Bytes) -> Result<Self, ReferencesError> {
        guarded(|| {
            let reader = SerializedFileReader::new(bytes).map_err(|e| ReferencesError::NotParquet(e.to_string()))?;
            let schema = reader.metadata().file_metadata().schema_descr_ptr();
            let names = schema.columns().iter().map(|c| c.path().string()).collect();
            Ok(Self { reader, names })
        })
    }

    /// Names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether all these columns are there.
    pub fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.names.iter().any(|n| n == name))
    }

    /// What the file says; not to be trusted for allocating.
    pub fn rows(&self) -> u64 {
        u64::try_from(self.reader.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// The first `limit` rows of a column, or of all its rows if they are fewer.
    pub fn column(&self, name: &str, limit: usize) -> Result<Column, ReferencesError> {
        guarded(|| {
            let unreadable = |e: parquet::errors::ParquetError| unreadable(name, &e.to_string());
            let position = self.names.iter().position(|n| n == name).ok_or_else(|| unreadable_kind(name))?;
            let schema = self.reader.metadata().file_metadata().schema_descr_ptr();
            let descriptor = schema.columns().get(position).ok_or_else(|| unreadable_kind(name))?;
            if descriptor.max_rep_level() > 0 || descriptor.max_def_level() > 1 {
                return Err(unreadable_kind(name));
            }
            let mut column = match descriptor.physical_type() {
                Type::BYTE_ARRAY => Column::Bytes(Vec::new()),
                Type::INT32 | Type::INT64 => Column::Integers(Vec::new()),
                _ => return Err(unreadable_kind(name)),
            };
            for group in 0..self.reader.num_row_groups() {
                let wanted = limit.saturating_sub(column.len());
                if wanted == 0 {
                    break;
                }
                let group = self.reader.get_row_group(group).map_err(unreadable)?;
                let reader = group.get_column_reader(position).map_err(unreadable)?;
                match (reader, &mut column) {
                    (ColumnReader::ByteArrayColumnReader(reader), Column::Bytes(values)) => {
                        read::<ByteArrayType, _>(reader, wanted, values, |v| v.data().to_vec().into())
                            .map_err(unreadable)?;
                    }
                    (ColumnReader::Int64ColumnReader(reader), Column::Integers(values)) => {
                        read::<Int64Type, _>(reader, wanted, values, |v| *v).map_err(unreadable)?;
                    }
                    (ColumnReader::Int32ColumnReader(reader), Column::Integers(values)) => {
                        read::<Int32Type, _>(reader, wanted, values, |v| i64::from(*v)).map_err(unreadable)?;
                    }
                    _ => return Err(unreadable_kind(name)),
                }
            }
            Ok(column)
        })
    }

    /// A column of bytes or text.
    pub fn bytes(&self, name: &str, limit: usize) -> Result<Vec<Option<Bytes>>, ReferencesError> {
        match self.column(name, limit)? {
            Column::Bytes(values) => Ok(values),
            Column::Integers(_) => Err(unreadable(name, "numbers where text or bytes belong")),
        }
    }

    /// A column of whole numbers.
    pub fn integers(&self, name: &str, limit: usize) -> Result<Vec<Option<i64>>, ReferencesError> {
        match self.column(name, limit)? {
            Column::Integers(values) => Ok(values),
            Column::Bytes(_) => Err(unreadable(name, "text or bytes where numbers belong")),
        }
    }
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(values) => values.len(),
            Self::Integers(values) => values.len(),
        }
    }
}

fn read<T: DataType, V>(
    mut reader: ColumnReaderImpl<T>,
    mut wanted: usize,
    into: &mut Vec<Option<V>>,
    convert: impl Fn(&T::T) -> V,
) -> parquet::errors::Result<()> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    while wanted > 0 {
        values.clear();
        levels.clear();
        let (records, ..) = reader.read_records(wanted.min(ROWS), Some(&mut levels), None, &mut values)?;
        if records == 0 {
            break;
        }
        // A required column has no levels.
        let mut present = values.iter();
        if levels.is_empty() {
            into.extend(present.map(|v| Some(convert(v))));
        } else {
            into.extend(levels.iter().map(|level| if *level > 0 { present.next().map(&convert) } else { None }));
        }
        wanted = wanted.saturating_sub(records);
    }
    Ok(())
}

fn unreadable(name: &str, reason: &str) -> ReferencesError {
    ReferencesError::NotParquet(format!("column {name}: {reason}"))
}

fn unreadable_kind(name: &str) -> ReferencesError {
    unreadable(name, "of a kind that lists of references do not have")
}

/// Damaged files make the parquet reader panic in some places; here that is an error.
fn guarded<T>(work: impl FnOnce() -> Result<T, ReferencesError>) -> Result<T, ReferencesError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(ReferencesError::NotParquet("it is damaged".into())))
}
