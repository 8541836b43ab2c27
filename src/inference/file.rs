//! Files that a user or a model names. Each is opened once: what was checked is what is read, whatever its path leads to
//! by then.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The file, and what it is. Does not wait for the writer of a named pipe.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

/// All of the file, which had `expected` bytes; no more than one byte beyond `limit`, however much it has by now.
pub(super) fn read(file: File, expected: u64, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(expected.min(limit)).unwrap_or(usize::MAX))?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_opened_is_read_though_the_path_leads_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["a", "b"].map(|name| folder.path().join(name));
        std::fs::write(&path, "checked").unwrap();
        std::fs::write(&other, "swapped").unwrap();
        let (file, metadata) = open(&path).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(read(file, metadata.len(), 100).unwrap(), b"checked");
    }

    #[test]
    fn a_file_that_grows_is_read_up_to_the_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "12").unwrap();
        let (file, metadata) = open(&path).unwrap();
        std::fs::write(&path, "1234567").unwrap();
        assert_eq!(read(file, metadata.len(), 4).unwrap(), b"12345");
    }

    #[test]
    fn a_pipe_that_nobody_writes_to_is_no_regular_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: the name is a C string.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert!(!open(&path).unwrap().1.is_file());
    }
}
