//! kerchunk references as JSON, versions 0 and 1.
//!
//! Version 0 is the object of keys and values itself; version 1 is `{"version": 1, "templates": .., "gen": .., "refs": ..}`
//! (fsspec, "References specification"). A list of such objects, one for each message, is read too.

mod templates;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;

use super::references::{Collector, ReferenceList, ReferencesError};
use templates::Templates;

/// Reads references; keys that occur twice are noticed.
pub(super) fn parse(text: &[u8]) -> Result<ReferenceList, ReferencesError> {
    let text = super::without_byte_order_mark(text);
    let mut collector = Collector::default();
    match text.trim_ascii_start().first() {
        Some(b'{') => document(read(text)?, &mut collector)?,
        Some(b'[') => {
            let documents: Vec<Pairs> = read(text)?;
            for (number, pairs) in documents.into_iter().enumerate() {
                collector.prefix = format!("{number}/");
                document(pairs, &mut collector)?;
            }
            collector.prefix.clear();
        }
        Some(b'<') => return Err(ReferencesError::NotReferences("a web page or XML".into())),
        None => return Err(ReferencesError::NotReferences("an empty file".into())),
        Some(_) => return Err(ReferencesError::NotReferences("something else than JSON".into())),
    }
    Ok(collector.finish())
}

fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, ReferencesError> {
    serde_json::from_slice(text).map_err(|e| ReferencesError::NotJson(e.to_string()))
}

fn document(pairs: Pairs, collector: &mut Collector) -> Result<(), ReferencesError> {
    let get = |name: &str| pairs.0.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let (version, refs) = (get("version"), get("refs"));
    if version.is_none() && refs.is_none() {
        let looks = |(key, value): &(String, Value)| key.starts_with(".z") || key.contains("/.z") || value.is_array();
        if !pairs.0.iter().any(looks) {
            return Err(ReferencesError::NotReferences("a JSON object without `refs` and without references".into()));
        }
        for (key, value) in pairs.0 {
            collector.value(&key, value)?;
        }
        return Ok(());
    }
    if let Some(version) = version.filter(|v| v.as_u64() != Some(1) && v.as_u64() != Some(0)) {
        return Err(ReferencesError::NotReferences(format!("kerchunk references of version {version}")));
    }
    let templates = Templates::read(get("templates").unwrap_or(&Value::Null))?;
    let generated = get("gen").cloned();
    let Some((_, refs)) = pairs.0.into_iter().rfind(|(key, _)| key == "refs") else {
        return Err(ReferencesError::NotReferences("kerchunk references without `refs`".into()));
    };
    let refs: Pairs = match refs {
        Value::Object(_) => Pairs::of(refs),
        _ => return Err(ReferencesError::NotReferences("JSON whose `refs` is no object".into())),
    };
    for (key, value) in refs.0 {
        match rendered(value, &templates) {
            Ok(value) => collector.value(&key, value)?,
            Err(reason) => collector.problem(&key, reason),
        }
    }
    match generated {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(generators)) => templates.generate(&generators, collector),
        Some(_) => {
            collector.problem("gen", "not a list");
            Ok(())
        }
    }
}

/// A value with the templates put into its URL.
fn rendered(mut value: Value, templates: &Templates) -> Result<Value, String> {
    if let Value::Array(parts) = &mut value
        && let Some(Value::String(url)) = parts.first_mut()
        && url.contains("{{")
    {
        *url = templates.render(url, &[])?;
    }
    Ok(value)
}

/// An object's keys and values in order, repeated keys included.
struct Pairs(Vec<(String, Value)>);

/// Where a repeated key of a nested object is kept: a space cannot begin a key of a Zarr store.
const REPEATED: &str = " repeated";

impl Pairs {
    fn of(value: Value) -> Self {
        let Value::Object(object) = value else { return Self(Vec::new()) };
        let mut pairs = Vec::with_capacity(object.len());
        for (key, value) in object {
            match value {
                Value::Array(repeated) if key == REPEATED => {
                    let again = repeated.into_iter().filter_map(|pair| match pair {
                        Value::Array(pair) => match <[Value; 2]>::try_from(pair) {
                            Ok([Value::String(key), value]) => Some((key, value)),
                            _ => None,
                        },
                        _ => None,
                    });
                    pairs.extend(again);
                }
                value => pairs.push((key, value)),
            }
        }
        Self(pairs)
    }
}

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of references")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if key == "refs" {
                        // Only here a repeated key hides a field.
                        let refs: Repeating = map.next_value()?;
                        pairs.push((key, refs.0));
                    } else {
                        pairs.push((key, map.next_value()?));
                    }
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(PairsVisitor)
    }
}

/// A value; if it is an object, repeated keys are under [`REPEATED`].
struct Repeating(Value);

impl<'de> Deserialize<'de> for Repeating {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RepeatingVisitor;
        impl<'de> Visitor<'de> for RepeatingVisitor {
            type Value = Repeating;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of references")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Repeating, A::Error> {
                let mut object = serde_json::Map::new();
                let mut repeated = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if object.contains_key(&key) {
                        repeated.push(Value::Array(vec![Value::String(key), value]));
                    } else {
                        object.insert(key, value);
                    }
                }
                if !repeated.is_empty() {
                    object.insert(REPEATED.into(), Value::Array(repeated));
                }
                Ok(Repeating(Value::Object(object)))
            }
        }
        deserializer.deserialize_map(RepeatingVisitor)
    }
}
