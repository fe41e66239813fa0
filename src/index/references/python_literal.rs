//! Python literals, as `str()` writes them: dictionaries, lists, tuples, strings, bytes, numbers, None, True, False.

use serde_json::{Map, Number, Value};

/// Nested more deeply is refused.
const DEEPEST: usize = 32;

/// A dictionary with its keys in order, repeated ones included.
pub(in crate::index) fn dictionary(text: &[u8]) -> Result<Vec<(String, Value)>, String> {
    let mut parser = Parser { text, position: 0 };
    let pairs = parser.pairs(0)?;
    parser.spaces();
    match parser.peek() {
        None => Ok(pairs),
        Some(_) => Err(parser.bad("more text after the dictionary")),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    position: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.position += 1;
        Some(byte)
    }

    fn spaces(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.position += 1;
        }
    }

    fn bad(&self, reason: &str) -> String {
        format!("at byte {}: {reason}", self.position)
    }

    /// Skips spaces and one byte, if it is this one.
    fn take(&mut self, byte: u8) -> bool {
        self.spaces();
        let there = self.peek() == Some(byte);
        self.position += usize::from(there);
        there
    }

    fn pairs(&mut self, depth: usize) -> Result<Vec<(String, Value)>, String> {
        if !self.take(b'{') {
            return Err(self.bad("not a dictionary"));
        }
        let mut pairs = Vec::new();
        loop {
            if self.take(b'}') {
                return Ok(pairs);
            }
            let Value::String(key) = self.value(depth + 1)? else { return Err(self.bad("a key that is no string")) };
            if !self.take(b':') {
                return Err(self.bad("no colon after a key"));
            }
            pairs.push((key, self.value(depth + 1)?));
            if !self.take(b',') && self.peek() != Some(b'}') {
                return Err(self.bad("neither a comma nor the end of the dictionary"));
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err(self.bad("nested too deeply"));
        }
        self.spaces();
        let start = self.position;
        match self.peek().ok_or_else(|| self.bad("the text ends"))? {
            b'{' => Ok(Value::Object(self.pairs(depth)?.into_iter().collect::<Map<_, _>>())),
            b'[' => self.list(b']', depth),
            b'(' => self.list(b')', depth),
            b'\'' | b'"' => self.string(false),
            b'b' if matches!(self.text.get(start + 1), Some(b'\'' | b'"')) => {
                self.position += 1;
                self.string(true)
            }
            _ => self.word(),
        }
    }

    fn list(&mut self, end: u8, depth: usize) -> Result<Value, String> {
        self.position += 1;
        let mut values = Vec::new();
        loop {
            if self.take(end) {
                return Ok(Value::Array(values));
            }
            values.push(self.value(depth + 1)?);
            if !self.take(b',') && self.peek() != Some(end) {
                return Err(self.bad("neither a comma nor the end of the list"));
            }
        }
    }

    fn word(&mut self) -> Result<Value, String> {
        let start = self.position;
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b)) {
            self.position += 1;
        }
        let word = self.text.get(start..self.position).and_then(|w| std::str::from_utf8(w).ok()).unwrap_or("");
        let number = || word.parse::<i64>().ok().map(Number::from).or_else(|| Number::from_f64(word.parse().ok()?));
        match word {
            "None" | "nan" | "inf" | "-inf" => Ok(Value::Null),
            "True" => Ok(Value::Bool(true)),
            "False" => Ok(Value::Bool(false)),
            _ => number().map(Value::Number).ok_or_else(|| self.bad("not a Python literal")),
        }
    }

    /// Bytes come back as a string of one character for each byte, as kerchunk's raw text is.
    fn string(&mut self, bytes: bool) -> Result<Value, String> {
        let quote = self.next();
        let mut text: Vec<u8> = Vec::new();
        let push = |text: &mut Vec<u8>, c: char| text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        loop {
            let byte = self.next().ok_or_else(|| self.bad("a string without an end"))?;
            if Some(byte) == quote {
                break;
            }
            if byte != b'\\' {
                text.push(byte);
                continue;
            }
            match self.next().ok_or_else(|| self.bad("a string without an end"))? {
                b'n' => text.push(b'\n'),
                b't' => text.push(b'\t'),
                b'r' => text.push(b'\r'),
                b'a' => text.push(7),
                b'b' => text.push(8),
                b'f' => text.push(12),
                b'v' => text.push(11),
                b'\n' => {}
                b'x' => push(&mut text, self.hexadecimal(2)?),
                b'u' if !bytes => push(&mut text, self.hexadecimal(4)?),
                b'U' if !bytes => push(&mut text, self.hexadecimal(8)?),
                digit @ b'0'..=b'7' => {
                    let mut code = u32::from(digit - b'0');
                    for _ in 0..2 {
                        let Some(digit @ b'0'..=b'7') = self.peek() else { break };
                        code = code * 8 + u32::from(digit - b'0');
                        self.position += 1;
                    }
                    push(&mut text, char::from_u32(code).unwrap_or('\u{fffd}'));
                }
                other if b"\\'\"".contains(&other) => text.push(other),
                other => text.extend_from_slice(&[b'\\', other]),
            }
        }
        String::from_utf8(text).map(Value::String).map_err(|_| self.bad("a string that is not UTF-8"))
    }

    fn hexadecimal(&mut self, digits: usize) -> Result<char, String> {
        let end = self.position.saturating_add(digits);
        let text = self.text.get(self.position..end).and_then(|t| std::str::from_utf8(t).ok());
        let code = text.and_then(|text| u32::from_str_radix(text, 16).ok()).and_then(char::from_u32);
        self.position = end;
        code.ok_or_else(|| self.bad("an escape that is no character"))
    }
}
