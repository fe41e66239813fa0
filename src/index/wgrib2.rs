//! wgrib2 inventories: `number[.sub]:offset:d=YYYYMMDDHH[MM]:variable:level:time[:more...][:]`.

use super::keys::{Keys, Product, SharedText, StepKind, UnknownParameter, Words};
use super::{Entry, IndexError, LINE_LIMIT, Lines, Reason, number, numbered_lines, time};

/// Whether a line starts as inventories do.
pub(super) fn looks_like(line: &[u8]) -> bool {
    let mut fields = line.split(|byte| *byte == b':');
    let message = fields.next().unwrap_or_default();
    let place = fields.next().unwrap_or_default();
    message.first().is_some_and(u8::is_ascii_digit)
        && message.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && std::str::from_utf8(place).is_ok_and(|place| offset(place).is_some())
}

/// Parses all lines. Lengths, overlaps and the file's size are looked at afterwards.
pub(super) fn parse(bytes: &[u8]) -> Result<Lines, IndexError> {
    let mut lines = Lines::default();
    let mut texts = SharedText::default();
    let mut origins = Vec::new();
    for (line, text) in numbered_lines(bytes) {
        if line == LINE_LIMIT {
            return Err(IndexError::TooManyLines { limit: LINE_LIMIT });
        }
        match entry(line, text, &mut texts) {
            Ok((entry, origin)) => {
                lines.entries.push(entry);
                origins.push(origin);
            }
            Err(reason) => lines.problem(line, text, reason),
        }
    }
    unwrap_offsets(&mut lines, &origins, bytes);
    Ok(lines)
}

/// The message's number, and whether its offset was negative (then `Entry::offset` is that of an unsigned 32-bit number).
struct Origin {
    message: u64,
    negative: bool,
}

/// Builds of wgrib2 with 32-bit offsets write negative numbers from 2 GiB on and start again at 4 GiB. Where the messages
/// are numbered in order, their offsets grow, so the lost high bits are known; otherwise negative offsets are refused.
fn unwrap_offsets(lines: &mut Lines, origins: &[Origin], bytes: &[u8]) {
    let ordered = origins.is_sorted_by_key(|origin| origin.message);
    let any_negative = origins.iter().any(|origin| origin.negative);
    if !ordered && !any_negative {
        return;
    }
    let (mut high, mut previous, mut first) = (0_u64, 0_u64, None);
    let mut refused = Vec::new();
    for (entry, origin) in lines.entries.iter_mut().zip(origins) {
        if origin.negative && !ordered {
            refused.push((entry.line, None));
            continue;
        }
        if !ordered {
            continue;
        }
        let low = entry.offset;
        // A message is shorter than 2 GiB; an index that is only out of order does not fall by so much.
        if low < previous && previous - low > 1 << 31 && previous <= u64::from(u32::MAX) {
            high = high.saturating_add(1 << 32);
        }
        previous = low;
        if origin.negative || high > 0 {
            first = first.or(Some(entry.line));
        }
        entry.offset = low.saturating_add(high);
    }
    refused.extend(first.map(|line| (line, Some(Reason::WrappedOffsets))));
    if refused.is_empty() {
        return;
    }
    let mut texts = numbered_lines(bytes).peekable();
    for (line, reason) in refused {
        while texts.next_if(|(number, _)| *number < line).is_some() {}
        let text = texts.peek().map(|(_, text)| *text).unwrap_or_default();
        let reason = reason.unwrap_or_else(|| Reason::BadValue { key: "offset", value: super::excerpt(text) });
        lines.problem(line, text, reason);
    }
    if !ordered {
        let mut origins = origins.iter();
        lines.entries.retain(|_| origins.next().is_some_and(|origin| !origin.negative));
    }
}

/// A byte offset; negative ones are 32-bit numbers whose sign is the highest bit.
fn offset(text: &str) -> Option<(u64, bool)> {
    match text.strip_prefix('-') {
        None => number(text.as_bytes()).map(|offset| (offset, false)),
        Some(digits) => {
            let below: u64 = number(digits.as_bytes())?;
            (1..=1 << 31).contains(&below).then_some(((1 << 32) - below, true))
        }
    }
}

fn entry(line: u32, text: &[u8], texts: &mut SharedText) -> Result<(Entry, Origin), Reason> {
    let text = std::str::from_utf8(text).map_err(|_| Reason::NotText)?;
    let mut fields = text.split(':');
    let mut next = || fields.next().map(str::trim).ok_or(Reason::TooFewFields);
    let message = next()?;
    let (message, submessage) = message_number(message).ok_or_else(|| bad("number", message))?;
    let place = next()?;
    let (offset, negative) = offset(place).ok_or_else(|| bad("offset", place))?;
    let date = next()?;
    let time = reference_time(date).ok_or_else(|| bad("date", date))?;
    let variable = next()?;
    let level_text = next()?;
    let phrase = next()?;
    let (param, unknown_parameter) = parameter(variable);
    if param.is_empty() {
        return Err(Reason::MissingKey("variable"));
    }
    if phrase.is_empty() {
        return Err(Reason::MissingKey("time"));
    }
    let level = whole_hectopascals(level_text);
    let mut variant = String::new();
    let note = |variant: &mut String, text: &str| {
        if !variant.is_empty() {
            variant.push(':');
        }
        variant.push_str(text);
    };
    let when = Phrase::read(phrase);
    if let Some(rest) = when.rest {
        note(&mut variant, rest);
    }
    let (mut product, mut member) = (Product::Forecast, None);
    for extra in fields.map(str::trim).filter(|extra| !extra.is_empty()) {
        match ensemble(extra) {
            Some(tag) => {
                // "prob >1" goes before "prob fcst 0/26"; a member's tag goes before a derived product's.
                product = tag.product;
                member = tag.member;
                if tag.keep {
                    note(&mut variant, tag.words);
                }
            }
            None => note(&mut variant, extra),
        }
    }
    let words = Words {
        param: param.as_bytes(),
        level: if level.is_some() { b"mb" } else { level_text.as_bytes() },
        product,
        class: b"",
        stream: b"",
        kind: b"",
        expver: b"",
        model: b"",
        variant: variant.as_bytes(),
        unknown_parameter,
        param_is_short_name: false,
    };
    let text = texts.share(&words).ok_or(Reason::NotText)?;
    let keys = Keys {
        text,
        time: Some(time),
        step: when.step,
        step_start: when.step_start,
        step_kind: when.kind,
        level,
        number: member,
    };
    Ok((Entry { line, offset, length: None, submessage, overlaps: false, keys }, Origin { message, negative }))
}

/// `112` -> (112, None), `112.1` -> (112, the first field: 0).
fn message_number(text: &str) -> Option<(u64, Option<u32>)> {
    match text.split_once('.') {
        None => Some((number(text.as_bytes())?, None)),
        Some((message, sub)) => {
            Some((number(message.as_bytes())?, Some(number::<u32>(sub.as_bytes())?.checked_sub(1)?)))
        }
    }
}

/// `d=YYYYMMDDHH[MM[SS]]`, `D=YYYYMMDDHHMMSS`.
fn reference_time(field: &str) -> Option<i64> {
    let digits = field.strip_prefix("d=").or_else(|| field.strip_prefix("D="))?;
    let (date, clock) = digits.as_bytes().split_at_checked(8)?;
    matches!(clock.len(), 2 | 4 | 6).then_some(())?;
    time::date_and_time(date, clock)
}

/// `TMP`, `TMP Temperature [K]`, `var discipline=0 center=7 local_table=1 parmcat=16 parm=201`.
fn parameter(variable: &str) -> (&str, Option<UnknownParameter>) {
    let Some(pairs) = variable.strip_prefix("var ") else {
        return (variable.split_ascii_whitespace().next().unwrap_or_default(), None);
    };
    let mut unknown =
        UnknownParameter { discipline: -1, centre: -1, master_table: -1, local_table: -1, category: -1, number: -1 };
    for pair in pairs.split_ascii_whitespace() {
        let Some((key, value)) = pair.split_once('=') else { continue };
        let Some(value) = number::<i32>(value.as_bytes()) else { continue };
        match key {
            "discipline" => unknown.discipline = value,
            "center" => unknown.centre = value,
            "master_table" => unknown.master_table = value,
            "local_table" => unknown.local_table = value,
            "parmcat" => unknown.category = value,
            "parm" => unknown.number = value,
            _ => {}
        }
    }
    (variable, Some(unknown))
}

/// `500 mb`. Other pressures have another typeOfLevel (Pa) or none and stay text.
fn whole_hectopascals(level: &str) -> Option<u32> {
    number(level.strip_suffix(" mb")?.as_bytes()).filter(|level| *level > 0)
}

struct EnsembleTag<'a> {
    product: Product,
    member: Option<u32>,
    words: &'a str,
    /// The words tell fields apart.
    keep: bool,
}

fn ensemble(extra: &str) -> Option<EnsembleTag<'_>> {
    let tag = |product, member, keep| Some(EnsembleTag { product, member, words: extra, keep });
    // Mean, spread and so on; a member's tag may stand before it.
    let derived = [
        ("ens mean", Product::Mean),
        ("equally weighted mean", Product::Mean),
        ("cluster mean", Product::Mean),
        ("ens std dev", Product::Spread),
        ("cluster std dev", Product::Spread),
        ("ens spread", Product::Spread),
        ("all members", Product::Other),
        ("25%-75% range", Product::Other),
        ("ens large anom index", Product::Other),
        ("percentile from climate distribution", Product::Other),
        ("deviation of ens mean from daily climo", Product::Other),
        ("extreme forecast index", Product::Other),
        ("unknown derived fcst", Product::Other),
    ];
    if let Some((_, product)) = derived.iter().find(|(end, _)| extra.ends_with(end)) {
        return tag(*product, None, true);
    }
    if let Some((name, member)) = extra.split_once("ENS=") {
        return match member {
            "low-res ctl" => tag(Product::Control, Some(0), false),
            "hi-res ctl" => tag(Product::Control, Some(0), true),
            _ => {
                let positive = member.strip_prefix('+');
                let negative = member.strip_prefix('-');
                match number::<u32>(positive.or(negative).unwrap_or(member).as_bytes()) {
                    Some(member) => {
                        // The kind of perturbation (code table 4.6) tells fields apart, the number does not.
                        let words = match (name, negative) {
                            ("", None) => "",
                            ("", Some(_)) => "ENS=-",
                            (name, _) => name,
                        };
                        Some(EnsembleTag {
                            product: Product::Member,
                            member: Some(member),
                            words,
                            keep: !words.is_empty(),
                        })
                    }
                    None => tag(Product::Other, None, true),
                }
            }
        };
    }
    if extra.starts_with("prob ") || extra == "probability forecast" || extra == "Nbhd Prob" {
        return tag(Product::Probability, None, true);
    }
    let percent = extra.strip_suffix("% level")?;
    percent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then_some(())?;
    tag(Product::Percentile, None, true)
}

/// A time phrase: `anl`, `6 hour fcst`, `0-6 hour acc fcst`, `0-1 day max fcst`, `0-90 hour acc@(fcst,dt=450 sec),missing=0`.
struct Phrase<'a> {
    step: Option<i64>,
    step_start: Option<i64>,
    kind: StepKind,
    /// Words that tell fields apart and are not in the other members.
    rest: Option<&'a str>,
}

impl<'a> Phrase<'a> {
    fn read(phrase: &'a str) -> Phrase<'a> {
        let known = Self::instant(phrase).or_else(|| Self::window(phrase));
        known.unwrap_or(Phrase { step: None, step_start: None, kind: StepKind::Unknown, rest: Some(phrase) })
    }

    fn instant(phrase: &str) -> Option<Phrase<'static>> {
        let step = match phrase {
            "anl" => 0,
            _ => {
                let (value, unit) = phrase.strip_suffix(" fcst")?.split_once(' ')?;
                number::<i64>(value.as_bytes())?.checked_mul(seconds(unit)?)?
            }
        };
        Some(Phrase { step: Some(step), step_start: None, kind: StepKind::Instant, rest: None })
    }

    fn window(phrase: &str) -> Option<Phrase<'_>> {
        let (from, after) = phrase.split_once('-')?;
        let (start, end, after) = if let Some((from, unit)) = from.split_once(' ') {
            // "0 hour-6 hour", "12 hour-(12 hour+2 day)": two units
            let start = number::<i64>(from.as_bytes())?.checked_mul(seconds(unit)?)?;
            match after.strip_prefix('(') {
                Some(sum) => {
                    let (sum, after) = sum.split_once(')')?;
                    let (_, length) = sum.split_once('+')?;
                    let (value, unit) = length.split_once(' ')?;
                    let length = number::<i64>(value.as_bytes())?.checked_mul(seconds(unit)?)?;
                    (start, start.checked_add(length)?, after.trim_start())
                }
                None => {
                    let (value, after) = after.split_once(' ')?;
                    let (unit, after) = after.split_once(' ').unwrap_or((after, ""));
                    (start, number::<i64>(value.as_bytes())?.checked_mul(seconds(unit)?)?, after)
                }
            }
        } else {
            let (to, after) = after.split_once(' ')?;
            let (unit, after) = after.split_once(' ').unwrap_or((after, ""));
            let unit = seconds(unit)?;
            let start = number::<i64>(from.as_bytes())?.checked_mul(unit)?;
            (start, number::<i64>(to.as_bytes())?.checked_mul(unit)?, after)
        };
        if end < start {
            return None;
        }
        let words = after.find([' ', '@', '(']).and_then(|end| after.split_at_checked(end));
        let (statistic, rest) = words.unwrap_or((after, ""));
        let kind = match statistic {
            "acc" => StepKind::Accumulation,
            "ave" => StepKind::Average,
            "max" => StepKind::Maximum,
            "min" => StepKind::Minimum,
            _ => StepKind::Unknown,
        };
        let plain = rest.trim() == "fcst" && kind != StepKind::Unknown;
        let rest = if plain { None } else { Some(after).filter(|after| !after.is_empty()) };
        Some(Phrase { step: Some(end), step_start: Some(start), kind, rest })
    }
}

/// Seconds of a unit of code table 4.4 as wgrib2 writes it; None for months and longer.
fn seconds(unit: &str) -> Option<i64> {
    Some(match unit {
        "sec" | "second" => 1,
        "min" | "minute" => 60,
        "hour" => 3600,
        "3-hours" => 3 * 3600,
        "6-hours" => 6 * 3600,
        "12-hours" => 12 * 3600,
        "day" => 86_400,
        _ => return None,
    })
}

fn bad(key: &'static str, value: &str) -> Reason {
    Reason::BadValue { key, value: super::excerpt(value.as_bytes()) }
}
