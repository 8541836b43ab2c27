//! A number for the content of a model: its file, and the files in which it keeps weights outside of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use glib::{Checksum, ChecksumType};

/// How ONNX names such a file: an entry of `TensorProto.external_data` (`StringStringEntryProto`) with the key
/// `location`. In the wire format of protobuf: field 1, 8 bytes, the key; field 2, a length, the path.
const LOCATION: &[u8] = b"\x0a\x08location\x12";
const CHUNK: usize = 1 << 20;

/// SHA-256 in hexadecimal.
pub(super) fn fingerprint(model: &Path) -> io::Result<String> {
    let bytes = std::fs::read(model)?;
    let mut checksum = Checksum::new(ChecksumType::Sha256).ok_or_else(|| io::Error::other("GLib has no SHA-256"))?;
    checksum.update(&bytes);
    for location in locations(&bytes) {
        let path = model.parent().unwrap_or(Path::new("")).join(&location);
        // What only looks like a path is none of a file.
        if let Ok(mut file) = File::open(&path)
            && file.metadata()?.is_file()
        {
            checksum.update(location.as_os_str().as_encoded_bytes());
            let mut chunk = vec![0; CHUNK];
            loop {
                match file.read(&mut chunk)? {
                    0 => break,
                    read => checksum.update(chunk.get(..read).unwrap_or_default()),
                }
            }
        }
    }
    checksum.string().ok_or_else(|| io::Error::other("GLib gives no SHA-256"))
}

/// The files that the model names, wherever in its graphs.
fn locations(model: &[u8]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut rest = model;
    while let Some(at) = rest.windows(LOCATION.len()).position(|window| window == LOCATION) {
        rest = rest.get(at + LOCATION.len()..).unwrap_or_default();
        if let Some(path) = text(rest).filter(|path| !path.is_empty()) {
            found.insert(path.into());
        }
    }
    found
}

/// Text behind its length, which is a number in seven bits a byte, the lowest first.
fn text(bytes: &[u8]) -> Option<&str> {
    let (length, text) = match *bytes.first()? {
        low @ 0..0x80 => (usize::from(low), bytes.get(1..)?),
        low => {
            let high = *bytes.get(1)?;
            (usize::from(low & 0x7f) | usize::from(high) << 7, bytes.get(2..)?)
        }
    };
    std::str::from_utf8(text.get(..length)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "tests", "models", name].iter().collect()
    }

    #[test]
    fn another_content_has_another_number() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("m.onnx");
        std::fs::copy(fixture("mean.onnx"), &model).unwrap();
        let before = fingerprint(&model).unwrap();
        assert_eq!(before, fingerprint(&fixture("mean.onnx")).unwrap(), "whatever it is called");
        let mut bytes = std::fs::read(&model).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&model, bytes).unwrap();
        assert_ne!(before, fingerprint(&model).unwrap());
        assert!(fingerprint(&folder.path().join("nothing.onnx")).is_err());
    }

    #[test]
    fn weights_in_a_second_file_count() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("external.onnx");
        std::fs::copy(fixture("external.onnx"), &model).unwrap();
        let without = fingerprint(&model).unwrap();
        let weights = folder.path().join("external.bin");
        std::fs::copy(fixture("external.bin"), &weights).unwrap();
        let with = fingerprint(&model).unwrap();
        let mut bytes = std::fs::read(&weights).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&weights, bytes).unwrap();
        let changed = fingerprint(&model).unwrap();
        assert!(without != with && with != changed && changed != without);
    }

    #[test]
    fn locations_are_found_and_nonsense_is_not() {
        let long = "x".repeat(200);
        let mut model = b"noise".to_vec();
        for path in ["a.bin", "folder/b.bin", "a.bin"] {
            model.extend(LOCATION);
            model.push(path.len() as u8);
            model.extend(path.as_bytes());
        }
        model.extend(LOCATION);
        model.extend([0x80 | (200 & 0x7f), 1]);
        model.extend(long.as_bytes());
        model.extend(LOCATION);
        // Longer than what is there.
        model.extend([0xff, 0x7f, b'x']);
        model.extend(LOCATION);
        let expected = ["a.bin", "folder/b.bin", &long].map(PathBuf::from);
        assert_eq!(locations(&model), BTreeSet::from(expected));
    }
}
