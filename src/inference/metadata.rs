//! What exporters write into an ONNX file (`metadata_props`), as far as it says how the model is used.
//!
//! | key | written by | meaning |
//! |---|---|---|
//! | `names` | Ultralytics | labels: a Python `dict` or `list` |
//! | `imgsz` | Ultralytics | `[height, width]` of the picture, in pixels |
//! | `task` | Ultralytics | `detect`, `classify`, ... |
//! | `Image.BitmapPixelFormat` | ONNX's own convention | `Rgb8`, `Bgr8`, `Gray8` |
//! | `Image.NominalPixelRange` | ONNX's own convention | `NominalRange_0_255`, `Normalized_0_1`, `Normalized_1_1`, `NominalRange_16_235` |
//!
//! `stride` and `batch`, which Ultralytics writes too, say nothing that the shapes do not say. ONNX's convention is
//! `docs/MetadataProps.md` of the ONNX repository.

use std::collections::BTreeMap;

use super::image::MAX_SIDE;
use super::{ColorOrder, labels, literal};

/// All of it is optional, and all of it may be wrong.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Metadata {
    pub labels: Vec<String>,
    /// `(height, width)` in pixels, each from 1 to [`MAX_SIDE`].
    pub size: Option<(usize, usize)>,
    pub task: Option<String>,
    pub color: Option<ColorOrder>,
    /// The values of the darkest and of the brightest pixel.
    pub range: Option<[f64; 2]>,
}

impl Metadata {
    /// Reads `properties`. A value that cannot be read is left out and makes a warning: the model may be described by
    /// something else.
    pub(super) fn read(properties: &BTreeMap<String, String>, warnings: &mut Vec<String>) -> Self {
        let mut ignored = |key: &str, reason: String, way_out: &str| {
            warnings.push(format!("The model's metadata `{key}` is ignored, since {reason}. {way_out}"));
        };
        let get = |key: &str| properties.get(key).map(|value| value.trim());
        let mut metadata =
            Self { task: get("task").map(labels::clean).filter(|task| !task.is_empty()), ..Self::default() };

        match get("names").map(literal::names).transpose() {
            Ok(names) => metadata.labels = names.unwrap_or_default().iter().map(|name| labels::clean(name)).collect(),
            Err(reason) => ignored("names", reason, "Set labels= to a file with one label a line."),
        }
        match get("imgsz").map(size).transpose() {
            Ok(size) => metadata.size = size,
            Err(reason) => ignored("imgsz", reason, "The size can be given as `dims` in a .modelinfo file."),
        }
        match get("Image.BitmapPixelFormat") {
            Some("Rgb8") => metadata.color = Some(ColorOrder::Rgb),
            Some("Bgr8") => metadata.color = Some(ColorOrder::Bgr),
            Some("Gray8") => metadata.color = Some(ColorOrder::Gray),
            None => {}
            Some(other) => {
                let reason = format!("`{}` is none of Rgb8, Bgr8, Gray8", labels::clean(other));
                ignored("Image.BitmapPixelFormat", reason, "Set `color-order` in a .modelinfo file.");
            }
        }
        match get("Image.NominalPixelRange") {
            Some("NominalRange_0_255") => metadata.range = Some([0.0, 255.0]),
            Some("Normalized_0_1") => metadata.range = Some([0.0, 1.0]),
            Some("Normalized_1_1") => metadata.range = Some([-1.0, 1.0]),
            Some("NominalRange_16_235") => metadata.range = Some([16.0, 235.0]),
            None => {}
            Some(other) => {
                let reason = format!(
                    "`{}` is none of NominalRange_0_255, Normalized_0_1, Normalized_1_1, NominalRange_16_235",
                    labels::clean(other)
                );
                ignored("Image.NominalPixelRange", reason, "Set `ranges` in a .modelinfo file.");
            }
        }
        metadata
    }
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let (height, width) = literal::size(text)?;
    let fits = |side| (1..=MAX_SIDE).contains(&side);
    if fits(height) && fits(width) {
        Ok((height, width))
    } else {
        Err(format!("{width}x{height} is not between 1x1 and {MAX_SIDE}x{MAX_SIDE} pixels"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(properties: &[(&str, &str)]) -> (Metadata, Vec<String>) {
        let properties = properties.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let mut warnings = Vec::new();
        let metadata = Metadata::read(&properties, &mut warnings);
        (metadata, warnings)
    }

    #[test]
    fn an_ultralytics_export() {
        let (metadata, warnings) = read(&[
            ("description", "Ultralytics YOLO11n model trained on coco.yaml"),
            ("author", "Ultralytics"),
            ("stride", "32"),
            ("task", "detect"),
            ("batch", "1"),
            ("imgsz", "[480, 640]"),
            ("names", "{0: 'person', 1: 'traffic light'}"),
            ("args", "{'batch': 1, 'dynamic': True}"),
        ]);
        assert_eq!(metadata.labels, ["person", "traffic light"]);
        assert_eq!(metadata.size, Some((480, 640)));
        assert_eq!(metadata.task.as_deref(), Some("detect"));
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn onnx_own_image_properties() {
        let (metadata, warnings) =
            read(&[("Image.BitmapPixelFormat", "Bgr8"), ("Image.NominalPixelRange", "Normalized_1_1")]);
        assert_eq!((metadata.color, metadata.range), (Some(ColorOrder::Bgr), Some([-1.0, 1.0])));
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn nothing_written_is_nothing_known() {
        assert_eq!(read(&[]), (Metadata::default(), Vec::new()));
    }

    #[test]
    fn what_cannot_be_read_is_left_out_with_a_warning() {
        let cases = [
            ("names", "{0: 'person'"),
            ("names", "\u{1b}[31m"),
            ("imgsz", "[640, large]"),
            ("imgsz", "[0, 640]"),
            ("imgsz", "[640, 16385]"),
            ("Image.BitmapPixelFormat", "Bgra8\0"),
            ("Image.NominalPixelRange", "NominalRange_0_1023"),
        ];
        for (key, value) in cases {
            let (metadata, warnings) = read(&[(key, value)]);
            assert_eq!(metadata, Metadata::default(), "{key}={value}");
            assert_eq!(warnings.len(), 1, "{key}={value}");
            assert!(warnings[0].contains(key) && !warnings[0].contains(char::is_control), "{warnings:?}");
        }
    }

    #[test]
    fn labels_are_cleaned() {
        assert_eq!(read(&[("names", r"{0: 'a\x00b\n'}")]).0.labels, ["ab"]);
    }
}
