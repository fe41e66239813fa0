//! Templates and generated references: the part of Jinja that the specification shows, with bounds.
//!
//! `{{name}}`, `{{name(c='text')}}` and whole-number arithmetic such as `{{(i + 1) * 1000}}`. A template's own text sees
//! only the arguments it is called with, so templates cannot call each other and nothing repeats itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::index::references::{Collector, ReferencesError};

/// References that all `gen` entries of a list may make.
const GENERATED_LIMIT: u64 = 2_000_000;
/// Bytes of a rendered text.
const LONGEST: usize = 16 << 10;
/// Nesting of parentheses.
const DEEPEST: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Templates(BTreeMap<String, String>);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Number(i64),
    Text(String),
}

pub(super) type Variables<'a> = [(&'a str, Operand)];

impl Templates {
    pub fn read(value: &Value) -> Result<Self, ReferencesError> {
        let bad = |what: String| Err(ReferencesError::NotReferences(format!("kerchunk references whose {what}")));
        let templates = match value {
            Value::Null => return Ok(Self::default()),
            Value::Object(templates) => templates,
            _ => return bad("`templates` is no object".into()),
        };
        let mut read = BTreeMap::new();
        for (name, text) in templates {
            match text {
                Value::String(text) if text.len() <= LONGEST => drop(read.insert(name.clone(), text.clone())),
                Value::String(text) => return bad(format!("template {name} has {} bytes", text.len())),
                _ => return bad(format!("template {name} is no text")),
            }
        }
        Ok(Self(read))
    }

    /// A text with its `{{..}}` replaced.
    pub fn render(&self, text: &str, variables: &Variables<'_>) -> Result<String, String> {
        self.render_in(text, variables, true)
    }

    fn render_in(&self, text: &str, variables: &Variables<'_>, outermost: bool) -> Result<String, String> {
        let mut rendered = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (expression, after) = after.split_once("}}").ok_or("a template without its end }}")?;
            rendered.push_str(before);
            let templates = outermost.then_some(self);
            match Expression::new(expression, templates, variables).whole()? {
                Operand::Number(number) => rendered.push_str(&number.to_string()),
                Operand::Text(text) => rendered.push_str(&text),
            }
            rest = after;
            if rendered.len() > LONGEST {
                break;
            }
        }
        rendered.push_str(rest);
        if rendered.len() > LONGEST {
            return Err(format!("a template makes a text of more than {LONGEST} bytes"));
        }
        Ok(rendered)
    }

    /// Makes the references of `gen`.
    pub fn generate(&self, generators: &[Value], collector: &mut Collector) -> Result<(), ReferencesError> {
        let mut left = GENERATED_LIMIT;
        for (number, generator) in generators.iter().enumerate() {
            let name = format!("gen[{number}]");
            let dimensions = match dimensions(generator.get("dimensions").unwrap_or(&Value::Null)) {
                Ok(dimensions) => dimensions,
                Err(reason) => {
                    collector.problem(&name, reason);
                    continue;
                }
            };
            let count = dimensions.iter().try_fold(1u64, |n, (_, values)| n.checked_mul(values.len()));
            left = count.and_then(|count| left.checked_sub(count)).ok_or_else(|| ReferencesError::TooMany {
                what: format!("{name}: references that its dimensions make"),
                limit: GENERATED_LIMIT,
            })?;
            self.generate_one(generator, &dimensions, &name, count.unwrap_or(0), collector)?;
        }
        Ok(())
    }

    fn generate_one(
        &self,
        generator: &Value,
        dimensions: &[(String, Dimension)],
        name: &str,
        count: u64,
        collector: &mut Collector,
    ) -> Result<(), ReferencesError> {
        let text = |field: &str| match generator.get(field) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let (Some(key), Some(url)) = (text("key"), text("url")) else {
            collector.problem(name, "no key or no url");
            return Ok(());
        };
        let range = [text("offset"), text("length")];
        for position in 0..count {
            let mut variables = Vec::with_capacity(dimensions.len());
            let mut rest = position;
            for (name, values) in dimensions.iter().rev() {
                let length = values.len().max(1);
                variables.push((name.as_str(), values.at(rest % length)));
                rest /= length;
            }
            let render = |text: &str| self.render(text, &variables);
            let made = || -> Result<(String, Value), String> {
                let mut parts = vec![Value::String(render(&url)?)];
                if let [Some(offset), Some(length)] = &range {
                    parts.extend([Value::String(render(offset)?), Value::String(render(length)?)]);
                }
                Ok((render(&key)?, Value::Array(parts)))
            };
            match made() {
                Ok((key, value)) => collector.value(&key, value)?,
                Err(reason) => {
                    // The same text fails for every position.
                    collector.problem(name, reason);
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The values that one name of a generator takes.
enum Dimension {
    Range { start: i64, step: i64, count: u64 },
    List(Vec<Operand>),
}

impl Dimension {
    fn len(&self) -> u64 {
        match self {
            Self::Range { count, .. } => *count,
            Self::List(values) => values.len() as u64,
        }
    }

    fn at(&self, position: u64) -> Operand {
        match self {
            Self::Range { start, step, .. } => {
                Operand::Number(start.saturating_add(step.saturating_mul(i64::try_from(position).unwrap_or(i64::MAX))))
            }
            Self::List(values) => {
                usize::try_from(position).ok().and_then(|p| values.get(p).cloned()).unwrap_or(Operand::Number(0))
            }
        }
    }
}

fn dimensions(value: &Value) -> Result<Vec<(String, Dimension)>, String> {
    let empty = Map::new();
    let dimensions = match value {
        Value::Null => &empty,
        Value::Object(dimensions) => dimensions,
        _ => return Err("`dimensions` is no object".into()),
    };
    dimensions.iter().map(|(name, value)| Ok((name.clone(), dimension(name, value)?))).collect()
}

fn dimension(name: &str, value: &Value) -> Result<Dimension, String> {
    if let Value::Array(values) = value {
        let operand = |value: &Value| match value {
            Value::Number(number) => number.as_i64().map(Operand::Number),
            Value::String(text) => Some(Operand::Text(text.clone())),
            _ => None,
        };
        let values = values.iter().map(operand).collect::<Option<Vec<_>>>();
        return Ok(Dimension::List(values.ok_or(format!("dimension {name} has values that are no numbers or texts"))?));
    }
    let number = |field: &str, default: Option<i64>| match value.get(field) {
        None => default,
        Some(value) => value.as_i64(),
    };
    let (start, stop, step) = (number("start", Some(0)), number("stop", None), number("step", Some(1)));
    let (Some(start), Some(stop), Some(step @ 1..)) = (start, stop, step) else {
        return Err(format!("dimension {name} is neither a list nor start, stop and step (of 1 or more)"));
    };
    let span = i128::from(stop) - i128::from(start);
    let count = if span <= 0 { 0 } else { (span + i128::from(step) - 1) / i128::from(step) };
    Ok(Dimension::Range { start, step, count: u64::try_from(count).unwrap_or(u64::MAX) })
}

/// What stands between `{{` and `}}`.
struct Expression<'a> {
    text: &'a str,
    rest: &'a str,
    templates: Option<&'a Templates>,
    variables: &'a Variables<'a>,
}

impl<'a> Expression<'a> {
    fn new(text: &'a str, templates: Option<&'a Templates>, variables: &'a Variables<'a>) -> Self {
        Self { text, rest: text, templates, variables }
    }

    fn whole(mut self) -> Result<Operand, String> {
        let value = self.sum(0)?;
        self.rest = self.rest.trim_start();
        if self.rest.is_empty() { Ok(value) } else { Err(self.unknown()) }
    }

    fn unknown(&self) -> String {
        let text: String = self.text.chars().take(60).collect();
        format!("the template expression {{{{{text}}}}} is not understood")
    }

    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn sum(&mut self, depth: usize) -> Result<Operand, String> {
        let mut value = self.product(depth)?;
        loop {
            value = if self.take("+") {
                let other = self.product(depth)?;
                self.arithmetic(value, other, i64::checked_add)?
            } else if self.take("-") {
                let other = self.product(depth)?;
                self.arithmetic(value, other, i64::checked_sub)?
            } else {
                return Ok(value);
            };
        }
    }

    fn product(&mut self, depth: usize) -> Result<Operand, String> {
        let mut value = self.atom(depth)?;
        loop {
            value = if self.take("*") {
                let other = self.atom(depth)?;
                self.arithmetic(value, other, i64::checked_mul)?
            } else if self.take("//") {
                let other = self.atom(depth)?;
                self.arithmetic(value, other, i64::checked_div_euclid)?
            } else if self.take("%") {
                let other = self.atom(depth)?;
                self.arithmetic(value, other, i64::checked_rem_euclid)?
            } else {
                return Ok(value);
            };
        }
    }

    fn arithmetic(
        &self,
        left: Operand,
        right: Operand,
        operation: impl Fn(i64, i64) -> Option<i64>,
    ) -> Result<Operand, String> {
        match (left, right) {
            (Operand::Number(left), Operand::Number(right)) => {
                operation(left, right).map(Operand::Number).ok_or_else(|| format!("{}: out of range", self.text.trim()))
            }
            _ => Err(self.unknown()),
        }
    }

    fn atom(&mut self, depth: usize) -> Result<Operand, String> {
        if depth > DEEPEST {
            return Err("a template expression is nested too deeply".into());
        }
        if self.take("(") {
            let value = self.sum(depth + 1)?;
            return if self.take(")") { Ok(value) } else { Err(self.unknown()) };
        }
        for quote in ["'", "\""] {
            if self.take(quote) {
                let (text, rest) = self.rest.split_once(quote).ok_or_else(|| self.unknown())?;
                self.rest = rest;
                return Ok(Operand::Text(text.to_string()));
            }
        }
        let word = self.word();
        if word.is_empty() {
            return Err(self.unknown());
        }
        if word.bytes().all(|b| b.is_ascii_digit()) {
            return word.parse().map(Operand::Number).map_err(|_| self.unknown());
        }
        if let Some((_, value)) = self.variables.iter().find(|(name, _)| *name == word) {
            return Ok(value.clone());
        }
        let templates = self.templates.ok_or_else(|| format!("the template name {word} is not there"))?;
        let text = templates.0.get(word).ok_or_else(|| format!("the template name {word} is not there"))?;
        if self.take("(") {
            let arguments = self.arguments(depth)?;
            let arguments: Vec<(&str, Operand)> = arguments.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
            return templates.render_in(text, &arguments, false).map(Operand::Text);
        }
        Ok(Operand::Text(text.clone()))
    }

    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn arguments(&mut self, depth: usize) -> Result<Vec<(String, Operand)>, String> {
        let mut arguments = Vec::new();
        while !self.take(")") {
            let name = self.word().to_string();
            if name.is_empty() || !self.take("=") {
                return Err(self.unknown());
            }
            arguments.push((name, self.sum(depth + 1)?));
            if !self.take(",") && !self.rest.trim_start().starts_with(')') {
                return Err(self.unknown());
            }
        }
        Ok(arguments)
    }
}
