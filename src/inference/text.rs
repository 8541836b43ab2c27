//! Small text files that a user names: read whole, never more than they can sensibly hold.

use std::path::Path;

use super::{Error, ErrorKind, file};

/// More than any labels file or `.modelinfo` holds; keeps a wrong path such as `/dev/zero` from filling the memory.
const MAX_BYTES: u64 = 4 << 20;

/// The UTF-8 text of the file at `path`, without a byte order mark. An error names it by `what` (`labels file`) and
/// says that `property` leads to it.
pub(super) fn read(path: &Path, what: &str, property: &str) -> Result<String, Error> {
    let fault = |reason: &str| {
        let path = path.display();
        let message = format!("The {what} `{path}` cannot be read: {reason}; set `{property}` to one that can");
        Error::new(ErrorKind::InvalidConfig, message)
    };
    let io = |error: std::io::Error| fault(&error.to_string());

    let (file, metadata) = file::open(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(fault("it is not a regular file"));
    }
    let bytes = file::read(file, metadata.len(), MAX_BYTES).map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(fault(&format!("it is larger than {} MiB", MAX_BYTES >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|_| fault("it is not UTF-8 text"))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_order_mark_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "\u{feff}ä\n").unwrap();
        assert_eq!(read(&path, "labels file", "labels").unwrap(), "ä\n");
    }

    #[test]
    fn what_is_no_text_file_is_named_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let [missing, binary, huge] = ["missing", "binary", "huge"].map(|name| folder.path().join(name));
        std::fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
        std::fs::write(&huge, vec![b'a'; MAX_BYTES as usize + 1]).unwrap();
        let cases = [
            (missing.as_path(), "No such file"),
            (folder.path(), "not a regular file"),
            (Path::new("/dev/zero"), "not a regular file"),
            (&binary, "not UTF-8"),
            (&huge, "larger than 4 MiB"),
        ];
        for (path, reason) in cases {
            let error = read(path, "labels file", "labels").unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidConfig);
            assert!(error.message.contains(reason), "{error}");
            let path = path.to_string_lossy();
            assert!(error.message.contains("labels file") && error.message.contains(&*path), "{error}");
        }
    }
}
