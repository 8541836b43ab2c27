//! `.modelinfo` files: GStreamer's description of a model's tensors, version 1.0.
//!
//! The format is that of `GstAnalyticsModelInfo` (GStreamer 1.28, `gst-libs/gst/analytics/modelinfo.c`), so that one
//! file serves `onnxinference` and this plugin. It is a GLib key file. The group `[modelinfo]` says the version; every
//! other group describes the tensor of its name.
//!
//! ```ini
//! [modelinfo]
//! version=1.0
//! group-id=yolo-v8-out
//!
//! [images]
//! dir=input
//! type=float32
//! dims=-1,3,640,640
//! ranges=0.0,1.0
//!
//! [output0]
//! dir=output
//! type=float32
//! dims=-1,84,8400
//! dims-order=col-major
//! id=yolo-v8-out
//! ```
//!
//! GStreamer's keys:
//!
//! | group | key | value |
//! |---|---|---|
//! | `[modelinfo]` | `version` | needed; `1.0`. A later `1.x` is read with a warning, any other major version is an error |
//! | | `group-id` | what the outputs are together, by the name in GStreamer's tensor id registry; for caps of `decoder=tensors` |
//! | a tensor's | `dir` | `input` or `output` |
//! | | `type` | `float32`, `float16`, `uint8`, ...; has to be the model's |
//! | | `dims` | sizes of the axes; `-1`: as the model says. Fills in what the model leaves open |
//! | | `dims-order` | `row-major` or `col-major`; passed on with `decoder=tensors`, and not used here: ONNX tensors say it themselves |
//! | | `id` | what the tensor holds, by the name in GStreamer's tensor id registry; decides the decoder |
//! | input | `ranges` | `min,max` of the input for pixels 0 to 255; one pair, or one per channel between `;` |
//!
//! Ours, ignored by GStreamer, all in the input's group:
//!
//! | key | value |
//! |---|---|
//! | `mean`, `std` | one number, or one per channel between `,`: the input is `(value - mean) / std`, `value` being what `ranges` (or its default) gives |
//! | `color-order` | `rgb`, `bgr` or `gray` |
//! | `layout` | `nchw` or `nhwc` |
//! | `fit` | `letterbox` or `stretch` |
//!
//! Channels are in the model's order. A wrong value is an error that names group and key; an unknown key, and a group
//! that fits no tensor, make a warning, since they are most likely misspelt.

mod matching;
mod parse;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{ColorOrder, DimsOrder, Error, ErrorKind, Fit, Layout, text};

/// Where a tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Input,
    Output,
}

/// What one group says about its tensor.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TensorInfo {
    /// The group's name.
    pub group: String,
    pub direction: Option<Direction>,
    /// ONNX's name of the type in lower case.
    pub element: Option<String>,
    /// `None` for an axis that the model decides.
    pub dims: Option<Vec<Option<usize>>>,
    pub order: Option<DimsOrder>,
    pub id: Option<String>,
    /// `[min, max]`, once or for each channel; empty where the file does not say it.
    pub ranges: Vec<[f64; 2]>,
    /// Once or for each channel; empty where the file does not say it.
    pub mean: Vec<f64>,
    /// Once or for each channel, none of them 0; empty where the file does not say it.
    pub std: Vec<f64>,
    pub color: Option<ColorOrder>,
    pub layout: Option<Layout>,
    pub fit: Option<Fit>,
}

/// A `.modelinfo` file, or the place where one would be found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ModelInfo {
    pub path: PathBuf,
    /// What the tensors are together, in GStreamer's tensor id registry.
    pub group_id: Option<String>,
    /// In the file's order; empty where there is no file.
    pub tensors: Vec<TensorInfo>,
}

impl ModelInfo {
    /// Reads the file at `given`, which then has to exist; else the one beside the model, if there is one. GStreamer's
    /// order: `model.onnx.modelinfo`, then `model.modelinfo`.
    pub fn load(given: Option<&Path>, model: &Path, warnings: &mut Vec<String>) -> Result<Self, Error> {
        if let Some(path) = given {
            return Self::read(path, warnings);
        }
        let mut appended = OsString::from(model);
        appended.push(".modelinfo");
        let candidates = [PathBuf::from(appended), model.with_extension("modelinfo")];
        match candidates.iter().find(|path| path.exists()) {
            Some(path) => Self::read(path, warnings),
            None => {
                let [path, _] = candidates;
                Ok(Self { path, ..Self::default() })
            }
        }
    }

    fn read(path: &Path, warnings: &mut Vec<String>) -> Result<Self, Error> {
        Self::parse(path, &text::read(path, ".modelinfo file", "model-info")?, warnings)
    }

    /// What `text` says, which is that of the file at `path`.
    pub fn parse(path: &Path, text: &str, warnings: &mut Vec<String>) -> Result<Self, Error> {
        let mut info = Self { path: path.to_owned(), ..Self::default() };
        let mut found = Vec::new();
        (info.group_id, info.tensors) = parse::parse(text, &mut found).map_err(|reason| info.error(reason))?;
        warnings.extend(found.iter().map(|warning| info.warning(warning)));
        Ok(info)
    }

    /// What is wrong with the file, as an error that names it.
    pub fn error(&self, reason: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::InvalidConfig, format!("In the .modelinfo file `{}`: {reason}", self.path.display()))
    }

    fn warning(&self, reason: &str) -> String {
        format!("In the .modelinfo file `{}`: {reason}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use tempfile::{TempDir, tempdir};

    use super::*;

    const FIRST: &str = "[modelinfo]\nversion=1.0\n[first]\n";
    const SECOND: &str = "[modelinfo]\nversion=1.0\n[second]\n";

    fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn load(given: Option<&Path>, model: &Path) -> Result<(ModelInfo, Vec<String>), Error> {
        let mut warnings = Vec::new();
        ModelInfo::load(given, model, &mut warnings).map(|info| (info, warnings))
    }

    #[test]
    fn the_file_beside_the_model_is_found_in_the_order_of_gstreamer() {
        let folder = tempdir().unwrap();
        let model = folder.path().join("m.onnx");
        let (info, _) = load(None, &model).unwrap();
        assert_eq!((info.path, info.tensors.len()), (folder.path().join("m.onnx.modelinfo"), 0));

        let stem = write(&folder, "m.modelinfo", SECOND);
        assert_eq!(load(None, &model).unwrap().0.path, stem);

        let appended = write(&folder, "m.onnx.modelinfo", FIRST);
        let (info, _) = load(None, &model).unwrap();
        assert_eq!((info.path, info.tensors[0].group.as_str()), (appended, "first"));
    }

    #[test]
    fn a_given_file_is_read_instead_and_has_to_exist() {
        let folder = tempdir().unwrap();
        let model = folder.path().join("m.onnx");
        write(&folder, "m.onnx.modelinfo", FIRST);
        let given = write(&folder, "other", SECOND);
        assert_eq!(load(Some(&given), &model).unwrap().0.tensors[0].group, "second");

        let error = load(Some(&folder.path().join("missing")), &model).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidConfig);
        assert!(error.message.contains("missing"), "{error}");
    }

    #[test]
    fn errors_and_warnings_name_the_file() {
        let folder = tempdir().unwrap();
        let bad = write(&folder, "bad", "[modelinfo]\nversion=2.0\n");
        let odd = write(&folder, "odd", "[modelinfo]\nversion=1.7\n");
        let error = load(Some(&bad), Path::new("m")).unwrap_err();
        assert!(error.message.contains(&*bad.to_string_lossy()) && error.message.contains("2.0"), "{error}");
        let (_, warnings) = load(Some(&odd), Path::new("m")).unwrap();
        assert!(warnings[0].contains(&*odd.to_string_lossy()) && warnings[0].contains("1.7"), "{warnings:?}");
    }
}
