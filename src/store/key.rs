//! Keys of the store: `zarr.json` of a node, or a chunk of an array.

use zarrs::storage::{StoreKey, StorePrefix};

use super::source::ChunkAddress;

/// A key that can exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Key {
    /// `zarr.json` of the node at the absolute path `node` (`/`, `/group/array`).
    Metadata { node: String },
    /// A chunk by the default key encoding, `array/c/0/1`.
    Chunk(ChunkAddress),
}

impl Key {
    /// None for keys that no Zarr v3 hierarchy of ours can have.
    pub(super) fn parse(key: &StoreKey) -> Option<Self> {
        let parts: Vec<&str> = key.as_str().split('/').collect();
        let (last, before) = parts.split_last()?;
        if *last == "zarr.json" {
            return Some(Self::Metadata { node: node_path(before)? });
        }
        // The last `c` after which only chunk indices come: names of nodes may be `c` or numbers, too.
        let c = parts.iter().rposition(|part| *part == "c")?;
        let indices = parts.get(c + 1..)?.iter().map(|part| chunk_index(part)).collect::<Option<Vec<_>>>()?;
        Some(Self::Chunk(ChunkAddress { array: node_path(parts.get(..c)?)?, indices }))
    }
}

/// A chunk index as Zarr writes it: decimal, no sign, no leading zeros.
fn chunk_index(text: &str) -> Option<u32> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    text.parse().ok().filter(|_| canonical)
}

/// The absolute path of the node with these names.
fn node_path(names: &[&str]) -> Option<String> {
    // Zarr v3, section "Node names": not empty, not only periods, no reserved prefix.
    let valid = |name: &&str| !name.is_empty() && !name.bytes().all(|byte| byte == b'.') && !name.starts_with("__");
    if names.is_empty() {
        return Some("/".into());
    }
    names.iter().all(valid).then(|| format!("/{}", names.join("/")))
}

/// The node that a prefix would be.
pub(super) fn node_of(prefix: &StorePrefix) -> String {
    format!("/{}", prefix.as_str().trim_end_matches('/'))
}

/// The arrays into which a prefix such as `a/c/0/` may reach, the nearest first.
pub(super) fn arrays_around(prefix: &StorePrefix) -> Vec<String> {
    let parts: Vec<&str> = prefix.as_str().trim_end_matches('/').split('/').collect();
    let chunks_begin =
        |at: &usize| parts.get(*at) == Some(&"c") && parts.iter().skip(at + 1).all(|part| chunk_index(part).is_some());
    (0..parts.len()).rev().filter(chunks_begin).filter_map(|at| node_path(parts.get(..at)?)).collect()
}

/// The key of a node's metadata.
pub(super) fn metadata_text(node: &str) -> String {
    let path = node.trim_start_matches('/');
    if path.is_empty() { "zarr.json".into() } else { format!("{path}/zarr.json") }
}

/// The key of a chunk.
pub(super) fn chunk_text(array: &str, indices: &[u32]) -> String {
    let mut text = array.trim_start_matches('/').to_string();
    if !text.is_empty() {
        text.push('/');
    }
    text.push('c');
    for index in indices {
        text.push('/');
        text.push_str(&index.to_string());
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Key> {
        Key::parse(&StoreKey::new(text).unwrap())
    }

    fn chunk(array: &str, indices: &[u32]) -> Option<Key> {
        Some(Key::Chunk(ChunkAddress { array: array.into(), indices: indices.to_vec() }))
    }

    #[test]
    fn keys_of_a_hierarchy() {
        assert_eq!(parse("zarr.json"), Some(Key::Metadata { node: "/".into() }));
        assert_eq!(parse("a/b/zarr.json"), Some(Key::Metadata { node: "/a/b".into() }));
        assert_eq!(parse("a/c/0/12"), chunk("/a", &[0, 12]));
        assert_eq!(parse("a/c"), chunk("/a", &[]));
        assert_eq!(parse("c/3"), chunk("/", &[3]));
        assert_eq!(parse("a/c/c/0"), chunk("/a/c", &[0]));
        assert_eq!(parse("abc/c/0"), chunk("/abc", &[0]));
        for other in [
            "",
            "a/b",
            "abc/0/0",
            "a/c/00",
            "a/c/+1",
            "a/c/-1",
            "a/c/4294967296",
            "a/c/0x1",
            "../c/0",
            "a/.zgroup",
            "__x/c/0",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
        assert_eq!(chunk_text("/", &[1, 2]), "c/1/2");
        assert_eq!(chunk_text("/a/b", &[]), "a/b/c");
    }

    #[test]
    fn prefixes_that_reach_into_arrays() {
        let around = |text: &str| arrays_around(&StorePrefix::new(text).unwrap());
        assert_eq!(around("a/c/0/"), ["/a"]);
        assert_eq!(around("a/c/"), ["/a"]);
        assert_eq!(around("a/c/c/"), ["/a/c"]);
        assert_eq!(around("a/"), Vec::<String>::new());
        assert_eq!(around("c/"), ["/"]);
    }
}
