//! Where the targets in `fuzz/` come in, one function for each parser and decoder. They take any bytes, and panic only
//! where something is wrong. What was found or is worth keeping is in `fuzz/corpus/`, and runs here as tests.
//!
//! Built for `cargo fuzz` and for the unit tests only.

mod case;
mod decoders;

use std::path::Path;

pub use decoders::*;

use self::case::Case;
use super::{
    description, fingerprint, image,
    labels::{self, MAX_LABELS},
    literal,
    metadata::Metadata,
    modelinfo::ModelInfo,
};

/// A labels file.
pub fn labels(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(labels) = labels::parse(text) {
        assert!((1..=MAX_LABELS).contains(&labels.len()));
        labels.iter().for_each(|label| assert_printable(label));
    }
}

/// What exporters write into a model: class names, sizes.
pub fn literals(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match literal::names(text) {
        Ok(names) => assert!(names.len() <= MAX_LABELS),
        Err(reason) => assert_printable(&reason),
    }
    _ = literal::size(text);
    let properties = ["names", "imgsz", "task", "Image.BitmapPixelFormat", "Image.NominalPixelRange"];
    let properties = properties.map(|key| (key.to_owned(), text.to_owned())).into();
    let mut warnings = Vec::new();
    let metadata = Metadata::read(&properties, &mut warnings);
    metadata.labels.iter().chain(&metadata.task).chain(&warnings).for_each(|text| assert_printable(text));
    if let Some((height, width)) = metadata.size {
        assert!((1..=image::MAX_SIDE).contains(&height) && (1..=image::MAX_SIDE).contains(&width));
    }
}

/// A `.modelinfo` file.
pub fn model_info(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let mut warnings = Vec::new();
    match ModelInfo::parse(Path::new("model.onnx.modelinfo"), text, &mut warnings) {
        Ok(info) => {
            let numbers = |info: &super::modelinfo::TensorInfo| {
                let ranges = info.ranges.iter().flatten();
                assert!(ranges.chain(&info.mean).all(|number| number.is_finite()));
                assert!(info.std.iter().all(|&std| std > 0.0));
            };
            info.tensors.iter().for_each(numbers);
        }
        Err(error) => assert_printable(&error.message),
    }
    warnings.iter().for_each(|warning| assert_printable(warning));
}

/// All that is known of a model, put together: shapes, metadata, `.modelinfo`, labels.
pub fn description(bytes: &[u8]) {
    let case = Case::read(bytes);
    let mut warnings = Vec::new();
    let info = ModelInfo::parse(Path::new("model.onnx.modelinfo"), &case.model_info, &mut warnings);
    let labels = (!case.labels.is_empty()).then(|| labels::parse(&case.labels)).transpose();
    let (Ok(labels), Ok(info)) = (labels, info.or_else(|_| ModelInfo::parse(Path::new(""), EMPTY, &mut warnings)))
    else {
        return;
    };
    let classes = labels.as_ref().map_or(0, Vec::len);
    match description::assemble(case.decoder, labels, &info, &case.interface, &mut warnings) {
        Ok(description) => {
            let input = &description.input;
            let numbers = input.scale.iter().chain(&input.offset);
            assert!(numbers.into_iter().all(|number| number.is_finite()), "{input:?}");
            assert!(input.frame_bytes() > 0);
            assert!(description.labels.len() >= classes && description.labels.len() <= MAX_LABELS);
            assert_eq!(description.label(u32::MAX), "4294967295");
        }
        Err(error) => assert_printable(&error.message),
    }
    warnings.iter().for_each(|warning| assert_printable(warning));
}

const EMPTY: &str = "[modelinfo]\nversion=1.0\n";

/// The files that a model names, which are read for its fingerprint.
pub fn weight_files(bytes: &[u8]) {
    let found = fingerprint::locations(bytes);
    assert!(found.iter().map(|path| path.as_os_str().len()).sum::<usize>() <= bytes.len());
}

/// Fit to be logged and told.
#[track_caller]
fn assert_printable(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// Runs what is kept for a target through it.
#[cfg(test)]
pub(crate) fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.unwrap().path())
        .collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        // Shown where the test fails.
        println!("{}", file.display());
        target(&std::fs::read(file).unwrap());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_of_the_texts_is_read() {
        replay("labels", labels);
        replay("literals", literals);
        replay("model_info", model_info);
        replay("description", description);
        replay("weight_files", weight_files);
    }

    #[test]
    fn the_corpus_of_the_decoders_is_read() {
        replay("decode_yolo", decode_yolo);
        replay("decode_yolo_end2end", decode_yolo_end2end);
        replay("decode_ssd", decode_ssd);
        replay("decode_detr", decode_detr);
        replay("decode_classifier", decode_classifier);
        replay("decode_tensors", decode_tensors);
    }
}
