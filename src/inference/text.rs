//! Small text files that a user names: read whole, never more than they can sensibly hold.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Error, ErrorKind};

/// More than any labels file or `.modelinfo` holds; keeps a wrong path such as `/dev/zero` from filling the memory.
const MAX_BYTES: u64 = 4 << 20;

/// The UTF-8 text of the file at `path`, without a byte order mark. `what` names it in an error: `labels file`.
pub(super) fn read(path: &Path, what: &str) -> Result<String, Error> {
    let fault = |reason: &str| {
        Error::new(ErrorKind::InvalidConfig, format!("The {what} `{}` cannot be read: {reason}", path.display()))
    };
    let io = |error: std::io::Error| fault(&error.to_string());

    // Asked before it is opened: opening a named pipe would wait for its writer.
    if !path.metadata().map_err(io)?.is_file() {
        return Err(fault("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(fault(&format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|_| fault("it is not UTF-8 text"))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A folder of its own for one test, removed with its contents at the end.
    pub(in crate::inference) struct Folder(PathBuf);

    impl Folder {
        pub(in crate::inference) fn new() -> Self {
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            let name = format!("nextvision-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }

        pub(in crate::inference) fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        pub(in crate::inference) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
            let path = self.path(name);
            std::fs::write(&path, content).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_byte_order_mark_goes() {
        let folder = Folder::new();
        assert_eq!(read(&folder.write("a", "\u{feff}ä\n"), "labels file").unwrap(), "ä\n");
    }

    #[test]
    fn what_is_no_text_file_is_named_with_its_path() {
        let folder = Folder::new();
        let cases = [
            (folder.path("missing"), "No such file"),
            (folder.path(""), "not a regular file"),
            (PathBuf::from("/dev/zero"), "not a regular file"),
            (folder.write("binary", [0xff, 0xfe, 0x00]), "not UTF-8"),
            (folder.write("huge", vec![b'a'; MAX_BYTES as usize + 1]), "larger than 4 MiB"),
        ];
        for (path, reason) in cases {
            let error = read(&path, "labels file").unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidConfig);
            assert!(error.message.contains(reason), "{error}");
            assert!(
                error.message.contains("labels file") && error.message.contains(&*path.to_string_lossy()),
                "{error}"
            );
        }
    }
}
