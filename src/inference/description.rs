//! What a model is, as far as anything outside ONNX Runtime has to know it.

use std::fmt;

use super::image::{self, ImageInput, Known};
use super::metadata::Metadata;
use super::modelinfo::{ModelInfo, TensorInfo};
use super::{
    BatchDim, Decoder, DecoderHints, DecoderKind, Error, ErrorKind, Fit, InputSpec, ModelConfig, OutputSpec,
    StandardTensor, labels, standard, text,
};

/// A model described: its input, its labels, and how its outputs are read.
#[derive(Debug, Clone)]
pub struct ModelDescription {
    pub input: InputSpec,
    /// One label a class, empty where it has none; may be shorter than the model has classes (a warning then).
    pub labels: Vec<String>,
    pub decoder: Decoder,
    /// What GStreamer knows of the outputs, in their order; empty where the decoder is another than `tensors`.
    pub tensors: Vec<StandardTensor>,
}

impl ModelDescription {
    /// The label of a class, or its number where no label is known.
    pub fn label(&self, label_id: u32) -> std::borrow::Cow<'_, str> {
        match self.labels.get(label_id as usize) {
            Some(label) if !label.is_empty() => label.as_str().into(),
            _ => label_id.to_string().into(),
        }
    }
}

/// A name out of a model, fit for a message.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

/// One input or output tensor as ONNX Runtime names it.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    pub name: String,
    /// ONNX's name of the type in lower case: `float32`, `float16`, `uint8`, `int64`, `string`, ...
    pub element: String,
    /// `None` where the model leaves the dimension open.
    pub dims: Vec<Option<usize>>,
}

/// As a person reads it: ``` `images` float32 [?, 3, 640, 640] ```.
/// Fit for a message, whatever the model's author wrote.
impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {} [", shown(&self.name), labels::clean(&self.element))?;
        for (axis, dim) in self.dims.iter().take(16).enumerate() {
            f.write_str(if axis == 0 { "" } else { ", " })?;
            match dim {
                Some(size) => write!(f, "{size}")?,
                None => f.write_str("?")?,
            }
        }
        f.write_str(if self.dims.len() > 16 { ", ...]" } else { "]" })
    }
}

/// All that ONNX Runtime says about a model's outside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelInterface {
    pub inputs: Vec<TensorSpec>,
    pub outputs: Vec<TensorSpec>,
    /// What the exporter wrote into the file (`metadata_props`).
    pub metadata: std::collections::BTreeMap<String, String>,
}

/// Puts together what is known of a model: first what `config` says, then the `.modelinfo`, then the exporter's
/// metadata, then the shapes. Returns warnings beside the description. Reads the `.modelinfo` and the labels file.
///
/// Errors: [`ErrorKind::ModelInvalid`] where the model cannot be run as it is, [`ErrorKind::InvalidConfig`] where a
/// file is wrong or missing, or where something has to be set that nothing says.
pub fn describe(config: &ModelConfig, interface: &ModelInterface) -> Result<(ModelDescription, Vec<String>), Error> {
    let mut warnings = Vec::new();
    let file = ModelInfo::load(config.model_info.as_deref(), &config.model, &mut warnings)?;
    let labels = config.labels.as_deref().map(read_labels).transpose()?;
    let description = assemble(config.decoder, labels, &file, interface, &mut warnings)?;
    Ok((description, warnings))
}

fn read_labels(path: &std::path::Path) -> Result<Vec<String>, Error> {
    labels::parse(&text::read(path, "labels file", "labels")?).map_err(|reason| {
        Error::new(ErrorKind::InvalidConfig, format!("The labels file `{}` cannot be used: {reason}.", path.display()))
    })
}

/// [`describe`] without a look at any file. `labels` are those of the labels file, where one is given.
pub(super) fn assemble(
    decoder: DecoderKind,
    labels: Option<Vec<String>>,
    file: &ModelInfo,
    interface: &ModelInterface,
    warnings: &mut Vec<String>,
) -> Result<ModelDescription, Error> {
    let (tensor, element) = image::find(interface)?;
    let metadata = Metadata::read(&interface.metadata, warnings);
    let matches = file.matches(interface, warnings)?;
    let silent = TensorInfo { group: labels::clean(&tensor.name), ..TensorInfo::default() };
    let info = matches.inputs.first().copied().flatten().unwrap_or(&silent);
    let image = ImageInput::new(tensor, element, Known { info, metadata: &metadata, file })?;
    if let (BatchDim::Fixed(frames), Some(None)) = (image.batch, tensor.dims.first()) {
        warnings.push(format!(
            "The model takes any batch, but [{}] dims in the .modelinfo file `{}` makes it {frames} frame(s) a run. \
             Write -1 in the first place to have frames batched together.",
            info.group,
            file.path.display()
        ));
    }

    // The exporter knows how many classes there are; a labels file may have too few or too many lines.
    let counts = [metadata.labels.len(), labels.as_ref().map_or(0, Vec::len)];
    let known_classes = counts.into_iter().find(|&count| count > 0);
    let outputs = interface.outputs.iter().zip(&matches.outputs);
    let hints = DecoderHints {
        kind: decoder,
        outputs: outputs.map(|(tensor, info)| output(tensor, *info)).collect(),
        task: metadata.task.clone(),
        classes: known_classes,
        input_width: image.width,
        input_height: image.height,
    };
    let decoder = Decoder::new(&hints)?;
    let tensors = match decoder.kind() {
        DecoderKind::Tensors => {
            let orders: Vec<_> = matches.outputs.iter().map(|info| info.and_then(|info| info.order)).collect();
            standard::describe(&hints, &orders, file.group_id.as_deref())
        }
        _ => Vec::new(),
    };

    let boxed = tensors.iter().any(|tensor| standard::is_letterboxed(&tensor.id) && tensor.group.is_some());
    let usual = if boxed { Fit::Letterbox } else { usual_fit(decoder.kind(), hints.task.as_deref()) };
    let input = image.spec(usual)?;
    let labels = labels.unwrap_or(metadata.labels);
    if let Some(classes) = decoder.classes().or(known_classes).filter(|_| !labels.is_empty()) {
        warnings.extend(labels::mismatch(labels.len(), classes));
    }
    Ok(ModelDescription { input, labels, decoder, tensors })
}

/// An output with what its group adds: the id, and the axes that the model leaves open. The batch stays as the model
/// has it: files often say 1 there, meaning one frame.
fn output(tensor: &TensorSpec, info: Option<&TensorInfo>) -> OutputSpec {
    let said = |axis: usize| info.and_then(|info| info.dims.as_ref()?.get(axis).copied().flatten());
    let dims = tensor.dims.iter().enumerate();
    OutputSpec {
        name: tensor.name.clone(),
        element: tensor.element.clone(),
        dims: dims.map(|(axis, dim)| dim.or_else(|| if axis == 0 { None } else { said(axis) })).collect(),
        id: info.and_then(|info| info.id.clone()),
    }
}

/// How a model of this family is fed, unless it says otherwise. The YOLO family is trained on letterboxed pictures:
/// its detectors, and what else Ultralytics exports (segmentation, poses) except its classifiers. All others stretch.
fn usual_fit(kind: DecoderKind, task: Option<&str>) -> Fit {
    match (kind, task) {
        (DecoderKind::Yolo | DecoderKind::YoloEnd2end, _) => Fit::Letterbox,
        (DecoderKind::Tensors, Some("detect" | "segment" | "pose" | "obb")) => Fit::Letterbox,
        _ => Fit::Stretch,
    }
}

#[cfg(test)]
mod tests {
    use super::super::image::tests::tensor;
    use super::super::{ColorOrder, ElementType, Layout};
    use super::*;
    use std::path::PathBuf;
    use tempfile::{TempDir, tempdir};

    const NAMES: &str = "{0: 'circle', 1: 'square', 2: 'triangle'}";

    /// YOLO v8 for three classes as Ultralytics exports it with `dynamic=True`.
    fn yolo() -> ModelInterface {
        let metadata = [("names", NAMES), ("imgsz", "[320, 640]"), ("task", "detect"), ("stride", "32")];
        ModelInterface {
            inputs: vec![tensor("images", "float32", &[-1, 3, -1, -1])],
            outputs: vec![tensor("output0", "float32", &[-1, 7, -1])],
            metadata: metadata.map(|(key, value)| (key.into(), value.into())).into(),
        }
    }

    /// A model without metadata whose outputs are taken as they are.
    fn bare() -> ModelInterface {
        ModelInterface {
            inputs: vec![tensor("in", "uint8", &[4, 96, 64, 3])],
            outputs: vec![tensor("out", "float32", &[4, 10])],
            ..ModelInterface::default()
        }
    }

    fn config(folder: &TempDir) -> ModelConfig {
        ModelConfig { model: folder.path().join("m.onnx"), decoder: DecoderKind::Tensors, ..ModelConfig::default() }
    }

    fn write(folder: &TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn an_ultralytics_export_needs_nothing_else() {
        let config = ModelConfig { decoder: DecoderKind::Auto, ..config(&tempdir().unwrap()) };
        let (description, warnings) = describe(&config, &yolo()).unwrap();
        let expected = InputSpec {
            name: "images".into(),
            layout: Layout::Nchw,
            element: ElementType::Float32,
            color: ColorOrder::Rgb,
            fit: Fit::Letterbox,
            width: 640,
            height: 320,
            batch: BatchDim::Dynamic,
            scale: [1.0 / 255.0; 3],
            offset: [0.0; 3],
        };
        assert_eq!(description.input, expected);
        assert_eq!(description.labels, ["circle", "square", "triangle"]);
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn shapes_alone_are_enough_for_a_plain_model() {
        let (description, warnings) = describe(&config(&tempdir().unwrap()), &bare()).unwrap();
        let input = &description.input;
        assert_eq!((input.layout, input.batch, input.fit), (Layout::Nhwc, BatchDim::Fixed(4), Fit::Stretch));
        assert!(description.labels.is_empty() && warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn the_modelinfo_beside_the_model_comes_before_its_metadata() {
        let folder = tempdir().unwrap();
        write(
            &folder,
            "m.onnx.modelinfo",
            "[modelinfo]\nversion=1.0\n[images]\ndims=-1,3,480,480\nranges=0,255\ncolor-order=bgr\nfit=stretch\n",
        );
        let (description, warnings) = describe(&config(&folder), &yolo()).unwrap();
        let input = &description.input;
        assert_eq!((input.width, input.height, input.color, input.fit), (480, 480, ColorOrder::Bgr, Fit::Stretch));
        assert_eq!(input.scale, [1.0; 3]);
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn a_batch_that_the_modelinfo_nails_down_makes_a_warning() {
        let folder = tempdir().unwrap();
        write(&folder, "m.modelinfo", "[modelinfo]\nversion=1.0\n[images]\ndims=1,3,480,480\n");
        let (description, warnings) = describe(&config(&folder), &yolo()).unwrap();
        assert_eq!(description.input.batch, BatchDim::Fixed(1));
        assert!(warnings.len() == 1 && warnings[0].contains("[images] dims"), "{warnings:?}");
    }

    #[test]
    fn the_labels_file_comes_before_the_metadata() {
        let folder = tempdir().unwrap();
        let mut config = config(&folder);
        config.labels = Some(write(&folder, "labels.txt", "\u{feff}rund\r\neckig\r\ndreieckig\r\n"));
        let (description, warnings) = describe(&config, &yolo()).unwrap();
        assert_eq!(description.labels, ["rund", "eckig", "dreieckig"]);
        assert!(warnings.is_empty(), "{warnings:?}");

        for (lines, said) in [("rund\n", "classes 1 to 2"), ("a\nb\nc\nd\n", "after the first 3")] {
            config.labels = Some(write(&folder, "labels.txt", lines));
            let (description, warnings) = describe(&config, &yolo()).unwrap();
            assert_eq!(description.labels.len(), lines.lines().count());
            assert!(warnings.len() == 1 && warnings[0].contains(said), "{warnings:?}");
        }
    }

    #[test]
    fn files_that_are_asked_for_and_wrong_are_errors_that_name_them() {
        let folder = tempdir().unwrap();
        let empty = write(&folder, "empty", "");
        let cases = [
            ModelConfig { labels: Some(folder.path().join("missing")), ..config(&folder) },
            ModelConfig { labels: Some(empty.clone()), ..config(&folder) },
            ModelConfig { labels: Some(folder.path().to_owned()), ..config(&folder) },
            ModelConfig { model_info: Some(folder.path().join("missing")), ..config(&folder) },
            ModelConfig { model_info: Some(empty), ..config(&folder) },
        ];
        for config in cases {
            let path = config.labels.as_ref().or(config.model_info.as_ref()).unwrap();
            let error = describe(&config, &yolo()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidConfig);
            assert!(error.message.contains(&*path.to_string_lossy()), "{error}");
        }
    }

    #[test]
    fn an_open_size_without_metadata_says_which_file_to_write() {
        let folder = tempdir().unwrap();
        let mut interface = yolo();
        interface.metadata.clear();
        let error = describe(&config(&folder), &interface).unwrap_err();
        let path = folder.path().join("m.onnx.modelinfo");
        for part in ["dims=-1,3,640,640", "[images]", &*path.to_string_lossy()] {
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn metadata_that_cannot_be_read_leave_a_working_model() {
        let mut interface = yolo();
        interface.metadata.insert("names".into(), "{0: 'circle'".into());
        let (description, warnings) = describe(&config(&tempdir().unwrap()), &interface).unwrap();
        assert!(description.labels.is_empty());
        assert!(warnings.len() == 1 && warnings[0].contains("labels="), "{warnings:?}");
        assert_eq!(description.label(1), "1");
    }

    #[test]
    fn a_class_without_a_label_goes_by_its_number() {
        let mut interface = yolo();
        interface.metadata.insert("names".into(), "{0: 'circle', 2: 'triangle'}".into());
        let (description, _) = describe(&config(&tempdir().unwrap()), &interface).unwrap();
        let labels = [0, 1, 2, 3, u32::MAX].map(|class| description.label(class).into_owned());
        assert_eq!(labels, ["circle", "1", "triangle", "3", "4294967295"]);
    }

    #[test]
    fn outputs_take_ids_and_open_axes_from_the_modelinfo_but_not_the_batch() {
        let dims = tensor("", "", &[1, 7, 2100]).dims;
        let info = TensorInfo { id: Some("yolo-v8-out".into()), dims: Some(dims), ..TensorInfo::default() };
        let spec = output(&tensor("output0", "float32", &[-1, 7, -1]), Some(&info));
        assert_eq!((spec.id.as_deref(), spec.dims), (Some("yolo-v8-out"), vec![None, Some(7), Some(2100)]));
        let spec = output(&tensor("output0", "float32", &[-1, 7, -1]), None);
        assert_eq!((spec.id, spec.dims), (None, vec![None, Some(7), None]));
    }

    #[test]
    fn the_yolo_family_is_letterboxed() {
        assert_eq!(usual_fit(DecoderKind::Yolo, None), Fit::Letterbox);
        assert_eq!(usual_fit(DecoderKind::YoloEnd2end, None), Fit::Letterbox);
        assert_eq!(usual_fit(DecoderKind::Tensors, Some("segment")), Fit::Letterbox);
        assert_eq!(usual_fit(DecoderKind::Tensors, None), Fit::Stretch);
        assert_eq!(usual_fit(DecoderKind::Classifier, Some("classify")), Fit::Stretch);
        assert_eq!(usual_fit(DecoderKind::Ssd, None), Fit::Stretch);
        assert_eq!(usual_fit(DecoderKind::Detr, Some("detect")), Fit::Stretch);
    }

    #[test]
    fn tensors_are_shown_fit_for_a_message() {
        let shown = tensor("a\u{1b}[31m`\n", "float32", &[-1, 3]).to_string();
        assert!(shown.ends_with("float32 [?, 3]") && !shown.contains(char::is_control), "{shown}");
        let long = tensor(&"ä".repeat(100_000), "float32", &[1; 1000]).to_string();
        assert!(long.chars().count() < 200, "{long}");
    }

    /// The examples of the documentation are files that work.
    #[test]
    fn the_documented_modelinfo_files_are_right() {
        let folder = tempdir().unwrap();
        let text = include_str!("../../docs/models.md");
        let examples: Vec<_> = text.split("```ini\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert_eq!(examples.len(), 3);
        for example in examples {
            let nchw = example.contains("[images]");
            let mut interface = if nchw { yolo() } else { bare() };
            if !nchw {
                interface.inputs = vec![tensor("input", "float32", &[-1, 3, -1, -1])];
                interface.outputs = vec![tensor("logits", "float32", &[-1, 1000])];
            }
            interface.outputs.iter_mut().for_each(|output| output.dims.fill(None));
            let path = write(&folder, "m.onnx.modelinfo", example);
            let config = ModelConfig { model_info: Some(path), ..config(&folder) };
            let (_, warnings) = describe(&config, &interface).unwrap();
            assert!(warnings.is_empty(), "{warnings:?}");
        }
    }
}
