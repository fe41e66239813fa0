//! A plain HTTP server with ranges, conditional requests, directory pages, and faults on demand.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Clone, Default)]
pub struct Object {
    pub bytes: Vec<u8>,
    pub etag: Option<String>,
    pub modified: Option<String>,
}

/// What goes wrong with a path.
#[derive(Debug, Clone)]
pub enum Fault {
    Status(u16),
    /// This status so many times, then the object.
    StatusTimes(u16, usize),
    /// The headers, half of the body, and then nothing until the client gives up.
    Stall,
    /// Half of the body, then the connection is closed.
    Truncate,
    /// The whole object whatever was asked for.
    IgnoreRange,
    /// The object whatever the conditions say.
    IgnoreConditions,
    Redirect(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// First and last byte.
    pub range: Option<(u64, u64)>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Object>,
    faults: BTreeMap<String, Fault>,
    log: Vec<Request>,
}

pub struct Server {
    port: u16,
    state: Arc<Mutex<State>>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, stopped) = (Arc::new(Mutex::new(State::default())), Arc::new(AtomicBool::new(false)));
        let (served, ended) = (Arc::clone(&state), Arc::clone(&stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (state, ended) = (Arc::clone(&served), Arc::clone(&ended));
                std::thread::spawn(move || stream.map(|stream| serve(stream, &state, &ended)));
            }
        });
        Self { port, state, stopped }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Puts an object with an ETag made of its content.
    pub fn put(&self, path: &str, bytes: Vec<u8>) {
        let sum = bytes.iter().fold(bytes.len() as u64, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(*b)));
        self.put_object(path, Object { bytes, etag: Some(format!("\"{sum:x}\"")), modified: None });
    }

    pub fn put_object(&self, path: &str, object: Object) {
        self.state.lock().unwrap().objects.insert(path.to_string(), object);
    }

    pub fn remove(&self, path: &str) {
        self.state.lock().unwrap().objects.remove(path);
    }

    pub fn fault(&self, path: &str, fault: Fault) {
        self.state.lock().unwrap().faults.insert(path.to_string(), fault);
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>, stopped: &AtomicBool) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return Some(());
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?.to_string(), words.next()?.to_string());
        let mut headers = BTreeMap::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).ok()?;
            let Some((name, value)) = header.trim_end().split_once(':') else { break };
            headers.insert(name.to_lowercase(), value.trim().to_string());
        }
        if !answer(&mut stream, &method, &path, &headers, state, stopped)? {
            return Some(());
        }
    }
}

/// Whether the connection goes on.
fn answer(
    stream: &mut TcpStream,
    method: &str,
    path: &str,
    headers: &BTreeMap<String, String>,
    state: &Mutex<State>,
    stopped: &AtomicBool,
) -> Option<bool> {
    let range = headers.get("range").and_then(|r| {
        let (first, last) = r.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse().unwrap_or(u64::MAX)))
    });
    let (object, fault, page) = {
        let mut state = state.lock().unwrap();
        state.log.push(Request { method: method.into(), path: path.into(), range });
        let fault = state.faults.get(path).cloned();
        if let Some(Fault::StatusTimes(status, times)) = &fault {
            let next = (*times > 1).then(|| Fault::StatusTimes(*status, times - 1));
            match next {
                Some(next) => state.faults.insert(path.to_string(), next),
                None => state.faults.remove(path),
            };
        }
        let page = path.ends_with('/').then(|| {
            let names = state.objects.keys().filter_map(|key| key.strip_prefix(path));
            names.map(|name| format!("<a href=\"{name}\">{name}</a>\n")).collect::<String>()
        });
        (state.objects.get(path).cloned(), fault, page)
    };
    let status = |stream: &mut TcpStream, status: u16, more: &str| {
        write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 0\r\n{more}\r\n").ok().map(|()| true)
    };
    match &fault {
        Some(Fault::Status(code) | Fault::StatusTimes(code, _)) => return status(stream, *code, ""),
        Some(Fault::Redirect(to)) => return status(stream, 302, &format!("location: {to}\r\n")),
        _ => {}
    }
    let object = match (object, page) {
        (Some(object), _) => object,
        (None, Some(page)) => Object { bytes: page.into_bytes(), ..Default::default() },
        (None, None) => return status(stream, 404, ""),
    };
    let mut more = String::from("accept-ranges: bytes\r\n");
    more.extend(object.etag.iter().map(|etag| format!("etag: {etag}\r\n")));
    more.extend(object.modified.iter().map(|modified| format!("last-modified: {modified}\r\n")));
    if !matches!(fault, Some(Fault::IgnoreConditions)) {
        let other_version = headers.get("if-match").is_some_and(|etag| Some(etag) != object.etag.as_ref());
        let date = |text: &String| chrono::DateTime::parse_from_rfc2822(text).ok();
        let since = headers.get("if-unmodified-since").and_then(date);
        let later = since.zip(object.modified.as_ref().and_then(date)).is_some_and(|(since, is)| is > since);
        if other_version || later {
            return status(stream, 412, &more);
        }
    }
    let size = object.bytes.len() as u64;
    let (code, body) = match range.filter(|_| !matches!(fault, Some(Fault::IgnoreRange))) {
        Some((first, _)) if first >= size => {
            return status(stream, 416, &format!("content-range: bytes */{size}\r\n"));
        }
        Some((first, last)) => {
            let last = last.min(size - 1);
            more.push_str(&format!("content-range: bytes {first}-{last}/{size}\r\n"));
            (206, &object.bytes[first as usize..=last as usize])
        }
        None => (200, &object.bytes[..]),
    };
    write!(stream, "HTTP/1.1 {code} X\r\ncontent-length: {}\r\n{more}\r\n", body.len()).ok()?;
    if method == "HEAD" {
        return Some(true);
    }
    match fault {
        Some(Fault::Truncate) => {
            stream.write_all(&body[..body.len() / 2]).ok()?;
            Some(false)
        }
        Some(Fault::Stall) => {
            stream.write_all(&body[..body.len() / 2]).ok()?;
            stream.flush().ok()?;
            // Until the client hangs up.
            stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
            let _ = std::io::Read::read(stream, &mut [0; 1]);
            let _ = stopped.load(Ordering::Relaxed);
            Some(false)
        }
        _ => stream.write_all(body).ok().map(|()| true),
    }
}
