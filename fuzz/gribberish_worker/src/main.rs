//! Decodes messages with gribberish: from standard input a length and a message, to standard output a count and values.

use std::io::{Read, Result, Write, stdin, stdout};

/// More is not asked for a few thousand points.
const MEMORY: u64 = 1 << 30;
const MOST_VALUES: usize = 1 << 22;

fn main() -> Result<()> {
    let limit = libc::rlimit { rlim_cur: MEMORY, rlim_max: MEMORY };
    // SAFETY: the structure outlives the call.
    unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    let (mut stdin, mut stdout) = (stdin().lock(), stdout().lock());
    let mut length = [0; 4];
    while stdin.read_exact(&mut length).is_ok() {
        let mut message = vec![0; u32::from_le_bytes(length) as usize];
        stdin.read_exact(&mut message)?;
        let values = std::panic::catch_unwind(|| gribberish::message::read_message(&message, 0)?.data().ok());
        match values {
            Ok(Some(values)) if values.len() <= MOST_VALUES => {
                stdout.write_all(&(values.len() as u32).to_le_bytes())?;
                let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                stdout.write_all(&bytes)?;
            }
            _ => stdout.write_all(&u32::MAX.to_le_bytes())?,
        }
        stdout.flush()?;
    }
    Ok(())
}
