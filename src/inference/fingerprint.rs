//! A number for the content of a model: its file, and the files in which it keeps weights outside of it.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use glib::{Checksum, ChecksumType};

use super::file;

/// How ONNX names such a file: an entry of `TensorProto.external_data` (`StringStringEntryProto`) with the key
/// `location`. In the wire format of protobuf: field 1, 8 bytes, the key; field 2, a length, the path.
const LOCATION: &[u8] = b"\x0a\x08location\x12";
const CHUNK: usize = 1 << 20;

/// What a model file held when it was read.
pub(super) struct Content {
    /// SHA-256 in hexadecimal; `None` where GLib has none.
    checksum: Option<String>,
    locations: BTreeSet<PathBuf>,
}

impl Content {
    pub(super) fn of(model: &[u8]) -> Self {
        let checksum = Checksum::new(ChecksumType::Sha256).and_then(|mut checksum| {
            checksum.update(model);
            checksum.string()
        });
        Self { checksum, locations: locations(model) }
    }

    /// SHA-256 in hexadecimal. `folder` is the model's.
    pub(super) fn fingerprint(&self, folder: &Path) -> io::Result<String> {
        let without = || io::Error::other("GLib has no SHA-256");
        let own = self.checksum.as_ref().ok_or_else(without)?;
        let mut checksum = Checksum::new(ChecksumType::Sha256).ok_or_else(without)?;
        checksum.update(own.as_bytes());
        for location in &self.locations {
            // What only looks like a path is none of a file.
            if let Ok((mut file, metadata)) = file::open(&folder.join(location))
                && metadata.is_file()
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
        checksum.string().ok_or_else(without)
    }
}

/// The files that the model names, wherever in its graphs.
pub(super) fn locations(model: &[u8]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut rest = model;
    while let Some(at) = rest.windows(LOCATION.len()).position(|window| window == LOCATION) {
        rest = rest.get(at + LOCATION.len()..).unwrap_or_default();
        if let Some((path, behind)) = text(rest).filter(|(path, _)| !path.is_empty()) {
            found.insert(path.into());
            // Paths in paths would make much of little.
            rest = behind;
        }
    }
    found
}

/// Text behind its length, which is a number in seven bits a byte, the lowest first; and what is behind it.
fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, text) = match *bytes.first()? {
        low @ 0..0x80 => (usize::from(low), bytes.get(1..)?),
        low => {
            let high = *bytes.get(1)?;
            (usize::from(low & 0x7f) | usize::from(high) << 7, bytes.get(2..)?)
        }
    };
    let (text, behind) = text.split_at_checked(length)?;
    Some((std::str::from_utf8(text).ok()?, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(model: &Path) -> io::Result<String> {
        Content::of(&std::fs::read(model)?).fingerprint(model.parent().unwrap())
    }

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
    fn a_path_in_a_path_is_none() {
        // Each would hold the eight behind it, and they differ.
        let entry = |n: u32| [LOCATION, &[0x7f], format!("{n:04}").as_bytes()].concat();
        let model: Vec<u8> = (0..1000).flat_map(entry).chain([b'x'; 0x7f]).collect();
        let paths = locations(&model);
        assert!(paths.iter().map(|path| path.as_os_str().len()).sum::<usize>() <= model.len());
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
