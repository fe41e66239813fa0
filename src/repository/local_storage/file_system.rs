//! Which file system a repository lies on, and what can be promised there.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::LocalStorageError;

/// The file system under a path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSystem {
    /// Type as the kernel names it: `ext4`, `nfs4`, `fuse.s3fs`; `unknown` where the kernel does not tell.
    pub type_name: String,
    /// Where it is mounted.
    pub mount_point: PathBuf,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// What the local storage promises on it.
    pub support: FileSystemSupport,
}

/// What the local storage promises on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileSystemSupport {
    /// Acknowledged commits survive other writers, kill -9 and power loss.
    Promised,
    /// Acknowledged commits survive other writers and kill -9, with a restriction that the text names.
    Limited(&'static str),
    /// We do not know this file system; the text says what it must be able to do.
    Unknown(&'static str),
    /// Commits could be lost, for the reason in the text: writing is refused.
    Refused(&'static str),
}

impl FileSystem {
    /// One sentence for the user when less than everything is promised, naming the file system.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let (verdict, reason) = match self.support {
            FileSystemSupport::Promised => return None,
            FileSystemSupport::Limited(reason) => ("is supported with a restriction", reason),
            FileSystemSupport::Unknown(reason) => ("is not known to keep every commit", reason),
            FileSystemSupport::Refused(reason) => ("cannot keep every commit", reason),
        };
        Some(format!("{} ({}) {verdict}: {reason}", self.mount_point.display(), self.type_name))
    }
}

/// Finds the file system that `path`, or its nearest existing parent, lies on.
///
/// Source: `/proc/self/mountinfo`, which names FUSE file systems (`fuse.s3fs`) where `statfs` has one number for all.
/// Where it does not exist the type is `unknown`.
///
/// # Errors
/// [`LocalStorageError::Io`] when no parent of `path` can be looked at.
pub fn file_system_of(path: &Path) -> Result<FileSystem, LocalStorageError> {
    let absolute = std::path::absolute(path).map_err(|source| LocalStorageError::io("find", path, source))?;
    let mut existing = absolute.as_path();
    let canonical = loop {
        match fs::canonicalize(existing) {
            Ok(canonical) => break canonical,
            Err(source) => match existing.parent() {
                Some(parent) if source.kind() == std::io::ErrorKind::NotFound => existing = parent,
                _ => return Err(LocalStorageError::io("find", existing, source)),
            },
        }
    };
    let table = fs::read("/proc/self/mountinfo").unwrap_or_default();
    Ok(mounted_at(&table, &canonical))
}

/// The entry of a mountinfo table (proc_pid_mountinfo(5)) that `path` lies on.
fn mounted_at(table: &[u8], path: &Path) -> FileSystem {
    let mut best: Option<FileSystem> = None;
    for mount in table.split(|byte| *byte == b'\n').filter_map(parse_mount) {
        let depth = |file_system: &FileSystem| file_system.mount_point.components().count();
        // A later mount on the same point hides the earlier one.
        if path.starts_with(&mount.mount_point) && best.as_ref().is_none_or(|best| depth(&mount) >= depth(best)) {
            best = Some(mount);
        }
    }
    best.unwrap_or_else(|| FileSystem {
        type_name: "unknown".to_owned(),
        mount_point: path.to_path_buf(),
        read_only: false,
        support: FileSystemSupport::Unknown(NEEDS),
    })
}

/// Parses `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
fn parse_mount(line: &[u8]) -> Option<FileSystem> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let separator = fields.iter().position(|field| *field == b"-")?;
    let mount_point = unescape(fields.get(4)?);
    let mount_options = String::from_utf8_lossy(fields.get(5)?);
    let type_name = String::from_utf8_lossy(fields.get(separator.checked_add(1)?)?).into_owned();
    let source = String::from_utf8_lossy(fields.get(separator.checked_add(2)?)?);
    let super_options = String::from_utf8_lossy(fields.get(separator.checked_add(3)?).copied().unwrap_or_default());
    let has = |option: &str| mount_options.split(',').chain(super_options.split(',')).any(|other| other == option);
    let support = support(&type_name, &source, &has);
    Some(FileSystem {
        read_only: has("ro"),
        mount_point: PathBuf::from(std::ffi::OsString::from_vec(mount_point)),
        type_name,
        support,
    })
}

/// Undoes the octal escapes (`\040` for a space) of mountinfo.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\');
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    bytes
}

const NEEDS: &str = "it must have exclusive locks (flock), atomic rename, and fsync of files and directories";

fn support(type_name: &str, source: &str, has: &dyn Fn(&str) -> bool) -> FileSystemSupport {
    use FileSystemSupport::{Limited, Promised, Refused, Unknown};
    match type_name {
        "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" | "zfs" | "f2fs" | "jfs" | "bcachefs" => {
            if has("nobarrier") || has("barrier=0") {
                Limited("it is mounted without write barriers, so power loss can undo commits")
            } else {
                Promised
            }
        }
        "overlay" if has("volatile") => Limited("it is mounted volatile, so power loss can undo commits"),
        "overlay" => Limited("data in a container's own layer disappear with the container; use a volume"),
        "tmpfs" | "ramfs" => Limited("it is in memory and gone after a restart of the machine"),
        "nfs" | "nfs4" => {
            if has("nolock") || has("local_lock=all") || has("local_lock=flock") {
                Refused("NFS is mounted with local locks, so writers on other machines are not excluded")
            } else if has("soft") {
                Limited("NFS is mounted soft, so a slow server looks like a failed write")
            } else {
                Limited("the server must run a lock service and be exported with `sync`")
            }
        }
        "lustre" if has("localflock") => Refused("Lustre is mounted with local locks"),
        "lustre" if has("flock") => Promised,
        "lustre" => Refused("Lustre is mounted without the `flock` option"),
        "ceph" | "gpfs" | "beegfs" => Limited("locks must be enabled between clients"),
        "cifs" | "smb3" | "smbfs" => Limited("not tested; the server decides what a synchronised file is"),
        "9p" | "virtiofs" | "vboxsf" | "drvfs" => {
            Limited("it is a directory of a host machine: locks may hold only among the programs of this machine")
        }
        "vfat" | "msdos" | "exfat" | "ntfs" | "ntfs3" | "hfsplus" => {
            Limited("it has no journal for renames, so power loss can undo commits")
        }
        _ => match cloud_volume(type_name, source) {
            true => Refused("it imitates files on an object store, without locks, atomic rename or fsync"),
            false => Unknown(NEEDS),
        },
    }
}

/// Whether a mount is an object store in disguise. Some drivers name themselves in the type, some only in the source.
fn cloud_volume(type_name: &str, source: &str) -> bool {
    const DRIVERS: [&str; 9] =
        ["s3fs", "goofys", "geesefs", "gcsfuse", "rclone", "blobfuse", "mountpoint-s3", "ossfs", "cosfs"];
    type_name.starts_with("fuse")
        && DRIVERS.iter().any(|driver| type_name.contains(driver) || source.split(':').next() == Some(*driver))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n\
        30 27 0:30 / /mnt/my\\040bucket rw - fuse.s3fs s3fs rw,user_id=0\n\
        31 27 0:31 / /home rw - nfs4 server:/home rw,vers=4.2,hard,local_lock=none\n\
        32 31 0:32 / /home/x rw - nfs server:/x rw,nolock,local_lock=all\n\
        33 27 0:33 / /ro ro,relatime - xfs /dev/sdb rw\n\
        34 27 0:34 / /m rw - fuse mountpoint-s3 rw\n\
        35 27 0:35 / /enc rw - fuse.gocryptfs /cipher rw\n\
        broken line - \n";

    fn at(path: &str) -> FileSystem {
        mounted_at(TABLE, Path::new(path))
    }

    #[test]
    fn the_longest_mount_point_counts() {
        assert_eq!(at("/data/repository").support, FileSystemSupport::Promised);
        assert!(at("/data").warning().is_none());
        assert_eq!(at("/homework").type_name, "ext4");
        assert!(matches!(at("/home/a").support, FileSystemSupport::Limited(_)));
        assert!(matches!(at("/home/x/a").support, FileSystemSupport::Refused(_)));
        assert!(at("/ro/a").read_only && !at("/home/a").read_only);
    }

    #[test]
    fn cloud_volumes_are_refused_by_name() {
        let bucket = at("/mnt/my bucket/repository");
        assert!(matches!(bucket.support, FileSystemSupport::Refused(_)));
        assert!(bucket.warning().is_some_and(|text| text.contains("fuse.s3fs")));
        assert!(matches!(at("/m/a").support, FileSystemSupport::Refused(_)));
        assert!(matches!(at("/enc/a").support, FileSystemSupport::Unknown(_)));
    }

    #[test]
    fn a_path_that_does_not_exist_yet_has_the_file_system_of_its_parent() {
        let parent = file_system_of(&std::env::temp_dir()).unwrap();
        let child = file_system_of(&std::env::temp_dir().join("not/there/yet")).unwrap();
        assert_eq!(parent, child);
        assert_eq!(mounted_at(b"", Path::new("/a")).type_name, "unknown");
    }
}
