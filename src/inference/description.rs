//! What a model is, as far as anything outside ONNX Runtime has to know it.

use std::fmt;

use super::image::{self, ImageInput, Known};
use super::metadata::Metadata;
use super::modelinfo::{ModelInfo, TensorInfo};
use super::{
    Decoder, DecoderHints, DecoderKind, Error, ErrorKind, Fit, InputSpec, ModelConfig, OutputSpec, labels, text,
};

/// A model described: its input, its labels, and how its outputs are read.
#[derive(Debug, Clone)]
pub struct ModelDescription {
    pub input: InputSpec,
    /// One label a class, empty where it has none; may be shorter than the model has classes (a warning then).
    pub labels: Vec<String>,
    pub decoder: Decoder,
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

/// One input or output tensor as ONNX Runtime names it.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    pub name: String,
    /// ONNX's name of the type in lower case: `float32`, `float16`, `uint8`, `int64`, `string`, ...
    pub element: String,
    /// `None` where the model leaves the dimension open.
    pub dims: Vec<Option<usize>>,
}

/// As a person reads it: ``` `images` float32 [?, 3, 640, 640] ```, fit for a message whatever the model's author wrote.
impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name: String = self.name.chars().take(64).flat_map(char::escape_debug).collect();
        write!(f, "`{name}` {} [", labels::clean(&self.element))?;
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
    labels::parse(&text::read(path, "labels file")?).map_err(|reason| {
        Error::new(ErrorKind::InvalidConfig, format!("The labels file `{}` cannot be used: {reason}.", path.display()))
    })
}

/// [`describe`] without a look at any file. `labels` are those of the labels file, where one is given.
fn assemble(
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

    // The exporter knows how many classes there are; a labels file may have too few or too many lines.
    let counts = [metadata.labels.len(), labels.as_ref().map_or(0, Vec::len)];
    let known_classes = counts.into_iter().find(|&count| count > 0);
    let outputs = interface.outputs.iter().zip(&matches.outputs);
    let decoder = Decoder::new(&DecoderHints {
        kind: decoder,
        outputs: outputs.map(|(tensor, info)| output(tensor, *info)).collect(),
        task: metadata.task.clone(),
        classes: known_classes,
        input_width: image.width,
        input_height: image.height,
    })?;

    let input = image.spec(usual_fit(decoder.kind(), metadata.task.as_deref()))?;
    let labels = labels.unwrap_or(metadata.labels);
    if let Some(classes) = decoder.classes().or(known_classes).filter(|_| !labels.is_empty()) {
        warnings.extend(labels::mismatch(labels.len(), classes));
    }
    Ok(ModelDescription { input, labels, decoder })
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
