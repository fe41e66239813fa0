//! gribberish in a process of its own: on damaged bytes it panics, computes for ever and asks for all memory.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A message of a few thousand points takes it a few milliseconds.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What gribberish made of a message.
pub enum Answer {
    Values(Vec<f64>),
    Refused,
    /// Its process ended, or did not answer in time, and is started again for the next message.
    Died,
}

/// The running process.
#[derive(Default)]
pub struct Worker {
    running: Option<Running>,
}

struct Running {
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<Answer>,
}

impl Worker {
    /// Asks for the values of the first field of `message`.
    ///
    /// # Panics
    /// When there is no program `GRIBBERISH_WORKER`.
    pub fn ask(&mut self, message: &[u8]) -> Answer {
        let mut running = self.running.take().unwrap_or_else(start);
        let length = (message.len() as u32).to_le_bytes();
        let sent = running.stdin.write_all(&length).and_then(|()| running.stdin.write_all(message));
        let answer = match sent.and_then(|()| running.stdin.flush()) {
            Ok(()) => running.answers.recv_timeout(PATIENCE).unwrap_or(Answer::Died),
            Err(_) => Answer::Died,
        };
        if let Answer::Died = answer {
            let _ = running.child.kill();
            let _ = running.child.wait();
        } else {
            self.running = Some(running);
        }
        answer
    }
}

fn start() -> Running {
    let program =
        std::env::var_os("GRIBBERISH_WORKER").expect("GRIBBERISH_WORKER names the program: see fuzz/README.md");
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program of GRIBBERISH_WORKER runs");
    let (stdin, mut stdout) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let (sender, answers) = channel();
    // Ends with the process, whose output it reads.
    std::thread::spawn(move || {
        while let Some(answer) = read(&mut stdout) {
            if sender.send(answer).is_err() {
                break;
            }
        }
    });
    Running { child, stdin, answers }
}

/// A count of values (the highest: refused) and the values.
fn read(stdout: &mut impl Read) -> Option<Answer> {
    let mut count = [0; 4];
    stdout.read_exact(&mut count).ok()?;
    let count = u32::from_le_bytes(count);
    if count == u32::MAX {
        return Some(Answer::Refused);
    }
    let mut bytes = vec![0; count as usize * 8];
    stdout.read_exact(&mut bytes).ok()?;
    Some(Answer::Values(bytes.as_chunks::<8>().0.iter().map(|value| f64::from_le_bytes(*value)).collect()))
}
