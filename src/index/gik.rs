//! References in one parquet table: `[key, value]` in three dialects, and kerchunk's index tables.
//!
//! | columns | value |
//! | --- | --- |
//! | `key`, `value` | JSON `["url", offset, length]`, metadata, text or `base64:..` |
//! | `key`, `reference` (the key may be the index) | the same |
//! | `key`, `value`, two rows `refs` and `version` | a Python dictionary as `str()` writes it |
//! | `uri`, `offset`, `length` and names | one row for each message |

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::references::table::Table;
use super::references::{Collector, NotCarriedKind, REFERENCE_LIMIT, ReferenceList, ReferencesError, python_literal};

const WANTED: &str = "key and value, key and reference, or uri, offset and length";

/// Reads a table.
pub(super) fn parse(bytes: Bytes) -> Result<ReferenceList, ReferencesError> {
    let table = Table::open(bytes)?;
    if table.rows() > REFERENCE_LIMIT as u64 {
        return Err(ReferencesError::TooMany { what: "rows".into(), limit: REFERENCE_LIMIT as u64 });
    }
    let mut collector = Collector::default();
    let keys = ["key", "__index_level_0__"].into_iter().find(|name| table.has(&[name]));
    let values = ["value", "reference"].into_iter().find(|name| table.has(&[name]));
    match (keys, values) {
        (Some(keys), Some(values)) => pairs(&table, keys, values, &mut collector)?,
        _ if table.has(&["uri", "offset", "length"]) => index_table(&table, &mut collector)?,
        _ if table.has(&["path", "offset", "size"]) => {
            let what = "one file of kerchunk's parquet references; give the directory that holds .zmetadata";
            return Err(ReferencesError::NotReferences(what.into()));
        }
        _ => return Err(ReferencesError::WrongColumns { found: table.names().join(", "), wanted: WANTED }),
    }
    Ok(collector.finish())
}

fn pairs(table: &Table, keys: &str, values: &str, collector: &mut Collector) -> Result<(), ReferencesError> {
    let (keys, values) = (table.bytes(keys, REFERENCE_LIMIT)?, table.bytes(values, REFERENCE_LIMIT)?);
    let nested = keys.len() <= 3 && keys.iter().flatten().any(|key| key.as_ref() == b"refs");
    for (row, (key, value)) in keys.into_iter().zip(values).enumerate() {
        let Some(key) = key.as_deref().and_then(|key| std::str::from_utf8(key).ok()) else {
            collector.problem(&format!("row {row}"), "no key, or one that is not UTF-8");
            continue;
        };
        let Some(value) = value else {
            collector.problem(key, "no value");
            continue;
        };
        match (nested, key) {
            (true, "refs") => {
                let pairs = python_literal::dictionary(&value)
                    .or_else(|reason| json_pairs(&value).ok_or(reason))
                    .map_err(|reason| {
                        ReferencesError::NotReferences(format!("a table whose `refs` is no dictionary: {reason}"))
                    })?;
                for (key, value) in pairs {
                    collector.value(&key, value)?;
                }
            }
            (true, _) => {}
            (false, key) => one_value(key, &value, collector)?,
        }
    }
    Ok(())
}

/// JSON where it is JSON, otherwise the bytes themselves.
fn one_value(key: &str, value: &[u8], collector: &mut Collector) -> Result<(), ReferencesError> {
    let looks_like_json = matches!(value.trim_ascii_start().first(), Some(b'[' | b'{' | b'"'));
    match serde_json::from_slice(value) {
        Ok(json @ (Value::Array(_) | Value::Object(_) | Value::String(_))) if looks_like_json => {
            collector.value(key, json)?;
        }
        _ => match std::str::from_utf8(value) {
            Ok(text) if text.starts_with("base64:") => collector.value(key, Value::String(text.into()))?,
            _ => collector.inline(key, value.to_vec()),
        },
    }
    Ok(())
}

fn json_pairs(text: &[u8]) -> Option<Vec<(String, Value)>> {
    let object: serde_json::Map<String, Value> = serde_json::from_slice(text).ok()?;
    Some(object.into_iter().collect())
}

fn index_table(table: &Table, collector: &mut Collector) -> Result<(), ReferencesError> {
    let limit = REFERENCE_LIMIT;
    let urls = table.bytes("uri", limit)?;
    let (offsets, lengths) = (table.integers("offset", limit)?, table.integers("length", limit)?);
    let mut names = Vec::new();
    for name in ["varname", "stepType", "typeOfLevel"] {
        if table.has(&[name]) {
            names.push(table.bytes(name, limit)?);
        }
    }
    let mut inline: BTreeMap<String, u64> = BTreeMap::new();
    for (row, (url, (offset, length))) in urls.into_iter().zip(offsets.into_iter().zip(lengths)).enumerate() {
        let mut parts: Vec<String> = Vec::new();
        for column in &names {
            let name = column.get(row).and_then(|name| name.as_deref()).unwrap_or(b"");
            parts.push(String::from_utf8_lossy(name).into_owned());
        }
        let array = if parts.is_empty() { "row".to_string() } else { parts.join("/") };
        let key = format!("{array}/{row}");
        let place = url.as_deref().and_then(|url| std::str::from_utf8(url).ok());
        match (place, offset.map(u64::try_from), length.map(u64::try_from)) {
            (Some(url), Some(Ok(offset)), Some(Ok(length @ 1..))) => {
                collector.reference(&key, url, offset, Some(length))?
            }
            // The value itself stands in another column.
            (None, ..) => *inline.entry(array).or_insert(0) += 1,
            _ => collector.problem(&key, "offset and length are not bytes of a message"),
        }
    }
    for (array, count) in inline {
        collector.leave_out(&array, NotCarriedKind::InlineData, count);
    }
    Ok(())
}
