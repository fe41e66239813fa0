//! The ledger: what each source file brought, kept in the repository beside the chunks it brought.
//!
//! `/_gribchunk/ledger` is a Zarr array of strings over `(ledger_day, ledger_slot)`, one chunk an element: the day of the
//! file's first reference time, and 31 bits of its URL's SHA-256. An element is a JSON list of records (files whose URLs
//! share the 31 bits). So two writers of different files hardly ever meet, and retention drops whole days.

use bytes::Bytes;
use futures::StreamExt;
use icechunk::format::ChunkIndices;
use icechunk::session::Session;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::cube::metadata::{Node, array_metadata};
use crate::error::{Error, Result};
use crate::read::Fingerprint;

use super::nodes;

/// Path of the ledger array below `/`.
pub const LEDGER: &str = "_gribchunk/ledger";

/// Days since 1970.
const DAYS: u64 = 1 << 16;
/// Elements of a day.
const SLOTS: u64 = 1 << 31;
/// Refusals beyond this many are counted, not listed.
const LISTED_REFUSALS: usize = 10_000;
/// The largest ledger element that is read.
const LARGEST_ELEMENT: u64 = 64 << 20;

/// A field that did not get its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedField {
    /// First byte of the message in the file.
    pub offset: u64,
    /// Position of the field in its message, from 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub submessage: u32,
    /// What it is, as far as that is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// `/t2m[0,2,3]` when the slot is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Why it has no place.
    pub reason: String,
}

/// What one source file brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// `file:///...`, without a fragment.
    pub url: String,
    /// Bytes.
    pub size: u64,
    /// Modification time in nanoseconds since 1970.
    pub mtime_ns: u64,
    /// The ETag of a remote file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Fields that have their slots.
    pub placed: u64,
    /// Of these, how many were decoded and stored at ingest.
    #[serde(default, skip_serializing_if = "is_zero_u64")]
    pub materialised: u64,
    /// Fields left out because another field was there and the policy was to keep it.
    #[serde(default, skip_serializing_if = "is_zero_u64")]
    pub kept: u64,
    /// Fields without a place, at most 10,000 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedField>,
    /// Refusals that are not listed.
    #[serde(default, skip_serializing_if = "is_zero_u64")]
    pub refused_more: u64,
    /// Why nothing of the file could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When it was recorded, RFC 3339.
    pub recorded: String,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_zero_u64(n: &u64) -> bool {
    *n == 0
}

impl FileRecord {
    /// Keeps the record bounded whatever the file holds.
    pub fn bound(&mut self) {
        if self.refused.len() > LISTED_REFUSALS {
            self.refused_more += (self.refused.len() - LISTED_REFUSALS) as u64;
            self.refused.truncate(LISTED_REFUSALS);
        }
    }

    /// Whether this record speaks of the same bytes: a file that changed is another one.
    pub fn same_file(&self, other: &FileRecord) -> bool {
        let fingerprint = Fingerprint { size: other.size, mtime_ns: other.mtime_ns };
        self.url == other.url && self.is_of(fingerprint, other.etag.as_deref())
    }

    /// Whether this record speaks of a file that is this now. Equal ETags are equal bytes, whenever they were uploaded.
    pub fn is_of(&self, now: Fingerprint, etag: Option<&str>) -> bool {
        self.size == now.size
            && match (&self.etag, etag) {
                (Some(then), Some(now)) => then == now,
                (None, None) => self.mtime_ns == now.mtime_ns,
                _ => false,
            }
    }
}

/// The element of a file: day of its first reference time (0 when it has none), and 31 bits of its URL.
pub fn element(url: &str, first_time: Option<i64>) -> [u32; 2] {
    let day = first_time.map_or(0, |t| t.div_euclid(86_400).clamp(0, DAYS as i64 - 1) as u32);
    let digest = Sha256::digest(url.as_bytes());
    let first = digest.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    [day, first >> 1]
}

/// The nodes of an empty ledger.
pub fn nodes() -> Vec<Node> {
    let names = vec!["ledger_day".to_string(), "ledger_slot".to_string()];
    let codecs = json!([
        {"name": "vlen-utf8"},
        {"name": "zstd", "configuration": {"level": 3, "checksum": true}}
    ]);
    let attributes = json!({"gribchunk": {"ledger": {"version": 1}}});
    let metadata = array_metadata(&[DAYS, SLOTS], &[1, 1], "string", json!(""), codecs, &names, attributes);
    let group = json!({"zarr_format": 3, "node_type": "group", "attributes": {}});
    vec![
        Node { path: "_gribchunk".into(), metadata: group, array: None, values: None },
        Node { path: LEDGER.into(), metadata, array: Some((vec![DAYS, SLOTS], vec![1, 1], names)), values: None },
    ]
}

/// The records of one element.
pub async fn read(session: &Session, element: [u32; 2]) -> Result<Vec<FileRecord>> {
    if nodes::node(session, LEDGER).await?.is_none() {
        return Ok(Vec::new());
    }
    let bytes = nodes::chunk_bytes(session, &nodes::node_path(LEDGER)?, &element).await?;
    bytes.map_or(Ok(Vec::new()), |bytes| decode(&bytes, element))
}

/// Writes the records of one element.
pub async fn write(session: &mut Session, element: [u32; 2], records: &[FileRecord]) -> Result<()> {
    let path = nodes::node_path(LEDGER)?;
    let index = ChunkIndices(element.to_vec());
    let context = "writing the ledger";
    let bytes = encode(records)?;
    let payload = session.get_chunk_writer(&path, &index).map_err(Error::repository(context))?;
    let payload = payload(bytes).await.map_err(Error::repository(context))?;
    session.set_chunk_ref(path, index, Some(payload)).await.map_err(Error::repository(context))
}

/// All records, in no particular order.
pub async fn read_all(session: &Session) -> Result<Vec<FileRecord>> {
    if nodes::node(session, LEDGER).await?.is_none() {
        return Ok(Vec::new());
    }
    let path = nodes::node_path(LEDGER)?;
    let mut elements = Vec::new();
    {
        let chunks = session.array_chunk_iterator(&path).await;
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(Error::repository("listing the ledger"))?;
            if let [day, slot] = chunk.coord.0[..] {
                elements.push([day, slot]);
            }
        }
    }
    let mut records = Vec::new();
    for element in elements {
        records.extend(read(session, element).await?);
    }
    Ok(records)
}

/// `vlen-utf8` of one string, then zstd: number of strings, length, bytes; all lengths little-endian u32.
fn encode(records: &[FileRecord]) -> Result<Bytes> {
    let text = serde_json::to_string(records).map_err(Error::repository("writing a ledger record"))?;
    let mut plain = Vec::with_capacity(text.len() + 8);
    plain.extend_from_slice(&1u32.to_le_bytes());
    plain.extend_from_slice(&(text.len() as u32).to_le_bytes());
    plain.extend_from_slice(text.as_bytes());
    nodes::encode(&plain)
}

fn decode(bytes: &[u8], element: [u32; 2]) -> Result<Vec<FileRecord>> {
    let bad = |reason: String| Error::Layout {
        group: LEDGER.into(),
        reason: format!("element {element:?} cannot be read: {reason}"),
    };
    let mut plain = Vec::new();
    let mut decoder = zstd::Decoder::new(bytes).map_err(|e| bad(e.to_string()))?;
    std::io::Read::read_to_end(&mut std::io::Read::take(&mut decoder, LARGEST_ELEMENT), &mut plain)
        .map_err(|e| bad(e.to_string()))?;
    let text = plain.get(8..).ok_or_else(|| bad("too short".into()))?;
    serde_json::from_slice(text).map_err(|e| bad(e.to_string()))
}
