//! JSON lines: ECMWF open-data `.index`, MARS look-alikes with integers, and the offset/length/variable dialect.

use super::keys::{Keys, Product, SharedText, StepKind, Words};
use super::{Entry, IndexError, LINE_LIMIT, Lines, Reason, number, time, without_byte_order_mark};

/// Parses all lines. Lengths, overlaps and the file's size are looked at afterwards.
pub(super) fn parse(bytes: &[u8]) -> Result<Lines, IndexError> {
    let mut rest = without_byte_order_mark(bytes);
    let first_line = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let mut lines = Lines::default();
    lines.entries.reserve(rest.len() / first_line.clamp(64, 4096) + 1);
    let mut builder = Builder::default();
    let mut line = 0_u32;
    while !rest.is_empty() {
        line = line.checked_add(1).ok_or(IndexError::TooManyLines { limit: LINE_LIMIT })?;
        // The flat object of nearly every line is read in one pass; anything else goes through a JSON parser.
        let mut raw = Raw::default();
        if let Some(after) = scan(rest, &mut raw) {
            let text = rest;
            rest = after;
            match builder.entry(line, &raw) {
                Ok(entry) => lines.entries.push(entry),
                Err(reason) => lines.problem(line, first_line_of(text), reason),
            }
            continue;
        }
        let text = first_line_of(rest);
        rest = rest.get(text.len() + 1..).unwrap_or_default();
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match builder.odd_line(line, text) {
            Ok(entry) => lines.entries.push(entry),
            Err(reason) => lines.problem(line, text, reason),
        }
    }
    Ok(lines)
}

fn first_line_of(text: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', text).and_then(|end| text.get(..end)).unwrap_or(text)
}

/// A line's values as they stand there, strings without quotes.
#[derive(Default)]
struct Raw<'a> {
    offset: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    param: &'a [u8],
    /// `param` came as `variable`: not an ECMWF short name.
    own_name: bool,
    levtype: &'a [u8],
    levelist: &'a [u8],
    class: &'a [u8],
    stream: &'a [u8],
    kind: &'a [u8],
    expver: &'a [u8],
    model: &'a [u8],
    domain: &'a [u8],
    date: &'a [u8],
    time: &'a [u8],
    step: &'a [u8],
    number: &'a [u8],
    /// Keys that this module does not know.
    others: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Raw<'a> {
    fn set(&mut self, key: &'a [u8], value: &'a [u8]) {
        match packed(key) {
            OFFSET | OFFSET_PLAIN => self.offset = Some(value),
            LENGTH | LENGTH_PLAIN => self.length = Some(value),
            PARAM => self.param = value,
            VARIABLE => (self.param, self.own_name) = (value, true),
            LEVTYPE => self.levtype = value,
            LEVELIST | LEVEL => self.levelist = value,
            CLASS => self.class = value,
            STREAM => self.stream = value,
            TYPE => self.kind = value,
            EXPVER => self.expver = value,
            MODEL => self.model = value,
            DOMAIN => self.domain = value,
            DATE => self.date = value,
            TIME => self.time = value,
            STEP => self.step = value,
            NUMBER => self.number = value,
            _ => match key {
                b"lead_hours" => self.step = value,
                b"ensemble_member" => self.number = value,
                // Facts about the object, not about the field.
                b"grib_etag" | b"grib_updated_at" => {}
                _ if key.starts_with(b"_") => {}
                _ => self.others.push((key, value)),
            },
        }
    }
}

/// A key of up to eight bytes as a number (no key holds a zero byte): one comparison instead of many. 0 for longer ones.
const fn packed(key: &[u8]) -> u64 {
    let (mut packed, mut rest) = (0, key);
    if key.len() > 8 {
        return 0;
    }
    while let Some((byte, after)) = rest.split_first() {
        packed = packed << 8 | *byte as u64;
        rest = after;
    }
    packed
}

const OFFSET: u64 = packed(b"_offset");
const OFFSET_PLAIN: u64 = packed(b"offset");
const LENGTH: u64 = packed(b"_length");
const LENGTH_PLAIN: u64 = packed(b"length");
const PARAM: u64 = packed(b"param");
const VARIABLE: u64 = packed(b"variable");
const LEVTYPE: u64 = packed(b"levtype");
const LEVELIST: u64 = packed(b"levelist");
const LEVEL: u64 = packed(b"level");
const CLASS: u64 = packed(b"class");
const STREAM: u64 = packed(b"stream");
const TYPE: u64 = packed(b"type");
const EXPVER: u64 = packed(b"expver");
const MODEL: u64 = packed(b"model");
const DOMAIN: u64 = packed(b"domain");
const DATE: u64 = packed(b"date");
const TIME: u64 = packed(b"time");
const STEP: u64 = packed(b"step");
const NUMBER: u64 = packed(b"number");

/// Reads `{"key": "text", "key": 12, ...}` and the line end; returns what comes behind. None for anything else: escapes,
/// fractions, nested values, text behind the object.
fn scan<'a>(bytes: &'a [u8], raw: &mut Raw<'a>) -> Option<&'a [u8]> {
    let mut rest = bytes.strip_prefix(b"{")?;
    loop {
        let (key, after) = string(blank(rest))?;
        let after = blank(blank(after).strip_prefix(b":")?);
        let (value, after) = match after.first()? {
            b'"' => string(after)?,
            b'0'..=b'9' => after.split_at_checked(after.iter().take_while(|byte| byte.is_ascii_digit()).count())?,
            _ => return None,
        };
        raw.set(key, value);
        let after = blank(after);
        match after.split_first()? {
            (b',', after) => rest = after,
            (b'}', after) => {
                let after = blank(after);
                let after = after.strip_prefix(b"\r").unwrap_or(after);
                return if after.is_empty() { Some(after) } else { after.strip_prefix(b"\n") };
            }
            _ => return None,
        }
    }
}

fn blank(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let Some((b' ' | b'\t', after)) = rest.split_first() {
        rest = after;
    }
    rest
}

fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_prefix(b"\"")?;
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n'))?;
    let (text, after) = rest.split_at_checked(end)?;
    Some((text, after.strip_prefix(b"\"")?))
}

#[derive(Default)]
struct Builder<'a> {
    texts: SharedText,
    /// Files hold few reference times.
    last_time: Option<(&'a [u8], &'a [u8], i64)>,
    scratch: Vec<u8>,
}

impl<'a> Builder<'a> {
    fn entry(&mut self, line: u32, raw: &Raw<'a>) -> Result<Entry, Reason> {
        let time = match self.last_time {
            Some((date, time, seconds)) if date == raw.date && time == raw.time => Some(seconds),
            _ => {
                let seconds = reference_time(raw)?;
                self.last_time = seconds.map(|seconds| (raw.date, raw.time, seconds));
                seconds
            }
        };
        self.build(line, raw, time)
    }

    fn odd_line(&mut self, line: u32, text: &[u8]) -> Result<Entry, Reason> {
        let text = std::str::from_utf8(text).map_err(|_| Reason::NotText)?;
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|error| Reason::NotJson(error.to_string()))?;
        let values: Vec<(&String, String)> = object
            .iter()
            .filter_map(|(key, value)| match value {
                serde_json::Value::Null => None,
                serde_json::Value::String(text) => Some((key, text.clone())),
                other => Some((key, other.to_string())),
            })
            .collect();
        let mut raw = Raw::default();
        values.iter().for_each(|(key, value)| raw.set(key.as_bytes(), value.as_bytes()));
        let time = reference_time(&raw)?;
        self.build(line, &raw, time)
    }

    fn build(&mut self, line: u32, raw: &Raw<'_>, time: Option<i64>) -> Result<Entry, Reason> {
        let offset = raw.offset.ok_or(Reason::MissingKey("_offset"))?;
        let offset: u64 = number(offset).ok_or_else(|| bad("_offset", offset))?;
        let length = match raw.length {
            None => None,
            Some(text) => Some(number::<u64>(text).ok_or_else(|| bad("_length", text))?),
        };
        if raw.param.is_empty() {
            return Err(Reason::MissingKey("param"));
        }
        let (step_start, step) = match raw.step {
            b"" => (None, None),
            text => {
                let (start, end) = time::mars_step_or_duration(text).ok_or_else(|| bad("step", text))?;
                (start, Some(end))
            }
        };
        let member: Option<u32> = match raw.number {
            b"" => None,
            text => Some(number(text).ok_or_else(|| bad("number", text))?),
        };
        let (product, member) = product(raw.kind, member);
        let level = substitutable_level(raw.levtype, raw.levelist);
        self.scratch.clear();
        let mut level_end = 0;
        if level.is_none() && !raw.levelist.is_empty() {
            self.scratch.extend_from_slice(raw.levtype);
            if !raw.levtype.is_empty() {
                self.scratch.push(b' ');
            }
            self.scratch.extend_from_slice(raw.levelist);
            level_end = self.scratch.len();
        }
        if !matches!(raw.domain, b"" | b"g") {
            self.scratch.extend_from_slice(b"domain=");
            self.scratch.extend_from_slice(raw.domain);
        }
        for (key, value) in &raw.others {
            if self.scratch.len() > level_end {
                self.scratch.push(b',');
            }
            self.scratch.extend_from_slice(key);
            self.scratch.push(b'=');
            self.scratch.extend_from_slice(value);
        }
        let (level_text, variant) = self.scratch.split_at_checked(level_end).unwrap_or_default();
        let words = Words {
            param: raw.param,
            level: if level_end == 0 { raw.levtype } else { level_text },
            product,
            class: raw.class,
            stream: raw.stream,
            kind: raw.kind,
            expver: raw.expver,
            model: raw.model,
            variant,
            unknown_parameter: None,
            param_is_short_name: !raw.own_name,
        };
        let text = self.texts.share(&words).ok_or(Reason::NotText)?;
        let keys = Keys { text, time, step, step_start, step_kind: StepKind::Unknown, level, number: member };
        Ok(Entry { line, offset, length, submessage: None, overlaps: false, keys })
    }
}

fn reference_time(raw: &Raw<'_>) -> Result<Option<i64>, Reason> {
    match raw.date {
        b"" => Ok(None),
        date => time::date_and_time(date, raw.time).map(Some).ok_or_else(|| bad("date", date)),
    }
}

/// MARS `type` and `number`.
fn product(kind: &[u8], member: Option<u32>) -> (Product, Option<u32>) {
    const CONTROL: u64 = packed(b"cf");
    const PERTURBED: u64 = packed(b"pf");
    const MEAN: u64 = packed(b"em");
    const SPREAD: u64 = packed(b"es");
    const PROBABILITY: u64 = packed(b"ep");
    const DISTRIBUTION: u64 = packed(b"pd");
    const BOUNDARIES: u64 = packed(b"pb");
    match packed(kind) {
        CONTROL => (Product::Control, Some(member.unwrap_or(0))),
        PERTURBED => (Product::Member, member),
        MEAN => (Product::Mean, None),
        SPREAD => (Product::Spread, None),
        PROBABILITY => (Product::Probability, None),
        DISTRIBUTION | BOUNDARIES => (Product::Percentile, None),
        _ => match (kind, member) {
            (b"taem", _) => (Product::Mean, None),
            (b"taes", _) => (Product::Spread, None),
            (b"efi" | b"sot" | b"cd", _) => (Product::Other, None),
            (_, Some(0)) => (Product::Control, member),
            (_, Some(_)) => (Product::Member, member),
            (_, None) => (Product::Forecast, None),
        },
    }
}

/// Whole hPa of `pl` (ecCodes gives other pressures another typeOfLevel, in Pa) and numbers of `ml`.
fn substitutable_level(levtype: &[u8], levelist: &[u8]) -> Option<u32> {
    match levtype {
        b"pl" | b"ml" => number(levelist).filter(|level| *level > 0),
        _ => None,
    }
}

fn bad(key: &'static str, value: &[u8]) -> Reason {
    Reason::BadValue { key, value: super::excerpt(value) }
}
